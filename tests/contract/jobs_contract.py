"""What ``kubernetes.run_job`` does on any API server: the sandbox and a real control plane."""

from __future__ import annotations

import json
import re
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from gennaker.errors import StageError
from gennaker.stage import Failed, Secret, Succeeded
from gennaker.testing import FakeContext
from gennaker.testing.context import AttemptCancelled
from gennaker_stages.kubernetes.applying.home import find_home, write_home
from gennaker_stages.kubernetes.client.connection import MERGE, Request
from gennaker_stages.kubernetes.health import waiting as waiting_module
from gennaker_stages.kubernetes.operations.job import KubernetesRunJob
from tests.contract.deploy_parts import DeployParts
from tests.fixtures.control_plane import LOG, WITH_LOGS

NEVER: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"generateName": "endless-"},
    "spec": {
        "backoffLimit": 0,
        "template": {
            "metadata": {"annotations": {"sandbox.gennaker.dev/fault": "never-ready"}},
            "spec": {
                "restartPolicy": "Never",
                "nodeSelector": {"there": "is-none"},
                "containers": [{"name": "work", "image": "r.test/work:1"}],
            },
        },
    },
}
"""A Job whose Pod does not end on any server, unless a test plays the kubelet."""


class JobsContract(DeployParts):
    """Subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    @pytest.fixture(name="context")
    def make_home(self, context: FakeContext) -> FakeContext:
        """A context whose namespace is there: most tests ask for more than the stage alone."""
        write_home(context.connection, context, find_home(context.connection, []))
        return context

    def run_job(self, context: FakeContext, **inputs: Any) -> Any:
        """The outcome of a Job."""
        return KubernetesRunJob().run(KubernetesRunJob.Inputs(**inputs), context)

    def list_live(self, context: FakeContext, api_version: str, kind: str) -> list[Any]:
        """What there is of a kind in the environment's namespace."""
        cluster = context.connection
        resource = cluster.find_resource(api_version, kind)
        found: list[Any] = cluster.list_objects(resource, cluster.settings.namespace)["items"]
        return found

    def list_jobs(self, context: FakeContext) -> list[Any]:
        """The Jobs there are."""
        return self.list_live(context, "batch/v1", "Job")

    def set_pod(self, context: FakeContext, phase: str, state: dict[str, Any]) -> None:
        """Play the kubelet: tell how the container of the one Pod is, once it is there."""
        until = time.monotonic() + 20
        while not (pods := self.list_live(context, "v1", "Pod")):
            assert time.monotonic() < until, "no Pod was made"
            time.sleep(0.05)
        cluster, metadata = context.connection, pods[0]["metadata"]
        container = {"name": "work", "image": "r.test/work:1", "imageID": "", "ready": False}
        container |= {"restartCount": 0, "state": state}
        status = {"status": {"phase": phase, "containerStatuses": [container]}}
        path = cluster.find_resource("v1", "Pod").path(metadata["namespace"], metadata["name"])
        cluster.connection.request(
            Request("PATCH", f"{path}/status", "set a Pod", (), status, MERGE, races=True)
        )

    def end_pod(self, context: FakeContext, phase: str, code: int, message: str = "") -> None:
        """Play the kubelet: end the container of the one Pod."""
        moment = "2026-01-01T00:00:00Z"
        ended = {"exitCode": code, "startedAt": moment, "finishedAt": moment}
        ended |= {"reason": "Error" if code else "Completed", "message": message}
        self.set_pod(context, phase, {"terminated": ended})

    def beside(self, work: Callable[[], Any]) -> Callable[[], Any]:
        """Start work in a thread; the returned function waits for what it gives."""
        found: list[Any] = []

        def call() -> None:
            with suppress(AttemptCancelled):
                found.append(work())

        thread = threading.Thread(target=call, daemon=True)
        thread.start()

        def wait() -> Any:
            thread.join(30)
            assert not thread.is_alive(), "it did not end"
            return found[0] if found else None

        return wait

    def test_runs_a_job_and_cleans_up(self, context: FakeContext) -> None:
        """Planned, made under a name of its own, waited for, gone; a later delivery runs nothing.

        The namespace is made as by a deploy: a migration may come before the first one.
        """
        cluster = context.connection
        name = f"{cluster.settings.namespace}-new"
        cluster.settings = cluster.settings.model_copy(update={"namespace": name})
        inputs = {"image": "r.test/migrate:1", "command": "echo done"}
        (change,) = KubernetesRunJob().plan(KubernetesRunJob.Inputs(**inputs), context).changes
        told = (change.action, change.what, change.detail)
        runs = "runs r.test/migrate:1; tried once its namespace is there"
        assert told == ("create", "Job/stage", runs)
        assert self.run_job(context, **inputs) == Succeeded({})
        assert f"created Namespace/{name}" in context.log_text
        assert self.list_jobs(context) == []
        assert any(line.startswith("created Job/stage-") for _, line in context.lines)
        again = context.redeliver()
        assert self.run_job(again, **inputs) == Succeeded({})
        assert len([line for _, line in again.lines if line.startswith("created Job")]) == 1
        (change,) = KubernetesRunJob().plan(KubernetesRunJob.Inputs(**inputs), context).changes
        assert (change.action, change.detail) == ("create", "runs r.test/migrate:1")
        assert self.list_jobs(context) == []

    def test_keeps_what_is_to_be_kept(self, context: FakeContext) -> None:
        """Told whose it is and of its run, with an end of its own; values of secrets are not in it."""
        env = {"PASSWORD": Secret("hunter22"), "USER": "shop"}
        done = self.run_job(context, image="r.test/it:1", keep="all", within="90s", env=env)
        assert done == Succeeded({})
        (job,) = self.list_jobs(context)
        name, spec = job["metadata"]["name"], job["spec"]
        assert (spec["activeDeadlineSeconds"], spec["ttlSecondsAfterFinished"]) == (150, 86400)
        assert job["metadata"]["annotations"]["gennaker.dev/attempt"] == context.key
        (container,) = spec["template"]["spec"]["containers"]
        told = {each["name"]: each.get("value") for each in container["env"]}
        assert (told["GENNAKER_KEY"], told["USER"]) == (context.key, "shop")
        assert told["GENNAKER_OUTPUT"] == "/dev/termination-log"
        reference = {"secretKeyRef": {"name": name, "key": "PASSWORD"}}
        assert {"name": "PASSWORD", "valueFrom": reference} in container["env"]
        assert "hunter22" not in str(job)
        secret = self.read(context, "v1", "Secret", name)
        assert secret["data"] == {"PASSWORD": "aHVudGVyMjI="}
        assert secret["metadata"]["ownerReferences"][0]["uid"] == job["metadata"]["uid"]

    def test_reads_outputs_from_the_termination_message(self, context: FakeContext) -> None:
        """As scripts write them to GENNAKER_OUTPUT; what is not declared is told."""
        outputs = {"count": "integer", "tag": "string"}
        wait = self.beside(lambda: self.run_job(context, manifest=NEVER, outputs=outputs))
        self.end_pod(context, "Succeeded", 0, "count=3\ntag=v1\nother=x\n")
        assert wait() == Succeeded({"count": 3, "tag": "v1"})
        assert "output 'other' is not declared under 'outputs' and was left out" in context.log_text

    def test_streams_the_log(self, context: FakeContext) -> None:
        """Each line once, masked, in the attempt's log; the last marked line gives the outputs."""
        cluster = context.connection
        cluster.settings = cluster.settings.model_copy(update={"namespace": WITH_LOGS})
        telling = replace(context, secrets=["hunter22"], lines=[])
        annotations = {"sandbox.gennaker.dev/log": "\n".join(LOG)}
        container = {"name": "work", "image": "r.test/work:1"}
        manifest = {
            "spec": {
                "template": {
                    "metadata": {"annotations": annotations},
                    "spec": {"restartPolicy": "Never", "containers": [container]},
                }
            }
        }
        done = self.run_job(telling, manifest=manifest, outputs={"count": "integer"})
        assert done == Succeeded({"count": 3})
        said = [line for stream, line in telling.lines if stream == "stdout"]
        assert said == [LOG[0].replace("hunter22", "***"), *LOG[1:]]

    def test_tells_why_a_job_failed(self, context: FakeContext) -> None:
        """Its condition, the container, its exit code and reason; the Job stays to be looked at."""
        wait = self.beside(lambda: self.run_job(context, manifest=NEVER))
        self.end_pod(context, "Failed", 3)
        done = wait()
        assert isinstance(done, Failed)
        assert done.code == "job-failed"
        (job,) = self.list_jobs(context)
        name = job["metadata"]["name"]
        assert done.reason.startswith(
            f"Job/{name} failed: Job has reached the specified backoff limit; pod {name}-"
        )
        assert "container work: ended with exit code 3 (Error)" in done.reason

    def test_fails_early_when_told_to(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """An image that cannot be pulled is not waited for, and the Job goes."""
        monkeypatch.setattr(waiting_module, "EARLY_SECONDS", 0.2)
        pulls = json.loads(json.dumps(NEVER).replace("never-ready", "image-pull-error"))
        wait = self.beside(lambda: self.run_job(context, manifest=pulls, fail_early=True))
        waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
        self.set_pod(context, "Pending", {"waiting": waiting})
        done = wait()
        assert isinstance(done, Failed)
        assert done.code == "job-failed"
        assert " does not get on: pod endless-" in done.reason
        assert re.search(r"container work: (ErrImagePull|ImagePullBackOff): ", done.reason)
        self.await_none(context)

    def test_gives_up_in_time(self, context: FakeContext) -> None:
        """A Job that does not end within its time is deleted with its Pods."""
        done = self.run_job(context, manifest=NEVER, within="1s")
        assert isinstance(done, Failed)
        assert done.code == "job-timeout"
        assert "did not end within 1s" in done.reason
        self.await_none(context)
        assert ", which had not ended, and its Pods" in context.log_text

    def test_is_deleted_with_the_attempt(self, context: FakeContext) -> None:
        """A stage that is told to stop leaves neither Job nor Pods."""
        wait = self.beside(lambda: self.run_job(context, manifest=NEVER))
        self.await_job(context)
        context.cancel()
        assert wait() is None
        self.await_none(context)

    def test_is_found_again(self, context: FakeContext) -> None:
        """When the process dies or is parked, the next delivery goes on with the same Job."""
        wait = self.beside(lambda: self.run_job(context, manifest=NEVER))
        before = self.await_job(context)
        context.park()
        assert wait() is None
        (job,) = self.list_jobs(context)
        assert job["metadata"]["uid"] == before["metadata"]["uid"]
        # The worst moment to die: it was made, and nobody could say so.
        again = replace(context, steps={}, lines=[], delivery=2)
        wait = self.beside(lambda: self.run_job(again, manifest=NEVER))
        self.end_pod(again, "Succeeded", 0)
        assert wait() == Succeeded({})
        assert f"found Job/{job['metadata']['name']} again" in again.log_text
        assert self.list_jobs(context) == []

    def test_does_not_run_beside_an_earlier_attempt(self, context: FakeContext) -> None:
        """What an attempt left running, because nobody could end it, ends before the next begins."""
        wait = self.beside(lambda: self.run_job(context, manifest=NEVER))
        before = self.await_job(context)
        context.park()
        wait()
        other = replace(context, steps={}, lines=[], attempt=2)
        assert self.run_job(other, image="r.test/work:2", keep="all") == Succeeded({})
        (job,) = self.list_jobs(context)
        assert job["metadata"]["name"] != before["metadata"]["name"]
        told = f"deleted Job/{before['metadata']['name']} of an earlier attempt, which still ran"
        assert told in other.log_text

    def test_says_that_it_was_deleted(self, context: FakeContext) -> None:
        """By somebody else, while it is waited for or between two deliveries: it is not run again."""
        wait = self.beside(lambda: self.run_job(context, manifest=NEVER))
        job = self.await_job(context)
        context.park()
        wait()
        cluster = context.connection
        place = (cluster.find_resource("batch/v1", "Job"), cluster.settings.namespace)
        cluster.delete(*place, job["metadata"]["name"])
        with pytest.raises(StageError) as caught:
            self.run_job(context.redeliver(), manifest=NEVER)
        assert caught.value.code == "object-deleted"
        assert caught.value.message == (
            f"Job/{job['metadata']['name']} was deleted before it was seen to end"
        )

    def test_refuses_what_is_no_job(self, context: FakeContext) -> None:
        """And what is misspelt in one, before anything is made; images are put in."""
        config = b"{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}"
        with pytest.raises(StageError) as caught:
            self.run_job(context, bundle=context.artifacts.put(config))
        assert caught.value.code == "operation-kind"
        assert caught.value.message == "there is to be one Job, not ConfigMap/a"
        wrong = {**NEVER, "spec": {**NEVER["spec"], "backofLimit": 1}}
        with pytest.raises(StageError, match="did you mean 'backoffLimit'"):
            self.run_job(context, manifest=wrong)
        images = {"r.test/work": "r.test/work@sha256:" + "a" * 64}
        plan = KubernetesRunJob().plan(
            KubernetesRunJob.Inputs(manifest=NEVER, images=images), context
        )
        (container,) = plan.desired["job"]["spec"]["template"]["spec"]["containers"]
        assert container["image"] == images["r.test/work"]
        assert self.list_jobs(context) == []

    def await_job(self, context: FakeContext) -> Any:
        """The one Job, once its Pod is there and the stage has said that it made it."""
        until = time.monotonic() + 20
        while "created Job/" not in context.log_text or not self.list_live(context, "v1", "Pod"):
            assert time.monotonic() < until, "no Job was made"
            time.sleep(0.05)
        (job,) = self.list_jobs(context)
        return job

    def await_none(self, context: FakeContext) -> None:
        """Wait until neither Job nor Pod is left: what is deleted with its Pods goes when they have."""
        until = time.monotonic() + 20
        while self.list_jobs(context) or self.list_live(context, "v1", "Pod"):
            assert time.monotonic() < until, "the Job or its Pods are still there"
            time.sleep(0.05)
