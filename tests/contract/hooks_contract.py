"""Hooks of Argo CD and Helm on any API server: the sandbox and a real control plane."""

from __future__ import annotations

import re
from typing import Any

import pytest

from gennaker.errors import PermanentError
from gennaker.stage import Failed, Succeeded
from gennaker.testing import FakeContext
from tests.contract.deploy_parts import DeployParts

MAIN = "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: main}, data: {a: '1'}}\n"
JOB = """\
---
apiVersion: batch/v1
kind: Job
metadata:
  name: {name}
  annotations: {{{annotations}}}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: work, image: "r.test/work:1"}}]
"""
NEVER = """\
  activeDeadlineSeconds: 1
  template:
    metadata: {annotations: {sandbox.gennaker.dev/fault: never-ready}}
    spec:
      nodeSelector: {there: is-none}
"""


def job(name: str, hook: str, policy: str = "", *, tool: str = "helm.sh", **more: str) -> str:
    """A Job that is a hook, as a document of a bundle."""
    annotations = {f"{tool}/hook": hook, **{f"helm.sh/{key}": more[key] for key in more}}
    if policy:
        annotations[f"{tool}/hook-delete-policy"] = policy
    told = ", ".join(f"{key}: '{value}'" for key, value in annotations.items())
    return JOB.format(name=name, annotations=told)


def argo(name: str, hook: str, policy: str = "") -> str:
    """A Job that is a hook of Argo CD's."""
    return job(name, hook, policy, tool="argocd.argoproj.io")


def fail(document: str) -> str:
    """The same Job, which fails after a second on every server."""
    return document.replace("  template:\n    spec:\n", NEVER)


class HooksContract(DeployParts):
    """Subclass it with a fixture ``kubeconfig`` that gives the path of one."""

    def find_job(self, context: FakeContext, name: str) -> Any:
        """The live Job of this name."""
        return self.read(context, "batch/v1", "Job", name)

    def find_events(self, context: FakeContext) -> list[str]:
        """What was done, in order: hooks, objects and prunes."""
        return [
            line.partition(" (")[0]
            for _, line in context.lines
            if line.startswith(("hook ", "applied ", "pruned "))
        ]

    def test_hooks_run_in_their_phases(self, context: FakeContext) -> None:
        """Before, with, and after the deploy, by weight; the first deploy is told from later ones."""
        bundle = (
            MAIN
            + job("late", "post-install,post-upgrade")
            + job("first", "pre-install")
            + job("second", "pre-install,pre-upgrade", **{"hook-weight": "5"})
            + job("later", "pre-upgrade")
            + argo("sync", "Sync")
            + argo("skipped", "Skip")
            + job("check", "test")
        )
        planned = self.plan(context, bundle, prune=True)
        assert planned["Job/first"] == ("run", "hook pre-install: before the deploy")
        assert planned["Job/later"] == ("leave", "hook pre-upgrade: not in the first deploy")
        assert planned["Job/sync"] == ("run", "hook Sync: with its wave")
        assert planned["Job/check"] == ("leave", "hook test: a deploy does not run it")
        assert planned["Job/skipped"][0] == "leave"
        done = self.deploy(context, bundle, prune=True)
        assert isinstance(done, Succeeded), done
        assert done.outputs["objects"] == ["ConfigMap/main"]
        both = [f"{part} Job/{{}}{end}" for part, end in (("hook", ""), ("hook", " has succeeded"))]
        order = ["first", "second", "applied ConfigMap/main", "sync", "late"]
        assert self.find_events(context) == [
            line.format(each)
            for each in order
            for line in (both if not each.startswith("applied") else [each])
        ]
        again = context.redeliver()
        again.steps.clear()
        planned = self.plan(context, bundle, prune=True)
        assert planned["Job/first"] == ("leave", "hook pre-install: in the first deploy only")
        assert planned["Job/later"] == ("run", "hook pre-upgrade: before the deploy")
        assert not [name for name, (action, _) in planned.items() if action == "prune"]

    def test_a_hook_does_not_take_what_others_have(self, context: FakeContext) -> None:
        """The plan and the run refuse it, before anything is applied."""
        hook = "{helm.sh/hook: pre-install}"
        shared = (
            "---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: theirs}, data: {a: '1'}}\n"
        )
        claiming = shared.replace("theirs}", f"theirs, annotations: {hook}}}")
        self.deploy(context, shared, set="first")
        action, told = self.plan(context, MAIN + claiming, set="second")["ConfigMap/theirs"]
        assert (action, told.partition(" (")[0]) == (
            "refuse",
            "other-owner: it belongs to set 'first'",
        )
        with pytest.raises(
            PermanentError, match=r"other-owner: .*ConfigMap/theirs belongs to set "
        ):
            self.redeploy(context, MAIN + claiming, set="second")
        assert self.read(context, "v1", "ConfigMap", "main") is None

    def test_a_hook_that_would_be_refused_is_told_in_the_plan(self, context: FakeContext) -> None:
        """Hooks are tried as far as they can be; in a namespace that is to be made they cannot."""
        wrong = argo("wrong", "PostSync").replace("restartPolicy: Never", "restartPolicy: Always")
        bundle = MAIN + argo("right", "PreSync") + wrong
        assert self.plan(context, bundle)["Job/wrong"] == ("run", "hook PostSync: after the deploy")
        self.deploy(context, MAIN)
        planned = self.plan(context, bundle)
        assert planned["Job/right"] == ("run", "hook PreSync: before the deploy")
        action, told = planned["Job/wrong"]
        assert action == "refuse"
        assert "spec.template.spec.restartPolicy" in told
        later = wrong.replace("PostSync", "Skip")
        assert self.plan(context, MAIN + later)["Job/wrong"][0] == "leave"

    def test_hooks_are_deleted_as_they_say(self, context: FakeContext) -> None:
        """Before the next one is made unless told otherwise; when it has succeeded; never else."""
        bundle = MAIN + argo("kept", "PreSync") + argo("gone", "PostSync", "HookSucceeded")
        bundle += """\
---
apiVersion: v1
kind: ConfigMap
metadata: {name: values, annotations: {helm.sh/hook: pre-install, helm.sh/hook-delete-policy: hook-succeeded}}
"""
        self.deploy(context, bundle)
        before = self.find_job(context, "kept")
        assert "labels" not in before["metadata"] or not [
            each for each in before["metadata"]["labels"] if each.startswith("applyset")
        ]
        assert self.find_job(context, "gone") is None
        assert self.read(context, "v1", "ConfigMap", "values") is None
        again = context.redeliver()  # the same attempt: nothing runs twice
        assert isinstance(self.deploy(again, bundle), Succeeded)
        assert self.find_job(context, "kept")["metadata"]["uid"] == before["metadata"]["uid"]
        other = FakeContext(
            context.root / "other",
            environment=context.environment,
            connection=context.connection,
            attempt=2,
        )
        self.deploy(other, bundle)
        after = self.find_job(context, "kept")
        assert after["metadata"]["uid"] != before["metadata"]["uid"]

    def test_hooks_may_leave_their_name_to_their_content(self, context: FakeContext) -> None:
        """`generateName`, as Argo CD has it: planned by name, run in each deploy, made once in an attempt."""
        hook = argo("x", "PreSync").replace("  name: x", "  generateName: seed-")
        (name,) = [each for each in self.plan(context, MAIN + hook) if each.startswith("Job/")]
        assert isinstance(self.deploy(context, MAIN + hook), Succeeded)
        before = self.find_job(context, name.removeprefix("Job/"))
        assert isinstance(self.deploy(context.redeliver(), MAIN + hook), Succeeded)
        after = self.find_job(context, name.removeprefix("Job/"))
        assert after["metadata"]["uid"] == before["metadata"]["uid"]

    def test_a_failed_hook_fails_the_deploy(self, context: FakeContext) -> None:
        """Nothing after it is applied, the failure's hooks run, and the next deploy is the first still."""
        bundle = (
            MAIN
            + fail(job("migrate", "pre-install", "hook-failed"))
            + argo("mourn", "SyncFail")
            + argo("celebrate", "PostSync")
        )
        done = self.deploy(context, bundle)
        assert isinstance(done, Failed)
        assert done.code == "hook-failed"
        assert done.reason.startswith(
            "hook Job/migrate (pre-install) failed: Job was active longer than specified deadline"
        )
        assert self.read(context, "v1", "ConfigMap", "main") is None
        assert self.find_job(context, "migrate") is None
        assert self.find_job(context, "mourn") is not None
        assert self.find_job(context, "celebrate") is None
        planned = self.plan(context, bundle)
        assert planned["Job/migrate"] == ("run", "hook pre-install: before the deploy")

    def test_a_hook_that_does_not_end_is_given_up(self, context: FakeContext) -> None:
        """It has the time that a wave has, and is named, with what its Pods suffer from."""
        endless = fail(argo("endless", "PreSync")).replace(
            "activeDeadlineSeconds: 1", "parallelism: 1"
        )
        endless += argo("mourn", "SyncFail")
        done = self.deploy(context, MAIN + endless, ready_within="1s")
        assert isinstance(done, Failed)  # as what does not get ready has
        assert done.code == "hook-timeout"
        told = r"Job/endless did not end within 1s; pod endless-\w+[:,] .*; event of Pod"
        assert re.match(told, done.reason)
        assert self.find_job(context, "mourn") is not None

    def test_a_misspelt_hook_is_told(self, context: FakeContext) -> None:
        """Neither is it applied as an ordinary object, nor forgotten."""
        with pytest.raises(
            PermanentError,
            match=r"bundle-hook: Job/a: annotation 'argocd.argoproj.io/hook' has the unknown hook "
            r"'Presync'; did you mean 'PreSync'\?",
        ):
            self.plan(context, argo("a", "Presync"))
