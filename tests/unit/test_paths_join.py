"""The one path join stays inside its folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gennaker.errors import InvalidInput
from gennaker.paths import join_inside, join_plain


@pytest.mark.parametrize(
    "relative", ["a", "a/b.txt", "./a", ".", "a/./b", "a//b", "..a/b", "a b/ü"]
)
def test_inside(tmp_path: Path, relative: str) -> None:
    """What is inside is joined, whether it exists or not."""
    assert join_inside(tmp_path, relative) == (tmp_path / relative).resolve()
    assert join_plain(tmp_path, relative) == tmp_path / relative


@pytest.mark.parametrize(
    ("relative", "reason"),
    [
        ("", "is empty"),
        ("/etc/passwd", "is not relative"),
        ("~/x", "is not relative"),
        ("C:/x", "is not relative"),
        ("../x", "has '..' in it"),
        ("a/../b", "has '..' in it"),
        ("a/..", "has '..' in it"),
        ("a\\b", "has a backslash"),
        ("a\x00b", "has a NUL character"),
        (f"a/{'ü' * 128}", "has a name that is too long"),
    ],
)
@pytest.mark.parametrize("join", [join_inside, join_plain])
def test_outside(
    tmp_path: Path, join: Callable[[Path, str], Path], relative: str, reason: str
) -> None:
    """What is written as a way out is refused, also when it would come back."""
    with pytest.raises(InvalidInput) as caught:
        join(tmp_path, relative)
    assert str(caught.value) == (
        f"path-outside: path {relative!r} {reason}; "
        "write a path relative to the folder, with '/' and without '..'"
    )


def test_links(tmp_path: Path) -> None:
    """A symbolic link that leads out is refused, one that stays inside is followed, a loop is told."""
    root = tmp_path / "root"
    root.mkdir()
    (tmp_path / "secret").write_text("x")
    (root / "file").write_text("x")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "up").symlink_to(tmp_path)
    (root / "in").symlink_to(root / "file")
    (root / "loop").symlink_to(root / "loop")
    assert join_inside(root, "in") == (root / "file").resolve()
    for relative in ("out", "up/secret"):
        with pytest.raises(InvalidInput, match=r"leads out of .* through a symbolic link"):
            join_inside(root, relative)
    with pytest.raises(InvalidInput, match="cannot be followed"):
        join_inside(root, "loop")


@given(st.text(st.sampled_from("./\\a~\x00:"), max_size=12))
def test_never_outside(relative: str) -> None:
    """Whatever is joined is inside, or refused."""
    root = Path("/nowhere/root")
    try:
        joined = join_inside(root, relative)
    except InvalidInput as error:
        assert error.code == "path-outside"
    else:
        assert joined.is_relative_to(root)
