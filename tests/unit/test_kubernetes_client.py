"""The way to a cluster: which kubeconfigs are trusted, who asks, what is tried again and when not."""

from __future__ import annotations

import json
import socket
import stat
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.testing import FakeContext
from gennaker_stages.kubernetes import settings as settings_module
from gennaker_stages.kubernetes.client import kubeconfig as kubeconfig_module
from gennaker_stages.kubernetes.client import patience as patience_module
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.connection import Request
from gennaker_stages.kubernetes.client.kubeconfig import TRUST
from gennaker_stages.kubernetes.client.watching import Follower
from gennaker_stages.kubernetes.settings import KubernetesSettings, KubernetesTarget
from tests.fixtures.http_server import Answer, Asked, LocalServer

CORE = {"kind": "APIVersions", "versions": ["v1"]}
GROUPS: dict[str, Any] = {"kind": "APIGroupList", "groups": []}
CONFIG_MAPS = {
    "resources": [
        {"name": "configmaps", "kind": "ConfigMap", "namespaced": True, "verbs": ["get", "list"]}
    ]
}
STATUS = {"kind": "Status", "apiVersion": "v1"}


def write_kubeconfig(
    path: Path, url: str, user: dict[str, Any] | None = None, **cluster: Any
) -> Path:
    """A kubeconfig for a server."""
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "u", "user": user or {"token": "first"}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(document))
    return path


def connect(
    path: Path | None, project: Path, *, context: str | None = None, **settings: Any
) -> Cluster:
    """A cluster by a kubeconfig, which has been read."""
    cluster = Cluster(path, context, KubernetesSettings(**settings), project=project)
    cluster.connection.prepare()
    return cluster


@pytest.fixture(name="outside")
def make_outside(tmp_path: Path, http_server: LocalServer) -> Path:
    """A kubeconfig outside of any project, for the local server."""
    return write_kubeconfig(tmp_path / "home" / "config", http_server.url)


@pytest.fixture(autouse=True)
def wait_less(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pauses between tries are short here."""
    monkeypatch.setattr(patience_module, "FIRST_DELAY", 0.001)


def answer_with(*answers: Answer, then: Any = None) -> Any:
    """Say each answer once, then ``then`` (a ConfigMap unless given) for ever."""
    left = list(answers)
    last = Answer(body=json.dumps(then or {"kind": "ConfigMap", "metadata": {}}).encode())
    return lambda _asked: left.pop(0) if left else last


def fail_with(status: int, message: str, headers: dict[str, str] | None = None) -> Answer:
    """The server's error."""
    return Answer(status, json.dumps({**STATUS, "message": message}).encode(), headers or {})


READ = Request("GET", "/api/v1/namespaces/n/configmaps/c", "read ConfigMap/c")

USERS = {
    "exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "touch"},
    "auth-provider": {"name": "gcp"},
    "tokenFile": "/etc/hostname",
    "client-key": "/etc/hostname",
    "client-certificate": "/etc/hostname",
}


@pytest.mark.parametrize("key", USERS)
def test_checklist_39_a_kubeconfig_of_the_project_runs_and_reads_nothing(
    key: str, tmp_path: Path
) -> None:
    """Each key that would run a command or read a file is refused and named, before it acts."""
    project = tmp_path / "project"
    path = write_kubeconfig(project / "ci.kubeconfig", "https://x.test", {key: USERS[key]})
    with pytest.raises(PermanentError, match=f"user 'u' of 'ci.kubeconfig' has '{key}'") as found:
        connect(path, project)
    assert found.value.code == "kubeconfig"
    assert f"{TRUST}=1" in str(found.value)


@pytest.mark.parametrize("key", ["certificate-authority", "insecure-skip-tls-verify"])
def test_checklist_39_a_kubeconfig_of_the_project_checks_certificates(
    key: str, tmp_path: Path
) -> None:
    """It may neither read a file for its authority nor do without one."""
    path = write_kubeconfig(tmp_path / "k", "https://x.test", **{key: "/etc/hostname"})
    with pytest.raises(PermanentError, match=f"cluster 'c' of 'k' has '{key}'"):
        connect(path, tmp_path)


def test_checklist_39_hidden_commands_are_found(tmp_path: Path) -> None:
    """A merge key and a link out of the project hide nothing from the check."""
    path = write_kubeconfig(tmp_path / "p" / "k", "https://x.test")
    text = path.read_text().replace("token: first", "<<: {exec: {command: touch}}")
    path.write_text(text)
    with pytest.raises(PermanentError, match="'exec'"):
        connect(path, tmp_path / "p")
    elsewhere = write_kubeconfig(tmp_path / "k", "https://x.test", {"exec": USERS["exec"]})
    (tmp_path / "p" / "link").symlink_to(elsewhere)
    with pytest.raises(PermanentError, match="'exec'"):
        connect(tmp_path / "p" / "link", tmp_path / "p")


@pytest.mark.parametrize("text", ["[]", "users: {a: b}", "clusters: [1]", "a: [", "users: 3"])
def test_checklist_39_a_kubeconfig_of_another_shape_is_told(text: str, tmp_path: Path) -> None:
    """What is no kubeconfig is an error in words."""
    (tmp_path / "k").write_text(text)
    with pytest.raises(PermanentError) as found:
        connect(tmp_path / "k", tmp_path)
    assert found.value.code == "kubeconfig"


def test_a_kubeconfig_that_is_no_yaml_is_told(tmp_path: Path) -> None:
    """Which line of which file, and nothing of what stands there."""
    path = tmp_path / "home"
    path.write_text("users:\n- user: {token: hidden\nclusters: []\n")
    with pytest.raises(PermanentError) as found:
        connect(path, tmp_path / "project")
    assert found.value.code == "kubeconfig"
    assert found.value.message == f"the kubeconfig is not valid YAML (line 3 of {str(path)!r})"


@pytest.mark.parametrize("text", ["hello", "5", "clusters: 5"])
def test_a_file_that_is_no_kubeconfig_is_told(text: str, tmp_path: Path) -> None:
    """Which file, whatever the official client makes of it."""
    path = tmp_path / "home"
    path.write_text(text)
    with pytest.raises(PermanentError) as found:
        connect(path, tmp_path / "project")
    assert (found.value.code, found.value.message) == (
        "kubeconfig",
        f"{str(path)!r} is no kubeconfig",
    )


@pytest.mark.parametrize("name", ["App_Staging", "", "-a", "a.b", 64 * "a", "${{ x }}"])
def test_a_namespace_has_a_name_that_a_cluster_takes(name: str) -> None:
    """So that a wrong one is told by 'validate', and not when everything is built."""
    told = (
        f"{name!r} is not a name of a namespace; use lower-case letters and digits, with '-' "
        "between, up to 63"
    )
    for settings in ({"namespace": name}, {"namespaces": ["*", name]}):
        with pytest.raises(ValueError, match="is not a name of a namespace") as found:
            KubernetesSettings.model_validate(settings)
        assert told in str(found.value)


def test_a_kubeconfig_that_is_not_there_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which file was looked for, and who named it."""
    advice = "or try it without a cluster: 'gennaker run --sandbox'"
    with pytest.raises(PermanentError) as found:
        connect(Path("~/nowhere"), tmp_path)
    assert str(found.value) == (
        f"kubeconfig: there is no kubeconfig {str(Path.home() / 'nowhere')!r}; "
        f"correct 'kubeconfig' in gennaker.yaml, {advice}"
    )
    monkeypatch.setenv("KUBECONFIG", "/nowhere/a:/nowhere/b")
    with pytest.raises(PermanentError) as found:
        connect(None, tmp_path)
    assert str(found.value) == (
        f"kubeconfig: there is no kubeconfig '/nowhere/a' and '/nowhere/b'; set KUBECONFIG, {advice}"
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["no-such-program"], "there is no program 'no-such-program'"),
        (
            ["sh", "-c", "echo log in first >&2; exit 3"],
            "'sh' ended with exit code 3: log in first",
        ),
    ],
)
def test_a_command_that_gives_no_credentials_is_told(
    arguments: list[str], told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is asked as nobody, and what the command says is in the error only."""
    command = {"apiVersion": "client.authentication.k8s.io/v1", "interactiveMode": "Never"}
    command |= {"command": arguments[0], "args": arguments[1:]}  # type: ignore[dict-item]
    path = write_kubeconfig(tmp_path / "k", "http://nowhere.test", {"exec": command})
    with pytest.raises(PermanentError) as found:
        connect(path, tmp_path / "project")
    assert found.value.code == "kubeconfig"
    assert found.value.message == f"the kubeconfig gives no credentials: {told}"
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("status", "message", "told"),
    [
        (
            403,
            'forbidden: User "system:anonymous" cannot get path "/api"',
            'cluster-forbidden: cannot read ConfigMap/c: forbidden: User "system:anonymous" cannot get path "/api"; '
            "the context has no credentials: look at its user in the kubeconfig",
        ),
        (
            500,
            "error decoding from json: illegal base64 data at input byte 3",
            "cluster-refused: cannot read ConfigMap/c: error decoding from json: illegal base64 data "
            "at input byte 3; what is under 'data' of a Secret is base64; write text under 'stringData'",
        ),
        (
            422,
            f'"" is invalid: patch: Invalid value: "{{\\"a\\":{300 * "x"}}}": json: cannot go on',
            'cluster-refused: cannot read ConfigMap/c: "" is invalid: patch: Invalid value: …: json: cannot go on',
        ),
    ],
)
def test_what_the_server_refuses_is_told_with_advice(
    status: int, message: str, told: str, outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """In one line, and once: none of it is sent again."""
    http_server.answer = answer_with(fail_with(status, message))
    with pytest.raises(PermanentError) as found:
        connect(outside, tmp_path / "p").connection.request(READ)
    assert str(found.value) == told
    assert len(http_server.asked) == 1


def test_whoever_runs_gennaker_may_trust_a_kubeconfig(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, http_server: LocalServer
) -> None:
    """With the variable set, a kubeconfig of the project may read its files."""
    (tmp_path / "token").write_text("from-a-file")
    path = write_kubeconfig(tmp_path / "k", http_server.url, {"tokenFile": "token"})
    monkeypatch.setenv(TRUST, "1")
    http_server.answer = answer_with()
    connect(path, tmp_path).connection.request(READ)
    assert http_server.asked[0].headers["authorization"] == "Bearer from-a-file"


def test_an_unknown_context_is_named_with_the_known_ones(outside: Path, tmp_path: Path) -> None:
    """A misspelt context tells which there are."""
    with pytest.raises(PermanentError, match="no context 'y'; it has: x"):
        connect(outside, tmp_path / "p", context="y")


def test_acts_as_somebody_else(outside: Path, tmp_path: Path, http_server: LocalServer) -> None:
    """An environment's 'as' and its groups go with every request."""
    http_server.answer = answer_with()
    settings = {"as": "system:serviceaccount:shop:deployer", "as_groups": ["a", "b"]}
    connect(outside, tmp_path / "p", **settings).connection.request(READ)
    headers = http_server.asked[0].headers
    assert headers["impersonate-user"] == "system:serviceaccount:shop:deployer"
    assert headers["impersonate-group"] == "a, b"
    with pytest.raises(ValueError, match="'as_groups' needs 'as'"):
        KubernetesSettings(as_groups=("a",))


@pytest.mark.parametrize("status", [429, 502, 503, 504, 500])
def test_checklist_40_tries_again_when_the_server_cannot(
    status: int, outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """What the server could not do now it is asked again, and the log says so."""
    http_server.answer = answer_with(fail_with(status, "busy"), fail_with(status, "busy"))
    cluster, lines = connect(outside, tmp_path / "p"), []
    cluster.connection.patience.tell = lines.append
    assert cluster.connection.request(READ)["kind"] == "ConfigMap"
    assert len(http_server.asked) == 3
    assert lines == [f"the cluster cannot read ConfigMap/c now (HTTP {status}); trying again"]


@pytest.mark.faults
def test_checklist_40_a_server_that_starts_is_asked_again(
    outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """What it refuses because it has not read its rules yet is asked again, another refusal is not."""
    starting = fail_with(403, 'configmaps "c" is forbidden: not yet ready to handle request')
    http_server.answer = answer_with(starting, starting)
    cluster = connect(outside, tmp_path / "p")
    assert cluster.connection.request(READ)["kind"] == "ConfigMap"
    assert len(http_server.asked) == 3
    http_server.answer = answer_with(fail_with(403, 'configmaps "c" is forbidden'))
    with pytest.raises(
        PermanentError, match=r'cluster-forbidden: cannot read ConfigMap/c: .*"c" is'
    ):
        cluster.connection.request(READ)
    assert len(http_server.asked) == 4


@pytest.mark.faults
def test_checklist_40_no_request_waits_longer_than_its_attempt(
    outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """A server that says nothing is left when the attempt's time ends, and not asked again."""
    release = threading.Event()

    def hold(_asked: Asked) -> Answer:
        release.wait(10)
        return Answer()

    http_server.answer = answer_with()
    cluster = connect(outside, tmp_path / "p")
    cluster.connection.request(READ)
    http_server.answer = hold
    started = time.monotonic()
    cluster.serve(FakeContext(tmp_path, timeout=1.0))
    with pytest.raises(TemporaryError, match=r"cannot read ConfigMap/c: .* does not answer \(Read"):
        cluster.connection.request(READ)
    assert time.monotonic() - started < 5
    assert len(http_server.asked) == 2
    release.set()


def test_the_address_of_a_sandbox_that_is_gone_hides_its_token(tmp_path: Path) -> None:
    """What is told of it has no token, which is a part of the path; a real server's path is told."""
    for scheme, told in (("http", "/***/x"), ("https", "/kanarienvogel/x")):
        server = f"{scheme}://127.0.0.1:1/kanarienvogel/x"
        cluster = connect(write_kubeconfig(tmp_path / scheme, server), tmp_path / "p")
        lines: list[str] = []
        cluster.connection.patience.tell = lines.append
        cluster.connection.patience.wait = lambda _seconds: False
        with pytest.raises(TemporaryError) as caught:
            cluster.connection.request(READ)
        place = f"the cluster at {scheme}://127.0.0.1:1{told} does not answer ("
        assert f"cluster-unreachable: cannot read ConfigMap/c: {place}" in str(caught.value)
        assert lines and all(each.startswith(place) for each in lines)
        assert ("kanarienvogel" in f"{caught.value} {lines}") == (scheme == "https")


@pytest.mark.faults
def test_the_stages_of_a_plan_wait_for_a_dead_server_once(tmp_path: Path) -> None:
    """The same kubeconfig, context and identity tell it at once; who has far more time asks itself."""
    path = write_kubeconfig(tmp_path / "kubeconfig", "https://127.0.0.1:1")
    target = KubernetesTarget()

    def ask(of: KubernetesTarget, seconds: float, who: str, **more: Any) -> str:
        settings = KubernetesSettings(kubeconfig=str(path), **more)
        cluster = of.connect(settings, environment=who, project=tmp_path)
        with pytest.raises(TemporaryError) as caught:
            cluster.bound(lambda: seconds, who=who)
            cluster.connection.request(READ)
        assert caught.value.code == "cluster-unreachable"
        return caught.value.message

    tried = "cannot read ConfigMap/c: the cluster at https://127.0.0.1:1 does not answer ("
    assert ask(target, 10, "first").startswith(tried)
    again = ask(target, 20, "second", namespace="other")
    assert again.endswith("), which was tried for 'first' already")
    assert ask(target, 20, "somebody", **{"as": "ann"}).startswith(tried)
    assert ask(target, 21, "patient").startswith(tried)
    assert ask(target, 20, "third").endswith("), which was tried for 'patient' already")
    assert ask(KubernetesTarget(), 10, "later").startswith(tried)


@pytest.mark.faults
def test_a_live_thing_is_asked_for_no_longer_than_a_bound(
    outside: Path, tmp_path: Path, http_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who asks who set a field does not wait for a server that says nothing."""
    release = threading.Event()

    def hold(_asked: Asked) -> Answer:
        release.wait(10)
        return Answer()

    http_server.answer = hold
    monkeypatch.setattr(settings_module, "READ_SECONDS", 0.3)
    cluster, started = connect(outside, tmp_path / "p"), time.monotonic()
    with pytest.raises(TemporaryError, match=r"cannot discover /api: .* does not answer \(Read"):
        KubernetesTarget().read_fields(cluster, "ConfigMap", "c")
    assert time.monotonic() - started < 5
    release.set()


@pytest.mark.faults
def test_checklist_40_waits_as_long_as_the_server_asks(
    outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """Retry-After is waited for; when that is longer than the attempt has, it fails at once."""
    http_server.answer = answer_with(
        fail_with(429, "busy", {"Retry-After": "3"}), fail_with(429, "busy", {"Retry-After": "90"})
    )
    cluster, waited = connect(outside, tmp_path / "p"), []
    cluster.connection.patience.wait = lambda seconds: bool(waited.append(seconds))
    with pytest.raises(TemporaryError, match="cluster-unavailable: cannot read ConfigMap/c: busy"):
        cluster.connection.request(READ)
    assert len(waited) == 1 and 3 <= waited[0] <= 3.6


def test_checklist_40_an_error_of_ours_is_not_repeated(
    outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """What the server refuses is told at once; a failing server is asked three times."""
    cluster = connect(outside, tmp_path / "p")
    http_server.answer = answer_with(fail_with(422, "no"))
    with pytest.raises(PermanentError, match="cluster-refused: cannot read ConfigMap/c: no"):
        cluster.connection.request(READ)
    assert len(http_server.asked) == 1
    http_server.answer = lambda _asked: fail_with(500, "broken")
    with pytest.raises(TemporaryError, match="broken"):
        cluster.connection.request(READ)
    assert len(http_server.asked) == 4


def test_checklist_40_a_broken_connection_is_tried_again(
    outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """An answer that breaks off is asked for again, but not of a request that must arrive once."""
    http_server.answer = answer_with(Answer(body=b"{}", breaks=True))
    cluster = connect(outside, tmp_path / "p")
    assert cluster.connection.request(READ)["kind"] == "ConfigMap"
    assert len(http_server.asked) == 2
    http_server.answer = answer_with(Answer(body=b"{}", breaks=True))
    once = Request("POST", "/x", "do once", body={}, repeatable=False)
    with pytest.raises(TemporaryError, match="cluster-unreachable: cannot do once"):
        cluster.connection.request(once)
    assert len(http_server.asked) == 3


@pytest.mark.faults
def test_checklist_40_the_budget_ends(
    outside: Path, tmp_path: Path, http_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server that turns everything away is not asked for ever, and no longer than a minute."""
    cluster = connect(outside, tmp_path / "p")
    http_server.answer = lambda _asked: fail_with(503, "busy")
    cluster.connection.patience.tokens = 5
    with pytest.raises(TemporaryError, match="busy"):
        cluster.connection.request(READ)
    assert len(http_server.asked) == 6
    cluster.connection.patience.tokens = 100
    monkeypatch.setattr(patience_module, "OUTAGE_SECONDS", 0.1)
    monkeypatch.setattr(patience_module, "MAX_DELAY", 0.03)
    with pytest.raises(TemporaryError, match="busy"):
        cluster.connection.request(READ)


def test_a_wrong_address_is_told_soon(tmp_path: Path) -> None:
    """Before its first answer a server is tried three times, not for a minute."""
    path = write_kubeconfig(tmp_path / "k", "http://127.0.0.1:1")
    with pytest.raises(TemporaryError, match=r"the cluster at http://127.0.0.1:1 does not answer"):
        connect(path, tmp_path / "p").connection.request(READ)


@pytest.mark.faults
def test_checklist_40_a_name_that_does_not_resolve_for_a_while(
    tmp_path: Path, http_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is asked for again; one that never does is told soon."""
    path = write_kubeconfig(tmp_path / "k", f"http://localhost:{http_server.port}")
    http_server.answer = answer_with()
    find, misses = socket.getaddrinfo, [1, 2]

    def find_later(host: Any, *more: Any) -> Any:
        if host == "nowhere.test" or (misses and misses.pop()):
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return find(host, *more)

    monkeypatch.setattr(socket, "getaddrinfo", find_later)
    assert connect(path, tmp_path / "p").connection.request(READ)["kind"] == "ConfigMap"
    path = write_kubeconfig(tmp_path / "k", "http://nowhere.test")
    told = (
        r"cluster at http://nowhere.test does not answer \(.*Temporary failure in name resolution"
    )
    with pytest.raises(TemporaryError, match=told):
        connect(path, tmp_path / "p").connection.request(READ)


def test_stops_trying_when_told_to(outside: Path, tmp_path: Path, http_server: LocalServer) -> None:
    """An attempt that is to stop, or has no time left, waits for no server."""
    cluster = connect(outside, tmp_path / "p")
    http_server.answer = lambda _asked: fail_with(503, "busy")
    cluster.connection.patience.wait = lambda _seconds: True
    with pytest.raises(TemporaryError):
        cluster.connection.request(READ)
    assert len(http_server.asked) == 1
    cluster.connection.patience.remaining = lambda: 0.0
    with pytest.raises(TemporaryError):
        cluster.connection.request(READ)
    assert len(http_server.asked) == 2


def need_token(*valid: str) -> Any:
    """A server that knows these tokens only."""

    def answer(asked: Asked) -> Answer:
        if asked.headers.get("authorization") in [f"Bearer {each}" for each in valid]:
            return Answer(body=b'{"kind": "ConfigMap", "metadata": {}}')
        return fail_with(401, "Unauthorized")

    return answer


def test_checklist_41_renews_a_token_that_expired(
    outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """After a 401 the credentials are loaded anew, once; the same ones again are refused."""
    cluster = connect(outside, tmp_path / "p")
    http_server.answer = need_token("second")
    with pytest.raises(PermanentError, match="cluster-unauthorized"):
        cluster.connection.request(READ)
    assert len(http_server.asked) == 1
    write_kubeconfig(outside, http_server.url, {"token": "second"})
    assert cluster.connection.request(READ)["kind"] == "ConfigMap"
    assert len(http_server.asked) == 3


def test_checklist_41_runs_the_command_again(tmp_path: Path, http_server: LocalServer) -> None:
    """Threads that are refused at the same time share one run of the credentials' command."""
    program = tmp_path / "home" / "credentials"
    program.parent.mkdir()
    program.write_text(
        f"#!{sys.executable}\n"
        "import json, pathlib\n"
        "runs = pathlib.Path(__file__).with_name('runs')\n"
        "runs.write_text((runs.read_text() if runs.exists() else '') + 'x')\n"
        "token = f'token-{len(runs.read_text())}'\n"
        "print(json.dumps({'apiVersion': 'client.authentication.k8s.io/v1', 'kind':"
        " 'ExecCredential', 'status': {'token': token}}))\n"
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    command = {"apiVersion": "client.authentication.k8s.io/v1", "command": str(program)}
    command["interactiveMode"] = "Never"
    path = write_kubeconfig(tmp_path / "home" / "config", http_server.url, {"exec": command})
    cluster = connect(path, tmp_path / "p")
    http_server.answer = need_token("token-2")
    done: list[str] = []
    threads = [
        threading.Thread(target=lambda: done.append(cluster.connection.request(READ)["kind"]))
        for _ in range(4)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert done == ["ConfigMap"] * 4
    assert (program.parent / "runs").read_text() == "xx"


def test_asks_for_the_token_once_a_second(
    outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """The official client is not asked for its token by every request; what it renews is used then."""
    cluster = connect(outside, tmp_path / "p")
    http_server.answer = need_token("first", "second")
    client, _ = cluster.connection._read_token()
    asked: list[object] = []
    client.configuration.refresh_api_key_hook = asked.append
    started = time.monotonic()
    for _ in range(20):
        cluster.connection.request(READ)
    assert len(asked) <= time.monotonic() - started + 1
    client.configuration.api_key["BearerToken"] = "Bearer second"
    deadline = time.monotonic() + 8
    while http_server.asked[-1].headers["authorization"] != "Bearer second":
        assert time.monotonic() < deadline
        time.sleep(0.1)
        cluster.connection.request(READ)
    assert asked


def test_checklist_41_reads_the_service_account_again(
    tmp_path: Path, http_server: LocalServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a Pod the token's file is read again when the server refuses what it had."""
    (tmp_path / "token").write_text("old")
    (tmp_path / "ca.crt").write_text("any")
    monkeypatch.setattr(kubeconfig_module, "SERVICE_ACCOUNT", tmp_path)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    cluster = connect(None, tmp_path, in_cluster=True)
    assert cluster.connection.host == "https://10.0.0.1:443"
    (tmp_path / "token").write_text("new")
    client, token = cluster.connection._read_token()
    assert token == "bearer old"
    assert cluster.connection._renew(client, token)
    assert cluster.connection._read_token()[1] == "bearer new"
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST")
    with pytest.raises(PermanentError, match=r"no service account to use: .*'in_cluster: true'"):
        connect(None, tmp_path, in_cluster=True)


def serve_config_maps(*watched: list[dict[str, Any]], items: list[dict[str, Any]]) -> Any:
    """A server with ConfigMaps, and what each watch in turn says before it ends."""
    left = list(watched)

    def answer(asked: Asked) -> Answer:
        if asked.path in ("/api", "/apis"):
            body: Any = CORE if asked.path == "/api" else GROUPS
        elif asked.path == "/api/v1":
            body = CONFIG_MAPS
        elif "watch=true" in asked.path:
            events = left.pop(0) if left else []
            return Answer(body=b"".join(json.dumps(each).encode() + b"\n" for each in events))
        else:
            body = {"metadata": {"resourceVersion": str(10 + len(left))}, "items": items}
        return Answer(body=json.dumps(body).encode())

    return answer


def make_event(kind: str, name: str, version: str) -> dict[str, Any]:
    """A watch event of a ConfigMap."""
    metadata = {"name": name, "namespace": "n", "resourceVersion": version, "uid": name}
    return {"type": kind, "object": {"kind": "ConfigMap", "metadata": metadata}}


def test_discovery_works_without_aggregation(
    outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """A server that offers no aggregated discovery is asked a version at a time."""
    http_server.answer = serve_config_maps(items=[])
    cluster = connect(outside, tmp_path / "p")
    found = cluster.find_resource("v1", "ConfigMap")
    assert found.path("n", "c") == "/api/v1/namespaces/n/configmaps/c"
    assert cluster.discovery.find_kind("", "ConfigMap") == found
    assert [each.path for each in http_server.asked] == ["/api", "/apis", "/api/v1"]
    with pytest.raises(PermanentError, match="does not know kind 'Nothing' of 'v1'"):
        cluster.find_resource("v1", "Nothing")


@pytest.mark.faults
def test_checklist_40_follows_a_collection_through_a_410(
    outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """A watch goes on where it was, bookmarks count, and what is too old is listed again."""
    gone = {"type": "ERROR", "object": {**STATUS, "code": 410, "message": "too old"}}
    items = [make_event("", "a", "1")["object"]]
    http_server.answer = serve_config_maps(
        [make_event("ADDED", "b", "20"), make_event("BOOKMARK", "", "30")],
        [make_event("MODIFIED", "b", "31"), gone],
        [make_event("DELETED", "a", "40")],
        items=items,
    )
    cluster = connect(outside, tmp_path / "p")
    follower = Follower(cluster, cluster.find_resource("v1", "ConfigMap"), "n")
    seen = []
    for kind, body in follower:
        seen.append((kind, body.get("metadata", {}).get("name")))
        if kind == "DELETED" and seen[-1][1] == "a":
            follower.stop()
    assert seen == [
        ("ADDED", "a"),
        ("LISTED", None),
        ("ADDED", "b"),
        ("MODIFIED", "b"),
        ("MODIFIED", "a"),  # listed again
        ("DELETED", "b"),
        ("LISTED", None),
        ("DELETED", "a"),
    ]
    versions = [
        each.path.partition("resourceVersion=")[2].partition("&")[0]
        for each in http_server.asked
        if "watch=true" in each.path
    ]
    assert versions == ["13", "30", "11"]


@pytest.mark.faults
def test_pages_are_followed_through_an_expired_token(
    outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """A list whose moment was forgotten goes on where the server says."""
    expired = {**STATUS, "code": 410, "message": "expired", "metadata": {"continue": "two"}}
    first = {"metadata": {"resourceVersion": "1", "continue": "one"}, "items": [{"n": 1}]}
    last = {"metadata": {"resourceVersion": "2"}, "items": [{"n": 2}]}

    def answer(asked: Asked) -> Answer:
        if "continue=one" in asked.path:
            return Answer(410, json.dumps(expired).encode())
        return Answer(body=json.dumps(last if "continue=two" in asked.path else first).encode())

    cluster = connect(outside, tmp_path / "p")
    http_server.answer = serve_config_maps(items=[])
    resource = cluster.find_resource("v1", "ConfigMap")
    http_server.answer = answer
    assert cluster.list_objects(resource, "n")["items"] == [{"n": 1}, {"n": 2}]


def test_warnings_of_the_server_are_told_once(
    outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """What the server warns of, a deprecated version for example, is in the log, once."""
    header = {"Warning": r'299 - "\"policy/v1beta1\" is deprecated"'}
    http_server.answer = lambda _asked: Answer(body=b"{}", headers=header)
    cluster, lines = connect(outside, tmp_path / "p"), []
    cluster.connection.patience.tell = lines.append
    cluster.connection.request(READ)
    cluster.connection.request(READ)
    assert lines == ['the cluster warns: "policy/v1beta1" is deprecated']


def test_an_answer_that_is_no_json_is_told(
    outside: Path, tmp_path: Path, http_server: LocalServer
) -> None:
    """A page of some proxy is not taken for an object."""
    http_server.answer = lambda _asked: Answer(body=b"<html>")
    with pytest.raises(StageError, match="cluster-answer: cannot read ConfigMap/c"):
        connect(outside, tmp_path / "p").connection.request(READ)
