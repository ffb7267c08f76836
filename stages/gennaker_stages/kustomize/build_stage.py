"""``kustomize.build``: a kustomization to a bundle of objects, by ``kustomize`` or ``kubectl``."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from gennaker.checks import Check
from gennaker.errors import PermanentError, StageError
from gennaker.paths import join_inside
from gennaker.stage import PlanContext, StageInputs
from gennaker_stages.kubernetes.bundle import bounded
from gennaker_stages.kubernetes.bundle.documents import read_documents
from gennaker_stages.kubernetes.bundle.writing import BundleStage, Rendered
from gennaker_stages.kustomize.scanning import scan_folder

__all__ = ["KustomizeBuild"]

# Fetching takes longer than building.
REMOTE_SECONDS = 120
# Without an allowed remote base nothing is fetched, whatever the scan did not see: there is no git,
# and every request goes to a proxy that is not there.
_NOWHERE = "http://127.0.0.1:1"
_PROXIES = ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")


class KustomizeBuild(BundleStage):
    """Build a kustomization to a bundle of Kubernetes objects.

    It runs ``kustomize``, or ``kubectl kustomize`` where there is none. Remote bases are refused unless
    they are allowed and pinned to a commit; charts, plugins and files outside the source always are.
    """

    name = "kustomize.build"

    class Inputs(StageInputs):
        """What to build."""

        folder: str = Field(
            description="Folder with the kustomization, relative to the project root"
        )
        remote: tuple[str, ...] = Field(
            default=(),
            description="Beginnings of the remote bases that may be fetched, as the kustomization "
            "writes them, 'https://github.com/acme' for example",
        )

    @classmethod
    def check_machine(cls, *, seconds: float) -> Iterator[Check]:
        """Look for the program, and run it."""
        return _check_program(seconds)

    def describe(self, inputs: Inputs) -> str:
        """Name what is built."""
        return f"build {inputs.folder}"

    def render(self, inputs: Inputs, ctx: PlanContext) -> Rendered:
        """Look at all it reads, build it within limits, and read what comes out."""
        folder = join_inside(ctx.source, inputs.folder)
        remote = scan_folder(ctx.source, inputs.folder, inputs.remote)
        output = _build(folder, inputs.folder, has_remote=bool(remote))
        return Rendered(read_documents(output, inputs.folder))


def _build(folder: Path, shown: str, *, has_remote: bool) -> bytes:
    limits = bounded.LIMITS
    if has_remote:
        limits = replace(limits, wall=max(limits.wall, REMOTE_SECONDS))
    program = _find_program()
    with tempfile.TemporaryDirectory(prefix="gennaker-kustomize-") as home:
        try:
            done = bounded.run_bounded(
                [*program, str(folder)],
                limits,
                cwd=folder,
                env=_make_environment(Path(home), has_remote=has_remote),
            )
        except StageError as error:
            raise PermanentError(
                f"building {shown!r} went past its limits ({limits.describe()}, "
                f"{limits.output >> 20} MiB of output): {error.message}",
                code="kustomize-build",
            ) from error
    if done.code != 0:
        said = done.stderr.decode(errors="replace").strip().removeprefix("error: ")
        raise PermanentError(
            f"{shown!r} cannot be built: {said or f'it ended with {done.code}'}",
            code="kustomize-build",
        )
    return done.stdout


def _find_program() -> list[str]:
    for name, words in (("kustomize", ["build"]), ("kubectl", ["kustomize"])):
        found = shutil.which(name)
        if found is not None:
            return [found, *words]
    raise PermanentError(
        "there is neither 'kustomize' nor 'kubectl' to build with",
        code="kustomize-missing",
        hint="put one of them on the PATH",
    )


def _check_program(seconds: float) -> Iterator[Check]:
    from gennaker.process import capture

    try:
        path, word = _find_program()
        words = ["version"] if word == "build" else ["version", "--client"]
        code, out, err = capture([path, *words], timeout=seconds)
    except StageError as error:
        missing = error.code == "kustomize-missing"
        advice = error.hint or "install it again"
        yield Check("kustomize", "missing" if missing else "wrong", error.message, advice)
        return
    if code != 0:
        found = f"{path} does not run: {(err.strip() or f'it ended with {code}').splitlines()[0]}"
        yield Check("kustomize", "wrong", found, "install it again")
        return
    version = out.rpartition("Kustomize Version:")[2].strip()
    yield Check("kustomize", "ok", f"{version} of {path}")


def _make_environment(home: Path, *, has_remote: bool) -> dict[str, str]:
    from gennaker.process import clean_environment

    if has_remote:
        return clean_environment({"GIT_TERMINAL_PROMPT": "0", "TMPDIR": str(home)})
    closed = dict.fromkeys(_PROXIES, _NOWHERE)
    return {"PATH": str(home), "HOME": str(home), "TMPDIR": str(home), "LANG": "C.UTF-8", **closed}
