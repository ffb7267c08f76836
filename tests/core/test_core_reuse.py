"""What a retry takes over: the decision, on runs that the bench played, and its withdrawal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gennaker_engine.core import events as e
from gennaker_engine.core import messages as m
from gennaker_engine.core.reuse import Correction, Verdict, decide_reuse, find_outdated
from gennaker_engine.core.run import Run
from tests.core.bench import Bench, make_created
from tests.fixtures.scale import scale

BASE: dict[str, Any] = {
    "parameters": {"v": {"default": "1"}},
    "stages": {
        "build": {"uses": "work", "with": {"tag": "${{ params.v }}"}},
        "test": {
            "uses": "work",
            "matrix": {"os": ["a", "b"]},
            "with": {"on": "${{ matrix.os }}", "of": "${{ stages.build.outputs.out }}"},
        },
        "stage": {
            "uses": "deploy",
            "environment": "staging",
            "needs": ["test"],
            "with": {"to": "${{ environment.variables.host }}", "key": "${{ secrets.token }}"},
        },
        "smoke": {"uses": "work", "needs": ["stage"]},
    },
}
STAGING = {"staging": m.EnvironmentFacts("staging", variables={"host": "x"})}
DEPLOYED = {"staging": ("shop-1", "stage")}


def play(pipeline: Mapping[str, Any], *, reads: Iterable[str] | None = (), **more: Any) -> Bench:
    """Play a run to its end: everything succeeds, but what is called ``broken`` fails."""
    options = {"environments": STAGING, "parameters": {"v": "1"}, **more}
    bench = Bench.start(pipeline, **options)
    while bench.deliveries:
        name = min(bench.deliveries)
        if name == "broken":
            bench.fail(name)
        else:
            read = None if reads is None else tuple(reads)
            outputs = {"out": f"of {name}"}
            bench.tell(m.ReportSucceeded(*bench._identity(name), outputs=outputs, read=read))
    assert bench.run.state == "ended"
    return bench


def judge(
    bench: Bench,
    pipeline: Mapping[str, Any] | None,
    *,
    changed: Iterable[str] | None = (),
    deploys: Mapping[str, tuple[str, str]] = DEPLOYED,
    runs: Mapping[str, Run] | None = None,
    **created: Any,
) -> dict[str, Verdict]:
    """Decide about a retry; without a pipeline it has the same definition."""
    values = {"run": "shop-2", "number": 2, "parameters": {"v": "1"}, **created}
    correction = None
    if pipeline is not None:
        correction = Correction(
            bench.world,
            (runs or {}).get,
            lambda _then, paths: (
                None
                if changed is None
                else [each for each in changed if each in paths or "." in paths]
            ),
        )
    found = decide_reuse(
        bench.run,
        make_created(pipeline if pipeline is not None else BASE, **values),
        find_deploy=deploys.get,
        correction=correction,
    )
    return {each.stage: each for each in found}


def tell(verdicts: Mapping[str, Verdict]) -> dict[str, str]:
    """Return the reasons of the stages that run again."""
    return {name: each.reason for name, each in verdicts.items() if each.taken is None}


def change(stage: str, **keys: Any) -> dict[str, Any]:
    """Return the pipeline with keys of one stage changed; ``with_`` adds inputs."""
    found = dict(BASE["stages"][stage])
    if "with_" in keys:
        found["with"] = {**found.get("with", {}), **keys.pop("with_")}
    return {**BASE, "stages": {**BASE["stages"], stage: {**found, **keys}}}


def test_a_reused_deploy_that_is_not_the_last_any_more_is_outdated() -> None:
    """Also when nothing but deploys was taken over."""
    taken = {"outcome": "succeeded", "outputs": {}, "run": "shop-1"}
    taken["deploys"] = [{"environment": "staging", "instance": "stage"}]
    stages = {"stage": {"uses": "deploy", "environment": "staging"}}
    bench = Bench.start({"stages": stages}, reused={"stage": taken}, adopt=False)
    facts = bench.run.facts
    assert find_outdated(facts, {"staging": ("shop-1", "stage")}.get) == {}
    assert list(find_outdated(facts, {"staging": ("shop-3", "stage")}.get)) == ["stage"]


def test_what_did_not_succeed_runs_again_and_why_is_told() -> None:
    """Whatever happened to a stage has its word; in a run that was given up some never ended."""
    stages = {
        "failed": {"uses": "work", "on_failure": "ignore"},
        "errored": {"uses": "work"},
        "skipped": {"uses": "work", "if": "false"},
        "aborted": {"uses": "work"},
    }
    bench = Bench.start({"stages": stages})
    bench.fail("failed")
    bench.error("errored", permanent=True)
    given_up = e.RunAbandoned(at=1001.0, actor="local:bob", reason="damaged", places=())
    left = Bench(Run.replay([*bench.events, given_up]), bench.world, bench.now)
    bench.cancel()
    bench.stop("aborted")
    words = {"failed": "it failed", "errored": "it errored", "skipped": "it was skipped"}
    pipeline = {"stages": stages}
    assert tell(judge(bench, pipeline)) == {**words, "aborted": "it was aborted"}
    assert tell(judge(left, pipeline)) == {**words, "aborted": "it did not run"}


def test_what_is_the_same_is_reused_with_its_outputs() -> None:
    """Everything, when nothing is different; names and policies do not count."""
    bench = play(BASE)
    verdicts = judge(bench, change("smoke", name="Smoke", timeout="5m", retry=3))
    assert tell(verdicts) == {}
    assert verdicts["test"].taken == {
        "outcome": "succeeded",
        "outputs": {"out": ["of test[0]", "of test[1]"]},
        "run": "shop-1",
    }
    assert verdicts["stage"].taken["deploys"] == [{"environment": "staging", "instance": "stage"}]


AFTER = {"smoke": "after stage"}
CASES = {
    "type": (change("smoke", uses="ask"), {"smoke": "it uses ask, not work as then"}),
    "input": (
        change("stage", with_={"to": "y"}),
        {"stage": "input 'to' is different", **AFTER},
    ),
    "one more input": (
        change("stage", with_={"more": 1}),
        {"stage": "input 'more' is different", **AFTER},
    ),
    "number for boolean": (change("smoke", with_={"n": 1}), {"smoke": "input 'n' is different"}),
    "secret": (
        change("stage", with_={"key": "none"}),
        {"stage": "input 'key' is different", **AFTER},
    ),
    "matrix": (
        change("test", matrix={"os": ["b", "a"]}),
        {"test": "its matrix is different", "stage": "after test", **AFTER},
    ),
    "one instance": (
        change("test", with_={"on": "${{ matrix.os == 'b' ? 'c' : 'a' }}"}),
        {"test": "test[1]: input 'on' is different", "stage": "after test", **AFTER},
    ),
    "a new stage before it": (
        {
            **BASE,
            "stages": {
                **change("smoke", needs=["stage", "lint"])["stages"],
                "lint": {"uses": "work"},
            },
        },
        {"lint": "it is new", "smoke": "after lint"},
    ),
    "an approval before it": (
        {
            **BASE,
            "stages": {
                **change("smoke", needs=["stage", "ok"])["stages"],
                "ok": {"uses": "approval"},
            },
        },
        {"ok": "approvals are asked again", "smoke": "after ok"},
    ),
    "condition": (
        change("smoke", **{"if": "params.v == '2'"}),
        {"smoke": "its condition is false now"},
    ),
    "value that cannot be had": (
        change("smoke", with_={"x": "${{ params.none }}"}),
        {"smoke": "its values cannot be had: "},
    ),
    "the run's own number": (
        change("smoke", with_={"x": "${{ run.number > 0 ? 'x' : 'x' }}"}),
        {"smoke": "it mentions run.number, which is another one in each run"},
    ),
    "an environment where there was none": (
        change("smoke", environment="staging"),
        {"smoke": "its environment is different (name)"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_is_different_runs_again(case: str) -> None:
    """And what comes after it; the reason names what is different."""
    pipeline, reasons = CASES[case]
    found = tell(judge(play(BASE), pipeline))
    assert found.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert found[name].startswith(reason)


def test_parameters_count_where_they_are_used() -> None:
    """Another value of a parameter is another input."""
    found = tell(judge(play(BASE), BASE, parameters={"v": "2"}))
    assert found["build"] == "input 'tag' is different"
    assert found["smoke"] == "after stage"


@pytest.mark.parametrize(
    ("then", "now"), [(True, 1), (1.5, 1), ({"a": [1]}, {"a": [True]}), ("1", 1)]
)
def test_equal_in_python_is_not_the_same(then: Any, now: Any) -> None:
    """`true` is not 1."""
    bench = play(change("smoke", with_={"x": then}))
    assert tell(judge(bench, change("smoke", with_={"x": now}))) == {
        "smoke": "input 'x' is different"
    }


def test_settings_of_the_environment_count_but_its_approvers_do_not() -> None:
    """Approvers are asked at the decision; they are nothing that a stage worked with."""
    bench = play(BASE)
    bench.set_environment("staging", approval={"approvers": ["local:*"], "required": 1})
    assert tell(judge(bench, BASE)) == {}
    bench.set_environment("staging", secrets={"token": ("env", "OTHER")})
    found = tell(judge(bench, BASE))
    assert found["stage"] == "its environment is different (secrets)"


def test_parameters_may_be_called_as_what_runs_do_not_share() -> None:
    """`params.number` is the same in each run, `run.number` is not."""
    more = {"parameters": {"number": {}}, "stages": {"a": {"uses": "work"}}}
    more["stages"]["a"]["with"] = {"n": "${{ params.number }}"}
    bench = play(more, parameters={"number": 7})
    assert tell(judge(bench, more, parameters={"number": 7})) == {}


def test_only_what_deployed_to_an_environment_is_taken_over_as_a_deploy() -> None:
    """Not what only read there, and not what deploys to somewhere else."""
    stages = {"read": {"uses": "work", "environment": "staging"}, "push": {"uses": "deploy"}}
    found = judge(play({"stages": stages}), {"stages": stages}, deploys={})
    plain = {"outcome": "succeeded", "run": "shop-1"}
    for name in stages:
        assert found[name].taken == {**plain, "outputs": {"out": f"of {name}"}}


MATRIX = {"matrix": {"e": ["staging", "other"]}}


@pytest.mark.parametrize(
    ("stage", "runs"),
    [
        ({"environment": "staging"}, True),
        ({"environment": "staging", **MATRIX}, True),
        ({"environment": "${{ matrix.e }}", **MATRIX}, True),
        ({"environment": "${{ params.v }}"}, False),
        ({"environment": "${{ matrix.e }}", "matrix": {"e": ["other"]}}, False),
        ({}, False),
    ],
)
def test_finally_runs_where_a_reused_stage_has_been(stage: Mapping[str, Any], runs: bool) -> None:
    """A retry has entered an environment when the run it retries had, also by a matrix."""
    taken = {"outcome": "succeeded", "outputs": {}, "run": "shop-0"}
    pipeline = {
        "parameters": {"v": {}},
        "stages": {"a": {"uses": "deploy", **stage}, "b": {"uses": "work"}},
        "finally": {"z": {"uses": "work", "environment": "staging"}},
    }
    bench = Bench.start(pipeline, parameters={"v": "other"}, reused={"a": taken})
    bench.succeed("b")
    assert ("z" in bench.deliveries) is runs
    if not runs:
        assert bench.run.facts.stages["z"].detail == {
            "environment": "staging",
            "reason": "the run never entered 'staging'",
        }


def test_what_was_read_of_the_source_counts() -> None:
    """A changed file is named; what was not read does not matter."""
    bench = play(BASE, reads=["app"])
    assert tell(judge(bench, BASE, changed=["docs"])) == {}
    found = tell(judge(bench, BASE, changed=["app"]))
    assert found["build"] == "it read app, which changed"
    found = tell(judge(play(BASE, reads=["."]), BASE, changed=["a", "b", "c"]))
    assert found["build"] == "it read a and 2 more, which changed"
    found = tell(judge(play(BASE, reads=["."]), BASE, changed=["a", "b"]))
    assert found["build"] == "it read a and 1 more, which changed"


def test_what_nobody_knows_is_not_reused() -> None:
    """A history that says nothing of the source, or a source that is gone."""
    found = tell(judge(play(BASE, reads=None), BASE))
    assert found["build"] == "what it read of the source was not recorded"
    found = tell(judge(play(BASE, reads=["app"]), BASE, changed=None))
    assert found["build"] == "the source that shop-1 had is gone"


@pytest.mark.parametrize("pipeline", [None, BASE])
def test_a_deploy_is_reused_only_while_it_is_the_last_one(pipeline: Any) -> None:
    """With the same definition and with a corrected one."""
    found = tell(judge(play(BASE), pipeline, deploys={"staging": ("shop-9", "stage")}))
    assert found == {"stage": "staging was deployed again by shop-9", "smoke": "after stage"}


def test_what_did_not_succeed_runs_again() -> None:
    """Failed, skipped, or after one of them."""
    stages = {
        "broken": {"uses": "work"},
        "next": {"uses": "work", "needs": ["broken"]},
        "no": {"uses": "work", "if": "false"},
        "fine": {"uses": "work"},
    }
    assert tell(judge(play({"stages": stages}), {"stages": stages})) == {
        "broken": "it failed",
        "next": "it was skipped",
        "no": "it was skipped",
    }


def test_what_puts_others_back_is_no_stage_that_a_retry_judges() -> None:
    """It is a part of every run anew, after what it waits for."""
    stages = {
        "stage": {"uses": "deploy", "environment": "staging"},
        "broken": {"uses": "work", "needs": ["stage"], "on_failure": {"undo": ["stage"]}},
    }
    bench = play({"stages": stages})
    assert "undo:stage" in bench.run.facts.stages
    assert judge(bench, {"stages": stages}).keys() == {"stage", "broken"}


def test_a_stage_that_was_reused_before_is_compared_with_the_run_that_ran_it() -> None:
    """Whose inputs are in its own history; when that is gone it runs again."""
    first = play(BASE, reads=["app"])
    reused = {name: each.taken for name, each in judge(first, BASE).items() if name != "smoke"}
    second = play(BASE, run="shop-2", number=2, retry_of="shop-1", reused=reused)
    runs = {"shop-1": first.run}
    assert tell(judge(second, BASE, runs=runs)) == {}
    assert judge(second, BASE, runs=runs)["build"].taken["run"] == "shop-1"
    found = tell(judge(second, change("test", with_={"on": "z"}), runs=runs))
    assert found["test"] == "test[0]: input 'on' is different"
    assert tell(judge(second, BASE, runs=runs, changed=["app"]))["build"].startswith("it read app")
    assert tell(judge(second, BASE))["build"] == "shop-1, which ran it, is gone"


graphs = st.integers(1, 9).flatmap(
    lambda count: st.fixed_dictionaries(
        {
            f"s{number}x": st.fixed_dictionaries(
                {
                    "needs": st.sets(st.integers(0, number - 1), max_size=3)
                    if number
                    else st.just(set()),
                    "mentions": st.booleans(),
                    "change": st.sampled_from([None, None, None, "input", "uses", "file"]),
                    "breaks": st.integers(0, 9).map(lambda each: each == 0),
                }
            )
            for number in range(count)
        }
    )
)


def write(graph: Mapping[str, Any], *, corrected: bool) -> dict[str, Any]:
    """Return the pipeline of a graph, as it was or corrected."""
    stages = {}
    for name, node in graph.items():
        before = [f"s{number}x" for number in sorted(node["needs"])]
        inputs = {"of": name, "more": corrected and node["change"] == "input"}
        if node["mentions"]:
            inputs |= {each: f"${{{{ stages.{each}.outputs.out }}}}" for each in before}
        uses = "other" if corrected and node["change"] == "uses" else "work"
        stages[name] = {"uses": uses, "needs": before, "with": inputs}
    return {"stages": stages}


@pytest.mark.scaled
@pytest.mark.timeout(scale(60, 0))
@settings(max_examples=scale(50, 5000), deadline=None)
@given(graphs)
def test_law_a_stage_is_reused_exactly_when_it_and_all_before_it_are_the_same(graph: Any) -> None:
    """Type, inputs, what was read, and that it succeeded, on any graph."""
    bench = Bench.start(write(graph, corrected=False))
    while bench.deliveries:
        name = min(bench.deliveries)
        if graph[name]["breaks"]:
            bench.fail(name)
        else:
            identity = bench._identity(name)
            outputs = {"out": name}
            bench.tell(m.ReportSucceeded(*identity, outputs=outputs, read=(f"{name}.txt",)))
    files = {f"{name}.txt" for name, node in graph.items() if node["change"] == "file"}
    found = judge(bench, write(graph, corrected=True), changed=files)
    reused: dict[str, bool] = {}
    for name, node in sorted(graph.items()):
        reused[name] = (
            bench.outcome(name) == "succeeded"
            and node["change"] is None
            and all(reused[f"s{number}x"] for number in node["needs"])
        )
    assert {name: each.taken is not None for name, each in found.items()} == reused
    taken = {name: each.taken for name, each in found.items() if each.taken is not None}
    retry = Bench.start(write(graph, corrected=True), run="shop-2", number=2, reused=taken)
    while retry.deliveries:
        retry.succeed(min(retry.deliveries), out="again")
    assert retry.run.outcome == "succeeded"
    again = {name for name in graph if retry.run.facts.stages[name].reused is None}
    assert again == {name for name, each in reused.items() if not each}


class TestWithdrawnReuse:
    """What was to be reused and is not any more when the retry starts."""

    STAGES = {
        "deploy": {"uses": "deploy", "environment": "staging"},
        "check": {"uses": "work", "needs": ["deploy"]},
        "other": {"uses": "work"},
        "last": {"uses": "work", "needs": ["check", "other"]},
    }
    DEPLOY = {
        "outcome": "succeeded",
        "outputs": {},
        "run": "shop-0",
        "deploys": [{"environment": "staging", "instance": "deploy"}],
    }
    PLAIN = {"outcome": "succeeded", "outputs": {"out": "x"}, "run": "shop-0"}
    REUSED = {"deploy": DEPLOY, "check": PLAIN, "other": PLAIN}

    def start(self, **more: Any) -> Bench:
        """Return a retry that no process drives yet."""
        return Bench.start({"stages": self.STAGES, **more}, reused=self.REUSED, adopt=False)

    def test_a_newer_deploy_and_what_comes_after_it_are_outdated(self) -> None:
        """With the reason for each."""
        facts = self.start().run.facts
        assert find_outdated(facts, {"staging": ("shop-0", "deploy")}.get) == {}
        assert find_outdated(facts, {"staging": ("shop-3", "ship")}.get) == {
            "deploy": "staging was deployed again by shop-3",
            "check": "after deploy",
        }

    @pytest.mark.parametrize("queued", [False, True])
    def test_they_run_again(self, queued: bool) -> None:
        """Whether the run starts at once or out of its queue; the others stay reused."""
        bench = self.start(**({"concurrency": {"group": "one"}} if queued else {}))
        if queued:
            created = replace(bench.run.created, concurrency={"group": "one"}, at=1000.0)
            bench.run, reaction = Run.create(created, world=bench.world, now=1000.0)
            bench.events = list(reaction.events)
            bench.tell(m.Adopt("process 1", "local:ann"))
        bench.tell(m.WithdrawReuse({"deploy": "newer", "check": "after deploy"}))
        bench.tell(m.GrantGroup() if queued else m.Adopt("process 1", "local:ann"))
        assert list(bench.deliveries) == ["deploy"]
        bench.succeed("deploy")
        bench.succeed("check")
        bench.succeed("last")
        assert bench.run.outcome == "succeeded"
        assert list(bench.run.created.reused) == ["other"]
        bench.check_replay()

    def test_not_after_the_run_has_begun(self) -> None:
        """Then what it reuses is settled."""
        bench = self.start()
        bench.tell(m.Adopt("process 1", "local:ann"))
        refused = bench.tell(m.WithdrawReuse({"other": "newer"})).refused
        assert refused == "run 'shop-1' has begun; what it reuses is settled"
        with pytest.raises(Exception, match="has begun; what it reuses is settled"):
            bench.run.evolve(e.ReuseWithdrawn(at=1.0, stages={"other": "newer"}))
