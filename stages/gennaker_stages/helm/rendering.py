"""Rendering a chart apart from this process: Helm's library in a worker, else the ``helm`` command."""

from __future__ import annotations

import importlib.util
import json
import re
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gennaker.errors import PermanentError, StageError
from gennaker_stages.kubernetes.bundle import bounded
from gennaker_stages.kubernetes.bundle.bounded import RenderLimits

__all__ = ["RenderRequest", "render_chart"]

_SOURCE = re.compile(r"\A(?:---\n)?# Source: (\S+)\n")
_DOCUMENT = re.compile(r"^---\n(?=# Source: )", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class RenderRequest:
    """What is rendered.

    Attributes:
        chart: the chart's folder, already checked.
        shown: how the user named it.
        values: all values, merged.
    """

    chart: Path
    shown: str
    values: dict[str, Any]
    release: str
    namespace: str
    kube_version: str
    api_versions: tuple[str, ...] = ()
    include_crds: bool = True


def render_chart(request: RenderRequest, limits: RenderLimits | None = None) -> dict[str, str]:
    """Return what each template (and file of ``crds/``) gives, by its path in the chart.

    Raises:
        PermanentError: code ``helm-render`` with Helm's words, or which limit was met;
            ``helm-output`` when there is too much; ``helm-missing`` without Helm.
    """
    bounds = limits or bounded.LIMITS
    if importlib.util.find_spec("helm_python") is not None:
        return _render_in_worker(request, bounds)
    return _render_by_command(request, bounds)


def _render_in_worker(request: RenderRequest, limits: RenderLimits) -> dict[str, str]:
    question = {
        "chart": str(request.chart),
        "values": request.values,
        "include_crds": request.include_crds,
        "max_output": limits.output,
        "options": {
            "name": request.release,
            "namespace": request.namespace,
            "revision": 1,
            "is_install": True,
            "kube_version": request.kube_version,
            "api_versions": list(request.api_versions),
        },
    }
    bounds = [str(each) for each in (limits.memory, limits.cpu, limits.wall)]
    argv = [sys.executable, "-m", "gennaker_stages.helm.worker", *bounds]
    code, stdout, stderr = _run(argv, json.dumps(question).encode(), request, limits)
    if code != 0:
        raise _refuse_costs(request, limits, stderr or f"it ended with {code}")
    answer = json.loads(stdout)
    if "error" in answer:
        raise PermanentError(
            f"chart {request.shown!r} cannot be rendered: {answer['error']}", code="helm-render"
        )
    if "size" in answer:
        raise _refuse_size(request, limits)
    rendered: dict[str, str] = answer["rendered"]
    return rendered


def _render_by_command(request: RenderRequest, limits: RenderLimits) -> dict[str, str]:
    with tempfile.TemporaryDirectory(prefix="gennaker-helm-") as folder:
        values = Path(folder) / "values.json"
        values.write_text(json.dumps(request.values))
        argv = ["helm", "template", request.release, str(request.chart)]
        argv += [f"--namespace={request.namespace}", f"--values={values}", "--skip-tests"]
        argv += [f"--kube-version={request.kube_version}"]
        argv += [f"--api-versions={each}" for each in request.api_versions]
        argv += ["--include-crds"] if request.include_crds else []
        code, stdout, stderr = _run(argv, b"", request, limits)
    if code != 0:
        raise PermanentError(
            f"chart {request.shown!r} cannot be rendered: {stderr}", code="helm-render"
        )
    if len(stdout) > limits.output:
        raise _refuse_size(request, limits)
    rendered: dict[str, str] = {}
    for text in _DOCUMENT.split(stdout.decode()):
        match = _SOURCE.match(text)
        if match is not None:
            rendered[match[1]] = f"{rendered.get(match[1], '')}---\n{text[match.end() :]}"
    return rendered


def _run(
    argv: list[str], stdin: bytes, request: RenderRequest, limits: RenderLimits
) -> tuple[int, bytes, str]:
    """Run the renderer; the errors it wrote are shortened to what people need."""
    from gennaker.process import run

    try:
        # JSON may write one character as six.
        done = run(argv, stdin=stdin, timeout=limits.wall + 5, max_bytes=6 * limits.output + 4096)
    except PermanentError as error:
        if error.code != "program-missing":
            raise
        raise PermanentError(
            "there is no Helm to render with",
            code="helm-missing",
            hint="install the package 'helm-python-sdk', or put 'helm' on the PATH",
        ) from None
    except StageError as error:
        raise _refuse_costs(request, limits, error.message) from None
    lines = [each for each in done.stderr.decode(errors="replace").splitlines() if each.strip()]
    said = next((each for each in lines if each.startswith(("Error:", "fatal error:"))), None)
    return done.code, done.stdout, said or (lines[-1] if lines else "")


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
