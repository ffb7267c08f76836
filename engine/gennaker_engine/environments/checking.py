"""What plugins tell of this machine and of the targets of environments; asked all at once, in bounded time.

``gennaker doctor`` asks. A plugin is anybody's code, and what it asks may never answer: each is asked
on a thread of its own, which is left behind when it takes too long; a program that it waits for is ended.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

from gennaker.checks import Check
from gennaker.errors import GennakerError
from gennaker.plugins import Registry
from gennaker.process import end_children
from gennaker.project import Project
from gennaker.settings import EnvironmentSettings

__all__ = ["Inquiry", "ask_environments", "ask_machine"]

SECONDS = 5.0
"""How long a target, or this machine, is asked."""
GRACE = 3.0
"""So much longer the rest may take: loading a client, a command that makes credentials."""


class Inquiry:
    """A question to a plugin, which is being answered from now on.

    Args:
        name: what is asked about, for what goes wrong.
        ask: yields the answers.
    """

    def __init__(self, name: str, ask: Callable[[], Iterable[Check]]) -> None:
        self.name = name
        self._ask = ask
        self._found: list[Check] = []
        self._until = time.monotonic() + SECONDS + GRACE
        self._thread = threading.Thread(target=self._collect, name=name, daemon=True)
        self._thread.start()

    def finish(self) -> list[Check]:
        """Return the answers, those there are when the time is over."""
        self._thread.join(max(0.0, self._until - time.monotonic()))
        found = list(self._found)
        if self._thread.is_alive():
            end_children(self._thread.native_id or 0)
            advice = (
                "see whether its server answers, and the command of its credentials, if it has one"
            )
            text = f"no more was told within {SECONDS + GRACE:g} s"
            found.append(Check(self.name, "wrong", text, advice))
        return found

    def _collect(self) -> None:
        try:
            for each in self._ask():
                self._found.append(each)
        except GennakerError as error:
            advice = error.hint or "correct it in gennaker.yaml"
            self._found.append(Check(self.name, "wrong", error.message, advice))
        # A plugin is anybody's code: what it raises is its own fault, and told so.
        except (Exception, SystemExit) as error:  # noqa: BLE001
            said = str(error).strip().partition("\n")[0]
            text = f"its check failed: {type(error).__name__}: {said}"
            self._found.append(Check(self.name, "wrong", text, "report it to whose plugin it is"))


def ask_machine(registry: Registry) -> list[Inquiry]:
    """Ask every stage type what it needs of this machine; a broken one says nothing."""
    inquiries = []
    for name in registry.names("stages"):
        try:
            kind = registry.stage(name)
        except GennakerError:
            continue
        inquiries.append(Inquiry(name, partial(kind.check_machine, seconds=SECONDS)))
    return inquiries


def ask_environments(registry: Registry, project: Project) -> list[Inquiry]:
    """Ask the target of every environment whether deploys will work there.

    Raises:
        InvalidInput: the project's settings cannot be read.
    """
    return [
        Inquiry(f"environment {name}", partial(_ask_target, registry, project.root, name, each))
        for name, each in project.load_settings().environments.items()
        if each.target is not None
    ]


def _ask_target(
    registry: Registry, root: Path, name: str, written: EnvironmentSettings
) -> Iterator[Check]:
    from gennaker_engine.runtime.world import validate_target

    kind = registry.target(str(written.target))
    settings = validate_target(kind, name, written)
    checks = kind().check_access(settings, environment=name, project=root, seconds=SECONDS)
    for each in checks:
        yield replace(each, name=f"environment {name}, {each.name}")
