"""Deploys of 500 objects to a real control plane, beside kubectl with the same files in the same run.

Both are whole commands: ours renders a chart, keeps a journal and waits until all is ready. Built once:
the control plane of the tests (some minutes).
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from benchmarks.bundles import measure_memory
from benchmarks.measuring import Measurement
from gennaker.stage import Environment, Succeeded
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes.bundle.objects import Object
from gennaker_stages.kubernetes.bundle.preparing import prepare_bundle
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.parallel import work_in_parallel
from gennaker_stages.kubernetes.client.watching import Follower
from gennaker_stages.kubernetes.deploy_stage import KubernetesDeploy
from gennaker_stages.kubernetes.health.assessment import check_health
from gennaker_stages.kubernetes.settings import KubernetesSettings
from tests.fixtures.control_plane import ControlPlane
from tests.fixtures.go_build import CONTROL_PLANE, build_once

__all__ = ["measure"]

GENNAKER = str(Path(sys.executable).parent / "gennaker")
OBJECTS = 500
ROUNDS = 3
LARGE = 2000
PIPELINE = """\
name: bench
stages:
  render:
    uses: helm.template
    environment: bench
    with: {chart: chart}
  deploy:
    uses: kubernetes.deploy
    environment: bench
    with: {bundle: "${{ stages.render.outputs.bundle }}"}
"""
CONFIG = """\
apiVersion: v1
kind: ConfigMap
metadata: {{name: config-{0}, labels: {{app: bench, part: "{0}"}}}}
data:
  one: "{0}"
  two: |
    a longer text
    of two lines
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: service-{0}, labels: {{app: bench}}}}
spec: {{selector: {{app: "web-{0}"}}, ports: [{{name: http, port: 80, targetPort: 8080}}]}}
"""
SECRET = """\
apiVersion: v1
kind: Secret
metadata: {{name: secret-{0}}}
data: {{password: aHVudGVyMg==}}
"""
# As large as a Deployment, but nothing happens to it: kubectl waits for nothing.
CRON_JOB = """\
apiVersion: batch/v1
kind: CronJob
metadata: {{name: job-{0}, labels: {{app: "job-{0}"}}}}
spec:
  schedule: "0 3 * * *"
  suspend: true
  jobTemplate:
    spec:
      template:
        metadata: {{labels: {{app: "job-{0}"}}}}
        spec:
          restartPolicy: Never
          containers:
            - name: job
              image: r.test/job:1
              env: [{{name: A, value: b}}]
              resources: {{requests: {{cpu: 100m, memory: 64Mi}}}}
"""
WEB = b"""\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "r.test/web:1"}]}
"""
# Of ten objects: what a namespace is mostly made of.
MIX = [CONFIG] * 5 + [SERVICE] * 2 + [SECRET] * 2 + [CRON_JOB]


def measure() -> list[Measurement]:
    """Measure a first deploy, and deploys of the same again, of both in turn."""
    with tempfile.TemporaryDirectory() as name, _run_cluster(Path(name) / "cluster") as cluster:
        folder = Path(name) / "project"
        files = _write_objects(folder / "chart" / "templates")
        bundle = b"---\n".join(each.read_bytes() for each in sorted(files.iterdir()))
        theirs, ours, stages, bare = [], [], [], []
        for number in range(ROUNDS):
            theirs.append(_time_kubectl(cluster, files, f"kubectl-{number}"))
            ours.append(_time_gennaker(folder, cluster, f"bench-{number}"))
            stages.append(_time_stage(folder, cluster, bundle, f"stage-{number}"))
            bare.append(_time_requests(folder, cluster, bundle, f"bare-{number}"))
        waited = median(_time_end(folder, cluster, f"end-{number}") for number in range(5))
        cluster.run_kubectl("create", "namespace", "large")
        memory = measure_memory(cluster.kubeconfig, "large", LARGE)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    applied, again, differed = map(median, zip(*theirs, strict=True))
    first, unchanged, planned, compared = map(median, zip(*ours, strict=True))
    stage_first, stage_again, stage_plan = map(median, zip(*stages, strict=True))
    requests, served = map(median, zip(*bare, strict=True))
    # A whole command starts Python and renders a chart as well: those of deploys are the stage's.
    return [
        Measurement(f"deploy {OBJECTS} objects", first, "s", None, applied, "kubectl apply"),
        Measurement(f"deploy {OBJECTS} unchanged", unchanged, "s", None, again, "kubectl apply"),
        Measurement(
            f"plan {OBJECTS} unchanged", planned, "s", 0.2 * differed, differed, "kubectl diff"
        ),
        Measurement(f"gennaker diff of {OBJECTS}", compared, "s", None, differed, "kubectl diff"),
        Measurement("stage, first", stage_first, "s", 0.3 * applied, applied, "kubectl apply"),
        Measurement("  its requests alone", requests, "s", None, applied, "kubectl apply"),
        # No client can be quicker than this: it is all of the machine for all of the time.
        Measurement(
            f"  the servers' processor time for them, on {os.cpu_count()} cores",
            served,
            "s",
            None,
            applied,
            "kubectl apply",
        ),
        Measurement("stage, unchanged", stage_again, "s", 0.1 * again, again, "kubectl apply"),
        Measurement("stage, plan of it", stage_plan, "s", 0.2 * differed, differed, "kubectl diff"),
        Measurement("rollout done to stage done", waited, "s", 0.2),
        Measurement(f"plan {LARGE} new objects: memory", memory, "MB", 200),
        Measurement("largest process of all of these", peak, "MB"),
    ]


@contextmanager
def _run_cluster(folder: Path) -> Iterator[ControlPlane]:
    cluster = ControlPlane(build_once(CONTROL_PLANE), folder)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


def _write_objects(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for number in range(OBJECTS):
        text = MIX[number % len(MIX)].format(number)
        (folder / f"{number:03}.yaml").write_text(text)
    (folder.parent / "Chart.yaml").write_text("apiVersion: v2\nname: bench\nversion: 1.0.0\n")
    return folder


def _time_kubectl(cluster: ControlPlane, files: Path, namespace: str) -> tuple[float, ...]:
    """Return the seconds of a first apply, of the same again, and of a diff."""
    cluster.run_kubectl("create", "namespace", namespace)
    return tuple(
        _time(
            [
                str(cluster.kubectl),
                f"--kubeconfig={cluster.kubeconfig}",
                f"--cache-dir={cluster.folder / 'kubectl'}",
                f"--namespace={namespace}",
                verb,
                "--server-side",
                "-R",
                "-f",
                str(files),
            ]
        )
        for verb in ("apply", "apply", "diff")
    )


def _time_gennaker(folder: Path, cluster: ControlPlane, namespace: str) -> tuple[float, ...]:
    """Return the seconds of a first deploy, of the same again, of a plan, and of a diff."""
    settings = f"kubernetes: {{namespace: {namespace}, create_namespace: true}}"
    (folder / "gennaker.yaml").write_text(
        f"project: bench\nenvironments:\n  bench:\n    {settings}\n"
    )
    (folder / "pipelines").mkdir(exist_ok=True)
    (folder / "pipelines" / "bench.yaml").write_text(PIPELINE)
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    return tuple(
        _time([GENNAKER, verb, "bench"], folder, environment)
        for verb in ("run", "run", "plan", "diff")
    )


def _time_stage(
    folder: Path, cluster: ControlPlane, bundle: bytes, namespace: str
) -> tuple[float, ...]:
    """Return the seconds of the stage in this process, as in a worker: first, unchanged, planned."""
    found = []
    for work in (_run_stage, _run_stage, _plan_stage):
        started = time.perf_counter()
        work(folder, cluster, bundle, namespace)
        found.append(time.perf_counter() - started)
    return tuple(found)


def _run_stage(folder: Path, cluster: ControlPlane, bundle: bytes, namespace: str) -> None:
    context = _make_context(folder, cluster, namespace)
    inputs = KubernetesDeploy.Inputs(bundle=context.artifacts.put(bundle))
    done = KubernetesDeploy().run(inputs, context)
    if not isinstance(done, Succeeded):
        raise SystemExit(f"the stage did not succeed: {done}")


def _plan_stage(folder: Path, cluster: ControlPlane, bundle: bytes, namespace: str) -> None:
    context = _make_context(folder, cluster, namespace)
    inputs = KubernetesDeploy.Inputs(bundle=context.artifacts.put(bundle))
    plan = KubernetesDeploy().plan(inputs, context)
    if {each.action for each in plan.changes} != {"leave"}:
        raise SystemExit(f"the plan of what is unchanged has changes: {plan.changes}")


def _make_context(folder: Path, cluster: ControlPlane, namespace: str) -> FakeContext:
    environment = Environment("bench", "kubernetes")
    connection = _connect(folder, cluster, namespace)
    return FakeContext(
        folder / namespace, environment=environment, connection=connection, timeout=600
    )


def _connect(folder: Path, cluster: ControlPlane, namespace: str) -> Cluster:
    settings = KubernetesSettings(namespace=namespace, create_namespace=True)
    return Cluster(cluster.kubeconfig, None, settings, project=folder)


def _time_requests(
    folder: Path, cluster: ControlPlane, bundle: bytes, namespace: str
) -> tuple[float, float]:
    """Return the seconds of the stage's requests alone, and those of the servers on every core."""
    cluster.run_kubectl("create", "namespace", namespace)
    connection = _connect(folder, cluster, namespace)
    objects = prepare_bundle(bundle, connection, cache=folder / "cache").objects

    def apply(body: Object) -> None:
        connection.apply(connection.find_resource(body["apiVersion"], body["kind"]), body)

    used, started = cluster.read_processor_seconds(), time.perf_counter()
    work_in_parallel(apply, objects)
    taken = time.perf_counter() - started
    return taken, (cluster.read_processor_seconds() - used) / (os.cpu_count() or 1)


def _time_end(folder: Path, cluster: ControlPlane, namespace: str) -> float:
    """Return the seconds from when a watch of its own shows a Deployment ready to the stage's end."""
    connection = _connect(folder, cluster, namespace)
    follower = Follower(connection, connection.find_resource("apps/v1", "Deployment"), namespace)
    ready: list[float] = []

    def look() -> None:
        for kind, body in follower:
            if kind != "LISTED" and not ready and check_health(body).is_done:
                ready.append(time.perf_counter())

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    _run_stage(folder, cluster, WEB, namespace)
    ended = time.perf_counter()
    follower.stop()
    thread.join()
    return max(0.0, ended - ready[0])


def _time(
    argv: list[str], folder: Path | None = None, environment: dict[str, str] | None = None
) -> float:
    started = time.perf_counter()
    done = subprocess.run(
        argv, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(argv)} gave {done.returncode}: {done.stderr[-2000:]}")
    return time.perf_counter() - started
