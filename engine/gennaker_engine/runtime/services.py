"""What every delivery of an engine shares, and what all deliveries of one run share."""

from __future__ import annotations

import json
import re
import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gennaker.masking import Masker
from gennaker.plugins import Registry
from gennaker.stage import RunFacts
from gennaker_engine.core.messages import World
from gennaker_engine.core.run import Run
from gennaker_engine.core.scope import format_moment
from gennaker_engine.core.state import Instance
from gennaker_engine.journal.port import Journal
from gennaker_engine.runtime.clock import Clock
from gennaker_engine.runtime.inbox import Inbox
from gennaker_engine.runtime.secrets import SecretReader, reveal_secrets
from gennaker_engine.runtime.threads import ThreadPool
from gennaker_engine.storage.artifacts import ArtifactFolder
from gennaker_engine.storage.folder import StateFolder
from gennaker_engine.storage.logs import LogStore
from gennaker_engine.storage.source import materialize_source
from gennaker_engine.storage.workspaces import Workspaces

__all__ = ["LogNote", "RunServices", "Services", "describe_facts", "make_run_services"]

_KEPT_NOTES = 10_000
_SECRET = re.compile(r"\bsecrets(?:\.|\[\\?['\"])([A-Za-z_][A-Za-z0-9_-]*)")


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
    journal: Journal
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
    earlier: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]] = ()
    """Inputs and environment of what was delivered before this process drove the run."""
    sources: Sequence[tuple[str, Any]] = ()
    """Provider and setting of the secrets that stages taken over from another run were given."""
    rollback_of: str | None = None
    """The run that this one puts back."""
    _masking: threading.Lock = field(default_factory=threading.Lock)
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

    def mask_earlier(self, declared: Mapping[str, Any]) -> None:
        """Hide what the run's stages were given in other processes, before the next one works.

        What they left (an artifact, a line in a file) may be shown by a stage that knows no secret.

        Args:
            declared: the project's secrets, name to provider and setting.
        """
        with self._masking:
            earlier, self.earlier = self.earlier, ()
            shared = self.shared
            sources, self.sources = self.sources, ()
            for provider, setting in sources:
                with suppress(Exception):  # as below
                    read = shared.registry.secret_provider(provider)().read
                    self.masker.add(read(setting, project=shared.project))
            for inputs, environment in earlier:
                known = {**declared, **(environment.get("secrets") or {})}
                reader = SecretReader(known, shared.registry, shared.project, self.masker.add)
                for name, value in inputs.items():
                    # A provider is a plugin, and the secret may be gone: then nobody can show it.
                    with suppress(Exception):
                        reveal_secrets({name: value}, reader)

    def has_secret(self, text: str) -> bool:
        """Whether the text holds the value of a secret the run has read."""
        return self.masker.mask(text) != text


def make_run_services(shared: Services, run: Run, world: World) -> RunServices:
    """Return the services of a run that has started; the world knows where its secrets are."""
    earlier = [
        (each.inputs, each.environment or {})
        for each in run.facts.instances.values()
        if each.inputs and _was_delivered(each)
    ]
    sources = list(_find_reused_secrets(run, world))
    facts = describe_facts(run)
    created = run.created
    return RunServices(
        shared,
        facts,
        created.source,
        earlier=earlier,
        sources=sources,
        rollback_of=created.rollback_of,
    )


def describe_facts(run: Run) -> RunFacts:
    """Return what stages and expressions are told of their run."""
    created = run.created
    started = run.facts.started_at
    return RunFacts(
        id=created.run,
        number=created.number,
        pipeline=created.pipeline,
        title=created.title,
        actor=created.actor,
        started_at=format_moment(created.at if started is None else started),
    )


def _find_reused_secrets(run: Run, world: World) -> Iterator[tuple[str, Any]]:
    """Yield where the secrets are that the definitions of reused stages mention.

    Their inputs are in the journal of another run; where the environment is computed, or its secrets
    have moved since, those of every environment that has the name are meant.
    """
    stages = run.created.definition.get("stages", {})
    for name in run.created.reused:
        written = stages.get(name, {})
        environments = world.environments
        if written.get("environment") in environments:
            environments = {"": environments[written["environment"]]}
        for secret in set(_SECRET.findall(json.dumps(written))):
            for known in (world.secrets, *(each.secrets for each in environments.values())):
                if secret in known:
                    yield known[secret]


def _was_delivered(instance: Instance) -> bool:
    """Whether a delivery of it ended before the one that may be about to begin."""
    ended = instance.ended_at is not None or instance.waiting is not None
    return ended or instance.attempt > 1 or instance.delivery > 1
