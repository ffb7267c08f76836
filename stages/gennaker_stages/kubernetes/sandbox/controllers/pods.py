"""The simulated scheduler and kubelet: pods are bound, start, get ready, end, or fail as told.

No container runs. A pod is ready a fraction of a second after it was made; see :mod:`.faults` for what
can go wrong, and ``docs/reference/sandbox.md`` for what that looks like.
"""

from __future__ import annotations

import hashlib
from typing import Any

from .base import Controller, Object, owner_of
from .faults import Fault
from .podlogs import read_message

__all__ = ["NODE", "Pods"]

NODE = "sandbox-node"
START_SECONDS = 0.15
RUN_SECONDS = 0.1
LINGER_SECONDS = 0.05
CRASH_SECONDS = 0.05
FIRST_BACKOFF = 10.0
LAST_BACKOFF = 300.0
KUBELET = "kubelet"


class Pods(Controller):
    """Takes each pod through its life by what its status says it has come to."""

    storages = ("pods",)

    def reconcile(self, storage: str, obj: Object) -> None:
        """Take a pod one step on, and plan the next."""
        if obj["metadata"].get("deletionTimestamp"):
            self._end(obj)
        elif not obj["spec"].get("nodeName"):
            self._bind(obj)
        elif obj["status"].get("phase") in ("Succeeded", "Failed"):
            return
        elif not obj["status"].get("containerStatuses"):
            self._begin(obj)
        else:
            self._go_on(obj)

    def notice(self, change: Any) -> None:
        """React to new pods, deletions and injected faults; the rest is planned step by step."""
        if change.storage == "pods" and change.new is not None:
            new, old = change.new, change.old
            deleted = new["metadata"].get("deletionTimestamp")
            if old is None:
                self.plan("pods", new)
            elif deleted and not old["metadata"].get("deletionTimestamp"):
                self.plan("pods", new, LINGER_SECONDS)

    def _end(self, pod: Object) -> None:
        if not pod["metadata"].get("finalizers"):
            self.delete("pods", pod, grace=0)

    def _bind(self, pod: Object) -> None:
        if pod["spec"].get("schedulingGates"):
            return
        # Binding is a write of its own in Kubernetes, which may set what an update may not.
        bound = {**pod, "spec": {**pod["spec"], "nodeName": NODE}}
        conditions = [self._condition("PodScheduled", True)]
        bound["status"] = {**pod["status"], "conditions": conditions}
        stored = self.store.put("pods", bound)
        message = f"Successfully assigned {_place(pod)} to {NODE}"
        self.tell(pod, "Normal", "Scheduled", message, "default-scheduler")
        self.plan("pods", stored)

    def _begin(self, pod: Object) -> None:
        fault = self.context.faults.find(pod)
        if fault is not None and fault.name == "image-pull-error":
            self._fail_pull(pod, "ErrImagePull")
            return
        self._write(pod, "Pending", {"waiting": {"reason": "ContainerCreating"}})
        self.plan("pods", pod, START_SECONDS)

    def _go_on(self, pod: Object) -> None:
        first = pod["status"]["containerStatuses"][0]
        state = first["state"]
        fault = self.context.faults.find(pod)
        if "waiting" in state:
            reason = state["waiting"]["reason"]
            pulling = reason in ("ErrImagePull", "ImagePullBackOff")
            if pulling and fault is not None and fault.name == "image-pull-error":
                self._fail_pull(pod, "ImagePullBackOff")
                return
            self._start(pod, fault)
        elif "running" in state:
            self._run(pod, fault)
        else:
            # It ended and may start again.
            self._start(pod, fault)

    def _start(self, pod: Object, fault: Fault | None) -> None:
        """Start the containers; whether they get ready is decided by the fault."""
        broken = fault is not None and fault.name in ("crash-loop", "never-ready")
        slow = fault.delay if fault is not None and fault.name == "slow" else 0.0
        ready = not broken and not slow and not _ends(pod)
        self._write(pod, "Running", {"running": {"startedAt": self.now}}, ready=ready)
        for container in pod["spec"]["containers"]:
            path = {"fieldPath": f"spec.containers{{{container['name']}}}"}
            text = f"Started container {container['name']}"
            self.tell(pod, "Normal", "Started", text, KUBELET, **path)
        if fault is not None and fault.name == "crash-loop":
            self.plan("pods", pod, CRASH_SECONDS)
        elif fault is not None and fault.name == "never-ready":
            self._tell_unhealthy(pod)
        elif slow or _ends(pod):
            self.plan("pods", pod, slow or RUN_SECONDS)

    def _run(self, pod: Object, fault: Fault | None) -> None:
        """Go on from running: get ready, end well, or crash."""
        if fault is not None and fault.name == "crash-loop":
            self._crash(pod)
        elif fault is not None and fault.name == "never-ready":
            self._write(pod, "Running", pod["status"]["containerStatuses"][0]["state"], ready=False)
            self._tell_unhealthy(pod)
        elif _ends(pod):
            begun = pod["status"]["containerStatuses"][0]["state"]["running"]["startedAt"]
            ended = {
                "exitCode": 0,
                "reason": "Completed",
                "startedAt": begun,
                "finishedAt": self.now,
                **read_message(pod),
            }
            self._write(pod, "Succeeded", {"terminated": ended})
        else:
            state = pod["status"]["containerStatuses"][0]["state"]
            self._write(pod, "Running", state, ready=True)

    def _crash(self, pod: Object) -> None:
        first = pod["status"]["containerStatuses"][0]
        begun = first["state"]["running"]["startedAt"]
        ended = {"exitCode": 1, "reason": "Error", "startedAt": begun, "finishedAt": self.now}
        ended |= read_message(pod)
        if pod["spec"].get("restartPolicy") == "Never":
            self._write(pod, "Failed", {"terminated": ended})
            return
        restarts = first.get("restartCount", 0)
        if restarts == 0:
            # The first restart is at once; only then does the kubelet back off.
            waiting: Object = {"terminated": ended}
            backoff = CRASH_SECONDS
        else:
            backoff = min(FIRST_BACKOFF * 2 ** (restarts - 1), LAST_BACKOFF)
            name = first["name"]
            message = (
                f"back-off {int(backoff)}s restarting failed container={name}"
                f" pod={pod['metadata']['name']}_{pod['metadata']['namespace']}"
                f"({pod['metadata']['uid']})"
            )
            waiting = {"waiting": {"reason": "CrashLoopBackOff", "message": message}}
            path = {"fieldPath": f"spec.containers{{{name}}}"}
            text = (
                f"Back-off restarting failed container {name} in pod"
                f" {pod['metadata']['name']}_{pod['metadata']['namespace']}({pod['metadata']['uid']})"
            )
            self.tell(pod, "Warning", "BackOff", text, KUBELET, **path)
        self._write(pod, "Running", waiting, last={"terminated": ended}, restarts=restarts + 1)
        self.plan("pods", pod, backoff)

    def _fail_pull(self, pod: Object, reason: str) -> None:
        first = pod["spec"]["containers"][0]
        image = first["image"]
        path = {"fieldPath": f"spec.containers{{{first['name']}}}"}
        failure = (
            f'failed to pull and unpack image "{image}": failed to resolve reference "{image}":'
            f" {image}: not found"
        )
        if reason == "ErrImagePull":
            self.tell(pod, "Normal", "Pulling", f'Pulling image "{image}"', KUBELET, **path)
            text = f'Failed to pull image "{image}": rpc error: code = NotFound desc = {failure}'
            self.tell(pod, "Warning", "Failed", text, KUBELET, **path)
            message = f"rpc error: code = NotFound desc = {failure}"
        else:
            message = f'Back-off pulling image "{image}": ErrImagePull: {failure}'
            text = f'Back-off pulling image "{image}"'
            self.tell(pod, "Normal", "BackOff", text, KUBELET, **path)
        self.tell(pod, "Warning", "Failed", f"Error: {reason}", KUBELET, **path)
        known = (
            (pod["status"].get("containerStatuses") or [{}])[0].get("state", {}).get("waiting", {})
        )
        if known.get("reason") != reason:
            self._write(pod, "Pending", {"waiting": {"reason": reason, "message": message}})
        self.plan("pods", pod, 1.0 if reason == "ErrImagePull" else FIRST_BACKOFF)

    def _tell_unhealthy(self, pod: Object) -> None:
        text = "Readiness probe failed: HTTP probe failed with statuscode: 503"
        path = {"fieldPath": f"spec.containers{{{pod['spec']['containers'][0]['name']}}}"}
        self.tell(pod, "Warning", "Unhealthy", text, KUBELET, **path)

    def _write(
        self,
        pod: Object,
        phase: str,
        state: Object,
        *,
        ready: bool = False,
        last: Object | None = None,
        restarts: int | None = None,
    ) -> None:
        old = pod["status"]
        known = {each["name"]: each for each in old.get("containerStatuses", [])}
        statuses = []
        for container in pod["spec"]["containers"]:
            before = known.get(container["name"], {})
            statuses.append(
                {
                    "name": container["name"],
                    "state": state,
                    "lastState": last or before.get("lastState", {}),
                    "ready": ready,
                    "restartCount": before.get("restartCount", 0) if restarts is None else restarts,
                    "image": container["image"],
                    "imageID": _image_id(container["image"]) if phase != "Pending" else "",
                    "started": "running" in state,
                }
            )
        done = phase == "Succeeded"
        conditions = [
            self._condition("PodReadyToStartContainers", phase != "Pending", old),
            self._condition("Initialized", True, old, "PodCompleted" if done else ""),
            self._condition("Ready", ready, old, *self._unready(pod, ready, done)),
            self._condition("ContainersReady", ready, old, *self._unready(pod, ready, done)),
            self._condition("PodScheduled", True, old),
        ]
        status: Object = {**old, "phase": phase, "conditions": conditions}
        status["containerStatuses"] = statuses
        status.setdefault("hostIP", "10.0.0.1")
        status.setdefault("hostIPs", [{"ip": "10.0.0.1"}])
        status.setdefault("startTime", self.now)
        status["observedGeneration"] = pod["metadata"].get("generation", 1)
        if phase != "Pending" and "podIP" not in status:
            address = _address(pod["metadata"]["uid"])
            status |= {"podIP": address, "podIPs": [{"ip": address}]}
        self.set_status("pods", pod, status, KUBELET)

    @staticmethod
    def _unready(pod: Object, ready: bool, done: bool) -> tuple[str, str]:
        if ready:
            return ("", "")
        if done:
            return ("PodCompleted", "")
        names = " ".join(each["name"] for each in pod["spec"]["containers"])
        return ("ContainersNotReady", f"containers with unready status: [{names}]")

    def _condition(
        self,
        kind: str,
        holds: bool,
        status: Object | None = None,
        reason: str = "",
        message: str = "",
    ) -> Object:
        value = "True" if holds else "False"
        since = self.now
        for each in (status or {}).get("conditions", []):
            if each["type"] == kind and each["status"] == value:
                since = each.get("lastTransitionTime", since)
        found: Object = {"type": kind, "status": value, "lastProbeTime": None}
        found["lastTransitionTime"] = since
        if reason:
            found["reason"] = reason
        if message:
            found["message"] = message
        return found


def _ends(pod: Object) -> bool:
    """Whether this pod's containers come to an end by themselves."""
    owner = owner_of(pod)
    return pod["spec"].get("restartPolicy", "Always") != "Always" and (
        owner is None or owner["kind"] == "Job"
    )


def _place(pod: Object) -> str:
    return f"{pod['metadata']['namespace']}/{pod['metadata']['name']}"


def _image_id(image: str) -> str:
    name, at, digest = image.partition("@")
    if not at:
        digest = f"sha256:{hashlib.sha256(image.encode()).hexdigest()}"
        name = name.rpartition(":")[0] if ":" in name.rpartition("/")[2] else name
    return f"{name}@{digest}"


def _address(uid: str) -> str:
    number = int(uid[:8], 16)
    return f"10.244.{number % 250}.{number // 250 % 250 + 2}"
