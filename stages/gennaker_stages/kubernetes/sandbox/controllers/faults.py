"""Faults on purpose: which pods fail, and how. Asked by the simulated kubelet (:mod:`.pods`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gennaker.records import dataclass

from ..store import Store

__all__ = ["FAULTS", "Fault", "Faults"]

FAULTS = ("image-pull-error", "crash-loop", "never-ready", "slow")
ANNOTATION = "sandbox.gennaker.dev/fault"
DELAY = "sandbox.gennaker.dev/delay"
SLOW_SECONDS = 10.0
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong with a pod; ``delay`` (seconds) is how slow a slow one is."""

    name: str
    delay: float = SLOW_SECONDS


@dataclass(frozen=True, slots=True)
class _Rule:
    fault: Fault
    kind: str
    namespace: str | None
    name: str | None


class Faults:
    """Faults by the annotation of the pod (its template), and by rules injected in the process."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rules: list[_Rule] = []

    def inject(
        self, fault: Fault, *, kind: str, namespace: str | None = None, name: str | None = None
    ) -> None:
        """Let the pods of every matching object fail from their next start on.

        Raises:
            ValueError: for a fault that does not exist.
        """
        if fault.name not in FAULTS:
            raise ValueError(f"no fault {fault.name!r}; there are {', '.join(FAULTS)}")
        self._rules.append(_Rule(fault, kind, namespace, name))

    def clear(self) -> None:
        """Forget all injected rules."""
        self._rules.clear()

    def find(self, pod: Mapping[str, Any]) -> Fault | None:
        """Return what goes wrong with this pod, or None."""
        annotations = pod["metadata"].get("annotations", {})
        if annotations.get(ANNOTATION) in FAULTS:
            return Fault(annotations[ANNOTATION], _parse_delay(annotations.get(DELAY, "")))
        namespace = pod["metadata"].get("namespace", "")
        for kind, name in self._ancestry(pod):
            for rule in self._rules:
                if (
                    rule.kind == kind
                    and rule.name in (None, name)
                    and rule.namespace in (None, namespace)
                ):
                    return rule.fault
        return None

    def _ancestry(self, pod: Mapping[str, Any]) -> list[tuple[str, str]]:
        found = [("Pod", pod["metadata"]["name"])]
        namespace = pod["metadata"].get("namespace", "")
        for owner in pod["metadata"].get("ownerReferences", ()):
            found.append((owner["kind"], owner["name"]))
            if owner["kind"] == "ReplicaSet":
                parent = self._store.get("replicasets.apps", namespace, owner["name"])
                for above in (parent or {"metadata": {}})["metadata"].get("ownerReferences", ()):
                    found.append((above["kind"], above["name"]))
        return found


def _parse_delay(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h)", text)
    return float(match[1]) * _UNITS[match[2]] if match else SLOW_SECONDS
