"""The target contract: what an environment can be (a cluster and a namespace, a Docker host ...).

An environment's key that names a target plugin holds that plugin's settings. Registered under the
entry-point group ``gennaker.targets``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict

from gennaker.checks import Check
from gennaker.fields import LiveThing
from gennaker.records import dataclass
from gennaker.stage import API_VERSION

__all__ = ["Check", "RunningSandbox", "Target", "TargetSettings"]


class TargetSettings(BaseModel):
    """Base of a target's settings in ``gennaker.yaml``; unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


@dataclass(frozen=True, slots=True)
class RunningSandbox:
    """A target's sandbox that runs for a state folder.

    Attributes:
        url: where it listens, without its secret.
        pid: its process.
        access: what the target's own tools need to reach it, by name (``kubeconfig``: a file).
    """

    url: str
    pid: int
    access: Mapping[str, str]


class Target:
    """A kind of place to deploy to; subclass it, set ``name`` and ``Settings``.

    One instance, made without arguments, connects all stages of a plan: what it learns for one it may
    know for the others. Each stage of a run has one of its own.
    """

    name: ClassVar[str]
    api_version: ClassVar[int] = API_VERSION
    Settings: ClassVar[type[TargetSettings]] = TargetSettings

    def namespace(self, settings: Any) -> str | None:
        """Return what ``environment.namespace`` is in expressions. Pure."""
        return None

    def connect(self, settings: Any, *, environment: str, project: Path) -> Any:
        """Return a connection for stages (``ctx.connect()``); the type is the plugin's own.

        Raises:
            StageError: when it cannot be reached, saying what to do.
        """
        raise NotImplementedError

    def check_access(
        self, settings: Any, *, environment: str, project: Path, seconds: float
    ) -> Iterable[Check]:
        """Tell whether deploys will get there and may work there, for ``gennaker doctor``.

        No side effect. Checks are best told one by one: those that were are shown when a later one
        takes too long. Nothing may run that came with the project.

        Args:
            settings: of the environment.
            environment: its name.
            project: the project root.
            seconds: how long the target may be asked in all.
        """
        return ()

    def read_fields(self, connection: Any, kind: str, name: str) -> LiveThing:
        """Return a thing that is there, field by field, with who set each.

        Args:
            connection: what :meth:`connect` returned.
            kind: what kind of thing, as people write it.
            name: which one.

        Raises:
            ThingMissing: there is none of that name.
            InvalidInput: code ``unknown-kind``; ``no-fields`` when things of the target have no
                fields that anybody owns.
            StageError: when it cannot be reached.
        """
        from gennaker.errors import InvalidInput

        raise InvalidInput(
            f"target {self.name!r} does not tell who set what",
            code="no-fields",
            hint="see the deploys there: 'gennaker history ENV'",
        )

    def sandbox(self, settings: Any, *, environment: str, state: Path) -> Mapping[str, Any]:
        """Return settings (plain data) that point at this state folder's sandbox instead.

        Starts the sandbox when it does not run. A target without one refuses ``--sandbox``.
        """
        from gennaker.errors import InvalidInput

        raise InvalidInput(
            f"target {self.name!r} has no sandbox",
            code="no-sandbox",
            hint=f"run without --sandbox, or give environment {environment!r} another target",
        )

    def find_sandbox(
        self, environments: Mapping[str, Any], *, state: Path, start: bool = False
    ) -> RunningSandbox | None:
        """Return the sandbox that runs for this state folder, None when none does.

        Args:
            environments: the settings of each environment it has a place for, by name.
            state: the state folder.
            start: start it when it does not run; it then stays until :meth:`stop_sandbox`. A target
                without a sandbox still returns None.
        """
        return None

    def stop_sandbox(self, *, state: Path) -> bool:
        """End this state folder's sandbox, its content stays; return whether one ran."""
        return False
