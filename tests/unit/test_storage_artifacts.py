"""The content-addressed artifact store."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from gennaker.errors import PermanentError, StageError
from gennaker.stage import Artifact
from gennaker_engine.storage.artifacts import TREE_MEDIA_TYPE, ArtifactFolder


@pytest.fixture
def store(tmp_path: Path) -> ArtifactFolder:
    return ArtifactFolder(tmp_path / "artifacts")


def test_the_same_bytes_are_one_artifact(store: ArtifactFolder) -> None:
    """Putting the same bytes twice gives the same artifact and one file."""
    first, second = store.put(b"hello"), store.put(b"hello")
    assert first == second
    assert first.size == 5
    assert len([each for each in store.folder.rglob("*") if each.is_file()]) == 1


def test_what_is_stored_already_is_not_written_again(store: ArtifactFolder) -> None:
    """Its file stays, young again, so that no sweep takes it; one that was changed is made anew."""
    artifact = store.put(b"hello")
    path = store.path_of(artifact)
    os.utime(path, (1, 1))
    stored = path.stat()
    assert store.put(b"hello", media_type="text/plain").media_type == "text/plain"
    assert path.stat().st_ino == stored.st_ino
    assert path.stat().st_mtime > stored.st_mtime + 1
    path.write_bytes(b"jello")
    store.put(b"hello")
    with store.open(artifact) as stream:
        assert stream.read() == b"hello"


def test_files_are_private(store: ArtifactFolder) -> None:
    """An artifact can be read by its owner only."""
    assert store.path_of(store.put(b"x")).stat().st_mode & 0o777 == 0o600


def test_a_changed_file_is_noticed(store: ArtifactFolder) -> None:
    """Bytes that are not those of the digest are never given out."""
    artifact = store.put(b"hello")
    store.path_of(artifact).write_bytes(b"jello")
    with pytest.raises(
        StageError, match=r"artifact-corrupt: artifact sha256:\w+ was changed on disk"
    ):
        store.open(artifact)


def test_a_missing_file_says_what_to_do(store: ArtifactFolder) -> None:
    """An artifact that is gone is named, with the next step."""
    artifact = Artifact(digest="sha256:" + "0" * 64, size=1)
    with pytest.raises(StageError, match="run the stage that makes it again"):
        store.open(artifact)


def test_a_digest_cannot_be_a_path(store: ArtifactFolder) -> None:
    """A digest that is none is refused before any path is made of it."""
    with pytest.raises(PermanentError, match="is not a digest"):
        store.path_of(Artifact(digest="sha256:../../etc/passwd", size=1))


def test_a_tree_comes_back_as_it_was(store: ArtifactFolder, tmp_path: Path) -> None:
    """Names, contents, the executable bit and inner links survive; times do not count."""
    source = tmp_path / "tree"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "run.sh").write_text("#!/bin/sh\n")
    (source / "inner" / "run.sh").chmod(0o755)
    (source / "link").symlink_to("inner/run.sh")
    artifact = store.put_tree(source)
    (source / "inner" / "run.sh").touch()
    assert store.put_tree(source) == artifact
    assert artifact.media_type == TREE_MEDIA_TYPE
    store.lay(artifact, tmp_path / "again")
    assert (tmp_path / "again" / "inner" / "run.sh").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "again" / "link").readlink() == Path("inner/run.sh")


def test_a_link_out_of_the_tree_is_refused(store: ArtifactFolder, tmp_path: Path) -> None:
    """A folder with a link that leaves it is not stored."""
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "out").symlink_to("/etc/passwd")
    with pytest.raises(PermanentError, match="'out' is a link that leaves the folder"):
        store.put_tree(tmp_path / "tree")


@pytest.mark.parametrize("name", ["../out", "/out", "a/../../out"])
def test_checklist_32_a_hostile_tar_writes_nothing_outside(
    store: ArtifactFolder, tmp_path: Path, name: str
) -> None:
    """A member whose name leaves the target is refused."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        info = tarfile.TarInfo(name)
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    artifact = store.put(stream.getvalue(), media_type=TREE_MEDIA_TYPE)
    with pytest.raises(PermanentError, match="leaves the folder"):
        store.lay(artifact, tmp_path / "target")
    assert not (tmp_path / "out").exists()
