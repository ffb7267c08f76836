"""Ending a run whose history is damaged: what both journals' transactions have from here.

Each gives only how it executes its SQL, as for retention.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gennaker_engine.journal.deployments import TransactionDeployments
from gennaker_engine.journal.port import RunRow
from gennaker_engine.journal.rows import RUN_FIELDS, encode_event

__all__ = ["TransactionRepair"]


class TransactionRepair(TransactionDeployments):
    """Repair inside a transaction."""

    def _count_up(self, name: str) -> int:
        raise NotImplementedError

    def end_damaged(self, row: RunRow, event: Mapping[str, Any]) -> None:
        """Project the row and put the event behind all that are there, whatever they are.

        Args:
            row: the run's row as it is to be; its version is that of the row as it is.
            event: JSON data of the last event.
        """
        found = self._ask("select_last_sequence", {"run": row.run})
        after = max(row.version, *(last or 0 for (last,) in found)) + 1
        closed = replace(row, version=after)
        values = {name: getattr(closed, name) for name in RUN_FIELDS}
        self._ask(
            "update_run", {**values, "expected": row.version, "change": self._count_up("change")}
        )
        data = encode_event(dict(event))
        self._change("insert_last_event", {"run": row.run, "sequence": after, "data": data})
