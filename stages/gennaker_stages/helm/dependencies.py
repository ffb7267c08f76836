"""A chart's dependencies: those in ``charts/`` as they are, others fetched into a copy of the chart.

As ``helm dependency build`` does it: ``Chart.lock`` says which version, where there is one. Only charts
of the source are completed; a chart that was fetched brings its dependencies with it.
"""

from __future__ import annotations

import posixpath
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from gennaker.errors import PermanentError
from gennaker.paths import join_inside
from gennaker.records import dataclass
from gennaker_stages.helm.chart import check_links, is_vendored, list_dependencies, read_mapping
from gennaker_stages.helm.sources import FoundChart, find_packed
from gennaker_stages.registry.credentials import CredentialsInput

__all__ = ["complete_chart"]

MAX_DEPTH = 8
_FILE = "file://"
_FETCHED = ("http://", "https://", "oci://")


@dataclass(frozen=True, slots=True)
class _Work:
    """What is needed to complete a chart.

    Attributes:
        root: the source.
        cache: where archives are kept.
        credentials: by the beginning of a repository's address.
        others: folders of charts that ``file://`` may lead to.
    """

    root: Path
    cache: Path
    credentials: Mapping[str, CredentialsInput]
    others: Sequence[str]


@contextmanager
def complete_chart(
    chart: FoundChart,
    cache: Path,
    credentials: Mapping[str, CredentialsInput],
    others: Sequence[str] = (),
) -> Iterator[Path]:
    """Give a folder of the chart with its dependencies: itself when nothing is missing, else a copy.

    Args:
        chart: the chart.
        cache: where archives are kept.
        credentials: for repositories of dependencies, by the beginnings of their addresses.
        others: folders of the source that ``file://`` may lead to; those inside the chart always.

    Raises:
        PermanentError: codes ``helm-dependency`` (it cannot be had from where it is declared, or
            a folder of ``others`` is not there, or ``Chart.lock`` says otherwise than ``Chart.yaml``), ``helm-link``, and those of a chart that
            is fetched.
        TemporaryError: a repository does not answer now.
    """
    missing = [each for each in others if not join_inside(chart.root, each).is_dir()]
    if missing:
        raise PermanentError(
            f"there is no folder {', '.join(map(repr, missing))}, named in 'local_charts'",
            code="helm-dependency",
            hint="paths are relative to the project root",
        )
    is_local = chart.root != chart.folder and (chart.folder / "Chart.yaml").is_file()
    if not is_local or not _list_missing(chart.folder, chart.shown):
        yield chart.folder
        return
    from gennaker_stages.workspace.source_copy import copy_source

    check_links(chart.folder, chart.shown)
    with tempfile.TemporaryDirectory(prefix="gennaker-helm-") as folder:
        copy = Path(folder) / "chart"
        copy_source(chart.folder, copy)
        work = _Work(chart.root, cache, credentials, others)
        _complete(work, copy, chart.folder, chart.shown, MAX_DEPTH)
        yield copy


def _list_missing(chart: Path, shown: str) -> list[dict[str, Any]]:
    declared = list_dependencies(chart, shown)
    return [each for each in declared if not is_vendored(chart / "charts", each["name"])]


def _complete(work: _Work, chart: Path, original: Path, shown: str, depth: int) -> None:
    """Put into the chart what it declares and does not have; ``original`` is where it is written."""
    locked = _read_lock(original, shown)
    for each in _list_missing(chart, shown):
        name, repository = each["name"], str(each.get("repository") or "")
        version = locked.get((name, repository), str(each.get("version") or ""))
        if repository.startswith(_FILE):
            _copy_local(work, chart, original, each, shown, depth)
        elif repository.startswith(_FETCHED):
            given = _find_credentials(work.credentials, repository)
            content, found = find_packed(repository, name, version, given, work.cache)
            (chart / "charts").mkdir(exist_ok=True)
            safe = re.sub(r"[^\w.+-]", "_", f"{name}-{found}")
            (chart / "charts" / f"{safe}.tgz").write_bytes(content)
        elif repository:
            raise PermanentError(
                f"chart {shown!r} has the dependency {name!r} from {repository!r}, a name that only "
                "the configuration of one machine knows",
                code="helm-dependency",
                hint="write the repository's address",
            )


def _copy_local(
    work: _Work, chart: Path, original: Path, declared: Mapping[str, Any], shown: str, depth: int
) -> None:
    from gennaker_stages.workspace.source_copy import copy_source

    name, repository = declared["name"], str(declared["repository"])
    at = original.resolve().relative_to(work.root.resolve()).as_posix()
    path = posixpath.normpath(posixpath.join(at, repository.removeprefix(_FILE)))
    folder = join_inside(work.root, path)
    if not (folder / "Chart.yaml").is_file() or depth == 0:
        reason = "is no chart there" if depth else "leads to itself"
        raise PermanentError(
            f"chart {shown!r} has the dependency {name!r} at {repository!r}, which {reason}",
            code="helm-dependency",
        )
    if not any(_is_below(path, posixpath.normpath(each)) for each in (at, *work.others)):
        raise PermanentError(
            f"chart {shown!r} has the dependency {name!r} in {path!r}, outside of itself",
            code="helm-dependency",
            hint=f"name the folder as an input: local_charts: [{path}]",
        )
    check_links(folder, path)
    copy = chart / "charts" / name
    copy_source(folder, copy)
    _complete(work, copy, folder, path, depth - 1)


def _read_lock(chart: Path, shown: str) -> dict[tuple[str, str], str]:
    """Return the locked versions by name and repository; empty without a lock."""
    from gennaker_stages.helm.versions import choose_version

    path = next(
        (chart / name for name in ("Chart.lock", "requirements.lock") if (chart / name).is_file()),
        None,
    )
    if path is None:
        return {}
    held = read_mapping(path, f"{shown}/{path.name}").get("dependencies")
    locked = {
        (str(each.get("name")), str(each.get("repository") or "")): str(each.get("version"))
        for each in (held if isinstance(held, list) else ())
        if isinstance(each, dict)
    }
    for each in list_dependencies(chart, shown):
        key = (each["name"], str(each.get("repository") or ""))
        wanted, found = str(each.get("version") or ""), locked.get(key)
        try:
            fits = found is not None and choose_version(wanted, [found]) is not None
        except ValueError:
            fits = False
        if not fits and not key[1].startswith(_FILE):
            raise PermanentError(
                f"{shown}/{path.name} has {f'{key[0]} {found}' if found else f'no {key[0]!r}'}, and "
                f"the chart declares {wanted or 'any version'!r} of it",
                code="helm-dependency",
                hint=f"run 'helm dependency update {shown}' and commit the result",
            )
    return locked


def _find_credentials(
    credentials: Mapping[str, CredentialsInput], repository: str
) -> CredentialsInput | None:
    address = f"{repository.rstrip('/')}/"
    fitting = [each for each in credentials if address.startswith(f"{each.rstrip('/')}/")]
    return credentials[max(fitting, key=len)] if fitting else None


def _is_below(path: str, folder: str) -> bool:
    return path == folder or folder == "." or path.startswith(f"{folder}/")
