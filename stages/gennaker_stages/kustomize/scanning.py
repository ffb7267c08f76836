"""What a kustomization reads, found before it is built: files of the source only, unless allowed.

Kustomize fetches whatever looks like a URL, wherever a file may be named. So every place where one
may be named is looked at, in all kustomizations that are reached, and what is no file or folder of
the source has to be a remote base that is allowed and pinned. The places are those of kustomize's
``types.Kustomization`` (api/types/kustomization.go).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from gennaker.errors import InvalidInput, Location, PermanentError
from gennaker.paths import join_inside
from gennaker.yamltext import Document, compose_all

__all__ = ["find_kustomization", "scan_folder"]

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
Where = tuple[str | int, ...]
_REMOTE = re.compile(r"://|^[\w.-]+@[\w.-]+:|^[\w-]+(\.[\w-]+)+[/:]|//|[?&](?:ref|version)=|^git::")
_REFERENCE = re.compile(r"[?&](?:ref|version)=([^&]*)")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_FILE = re.compile(r"^https?://[^?]*\.(?:ya?ml|json)(?:\?|$)")
# Lists of files, and of files or folders; entries with a line break are written out in place.
_FILES = ("crds", "configurations", "patchesStrategicMerge")
_FOLDERS = ("resources", "bases", "components")
_PLUGINS = ("generators", "transformers", "validators")
_WITH_PATH = ("patches", "patchesJson6902", "replacements")
_MADE = ("configMapGenerator", "secretGenerator")
_CHARTS = ("helmCharts", "helmChartInflationGenerator")
# Where plugins' own files may name further ones.
_PATH_KEYS = frozenset({"path", "paths", "file", "files", "env", "envs", "crds", "valuesFile"})


@dataclass
class _Scan:
    root: Path
    allowed: Sequence[str]
    seen: set[str] = field(default_factory=set)
    remote: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Place:
    """A file that is read, and a node of it, for messages and for what is relative to it."""

    folder: str
    file: str
    document: Document

    def at(self, where: Where) -> Location:
        return self.document.marks.at(where)


def find_kustomization(folder: Path) -> Path | None:
    """Return the file that makes a folder a kustomization."""
    return next((folder / name for name in NAMES if (folder / name).is_file()), None)


def scan_folder(root: Path, folder: str, allowed: Sequence[str]) -> list[str]:
    """Return the remote bases of a kustomization and of all it reaches in the source.

    Args:
        root: the source.
        folder: of the kustomization, relative to it.
        allowed: beginnings of remote bases that may be used.

    Raises:
        PermanentError: codes ``kustomize-file`` (a file that is not there), ``kustomize-remote``,
            ``kustomize-helm`` (a chart, which is ``helm.template``'s), ``path-outside``.
    """
    scan = _Scan(root, allowed)
    _scan_folder(scan, posixpath.normpath(folder))
    return scan.remote


def _scan_folder(scan: _Scan, folder: str) -> None:
    if folder in scan.seen:
        return
    scan.seen.add(folder)
    path = find_kustomization(join_inside(scan.root, folder))
    if path is None:
        raise PermanentError(
            f"{folder!r} is no kustomization: it has no kustomization.yaml",
            code="kustomize-file",
            hint="name a folder that has one, relative to the project root",
        )
    file = posixpath.normpath(f"{folder}/{path.name}")
    for place in _read(path, file, folder):
        data = place.document.data
        if not isinstance(data, Mapping):
            raise PermanentError(f"{file!r} is not a mapping", code="kustomize-file")
        _refuse_charts(data, place)
        for where, value in _list_files(data):
            _scan_entry(scan, place, where, value)
        for key in _PLUGINS:
            for where, value in _list_entries(data, key):
                _scan_plugin(scan, place, where, value)


def _read(path: Path, file: str, folder: str) -> Iterator[_Place]:
    try:
        for document in compose_all(path.read_bytes(), file=file):
            yield _Place(folder, file, document)
    except InvalidInput as error:
        raise PermanentError(
            error.message, code="kustomize-file", location=error.location, hint=error.hint
        ) from error


def _refuse_charts(data: Mapping[str, Any], place: _Place) -> None:
    for key in _CHARTS:
        if data.get(key):
            raise PermanentError(
                f"{key!r} is not used here: charts are rendered by 'helm.template'",
                code="kustomize-helm",
                location=place.at((key,)),
                hint="render the chart in a stage of its own and deploy both bundles",
            )


def _list_entries(data: Mapping[str, Any], key: str) -> Iterator[tuple[Where, str]]:
    held = data.get(key)
    for index, each in enumerate(held if isinstance(held, list) else ()):
        if isinstance(each, str):
            yield (key, index), each


def _list_files(data: Mapping[str, Any]) -> Iterator[tuple[Where, str]]:
    for key in (*_FOLDERS, *_FILES):
        yield from _list_entries(data, key)
    for key in _WITH_PATH:
        held = data.get(key)
        for index, each in enumerate(held if isinstance(held, list) else ()):
            if isinstance(each, Mapping) and isinstance(each.get("path"), str):
                yield (key, index, "path"), each["path"]
    openapi = data.get("openapi")
    if isinstance(openapi, Mapping) and isinstance(openapi.get("path"), str):
        yield ("openapi", "path"), openapi["path"]
    for key in _MADE:
        held = data.get(key)
        for index, each in enumerate(held if isinstance(held, list) else ()):
            if isinstance(each, Mapping):
                for where, value in _list_sources(each):
                    yield (key, index, *where), value


def _list_sources(generator: Mapping[str, Any]) -> Iterator[tuple[Where, str]]:
    for where, value in _list_entries(generator, "files"):
        yield where, value.partition("=")[2] or value  # NAME=PATH, or the path alone
    yield from _list_entries(generator, "envs")
    if isinstance(generator.get("env"), str):
        yield ("env",), generator["env"]


def _scan_entry(scan: _Scan, place: _Place, where: Where, value: str) -> str | None:
    """Look at one entry; return the path of a file of the source."""
    if "\n" in value.strip():
        return None
    path = posixpath.normpath(posixpath.join(place.folder, value))
    is_remote = bool(_REMOTE.search(value))
    if not is_remote and (path.startswith(("/", "..")) or value.startswith(("/", "~"))):
        raise PermanentError(
            f"{value!r} leads out of the source",
            code="path-outside",
            location=place.at(where),
            hint="put it inside the project",
        )
    found = None if path.startswith(("/", "..")) else join_inside(scan.root, path)
    if found is not None and found.is_dir():
        _scan_folder(scan, path)
        return None
    if found is not None and found.is_file():
        return path
    if not is_remote:
        raise PermanentError(
            f"there is no file or folder {value!r} beside it",
            code="kustomize-file",
            location=place.at(where),
            hint="paths are relative to the folder of the kustomization",
        )
    _check_remote(scan, place.at(where), value)
    return None


def _scan_plugin(scan: _Scan, place: _Place, where: Where, value: str) -> None:
    """Look at what configures a generator, a transformer or a validator: written out, or a file."""
    if "\n" in value.strip():
        documents = [_Place(place.folder, place.file, each) for each in _compose(value, place)]
        for each in documents:
            _scan_config(scan, each, each.document.data, place.at(where))
        return
    path = _scan_entry(scan, place, where, value)
    if path is not None:
        for held in _read(join_inside(scan.root, path), path, place.folder):
            _scan_config(scan, held, held.document.data, None)


def _compose(text: str, place: _Place) -> list[Document]:
    try:
        return compose_all(text, file=place.file)
    except InvalidInput as error:
        raise PermanentError(error.message, code="kustomize-file", hint=error.hint) from error


def _scan_config(
    scan: _Scan, place: _Place, data: Any, at: Location | None, where: Where = ()
) -> None:
    if isinstance(data, Mapping):
        for key, value in data.items():
            _scan_config(scan, place, value, at, (*where, key))
    elif isinstance(data, list):
        for index, value in enumerate(data):
            _scan_config(scan, place, value, at, (*where, index))
    elif isinstance(data, str) and "\n" not in data.strip():
        named = next((each for each in reversed(where) if isinstance(each, str)), "")
        value = data.partition("=")[2] or data
        if named in _PATH_KEYS and _REMOTE.search(value) and "://" in value:
            _check_remote(scan, at or place.at(where), value)


def _check_remote(scan: _Scan, location: Location, value: str) -> None:
    if not any(value.startswith(f"{each.rstrip('/')}/") for each in scan.allowed):
        raise PermanentError(
            f"{value!r} is fetched from elsewhere, which is not allowed",
            code="kustomize-remote",
            location=location,
            hint="copy it into the project, or allow its beginning with the input 'remote'",
        )
    references = _REFERENCE.findall(value)
    pinned = bool(references) and all(_COMMIT.fullmatch(each) for each in references)
    if not pinned or _FILE.match(value) or ".." in unquote(value).split("/"):
        raise PermanentError(
            f"{value!r} is not pinned: it may be something else tomorrow",
            code="kustomize-remote",
            location=location,
            hint="name a folder of a git repository with '?ref=' and the whole commit",
        )
    scan.remote.append(value)
