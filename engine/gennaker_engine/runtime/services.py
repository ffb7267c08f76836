"""What every delivery of an engine shares, and what all deliveries of one run share."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gennaker.masking import Masker
from gennaker.plugins import Registry
from gennaker.stage import RunFacts
from gennaker_engine.core.run import Run
from gennaker_engine.core.scope import format_moment
from gennaker_engine.runtime.clock import Clock
from gennaker_engine.runtime.inbox import Inbox
from gennaker_engine.runtime.threads import ThreadPool
from gennaker_engine.storage.artifacts import ArtifactFolder
from gennaker_engine.storage.folder import StateFolder
from gennaker_engine.storage.logs import LogStore
from gennaker_engine.storage.source import materialize_source
from gennaker_engine.storage.workspaces import Workspaces

__all__ = ["LogNote", "RunServices", "Services", "make_run_services"]

_KEPT_NOTES = 10_000


@dataclass(frozen=True, slots=True)
class LogNote:
    """A line of a log, on its way to the observer."""

    run: str
    instance: str
    attempt: int
    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class Services:
    """The engine's parts that deliveries work with."""

    registry: Registry
    project: Path
    state: StateFolder
    artifacts: ArtifactFolder
    logs: LogStore
    workspaces: Workspaces
    inbox: Inbox
    pool: ThreadPool
    clock: Clock
    notes: deque[LogNote] = field(default_factory=lambda: deque(maxlen=_KEPT_NOTES))
    """Lines for the observer; of a stage that floods it, the oldest are left out."""


@dataclass(slots=True)
class RunServices:
    """What is one for a whole run: its facts, its secrets' masks, its source tree."""

    shared: Services
    facts: RunFacts
    source_facts: Mapping[str, Any]
    masker: Masker = field(default_factory=Masker)
    _source: Path | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def source(self) -> Path:
        """The run's read-only source tree, made on first use."""
        with self._lock:
            if self._source is None:
                self._source = materialize_source(
                    self.source_facts, state=self.shared.state, root=self.shared.project
                )
            return self._source

    def has_secret(self, text: str) -> bool:
        """Whether the text holds the value of a secret the run has read."""
        return self.masker.mask(text) != text


def make_run_services(shared: Services, run: Run) -> RunServices:
    """Return the services of a run that has started."""
    created = run.created
    started = run.facts.started_at
    facts = RunFacts(
        id=created.run,
        number=created.number,
        pipeline=created.pipeline,
        title=created.title,
        actor=created.actor,
        started_at=format_moment(created.at if started is None else started),
    )
    return RunServices(shared, facts, created.source)
