"""The one way to write a file that others read meanwhile."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gennaker.files import write_private


def test_threads_write_one_file_at_once(tmp_path: Path) -> None:
    """Eight threads write the same file: none fails, it is always one of the whole texts, 0600."""
    path = tmp_path / "kubeconfig"
    texts = [bytes([letter]) * 4096 for letter in b"abcdefgh"]

    def write(text: bytes) -> None:
        for _ in range(50):
            write_private(path, text)
            assert path.read_bytes() in texts

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, texts))

    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_of_a_write_that_fails(tmp_path: Path) -> None:
    """A target that cannot be replaced is an OSError, and the temporary file is gone."""
    (tmp_path / "it").mkdir()

    with pytest.raises(OSError, match="it"):
        write_private(tmp_path / "it", b"text")

    assert [each.name for each in tmp_path.iterdir()] == ["it"]
