"""Jobs: pods until enough of them succeeded, or too many failed."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from .base import Controller, Object, is_live, is_ready

__all__ = ["Jobs"]


class Jobs(Controller):
    """Runs pods up to ``parallelism`` until ``completions`` succeeded or ``backoffLimit`` is passed."""

    storages = ("jobs.batch",)
    owned = ("pods",)

    def reconcile(self, storage: str, obj: Object) -> None:
        """Start what may start, then count; an ended Job stays as it is."""
        if obj["metadata"].get("deletionTimestamp"):
            return
        if _ended(obj):
            self._expire(storage, obj)
            return
        spec, status = obj["spec"], obj["status"]
        pods = self.children(obj, "pods")
        done = sum(pod["status"].get("phase") == "Succeeded" for pod in pods)
        failed = sum(pod["status"].get("phase") == "Failed" for pod in pods)
        live = [pod for pod in pods if is_live(pod)]
        found: dict[str, Any] = {**status, "uncountedTerminatedPods": {}, "terminating": 0}
        found.setdefault("startTime", self.now)
        problem = self._find_failure(storage, obj, found, failed, pods)
        if problem is not None:
            for pod in live:
                self.delete("pods", pod)
            live = []
            self._conclude(found, "FailureTarget", "Failed", *problem)
            self.tell(obj, "Warning", problem[0], problem[1], "job-controller")
        elif done >= spec.get("completions", 1):
            text = "Reached expected number of succeeded pods"
            self._conclude(found, "SuccessCriteriaMet", "Complete", "CompletionsReached", text)
            found["completionTime"] = self.now
            self.tell(obj, "Normal", "Completed", "Job completed", "job-controller")
        elif spec["suspend"]:
            for pod in live:
                self.delete("pods", pod)
            live = []
            self._tell_suspended(found, "True", "JobSuspended", "Job suspended")
        else:
            self._tell_suspended(found, "False", "JobResumed", "Job resumed")
            missing = min(spec["parallelism"], spec.get("completions", 1) - done) - len(live)
            for _ in range(missing):
                prefix = f"{obj['metadata']['name']}-"
                live.append(self.make_pod(obj, spec["template"], generateName=prefix))
        found |= {"active": len(live), "ready": sum(is_ready(pod) for pod in live)}
        found |= {"succeeded": done, "failed": failed}
        self.set_status(storage, obj, found)

    def _find_failure(
        self, storage: str, obj: Object, status: Object, failed: int, pods: list[Object]
    ) -> tuple[str, str] | None:
        spec = obj["spec"]
        restarts = sum(
            each.get("restartCount", 0)
            for pod in pods
            if pod["spec"].get("restartPolicy") == "OnFailure"
            for each in pod["status"].get("containerStatuses", [])
        )
        if failed + restarts > spec["backoffLimit"]:
            return ("BackoffLimitExceeded", "Job has reached the specified backoff limit")
        deadline = spec.get("activeDeadlineSeconds")
        if deadline is not None:
            begun = datetime.fromisoformat(status["startTime"]).timestamp()
            left = begun + deadline - self.scheduler.clock.now()
            if left <= 0:
                return ("DeadlineExceeded", "Job was active longer than specified deadline")
            self.plan(storage, obj, left + 0.001)
        return None

    def _conclude(self, status: Object, first: str, last: str, reason: str, message: str) -> None:
        conditions = list(status.get("conditions") or [])
        for kind in (first, last):
            condition = {"type": kind, "status": "True", "reason": reason, "message": message}
            condition |= {"lastProbeTime": self.now, "lastTransitionTime": self.now}
            conditions.append(condition)
        status["conditions"] = conditions

    def _tell_suspended(self, status: Object, value: str, reason: str, message: str) -> None:
        conditions = status.get("conditions") or []
        known = next((each for each in conditions if each["type"] == "Suspended"), None)
        if known["status"] == value if known else value == "False":
            return
        condition = {"type": "Suspended", "status": value, "reason": reason, "message": message}
        condition |= {"lastProbeTime": self.now, "lastTransitionTime": self.now}
        status["conditions"] = [each for each in conditions if each is not known] + [condition]
        if value == "True":
            status.pop("startTime", None)

    def _expire(self, storage: str, obj: Object) -> None:
        keep = obj["spec"].get("ttlSecondsAfterFinished")
        if keep is None:
            return
        ended = max(
            datetime.fromisoformat(each["lastTransitionTime"]).timestamp()
            for each in obj["status"]["conditions"]
        )
        left = ended + keep - self.scheduler.clock.now()
        if left <= 0:
            self.delete(storage, obj)
        else:
            self.plan(storage, obj, left + 0.001)


def _ended(obj: Object) -> bool:
    return any(
        each["type"] in ("Complete", "Failed") and each["status"] == "True"
        for each in obj["status"].get("conditions") or []
    )
