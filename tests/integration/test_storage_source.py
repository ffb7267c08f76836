"""The source a run is pinned to, with real git repositories."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import GennakerError, InvalidInput
from gennaker_engine.storage import source as source_module
from gennaker_engine.storage.folder import StateFolder
from gennaker_engine.storage.source import capture_source, hash_globs, materialize_source

Factory = Callable[..., Any]


def capture(root: Path, **keys: Any) -> Any:
    state = StateFolder(root)
    state.ensure()
    return capture_source(root, state=state, **keys)


def materialize(root: Path, facts: Any) -> Path:
    return materialize_source(facts, state=StateFolder(root), root=root)


def test_a_clean_tree_is_pinned_to_its_commit(git_repository: Factory) -> None:
    """A clean tree is its commit, and is read from git whatever happens to the tree later."""
    repository = git_repository(files={"a.txt": "one", "inner/run.sh": "#!/bin/sh\n"})
    (repository.path / "inner" / "run.sh").chmod(0o755)
    sha = repository.commit(message="executable")
    source = capture(repository.path)
    assert {"kind": "commit", "commit": sha, "dirty": False}.items() <= source.facts.items()
    (repository.path / "a.txt").write_text("two")
    tree = materialize(repository.path, source.facts)
    assert (tree / "a.txt").read_text() == "one"
    assert (tree / "inner" / "run.sh").stat().st_mode & 0o777 == 0o555
    assert not (tree / ".git").exists()


def test_a_dirty_tree_is_copied(git_repository: Factory) -> None:
    """Changed and untracked files belong to the snapshot, ignored ones and the state do not."""
    repository = git_repository(files={"a.txt": "one", ".gitignore": "*.log\n"})
    (repository.path / "a.txt").write_text("two")
    (repository.path / "new.txt").write_text("new")
    (repository.path / "x.log").write_text("noise")
    source = capture(repository.path)
    assert (source.facts["kind"], source.facts["dirty"]) == ("snapshot", True)
    assert source.git["dirty"] is True
    tree = materialize(repository.path, source.facts)
    assert sorted(each.name for each in tree.iterdir()) == [".gitignore", "a.txt", "new.txt"]
    assert (tree / "a.txt").read_text() == "two"


def test_the_same_tree_has_the_same_digest(tmp_path: Path) -> None:
    """Outside git all files but the state's own count; times do not."""
    (tmp_path / "a.txt").write_text("one")
    first = capture(tmp_path)
    (tmp_path / "a.txt").touch()
    assert capture(tmp_path).facts == first.facts
    assert first.facts["kind"] == "folder"
    (tmp_path / "a.txt").write_text("two")
    assert capture(tmp_path).facts["digest"] != first.facts["digest"]


def test_a_part_of_a_repository_is_a_project(git_repository: Factory) -> None:
    """A project in a folder of a repository has that folder's files only."""
    repository = git_repository(files={"other/x": "x", "shop/a.txt": "one"})
    root = repository.path / "shop"
    source = capture(root)
    assert source.facts["kind"] == "commit"
    assert [each.name for each in materialize(root, source.facts).iterdir()] == ["a.txt"]


def test_checklist_26_a_link_that_leaves_the_tree_is_refused(tmp_path: Path) -> None:
    """A snapshot never holds what a link outside points to."""
    (tmp_path / "out").symlink_to("/etc/passwd")
    with pytest.raises(InvalidInput, match=r"source-link: 'out' is a symbolic link that leaves"):
        capture(tmp_path)


@pytest.mark.parametrize("order", [1, -1])
def test_checklist_26_no_link_leads_a_file_out_of_the_tree(tmp_path: Path, order: int) -> None:
    """A link and a file below it, as a tree made to attack has them: nothing is written outside."""
    (tmp_path / "outside").mkdir()
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").symlink_to("b")
    (root / "b").write_text("one")
    source = capture(root)
    manifest = next((root / ".gennaker" / "sources" / "manifests").iterdir())
    (_, _, link), (_, _, file) = json.loads(manifest.read_bytes())
    blobs = root / ".gennaker" / "sources" / "blobs"
    (blobs / link[:2] / link).write_text(str(tmp_path / "outside"))
    entries = [["a", "120000", link], ["a/b", "100644", file]]
    manifest.write_text(json.dumps(entries[::order]))
    with pytest.raises(InvalidInput) as caught:
        materialize(root, source.facts)
    assert str(caught.value) == (
        "source-link: 'a' is a symbolic link and something else at once; "
        "remove one of the two from the tree"
    )
    assert not list((tmp_path / "outside").iterdir())


def test_checklist_29_a_submodule_is_refused(git_repository: Factory) -> None:
    """A submodule is named, with what to do."""
    inner = git_repository(name="inner", files={"x": "x"})
    outer = git_repository(name="outer", files={"a": "a"})
    outer.run("-c", "protocol.file.allow=always", "submodule", "add", str(inner.path), "sub")
    outer.commit(message="add it")
    with pytest.raises(InvalidInput, match=r"'sub' is a submodule.*; add it to source.exclude"):
        capture(outer.path)


def test_checklist_29_a_large_source_names_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A source past the limit names source.exclude, and excluding brings it under."""
    monkeypatch.setattr(source_module, "MAX_SOURCE", 10)
    (tmp_path / "videos").mkdir()
    (tmp_path / "videos" / "big").write_text("x" * 100)
    with pytest.raises(InvalidInput, match=r"source-size: .*source\.exclude in gennaker\.yaml"):
        capture(tmp_path)
    assert capture(tmp_path, exclude=["videos/**"]).facts["kind"] == "folder"


def test_checklist_30_a_lost_commit_is_told(git_repository: Factory) -> None:
    """A commit that is gone is an error that says what to do, not an empty tree."""
    repository = git_repository(files={"a": "a"})
    facts = {"kind": "commit", "commit": "0" * 40, "dirty": False, "digest": "sha256:" + "0" * 64}
    with pytest.raises(GennakerError, match=r"source-missing: commit 0+ cannot be read"):
        materialize(repository.path, facts)


def test_checklist_27_credentials_of_a_remote_are_left_out(git_repository: Factory) -> None:
    """What expressions see as git.url has no password in it."""
    repository = git_repository(files={"a": "a"})
    repository.run("remote", "add", "origin", "https://ann:hunter22@git.test/shop.git")
    assert capture(repository.path).git["url"] == "https://git.test/shop.git"


def test_globs_hash_names_and_contents(tmp_path: Path) -> None:
    """A glob's digest changes with a matching file's name or content, and with nothing else."""
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.txt").write_text("one")
    (tmp_path / "other").write_text("o")
    first = hash_globs(tmp_path, ["**/*.txt"])
    (tmp_path / "other").write_text("changed")
    assert hash_globs(tmp_path, ["**/*.txt"]) == first
    (tmp_path / "a" / "x.txt").rename(tmp_path / "a" / "y.txt")
    assert hash_globs(tmp_path, ["**/*.txt"]) != first


def test_a_folder_the_repository_ignores_is_a_folder(git_repository: Factory) -> None:
    """A project in an ignored folder of a clean repository is what its files are."""
    repository = git_repository(files={".gitignore": "scratch/\n"})
    root = repository.path / "scratch" / "shop"
    root.mkdir(parents=True)
    (root / "a.txt").write_text("one")
    source = capture(root)
    assert source.facts["kind"] == "folder"
    assert [each.name for each in materialize(root, source.facts).iterdir()] == ["a.txt"]


def test_only_the_owner_may_look(tmp_path: Path) -> None:
    """All that a snapshot leaves in the state folder is 0600 and 0700, and 0400 in the tree."""
    (tmp_path / "a.txt").write_text("one")
    materialize(tmp_path, capture(tmp_path).facts)
    state = tmp_path / ".gennaker"
    tree = state / "sources" / "trees"
    found = [each for each in (state, *state.rglob("*")) if not each.is_relative_to(tree)]
    assert {each.stat().st_mode & 0o077 for each in found} == {0}
