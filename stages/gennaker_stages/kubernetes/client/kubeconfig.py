"""How a cluster is reached: kubeconfigs, the service account of a Pod, and which files are trusted.

A kubeconfig is code: loading one may run the command of its ``exec`` and read any file it names
(compare CVE-2022-24817). One that lies inside the project came with the repository, so it may do
neither, unless whoever runs Gennaker says so in ``GENNAKER_TRUST_KUBECONFIG``. The setting is not in
``gennaker.yaml``, for that came with the repository too.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gennaker.errors import InvalidInput, PermanentError
from gennaker.records import dataclass
from gennaker_stages.kubernetes.client.command import make_loader
from gennaker_stages.kubernetes.client.patience import Patience

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.settings import KubernetesSettings

__all__ = ["TRUST", "Access"]

TRUST = "GENNAKER_TRUST_KUBECONFIG"
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
_OF_USERS = ("exec", "auth-provider", "tokenFile", "client-key", "client-certificate")
_OF_CLUSTERS = ("certificate-authority", "insecure-skip-tls-verify")
# Parallel requests and watches each hold a connection; beyond this they would be made anew.
_CONNECTIONS = 32


@dataclass(frozen=True, slots=True)
class Access:
    """Which server, and as whom.

    Attributes:
        kubeconfig: the file; ``KUBECONFIG`` or ``~/.kube/config`` when None. Relative to ``project``.
        context: the context; the file's current one when None.
        project: the project root.
        in_cluster: whether the service account of the Pod that this runs in is used instead.
        user: who is impersonated, None for nobody.
        groups: the groups of ``user``.
    """

    kubeconfig: Path | None
    context: str | None
    project: Path
    in_cluster: bool = False
    user: str | None = None
    groups: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        kubeconfig: Path | None,
        context: str | None,
        settings: KubernetesSettings,
        *,
        project: Path,
    ) -> Access:
        """Return the access that an environment's settings ask for; in a sandbox, as nobody else."""
        sandbox = settings.sandbox is not None
        return cls(
            kubeconfig,
            context,
            project,
            in_cluster=settings.in_cluster and not sandbox,
            user=None if sandbox else settings.as_user,
            groups=settings.as_groups,
        )

    def load(self, find_patience: Callable[[], Patience] = Patience) -> Any:
        """Return a new client of the official library; reads every file and runs ``exec`` again.

        Args:
            find_patience: how long a command for credentials may take, asked whenever it is run.

        Raises:
            PermanentError: codes ``kubeconfig`` and ``unknown-context``.
        """
        if not self.in_cluster:
            self._check_there()  # the library takes a while to load
        from kubernetes import client

        configuration = client.Configuration()
        configuration.connection_pool_maxsize = _CONNECTIONS
        configuration.keep_alive = True
        with self._explain_errors():
            if self.in_cluster:
                _load_service_account(configuration)
            else:
                make_loader(self._read(), self.context, find_patience).load_and_set(configuration)
        return client.ApiClient(configuration)

    def describe(self) -> str:
        """Return in words what :meth:`load` reads; no command runs.

        Raises:
            PermanentError: codes ``kubeconfig`` and ``unknown-context``.
        """
        if self.in_cluster:
            from kubernetes.client import Configuration

            with self._explain_errors():
                _load_service_account(Configuration())
            return "the service account of this Pod"
        self._check_there()
        from kubernetes.config.kube_config import KubeConfigLoader

        with self._explain_errors():
            found = KubeConfigLoader(self._read(), active_context=self.context)  # type: ignore[no-untyped-call]
            name = found.current_context["name"]
        files = [each for each in self._list_files() if each.exists()]
        return f"{name!r} of {', '.join(map(str, files))}"

    @contextmanager
    def _explain_errors(self) -> Iterator[None]:
        """Turn the errors of the official library into ours."""
        from kubernetes.config.config_exception import ConfigException
        from yaml import YAMLError

        try:
            yield
        except ConfigException as error:
            raise self._explain(error) from error
        except YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            where = f" (line {mark.line + 1} of {mark.name!r})" if mark else ""
            raise PermanentError(
                f"the kubeconfig is not valid YAML{where}",
                code="kubeconfig",
                hint="correct it; 'kubectl config view' reads the same file",
            ) from None  # the error quotes the file, and with it credentials
        except (OSError, ValueError) as error:
            raise PermanentError(
                f"the kubeconfig cannot be read: {error}", code="kubeconfig"
            ) from error
        except (
            TypeError,
            AttributeError,
            KeyError,
        ) as error:  # of a library that expects another shape
            raise PermanentError(
                f"{self._name_files()} is no kubeconfig",
                code="kubeconfig",
                hint="'kubectl config view' reads the same file",
            ) from error

    def _find_file(self) -> Path | None:
        return self.project / self.kubeconfig.expanduser() if self.kubeconfig is not None else None

    def _list_files(self) -> list[Path]:
        path = self._find_file()
        return [path] if path else _list_usual_files()

    def _name_files(self) -> str:
        return " and ".join(repr(str(each)) for each in self._list_files())

    def exists(self) -> bool:
        """Whether there is a file that says how to reach the server."""
        files = [SERVICE_ACCOUNT / "token"] if self.in_cluster else self._list_files()
        return any(each.exists() for each in files)

    def _check_there(self) -> None:
        if self.exists():
            return
        wrong = "correct 'kubeconfig' in gennaker.yaml" if self.kubeconfig else "set KUBECONFIG"
        raise PermanentError(
            f"there is no kubeconfig {self._name_files()}",
            code="kubeconfig",
            hint=f"{wrong}, or try it without a cluster: 'gennaker run --sandbox'",
        )

    def _is_foreign(self, path: Path) -> bool:
        if os.environ.get(TRUST) == "1":
            return False
        root = self.project.resolve()
        # A link out of the project is as foreign as what it stands beside.
        return path.resolve().is_relative_to(root) or path.absolute().is_relative_to(root)

    def _explain(self, error: Exception) -> PermanentError:
        if self.in_cluster:
            return PermanentError(
                f"there is no service account to use: {error}",
                code="kubeconfig",
                hint="'in_cluster: true' is for what runs in a Pod; elsewhere give 'context'",
            )
        known, current = self._list_contexts()
        if not known:
            return PermanentError(
                f"there is no usable kubeconfig: {error}",
                code="kubeconfig",
                hint="set KUBECONFIG, or try it without a cluster: 'gennaker run --sandbox'",
            )
        name = self.context or current
        if name not in known:
            what = f"has no context {name!r}" if name else "names no current context"
            wrong = "correct 'context' in" if self.context else "give 'context' in"
            return PermanentError(
                f"the kubeconfig {what}; it has: {', '.join(sorted(known))}",
                code="unknown-context",
                hint=f"{wrong} gennaker.yaml, or try it with 'gennaker run --sandbox'",
            )
        return PermanentError(f"context {name!r} cannot be used: {error}", code="kubeconfig")

    def _list_contexts(self) -> tuple[list[str], str | None]:
        """Return the contexts there are, and the current one; nothing when they cannot be told."""
        from kubernetes.config.config_exception import ConfigException

        try:
            data = self._read()
            current = data.safe_get("current-context")
            return [str(each["name"]) for each in data["contexts"]], current
        except (ConfigException, TypeError, AttributeError, KeyError):
            return [], None

    def _read(self) -> Any:
        """Return the files as the official library reads them; no command runs."""
        from kubernetes.config.kube_config import ConfigNode, KubeConfigMerger

        path = self._find_file()
        if path is not None and self._is_foreign(path):
            return ConfigNode(path.name, read_harmless(path), path)  # type: ignore[no-untyped-call]
        files = os.pathsep.join(map(str, self._list_files()))
        return KubeConfigMerger(files).config  # type: ignore[no-untyped-call]


def _list_usual_files() -> list[Path]:
    given = os.environ.get("KUBECONFIG")
    if not given:
        return [Path.home() / ".kube" / "config"]
    return [Path(each).expanduser() for each in given.split(os.pathsep) if each]


def read_harmless(path: Path) -> dict[str, Any]:
    """Return a kubeconfig's data when it runs no command, reads no file and checks certificates.

    Raises:
        PermanentError: code ``kubeconfig``, naming the user or cluster and the key.
    """
    from gennaker.yamltext import compose

    try:
        data = compose(path.read_bytes(), file=str(path), schema="1.1").data
    except InvalidInput as error:
        raise PermanentError(
            f"the kubeconfig is not YAML: {error.problems[0]}", code="kubeconfig"
        ) from error
    if not isinstance(data, dict):
        raise PermanentError(f"{path.name!r} is no kubeconfig", code="kubeconfig")
    for section, inner, keys in (
        ("users", "user", _OF_USERS),
        ("clusters", "cluster", _OF_CLUSTERS),
    ):
        for entry in _list_entries(data, section, path):
            settings = entry.get(inner)
            for key in keys:
                if isinstance(settings, Mapping) and settings.get(key):
                    raise PermanentError(
                        f"{inner} {entry.get('name')!r} of {path.name!r} has {key!r}, which is "
                        "refused in a kubeconfig inside the project",
                        code="kubeconfig",
                        hint="keep that kubeconfig outside the project and name its context only, "
                        f"or trust it with {TRUST}=1 where you run gennaker",
                    )
    return data


def _list_entries(data: Mapping[str, Any], section: str, path: Path) -> list[Mapping[str, Any]]:
    found = data.get(section) or []
    if not isinstance(found, list) or not all(isinstance(each, Mapping) for each in found):
        raise PermanentError(f"{section!r} of {path.name!r} is no list", code="kubeconfig")
    return found


def _load_service_account(configuration: Any) -> None:
    from kubernetes.config.incluster_config import InClusterConfigLoader

    # It reads the token's file again every minute; see Connection for one that expires earlier.
    loader = InClusterConfigLoader(  # type: ignore[no-untyped-call]
        token_filename=str(SERVICE_ACCOUNT / "token"),
        cert_filename=str(SERVICE_ACCOUNT / "ca.crt"),
        environ=os.environ,
    )
    loader.load_and_set(configuration)  # type: ignore[no-untyped-call]
