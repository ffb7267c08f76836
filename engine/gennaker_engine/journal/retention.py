"""What retention needs of a journal: looking through all runs, removing ended ones, saying so.

Both journals have these verbs from here; each gives only its SQL and how to execute it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gennaker_engine.journal.port import DeployRow, Removal, RunSummary

__all__ = ["JournalRetention", "TransactionRetention"]

Json = Any
Rows = list[tuple[Any, ...]]
_CHUNK = 2000
"""Events that are looked through at a time: no reader stays open for long."""
_LAST = 2**62


class TransactionRetention:
    """Retention inside a transaction."""

    def _ask(self, name: str, parameters: Mapping[str, Json]) -> Rows:
        raise NotImplementedError

    def _change(self, name: str, parameters: Mapping[str, Json]) -> int:
        raise NotImplementedError

    def _pass_list(self, values: Sequence[str]) -> Json:
        raise NotImplementedError

    def list_summaries(self) -> list[RunSummary]:
        """Return every run, newest first."""
        return [
            RunSummary(run, pipeline, bool(sandbox), *rest)
            for run, pipeline, sandbox, *rest in self._ask("select_summaries", {})
        ]

    def list_deploys(self) -> list[DeployRow]:
        """Return the last deploy of every environment."""
        return [DeployRow(*row) for row in self._ask("select_deploys", {})]

    def list_retries_of(self, runs: Sequence[str]) -> list[tuple[str, str]]:
        """Return (retry, what it retried) for the retries of these runs that there are."""
        found = self._ask("select_retries_of", {"runs": self._pass_list(runs)})
        return [(run, original) for run, original in found]

    def remove_runs(self, runs: Sequence[str]) -> int:
        """Remove those of the runs that have ended, with their events; return how many events.

        The numbers of a pipeline's runs go on: none is given twice.
        """
        values = {"runs": self._pass_list(runs)}
        events = self._change("delete_events", values)
        self._change("delete_deployments", values)
        self._change("delete_runs", values)
        return events

    def record_removal(self, removal: Removal) -> None:
        """Keep what was removed; one with the same time and actor is replaced."""
        data = json.dumps({"policy": removal.policy, "counts": removal.counts})
        self._change("write_removal", {"at": removal.at, "actor": removal.actor, "data": data})


class JournalRetention:
    """Retention of a whole journal, outside a transaction."""

    def _look(self, name: str, parameters: Mapping[str, Json]) -> Rows:
        raise NotImplementedError

    def scan_events(self, text: str) -> Iterator[tuple[str, str]]:
        """Yield run and JSON of every event that holds the text, newest run first."""
        key = sequence = _LAST
        while True:
            values = {"key": key, "sequence": sequence, "text": text, "limit": _CHUNK}
            rows = self._look("select_events_with", values)
            for key, sequence, run, data in rows:  # noqa: B007 - the last one is where to go on
                yield run, data
            if len(rows) < _CHUNK:
                return

    def list_removals(self, *, limit: int = 50) -> list[Removal]:
        """Return what was removed, newest first."""
        found = self._look("select_removals", {"limit": limit})
        return [Removal(at, actor, **json.loads(data)) for at, actor, data in found]
