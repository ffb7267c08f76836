"""The deploys of environments, one row each, written in the transaction of the events they are of.

Both journals have these verbs from here; each gives only its SQL and how to execute it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from gennaker_engine.journal.port import Deployment
from gennaker_engine.journal.retention import JournalRetention, TransactionRetention

__all__ = ["JournalDeployments", "TransactionDeployments"]

Json = Any


class TransactionDeployments(TransactionRetention):
    """Deployments inside a transaction."""

    def write_deployment(self, row: Deployment) -> None:
        """Insert or replace the deploy of (scope, environment, run, instance)."""
        self._change("write_deployment", asdict(row))


class JournalDeployments(JournalRetention):
    """Deployments of a whole journal, outside a transaction."""

    def list_deployments(
        self, scope: str, environment: str, *, limit: int = 50
    ) -> list[Deployment]:
        """Return the deploys of an environment, newest first."""
        which: Mapping[str, Json] = {"scope": scope, "environment": environment, "limit": limit}
        return [Deployment(*row) for row in self._look("select_deployments", which)]

    def list_current_deployments(self, scope: str) -> list[Deployment]:
        """Return the newest deploy of each instance in each environment, by their names."""
        found = self._look("select_current_deployments", {"scope": scope})
        return [Deployment(*row) for row in found]
