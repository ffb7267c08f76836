"""``kubernetes.deploy``: a bundle into the environment's cluster, and a wait until it runs."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field

from gennaker.durations import normalize_duration
from gennaker.errors import PermanentError, StageError
from gennaker.stage import (
    Artifact,
    Change,
    Context,
    Declared,
    Failed,
    Outcome,
    Plan,
    PlanContext,
    Secret,
    Stage,
    StageInputs,
    StageOutputs,
    Succeeded,
)
from gennaker_stages.kubernetes.applying.rules import ConflictRules, Conflicts, Replaced
from gennaker_stages.kubernetes.bundle.binding import list_bound
from gennaker_stages.kubernetes.bundle.checking import BundleError
from gennaker_stages.kubernetes.bundle.objects import SUBDOMAIN, Object, name_of
from gennaker_stages.kubernetes.bundle.ordering import read_wave
from gennaker_stages.kubernetes.bundle.preparing import Bundle, Shape, prepare_bundle
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.connecting import connect
from gennaker_stages.kubernetes.settings import KubernetesSettings

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.applying.deploy import Deploy
    from gennaker_stages.kubernetes.applying.hooks import Hooks
    from gennaker_stages.kubernetes.bundle.hooks import Hook
    from gennaker_stages.kubernetes.health.waiting import WaitResult
    from gennaker_stages.kubernetes.inventory.applyset import ApplySet
    from gennaker_stages.kubernetes.inventory.prune import PruneRules

__all__ = ["KubernetesDeploy"]

_KEY = re.compile(r"[-._a-zA-Z0-9]+")


def _check_names(secrets: dict[str, dict[str, Secret]]) -> dict[str, dict[str, Secret]]:
    """Refuse what the server would refuse; a plan does not try what it may not read."""
    for name, values in secrets.items():
        if not SUBDOMAIN.fullmatch(name) or len(name) > 253:
            raise ValueError(
                f"{name!r} is not a name of a Secret; use lower-case letters and digits, with '-' or "
                "'.' between"
            )
        for key in values:
            # A key may be the name of a file (kubernetes, IsConfigMapKey).
            if not _KEY.fullmatch(key) or len(key) > 253 or key == "." or key.startswith(".."):
                raise ValueError(
                    f"{key!r} is not a key of a Secret; use letters, digits, '-', '_' and '.'"
                )
    return secrets


class KubernetesDeploy(Stage):
    """Deploy a bundle to the environment's cluster and wait until its workloads are ready."""

    name = "kubernetes.deploy"
    effect = "deploy"
    target = "kubernetes"

    class Inputs(StageInputs):
        """What is deployed."""

        bundle: Artifact = Field(description="Rendered objects, from a rendering stage")
        secrets: Annotated[dict[str, dict[str, Secret]], AfterValidator(_check_names)] = Field(
            default_factory=dict,
            description="Secret objects to apply: name, then key to secret value",
        )
        ready_within: Annotated[str, BeforeValidator(normalize_duration)] = Field(
            default="10m", description="How long the objects of a wave may take to get ready"
        )
        wait: bool = Field(
            default=True,
            description="Whether the stage waits until what it applied is ready; without, waves are "
            "applied one after the other and 'images' is empty",
        )
        fail_early: bool = Field(
            default=False,
            description="Whether a crash loop, an image that cannot be pulled, a quota and the like "
            "fail the stage after 15 seconds instead of being waited for",
        )
        conflicts: Conflicts = Field(
            default=ConflictRules(),
            description="What is done about a field that another manager owns: fail, take it, yield "
            "it to them, or 'policy' and 'fields' with rules for some fields",
        )
        replace: Replaced = Field(
            default=False,
            description="Objects that may be deleted and made anew when a field that can never "
            "change is to change: true for all, or kinds and names, [Job, Deployment/web]; never "
            "claims, volumes, namespaces and definitions",
        )
        prune: bool = Field(
            default=False,
            description="Whether objects that an earlier deploy applied and that are no longer in "
            "the bundle are deleted",
        )
        allow_empty: bool = Field(
            default=False, description="Whether the bundle may be empty: with prune, all is deleted"
        )
        images: dict[str, str] = Field(
            default_factory=dict,
            description="Images that were built, put into every container that runs one of the name: "
            "name without tag, then reference; a name that nothing runs is an error",
        )
        config_versions: int | None = Field(
            default=None,
            ge=1,
            description="Give the ConfigMaps and Secrets of the bundle that something refers to names "
            "with their content in them, and keep so many versions of each",
        )
        adopt: str | None = Field(
            default=None,
            pattern=r"^helm/[a-z0-9]([-.a-z0-9]{0,51}[a-z0-9])?$",
            description="Take over the objects of a Helm release of the namespace, 'helm/NAME'; its "
            "record is kept",
        )
        set: str | None = Field(
            default=None,
            pattern=r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$",
            description="Name of the set that the objects belong to, to share it between stages; "
            "each stage has its own unless given",
        )

        @property
        def rules(self) -> ConflictRules:
            """What is done about what is in the way of a change."""
            return self.conflicts.allow_replacing(self.replace)

    class Outputs(StageOutputs):
        """What was deployed.

        ``images`` are read back from the specs of the live Pods once all is ready.
        """

        objects: list[str] = Field(description="Kind/name of each object that was applied")
        images: list[str] = Field(
            description="Images in the specs of the live Pods, once all is ready"
        )
        bound: dict[str, list[str]] = Field(
            description="Each reference of the input images, and the objects it was put into"
        )

    def list_sources(self, inputs: Inputs) -> tuple[str, ...]:
        """Nothing."""
        return ()

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """List the objects that would be created, changed and left, by a server-side dry run."""
        from gennaker_stages.kubernetes.applying.home import plan_home
        from gennaker_stages.kubernetes.applying.hooks import find_refused, plan_hooks
        from gennaker_stages.kubernetes.applying.misspelt import (
            check_kinds,
            find_misspelt_kinds,
            find_misspelt_paths,
        )
        from gennaker_stages.kubernetes.inventory.applyset import plan_inventory
        from gennaker_stages.kubernetes.inventory.prune import plan_prune
        from gennaker_stages.kubernetes.inventory.release import find_release, plan_release
        from gennaker_stages.kubernetes.planning.planner import plan_objects
        from gennaker_stages.kubernetes.planning.shown import note_shown

        cluster = _connect(ctx)
        applyset = _open_set(inputs, ctx, cluster)
        bundle = _prepare(inputs, ctx, cluster, applyset)
        check_kinds(cluster, inputs.rules, bundle.everything)
        release = find_release(cluster, inputs.adopt, applyset)
        planned = plan_objects(
            cluster,
            bundle.objects,
            rules=inputs.rules,
            unread=inputs.secrets,
            release=release,
            applyset=applyset,
        )
        first = not applyset.exists and release is None
        refused = find_refused(cluster, applyset, bundle, first=first)
        rules = _find_rules(inputs)
        if rules is not None:
            rules = replace(rules, used=planned.live.list_used())
        pruned = plan_prune(cluster, applyset, bundle.objects, rules) if rules else []
        return Plan(
            changes=[
                *plan_home(cluster, bundle.objects),
                *planned.changes,
                *plan_inventory(cluster, applyset, bundle.objects),
                *pruned,
                *plan_hooks(bundle.hooks, first=first, refused=refused),
                *plan_release(release, bundle.everything),
            ],
            desired={"objects": bundle.desired()},
            outputs={
                "objects": [name_of(each) for each in bundle.objects],
                "bound": list_bound(bundle.everything),
            },
            observed=note_shown(bundle, planned.live),
            warnings=[
                *find_misspelt_kinds(cluster, bundle.everything),
                *find_misspelt_paths(cluster, inputs.rules, bundle.objects, cache=ctx.cache),
            ],
        )

    def list_declared(
        self, inputs: Inputs, ctx: PlanContext, *, name: str | None = None
    ) -> list[Declared]:
        """Return the objects as they are applied, and those of ``secrets`` by their keys."""
        from gennaker_stages.kubernetes.planning.declared import describe_bundle

        with ctx.artifacts.open(inputs.bundle) as stream:
            content = stream.read()
        secrets = inputs.secrets
        shape = Shape(images=inputs.images, versions=inputs.config_versions is not None)
        return describe_bundle(content, shape, secrets, namespace=_find_namespace(ctx), name=name)

    def compare(self, inputs: Inputs, ctx: PlanContext) -> list[Change]:
        """List what it takes to have the objects again as they were deployed, and nothing else.

        A field that somebody else took is told with its values, although a deploy might fail for it.
        """
        from gennaker_stages.kubernetes.inventory.prune import PruneRules
        from gennaker_stages.kubernetes.planning.drift import find_extra, tell_missing
        from gennaker_stages.kubernetes.planning.planner import plan_objects

        cluster = _connect(ctx)
        applyset = _open_set(inputs, ctx, cluster)
        bundle = _prepare(inputs, ctx, cluster, applyset)
        planned = plan_objects(
            cluster,
            bundle.objects,
            rules=inputs.conflicts.take_rather_than_fail(),
            unread=inputs.secrets,
        )
        changes = tell_missing(planned.changes)
        if not inputs.prune and (inputs.set is not None or ctx.instance != ctx.stage):
            return changes  # others have objects in the set
        used = planned.live.list_used()
        rules = PruneRules(versions=inputs.config_versions, used=used)
        return changes + find_extra(cluster, applyset, bundle.objects, rules)

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Apply every object, then wait; a workload that does not get ready is explained."""
        from gennaker_stages.kubernetes.applying.deploy import Deploy
        from gennaker_stages.kubernetes.applying.home import (
            check_namespaces,
            find_home,
            write_home,
        )
        from gennaker_stages.kubernetes.applying.hooks import HookFailed
        from gennaker_stages.kubernetes.applying.misspelt import check_kinds
        from gennaker_stages.kubernetes.inventory.release import find_release
        from gennaker_stages.kubernetes.planning.shown import check_shown

        cluster = _connect(ctx)
        cluster.serve(ctx)
        applyset = _open_set(inputs, ctx, cluster)
        try:
            bundle = _prepare(inputs, ctx, cluster, applyset, read=True)
        except BundleError as error:
            raise error.tell(ctx.log) from None
        check_kinds(cluster, inputs.rules, bundle.everything)
        check_shown(ctx.shown, bundle)
        deploy = Deploy(cluster, ctx, applyset, inputs.rules)
        release = find_release(cluster, inputs.adopt, applyset)
        deploy.look(bundle.waves, release)
        first = not applyset.exists and release is None
        hooks = _open_hooks(inputs, ctx, cluster, bundle.hooks, first=first)
        hooks.check(applyset)
        check_namespaces(cluster, bundle.everything, first=not applyset.exists)
        home = find_home(cluster, bundle.objects)
        deploy.record_before(_find_rules(inputs), home)
        write_home(cluster, ctx, home)
        try:
            outcome = self._deploy(inputs, ctx, bundle, deploy, hooks)
        except HookFailed as error:
            outcome = Failed(error.message, code=error.code)
        except StageError:
            hooks.run_failure()
            raise
        if isinstance(outcome, Failed):
            hooks.run_failure()
        return outcome

    def _deploy(
        self, inputs: Inputs, ctx: Context, bundle: Bundle, deploy: Deploy, hooks: Hooks
    ) -> Outcome:
        from gennaker_stages.kubernetes.health.explanation import make_failure

        cluster = deploy.cluster
        deploy.apply_home()
        hooks.run("before")
        workloads: list[dict[str, Any]] = []
        for wave in deploy.apply_waves():
            hooks.run("during", wave=min(map(read_wave, wave)))
            if not inputs.wait:
                continue
            result = _wait_ready(cluster, wave, inputs, ctx)
            if result.unready:
                deploy.record()
                return make_failure(cluster, result, ctx, secrets=bundle.objects)
            workloads += result.workloads
        hooks.run("during")
        deploy.record()
        rules = _find_rules(inputs)
        if rules is not None:
            deploy.prune(bundle.objects, rules)
        hooks.run("after")
        deploy.forget()
        return Succeeded(
            {
                "objects": [name_of(each) for each in bundle.objects],
                "images": _read_images(cluster, workloads),
                "bound": list_bound(bundle.everything),
            }
        )

    def undo(self, inputs: Inputs, before: Artifact, ctx: Context) -> Outcome:
        """Put back what was there, wait until it runs, and remove what the deploy made."""
        from gennaker_stages.kubernetes.health.explanation import make_failure
        from gennaker_stages.kubernetes.undoing.record import load_record
        from gennaker_stages.kubernetes.undoing.undo import Undo

        cluster = _connect(ctx)
        cluster.serve(ctx)
        undo = Undo(cluster, ctx, load_record(ctx.artifacts, before), inputs.rules)
        undo.look()
        for wave in undo.restore_waves():
            if not inputs.wait:
                continue
            result = _wait_ready(cluster, wave, inputs, ctx)
            if result.unready:
                return make_failure(cluster, result, ctx)
        undo.finish()
        return Succeeded()

    def plan_undo(self, inputs: Inputs, before: Artifact, ctx: PlanContext) -> Plan:
        """List the objects that would be put back, made anew and removed."""
        from gennaker_stages.kubernetes.undoing.planning import list_changes
        from gennaker_stages.kubernetes.undoing.record import load_record
        from gennaker_stages.kubernetes.undoing.survey import survey_objects

        record = load_record(ctx.artifacts, before)
        survey = survey_objects(_connect(ctx), record, inputs.rules)
        return Plan(changes=list_changes(survey), desired={"before": before.digest})


def _connect(ctx: PlanContext) -> Cluster:
    return connect(ctx, KubernetesDeploy.name)


def _find_namespace(ctx: PlanContext) -> str:
    settings = ctx.environment.settings if ctx.environment is not None else {}
    return KubernetesSettings.model_validate(dict(settings)).namespace


def _open_set(inputs: KubernetesDeploy.Inputs, ctx: PlanContext, cluster: Cluster) -> ApplySet:
    from gennaker_stages.kubernetes.inventory.applyset import open_set_of

    if inputs.prune and inputs.set is None and ctx.instance != ctx.stage:
        raise PermanentError(
            "the instances of a matrix would prune each other's objects",
            code="prune-matrix",
            hint="name what each of them deploys: 'set: shop-${{ matrix.part }}'",
        )
    return open_set_of(cluster, ctx, inputs.set)


def _prepare(
    inputs: KubernetesDeploy.Inputs,
    ctx: PlanContext,
    cluster: Cluster,
    applyset: ApplySet,
    *,
    read: bool = False,
) -> Bundle:
    """Return the bundle, each object saying that it belongs to the set.

    Args:
        read: whether the values of ``secrets`` are in it; only a deploy needs them.
    """
    from gennaker_stages.kubernetes.inventory.owners import refuse_claims
    from gennaker_stages.kubernetes.inventory.prune import list_members, refuse_empty

    with ctx.artifacts.open(inputs.bundle) as stream:
        content = stream.read()
    secrets = [_make_secret(name, each, read=read) for name, each in inputs.secrets.items()]
    try:
        shape = Shape(secrets, inputs.images, versions=inputs.config_versions is not None)
        bundle = prepare_bundle(content, cluster, cache=ctx.cache, shape=shape)
    except PermanentError as error:
        if error.code != "bundle-empty":
            raise
        if not inputs.allow_empty:
            if inputs.prune:
                refuse_empty(applyset, list_members(cluster, applyset))
            raise
        bundle = Bundle(())
    refuse_claims(bundle.objects)
    return bundle.replace_objects(applyset.label)


def _find_rules(inputs: KubernetesDeploy.Inputs) -> PruneRules | None:
    """Return what may be deleted; None when nothing may."""
    from gennaker_stages.kubernetes.inventory.prune import PruneRules

    if not inputs.prune and inputs.config_versions is None:
        return None
    return PruneRules(others=inputs.prune, versions=inputs.config_versions)


def _make_secret(name: str, values: Mapping[str, Secret], *, read: bool) -> Object:
    texts = {key: value.reveal() if read else str(value) for key, value in values.items()}
    data = {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()}
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "data": data}


def _open_hooks(
    inputs: KubernetesDeploy.Inputs,
    ctx: Context,
    cluster: Cluster,
    hooks: Sequence[Hook],
    *,
    first: bool,
) -> Hooks:
    from gennaker_stages.kubernetes.applying.hooks import Hooks

    return Hooks(cluster, ctx, hooks, first=first, within=inputs.ready_within)


def _wait_ready(
    cluster: Cluster, wave: Sequence[Object], inputs: KubernetesDeploy.Inputs, ctx: Context
) -> WaitResult:
    from gennaker_stages.kubernetes.health.waiting import wait_until_ready

    result = wait_until_ready(
        cluster,
        wave,
        ctx,
        within=inputs.ready_within,
        fail_early=inputs.fail_early,
    )
    ctx.check_cancelled()
    return result


def _read_images(cluster: Cluster, workloads: list[dict[str, Any]]) -> list[str]:
    from gennaker_stages.kubernetes.health.pods import collect_images, find_pods_of

    return sorted(collect_images(find_pods_of(cluster, workloads)))
