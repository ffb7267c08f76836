"""The secret providers ``env`` and ``file``: values as they are, errors without them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gennaker.errors import InvalidInput, StageError
from gennaker.secret_provider import SecretProvider
from gennaker_stages.secret_providers import EnvSecrets, FileSecrets


def test_env_reads_a_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The value is taken as it is."""
    monkeypatch.setenv("SHOP_PASSWORD", " hunter22\n")
    assert EnvSecrets().read("SHOP_PASSWORD", project=tmp_path) == " hunter22\n"


def test_env_says_which_variable_is_missing(tmp_path: Path) -> None:
    """And how to set it."""
    with pytest.raises(StageError) as caught:
        EnvSecrets().read("NO_SUCH_VARIABLE", project=tmp_path)
    assert str(caught.value) == (
        "secret-missing: environment variable 'NO_SUCH_VARIABLE', which a secret is read from, "
        "is not set; set it where gennaker runs: export NO_SUCH_VARIABLE=…"
    )


def test_short_values_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty variable too; the value is not shown."""
    monkeypatch.setenv("SHOP_PASSWORD", "xyz")
    with pytest.raises(StageError) as caught:
        EnvSecrets().read("SHOP_PASSWORD", project=tmp_path)
    assert str(caught.value).startswith(
        "secret-too-short: the secret in environment variable 'SHOP_PASSWORD' has fewer than 4"
    )
    assert "xyz" not in str(caught.value)
    (tmp_path / "empty").write_text("\n")
    with pytest.raises(StageError, match="the secret in file 'empty' has fewer than 4"):
        FileSecrets().read("empty", project=tmp_path)


@pytest.mark.parametrize(
    ("content", "value"),
    [(b"hunter22", "hunter22"), (b"hunter22\n", "hunter22"), (b"hunter22\r\n", "hunter22"),
     (b"hunter22\n\n", "hunter22\n"), (b" hunter22 ", " hunter22 ")],
)  # fmt: skip
def test_file_drops_one_line_break(tmp_path: Path, content: bytes, value: str) -> None:
    """What an editor put at the end is no part of the value; all else is."""
    (tmp_path / "password").write_bytes(content)
    assert FileSecrets().read("password", project=tmp_path) == value
    assert FileSecrets().read(str(tmp_path / "password"), project=Path("/")) == value


def test_file_says_why_it_cannot_be_read(tmp_path: Path) -> None:
    """Missing, a folder, no text, too large: never the content."""
    with pytest.raises(StageError) as caught:
        FileSecrets().read("gone", project=tmp_path)
    assert str(caught.value) == (
        "secret-missing: file 'gone', which a secret is read from, cannot be read: no such file "
        "or directory; make it, or change its path under 'secrets' in gennaker.yaml"
    )
    with pytest.raises(StageError, match="cannot be read: is a directory"):
        FileSecrets().read(".", project=tmp_path)
    (tmp_path / "binary").write_bytes(b"\xff\xfe1234")
    with pytest.raises(StageError, match="is not UTF-8 text"):
        FileSecrets().read("binary", project=tmp_path)
    (tmp_path / "large").write_bytes(b"x" * 70_000)
    with pytest.raises(StageError, match="has more than 64 KiB"):
        FileSecrets().read("large", project=tmp_path)


def test_a_relative_file_stays_in_the_project(tmp_path: Path) -> None:
    """An absolute path may be anywhere, a relative one not."""
    with pytest.raises(InvalidInput, match="path-outside"):
        FileSecrets().read("../password", project=tmp_path)


def test_settings_are_checked_without_reading() -> None:
    """What can be seen from the file alone."""
    assert EnvSecrets().check("SHOP_PASSWORD") is None
    assert EnvSecrets().check("a b") == "must be the name of an environment variable"
    assert FileSecrets().check("/run/secrets/x") is None
    assert FileSecrets().check("") == FileSecrets().check(3) == "must be the path of a file"


def test_a_fault_is_what_reading_would_raise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Told before the run; nothing of what is well, and what can be read only once is left alone."""
    monkeypatch.setenv("SHOP_PASSWORD", "hunter22")
    assert EnvSecrets().find_fault("SHOP_PASSWORD", project=tmp_path) is None
    assert str(EnvSecrets().find_fault("NO_SUCH_VARIABLE", project=tmp_path)).startswith(
        "secret-missing: environment variable 'NO_SUCH_VARIABLE'"
    )
    (tmp_path / "password").write_text("hunter22\n")
    assert FileSecrets().find_fault("password", project=tmp_path) is None
    for setting, told in (
        (
            "gone",
            "secret-missing: file 'gone', which a secret is read from, cannot be read: no such",
        ),
        (
            ".",
            "secret-missing: file '.', which a secret is read from, cannot be read: is a directory",
        ),
        ("../out", "path-outside: "),
    ):
        assert str(FileSecrets().find_fault(setting, project=tmp_path)).startswith(told)
    os.mkfifo(tmp_path / "pipe")  # reading it would wait for who writes it
    assert FileSecrets().find_fault("pipe", project=tmp_path) is None
    assert SecretProvider().find_fault("anything", project=tmp_path) is None
