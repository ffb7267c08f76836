"""What git says of a folder: the commit, what is dirty, which files there are.

Reads only, through the one subprocess wrapper; no hook or pager runs, and no filter but what
``git status`` itself asks to compare a file that was touched.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from gennaker.errors import GennakerError
from gennaker.process import run
from gennaker.records import dataclass

__all__ = ["GitFacts", "TreeEntry", "list_commit", "list_worktree", "read_blobs", "read_git"]

_SAFE = ("-c", "core.fsmonitor=false", "-c", "core.quotepath=false", "--no-optional-locks")
_TIMEOUT = 60.0


@dataclass(frozen=True, slots=True)
class GitFacts:
    """The state of the repository a folder belongs to."""

    sha: str | None
    branch: str | None
    tag: str | None
    url: str | None
    dirty: bool

    def to_scope(self) -> dict[str, object]:
        """What expressions see as ``git``."""
        return {
            "sha": self.sha or "",
            "short_sha": (self.sha or "")[:7],
            "branch": self.branch or "",
            "tag": self.tag or "",
            "dirty": self.dirty,
            "url": self.url or "",
        }


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file of a tree: ``mode`` as git writes it (``100644``), ``path`` relative to the folder."""

    mode: str
    object: str
    path: str


def read_git(folder: Path) -> GitFacts | None:
    """Return what git knows of the folder, None when it is in no repository (or git is missing)."""
    try:
        code, out, _ = _git(
            folder, "status", "--porcelain=v2", "--branch", "-z", "-uall", "--", "."
        )
    except GennakerError:
        return None
    if code != 0:
        return None
    head: dict[str, str] = {}
    dirty = False
    for each in out.split("\0"):
        if each.startswith("# "):
            name, _, value = each[2:].partition(" ")
            head[name] = value
        elif each:
            dirty = True
    if not dirty and _is_left_out(folder):
        return None
    sha = head.get("branch.oid", "(initial)")
    branch = head.get("branch.head", "(detached)")
    known = sha if not sha.startswith("(") else None
    tag = _line(folder, "describe", "--tags", "--exact-match", "HEAD") if known else None
    url = _line(folder, "config", "--get", "remote.origin.url")
    return GitFacts(
        sha=known,
        branch=None if branch.startswith("(") else branch,
        tag=tag,
        url=_strip_credentials(url) if url else None,
        dirty=dirty or known is None,
    )


def _is_left_out(folder: Path) -> bool:
    """Whether a repository that is clean has nothing of this folder, since it ignores it."""
    prefix = _line(folder, "rev-parse", "--show-prefix")
    if prefix is None:
        return False
    return _line(folder, "rev-parse", "--verify", "--quiet", f"HEAD:{prefix.rstrip('/')}") is None


def list_worktree(folder: Path) -> list[str]:
    """Return the tracked and the untracked, not ignored files of the folder that exist."""
    code, out, err = _git(
        folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "--", "."
    )
    _check(code, err, "list the files")
    return sorted({each for each in out.split("\0") if each})


def list_commit(folder: Path, sha: str) -> list[TreeEntry]:
    """Return the files of a commit below the folder."""
    prefix = _line(folder, "rev-parse", "--show-prefix") or ""
    code, out, err = _git(
        folder, "ls-tree", "-r", "-z", "--full-tree", f"{sha}:{prefix.rstrip('/')}"
    )
    _check(code, err, f"read commit {sha}")
    entries = []
    for each in out.split("\0"):
        if each:
            facts, _, path = each.partition("\t")
            mode, _, name = facts.split(" ")
            entries.append(TreeEntry(mode, name, path))
    return entries


def read_blobs(folder: Path, names: Iterable[str]) -> dict[str, bytes]:
    """Return the contents of git objects by name, without filters."""
    wanted = sorted(set(names))
    if not wanted:
        return {}
    done = run(
        ["git", *_SAFE, "-C", str(folder), "cat-file", "--batch"],
        stdin="".join(f"{each}\n" for each in wanted).encode(),
        timeout=_TIMEOUT * 5,
    )
    _check(done.code, done.stderr.decode(errors="replace"), "read the files of the commit")
    data, found, at = done.stdout, {}, 0
    while at < len(data):
        end = data.index(b"\n", at)
        name, kind, size = data[at:end].decode().split(" ")
        if kind != "blob":
            raise GennakerError(f"git object {name!r} is a {kind}, not a file", code="git")
        found[name] = data[end + 1 : end + 1 + int(size)]
        at = end + 2 + int(size)
    return found


def _git(folder: Path, *words: str) -> tuple[int, str, str]:
    done = run(["git", *_SAFE, "-C", str(folder), *words], timeout=_TIMEOUT)
    return (
        done.code,
        done.stdout.decode("utf-8", "surrogateescape"),
        done.stderr.decode(errors="replace"),
    )


def _line(folder: Path, *words: str) -> str | None:
    code, out, _ = _git(folder, *words)
    return out.strip() or None if code == 0 else None


def _check(code: int, err: str, what: str) -> None:
    if code != 0:
        said = err.strip().splitlines()
        raise GennakerError(
            f"git could not {what}: {said[-1] if said else f'exit {code}'}", code="git"
        )


def _strip_credentials(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme in ("http", "https") and "@" in parts.netloc:
        return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
    return url
