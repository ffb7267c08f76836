"""The command that a kubeconfig names for credentials: what it is told, what it may answer, how long it may take."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import PermanentError
from gennaker_stages.kubernetes.client.command import make_loader, run_command
from gennaker_stages.kubernetes.client.patience import Patience

VERSION = "client.authentication.k8s.io/v1"


def make_spec(script: str, **more: Any) -> dict[str, Any]:
    """An ``exec`` that runs a shell script."""
    return {"apiVersion": VERSION, "command": "sh", "args": ["-c", script], **more}


def answer(**status: str) -> str:
    """A script that prints an ExecCredential."""
    document = {"apiVersion": VERSION, "kind": "ExecCredential", "status": status}
    return f"echo '{json.dumps(document)}'"


def find_error(spec: dict[str, Any], patience: Patience | None = None) -> str:
    """What is said of a command that gives nothing."""
    with pytest.raises(PermanentError) as found:
        run_command(spec, "", {}, patience or Patience())
    assert found.value.code == "kubeconfig"
    return found.value.message.removeprefix("the kubeconfig gives no credentials: ")


def is_running(words: str) -> bool:
    """Whether a process with these words lives."""
    return any(
        words.encode() in each.read_bytes().replace(b"\0", b" ")
        for each in Path("/proc").glob("[0-9]*/cmdline")
        if each.exists()
    )


def test_the_command_is_told_what_kubernetes_says(tmp_path: Path) -> None:
    """It runs beside the kubeconfig, with its variables, and knows the cluster when it wants to."""
    extension = {"name": "client.authentication.k8s.io/exec", "extension": {"audience": "a"}}
    cluster = {"server": "https://x.test", "extensions": [extension]}
    script = f'echo "$KUBERNETES_EXEC_INFO" > info; echo "$REGION" > region; {answer(token="t")}'
    env = [{"name": "REGION", "value": "eu"}]
    spec = make_spec(script, env=env, provideClusterInfo=True)
    assert run_command(spec, str(tmp_path), cluster, Patience()) == {"token": "t"}
    assert (tmp_path / "region").read_text() == "eu\n"
    assert json.loads((tmp_path / "info").read_text()) == {
        "apiVersion": VERSION,
        "kind": "ExecCredential",
        "spec": {
            "interactive": False,
            "cluster": {"server": "https://x.test", "config": {"audience": "a"}},
        },
    }


@pytest.mark.parametrize(
    ("spec", "told"),
    [
        (make_spec("true"), "'sh' printed no ExecCredential"),
        (make_spec("echo '[]'"), "'sh' printed no ExecCredential"),
        (
            make_spec(answer(clientCertificateData="c")),
            "'sh' printed an ExecCredential with neither a token nor a certificate",
        ),
        (
            make_spec(answer(token="t").replace("/v1", "/v1beta1")),
            f"'sh' answers as 'client.authentication.k8s.io/v1beta1', and not as '{VERSION}' as 'exec' says",
        ),
        ({"command": "sh"}, "'exec' of its user has no 'apiVersion'"),
        (make_spec("kill -9 $$"), "'sh' was ended by SIGKILL"),
        (make_spec("head -c 1100000 /dev/zero"), "'sh' wrote more than 1048576 bytes"),
    ],
)
def test_what_is_no_credential_is_told(spec: dict[str, Any], told: str) -> None:
    """In words that name the command, never with what it printed."""
    assert find_error(spec) == told


def test_a_command_that_hangs_is_ended() -> None:
    """It takes no longer than its attempt has, less what it takes to say so, and leaves nothing behind."""
    spec = make_spec("echo open a browser >&2; sleep 54321 & wait")
    started = time.monotonic()
    told = find_error(spec, Patience(remaining=lambda: 0.8))
    assert told == "'sh' did not end within 0.4 s: open a browser"
    assert time.monotonic() - started < 8
    assert not is_running("sleep 54321")


def test_a_command_ends_when_its_attempt_is_to_stop() -> None:
    """A cancelled stage does not wait for it."""
    cancelled = threading.Event()
    cancelled.set()
    told = find_error(make_spec("sleep 54322"), Patience(wait=cancelled.wait))
    assert told == "'sh' was ended by SIGTERM"
    assert not is_running("sleep 54322")


def load(script: str) -> Any:
    """The official client's configuration of a kubeconfig with a command."""
    from kubernetes import client

    config = {
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": "https://x.test"}}],
        "users": [{"name": "u", "user": {"exec": make_spec(script)}}],
    }
    configuration = client.Configuration()
    make_loader(config, None, Patience).load_and_set(configuration)
    return configuration


def test_a_key_pair_is_taken() -> None:
    """A certificate and its key go into files, as the official client wants them."""
    found = load(answer(clientCertificateData="the certificate", clientKeyData="the key"))
    assert Path(found.cert_file).read_text() == "the certificate"
    assert Path(found.key_file).read_text() == "the key"


def test_a_token_that_expires_is_asked_for_again(tmp_path: Path) -> None:
    """Before it is used, by the time that the command tells."""
    counting = f"echo >> {tmp_path}/runs; n=$(wc -l < {tmp_path}/runs); "
    lasting = load(counting + answer(token="t", expirationTimestamp="2999-01-01T00:00:00Z"))
    assert lasting.get_api_key_with_prefix("BearerToken") == "Bearer t"
    assert (tmp_path / "runs").read_text() == "\n"
    old = load(
        counting
        + answer(token="t$n", expirationTimestamp="2020-01-01T00:00:00Z").replace("$n", "'$n'")
    )
    assert old.get_api_key_with_prefix("BearerToken") == "Bearer t3"
