"""Whether an environment's cluster can be used: which one it is, whether it answers, who we are there.

Each check stands on those before it: after one that fails, no more is asked.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

from gennaker.checks import Check, CheckState
from gennaker.errors import StageError
from gennaker_stages.kubernetes.checking.certificate import read_end
from gennaker_stages.kubernetes.checking.rights import ask_review, check_rights
from gennaker_stages.kubernetes.client.cluster import Cluster
from gennaker_stages.kubernetes.client.connection import Request
from gennaker_stages.kubernetes.client.kubeconfig import Access
from gennaker_stages.kubernetes.client.problems import has_status

if TYPE_CHECKING:
    from gennaker_stages.kubernetes.settings import KubernetesSettings

__all__ = ["NEWEST", "OLDEST", "check_access"]

OLDEST = (1, 22)
"""The first version whose server-side apply is stable."""
NEWEST = (1, 36)
"""The version that all of this is tried with."""
MOST_SKEW = 5.0
"""Seconds that two clocks may be apart unremarked; the server tells whole ones."""
SOON = timedelta(days=7)


def check_access(settings: KubernetesSettings, project: Path, seconds: float) -> Iterator[Check]:
    """Yield what can be told of an environment's cluster, in the order in which a deploy needs it.

    Args:
        settings: of the environment.
        project: the project root.
        seconds: how long the server is asked in all.
    """
    if settings.sandbox is not None:
        yield Check("context", "ok", f"the sandbox of {settings.sandbox}")
        return
    file, context = settings.kubeconfig_file, settings.context
    access = Access.of(file, context, settings, project=project)
    try:
        yield Check("context", "ok", access.describe())
    except StageError as error:
        elsewhere = error.code == "unknown-context" or not access.exists()
        state: CheckState = "missing" if elsewhere else "wrong"
        yield _tell_error("context", error, "see whether kubectl can use it", state)
        return
    cluster = Cluster(file, context, settings, project=project)
    until = time.monotonic() + seconds
    try:
        cluster.bound(lambda: until - time.monotonic())
    except StageError as error:
        yield _tell_error("identity", error, "see whether kubectl can use it")
        return
    for name, look in (("server", _look_at_server), ("identity", _look_at_identity)):
        try:
            found = look(cluster)
        except StageError as error:
            found = _tell_error(name, error, "see whether kubectl can use it")
        yield found
        if found.state != "ok":
            return
    try:
        yield from check_rights(cluster)
    except StageError as error:
        yield _tell_error("rights", error, "see what 'kubectl auth can-i --list' says")


def _tell_error(name: str, error: StageError, otherwise: str, state: CheckState = "wrong") -> Check:
    return Check(name, state, error.message, error.hint or otherwise)


def _look_at_server(cluster: Cluster) -> Check:
    """Ask for the version, which everybody may, and compare the clocks."""
    address = cluster.connection.address
    try:
        answer = cluster.connection.open(Request("GET", "/version", "ask for the version"))
    except StageError as error:
        if has_status(error, 401) or has_status(error, 403):
            return Check("server", "ok", f"{address} answers")  # to whom is looked at next
        raise
    version = _read_version(answer.data)
    if version is None:
        advice = "correct 'server' of the kubeconfig's cluster"
        return Check("server", "wrong", f"{address} is no Kubernetes API server", advice)
    found = f"{address}, Kubernetes {version}"
    numbers = re.match(r"v?(\d+)\.(\d+)", version)
    release = (int(numbers[1]), int(numbers[2])) if numbers else NEWEST
    if release < OLDEST:
        advice = "upgrade it to {}.{} or later, whose server-side apply is stable".format(*OLDEST)
        return Check("server", "wrong", found, advice)
    skew = _find_skew(answer.headers.get("Date"))
    if abs(skew) > MOST_SKEW:
        way = "ahead of" if skew > 0 else "behind"
        advice = "set the clock: times of deploys and of objects are compared"
        return Check(
            "server", "ok", f"{found}; this clock is {abs(skew):.0f} s {way} its own", advice
        )
    advice = "{}.{} is the newest that Gennaker is tried with".format(*NEWEST)
    return Check("server", "ok", found, advice if release > NEWEST else "")


def _read_version(data: bytes) -> str | None:
    try:
        found = json.loads(data)
    except ValueError:
        return None
    text = found.get("gitVersion") if isinstance(found, dict) else None
    return text if isinstance(text, str) else None


def _find_skew(date: str | None) -> float:
    """Return by how many seconds this machine's clock is ahead of who wrote a ``Date`` header."""
    try:
        written = parsedate_to_datetime(date or "")
    except ValueError:
        return 0.0
    return (datetime.now(UTC) - written.astimezone(UTC)).total_seconds()


def _look_at_identity(cluster: Cluster) -> Check:
    """Ask who we are; that tells, too, whether we may act as whom the environment names."""
    try:
        user = ask_review(cluster, "authentication.k8s.io", "SelfSubjectReview", "ask who we are")
    except StageError as error:
        return _explain_refusal(cluster, error)
    info = (user or {}).get("userInfo") or {}
    name, groups = info.get("username"), ", ".join(info.get("groups") or ())
    if name is None:
        return Check("identity", "ok", "this server does not tell who we are")
    acting = "acts as " if cluster.settings.as_user is not None else ""
    found = f"{acting}{name!r}" + (f" of {groups}" if groups else "")
    end = _read_end(cluster)
    if end is None or end - datetime.now(UTC) > SOON:
        return Check("identity", "ok", found)
    advice = "renew the client certificate of the kubeconfig's user"
    return Check("identity", "ok", f"{found}, until {_format(end)}", advice)


def _explain_refusal(cluster: Cluster, error: StageError) -> Check:
    """Tell why we are nobody there: an old certificate, or somebody we may not act as."""
    if has_status(error, 403) and cluster.settings.as_user is not None:
        advice = "allow it to impersonate, or correct 'as' and 'as_groups' in gennaker.yaml"
        return Check("identity", "wrong", error.message, advice)
    refused = has_status(error, 401) or has_status(error, 403)  # the latter as nobody
    end = _read_end(cluster)
    if refused and end is not None and end < datetime.now(UTC):
        advice = "renew the client certificate of the kubeconfig's user"
        found = f"{error.message}: the client certificate ended at {_format(end)}"
        return Check("identity", "wrong", found, advice)
    return _tell_error("identity", error, "see whether kubectl can use it")


def _read_end(cluster: Cluster) -> datetime | None:
    file = cluster.connection.certificate
    return read_end(Path(file)) if file is not None else None


def _format(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"
