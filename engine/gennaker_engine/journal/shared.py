"""What the journals on SQLite and PostgreSQL say alike: verbs over named queries.

A journal gives only how it executes one (``_look`` outside a transaction, ``_ask`` and ``_change``
inside), and what really differs between the databases.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gennaker_engine.journal.deployments import JournalDeployments
from gennaker_engine.journal.port import Change, Claim, DeployRow, RunRow, StoredEvent
from gennaker_engine.journal.repair import TransactionRepair
from gennaker_engine.journal.rows import make_prefix_range, read_claim, read_event, read_run

__all__ = ["SharedJournal", "SharedTransaction"]

Json = Any


class SharedTransaction(TransactionRepair):
    """What is read and written inside a transaction; :meth:`keep_counters` is its last word."""

    def __init__(self) -> None:
        self._counters: dict[str, int] = {}
        self._moved: set[str] = set()

    def _count_up(self, name: str) -> int:
        """Return a counter's next value; what is counted again is written once, at the end.

        Nobody else counts meanwhile: write transactions follow one another.
        """
        if name in self._counters:
            self._counters[name] += 1
            self._moved.add(name)
        else:
            ((self._counters[name],),) = self._ask("count_up", {"name": name})
        return self._counters[name]

    def keep_counters(self) -> None:
        """Write the counters that have moved on since they were first asked for."""
        for name in self._moved:
            self._change("write_counter", {"name": name, "value": self._counters[name]})

    def allocate_number(self, pipeline: str) -> int:
        """Return the pipeline's next run number."""
        return self._count_up(f"number/{pipeline}")

    def next_place(self) -> int:
        """Return a new, larger place."""
        return self._count_up("place")

    def load_events(self, run: str, *, after: int = 0) -> list[StoredEvent]:
        """As :meth:`SharedJournal.load_events`, seen from inside."""
        return [read_event(row) for row in self._ask("select_events", {"run": run, "after": after})]

    def list_changes(self, after: int) -> list[Change]:
        """As :meth:`SharedJournal.list_changes`, seen from inside."""
        return [Change(*row) for row in self._ask("select_changes", {"after": after})]

    def read_claims(self, scope_prefix: str = "") -> list[Claim]:
        """Return the claims whose key starts with the prefix, in order of place."""
        rows = self._ask("select_claims", make_prefix_range(scope_prefix))
        return [read_claim(row) for row in rows]

    def read_claims_of(self, run: str) -> list[Claim]:
        """Return the run's own claims, in order of place."""
        return [read_claim(row) for row in self._ask("select_claims_of_run", {"run": run})]

    def write_claim(self, claim: Claim) -> None:
        """Insert or replace the claim of (key, run)."""
        values = asdict(claim)
        values["slots"] = values.pop("limit")
        self._change("write_claim", values)

    def delete_claim(self, key: str, run: str) -> None:
        """Remove it; nothing happens when there is none."""
        self._change("delete_claim", {"key": key, "run": run})

    def last_deploy(self, scope: str, environment: str) -> DeployRow | None:
        """Return the last deploy of the environment that began."""
        rows = self._ask("select_last_deploy", {"scope": scope, "environment": environment})
        return DeployRow(*rows[0]) if rows else None

    def record_deploy(self, row: DeployRow) -> None:
        """Make this the environment's last deploy."""
        self._change("record_deploy", asdict(row))


class SharedJournal(JournalDeployments):
    """What is read outside a transaction."""

    def load_events(self, run: str, *, after: int = 0) -> list[StoredEvent]:
        """Return the run's events with a sequence above ``after``, in order."""
        found = self._look("select_events", {"run": run, "after": after})
        return [read_event(row) for row in found]

    def find_run(self, run: str) -> RunRow | None:
        """Return a run's row by its exact id."""
        rows = self._look("select_run", {"run": run})
        return read_run(rows[0]) if rows else None

    def find_runs_by_prefix(self, prefix: str, *, limit: int = 10) -> list[RunRow]:
        """Return rows whose id starts with the prefix, newest first."""
        values: Mapping[str, Json] = {**make_prefix_range(prefix), "limit": limit}
        return [read_run(row) for row in self._look("select_runs_by_prefix", values)]

    def read_claims(self, scope_prefix: str = "") -> list[Claim]:
        """Return claims without a write transaction, in order of place."""
        rows = self._look("select_claims", make_prefix_range(scope_prefix))
        return [read_claim(row) for row in rows]

    def read_claims_of(self, run: str) -> list[Claim]:
        """Return the run's own claims, in order of place."""
        return [read_claim(row) for row in self._look("select_claims_of_run", {"run": run})]

    def last_deploy(self, scope: str, environment: str) -> DeployRow | None:
        """Return the last deploy of the environment that began."""
        rows = self._look("select_last_deploy", {"scope": scope, "environment": environment})
        return DeployRow(*rows[0]) if rows else None

    def list_deploys(self) -> list[DeployRow]:
        """Return the last deploy of every environment that has one, by scope and name."""
        return [DeployRow(*row) for row in self._look("select_deploys", {})]

    def list_changes(self, after: int) -> list[Change]:
        """Return the last append of each run whose order is above ``after``, in order."""
        return [Change(*row) for row in self._look("select_changes", {"after": after})]

    def last_change(self) -> int:
        """Return the order of the newest append of all, 0 in an empty journal."""
        found: int = self._look("select_last_change", {})[0][0]
        return found
