"""The source a run is pinned to: a commit, or a content-addressed snapshot of a dirty tree.

``capture_source`` runs when a run is created, ``materialize_source`` when a stage first reads
``ctx.source``; the tree is read-only and shared by all runs with the same source.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import Any

from gennaker.canonical import digest_of
from gennaker.errors import GennakerError, InvalidInput
from gennaker.files import write_private
from gennaker.paths import join_inside, join_plain
from gennaker.records import dataclass
from gennaker_engine.storage.folder import StateFolder
from gennaker_engine.storage.git import GitFacts, list_commit, list_worktree, read_blobs, read_git
from gennaker_engine.storage.globs import compile_glob, match_any
from gennaker_engine.storage.sweeping import hold_off_sweep
from gennaker_engine.storage.workspaces import remove_tree

__all__ = [
    "LINK",
    "MAX_SOURCE",
    "Source",
    "capture_source",
    "hash_globs",
    "list_entries",
    "list_source",
    "materialize_source",
    "read_contents",
]

MAX_SOURCE = 200 << 20
LINK = "120000"
"""The mode of a symbolic link, as git writes it; and those of what else there is."""
_PROGRAM, _FILE, _SUBMODULE = "100755", "100644", "160000"


@dataclass(frozen=True, slots=True)
class Source:
    """What a run is pinned to (``facts``) and what expressions see as ``git``."""

    facts: Mapping[str, Any]
    git: Mapping[str, Any]


def list_source(root: Path, *, exclude: Sequence[str] = ()) -> list[str]:
    """Return the relative paths of the files that are the source of ``root``, sorted.

    In a git repository the tracked and untracked, not ignored ones; elsewhere all.
    """
    git = read_git(root)
    return _list_files(root, git, exclude)


def capture_source(
    root: Path, *, state: StateFolder, exclude: Sequence[str] = (), store: bool = True
) -> Source:
    """Pin the tree at ``root`` as it is now; with ``store`` a dirty one is copied.

    Raises:
        InvalidInput: codes ``source-size``, ``source-link``, ``source-submodule``.
    """
    git = read_git(root)
    scope = (git or GitFacts(None, None, None, None, True)).to_scope()
    if git is not None and git.sha is not None and not git.dirty:
        for entry in list_commit(root, git.sha):
            _check_mode(entry.mode, entry.path)
        facts: dict[str, Any] = {"kind": "commit", "commit": git.sha, "dirty": False}
        if exclude:
            facts["exclude"] = list(exclude)
        return Source({**facts, "digest": digest_of(facts)}, scope)
    with hold_off_sweep(state.sources) if store else nullcontext():
        entries = _snapshot(root, _list_files(root, git, exclude), state if store else None)
        digest = digest_of(entries)
        if store:
            _write_manifest(state, digest, entries)
    facts = {
        "kind": "snapshot" if git is not None else "folder",
        "commit": git.sha if git is not None else None,
        "dirty": git is not None,
        "digest": digest,
    }
    return Source(facts, scope)


def hash_globs(root: Path, globs: Iterable[str], *, exclude: Sequence[str] = ()) -> dict[str, str]:
    """Return the digest of the source files each glob matches (paths and contents count)."""
    wanted = sorted(set(globs))
    if not wanted:
        return {}
    files = list_source(root, exclude=exclude)
    found = {}
    for pattern in wanted:
        matched = [each for each in files if compile_glob(pattern).fullmatch(each)]
        found[pattern] = digest_of([[each, _hash_file(root / each)] for each in matched])
    return found


def materialize_source(facts: Mapping[str, Any], *, state: StateFolder, root: Path) -> Path:
    """Return the read-only tree of a run's source, made on first use.

    Raises:
        GennakerError: code ``source-missing`` when the commit or the snapshot is gone.
    """
    name = str(facts["digest"]).removeprefix("sha256:")
    final = state.sources / "trees" / name
    state.make(final.parent)
    with hold_off_sweep(state.sources):
        if _use_again(final):
            return final
    made = Path(tempfile.mkdtemp(dir=final.parent, prefix="make-"))
    try:
        entries = list_entries(facts, state=state, root=root)
        places: dict[str, list[tuple[str, str]]] = {}
        for path, mode, name in entries:
            _check_mode(mode, path)
            places.setdefault(name, []).append((path, mode))
        _write_tree(made, places, read_contents(facts, places, state=state, root=root))
        _make_read_only(made)
        made.rename(final)
    except OSError:
        remove_tree(made)
        if not final.is_dir():  # another process was quicker
            raise
    except BaseException:
        remove_tree(made)
        raise
    return final


def _list_files(root: Path, git: GitFacts | None, exclude: Sequence[str]) -> list[str]:
    names = list_worktree(root) if git is not None else list(_walk(root, ""))
    kept = []
    for each in names:
        if each.startswith(".gennaker/") or (exclude and match_any(exclude, each)):
            continue
        path = root / each
        if path.is_dir() and not path.is_symlink():
            raise InvalidInput(
                f"{each!r} is a submodule, which a source cannot hold",
                code="source-submodule",
                hint="add it to source.exclude in gennaker.yaml",
            )
        if path.is_symlink() or path.is_file():
            kept.append(each)
    return sorted(kept)


def _walk(root: Path, inside: str) -> Iterator[str]:
    for entry in os.scandir(root / inside):
        name = f"{inside}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            if name not in (".gennaker", ".git"):
                yield from _walk(root, f"{name}/")
        else:
            yield name


def _snapshot(root: Path, files: list[str], state: StateFolder | None) -> list[list[str]]:
    """Return ``[path, mode, sha256]`` of each file, copying contents into the state folder."""
    total = 0
    entries = []
    for each in files:
        path = root / each
        found = path.lstat()
        if stat.S_ISLNK(found.st_mode):
            _check_link(root, each)
            content = os.fsencode(path.readlink())
            mode = LINK
        else:
            total += found.st_size
            if total > MAX_SOURCE:
                raise InvalidInput(
                    f"the source of {str(root)!r} is larger than 200 MiB",
                    code="source-size",
                    hint="leave files out with source.exclude in gennaker.yaml, or ignore them in git",
                )
            content = path.read_bytes()
            mode = _PROGRAM if found.st_mode & 0o100 else _FILE
        name = hashlib.sha256(content).hexdigest()
        if state is not None:
            _write_blob(state, name, content)
        entries.append([each, mode, name])
    return entries


def _check_mode(mode: str, path: str) -> None:
    if mode == _SUBMODULE:
        raise InvalidInput(
            f"{path!r} is a submodule, which a source cannot hold",
            code="source-submodule",
            hint="add it to source.exclude in gennaker.yaml",
        )


def _check_link(root: Path, name: str) -> None:
    if not (root / name).resolve().is_relative_to(root.resolve()):
        raise InvalidInput(
            f"{name!r} is a symbolic link that leaves the source",
            code="source-link",
            hint="copy the file into the tree, or add it to source.exclude in gennaker.yaml",
        )


def _write_blob(state: StateFolder, name: str, content: bytes) -> None:
    path = _find_blob(state, name)
    if _use_again(path):
        return
    try:
        write_private(path, content)
    except FileNotFoundError:  # the first of its folder
        state.make(path.parent)
        write_private(path, content)


def _find_blob(state: StateFolder, name: str) -> Path:
    # One text: to join its parts one by one costs as much as to read a small file.
    return Path(f"{state.sources}/blobs/{name[:2]}/{name}")


def _write_manifest(state: StateFolder, digest: str, entries: list[list[str]]) -> None:
    folder = state.make(state.sources / "manifests")
    path = folder / f"{digest.removeprefix('sha256:')}.json"
    if not _use_again(path):
        write_private(path, json.dumps(entries).encode())


def _use_again(path: Path) -> bool:
    """Make what is there young again, so that it is not swept; return whether it is there."""
    with suppress(FileNotFoundError):
        os.utime(path)
        return True
    return False


def list_entries(
    facts: Mapping[str, Any], *, state: StateFolder, root: Path
) -> list[tuple[str, str, str]]:
    """Return path, mode (as git writes it) and name of the content of each file of a run's source.

    The name is a git object's for a commit, else the SHA-256.

    Raises:
        GennakerError: code ``source-missing`` when the commit or the snapshot is gone.
    """
    if facts["kind"] != "commit":
        name = str(facts["digest"]).removeprefix("sha256:")
        with _explain_missing(facts, state, root):
            found = json.loads((state.sources / "manifests" / f"{name}.json").read_bytes())
        return [(path, mode, blob) for path, mode, blob in found]
    exclude = facts.get("exclude") or ()
    with _explain_missing(facts, state, root):
        entries = list_commit(root, facts["commit"])
    return [
        (each.path, each.mode, each.object) for each in entries if not match_any(exclude, each.path)
    ]


def read_contents(
    facts: Mapping[str, Any], names: Iterable[str], *, state: StateFolder, root: Path
) -> Iterator[tuple[str, bytes]]:
    """Yield the contents of a run's source by their names, as :func:`list_entries` gives them.

    Raises:
        GennakerError: code ``source-missing`` when the commit or the snapshot is gone.
    """
    with _explain_missing(facts, state, root):
        if facts["kind"] == "commit":
            yield from read_blobs(root, names).items()
        else:
            for name in names:
                yield name, _find_blob(state, name).read_bytes()


@contextmanager
def _explain_missing(facts: Mapping[str, Any], state: StateFolder, root: Path) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise GennakerError(
            f"the source snapshot {facts['digest']} is gone from {str(state.sources)!r}",
            code="source-missing",
            hint="start a new run",
        ) from error
    except GennakerError as error:
        if facts["kind"] != "commit":
            raise
        raise GennakerError(
            f"commit {facts['commit']} cannot be read from {str(root)!r}: {error.message}",
            code="source-missing",
            hint="fetch it, or start a new run",
        ) from error


def _write_tree(
    root: Path,
    places: Mapping[str, Sequence[tuple[str, str]]],
    contents: Iterable[tuple[str, bytes]],
) -> None:
    """Write files, then links: while there is no link, none can lead a file out of the folder."""
    folders = {root}
    links = []
    for name, content in contents:
        for relative, mode in places[name]:
            if mode == LINK:
                links.append((relative, content))
                continue
            path = join_plain(root, relative)
            if path.parent not in folders:
                path.parent.mkdir(parents=True, exist_ok=True)
                folders.add(path.parent)
            with path.open("wb") as stream:
                stream.write(content)
                os.fchmod(stream.fileno(), 0o555 if mode == _PROGRAM else 0o444)
    for relative, content in links:
        path = join_inside(root, relative)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.symlink_to(os.fsdecode(content))
        except FileExistsError:
            raise InvalidInput(
                f"{relative!r} is a symbolic link and something else at once",
                code="source-link",
                hint="remove one of the two from the tree",
            ) from None
        _check_link(root, relative)


def _make_read_only(root: Path) -> None:
    for folder, _, _ in os.walk(root, topdown=False):
        Path(folder).chmod(0o555)


def _hash_file(path: Path) -> str:
    if path.is_symlink():
        return hashlib.sha256(os.fsencode(path.readlink())).hexdigest()
    return hashlib.sha256(path.read_bytes()).hexdigest()
