"""The command that a kubeconfig names for credentials (``exec``), run in bounded time.

The official library runs it itself, without a limit and out of our hands; here it goes through the one
subprocess wrapper. The rules are those of Kubernetes' client authentication (KEP-541), but that the
command gets no terminal to read from: stages run several at once, and in services.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gennaker.errors import PermanentError, StageError
from gennaker.process import ChildProcess, describe_exit
from gennaker_stages.kubernetes.client.patience import Patience

__all__ = ["make_loader", "run_command"]

COMMAND_SECONDS = 60.0
"""How long the command may take; less when its attempt has less."""
LOGIN_SECONDS = 300.0
"""The same at a terminal, where somebody may be asked to log in, in a browser for example."""
_MOST = 1 << 20
_EXTENSION = "client.authentication.k8s.io/exec"
_ADVICE = "the command of its user has to be on the PATH and to work: 'kubectl get ns' runs it"


def make_loader(config: Any, context: str | None, find_patience: Callable[[], Patience]) -> Any:
    """Return the official library's reader of a kubeconfig, which runs commands as :func:`run_command`.

    Args:
        config: the kubeconfig, as the library reads it.
        context: the context, the file's current one when None.
        find_patience: how long the command may take, asked each time that it is run.
    """
    from kubernetes.config import kube_config

    library: Any = kube_config  # it has no types

    class Loader(library.KubeConfigLoader):  # type: ignore[misc]
        def _load_from_exec_plugin(self) -> bool:
            if "exec" not in self._user:
                return False
            base = self._get_base_path(self._cluster.path)
            cluster = self._cluster.value
            status = run_command(self._user["exec"].value, base, cluster, find_patience())
            if "token" in status:
                self.token = f"Bearer {status['token']}"
            else:
                for name, key in (
                    ("cert_file", "clientCertificateData"),
                    ("key_file", "clientKeyData"),
                ):
                    data = library.FileOrData(status, None, key, base, base64_file_content=False)
                    setattr(self, name, data.as_file())
            if "expirationTimestamp" in status:
                self.expiry = library.parse_rfc3339(status["expirationTimestamp"])
            return True

    return Loader(config, active_context=context, config_base_path=None)


def run_command(
    spec: Mapping[str, Any], folder: str, cluster: Mapping[str, Any], patience: Patience
) -> Mapping[str, Any]:
    """Return the status of the ``ExecCredential`` that a command prints: a token, or a certificate and key.

    Args:
        spec: the user's ``exec``.
        folder: of the kubeconfig; the command runs there.
        cluster: of the context, told to a command that wants to know it.
        patience: how long it may take, and whether its attempt is to stop.

    Raises:
        PermanentError: code ``kubeconfig``, with the command's last words.
    """
    missing = [key for key in ("command", "apiVersion") if not spec.get(key)]
    if missing:
        raise _refuse(f"'exec' of its user has no {missing[0]!r}")
    name, version = str(spec["command"]), str(spec["apiVersion"])
    argv = [name, *map(str, spec.get("args") or ())]
    given = {str(each["name"]): str(each["value"]) for each in spec.get("env") or ()}
    about: dict[str, Any] = {"interactive": False}
    if spec.get("provideClusterInfo"):
        about["cluster"] = _describe_cluster(cluster)
    info = {"apiVersion": version, "kind": "ExecCredential", "spec": about}
    # All of the environment: it is the user's own command, and finds its own credentials there.
    environment = {**os.environ, **given, "KUBERNETES_EXEC_INFO": json.dumps(info)}
    answer = _read_output(argv, Path(folder) if folder else None, environment, patience)
    try:
        found = json.loads(answer)
        if found["apiVersion"] != version:
            raise _refuse(
                f"{name!r} answers as {found['apiVersion']!r}, and not as {version!r} as 'exec' says"
            )
        status: Mapping[str, Any] = found["status"]
        if "token" in status or {"clientCertificateData", "clientKeyData"} <= set(status):
            return status
    except (ValueError, KeyError, TypeError):
        raise _refuse(f"{name!r} printed no ExecCredential") from None
    raise _refuse(f"{name!r} printed an ExecCredential with neither a token nor a certificate")


def _read_output(
    argv: list[str], folder: Path | None, environment: Mapping[str, str], patience: Patience
) -> bytes:
    """Return what the command prints; at a terminal its errors are shown as they come."""
    shown = sys.stderr.isatty()
    left = patience.remaining()
    # Some of the attempt's time is kept, to say why it is over.
    limit = min(LOGIN_SECONDS if shown else COMMAND_SECONDS, max(left - 1, left / 2, 0.1))
    written = {"stdout": bytearray(), "stderr": bytearray()}

    def keep(stream: str, chunk: bytes) -> None:
        written[stream] += chunk
        if len(written[stream]) > _MOST:
            raise _refuse(f"{argv[0]!r} wrote more than {_MOST} bytes")
        if shown and stream == "stderr":
            sys.stderr.write(chunk.decode(errors="replace"))
            sys.stderr.flush()

    try:
        child = ChildProcess(argv, cwd=folder, env=environment)
    except StageError as error:
        raise _refuse(error.message) from error
    code = child.pump(keep, timeout=limit, should_stop=lambda: patience.wait(0), grace=1)
    if code == 0 and not child.timed_out:
        return bytes(written["stdout"])
    if child.timed_out:
        how = f"did not end within {limit:.3g} s"
    else:
        how = f"{'ended with' if code > 0 else 'was'} {describe_exit(code)}"
    said = " ".join(written["stderr"].decode(errors="replace").split())
    raise _refuse(f"{argv[0]!r} {how}: {said}" if said else f"{argv[0]!r} {how}")


def _describe_cluster(cluster: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cluster as ``spec.cluster`` of an ``ExecCredential`` has it."""
    found = {key: value for key, value in cluster.items() if key != "extensions"}
    for each in cluster.get("extensions") or ():
        if each.get("name") == _EXTENSION:
            found["config"] = each.get("extension")
    return found


def _refuse(told: str) -> PermanentError:
    return PermanentError(
        f"the kubeconfig gives no credentials: {told}", code="kubeconfig", hint=_ADVICE
    )
