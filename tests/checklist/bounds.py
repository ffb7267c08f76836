"""What one hostile case may cost, and the pipelines that the cases are in."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from gennaker.errors import InvalidInput
from gennaker.loader import read_file
from gennaker.project import load_project
from gennaker.validation import validate
from tests.fixtures.sample_plugins import make_registry
from tests.fuzz.cases import MOST_BYTES, MOST_SECONDS

__all__ = ["bounded", "problems_of"]

_REGISTRY = make_registry()


@contextmanager
def bounded() -> Iterator[None]:
    """Hold that the body takes at most 2 seconds of CPU, and at most 256 MB at any moment."""
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark begins anew
    before, started = _read_peak(), time.process_time()
    yield
    spent, grown = time.process_time() - started, _read_peak() - before
    assert spent < MOST_SECONDS, f"it took {spent:.1f} s"
    assert grown < MOST_BYTES, f"it took {grown >> 20} MB"


def _read_peak() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) << 10


def problems_of(text: str | bytes, folder: Path) -> list[str]:
    """Return the problems of a pipeline's text as they are shown, within the bounds.

    Args:
        text: of the file ``p.yaml``.
        folder: the project, where it is written.
    """
    path = folder / "p.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    project = load_project(folder)
    with bounded():
        try:
            (loaded,) = read_file(path, project=project)
            found = validate(loaded, registry=_REGISTRY, project=project)
        except InvalidInput as error:
            found = list(error.problems)
        return [str(each).replace(f"{project.show_path(path)}:", "") for each in found]
