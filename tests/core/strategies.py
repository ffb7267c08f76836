"""Hypothesis strategies: pipelines that use everything the core decides about."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

__all__ = ["environment_approvals", "pipelines"]

USES = ("work", "deploy", "deploy", "ask", "timer", "poll")
CONDITIONS = (
    None,
    None,
    None,
    None,
    None,
    None,
    None,
    None,
    None,
    "always()",
    "failure()",
    "success() && params.flag",
    "aborted() || success()",
    "params.flag",
    "!params.flag",
    "params.number > 1",
)
ENVIRONMENTS = ("staging", "production", "${{ params.environment }}")


def _matrices() -> st.SearchStrategy[dict[str, Any] | None]:
    axis = st.one_of(
        st.lists(st.sampled_from("abc"), min_size=1, max_size=3, unique=True),
        st.just("${{ params.empty ? [] : ['x', 'y'] }}"),
    )
    full = st.fixed_dictionaries(
        {"kind": axis},
        optional={
            "other": st.lists(st.integers(0, 2), min_size=1, max_size=2, unique=True),
            "max_parallel": st.integers(1, 2),
            "fail_fast": st.booleans(),
            "exclude": st.just([{"kind": "a"}]),
            "include": st.just([{"kind": "z"}]),
        },
    )
    return st.one_of(st.none(), st.none(), full)


_RETRIES = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {"limit": st.integers(0, 3)},
        optional={
            "delay": st.sampled_from(["0s", "1s", "5s"]),
            "factor": st.sampled_from([1, 2, 10]),
            "max_delay": st.sampled_from(["1s", "10s"]),
            "on": st.sampled_from([["failed"], ["errored"], ["failed", "errored"]]),
        },
    ),
)


@st.composite
def _stages(draw: st.DrawFn, prefix: str, size: int) -> dict[str, Any]:
    stages: dict[str, Any] = {}
    for number in range(size):
        before = list(stages)
        uses = draw(st.sampled_from(USES))
        stage: dict[str, Any] = {"uses": uses}
        if before:
            stage["needs"] = draw(st.lists(st.sampled_from(before), max_size=3, unique=True))
        condition = draw(st.sampled_from(CONDITIONS))
        if condition is not None:
            stage["if"] = condition
        if before and draw(st.integers(0, 3)) == 0:
            mentioned = draw(st.sampled_from(before))
            stage["with"] = {"value": f"${{{{ stages.{mentioned}.outputs.out }}}}"}
        for key, value in (
            ("matrix", draw(_matrices())),
            ("retry", draw(_RETRIES)),
            ("environment", draw(st.sampled_from(ENVIRONMENTS))),
            ("timeout", draw(st.sampled_from([None, None, "30s"]))),
        ):
            if value is not None:
                stage[key] = value
        choices: list[Any] = ["branch", "branch", "stop"] + (["ignore"] if uses != "ask" else [])
        if prefix == "s":
            named = [*stage.get("needs", ()), f"{prefix}{number}"]
            choices += ["undo", {"undo": named}]
        stage["on_failure"] = draw(st.sampled_from(choices))
        stages[f"{prefix}{number}"] = stage
    return stages


@st.composite
def pipelines(draw: st.DrawFn) -> dict[str, Any]:
    """Data of a pipeline of up to seven stages and two of ``finally``."""
    data: dict[str, Any] = {
        "name": "shop",
        "parameters": {
            "flag": {"type": "boolean"},
            "number": {"type": "integer"},
            "empty": {"type": "boolean"},
            "environment": {},
        },
        "stages": draw(_stages("s", draw(st.integers(1, 7)))),
    }
    finals = draw(_stages("f", draw(st.sampled_from([0, 0, 1, 2]))))
    if finals:
        data["finally"] = finals
    if draw(st.integers(0, 5)) == 0:
        data["timeout"] = "2m"
    return data


def parameters() -> st.SearchStrategy[dict[str, Any]]:
    """Values of the parameters of :func:`pipelines`."""
    return st.fixed_dictionaries(
        {
            "flag": st.booleans(),
            "number": st.integers(0, 2),
            "empty": st.booleans(),
            "environment": st.sampled_from(["staging", "production"]),
        }
    )


def environment_approvals() -> st.SearchStrategy[dict[str, Any] | None]:
    """The ``approval`` of an environment."""
    rule = st.fixed_dictionaries(
        {"approvers": st.just([]), "required": st.integers(1, 2), "self": st.booleans()},
        optional={"expires": st.sampled_from([60.0, 3600.0])},
    )
    return st.one_of(st.none(), rule)
