"""Hooks of a bundle, as Argo CD's and Helm's annotations mark them: Jobs around a deploy; pure.

Compare Argo CD's gitops-engine (pkg/sync/hook) and Helm (pkg/action/hooks.go, pkg/release/v1/hook.go).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from gennaker.errors import Problem
from gennaker.records import dataclass
from gennaker.suggestions import suggest
from gennaker_stages.kubernetes.bundle.generated import HOOK_MARKS
from gennaker_stages.kubernetes.bundle.objects import Object
from gennaker_stages.kubernetes.bundle.ordering import rank_of, read_wave
from gennaker_stages.kubernetes.bundle.reading import Item

__all__ = ["Hook", "Phase", "group_hooks", "is_hook", "split_hooks"]

Phase = Literal["before", "during", "after", "failure"]
_ARGO, _HELM = HOOK_MARKS
_ARGO_POLICY, _HELM_POLICY = (
    "argocd.argoproj.io/hook-delete-policy",
    "helm.sh/hook-delete-policy",
)
# A hook's words, to the phase and whether it is for the first deploy only, for later ones only.
_ARGO_PHASES: Mapping[str, Phase | None] = {
    "PreSync": "before",
    "Sync": "during",
    "PostSync": "after",
    "SyncFail": "failure",
    "Skip": None,
    "PreDelete": None,
    "PostDelete": None,
}
_HELM_PHASES: Mapping[str, tuple[Phase, bool] | None] = {
    "pre-install": ("before", True),
    "pre-upgrade": ("before", False),
    "post-install": ("after", True),
    "post-upgrade": ("after", False),
    "pre-delete": None,
    "post-delete": None,
    "pre-rollback": None,
    "post-rollback": None,
    "test": None,
    "test-success": None,
    "test-failure": None,
}
# Before Helm 3 and Argo CD a definition was marked with it; it is an ordinary object.
_ORDINARY = "crd-install"
_POLICIES = {
    "BeforeHookCreation": "before-hook-creation",
    "HookSucceeded": "hook-succeeded",
    "HookFailed": "hook-failed",
}


@dataclass(frozen=True, slots=True)
class Hook:
    """An object that is applied in a phase of the deploy, and belongs to no inventory.

    Attributes:
        body: the object.
        words: the hook's words as written, to tell them.
        first: phases in which it is applied when there was no deploy before.
        later: phases in which it is applied otherwise.
        policies: when it is deleted: ``before-hook-creation``, ``hook-succeeded``, ``hook-failed``.
        helm: whether it is a hook of Helm's, which come one after the other.
    """

    body: Object
    words: str
    first: frozenset[Phase]
    later: frozenset[Phase]
    policies: frozenset[str]
    helm: bool

    @property
    def ends(self) -> bool:
        """Whether it is waited for until it has ended: Jobs and Pods."""
        return self.body["kind"] in ("Job", "Pod")

    @property
    def is_replaced(self) -> bool:
        """Whether one that is there is deleted first. A Job or a Pod has run, and does not run again."""
        return self.ends or "before-hook-creation" in self.policies

    def phases(self, *, first: bool) -> frozenset[Phase]:
        """Return the phases in which a deploy, the first or a later one, applies it."""
        return self.first if first else self.later


def is_hook(body: Object) -> bool:
    """Return whether an object says that it is a hook."""
    return bool(_find_words(body)[1])


def split_hooks(items: Iterable[Item]) -> tuple[list[Item], list[Hook], list[Problem]]:
    """Return the ordinary items, the hooks, and what is wrong with the hooks' annotations."""
    ordinary: list[Item] = []
    hooks: list[Hook] = []
    problems: list[Problem] = []
    for item in items:
        try:
            hook = _read_hook(item.body)
        except ValueError as error:
            message, hint = error.args
            place = item.locate(("metadata", "annotations"))
            problems.append(Problem("bundle-hook", f"{item.shown}: {message}", place, hint))
            continue
        if hook is None:
            ordinary.append(item)
        else:
            hooks.append(hook)
    return ordinary, hooks, problems


def group_hooks(hooks: Iterable[Hook]) -> list[Sequence[Hook]]:
    """Return hooks of a phase in the order in which they run; each group ends before the next begins.

    Argo CD's of one wave run together; Helm's one by one, by weight, kind and name.
    """
    groups: dict[Any, list[Hook]] = {}
    for each in sorted(hooks, key=_order):
        key = _order(each) if each.helm else (read_wave(each.body),)
        groups.setdefault(key, []).append(each)
    return list(groups.values())


def _order(hook: Hook) -> tuple[int, int, str]:
    return read_wave(hook.body), rank_of(hook.body), hook.body["metadata"]["name"]


def _read_hook(body: Object) -> Hook | None:
    """Return the hook that an object is, None for an ordinary one.

    Raises:
        ValueError: with a message and a hint.
    """
    annotations = body["metadata"].get("annotations") or {}
    helm, words = _find_words(body)
    if not words:
        return None
    first: set[Phase] = set()
    later: set[Phase] = set()
    for word in words:
        known: Mapping[str, Any] = _HELM_PHASES if helm else _ARGO_PHASES
        if word not in known:
            told = f"annotation {_HELM if helm else _ARGO!r} has the unknown hook {word!r}"
            raise ValueError(told, suggest(word, known))
        found = known[word]
        if isinstance(found, tuple):
            (first if found[1] else later).add(found[0])
        elif found is not None:
            first.add(found)
            later.add(found)
    if "Skip" in words:
        first, later = set(), set()
    policy = annotations.get(_ARGO_POLICY) if not helm else None
    policies = _read_policies(policy or annotations.get(_HELM_POLICY))
    return Hook(body, ", ".join(words), frozenset(first), frozenset(later), policies, helm)


def _find_words(body: Object) -> tuple[bool, list[str]]:
    """Return whether the words are Helm's, and the words; Argo CD's count when there are both."""
    annotations = body["metadata"].get("annotations") or {}
    helm = _ARGO not in annotations
    words = _split(annotations.get(_HELM if helm else _ARGO))
    return helm, [] if words == [_ORDINARY] else words


def _read_policies(text: str | None) -> frozenset[str]:
    found = [_POLICIES.get(each, each) for each in _split(text)]
    for each in found:
        if each not in _POLICIES.values():
            raise ValueError(
                f"the delete policy of a hook is {each!r}", suggest(each, _POLICIES.values())
            )
    return frozenset(found or ["before-hook-creation"])


def _split(text: str | None) -> list[str]:
    return [each.strip() for each in (text or "").split(",") if each.strip()]
