"""Where a chart comes from: a folder or an archive of the source, a repository, a registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from gennaker.errors import PermanentError
from gennaker.paths import join_inside
from gennaker.records import dataclass
from gennaker.stage import StageInputs
from gennaker_stages.registry.credentials import Credentials, CredentialsInput

if TYPE_CHECKING:
    from gennaker_stages.helm.repository import ChartEntry

__all__ = ["ChartInputs", "FoundChart", "find_chart", "find_packed", "list_versions"]

_OCI = "oci://"
_HTTP = ("http://", "https://")


def _check_repository(url: str) -> str:
    if not url.startswith((*_HTTP, "<unknown:")):
        raise ValueError(
            f"{url!r} does not begin with http:// or https://; a registry is written as "
            "chart: oci://HOST/PATH"
        )
    return _refuse_credentials(url)


def _refuse_credentials(address: str) -> str:
    if "@" in address.partition("://")[2].partition("/")[0]:
        raise ValueError("an address with credentials in it is refused: give 'credentials'")
    return address


class ChartInputs(StageInputs):
    """Which chart."""

    chart: Annotated[str, AfterValidator(_refuse_credentials)] = Field(
        description="Folder or .tgz of the chart, relative to the project root; its name in "
        "'repository'; or 'oci://HOST/PATH'"
    )
    repository: Annotated[str, AfterValidator(_check_repository)] | None = Field(
        default=None, description="Chart repository, the address of the folder with index.yaml"
    )
    version: str = Field(
        default="",
        description="Version or range ('^1.2') of a chart that is fetched; the newest unless given",
    )
    digest: str | None = Field(
        default=None,
        pattern=r"^sha256:[0-9a-f]{64}$",
        description="What a fetched chart's archive has to be; then it is fetched once only",
    )
    credentials: CredentialsInput | None = Field(
        default=None, description="Credentials for the repository or the registry"
    )

    @model_validator(mode="after")
    def _check_place(self) -> Self:
        if self.repository is not None and self.chart.startswith(_OCI):
            raise ValueError("'repository' is not for a chart whose name is an address already")
        is_known = not any(each in self.chart for each in ("${{", "<unknown:"))
        if is_known and not self.is_fetched and (self.version or self.digest or self.credentials):
            raise ValueError(
                "'version', 'digest' and 'credentials' are for a chart that is fetched: "
                "give 'repository', or 'oci://HOST/PATH' as the chart"
            )
        return self

    @property
    def is_fetched(self) -> bool:
        """Whether the chart is not of the source."""
        return self.repository is not None or self.chart.startswith(_OCI)

    @property
    def shown(self) -> str:
        """The chart as people read it."""
        return f"{self.chart} {self.version}".rstrip() if self.is_fetched else self.chart


@dataclass(frozen=True, slots=True)
class FoundChart:
    """A chart that is here.

    Attributes:
        folder: with ``Chart.yaml``; it is not to be changed.
        shown: the chart as people read it.
        root: what links and ``file://`` dependencies have to stay inside: the source, or the chart.
        digest: of the archive it was fetched as, None for a folder of the source.
    """

    folder: Path
    shown: str
    root: Path
    digest: str | None = None


def find_chart(inputs: ChartInputs, source: Path, cache: Path) -> FoundChart:
    """Return the chart, fetched when it has to be.

    Raises:
        PermanentError: what the source, the repository or the registry refuses with; codes
            ``helm-digest`` and ``helm-archive``.
        TemporaryError: the repository or the registry does not answer now.
    """
    from gennaker_stages.helm.keeping import unpack_kept

    if not inputs.is_fetched:
        path = join_inside(source, inputs.chart)
        if not path.is_file():
            return FoundChart(path, inputs.chart, source)
        folder = unpack_kept(cache, path.read_bytes(), inputs.chart)
        return FoundChart(folder, inputs.chart, folder)
    content, version, digest = _fetch(inputs, cache)
    shown = f"{inputs.chart} {version}".rstrip()
    if inputs.digest is not None and digest != inputs.digest:
        raise PermanentError(
            f"the archive of chart {shown!r} has the digest {digest}, not {inputs.digest}",
            code="helm-digest",
            hint="look at what changed, and correct 'digest' when it is right",
        )
    folder = unpack_kept(cache, content, shown)
    return FoundChart(folder, shown, folder, digest)


def find_packed(
    repository: str, name: str, version: str, given: CredentialsInput | None, cache: Path
) -> tuple[bytes, str]:
    """Return the archive and the version of a chart in a repository or below a registry's path."""
    if repository.startswith(_OCI):
        from gennaker_stages.helm.oci_chart import pull_chart

        chart = pull_chart(f"{repository.rstrip('/')}/{name}", version, given, cache)
        return chart.content, chart.version
    entry, content = _download(repository, name, version, given, cache)
    return content, entry.version


def list_versions(inputs: ChartInputs, cache: Path) -> list[str]:
    """Return the versions of a chart that can be fetched, the newest first; none for a local one."""
    from gennaker_stages.helm.versions import sort_versions

    if not inputs.is_fetched:
        return []
    if inputs.repository is None:
        from gennaker_stages.helm import oci_chart

        return sort_versions(oci_chart.list_versions(inputs.chart, inputs.credentials))
    from gennaker_stages.helm.repository import ChartRepository

    opened = ChartRepository(inputs.repository, _read(inputs.credentials), cache / "indexes")
    return [each.version for each in opened.list_versions(inputs.chart)]


def _fetch(inputs: ChartInputs, cache: Path) -> tuple[bytes, str, str]:
    """Return archive, version and digest; what is pinned by its digest and kept is not asked for."""
    from gennaker_stages.helm.keeping import find_archive, keep_archive

    kept = find_archive(cache, inputs.digest) if inputs.digest else None
    if kept is not None and inputs.digest:
        return kept, inputs.version, inputs.digest
    if inputs.repository is None:
        from gennaker_stages.helm.oci_chart import pull_chart

        chart = pull_chart(inputs.chart, inputs.version, inputs.credentials, cache)
        return chart.content, chart.version, chart.digest
    entry, content = _download(
        inputs.repository, inputs.chart, inputs.version, inputs.credentials, cache
    )
    return content, entry.version, keep_archive(cache, content)


def _download(
    repository: str, name: str, version: str, given: CredentialsInput | None, cache: Path
) -> tuple[ChartEntry, bytes]:
    from gennaker_stages.helm.keeping import find_archive, keep_archive
    from gennaker_stages.helm.repository import ChartRepository

    opened = ChartRepository(repository, _read(given), cache / "indexes")
    entry = opened.find_chart(name, version)
    content = find_archive(cache, entry.digest) if entry.digest else None
    if content is None:
        content = opened.download(entry)
        keep_archive(cache, content)
    return entry, content


def _read(given: CredentialsInput | None) -> Credentials | None:
    return None if given is None else Credentials(given.username, given.password)
