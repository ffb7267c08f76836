"""Running the hooks of a deploy: made in their phase, waited for, deleted as their policies say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from gennaker.errors import PermanentError, StageError
from gennaker.stage import Change
from gennaker_stages.kubernetes.applying.apply import describe_object
from gennaker_stages.kubernetes.applying.completion import Ended, wait_until_ended
from gennaker_stages.kubernetes.bundle.hooks import Hook, Phase, group_hooks
from gennaker_stages.kubernetes.bundle.objects import Object, key_of, name_of
from gennaker_stages.kubernetes.bundle.ordering import read_wave
from gennaker_stages.kubernetes.client.parallel import work_in_parallel
from gennaker_stages.kubernetes.inventory.owners import check_owners, find_claims, tell_claim
from gennaker_stages.kubernetes.inventory.prune import wait_until_gone
from gennaker_stages.kubernetes.planning.live import read_live
from gennaker_stages.kubernetes.planning.refusal import explain_refusal

if TYPE_CHECKING:
    from gennaker.stage import Context
    from gennaker_stages.kubernetes.bundle.preparing import Bundle
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.inventory.applyset import ApplySet

__all__ = ["HookFailed", "Hooks", "find_refused", "plan_hooks"]

ATTEMPT = "gennaker.dev/attempt"
"""An annotation: the attempt that made a hook's object, so that a repeated delivery finds its own."""
_WORDS: dict[Phase, str] = {
    "before": "before the deploy",
    "during": "with its wave",
    "after": "after the deploy",
    "failure": "if the deploy fails",
}


class HookFailed(StageError):
    """A hook's Job or Pod has failed, or did not end in time: the deploy has failed, too."""

    code = "hook-failed"


class Hooks:
    """The hooks of one deploy.

    Args:
        cluster: where.
        ctx: the attempt.
        hooks: those of the bundle.
        first: whether nothing was deployed before; decided once for an attempt.
        within: how long each group may take, a duration.
    """

    def __init__(
        self,
        cluster: Cluster,
        ctx: Context,
        hooks: Sequence[Hook],
        *,
        first: bool,
        within: str,
    ) -> None:
        self._cluster = cluster
        self._ctx = ctx
        self._hooks = hooks
        self._first = first
        if any(each.first != each.later for each in hooks):
            # What the first delivery made must not change the mind of the second.
            self._first = ctx.step("first deploy", lambda _key: first)
        self._within = within
        self._done: set[int] = set()

    def check(self, applyset: ApplySet) -> None:
        """Refuse to replace objects that somebody else has.

        Raises:
            PermanentError: code ``other-owner``.
        """
        check_owners(self._cluster, applyset, (self._read(each.body) for each in self._hooks))

    def run(self, phase: Phase, *, wave: int | None = None) -> None:
        """Run the hooks of a phase, in their order.

        Args:
            phase: which.
            wave: only those up to this wave that did not run yet; all when None.

        Raises:
            HookFailed: one of them failed; code ``hook-timeout`` when one did not end in time.
        """
        chosen = [
            each
            for each in self._hooks
            if phase in each.phases(first=self._first)
            and (wave is None or read_wave(each.body) <= wave)
            and (phase != "during" or id(each) not in self._done)
        ]
        self._done |= {id(each) for each in chosen}
        succeeded: list[tuple[Hook, Object]] = []
        try:
            for group in group_hooks(chosen):
                succeeded += self._run_group(phase, group)
        finally:
            for hook, live in reversed(succeeded):
                if "hook-succeeded" in hook.policies:
                    self._delete(live)

    def run_failure(self) -> None:
        """Run the hooks that a failed deploy has; what becomes of them is told, no more."""
        try:
            self.run("failure")
        except StageError as error:
            self._ctx.log(f"{error.code}: {error.message}")

    def _run_group(self, phase: Phase, group: Sequence[Hook]) -> list[tuple[Hook, Object]]:
        made = []
        for hook in group:
            self._ctx.check_cancelled()
            live = self._ctx.step(
                f"hook {phase} {describe_object(hook.body)}", partial(self._make, hook)
            )
            made.append((hook, {**hook.body, "metadata": {**hook.body["metadata"], **live}}))
        waited = {live["metadata"]["uid"]: (hook, live) for hook, live in made if hook.ends}
        if waited:
            names = ", ".join(describe_object(live) for _, live in waited.values())
            self._ctx.step(f"hook {phase} ended: {names}", lambda _key: self._wait(waited))
        return made

    def _wait(self, waited: Mapping[str, tuple[Hook, Object]]) -> int:
        left = dict(waited)
        ended = wait_until_ended(
            self._cluster,
            [live for _, live in waited.values()],
            within=self._within,
            ctx=self._ctx,
        )
        try:
            for each in ended:
                hook, _ = left.pop(each.body["metadata"]["uid"])
                self._tell_end(hook, each)
        except StageError as error:
            if error.code != "hook-timeout":
                raise
            found = (self._read(live) for _, live in left.values())
            reasons = [reason for each in found if each for reason in self._explain(each)]
            told = "; ".join(dict.fromkeys([error.message, *reasons]))
            raise HookFailed(told, code=error.code) from error
        return len(waited)

    def _tell_end(self, hook: Hook, ended: Ended) -> None:
        if ended.fault is None:
            self._ctx.log(f"hook {name_of(ended.body)} has succeeded")
            return
        reasons = self._explain(ended.body)
        if "hook-failed" in hook.policies:
            self._delete(ended.body)
        told = "; ".join(dict.fromkeys([ended.fault, *reasons]))
        raise HookFailed(f"hook {name_of(ended.body)} ({hook.words}) failed: {told}")

    def _make(self, hook: Hook, _key: str) -> dict[str, Any]:
        """Make the object of a hook anew; one that this attempt made is it."""
        body, ctx = hook.body, self._ctx
        live = self._read(body)
        if live is not None and (live["metadata"].get("annotations") or {}).get(ATTEMPT) == ctx.key:
            return {"uid": live["metadata"]["uid"]}
        if live is not None and hook.is_replaced:
            self._delete(live)
        metadata = body["metadata"]
        annotations = {**(metadata.get("annotations") or {}), ATTEMPT: ctx.key}
        resource = self._cluster.find_resource(body["apiVersion"], body["kind"])
        found = self._cluster.apply(
            resource, {**body, "metadata": {**metadata, "annotations": annotations}}
        )
        ctx.log(f"hook {name_of(body)} ({hook.words})")
        return {"uid": found["metadata"]["uid"]}

    def _read(self, body: Object) -> dict[str, Any] | None:
        try:
            resource = self._cluster.find_resource(body["apiVersion"], body["kind"])
        except PermanentError as error:
            if error.code != "unknown-kind":
                raise
            return None  # the bundle defines it
        metadata = body["metadata"]
        return self._cluster.read(resource, metadata.get("namespace"), metadata["name"])

    def _delete(self, live: Object) -> None:
        self._cluster.delete_object(live)
        wait_until_gone(self._cluster, [live], self._ctx)

    def _explain(self, body: Object) -> list[str]:
        from gennaker_stages.kubernetes.health.explanation import Explainer

        try:
            return [self._ctx.mask(each) for each in Explainer(self._cluster).explain(body)]
        except StageError:
            return []  # that it failed is known; why is told when it can be


def find_refused(
    cluster: Cluster, applyset: ApplySet, bundle: Bundle, *, first: bool
) -> dict[tuple[str, ...], str]:
    """Return why a deploy would be refused objects of hooks, by their keys, as far as it can be tried.

    Args:
        cluster: where.
        applyset: who is to have them.
        bundle: with the hooks.
        first: whether nothing was deployed before.
    """
    hooks = [each for each in bundle.hooks if each.phases(first=first)]
    live = read_live(cluster, [each.body for each in hooks])
    there = [each for each in live.objects.values() if each is not None]
    claims = find_claims(cluster, applyset, there)
    told: dict[tuple[str, ...], str] = {key: str(error) for key, error in live.errors.items()}
    told |= {key: tell_claim(applyset, owner) for key, owner in claims.items()}
    made = {each["metadata"]["name"] for each in bundle.everything if each["kind"] == "Namespace"}
    if cluster.settings.create_namespace:
        made.add(cluster.settings.namespace)

    def try_hook(hook: Hook) -> tuple[tuple[str, ...], str] | None:
        key = key_of(hook.body)
        try:
            _try_hook(cluster, hook, live.objects[key])
        except StageError as error:
            if error.code != "namespace-missing" or key[2] not in made:
                return key, explain_refusal(error, hook.body, None).detail
        return None

    tried = [each for each in hooks if key_of(each.body) not in told.keys() | live.unknown]
    return told | dict(filter(None, work_in_parallel(try_hook, tried)))


def _try_hook(cluster: Cluster, hook: Hook, live: dict[str, Any] | None) -> None:
    """Do what the hook begins with, as a dry run; what is deleted first cannot be tried beside it."""
    body = hook.body
    if live is not None and hook.is_replaced:
        cluster.delete_object(live, dry_run=True)
    elif body["kind"] != "Pod":  # its ServiceAccount has to be there, and may be of the bundle
        cluster.apply(cluster.find_resource(body["apiVersion"], body["kind"]), body, dry_run=True)


def plan_hooks(
    hooks: Iterable[Hook],
    *,
    first: bool,
    refused: Mapping[tuple[str, ...], str] = MappingProxyType({}),
) -> list[Change]:
    """Return what a plan tells of hooks: when each runs, or that it does not.

    Args:
        hooks: those of the bundle.
        first: whether nothing was deployed before.
        refused: why some would be refused, see :func:`find_refused`.
    """
    told = []
    for each in hooks:
        phases = [words for phase, words in _WORDS.items() if phase in each.phases(first=first)]
        if key_of(each.body) in refused:
            told.append(Change("refuse", name_of(each.body), refused[key_of(each.body)]))
        elif phases:
            detail = f"hook {each.words}: {' and '.join(phases)}"
            told.append(Change("run", name_of(each.body), detail))
        else:
            other = each.later if first else each.first
            when = "not in the first deploy" if first else "in the first deploy only"
            detail = f"hook {each.words}: {when if other else 'a deploy does not run it'}"
            told.append(Change("leave", name_of(each.body), detail))
    return told
