"""The contract of jobs on the sandbox."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gennaker.errors import StageError
from gennaker.stage import Failed, Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.health import waiting
from gennaker_stages.kubernetes.sandbox import Sandbox
from tests.contract.jobs_contract import NEVER, JobsContract
from tests.fixtures.control_plane import LOG


@pytest.fixture(name="sandbox", scope="module")
def start_sandbox() -> Iterator[Sandbox]:
    """One sandbox for the module; every test has a namespace of its own."""
    with Sandbox() as sandbox:
        yield sandbox


class TestSandboxJobs(JobsContract):
    """What holds on the real control plane holds here."""

    @pytest.fixture(name="kubeconfig")
    def write_kubeconfig(self, sandbox: Sandbox, tmp_path: Path) -> Path:
        path = tmp_path / "kubeconfig"
        sandbox.write_kubeconfig(path)
        return path

    def test_keeps_a_job_whose_outputs_are_missing(self, context: FakeContext) -> None:
        """It has failed for who needs them, and stays to be looked at."""
        with pytest.raises(StageError, match="output-missing: output 'count' is declared but was"):
            self.run_job(context, image="r.test/work:1", outputs={"count": "integer"})
        assert len(self.list_jobs(context)) == 1

    def test_what_the_timeout_of_the_stage_cuts_short_is_told(
        self, context: FakeContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not only that the stage ran out of time: which Job, how long it had, what its Pod was doing."""
        monkeypatch.setattr(waiting, "find_time", lambda _attempt: 2.0)
        done = self.run_job(context, manifest=NEVER)
        assert isinstance(done, Failed)
        assert done.code == "job-timeout"
        told = r"Job/\S+ did not end within 2s, which the stage's timeout leaves; pod endless-\S+ "
        assert re.match(told, done.reason), done.reason
        self.await_none(context)

    def test_says_who_says_what(self, context: FakeContext) -> None:
        """Of several containers and Pods, each line has their names before it."""
        telling = replace(context, lines=[])
        annotations = {"sandbox.gennaker.dev/log": "\n".join(LOG)}
        containers = [{"name": name, "image": "r.test/work:1"} for name in ("one", "two")]
        pod = {"restartPolicy": "Never", "containers": containers}
        template = {"metadata": {"annotations": annotations}, "spec": pod}
        manifest = {"spec": {"parallelism": 2, "completions": 2, "template": template}}
        assert self.run_job(telling, manifest=manifest) == Succeeded({})
        said = [line for stream, line in telling.lines if stream == "stdout"]
        found = {each.partition(": ")[0].rpartition("/") for each in said}
        assert len(found) == 4
        assert {container for _, _, container in found} == {"one", "two"}
        for pod_name, slash, container in found:
            mine = [each for each in said if each.startswith(f"{pod_name}{slash}{container}: ")]
            assert [each.partition(": ")[2] for each in mine] == list(LOG)
