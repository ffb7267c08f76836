"""A machine that lacks what Gennaker stands on is told which package to install."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "make_venv.sh"

OLD = '#!/bin/sh\ncase "$*" in *version_info*) exit 1;; --version) echo Python 3.9.2;; esac\n'
BARE = '#!/bin/sh\ncase "$*" in *ensurepip*) exit 1;; esac\n'


def make_commands(folder: Path, commands: dict[str, str]) -> Path:
    """A folder for PATH with these scripts in it, and nothing else."""
    folder.mkdir()
    for name, text in commands.items():
        path = folder / name
        path.write_text(text)
        path.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("commands", "message"),
    [
        ({}, "git is missing; install it: apt-get install git"),
        (
            {"git": "#!/bin/sh\n"},
            "python3 is missing; install Python 3.11 or newer: apt-get install python3 python3-venv",
        ),
        (
            {"git": "#!/bin/sh\n", "python3": OLD},
            "Python 3.9.2 is too old; Gennaker needs Python 3.11 or newer:"
            " install it and say 'make PYTHON=python3.11'",
        ),
        (
            {"git": "#!/bin/sh\n", "python3": BARE},
            "python3 cannot make virtual environments; install them: apt-get install python3-venv",
        ),
    ],
    ids=["no git", "no python", "old python", "no venv"],
)
def test_what_is_missing_is_named(tmp_path: Path, commands: dict[str, str], message: str) -> None:
    """The script ends with 1, the one line that helps, and no environment."""
    done = subprocess.run(
        [shutil.which("sh") or "/bin/sh", SCRIPT, "runtime"],
        cwd=tmp_path,
        env={"PATH": str(make_commands(tmp_path / "bin", commands))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, f"gennaker: {message}\n")
    assert not (tmp_path / ".venv").exists()


def test_requirements_name_no_index() -> None:
    """The pinned requirements carry hashes, and no address of where they came from."""
    for path in (ROOT / "requirements").glob("*.txt"):
        text = path.read_text()
        assert "://" not in text, path
        assert "--hash=sha256:" in text, path
