"""Hooks of a bundle: read, ordered, told apart; no cluster."""

from __future__ import annotations

from typing import Any

import pytest

from gennaker_stages.kubernetes.applying.completion import find_end
from gennaker_stages.kubernetes.applying.hooks import plan_hooks
from gennaker_stages.kubernetes.bundle.hooks import Hook, group_hooks, is_hook, split_hooks
from gennaker_stages.kubernetes.bundle.reading import Item

ARGO, HELM = "argocd.argoproj.io/hook", "helm.sh/hook"


def obj(name: str, kind: str = "Job", **annotations: str) -> dict[str, Any]:
    """An object; ``hook``, ``policy``, ``weight`` are Helm's, ``argo``, ``argo_policy``, ``wave`` Argo's."""
    names = {
        "hook": HELM,
        "policy": f"{HELM}-delete-policy",
        "weight": f"{HELM}-weight",
        "argo": ARGO,
        "argo_policy": f"{ARGO}-delete-policy",
        "wave": "argocd.argoproj.io/sync-wave",
    }
    told = {names[key]: value for key, value in annotations.items()}
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "annotations": told}}


def read(*objects: dict[str, Any]) -> list[Hook]:
    """The hooks of objects that are right."""
    _, hooks, problems = split_hooks(map(Item, objects))
    assert problems == []
    return hooks


@pytest.mark.parametrize(
    ("annotations", "first", "later"),
    [
        ({"argo": "PreSync"}, {"before"}, {"before"}),
        ({"argo": "Sync, PostSync"}, {"during", "after"}, {"during", "after"}),
        ({"argo": "SyncFail"}, {"failure"}, {"failure"}),
        ({"argo": "Skip,Sync"}, set(), set()),
        ({"argo": "PostDelete"}, set(), set()),
        ({"hook": "pre-install"}, {"before"}, set()),
        ({"hook": "pre-upgrade,post-install"}, {"after"}, {"before"}),
        ({"hook": "test"}, set(), set()),
        # Argo CD's own annotation is the one that counts.
        ({"hook": "pre-install", "argo": "PostSync"}, {"after"}, {"after"}),
    ],
)
def test_words_say_when(annotations: dict[str, str], first: set[str], later: set[str]) -> None:
    """Each word of Argo CD and Helm has its phase; an install is told from an upgrade."""
    (hook,) = read(obj("a", **annotations))
    assert (hook.phases(first=True), hook.phases(first=False)) == (first, later)


@pytest.mark.parametrize(
    ("annotations", "policies"),
    [
        ({"hook": "test"}, {"before-hook-creation"}),
        (
            {"hook": "test", "policy": "hook-succeeded, hook-failed"},
            {"hook-succeeded", "hook-failed"},
        ),
        ({"argo": "Sync", "argo_policy": "HookSucceeded"}, {"hook-succeeded"}),
        ({"argo": "Sync", "policy": "hook-failed"}, {"hook-failed"}),
    ],
)
def test_policies_say_when_it_goes(annotations: dict[str, str], policies: set[str]) -> None:
    """Without one it goes before it is made anew; Argo CD reads Helm's when its own is not there."""
    assert read(obj("a", **annotations))[0].policies == policies


def test_what_is_no_hook_is_ordinary() -> None:
    """An object without the annotations, with an empty one, or with Helm 2's mark for definitions."""
    plain = [obj("a"), obj("b", hook=""), obj("c", hook="crd-install"), obj("d", policy="x")]
    ordinary, hooks, problems = split_hooks(map(Item, plain))
    assert ([each.body for each in ordinary], hooks, problems) == (plain, [], [])
    assert not any(map(is_hook, plain))


def test_unknown_words_are_told() -> None:
    """A misspelt word is no hook of either tool, and no ordinary object."""
    wrong = [
        obj("a", argo="PreSinc"),
        obj("b", hook="preinstall"),
        obj("c", hook="test", policy="x"),
    ]
    ordinary, hooks, problems = split_hooks(map(Item, wrong))
    assert ordinary == hooks == []
    assert [str(each) for each in problems] == [
        f"bundle-hook: Job/a: annotation {ARGO!r} has the unknown hook 'PreSinc'; did you mean 'PreSync'?",
        f"bundle-hook: Job/b: annotation {HELM!r} has the unknown hook 'preinstall'; did you mean "
        "'pre-install'?",
        "bundle-hook: Job/c: the delete policy of a hook is 'x'; known: 'before-hook-creation', "
        "'hook-failed', 'hook-succeeded'",
    ]


def test_helm_runs_one_by_one_and_argo_by_waves() -> None:
    """By weight or wave, then kind and name."""
    helm = read(
        obj("b", hook="test", weight="1"),
        obj("c", hook="test"),
        obj("a", hook="test"),
        obj("z", "Secret", hook="test"),
        obj("y", hook="test", weight="-3"),
    )
    names = [[each.body["metadata"]["name"] for each in group] for group in group_hooks(helm)]
    assert names == [["y"], ["z"], ["a"], ["c"], ["b"]]
    argo = read(obj("b", argo="Sync"), obj("a", argo="Sync"), obj("c", argo="Sync", wave="-1"))
    names = [[each.body["metadata"]["name"] for each in group] for group in group_hooks(argo)]
    assert names == [["c"], ["a", "b"]]


def test_a_plan_tells_each_hook() -> None:
    """When it runs, and why it does not."""
    hooks = read(obj("a", hook="pre-install"), obj("b", hook="post-upgrade"), obj("c", argo="Skip"))
    assert [(each.action, each.detail) for each in plan_hooks(hooks, first=True)] == [
        ("run", "hook pre-install: before the deploy"),
        ("leave", "hook post-upgrade: not in the first deploy"),
        ("leave", "hook Skip: a deploy does not run it"),
    ]
    assert [each.detail for each in plan_hooks(hooks, first=False)][:2] == [
        "hook pre-install: in the first deploy only",
        "hook post-upgrade: after the deploy",
    ]


@pytest.mark.parametrize(
    ("kind", "status", "end"),
    [
        ("Job", {}, None),
        ("Job", {"conditions": [{"type": "SuccessCriteriaMet", "status": "True"}]}, None),
        ("Job", {"conditions": [{"type": "Complete", "status": "True", "message": "done"}]}, ""),
        ("Job", {"conditions": [{"type": "Failed", "status": "True", "reason": "Late"}]}, "Late"),
        ("Job", {"conditions": [{"type": "Failed", "status": "False"}]}, None),
        ("Pod", {"phase": "Running"}, None),
        ("Pod", {"phase": "Succeeded"}, ""),
        ("Pod", {"phase": "Failed"}, "it failed"),
        ("Pod", {"phase": "Failed", "reason": "Evicted"}, "Evicted"),
    ],
)
def test_an_end_is_recognised(kind: str, status: dict[str, Any], end: str | None) -> None:
    """A Job by its conditions, a Pod by its phase."""
    assert find_end({"kind": kind, "metadata": {"name": "a"}, "status": status}) == end
