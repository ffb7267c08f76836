"""The real kubectl against the sandbox: one test for each command that people type."""

from __future__ import annotations

import json
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gennaker_stages.kubernetes.sandbox import Sandbox
from tests.fixtures.cluster_client import ClusterClient
from tests.fixtures.cluster_scenarios import DEFINITION, DEFINITIONS, config_map, deployment

pytestmark = pytest.mark.real("kubectl_binary")


class Kubectl:
    """kubectl in a namespace of its own."""

    def __init__(self, program: Path, folder: Path) -> None:
        self.namespace = f"kubectl-{uuid.uuid4().hex[:8]}"
        self.client = ClusterClient(folder / "kubeconfig")
        body = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.namespace}}
        self.client.call("POST", "/api/v1/namespaces", body)
        self.command = [
            str(program),
            f"--kubeconfig={folder / 'kubeconfig'}",
            f"--cache-dir={folder / 'cache'}",
            f"--namespace={self.namespace}",
        ]

    def run(self, *words: str, manifest: Any = None) -> tuple[int, str, str]:
        """Return exit code, stdout and stderr; ``manifest`` is its stdin, as JSON."""
        done = subprocess.run(
            [*self.command, *words],
            input="" if manifest is None else json.dumps(manifest),
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.returncode, done.stdout, done.stderr

    def tell(self, *words: str, manifest: Any = None) -> str:
        """Return stdout; any failure fails the test."""
        code, out, err = self.run(*words, manifest=manifest)
        assert code == 0, err
        return out


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where the kubeconfig of the module's sandbox is."""
    path = tmp_path_factory.mktemp("kubectl")
    with Sandbox() as sandbox:
        sandbox.write_kubeconfig(path / "kubeconfig")
        yield path


@pytest.fixture
def kubectl(kubectl_binary: Path, folder: Path) -> Iterator[Kubectl]:
    """The command, in a fresh namespace."""
    found = Kubectl(kubectl_binary, folder)
    yield found
    found.client.close()


@pytest.fixture
def rolled_out(kubectl: Kubectl) -> Kubectl:
    """The command, with a Deployment ``web`` of two pods that are ready."""
    kubectl.tell("apply", "--server-side", "-f", "-", manifest=deployment("web:1", 2))
    kubectl.tell("rollout", "status", "deployment/web", "--timeout=60s")
    return kubectl


def test_real_sandbox_kubectl_applies_on_the_servers_side(kubectl: Kubectl) -> None:
    """Twice the same is nothing new; another manager's field is a conflict, unless forced."""
    words = ("apply", "--server-side", "-f", "-")
    first = kubectl.tell(*words, manifest=config_map(a="1"))
    again = kubectl.tell(*words, manifest=config_map(a="1"))
    version = kubectl.tell("get", "configmap", "c", "-o", "jsonpath={.metadata.resourceVersion}")
    code, _, err = kubectl.run(*words, "--field-manager=other", manifest=config_map(a="2"))
    forced = kubectl.tell(
        *words, "--field-manager=other", "--force-conflicts", manifest=config_map(a="2")
    )
    assert first == again == forced == "configmap/c serverside-applied\n"
    assert (code, version.isdigit()) == (1, True)
    assert 'Apply failed with 1 conflict: conflict with "kubectl": .data.a' in err


def test_real_sandbox_kubectl_gets_tables(rolled_out: Kubectl) -> None:
    """The columns are those of the kind; JSON path and names work as well."""
    deployments = rolled_out.tell("get", "deployments").split()
    pods = rolled_out.tell("get", "pods").splitlines()
    assert deployments[:5] == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert deployments[5:9] == ["web", "2/2", "2", "2"]
    assert pods[0].split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    assert [each.split()[1:4] for each in pods[1:]] == [["1/1", "Running", "0"]] * 2
    assert rolled_out.tell("get", "deployment", "-o", "name") == "deployment.apps/web\n"


def test_real_sandbox_kubectl_watches(kubectl: Kubectl) -> None:
    """``get -w`` tells what is there, and each change as it comes."""
    kubectl.tell("create", "-f", "-", manifest=config_map(a="1"))
    words = [*kubectl.command, "get", "configmaps", "-w", "--output-watch-events"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as watching:
        try:
            assert watching.stdout is not None
            read = watching.stdout.readline
            seen = [read().split()[0], read().split()[:2]]
            kubectl.tell("annotate", "configmap", "c", "x=y")
            seen.append(read().split()[:2])
            kubectl.tell("delete", "configmap", "c")
            seen.append(read().split()[:2])
        finally:
            watching.kill()
    assert seen == ["EVENT", ["ADDED", "c"], ["MODIFIED", "c"], ["DELETED", "c"]]


def test_real_sandbox_kubectl_follows_a_rollout(rolled_out: Kubectl) -> None:
    """``rollout status`` waits for new pods; ``history``, ``undo`` and ``restart`` go with it."""
    rolled_out.tell("set", "image", "deployment/web", "web=web:2")
    told = rolled_out.tell("rollout", "status", "deployment/web", "--timeout=60s")
    history = rolled_out.tell("rollout", "history", "deployment/web").splitlines()
    undone = rolled_out.tell("rollout", "undo", "deployment/web")
    path = "jsonpath={.spec.template.spec.containers[0].image}"
    assert told.endswith('deployment "web" successfully rolled out\n')
    assert [line.split()[0] for line in history if line[:1].isdigit()] == ["1", "2"]
    assert undone == "deployment.apps/web rolled back\n"
    assert rolled_out.tell("get", "deployment", "web", "-o", path) == "web:1"
    assert rolled_out.tell("rollout", "restart", "deployment/web").endswith("restarted\n")


def test_real_sandbox_kubectl_shows_differences(kubectl: Kubectl) -> None:
    """``diff --server-side``: exit code 1 and the lines that would change, 0 when none would."""
    kubectl.tell("apply", "--server-side", "-f", "-", manifest=config_map(a="1"))
    words = ("diff", "--server-side", "-f", "-")
    same, nothing, _ = kubectl.run(*words, manifest=config_map(a="1"))
    code, out, _ = kubectl.run(*words, manifest=config_map(a="2"))
    changed = [line for line in out.splitlines() if line[:3] in ("-  ", "+  ")]
    assert (same, nothing, code) == (0, "", 1)
    assert changed == ['-  a: "1"', '+  a: "2"']
    assert kubectl.tell("get", "configmap", "c", "-o", "jsonpath={.data.a}") == "1"


def test_real_sandbox_kubectl_explains(kubectl: Kubectl) -> None:
    """Fields and types of built-in kinds; of a custom kind its descriptions too."""
    told = kubectl.tell("explain", "deployment.spec.strategy")
    described = json.loads(json.dumps(DEFINITION))
    schema = described["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema["properties"]["spec"]["description"] = "What the thing shall be."
    schema["properties"]["spec"]["properties"]["size"]["description"] = "How large it is."
    kubectl.client.call("POST", DEFINITIONS, described)
    kubectl.tell("wait", "--for=condition=Established", "crd/things.contract.gennaker.dev")
    custom = kubectl.tell("explain", "thing.spec")
    assert "FIELD: strategy <DeploymentStrategy>" in told
    assert "rollingUpdate\t<RollingUpdateDeployment>" in told
    assert "What the thing shall be." in custom
    assert "How large it is." in custom


def test_real_sandbox_kubectl_waits(rolled_out: Kubectl) -> None:
    """``wait`` for a condition, for a value and for the end; in vain it fails in time."""
    words = ("wait", "deployment/web", "--timeout=30s")
    condition = rolled_out.tell(*words, "--for=condition=Available")
    value = rolled_out.tell(*words, "--for=jsonpath={.status.readyReplicas}=2")
    code, _, err = rolled_out.run(
        "wait", "deployment/web", "--timeout=1s", "--for=condition=Nonsense"
    )
    rolled_out.tell("delete", "deployment", "web", "--wait=false")
    gone = rolled_out.tell("wait", "pods", "--all", "--for=delete", "--timeout=30s")
    assert condition == value == "deployment.apps/web condition met\n"
    assert (code, "timed out waiting" in err) == (1, True)
    assert [line.rpartition(" ")[2] for line in gone.splitlines()] in ([], ["met"] * 2)


def test_real_sandbox_kubectl_reads_logs(rolled_out: Kubectl) -> None:
    """A simulated container says what it is, or what its Pod tells it to; following it ends with it."""
    line = "simulated container web of image web:1"
    assert rolled_out.tell("logs", "deployment/web") == f"{line}\n"
    annotations = {"sandbox.gennaker.dev/log": "one\ntwo", "sandbox.gennaker.dev/fault": "slow"}
    annotations["sandbox.gennaker.dev/delay"] = "500ms"
    spec = {"restartPolicy": "Never", "containers": [{"name": "once", "image": "once:1"}]}
    metadata = {"name": "once", "annotations": annotations}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    rolled_out.tell("create", "-f", "-", manifest=pod)
    rolled_out.tell("wait", "pod/once", "--for=jsonpath={.status.phase}=Running")
    assert rolled_out.tell("logs", "-f", "once", "--tail=1") == "two\n"
    phase = rolled_out.tell("get", "pod", "once", "-o", "jsonpath={.status.phase}")
    assert phase == "Succeeded"
    prefixed = rolled_out.tell("logs", "-l", "app=web", "--prefix").splitlines()
    assert [each.partition("] ")[2] for each in prefixed] == [line] * 2


def test_real_sandbox_kubectl_deletes(rolled_out: Kubectl) -> None:
    """``delete`` waits until all that belonged to it is gone; again it is not found."""
    told = rolled_out.tell("delete", "deployment", "web", "--cascade=foreground")
    code, _, err = rolled_out.run("delete", "deployment", "web")
    assert told == f'deployment.apps "web" deleted from {rolled_out.namespace} namespace\n'
    assert rolled_out.tell("get", "replicasets", "-o", "name") == ""
    assert (code, err) == (
        1,
        'Error from server (NotFound): deployments.apps "web" not found\n',
    )


def test_real_sandbox_kubectl_edits_and_describes(rolled_out: Kubectl) -> None:
    """``scale``, ``label``, ``patch`` and ``describe``."""
    rolled_out.tell("scale", "deployment/web", "--replicas=1")
    rolled_out.tell("label", "deployment", "web", "team=blue")
    rolled_out.tell("patch", "deployment", "web", "-p", '{"spec": {"minReadySeconds": 1}}')
    told = rolled_out.tell("describe", "deployment", "web")
    lines = [" ".join(line.split()) for line in told.splitlines()]
    assert "Labels: team=blue" in lines
    assert "MinReadySeconds: 1" in lines
    assert any(line.startswith("Replicas: 1 desired") for line in lines)


def test_real_sandbox_kubectl_generators_are_told_the_way(kubectl: Kubectl) -> None:
    """What kubectl sends as protobuf is refused with what to type instead, and that works."""
    code, _, err = kubectl.run("create", "configmap", "c", "--from-literal=a=b")
    generated = kubectl.tell(
        "create", "configmap", "c", "--from-literal=a=b", "--dry-run=client", "-o", "json"
    )
    applied = kubectl.tell("apply", "--server-side", "-f", "-", manifest=json.loads(generated))
    assert (code, err) == (
        1,
        "error: failed to create configmap: the sandbox reads JSON and YAML, not protobuf: add"
        " '--dry-run=client -o yaml' and pipe it to 'kubectl apply --server-side -f -'\n",
    )
    assert applied == "configmap/c serverside-applied\n"


def test_real_sandbox_kubectl_is_told_what_is_not_offered(rolled_out: Kubectl) -> None:
    """``exec`` and ``auth can-i`` end with the sandbox's own words."""
    _, _, exec_error = rolled_out.run("exec", "deployment/web", "--", "ls")
    code, _, err = rolled_out.run("auth", "can-i", "get", "pods")
    assert "the sandbox does not offer the subresource pods/exec" in exec_error
    assert (code, "Error from server (NotImplemented)" in err) == (1, True)
