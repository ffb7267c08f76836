"""An environment for each engine, outside the repository, from its pinned requirements."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

__all__ = ["PEERS", "find_python", "find_version"]

HERE = Path(__file__).parent
PEERS = ("dbos", "luigi", "dagster", "prefect")


def find_python(name: str) -> Path:
    """Return the Python that has an engine; its environment is made when there is none.

    It is under ``$XDG_CACHE_HOME`` (``~/.cache``), and another one for other requirements.

    Raises:
        SystemExit: it cannot be installed.
    """
    if name == "gennaker":
        return Path(sys.executable)
    requirements = HERE / f"{name}.txt"
    text = sys.version.encode() + requirements.read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "gennaker-bench" / f"{name}-{hashlib.sha256(text).hexdigest()[:12]}"
    python, whole = folder / "bin" / "python", folder / "whole"
    if not whole.exists():
        print(f"installing {name} into {folder}", flush=True)
        _call(sys.executable, "-m", "venv", "--clear", str(folder))
        pip = (str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
        _call(*pip, "--requirement", str(requirements))
        whole.touch()
    return python


def find_version(name: str) -> str:
    """Return the version that is measured."""
    if name == "gennaker":
        from gennaker import __version__

        return __version__
    lines = (HERE / f"{name}.txt").read_text().splitlines()
    return next(line.partition("==")[2] for line in lines if line.startswith(f"{name}=="))


def _call(*argv: str) -> None:
    if subprocess.run(argv, check=False).returncode != 0:
        raise SystemExit(f"{' '.join(argv)} failed")
