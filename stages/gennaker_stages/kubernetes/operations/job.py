"""``kubernetes.run_job``: a Job is made, listened to until it has ended, and cleaned away."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from gennaker.durations import normalize_duration, parse_duration
from gennaker.errors import StageError
from gennaker.script import (
    DeclaredOutputs,
    EnvValues,
    declare_script_outputs,
    find_script_effect,
    read_output_text,
)
from gennaker.stage import (
    Artifact,
    Change,
    Context,
    Effect,
    Failed,
    Outcome,
    OutputType,
    Plan,
    PlanContext,
    StageInputs,
    Succeeded,
)
from gennaker_stages.kubernetes.bundle.objects import name_of
from gennaker_stages.kubernetes.connecting import connect
from gennaker_stages.kubernetes.operations.base import OPERATOR, Operation
from gennaker_stages.kubernetes.operations.job_body import (
    ATTEMPT,
    OWNER_LABEL,
    describe_secret,
    finish_job,
    name_owner,
    prepare_job,
)
from gennaker_stages.kubernetes.operations.looks import list_images

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.client.cluster import Cluster, Resource
    from gennaker_stages.kubernetes.operations.job_log import JobLog

__all__ = ["KubernetesRunJob"]

Object = dict[str, Any]


class KubernetesRunJob(Operation):
    """Run a Job in the cluster, listen to it until it has ended, and clean it away.

    Its containers see GENNAKER_RUN, _STAGE, _ATTEMPT, _KEY and _OUTPUT. A Job that fails fails the
    stage; one that is given up is deleted with its Pods.
    """

    name = "kubernetes.run_job"
    scripts = frozenset({"command"})

    class Inputs(StageInputs):
        """The Job, what is kept of it, and how long."""

        image: str | None = Field(
            default=None,
            description="Image of a Job with one container; or 'manifest', or 'bundle'",
        )
        command: str | tuple[str, ...] | None = Field(
            default=None,
            description="With 'image': a script for /bin/sh -e, or a list of arguments; the image's own "
            "unless given",
        )
        env: EnvValues = Field(
            default_factory=dict,
            description="With 'image': environment variables; secrets are in a Secret that goes with it",
        )
        annotations: dict[str, str] = Field(
            default_factory=dict,
            description="With 'image': annotations of its Pods, {sidecar.istio.io/inject: 'false'} say",
        )
        manifest: dict[str, Any] | None = Field(
            default=None,
            description="The Job as in a file; apiVersion, kind and name may be left out",
        )
        bundle: Artifact | None = Field(default=None, description="One Job, from a rendering stage")
        images: dict[str, str] = Field(
            default_factory=dict,
            description="Images that were built, put into its containers: name without tag, then "
            "reference",
        )
        outputs: DeclaredOutputs = Field(
            default_factory=dict,
            description="What it writes to the file GENNAKER_OUTPUT (4096 bytes), or in a line "
            "GENNAKER_OUTPUT={…} of its log: name to type, or names",
        )
        within: Annotated[str, BeforeValidator(normalize_duration)] = Field(
            default="1h", description="How long it may take"
        )
        fail_early: bool = Field(
            default=False,
            description="Whether an image that cannot be pulled, a crash loop and the like fail the "
            "stage after 15 seconds instead of being waited for",
        )
        keep: Literal["failed", "all", "none"] = Field(
            default="failed", description="Which Jobs stay when they have ended, to be looked at"
        )
        keep_for: Annotated[str, BeforeValidator(normalize_duration)] = Field(
            default="1d", description="How long they stay; then the cluster deletes them"
        )
        effect: Literal["none", "deploy"] | None = Field(
            default=None, description="What it does; deploy unless said otherwise"
        )

        @model_validator(mode="after")
        def _check_one(self) -> Self:
            given = [self.image, self.manifest, self.bundle]
            if sum(each is not None for each in given) != 1:
                raise ValueError("give one of 'image', 'manifest' and 'bundle'")
            if self.image is None and (self.command is not None or self.env or self.annotations):
                raise ValueError(
                    "'command', 'env' and 'annotations' go with 'image'; a manifest has its own"
                )
            return self

        @property
        def seconds(self) -> int:
            """How long it may take."""
            return math.ceil(parse_duration(self.within))

        @property
        def kept_seconds(self) -> int:
            """How long it stays."""
            return math.ceil(parse_duration(self.keep_for))

    @classmethod
    def find_effect(cls, inputs: Mapping[str, Any], environment: bool) -> Effect:
        """``deploy`` when the stage has an environment, unless ``effect`` says otherwise."""
        return find_script_effect(inputs, environment)

    @classmethod
    def declare_outputs(cls, inputs: Mapping[str, Any]) -> Mapping[str, OutputType]:
        """The declared outputs."""
        return declare_script_outputs({"outputs": inputs.get("outputs")})

    def plan(self, inputs: Inputs, ctx: PlanContext) -> Plan:
        """Show the Job that would be made, tried by a dry run."""
        cluster = connect(ctx)
        wanted = prepare_job(inputs, ctx, cluster)
        return Plan(changes=[_plan_job(cluster, wanted)], desired={"job": wanted})

    def run(self, inputs: Inputs, ctx: Context) -> Outcome:
        """Make the Job unless this attempt made it, follow it to its end, and clean up.

        Raises:
            StageError: code ``object-deleted``, or an output's code.
        """
        from gennaker_stages.kubernetes.bundle.checking import BundleError

        cluster = connect(ctx)
        cluster.serve(ctx)
        try:
            wanted = prepare_job(inputs, ctx, cluster)
        except BundleError as error:
            raise error.tell(ctx.log) from None
        job = _Job(cluster, ctx, inputs, finish_job(wanted, inputs, ctx))
        over = False
        try:
            job.make()
            ended = job.follow()
            over = bool(ended["over"])
        finally:
            # Not when the attempt goes on elsewhere: it finds the Job again.
            if not over and not ctx.parked:
                job.give_up()
        failed = True
        try:
            if ended["fault"] is not None:
                return Failed(ended["fault"], code=ended["code"])
            outputs, extra = read_output_text(ended["output"], inputs.outputs)
            failed = False
        finally:
            if inputs.keep == "none" or (inputs.keep == "failed" and not failed):
                job.remove()
        for name in extra:
            ctx.log(f"output {name!r} is not declared under 'outputs' and was left out")
        return Succeeded(outputs)


class _Job:
    """One Job on its way.

    Args:
        cluster: where.
        ctx: the attempt.
        inputs: of the stage.
        body: as it is made.
    """

    def __init__(
        self, cluster: Cluster, ctx: Context, inputs: KubernetesRunJob.Inputs, body: Object
    ) -> None:
        self._cluster = cluster
        self._ctx = ctx
        self._inputs = inputs
        self._body = body
        self._namespace, self._name = body["metadata"]["namespace"], body["metadata"]["name"]
        self._what = f"Job/{self._name}"
        self._uid: str | None = None
        # Whether there may be one: an earlier delivery may not have come to say so.
        self._made = ctx.delivery > 1

    @property
    def _kind(self) -> Resource:
        return self._cluster.find_resource(self._body["apiVersion"], "Job")

    def make(self) -> None:
        """Make it, once for all deliveries of the attempt, when no other of the stage runs any more."""
        from gennaker_stages.kubernetes.applying.home import find_home, write_home

        write_home(self._cluster, self._ctx, find_home(self._cluster, [self._body]))
        self._uid = self._ctx.step(f"create {self._what}", self._create)

    def follow(self) -> dict[str, Any]:
        """Return how it ended: ``fault`` and ``code`` (None when well), ``output``, and ``over``.

        ``output`` is the text that gives its outputs, ``over`` whether it has ended by itself.
        """
        found: dict[str, Any] = self._ctx.step(f"{self._what} ended", self._follow)
        return found

    def give_up(self) -> None:
        """Delete it with its Pods; when that cannot be, it is told when it ends by itself."""
        if not self._made:
            return
        try:
            there = self._delete("Foreground")
        except StageError as error:
            seconds = self._body["spec"]["activeDeadlineSeconds"]
            self._ctx.log(f"{self._what} ends after {seconds} s by itself: {error.message}")
        else:
            if there:
                self._ctx.log(f"deleted {self._what}, which had not ended, and its Pods")

    def remove(self) -> None:
        """Delete what has ended; the cluster does it later where that cannot be done now."""
        try:
            self._delete("Background")
        except StageError as error:
            self._ctx.log(f"{self._what} stays for {self._inputs.keep_for}: {error.message}")

    def _delete(self, propagation: str) -> bool:
        return self._cluster.delete(
            self._kind, self._namespace, self._name, uid=self._uid, propagation=propagation
        )

    def _create(self, _key: str) -> str:
        from gennaker_stages.kubernetes.client.problems import has_status

        self._end_others()
        self._made = True
        try:
            live = _post(self._cluster, self._kind, self._body)
            self._ctx.log(f"created {self._what}")
        except StageError as error:
            found = self._cluster.read(self._kind, self._namespace, self._name)
            if not has_status(error, 409) or found is None or not self._is_ours(found):
                raise
            live = found  # made by a delivery that did not come to say so
            self._ctx.log(f"found {self._what} again")
        secret = describe_secret(self._inputs, live)
        if secret is not None:
            self._cluster.apply(self._cluster.find_resource("v1", "Secret"), secret)
        return str(live["metadata"]["uid"])

    def _end_others(self) -> None:
        """End the Jobs of earlier attempts that still run: two at a time would do the work twice."""
        from gennaker_stages.kubernetes.applying.completion import find_end
        from gennaker_stages.kubernetes.inventory.prune import wait_until_gone

        labels = f"{OWNER_LABEL}={name_owner(self._ctx)}"
        items = self._cluster.list_objects(self._kind, self._namespace, labels=labels)["items"]
        left = [self._kind.complete(each) for each in items if not self._is_ours(each)]
        left = [each for each in left if find_end(each) is None]
        for each in left:
            self._ctx.log(f"deleted {name_of(each)} of an earlier attempt, which still ran")
            self._cluster.delete_object(each, propagation="Foreground")
        wait_until_gone(self._cluster, left, self._ctx)
        self._ctx.check_cancelled()

    def _is_ours(self, live: Object) -> bool:
        annotations = live["metadata"].get("annotations") or {}
        return bool(annotations.get(ATTEMPT) == self._ctx.key)

    def _follow(self, _key: str) -> dict[str, Any]:
        from gennaker_stages.kubernetes.applying.completion import wait_until_ended
        from gennaker_stages.kubernetes.operations.job_log import JobLog

        found = self._cluster.read(self._kind, self._namespace, self._name)
        if found is None or found["metadata"]["uid"] != self._uid:
            raise StageError(
                f"{self._what} was deleted before it was seen to end",
                code="object-deleted",
                hint="find out who deleted it; whether its work was done is not known",
            )
        live = self._kind.complete(found)
        try:
            with JobLog(self._cluster, self._ctx, live) as log:
                (ended,) = wait_until_ended(
                    self._cluster,
                    [live],
                    within=self._inputs.within,
                    ctx=self._ctx,
                    code="job-timeout",
                    look=partial(self._look, log),
                )
        except StageError as error:
            if error.code not in ("job-timeout", _Stuck.code):
                raise
            return self._fail(live, log, error.message, code=error.code, over=False)
        self._ctx.check_cancelled()
        if ended.fault is not None:
            told = f"{self._what} failed: {ended.fault}"
            return self._fail(ended.body, log, told, code="job-failed", over=True)
        output = log.find_output() if self._inputs.outputs else ""
        return {"fault": None, "code": None, "output": output, "over": True}

    def _look(self, log: JobLog) -> None:
        from gennaker_stages.kubernetes.health.waiting import EARLY_SECONDS

        trouble = log.find_trouble(EARLY_SECONDS) if self._inputs.fail_early else ""
        if trouble:
            raise _Stuck(f"{self._what} does not get on: {trouble}")

    def _fail(
        self, live: Object, log: JobLog, told: str, *, code: str, over: bool
    ) -> dict[str, Any]:
        """Return how it failed: the reasons of its Pods, exit codes, last lines and events."""
        from gennaker_stages.kubernetes.health.explanation import EXPLAIN_SECONDS, Explainer

        seconds = min(EXPLAIN_SECONDS, self._ctx.remaining)
        (reasons,) = Explainer(self._cluster).explain_all([live], seconds=seconds)
        last = log.last_lines
        if last and not any("last log lines" in each for each in reasons):
            reasons.append(f"last log lines: {' ⏎ '.join(last)}")
        fault = self._ctx.mask("; ".join(dict.fromkeys([told, *reasons])))
        return {"fault": fault, "code": code, "output": "", "over": over}


class _Stuck(StageError):
    """The Pods of a Job do not get on, and the stage is not to wait any longer."""

    code = "job-failed"


def _post(
    cluster: Cluster, resource: Resource, body: Object, *, dry_run: bool = False
) -> dict[str, Any]:
    """Make an object that is not there yet."""
    from gennaker_stages.kubernetes.client.connection import Request

    query = [("fieldManager", OPERATOR), *([("dryRun", "All")] if dry_run else [])]
    metadata = body["metadata"]
    what = f"create Job/{metadata.get('name') or metadata['generateName']}"
    return cluster.connection.request(
        Request("POST", resource.path(metadata["namespace"]), what, query, body)
    )


def _plan_job(cluster: Cluster, wanted: Object) -> Change:
    from gennaker_stages.kubernetes.planning.difference import find_differences
    from gennaker_stages.kubernetes.planning.refusal import explain_refusal

    name = name_of(wanted)
    metadata = {key: each for key, each in wanted["metadata"].items() if key != "name"}
    metadata["generateName"] = f"{wanted['metadata']['name']}-"
    resource = cluster.find_resource(wanted["apiVersion"], "Job")
    detail = f"runs {', '.join(list_images(wanted))}"
    try:
        _post(cluster, resource, {**wanted, "metadata": metadata}, dry_run=True)
    except StageError as error:
        if error.code != "namespace-missing" or not cluster.settings.create_namespace:
            return explain_refusal(error, wanted, None)
        detail += "; tried once its namespace is there"
    return Change("create", name, detail, find_differences(None, wanted))
