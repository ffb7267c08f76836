"""When a stage starts, and why it is skipped: the table of causes and conditions."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker_engine.core import events as e
from tests.core.bench import Bench


def run_chain(outcome: str, condition: str | None, **first: Any) -> Bench:
    """Return a run of ``a`` that ended as said, and ``b`` after it with the condition."""
    second: dict[str, Any] = {"uses": "work", "needs": "a"}
    if condition is not None:
        second["if"] = condition
    bench = Bench.start({"stages": {"a": {"uses": "work", **first}, "b": second}})
    if outcome == "succeeded":
        bench.succeed("a")
    elif outcome == "failed":
        bench.fail("a")
    elif outcome == "errored":
        bench.error("a")
    return bench


@pytest.mark.parametrize(
    ("outcome", "condition", "expected"),
    [
        ("succeeded", None, "running"),
        ("failed", None, "upstream"),
        ("errored", None, "upstream"),
        ("failed", "true", "upstream"),
        ("failed", "success()", "upstream"),
        ("failed", "success() || failure()", "running"),
        ("failed", "failure()", "running"),
        ("errored", "failure()", "running"),
        ("succeeded", "failure()", "condition"),
        ("failed", "always()", "running"),
        ("succeeded", "always() && false", "condition"),
        ("failed", "failure() && false", "condition"),
        ("succeeded", "aborted()", "condition"),
        ("failed", "aborted()", "condition"),
        ("succeeded", "false", "condition"),
        ("succeeded", "stages.a.outcome == 'succeeded'", "running"),
        ("failed", "always() && stages.a.outcome == 'failed'", "running"),
    ],
)
def test_conditions(outcome: str, condition: str | None, expected: str) -> None:
    """An `if` without a status function means success() and it."""
    bench = run_chain(outcome, condition)
    if expected == "running":
        assert "b" in bench.deliveries
    else:
        assert bench.cause("b") == expected


def test_a_literal_condition_is_taken_as_it_is() -> None:
    """`if: false` is a condition, too."""
    bench = Bench.start({"stages": {"a": {"uses": "work", "if": False}}})
    assert bench.cause("a") == "condition"
    assert (bench.run.outcome, bench.run.facts.nothing_to_do) == ("succeeded", True)


def test_an_ignored_failure_counts_as_success() -> None:
    """What is after an ignored failure runs, its outcome stays, the run succeeds."""
    bench = run_chain("failed", None, on_failure="ignore")
    bench.succeed("b")
    assert bench.outcome("a") == "failed"
    assert bench.run.facts.stages["a"].ignored
    assert bench.run.outcome == "succeeded"


def test_an_ignored_failure_is_no_failure_for_ancestors() -> None:
    """failure() does not see what is ignored."""
    bench = run_chain("failed", "failure()", on_failure="ignore")
    assert bench.cause("b") == "condition"


@pytest.mark.parametrize("cause", ["condition", "empty-matrix"])
def test_two_causes_count_as_success_downstream(cause: str) -> None:
    """After a condition or an empty matrix the next stage runs."""
    first: dict[str, Any] = {"uses": "work", "if": "false"}
    if cause == "empty-matrix":
        first = {"uses": "work", "matrix": {"x": "${{ params.none }}"}}
    stages = {"a": first, "b": {"uses": "work", "needs": "a"}}
    bench = Bench.start({"stages": stages}, parameters={"none": []})
    assert bench.cause("a") == cause
    assert "b" in bench.deliveries


@pytest.mark.parametrize("cause", ["upstream", "missing-output"])
def test_other_causes_do_not(cause: str) -> None:
    """After upstream and missing-output the next stage is skipped because of it."""
    reads = {"value": "${{ stages.a.outputs.out }}"}
    middle: dict[str, Any] = {"uses": "work", "needs": "a"}
    if cause == "missing-output":
        middle |= {"if": "always()", "with": reads}
    stages = {"a": {"uses": "work"}, "b": middle, "c": {"uses": "work", "needs": "b"}}
    bench = Bench.start({"stages": stages})
    bench.fail("a")
    assert bench.cause("b") == cause
    assert bench.cause("c") == "upstream"
    assert bench.run.facts.stages["c"].detail == {"stage": "b", "outcome": "skipped"}


def test_failure_asks_ancestors_success_asks_direct_needs() -> None:
    """c sees the failure of a through b, which ran because of always()."""
    stages = {
        "a": {"uses": "work"},
        "b": {"uses": "work", "needs": "a", "if": "always()"},
        "c": {"uses": "work", "needs": "b", "if": "success() && failure()"},
    }
    bench = Bench.start({"stages": stages})
    bench.fail("a")
    bench.succeed("b")
    assert "c" in bench.deliveries


def test_missing_output_says_which() -> None:
    """The stage and the output are in the detail; the expression may handle absence."""
    stages = {
        "a": {"uses": "work"},
        "b": {"uses": "work", "if": "always()", "with": {"v": "${{ stages.a.outputs.tag }}"}},
        "c": {
            "uses": "work",
            "if": "always()",
            "with": {"v": "${{ default(stages.a.outputs.tag, 'none') }}"},
        },
    }
    bench = Bench.start({"stages": stages})
    bench.fail("a")
    assert bench.cause("b") == "missing-output"
    assert bench.run.facts.stages["b"].detail == {"stage": "a", "output": "tag"}
    assert bench.deliveries["c"].inputs == {"v": "none"}


@pytest.mark.parametrize(
    ("stage", "code"),
    [
        ({"if": "1"}, "condition-type"),
        ({"if": "params.nothing"}, None),
        ({"with": {"v": "${{ 1 / 0 }}"}}, None),
        ({"environment": "${{ 'mars' }}"}, "unknown-environment"),
        ({"with": {"v": "${{ secrets.unknown }}"}}, "unknown-secret"),
        ({"matrix": {"x": "${{ 'text' }}"}}, "matrix-type"),
        ({"matrix": {"x": list(range(257))}}, "matrix-too-large"),
    ],
)
def test_what_cannot_be_evaluated_is_errored(stage: dict[str, Any], code: str | None) -> None:
    """Never a skip, never raw text."""
    bench = Bench.start({"stages": {"a": {"uses": "work", **stage}}})
    assert bench.outcome("a") == "errored"
    assert bench.run.outcome == "errored"
    row = bench.run.facts.stages["a"]
    assert row.reason
    assert code is None or row.code == code


def test_secrets_stand_as_markers() -> None:
    """A secret never has its value in an event; data that looks like a marker is escaped."""
    inputs = {"env": {"T": "${{ 'x-' + secrets.token }}"}, "odd": {"$secret": ["mine"]}}
    bench = Bench.start({"stages": {"a": {"uses": "work", "with": inputs}}})
    assert bench.deliveries["a"].inputs == {
        "env": {"T": {"$secret": ["x-", {"name": "token"}]}},
        "odd": {"$$secret": ["mine"]},
    }


def test_environment_settings_are_read_and_kept() -> None:
    """Variables and url are seen by inputs, and journaled as they were."""
    inputs = {"v": "${{ environment.url }}/${{ environment.variables.n }}"}
    stage = {"uses": "work", "environment": "${{ params.env }}", "with": inputs}
    bench = Bench.start({"stages": {"a": stage}}, parameters={"env": "staging"}, adopt=False)
    bench.set_environment("staging", url="http://s", variables={"n": 3}, target="cluster")
    from gennaker_engine.core.messages import Adopt

    bench.tell(Adopt("p", "local:ann"))
    resolved = bench.last(e.StageResolved)
    assert resolved.inputs == {"v": "http://s/3"}
    assert resolved.environment["target"] == "cluster"
    assert resolved.environment["variables"] == {"n": 3}


def test_stop_aborts_what_runs_and_skips_the_rest() -> None:
    """Nothing outside finally starts after it, whatever its `if`."""
    stages = {
        "a": {"uses": "work", "on_failure": "stop"},
        "b": {"uses": "work"},
        "c": {"uses": "work", "needs": "b", "if": "always()"},
    }
    bench = Bench.start({"stages": stages, "finally": {"z": {"uses": "work"}}})
    bench.fail("a")
    assert bench.instance("b").state == "stopping"
    assert bench.cause("c") == "stopped"
    assert "z" not in bench.deliveries
    bench.stop("b")
    assert bench.outcome("b") == "aborted"
    bench.succeed("z")
    assert bench.run.outcome == "failed"


def test_branch_lets_independent_branches_finish() -> None:
    """The default stops only what is downstream; the run fails."""
    stages = {"a": {"uses": "work"}, "b": {"uses": "work"}, "c": {"uses": "work", "needs": "b"}}
    bench = Bench.start({"stages": stages})
    bench.fail("a")
    bench.succeed("b", "c")
    assert bench.run.outcome == "failed"


class TestMatrix:
    """Expansion, parallelism, failing fast, outputs."""

    def start(self, matrix: dict[str, Any], **stage: Any) -> Bench:
        """Return a run of one matrix stage and one after it."""
        after = {"uses": "work", "with": {"all": "${{ stages.m.outputs.out }}"}}
        stages = {"m": {"uses": "work", "matrix": matrix, **stage}, "z": after}
        return Bench.start({"stages": stages}, parameters={"list": ["p", "q"]})

    def test_axes_vary_in_alphabetical_order_the_last_fastest(self) -> None:
        """Exclude drops, include appends."""
        bench = self.start(
            {
                "os": ["l", "w"],
                "arch": [1, 2],
                "exclude": [{"os": "w", "arch": 1}],
                "include": [{"os": "m"}],
            }
        )
        assert list(bench.last(e.StageExpanded).instances) == [
            {"arch": 1, "os": "l"},
            {"arch": 2, "os": "l"},
            {"arch": 2, "os": "w"},
            {"os": "m"},
        ]
        assert sorted(bench.deliveries) == ["m[0]", "m[1]", "m[2]", "m[3]"]

    def test_an_excluded_true_is_not_one(self) -> None:
        """Values are compared as JSON."""
        bench = self.start({"x": [1, 2], "exclude": [{"x": True}]})
        assert len(bench.last(e.StageExpanded).instances) == 2

    def test_values_come_from_expressions(self) -> None:
        """A dynamic axis is expanded when the stage is ready; instances see their values."""
        bench = self.start({"x": "${{ params.list }}"}, **{"with": {"v": "${{ matrix.x }}"}})
        assert [bench.deliveries[f"m[{n}]"].inputs["v"] for n in (0, 1)] == ["p", "q"]

    def test_outputs_are_lists_in_matrix_order(self) -> None:
        """Whatever the order in which they end."""
        bench = self.start({"x": [1, 2, 3]})
        bench.succeed("m[2]", out="c")
        bench.succeed("m[0]", out="a")
        bench.succeed("m[1]", out="b")
        assert bench.deliveries["z"].inputs == {"all": ["a", "b", "c"]}

    def test_an_ignored_failure_gives_null(self) -> None:
        """And does not stop the others."""
        bench = self.start({"x": [1, 2]}, on_failure="ignore")
        bench.fail("m[0]")
        bench.succeed("m[1]", out="b")
        assert bench.deliveries["z"].inputs == {"all": [None, "b"]}
        assert bench.outcome("m") == "failed"

    def test_an_empty_one_gives_empty_lists(self) -> None:
        """They are those of the declared outputs."""
        bench = self.start({"x": "${{ params.list.filter(each, each == 'no') }}"})
        assert bench.cause("m") == "empty-matrix"
        assert bench.deliveries["z"].inputs == {"all": []}

    def test_max_parallel(self) -> None:
        """Another one starts when one ends."""
        bench = self.start({"x": [1, 2, 3], "max_parallel": 2})
        assert sorted(bench.deliveries) == ["m[0]", "m[1]"]
        bench.succeed("m[1]")
        assert sorted(bench.deliveries) == ["m[0]", "m[2]"]

    def test_fail_fast(self) -> None:
        """The first failure stops the others; the worst outcome is the stage's."""
        bench = self.start({"x": [1, 2, 3], "max_parallel": 2})
        bench.fail("m[0]")
        assert bench.cause("m[2]") == "stopped"
        bench.stop("m[1]")
        assert bench.outcome("m[1]") == "aborted"
        assert bench.outcome("m") == "failed"
        assert bench.cause("z") == "upstream"

    def test_without_fail_fast_all_run(self) -> None:
        """The others are not told to stop."""
        bench = self.start({"x": [1, 2], "fail_fast": False})
        bench.fail("m[0]")
        bench.error("m[1]")
        assert bench.outcome("m") == "errored"

    def test_the_condition_is_asked_once_without_matrix(self) -> None:
        """An `if` that mentions matrix cannot be evaluated."""
        bench = self.start({"x": [1, 2]}, **{"if": "matrix.x == 1"})
        assert bench.outcome("m") == "errored"
