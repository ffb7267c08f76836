"""A chart repository over HTTP: its index, and the archives of its charts.

What a repository is: Helm's documentation, "The Chart Repository Guide". The index is asked for with
what was kept of it (``ETag``, ``Last-Modified``), and of a large one only the wanted chart is read.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from gennaker.errors import InvalidInput, PermanentError, TemporaryError
from gennaker.records import dataclass
from gennaker.yamltext import MANIFEST_LIMITS, compose
from gennaker_stages.helm.archive import MAX_PACKED
from gennaker_stages.helm.keeping import keep_file
from gennaker_stages.helm.versions import choose_version, sort_versions

if TYPE_CHECKING:
    from gennaker.http import Response
    from gennaker_stages.registry.credentials import Credentials

__all__ = ["ChartEntry", "ChartRepository", "pick_version"]

MAX_INDEX = 64 << 20
TIMEOUT = (5.0, 60.0)
REDIRECTS = 5
RETRIES = 2
_DIGEST = re.compile(r"(?:sha256:)?([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class ChartEntry:
    """One version of a chart, as the index has it.

    Attributes:
        digest: ``sha256:HEX`` of the archive; empty when the index does not say.
    """

    name: str
    version: str
    app_version: str
    url: str
    digest: str
    deprecated: bool


class ChartRepository:
    """One repository.

    Args:
        url: of the folder with ``index.yaml``.
        credentials: for it; they are sent nowhere else.
        cache: a folder where its index is kept.
    """

    def __init__(self, url: str, credentials: Credentials | None, cache: Path) -> None:
        self.url = url.rstrip("/")
        self._credentials = credentials
        self._cache = cache

    def list_versions(self, name: str) -> list[ChartEntry]:
        """Return all versions of a chart, the newest first.

        Raises:
            PermanentError: codes ``helm-repository`` (it cannot be read) and ``chart-missing``.
            TemporaryError: it does not answer now.
        """
        entries = [self._read_entry(name, each) for each in self._find_chart(name)]
        found = {each.version: each for each in reversed(entries) if each is not None}
        return [found[version] for version in sort_versions(found)]

    def find_chart(self, name: str, constraint: str) -> ChartEntry:
        """Return the newest version of a chart within a constraint; see :meth:`list_versions`."""
        entries = {each.version: each for each in self.list_versions(name)}
        chosen = pick_version(name, constraint, list(entries), self.url)
        return entries[chosen]

    def download(self, entry: ChartEntry) -> bytes:
        """Return a chart's archive, checked against the index's digest.

        Raises:
            PermanentError: codes ``helm-repository`` and ``helm-digest``.
            TemporaryError: it does not answer now.
        """
        answer = self._get(entry.url, MAX_PACKED)
        self._check(answer, f"chart {entry.name} {entry.version}", entry.url)
        found = f"sha256:{hashlib.sha256(answer.body).hexdigest()}"
        if entry.digest and found != entry.digest:
            raise PermanentError(
                f"the archive of chart {entry.name!r} {entry.version} is not that of the index: "
                f"it has {found}, not {entry.digest}",
                code="helm-digest",
                hint="ask who keeps the repository: the archive or the index was changed",
            )
        return answer.body

    def _find_chart(self, name: str) -> list[Any]:
        text = self._read_index()
        entries = _read_entries(text, name, f"{self.url}/index.yaml")
        if not entries:
            raise PermanentError(
                f"the repository {self.url} has no chart {name!r}",
                code="chart-missing",
                hint="look at the spelling, and at the repository's index.yaml",
            )
        return entries

    def _read_entry(self, name: str, data: Any) -> ChartEntry | None:
        urls = data.get("urls") if isinstance(data, dict) else None
        if not isinstance(urls, list) or not urls or not data.get("version"):
            return None
        digest = _DIGEST.fullmatch(str(data.get("digest") or ""))
        return ChartEntry(
            name,
            str(data["version"]),
            str(data.get("appVersion") or ""),
            urljoin(f"{self.url}/", str(urls[0])),
            f"sha256:{digest[1]}" if digest else "",
            bool(data.get("deprecated")),
        )

    def _read_index(self) -> str:
        """Return the index, from what was kept when the repository says that it is still that."""
        key = hashlib.sha256(self.url.encode()).hexdigest()[:32]
        kept, facts = self._cache / f"{key}.yaml", self._cache / f"{key}.json"
        known = _read_facts(facts, kept)
        answer = self._get(f"{self.url}/index.yaml", MAX_INDEX, known)
        if answer.status == 304 and known:
            return kept.read_text("utf-8", "replace")
        self._check(answer, "its index.yaml", self.url)
        marks = {
            asked: answer.headers[told]
            for told, asked in (("etag", "If-None-Match"), ("last-modified", "If-Modified-Since"))
            if told in answer.headers
        }
        if marks:
            keep_file(kept, answer.body)
            marks["sha256"] = hashlib.sha256(answer.body).hexdigest()
            keep_file(facts, json.dumps(marks).encode())
        return answer.text

    def _get(self, url: str, max_bytes: int, headers: dict[str, str] | None = None) -> Response:
        from gennaker.http import request

        sent = dict(headers or {})
        if self._credentials is not None and self._is_own(url):
            sent["Authorization"] = self._credentials.to_basic()
        return request(
            "GET",
            url,
            headers=sent,
            timeout=TIMEOUT,
            max_bytes=max_bytes,
            redirects=REDIRECTS,
            retries=RETRIES,
        )

    def _is_own(self, url: str) -> bool:
        """Whether an address is where credentials are for."""
        return _origin(url) == _origin(self.url)

    def _explain_denial(self, status: int, what: str, url: str) -> PermanentError:
        told = f"the repository {self.url} does not give {what}"
        if self._credentials is None:
            to, hint = "without credentials", "give 'credentials', with the password from a secret"
        elif self._is_own(url):
            to = f"to user {self._credentials.username!r}"
            hint = "look at 'credentials', and at the secret with the password"
        else:
            to = f"without credentials: it is at {url}"
            hint = "'credentials' are for the repository's own address, and are sent nowhere else"
        return PermanentError(f"{told} {to}: {status}", code="helm-repository", hint=hint)

    def _check(self, answer: Response, what: str, url: str) -> None:
        if answer.status == 200:
            return
        if answer.status in (401, 403):
            raise self._explain_denial(answer.status, what, url)
        told = f"the repository {self.url} does not give {what}: {answer.status}"
        if answer.status == 429 or answer.status >= 500:
            raise TemporaryError(told, code="helm-repository")
        raise PermanentError(
            told, code="helm-repository", hint="its address is that of the folder with index.yaml"
        )


def pick_version(name: str, constraint: str, offered: list[str], where: str) -> str:
    """Return the newest offered version of a chart within a constraint.

    Raises:
        PermanentError: code ``chart-missing``, saying what there is, or ``helm-version``.
    """
    try:
        chosen = choose_version(constraint, offered)
    except ValueError as error:
        raise PermanentError(
            f"version {constraint!r} of chart {name!r}: {error}", code="helm-version"
        ) from None
    if chosen is None:
        newest = ", ".join(sort_versions(offered)[:5])
        raise PermanentError(
            f"{where} has no version {constraint or 'but pre-releases'!r} of chart {name!r}",
            code="chart-missing",
            hint=f"there is {newest}" if newest else None,
        )
    return chosen


def _read_entries(text: str, name: str, shown: str) -> list[Any]:
    part = _cut_entry(text, name)
    try:
        if part is not None:
            data = compose(part, file=shown, schema="1.1", limits=MANIFEST_LIMITS).data
            entries = {name: next(iter(data.values()), None)} if isinstance(data, dict) else None
        else:
            data = compose(text, file=shown, schema="1.1", limits=MANIFEST_LIMITS).data
            entries = data.get("entries") if isinstance(data, dict) else None
    except InvalidInput as error:
        raise PermanentError(
            f"the index {shown} cannot be read: {error.message}", code="helm-repository"
        ) from error
    if not isinstance(entries, dict):
        raise PermanentError(f"{shown} is no index of charts", code="helm-repository")
    found = entries.get(name)
    return found if isinstance(found, list) else []


def _cut_entry(text: str, name: str) -> str | None:
    """Return the lines of one chart, of an index in YAML's block form; None for any other form.

    Within ``entries:`` whatever belongs to a chart is indented deeper than its name, or is an item of
    its list, so that the next line that is neither ends it.
    """
    opened = re.search(r"^entries:[ \t]*\n", text, re.MULTILINE)
    first = re.compile(r"([ ]+)[\"']?[\w.-]+[\"']?:[ \t]*\n").match(
        text, opened.end() if opened else 0
    )
    if opened is None or first is None:
        return None
    indent = first[1]
    closed = re.compile(r"^[^\s#]", re.MULTILINE).search(text, opened.end())
    limit = closed.start() if closed else len(text)
    begin = re.compile(
        rf"^{indent}(?:{re.escape(name)}|\"{re.escape(name)}\"|'{re.escape(name)}'):[ \t]*\n",
        re.MULTILINE,
    ).search(text, opened.end(), limit)
    if begin is None:
        return "{}"
    after = re.compile(rf"^(?!{indent}[ ]|{indent}-|[ \t]*(?:#|$))", re.MULTILINE)
    end = after.search(text, begin.end(), limit)
    return text[begin.start() : end.start() if end else limit]


def _read_facts(facts: Path, kept: Path) -> dict[str, str]:
    """Return the headers to ask with; none when what was kept is not what it was."""
    try:
        marks: dict[str, str] = json.loads(facts.read_text())
        digest = marks.pop("sha256")
        if hashlib.sha256(kept.read_bytes()).hexdigest() == digest:
            return marks
    except (OSError, ValueError, KeyError, AttributeError):
        pass
    return {}


def _origin(url: str) -> tuple[str, str]:
    place = urlsplit(url)
    return place.scheme, place.netloc
