"""What doctor tells of a cluster, by what its API server answers: versions, clocks, certificates, rights."""

from __future__ import annotations

import base64
import http.server
import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gennaker.checks import Check
from gennaker_stages.kubernetes.checking.certificate import read_end
from gennaker_stages.kubernetes.client import kubeconfig as kubeconfig_module
from gennaker_stages.kubernetes.client import patience as patience_module
from gennaker_stages.kubernetes.sandbox import Sandbox
from gennaker_stages.kubernetes.settings import KubernetesSettings, KubernetesTarget
from tests.fixtures.http_server import Answer, Asked, LocalServer

# Of 127.0.0.1, on the first day of 2020; nothing trusts it.
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBWTCCAQCgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAkxMjcuMC4w
LjEwHhcNMjAwMTAxMDAwMDAwWhcNMjAwMTAyMDAwMDAwWjAUMRIwEAYDVQQDDAkx
MjcuMC4wLjEwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAASAkyckbmwn8VSIYvxq
62YF0lWaufVGrL1TWdrkeqLRSFJbitNUdXzoecAYc0R9+CHoF479kBWpdDHaRtK+
KYXOo0MwQTAPBgNVHREECDAGhwR/AAABMA8GA1UdEwEB/wQFMAMBAf8wHQYDVR0O
BBYEFGSiBWZrwLM/MtAFI2L+2i1maX2fMAoGCCqGSM49BAMCA0cAMEQCIAtYr5gU
2yUKZFzIA0FPWlAWSLkjtcw6GbH3X18ncHcyAiB+CB+/c+fcAD8LYtKGBtHmT9sx
Lm9b9T+ivOoe32jUsg==
-----END CERTIFICATE-----
"""
KEY = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgSsBCXUi6YFMOzS8S
5NbwRVWpIgDVMli19z74kQagVLuhRANCAASAkyckbmwn8VSIYvxq62YF0lWaufVG
rL1TWdrkeqLRSFJbitNUdXzoecAYc0R9+CHoF479kBWpdDHaRtK+KYXO
-----END PRIVATE KEY-----
"""
EVERYTHING = ("", "*", "*")
"""A namespace, a kind and a verb: what an administrator may."""


def encode(text: str) -> str:
    """Text as kubeconfigs have it under ``…-data``."""
    return base64.b64encode(text.encode()).decode()


def say(data: Any, status: int = 200) -> Answer:
    """JSON."""
    return Answer(status, json.dumps(data).encode())


def refuse(status: int, message: str) -> Answer:
    """The server's error."""
    return say({"kind": "Status", "apiVersion": "v1", "message": message}, status)


class Doctor:
    """An environment on a server whose answers a test writes."""

    def __init__(self, folder: Path, server: LocalServer) -> None:
        self.folder, self.server = folder, server
        self.version: Any = {"gitVersion": "v1.36.0"}
        self.allowed = [EVERYTHING]
        self.replies: dict[str, Answer] = {}
        self.cluster: dict[str, Any] = {"server": server.url}
        self.user: dict[str, Any] = {"token": "a-long-token"}
        server.answer = self.answer

    def answer(self, asked: Asked) -> Answer:
        """What the server says: as the test wants it, else as a server that is well."""
        path = asked.path.partition("?")[0]
        if path in self.replies:
            return self.replies[path]
        if path == "/version":
            return say(self.version)
        if path.endswith("/selfsubjectreviews"):
            return say(
                {"status": {"userInfo": {"username": "jane", "groups": ["dev", "ops"]}}}, 201
            )
        if path.endswith("/selfsubjectaccessreviews"):
            asks = json.loads(asked.body)["spec"]["resourceAttributes"]
            key = asks.get("namespace", ""), asks["resource"], asks["verb"]
            return say({"status": {"allowed": key in self.allowed}}, 201)
        if path == "/api":
            return say({"kind": "APIVersions", "versions": ["v1"]})
        if path == "/apis":
            return say({"kind": "APIGroupList", "groups": []})
        if path == "/api/v1":
            verbs = {"namespaced": True, "verbs": ["list"]}
            return say({"resources": [{"name": "configmaps", "kind": "ConfigMap", **verbs}]})
        if path.endswith("/configmaps"):
            return say({"metadata": {}, "items": []})
        return say({"kind": "Namespace", "metadata": {"name": "web"}})

    def look(self, *, seconds: float = 30, **settings: Any) -> list[tuple[str, str, str, str]]:
        """The checks: name, state, what was found, advice."""
        file = self.folder / "home" / "config"
        file.parent.mkdir(exist_ok=True)
        document = {
            "clusters": [{"name": "c", "cluster": self.cluster}],
            "users": [{"name": "u", "user": self.user}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
            "current-context": "x",
        }
        file.write_text(yaml.safe_dump(document))
        written = {"kubeconfig": str(file), "namespace": "web", **settings}
        return look(written, self.folder / "project", seconds)


def look(
    written: dict[str, Any], project: Path, seconds: float = 30
) -> list[tuple[str, str, str, str]]:
    """What the target tells of an environment with these settings."""
    settings = KubernetesSettings.model_validate(written)
    checks = KubernetesTarget().check_access(
        settings, environment="staging", project=project, seconds=seconds
    )
    return [tell(each) for each in checks]


def tell(check: Check) -> tuple[str, str, str, str]:
    """A check as a row."""
    return check.name, check.state, check.found, check.advice


@pytest.fixture
def doctor(tmp_path: Path, http_server: LocalServer, monkeypatch: pytest.MonkeyPatch) -> Doctor:
    """The environment; the pauses between tries are short."""
    monkeypatch.setattr(patience_module, "FIRST_DELAY", 0.001)
    return Doctor(tmp_path, http_server)


@pytest.fixture
def old_server(tmp_path: Path, doctor: Doctor) -> Iterator[str]:
    """The address of the doctor's server by TLS, with a certificate that ended in 2020."""
    (tmp_path / "old.pem").write_text(CERTIFICATE + KEY)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "old.pem")

    class Handler(http.server.BaseHTTPRequestHandler):
        def reply(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            answer = doctor.answer(Asked(self.command, self.path, {}, body))
            self.send_response(answer.status)
            self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            self.wfile.write(answer.body)

        do_GET = do_POST = reply  # noqa: N815 - the names it calls

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    class Server(http.server.ThreadingHTTPServer):
        daemon_threads = True

        def handle_error(self, request: object, client_address: object) -> None:
            """Say nothing of clients that do not trust it."""

    server = Server(("127.0.0.1", 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_cluster_that_is_well_is_told_in_five_lines(doctor: Doctor) -> None:
    """Context and file, server and version, who we are, the namespace, our rights; nothing is written."""
    assert doctor.look() == [
        ("context", "ok", f"'x' of {doctor.folder}/home/config", ""),
        ("server", "ok", f"{doctor.server.url}, Kubernetes v1.36.0", ""),
        ("identity", "ok", "'jane' of dev, ops", ""),
        ("namespace", "ok", "'web' is there", ""),
        ("rights", "ok", "may do everything", ""),
    ]
    posts = {each.path for each in doctor.server.asked if each.method != "GET"}
    assert posts == {
        "/apis/authentication.k8s.io/v1/selfsubjectreviews",
        "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
    }


@pytest.mark.parametrize(
    ("version", "state", "found", "advice"),
    [
        (
            {"gitVersion": "v1.21.14"},
            "wrong",
            ", Kubernetes v1.21.14",
            "upgrade it to 1.22 or later, whose server-side apply is stable",
        ),
        ({"gitVersion": "v1.22.0-gke.1"}, "ok", ", Kubernetes v1.22.0-gke.1", ""),
        (
            {"gitVersion": "v1.37.1"},
            "ok",
            ", Kubernetes v1.37.1",
            "1.36 is the newest that Gennaker is tried with",
        ),
        ({"gitVersion": "of our own"}, "ok", ", Kubernetes of our own", ""),
        (
            ["not", "a", "version"],
            "wrong",
            " is no Kubernetes API server",
            "correct 'server' of the kubeconfig's cluster",
        ),
    ],
)
def test_a_version_is_told_when_it_is_none_we_know(
    doctor: Doctor, version: Any, state: str, found: str, advice: str
) -> None:
    """Too old and no API server at all end the look; one that is newer works, and is told."""
    doctor.version = version
    lines = doctor.look()
    assert lines[1] == ("server", state, f"{doctor.server.url}{found}", advice)
    assert len(lines) == (2 if state == "wrong" else 5)


def test_a_clock_that_is_off_is_told(doctor: Doctor, monkeypatch: pytest.MonkeyPatch) -> None:
    """By how much and in which direction, as the server dates its answers."""
    handler = http.server.BaseHTTPRequestHandler
    monkeypatch.setattr(handler, "date_time_string", lambda *_: "Tue, 01 Jan 2199 00:00:00 GMT")
    _, state, found, advice = doctor.look()[1]
    assert state == "ok"
    assert found.endswith(" s behind its own")
    assert advice == "set the clock: times of deploys and of objects are compared"
    monkeypatch.setattr(handler, "date_time_string", lambda *_: "at noon")
    assert doctor.look()[1][3] == ""


def test_credentials_that_are_refused_are_told(doctor: Doctor) -> None:
    """The server answers, to nobody it knows; an old client certificate is the reason."""
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    doctor.replies = {each: refuse(401, "Unauthorized") for each in ("/version", review)}
    assert doctor.look()[1:] == [
        ("server", "ok", f"{doctor.server.url} answers", ""),
        (
            "identity",
            "wrong",
            "cannot ask who we are: Unauthorized",
            "renew the credentials of the context",
        ),
    ]


@pytest.mark.filterwarnings("ignore::urllib3.exceptions.InsecureRequestWarning")
def test_an_old_certificate_of_ours_is_told(doctor: Doctor, old_server: str) -> None:
    """When it is why we are refused, and while it is good for some days more."""
    doctor.cluster = {"server": old_server, "insecure-skip-tls-verify": True}
    doctor.user = {"client-certificate-data": encode(CERTIFICATE), "client-key-data": encode(KEY)}
    advice = "renew the client certificate of the kubeconfig's user"
    found = "'jane' of dev, ops, until 2020-01-02 00:00 UTC"
    assert doctor.look()[2] == ("identity", "ok", found, advice)
    review = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
    doctor.replies = {review: refuse(401, "Unauthorized")}
    found = (
        "cannot ask who we are: Unauthorized: the client certificate ended at 2020-01-02 00:00 UTC"
    )
    assert doctor.look()[2:] == [("identity", "wrong", found, advice)]


def test_who_may_not_act_as_another_is_told(doctor: Doctor) -> None:
    """The server's words, and which keys are wrong; nobody else's rights are asked about."""
    denied = refuse(403, 'User "jane" cannot impersonate resource "users"')
    doctor.replies = {
        "/version": denied,
        "/apis/authentication.k8s.io/v1/selfsubjectreviews": denied,
    }
    assert doctor.look(**{"as": "bob"})[2:] == [
        (
            "identity",
            "wrong",
            'cannot ask who we are: User "jane" cannot impersonate resource "users"',
            "allow it to impersonate, or correct 'as' and 'as_groups' in gennaker.yaml",
        )
    ]
    doctor.replies = {}
    assert doctor.look(**{"as": "bob"})[2][2] == "acts as 'jane' of dev, ops"


def test_rights_that_are_lacking_are_told_by_what_needs_them(doctor: Doctor) -> None:
    """To apply is needed, to delete and to explain only now and then; equal ones share their words."""
    kinds = ("configmaps", "secrets", "services", "deployments")
    verbs = ("get", "list", "watch", "create", "patch", "delete")
    doctor.allowed = [("web", kind, verb) for kind in kinds for verb in verbs]
    doctor.allowed += [("web", "pods", "list"), ("web", "pods", "get"), ("web", "events", "list")]
    assert doctor.look()[4:] == [
        ("rights", "ok", "may apply configmaps, secrets, services, deployments.apps", "")
    ]
    for kind in ("secrets", "deployments"):
        doctor.allowed.remove(("web", kind, "create"))
        doctor.allowed.remove(("web", kind, "patch"))
    doctor.allowed.remove(("web", "services", "delete"))
    doctor.allowed.remove(("web", "events", "list"))
    assert doctor.look(create_namespace=True)[4:] == [
        (
            "rights",
            "wrong",
            "may not create, patch secrets, deployments.apps in 'web'",
            "ask for these rights, or use another context or 'as'",
        ),
        (
            "rights",
            "wrong",
            "may not get, create, patch namespaces in the whole cluster",
            "ask for these rights, or use another context or 'as'",
        ),
        (
            "rights",
            "missing",
            "may not delete services in 'web'",
            "prune, replace and undo need these rights: ask for them",
        ),
        (
            "rights",
            "missing",
            "may not list events in 'web'",
            "without them nothing tells why something does not get ready: ask for them",
        ),
    ]


def test_namespaces_have_to_be_there(doctor: Doctor) -> None:
    """The environment's own, unless a deploy makes it, and the others; one that goes is told."""
    doctor.replies = {
        "/api/v1/namespaces/web": refuse(404, 'namespaces "web" not found'),
        "/api/v1/namespaces/gone": refuse(404, 'namespaces "gone" not found'),
        "/api/v1/namespaces/going": say({"status": {"phase": "Terminating"}}),
        "/api/v1/namespaces/dark": refuse(403, "forbidden"),
    }
    lines = doctor.look(namespaces=["gone", "going", "dark", "*"])
    assert lines[3:7] == [
        (
            "namespace",
            "wrong",
            "'web' is not there",
            "create it, or set 'create_namespace: true' in gennaker.yaml",
        ),
        ("namespace", "wrong", "'gone' is not there", "create it"),
        (
            "namespace",
            "wrong",
            "'going' is being deleted",
            "wait until it is gone; its status tells what holds it",
        ),
        ("namespace", "ok", "'dark', which we may not look at", ""),
    ]
    lines = doctor.look(create_namespace=True)
    assert lines[3] == ("namespace", "ok", "'web' is not there; a deploy makes it", "")


def test_a_server_that_tells_no_more_is_no_problem(doctor: Doctor, tmp_path: Path) -> None:
    """An older server, and the sandbox, know no reviews: that is said; its secret path is not."""
    for status in (404, 501):
        doctor.replies = {
            "/apis/authentication.k8s.io/v1/selfsubjectreviews": refuse(status, "no"),
            "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews": refuse(status, "no"),
        }
        assert doctor.look()[2::2] == [
            ("identity", "ok", "this server does not tell who we are", ""),
            ("rights", "ok", "this server does not tell what we may do", ""),
        ]
    with Sandbox() as sandbox:
        sandbox.write_kubeconfig(tmp_path / "kubeconfig")
        lines = look({"kubeconfig": str(tmp_path / "kubeconfig")}, tmp_path / "project")
        assert [line[1] for line in lines] == ["ok"] * 5
        assert sandbox.token not in str(lines)
        assert "/***, Kubernetes v1.36" in lines[1][2]


def test_what_is_not_here_is_missing_what_is_no_kubeconfig_is_wrong(tmp_path: Path) -> None:
    """No file, no such context and no Pod are the machine's; a file that cannot be read is a fault."""
    file = tmp_path / "config"
    written = {"kubeconfig": str(file)}
    assert look(written, tmp_path / "p")[0][:3] == (
        "context",
        "missing",
        f"there is no kubeconfig '{file}'",
    )
    file.write_text("contexts: [\n")
    (line,) = look(written, tmp_path / "p")
    assert line[:2] == ("context", "wrong")
    assert line[2].startswith("the kubeconfig is not valid YAML (line 2 of")
    for text in ("[]", "{contexts: 1}", "{contexts: [{a: 1}, {a: 2}]}"):
        file.write_text(text)
        (line,) = look(written, tmp_path / "p")
        assert line[:2] == ("context", "wrong"), text
    file.write_text("contexts: [{name: a, context: {cluster: c}}, {name: b}]\nclusters: []\n")
    for context, state, found in (
        (None, "missing", "the kubeconfig names no current context; it has: a, b"),
        ("c", "missing", "the kubeconfig has no context 'c'; it has: a, b"),
        (
            "a",
            "wrong",
            "context 'a' cannot be used: Invalid kube-config file. Expected object with",
        ),
    ):
        (line,) = look({**written, "context": context}, tmp_path / "p")
        assert line[:2] == ("context", state)
        assert line[2].startswith(found)
    (line,) = look({"in_cluster": True}, tmp_path / "p")
    assert line[:2] == ("context", "missing")
    assert line[3] == "'in_cluster: true' is for what runs in a Pod; elsewhere give 'context'"


def test_a_kubeconfig_of_the_project_runs_nothing(doctor: Doctor) -> None:
    """A command in it is refused; that of the user's own is run, and told when it does not work."""
    made = doctor.folder / "made"
    doctor.user = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "touch",
            "args": [str(made)],
        }
    }
    lines = doctor.look()
    assert made.exists()
    assert lines[1][:2] == ("identity", "wrong")
    assert lines[1][2].startswith("the kubeconfig gives no credentials: 'touch' printed no")
    made.unlink()
    settings = {"kubeconfig": str(doctor.folder / "home" / "config")}
    (line,) = look(settings, doctor.folder)
    assert line[:2] == ("context", "wrong")
    assert (
        line[2]
        == "user 'u' of 'config' has 'exec', which is refused in a kubeconfig inside the project"
    )
    assert not made.exists()


def test_a_server_that_does_not_answer_is_told(doctor: Doctor) -> None:
    """With its address, in which a password is masked."""
    doctor.cluster = {"server": "http://127.0.0.1:1"}
    (_, line) = doctor.look()
    assert line[:2] == ("server", "wrong")
    assert line[2].startswith(
        "cannot ask for the version: the cluster at http://127.0.0.1:1 does not"
    )
    assert line[3] == "look whether it runs and whether the context is the right one"
    doctor.cluster = {"server": "https://jane:a-long-password@127.0.0.1:1"}
    lines = doctor.look()
    assert "https://jane:***@127.0.0.1:1 does not answer" in lines[1][2]
    assert "a-long-password" not in str(lines)


def test_a_server_is_waited_for_no_longer_than_said(doctor: Doctor) -> None:
    """One that takes the connection and says nothing is told when the time is over."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        doctor.cluster = {"server": f"http://127.0.0.1:{silent.getsockname()[1]}"}
        started = time.monotonic()
        (_, line) = doctor.look(seconds=0.3)
        assert time.monotonic() - started < 20  # and not the 40 s of a request
    assert line[:2] == ("server", "wrong")
    assert "does not answer (Read timed out" in line[2]


def test_an_old_certificate_of_the_server_is_told(doctor: Doctor, old_server: str) -> None:
    """It is the server's to renew, or this machine's clock is wrong; the kubeconfig is right."""
    doctor.cluster = {"server": old_server, "certificate-authority-data": encode(CERTIFICATE)}
    (_, line) = doctor.look()
    assert line[:2] == ("server", "wrong")
    assert (
        f"the certificate of {old_server} is not to be trusted (certificate has expired" in line[2]
    )
    assert line[3] == "renew the certificate of the server, or set this machine's clock"
    del doctor.cluster["certificate-authority-data"]
    (_, line) = doctor.look()
    assert line[3] == "correct 'certificate-authority-data' of the kubeconfig's cluster"


def test_the_end_of_a_certificate_is_read(tmp_path: Path) -> None:
    """From the first one of a file; what is no certificate has no end."""
    file = tmp_path / "cert.pem"
    assert read_end(file) is None
    file.write_text(f"# ours\n{CERTIFICATE}{KEY}")
    assert str(read_end(file)) == "2020-01-02 00:00:00+00:00"
    first, *_, last = CERTIFICATE.splitlines()
    for broken in ("", KEY, f"{first}\naaaa\n{last}", f"{first}\n{last}", f"{first}\nMIIB"):
        file.write_text(broken)
        assert read_end(file) is None, broken


def test_a_pod_uses_its_service_account(
    doctor: Doctor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which needs no kubeconfig; its files are the Pod's."""
    for name, text in (("token", "a-token"), ("ca.crt", CERTIFICATE)):
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(kubeconfig_module, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "127.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "1")
    lines = look({"in_cluster": True}, tmp_path)
    assert lines[0] == ("context", "ok", "the service account of this Pod", "")
    assert lines[1][:2] == ("server", "wrong")
