"""A context to call a stage with in a test: real folders, artifacts and processes, no engine."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from gennaker.errors import PermanentError, StageError
from gennaker.masking import Masker
from gennaker.stage import Environment, RunFacts, Waiting

if TYPE_CHECKING:
    from gennaker.stage import Artifact, ArtifactStore

__all__ = ["AttemptCancelled", "FakeContext"]

_MAX_STEP = 64 << 10
_RUN = RunFacts("test-1", 1, "test", "test", "local:tester", "2026-01-01T00:00:00Z")
Json = Any
T = TypeVar("T")


class AttemptCancelled(BaseException):
    """Ends a stage whose attempt is to stop; no ``Exception``, so that no stage swallows it."""


@dataclass
class FakeContext:
    """What ``run`` and ``plan`` are given, for tests: ``Greet().run(inputs, FakeContext(tmp_path))``.

    Attributes:
        root: a folder of the test's own; everything is below it.
        source: the source tree, an empty folder unless given.
        environment: where the stage acts.
        connection: what :meth:`connect` returns.
        secrets: values that are masked in the log.
        timeout: seconds of working time the attempt has.
        lines: what was logged, ``(stream, line)`` each, masked.
        steps: results of the steps that are done, by name.
        guards: ``(kind, name)`` of the guards that are open now.
        before: what was recorded of what was there before.
    """

    root: Path
    stage: str = "stage"
    instance: str = ""
    attempt: int = 1
    delivery: int = 1
    environment: Environment | None = None
    source: Path = Path()
    project: Path = Path()
    resumed: Json = None
    shown: Json = None
    event: Json = None
    connection: Any = None
    secrets: Sequence[str] = ()
    timeout: float = 60.0
    run: RunFacts = _RUN
    lines: list[tuple[str, str]] = field(default_factory=list)
    steps: dict[str, Json] = field(default_factory=dict)
    guards: list[tuple[str, str]] = field(default_factory=list)
    before: Artifact | None = None

    def __post_init__(self) -> None:
        self.instance = self.instance or self.stage
        if self.source == Path():
            self.source = self._make("source")
        if self.project == Path():
            self.project = self.source
        self.key = f"{self.run.id}/{self.instance}/{self.attempt}"
        self.workspace = self.root / "workspace"
        if self.workspace.exists():
            shutil.rmtree(self.workspace)
        self.workspace.mkdir(parents=True)
        self.cache = self._make("cache")
        self.artifacts = self._open_artifacts()
        self._masker = Masker(self.secrets)
        self._stop = threading.Event()
        self._parked = False
        self._until = time.monotonic() + self.timeout
        self._used: set[str] = set()

    def redeliver(self) -> FakeContext:
        """Return the next delivery of the same attempt, as after a crash: finished steps are kept."""
        return self._follow(delivery=self.delivery + 1)

    def resume(self, waiting: Waiting, event: Json = None) -> FakeContext:
        """Return the context of the next call after a wait, as ended by ``event``."""
        return self._follow(resumed=waiting.state, event=event)

    def cancel(self) -> None:
        """Tell the stage to stop."""
        self._stop.set()

    def park(self) -> None:
        """Tell the stage to stop here: the attempt is delivered again later."""
        self._parked = True
        self._stop.set()

    @property
    def log_text(self) -> str:
        """The log so far, as one text."""
        return "\n".join(line for _, line in self.lines)

    def connect(self) -> Any:
        """Return ``connection``."""
        if self.connection is None:
            raise PermanentError("there is no target to connect to", code="no-target")
        return self.connection

    def log(self, text: str, *, stream: Literal["stdout", "stderr", "system"] = "system") -> None:
        """Keep the text in ``lines``."""
        self.lines += [(stream, line) for line in self._masker.mask(text).splitlines() or [""]]

    def mask(self, text: str) -> str:
        """Return text with the secrets hidden."""
        return self._masker.mask(text)

    def step(self, name: str, fn: Callable[[str], T]) -> T:
        """Call ``fn(key)`` unless the attempt remembers its result."""
        self.check_cancelled()
        if name in self._used:
            raise PermanentError(
                f"step {name!r} is done twice in one attempt",
                code="step-repeated",
                hint="in a loop, put what differs into its name",
            )
        self._used.add(name)
        if name not in self.steps:
            text = json.dumps(fn(f"{self.key}/{name}"), allow_nan=False)
            if len(text.encode()) > _MAX_STEP:
                raise PermanentError(
                    f"the result of step {name!r} has more than 64 KiB", code="output-size"
                )
            self.steps[name] = json.loads(text)
        found: T = self.steps[name]
        return found

    def record_before(self, artifact: Artifact) -> None:
        """Keep it as :attr:`before`."""
        self.check_cancelled()
        self.before = artifact

    @property
    def cancelled(self) -> bool:
        """Whether :meth:`cancel` was called."""
        return self._stop.is_set()

    @property
    def parked(self) -> bool:
        """Whether :meth:`park` was called."""
        return self._parked

    def check_cancelled(self) -> None:
        """Raise :class:`AttemptCancelled` when it was."""
        if self.cancelled:
            raise AttemptCancelled("told to stop")

    def wait_cancelled(self, seconds: float) -> bool:
        """Sleep at most ``seconds``; return True at once when the attempt is to stop."""
        return self._stop.wait(max(0.0, seconds))

    @property
    def remaining(self) -> float:
        """Seconds of working time left."""
        return max(0.0, self._until - time.monotonic())

    def run_process(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str, str], None] | None = None,
    ) -> int:
        """Run a real child; it ends with the attempt."""
        from gennaker.process import ChildProcess

        self.check_cancelled()
        child = ChildProcess(list(argv), cwd=cwd or self.workspace, env=env)
        code = child.follow(
            on_line or self._log_line,
            timeout=self.remaining,
            should_stop=self._stop.is_set,
            make_mask=self._masker.stream,
        )
        self.check_cancelled()
        if child.timed_out:
            raise StageError(f"the attempt took longer than {self.timeout:g} s", code="timeout")
        return code

    @contextmanager
    def guard(self, kind: str, name: str) -> Iterator[None]:
        """Keep ``(kind, name)`` in ``guards`` while the block runs."""
        self.guards.append((kind, name))
        try:
            yield
        finally:
            self.guards.remove((kind, name))

    def _log_line(self, stream: str, line: str) -> None:
        self.lines.append((stream, line))

    def _follow(self, **changes: Any) -> FakeContext:
        from dataclasses import replace

        return replace(self, guards=[], **changes)

    def _make(self, name: str) -> Path:
        folder = self.root / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def _open_artifacts(self) -> ArtifactStore:
        from gennaker_engine.storage.artifacts import ArtifactFolder

        return ArtifactFolder(self.root / "artifacts")
