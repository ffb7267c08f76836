"""What every journal must hold. A suite for an implementation subclasses and says how to open one.

``open_journal()`` opens the same state again and again: two objects stand for two processes.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from gennaker_engine.journal.port import (
    Claim,
    Deployment,
    DeployRow,
    Journal,
    Removal,
    RunFilter,
    RunRow,
    VersionConflict,
)

__all__ = ["JournalContract", "make_row"]


def make_row(run: str = "shop-1", *, version: int = 1, **changes: object) -> RunRow:
    """Return a run's row as the runtime would project it."""
    pipeline, _, number = run.rpartition("-")
    row = RunRow(
        run=run,
        pipeline=pipeline,
        number=int(number),
        title=f"Run {run}",
        actor="local:ann",
        state="running",
        outcome=None,
        version=version,
        created_at=1000.0,
    )
    return replace(row, **changes)  # type: ignore[arg-type]


def make_claim(key: str, run: str, place: int, **changes: object) -> Claim:
    """Return a claim that waits since second 5."""
    return replace(Claim(key, run, place, False, 5.0), **changes)  # type: ignore[arg-type]


class JournalContract:
    """Subclass it and give ``open_journal``, a fixture that returns a function."""

    @pytest.fixture
    def open_journal(self) -> Callable[[], Journal]:
        """Return what opens the state under test, once more at every call."""
        raise NotImplementedError

    @pytest.fixture
    def journal(self, open_journal: Callable[[], Journal]) -> Iterator[Journal]:
        """The journal under test."""
        journal = open_journal()
        yield journal
        journal.close()

    @pytest.fixture
    def other(self, open_journal: Callable[[], Journal]) -> Iterator[Journal]:
        """The same state as another process sees it."""
        journal = open_journal()
        yield journal
        journal.close()

    # Events and versions ------------------------------------------------------------------------

    def test_appended_events_come_back_in_order_as_they_were(self, journal, other):
        """Events are given back equal and in order, to everybody, and `after` cuts the start off."""
        events = [
            {"type": "a", "v": 1, "text": "ünï\u2028\0", "deep": [{"x": None, "y": [1.5, True]}]},
            {"type": "b", "v": 2, "big": 2**53, "empty": {}},
        ]
        with journal.transaction() as transaction:
            transaction.append(make_row(version=2), 0, events)
        for each in (journal, other):
            found = each.load_events("shop-1")
            assert [(1, events[0]), (2, events[1])] == [(e.sequence, e.data) for e in found]
            assert [e.sequence for e in each.load_events("shop-1", after=1)] == [2]
            assert each.load_events("shop-1", after=2) == []
        assert journal.load_events("shop-2") == []

    def test_an_append_with_an_old_version_changes_nothing(self, journal, other):
        """Compare-and-set: the second of two writers gets VersionConflict, the first's events stay."""
        with journal.transaction() as transaction:
            transaction.append(make_row(), 0, [{"type": "created"}])
        with other.transaction() as transaction:
            transaction.append(make_row(version=2), 1, [{"type": "theirs"}])
        with (
            pytest.raises(VersionConflict, match="'shop-1' is not at version 1 any more"),
            journal.transaction() as transaction,
        ):
            transaction.append(make_row(version=2, state="ended"), 1, [{"type": "ours"}])
        assert [e.data["type"] for e in journal.load_events("shop-1")] == ["created", "theirs"]
        assert journal.find_run("shop-1").state == "running"

    def test_late_copy_of_an_append_is_kept_once(self, journal, other):
        """The same append again, by the same or another process: a conflict, one copy of its events."""
        for each in (journal, other):
            with each.transaction() as transaction:
                transaction.allocate_number("shop")
        with journal.transaction() as transaction:
            transaction.append(make_row(version=2), 0, [{"type": "created"}, {"type": "done"}])
        for each in (journal, other, journal):
            with pytest.raises(VersionConflict), each.transaction() as transaction:
                transaction.append(make_row(version=2), 0, [{"type": "created"}, {"type": "done"}])
            with pytest.raises(VersionConflict), each.transaction() as transaction:
                transaction.append(make_row(version=2), 1, [{"type": "done"}])
        assert [e.data["type"] for e in other.load_events("shop-1")] == ["created", "done"]

    def test_late_write_never_opens_an_ended_run_again(self, journal, other):
        """A process that slept while its run was ended by another changes neither row nor events."""
        with journal.transaction() as transaction:
            transaction.append(make_row(), 0, [{"type": "created"}])
        ended = make_row(version=3, state="ended", outcome="succeeded", ended_at=5.0)
        with other.transaction() as transaction:
            transaction.append(ended, 1, [{"type": "done"}, {"type": "run.ended"}])
        for version in (0, 1, 2):
            late = make_row(version=version + 1, state="running")
            with pytest.raises(VersionConflict), journal.transaction() as transaction:
                transaction.append(late, version, [{"type": "late"}])
        assert ended == journal.find_run("shop-1") == other.find_run("shop-1")
        assert [e.sequence for e in journal.load_events("shop-1")] == [1, 2, 3]

    def test_late_appends_of_many_at_once_keep_one(self, open_journal):
        """Of eight who append after the same version exactly one is taken; the others are told."""
        journals = [open_journal() for _ in range(4)]
        with journals[0].transaction() as transaction:
            transaction.append(make_row(), 0, [{"type": "created"}])

        def append(number: int) -> bool:
            try:
                with journals[number % 4].transaction() as transaction:
                    transaction.append(make_row(version=2), 1, [{"type": f"by {number}"}])
            except VersionConflict:
                return False
            return True

        with ThreadPoolExecutor(8) as pool:
            taken = list(pool.map(append, range(8)))
        assert taken.count(True) == 1
        (_, second) = journals[0].load_events("shop-1")
        assert second.data == {"type": f"by {taken.index(True)}"}
        for each in journals:
            each.close()

    def test_a_damaged_run_is_ended_behind_whatever_is_there(self, journal, other):
        """The last event comes after all others, also when the row's version is not theirs."""
        with journal.transaction() as transaction:
            transaction.append(make_row(version=3), 0, [{"type": each} for each in "abc"])
        row = other.find_run("shop-1")
        with other.transaction() as transaction:
            ended = replace(row, state="ended", outcome="errored", ended_at=9.0)
            transaction.end_damaged(ended, {"type": "given up"})
        assert replace(ended, version=4) == journal.find_run("shop-1")
        (last,) = journal.load_events("shop-1", after=3)
        assert (last.sequence, last.data) == (4, {"type": "given up"})
        assert [change.version for change in journal.list_changes(0)] == [4]

    def test_a_run_is_created_once(self, journal, other):
        """A second creation of the same id is a conflict, not a second run."""
        with journal.transaction() as transaction:
            transaction.append(make_row(), 0, [{"type": "created"}])
        with pytest.raises(VersionConflict), other.transaction() as transaction:
            transaction.append(make_row(title="again"), 0, [{"type": "created"}])
        assert other.find_run("shop-1").title == "Run shop-1"

    def test_an_append_to_a_run_that_is_not_there_is_a_conflict(self, journal):
        """Without a first event there is nothing to go on from."""
        with pytest.raises(VersionConflict), journal.transaction() as transaction:
            transaction.append(make_row(version=4), 3, [{"type": "late"}])
        assert None is journal.find_run("shop-1")

    def test_the_version_must_count_the_events(self, journal):
        """A row whose version is not its events' number is a programming error."""
        with pytest.raises(ValueError, match="1 events do not lead to version 7"):  # noqa: SIM117
            with journal.transaction() as transaction:
                transaction.append(make_row(version=7), 0, [{"type": "created"}])

    def test_what_is_no_json_is_refused(self, journal):
        """NaN would be read back by nobody: the transaction fails and leaves nothing."""
        with pytest.raises(ValueError), journal.transaction() as transaction:
            transaction.append(make_row(), 0, [{"type": "a", "x": float("nan")}])
        assert None is journal.find_run("shop-1")

    # Transactions -------------------------------------------------------------------------------

    def test_an_error_rolls_everything_back(self, journal):
        """Row, events, claims, numbers and deploys of a failed transaction are gone together."""

        def fail() -> None:
            with journal.transaction() as transaction:
                assert transaction.allocate_number("shop") == 1
                transaction.append(make_row(), 0, [{"type": "created"}])
                transaction.write_claim(make_claim("lock/shop/a", "shop-1", 1))
                transaction.record_deploy(DeployRow("shop", "a", "shop-1", "deploy", 1.0))
                raise RuntimeError("no")

        with pytest.raises(RuntimeError):
            fail()
        assert None is journal.find_run("shop-1")
        assert journal.load_events("shop-1") == []
        assert journal.read_claims() == []
        assert None is journal.last_deploy("shop", "a")
        with journal.transaction() as transaction:
            assert transaction.allocate_number("shop") == 1

    def test_numbers_count_by_pipeline_and_never_repeat(self, journal, other):
        """Every pipeline counts from 1, through all processes."""
        numbers = []
        for each in (journal, other, journal):
            with each.transaction() as transaction:
                numbers.append(transaction.allocate_number("shop"))
        with other.transaction() as transaction:
            numbers.append(transaction.allocate_number("api"))
        assert numbers == [1, 2, 3, 1]

    def test_numbers_are_unique_among_threads_and_processes(self, open_journal):
        """Many writers at once never get the same number, and all get one."""
        journals = [open_journal() for _ in range(4)]

        def allocate(journal: Journal) -> list[int]:
            found = []
            for _ in range(10):
                with journal.transaction() as transaction:
                    found.append(transaction.allocate_number("shop"))
            return found

        with ThreadPoolExecutor(8) as pool:
            found = [n for numbers in pool.map(allocate, journals * 2) for n in numbers]
        assert list(range(1, 81)) == sorted(found)
        for each in journals:
            each.close()

    def test_places_grow(self, journal, other):
        """A place asked for later is larger, whoever asks."""
        with journal.transaction() as transaction:
            first, second = transaction.next_place(), transaction.next_place()
        with other.transaction() as transaction:
            assert first < second < transaction.next_place()

    def test_a_transaction_sees_what_it_wrote_and_what_others_committed(self, journal, other):
        """Inside, events and changes of others up to now are there, and one's own."""
        with other.transaction() as transaction:
            transaction.append(make_row(), 0, [{"type": "created"}])
        with journal.transaction() as transaction:
            assert [e.data["type"] for e in transaction.load_events("shop-1")] == ["created"]
            (change,) = transaction.list_changes(0)
            assert (change.run, change.version) == ("shop-1", 1)
            transaction.append(make_row(version=2), 1, [{"type": "more"}])
            assert [e.sequence for e in transaction.load_events("shop-1", after=1)] == [2]

    # Rows ---------------------------------------------------------------------------------------

    def test_the_row_is_projected_with_its_events(self, journal, other):
        """Every field of the row comes back from the last append."""
        with journal.transaction() as transaction:
            transaction.append(make_row(), 0, [{"type": "created"}])
        last = make_row(
            version=2,
            state="ended",
            outcome="failed",
            started_at=1001.25,
            ended_at=1002.5,
            waiting="",
            due=None,
        )
        with journal.transaction() as transaction:
            transaction.append(last, 1, [{"type": "ended"}])
        assert last == other.find_run("shop-1")

    def test_lists_are_newest_first_and_filtered(self, journal):
        """Filters by pipeline, state and outcome combine; the limit counts after them."""
        rows = [
            make_row("shop-1", state="ended", outcome="succeeded"),
            make_row("api-1", state="waiting", waiting="decision", due=5.5),
            make_row("shop-2", state="ended", outcome="failed", sandbox=True, retry_of="shop-1"),
            make_row("shop-3"),
        ]
        for row in rows:
            with journal.transaction() as transaction:
                transaction.append(row, 0, [{"type": "created"}])

        def names(**which: object) -> list[str]:
            return [row.run for row in journal.list_runs(RunFilter(**which))]  # type: ignore[arg-type]

        assert names() == ["shop-3", "shop-2", "api-1", "shop-1"]
        assert names(limit=2) == ["shop-3", "shop-2"]
        assert names(pipeline="shop") == ["shop-3", "shop-2", "shop-1"]
        assert names(states=("waiting", "running")) == ["shop-3", "api-1"]
        assert names(states=("ended",)) == ["shop-2", "shop-1"]
        assert names(pipeline="shop", outcomes=("failed", "errored")) == ["shop-2"]
        assert rows == [journal.find_run(row.run) for row in rows]

    def test_a_prefix_finds_runs(self, journal):
        """The prefix is text, not a pattern."""
        for run in ("shop-1", "shop-12", "shop_x-1", "shop%-1"):
            with journal.transaction() as transaction:
                transaction.append(make_row(run), 0, [{"type": "created"}])

        def names(prefix: str, limit: int = 10) -> list[str]:
            return [row.run for row in journal.find_runs_by_prefix(prefix, limit=limit)]

        assert names("shop-1") == ["shop-12", "shop-1"]
        assert names("shop-1", limit=1) == ["shop-12"]
        assert names("shop%") == ["shop%-1"]
        assert names("api") == []

    # Claims and deploys -------------------------------------------------------------------------

    def test_claims_are_kept_by_key_and_run(self, journal, other):
        """A claim is replaced by (key, run), listed in order of place, found by run, removed."""
        first = make_claim("lock/shop/a", "shop-1", 2, holding=True, deploys=3, instance="deploy")
        second = make_claim("lock/shop/a", "shop-2", 1, limit=4, policy="supersede")
        third = make_claim("group/shop/g", "shop-1", 3)
        with journal.transaction() as transaction:
            for claim in (first, second, third):
                transaction.write_claim(claim)
            assert [second, first] == transaction.read_claims("lock/shop/")
            assert [first, third] == transaction.read_claims_of("shop-1")
        assert [second, first, third] == other.read_claims()
        assert [third] == other.read_claims("group/")
        assert [second] == other.read_claims_of("shop-2")
        now_held = replace(second, holding=True, since=9.0)
        with other.transaction() as transaction:
            transaction.delete_claim("lock/shop/a", "shop-1")
            transaction.delete_claim("lock/shop/none", "shop-1")
            transaction.write_claim(now_held)
        assert [now_held, third] == journal.read_claims()

    def test_every_deploy_is_listed(self, journal, other):
        """Newest first within an environment; what has ended replaces what began; current ones."""
        rows = [
            Deployment("shop", "a", f"shop-{number}", "web", "shop", float(number))
            for number in (1, 2, 3)
        ]
        rows.append(Deployment("shop", "b", "shop-3", "web", "shop", 4.0))
        rows.append(Deployment("else", "a", "else-1", "web", "else", 5.0))
        with journal.transaction() as transaction:
            for row in rows:
                transaction.write_deployment(row)
        ended = replace(rows[1], ended_at=2.5, outcome="failed")
        with journal.transaction() as transaction:
            transaction.write_deployment(ended)
        assert other.list_deployments("shop", "a") == [rows[2], ended, rows[0]]
        assert other.list_deployments("shop", "a", limit=1) == [rows[2]]
        assert other.list_deployments("shop", "c") == []
        assert other.list_current_deployments("shop") == [rows[2], rows[3]]

    def test_the_last_deploy_of_an_environment_is_kept(self, journal, other):
        """The newest record of (scope, environment) wins."""
        old = DeployRow("shop", "staging", "shop-1", "deploy", 1.5)
        new = DeployRow("shop", "staging", "shop-2", "deploy[0]", 2.5)
        for row in (old, new):
            with journal.transaction() as transaction:
                transaction.record_deploy(row)
                assert row == transaction.last_deploy("shop", "staging")
                assert None is transaction.last_deploy("shop", "production")
        assert new == other.last_deploy("shop", "staging")
        assert None is other.last_deploy("shop+sandbox", "staging")
        with other.transaction() as transaction:
            transaction.record_deploy(replace(old, scope="api"))
        assert [replace(old, scope="api"), new] == journal.list_deploys()

    # Notice -------------------------------------------------------------------------------------

    def test_the_change_token_moves_for_the_commits_of_others_only(self, journal, other):
        """One's own commits need no notice; another's is noticed, a rollback is not."""
        token = journal.change_token()
        with journal.transaction() as transaction:
            transaction.append(make_row(), 0, [{"type": "created"}])
        assert token == journal.change_token()
        with other.transaction() as transaction:
            transaction.append(make_row(version=2), 1, [{"type": "theirs"}])
        until = time.monotonic() + 5
        while (moved := journal.change_token()) == token and time.monotonic() < until:
            time.sleep(0.001)
        assert token != moved
        assert moved == journal.change_token()

    def test_changes_name_the_runs_that_moved(self, journal, other):
        """Each run appears once, with its last version, in order of its last append."""
        for run in ("shop-1", "shop-2"):
            with journal.transaction() as transaction:
                transaction.append(make_row(run), 0, [{"type": "created"}])
        seen = journal.last_change()
        assert journal.list_changes(seen) == []
        with other.transaction() as transaction:
            transaction.append(make_row("shop-1", version=2), 1, [{"type": "theirs"}])
        (change,) = journal.list_changes(seen)
        assert (change.run, change.version) == ("shop-1", 2)
        assert change.order == journal.last_change() > seen
        assert [each.run for each in other.list_changes(0)] == ["shop-2", "shop-1"]

    # Ownership ----------------------------------------------------------------------------------

    def test_one_drives_a_run(self, journal, other):
        """The right is exclusive, told to others by name, and free again after release."""
        assert None is other.find_owner("shop-1")
        ownership = journal.own_run("shop-1")
        assert ownership.run == "shop-1"
        assert None is other.own_run("shop-1")
        assert " pid " in other.find_owner("shop-1")
        assert "@" in other.find_owner("shop-1")
        second = other.own_run("shop-2")
        ownership.release()
        ownership.release()
        assert None is other.find_owner("shop-1")
        taken = other.own_run("shop-1")
        assert None is journal.own_run("shop-1")
        taken.release()
        second.release()

    def test_of_many_who_ask_one_gets_it(self, open_journal):
        """Whoever asks at the same moment, exactly one drives the run."""
        journals = [open_journal() for _ in range(6)]
        barrier = threading.Barrier(len(journals))

        def ask(journal: Journal) -> object:
            barrier.wait()
            return journal.own_run("shop-1")

        with ThreadPoolExecutor(len(journals)) as pool:
            found = [each for each in pool.map(ask, journals) if each is not None]
        assert len(found) == 1
        for each in journals:
            each.close()

    def test_threads_may_read_while_one_writes(self, journal):
        """Reads from other threads see the state before the commit, and do not wait for it."""
        with journal.transaction() as transaction:
            transaction.append(make_row(), 0, [{"type": "created"}])
            found: list[object] = []
            thread = threading.Thread(target=lambda: found.append(journal.find_run("shop-1")))
            thread.start()
            thread.join(5)
            assert found == [None]
        assert journal.find_run("shop-1").version == 1

    # Retention ----------------------------------------------------------------------------------

    def test_only_what_has_ended_is_removed_with_all_its_events(self, journal, other):
        """A run that goes on stays; of a removed one nothing is left, but its number is taken."""
        with journal.transaction() as transaction:
            for run, state in (("shop-1", "ended"), ("shop-2", "running"), ("shop-3", "ended")):
                transaction.allocate_number("shop")
                row = make_row(run, version=2, state=state, sandbox=run == "shop-3")
                transaction.append(row, 0, [{"type": "a"}, {"type": "b"}])
        with journal.transaction() as transaction:
            assert transaction.remove_runs(["shop-1", "shop-2", "nothing"]) == 2
        with other.transaction() as transaction:
            found = transaction.list_summaries()
            assert transaction.allocate_number("shop") == 4
        assert [(each.run, each.sandbox, each.version) for each in found] == [
            ("shop-3", True, 2),
            ("shop-2", False, 2),
        ]
        assert other.find_run("shop-1") is None
        assert [len(other.load_events(f"shop-{number}")) for number in (1, 2, 3)] == [0, 2, 2]

    def test_retries_and_deploys_are_listed(self, journal):
        """Who retried what, and the last deploy of every environment."""
        with journal.transaction() as transaction:
            for number in (1, 2, 3):
                retried = {2: "shop-1", 3: "shop-2"}.get(number)
                transaction.append(
                    make_row(f"shop-{number}", retry_of=retried), 0, [{"type": "created"}]
                )
            rows = [DeployRow("s", name, "shop-1", "d", 1.0) for name in ("a", "b")]
            for row in rows:
                transaction.record_deploy(row)
            assert transaction.list_retries_of(["shop-1", "shop-3"]) == [("shop-2", "shop-1")]
            assert sorted(transaction.list_deploys(), key=lambda each: each.environment) == rows

    def test_events_are_found_by_their_text_newest_run_first(self, journal, monkeypatch):
        """Piece by piece, however the pieces are cut; what looks like a pattern is plain text."""
        monkeypatch.setattr("gennaker_engine.journal.retention._CHUNK", 3)
        with journal.transaction() as transaction:
            for number in (1, 2, 3):
                events = [{"n": count, "say": "50%_ 'it'"} for count in range(4)]
                transaction.append(make_row(f"shop-{number}", version=5), 0, [*events, {"n": 9}])
        found = list(journal.scan_events("50%_ 'it'"))
        assert [run for run, _ in found] == ["shop-3"] * 4 + ["shop-2"] * 4 + ["shop-1"] * 4
        assert {json.loads(text)["n"] for _, text in found} == {0, 1, 2, 3}
        assert list(journal.scan_events("50x")) == []

    def test_removals_are_kept_newest_first(self, journal, other):
        """One of the same moment and actor is replaced: the counts of a removal grow."""
        with journal.transaction() as transaction:
            for at, count in ((1.0, 1), (2.0, 2), (2.0, 3)):
                transaction.record_removal(Removal(at, "local:ann", {"keep": 1}, {"runs": count}))
        assert other.list_removals() == [
            Removal(2.0, "local:ann", {"keep": 1}, {"runs": 3}),
            Removal(1.0, "local:ann", {"keep": 1}, {"runs": 1}),
        ]
        assert [each.at for each in other.list_removals(limit=1)] == [2.0]
        assert journal.compact() == 0
