"""What expressions see of a run: views that look things up when they are asked, never copies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from gennaker.errors import UnknownValue
from gennaker.expressions import NoOutputs, Scope
from gennaker.expressions.scope import Status
from gennaker_engine.core.state import RunState, StageState

__all__ = ["AskedStatus", "format_moment", "make_scope"]

Json = Any


def format_moment(at: float) -> str:
    """Return seconds since the epoch as RFC 3339 text in UTC, to the millisecond."""
    moment = datetime.fromtimestamp(at, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def make_scope(
    run: RunState,
    *,
    matrix: Mapping[str, Json] | None = None,
    environment: Mapping[str, Json] | None = None,
    status: Status | None = None,
) -> Scope:
    """Return the scope of one evaluation.

    Args:
        matrix: the instance's values.
        environment: the resolved environment (``StageResolved.environment``).
        status: answers ``success()`` and its like, in an ``if`` only.
    """
    values: dict[str, Any] = dict(_roots(run))
    if matrix is not None:
        values["matrix"] = matrix
    if environment is not None:
        values["environment"] = {
            "name": environment["name"],
            "namespace": environment.get("namespace"),
            "url": environment.get("url"),
            "variables": environment.get("variables", {}),
        }
    return Scope(values=values, status=status, files=run.created.files)


def _roots(run: RunState) -> Mapping[str, Any]:
    roots = run.caches.get("roots")
    if roots is None:
        created = run.created
        moment = run.started_at if run.started_at is not None else created.at
        roots = {
            "params": created.parameters,
            "stages": _Stages(run),
            "git": created.git,
            "trigger": created.trigger,
            "run": {
                "id": created.run,
                "number": created.number,
                "pipeline": created.pipeline,
                "title": created.title,
                "actor": created.actor,
                "started_at": format_moment(moment),
            },
        }
        if run.started_at is not None:
            run.caches["roots"] = roots
    return roots


class _Stages(Mapping[str, Json]):
    """``stages``: outcome and outputs of each stage that has ended; the others are not known."""

    __slots__ = ("_run",)

    def __init__(self, run: RunState) -> None:
        self._run = run

    def __getitem__(self, name: str) -> Json:
        stage = self._run.stages[name]
        if stage.state != "ended":
            raise UnknownValue(name)
        return {
            "outcome": stage.outcome,
            "outputs": NoOutputs(name) if stage.outputs is None else stage.outputs,
        }

    def __contains__(self, name: object) -> bool:
        return name in self._run.stages

    def __iter__(self) -> Iterator[str]:
        return iter(self._run.stages)

    def __len__(self) -> int:
        return len(self._run.stages)


class AskedStatus:
    """``success()``, ``failure()``, ``always()``, ``aborted()`` for one stage."""

    __slots__ = ("_run", "_stage")

    def __init__(self, run: RunState, stage: StageState) -> None:
        self._run = run
        self._stage = stage

    def success(self) -> bool:
        """Each direct need went well; in ``finally``: each stage outside it."""
        return self._run.bad == 0 if self._stage.plan.in_finally else not self.blocker()

    def failure(self) -> bool:
        """Some ancestor failed or errored and is not ignored; in ``finally``: some stage outside."""
        if self._stage.plan.in_finally:
            return self._run.failed > 0
        return any(self._run.stages[each].failed_above for each in self._stage.plan.needs)

    def always(self) -> bool:
        """Yes."""
        return True

    def aborted(self) -> bool:
        """Some ancestor was aborted; in ``finally``: some stage outside."""
        if self._stage.plan.in_finally:
            return self._run.aborted_stages > 0
        return any(self._run.stages[each].aborted_above for each in self._stage.plan.needs)

    def blocker(self) -> str | None:
        """Return the first direct need that did not go well."""
        for each in self._stage.plan.needs:
            if not self._run.stages[each].succeeded:
                return each
        return None
