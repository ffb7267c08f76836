"""Rendering a chart apart from this process: Helm's library in a worker, else the ``helm`` command."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from gennaker.checks import Check
from gennaker.errors import PermanentError, StageError
from gennaker.records import dataclass
from gennaker_stages.helm.bundle import split_templates
from gennaker_stages.kubernetes.bundle import bounded
from gennaker_stages.kubernetes.bundle.bounded import RenderLimits
from gennaker_stages.kubernetes.bundle.documents import Document

__all__ = ["RenderRequest", "check_helm", "prepare_renderer", "render_chart"]

_SOURCE = re.compile(r"\A(?:---\n)?# Source: (\S+)\n")
_DOCUMENT = re.compile(r"^---\n(?=# Source: )", re.MULTILINE)
_NO_HELM = "there is no Helm to render with"
_GET_HELM = "install the package 'helm-python-sdk', or put 'helm' on the PATH"
_SCHEMA = "values don't meet the specifications of the schema"


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """What is rendered.

    Attributes:
        chart: the chart's folder, already checked.
        shown: how the user named it.
        values: all values, merged.
        kube_version: what the chart sees as the cluster's version.
        api_versions: what it sees as offered, beside what Helm assumes anyway.
        include_tests: whether hooks that are tests belong to it.
    """

    chart: Path
    shown: str
    values: dict[str, Any]
    release: str
    namespace: str
    kube_version: str
    api_versions: tuple[str, ...] = ()
    include_crds: bool = True
    include_tests: bool = False
    is_upgrade: bool = False


def prepare_renderer() -> None:
    """Let a worker start while the caller still finds out what is to be rendered."""
    if _has_library():
        from gennaker_stages.helm.pool import find_pool

        find_pool().prepare(bounded.LIMITS.memory)


def render_chart(request: RenderRequest, limits: RenderLimits | None = None) -> list[Document]:
    """Return the objects of a chart in install order.

    Raises:
        PermanentError: code ``helm-render`` with Helm's words, or which limit was met;
            ``helm-schema`` with what Helm says of the values; ``helm-output`` when there is too much
            or what is no object; ``helm-missing`` without Helm.
    """
    bounds = limits or bounded.LIMITS
    if _has_library():
        return _render_in_worker(request, bounds)
    return _render_by_command(request, bounds)


def check_helm(seconds: float) -> Iterator[Check]:
    """Yield what charts are rendered with, and its version."""
    import shutil
    from importlib.metadata import version

    from gennaker.process import capture

    if _has_library():
        yield Check("helm", "ok", f"the library helm-python-sdk {version('helm-python-sdk')}")
        return
    path = shutil.which("helm")
    if path is None:
        yield Check("helm", "missing", _NO_HELM, _GET_HELM)
        return
    try:
        code, out, err = capture([path, "version", "--short"], timeout=seconds)
        said = (out if code == 0 else err).strip().partition("\n")[0]
    except StageError as error:
        code, said = -1, error.message
    if code == 0:
        yield Check("helm", "ok", f"{said} of {path}")
    else:
        yield Check("helm", "wrong", f"{path} does not run: {said}", _GET_HELM)


def _has_library() -> bool:
    return sys.modules.get("helm_python", True) is not None and _is_installed()


@cache
def _is_installed() -> bool:
    return importlib.util.find_spec("helm_python") is not None


def _render_in_worker(request: RenderRequest, limits: RenderLimits) -> list[Document]:
    from gennaker_stages.helm.pool import find_pool

    question = {
        "chart": str(request.chart),
        "values": request.values,
        "include_crds": request.include_crds,
        "include_tests": request.include_tests,
        "max_output": limits.output,
        "cpu": limits.cpu,
        "wall": limits.wall,
        "options": {
            "name": request.release,
            "namespace": request.namespace,
            "revision": 1,
            "is_install": not request.is_upgrade,
            "is_upgrade": request.is_upgrade,
            "kube_version": request.kube_version,
            "api_versions": list(request.api_versions),
        },
    }
    try:
        answer = json.loads(find_pool().ask(json.dumps(question).encode(), limits))
    except StageError as error:
        raise _refuse_costs(request, limits, error.message) from None
    if "error" in answer:
        if "code" in answer:
            raise PermanentError(answer["error"], code=answer["code"])
        raise _refuse(request, answer["error"])
    if "size" in answer:
        raise _refuse_size(request, limits)
    return [Document(*each) for each in answer["documents"]]


def _render_by_command(request: RenderRequest, limits: RenderLimits) -> list[Document]:
    with tempfile.TemporaryDirectory(prefix="gennaker-helm-") as folder:
        values = Path(folder) / "values.json"
        values.write_text(json.dumps(request.values))
        argv = ["helm", "template", request.release, str(request.chart)]
        argv += [f"--namespace={request.namespace}", f"--values={values}"]
        argv += [f"--kube-version={request.kube_version}"]
        argv += [f"--api-versions={each}" for each in request.api_versions]
        argv += ["--include-crds"] if request.include_crds else []
        argv += [] if request.include_tests else ["--skip-tests"]
        argv += ["--is-upgrade"] if request.is_upgrade else []
        stdout = _run(argv, request, limits)
    if len(stdout) > limits.output:
        raise _refuse_size(request, limits)
    rendered: dict[str, str] = {}
    for text in _DOCUMENT.split(stdout.decode()):
        match = _SOURCE.match(text)
        if match is not None:
            rendered[match[1]] = f"{rendered.get(match[1], '')}---\n{text[match.end() :]}"
    return split_templates(rendered, include_tests=request.include_tests)


def _run(argv: list[str], request: RenderRequest, limits: RenderLimits) -> bytes:
    import shutil

    if shutil.which("helm") is None:
        raise PermanentError(_NO_HELM, code="helm-missing", hint=_GET_HELM)
    try:
        done = bounded.run_bounded(argv, limits)
    except StageError as error:
        if error.code == "program-output":
            raise _refuse_size(request, limits) from None
        raise _refuse_costs(request, limits, error.message) from None
    said = done.stderr.decode(errors="replace").strip()
    if done.code < 0:
        raise _refuse_costs(request, limits, said or f"it ended with {done.code}")
    if done.code != 0:
        raise _refuse(request, said)
    return done.stdout


def _refuse(request: RenderRequest, said: str) -> PermanentError:
    """Tell Helm's own words; what the chart's schema says of values is told with its places later."""
    if _SCHEMA in said:
        return PermanentError(said, code="helm-schema")
    return PermanentError(f"chart {request.shown!r} cannot be rendered: {said}", code="helm-render")


def _refuse_costs(request: RenderRequest, limits: RenderLimits, said: str) -> PermanentError:
    return PermanentError(
        f"rendering chart {request.shown!r} crashed or went past its limits "
        f"({limits.describe()}): {said}",
        code="helm-render",
        hint="look for an endless loop or a very large repeat in its templates",
    )


def _refuse_size(request: RenderRequest, limits: RenderLimits) -> PermanentError:
    return PermanentError(
        f"chart {request.shown!r} renders to more than {limits.output >> 20} MiB",
        code="helm-output",
        hint="look for a very large repeat in its templates",
    )
