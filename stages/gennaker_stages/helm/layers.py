"""All values that are given for a chart, merged in Helm's order, and where each was written.

Helm's order (helm/helm, pkg/cli/values): files, then ``--set-json``, ``--set-string``, ``--set-file``;
the later wins.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gennaker.errors import InvalidInput, Location, PermanentError
from gennaker.paths import join_inside
from gennaker.records import dataclass
from gennaker.yamltext import Places, compose
from gennaker_stages.helm.keys import merge_values, set_value, split_key

__all__ = ["Layer", "collect_values", "explain_schema", "read_layer", "set_layers"]

Where = tuple[str | int, ...]
MAX_FILE = 1 << 20
_HEAD = re.compile(r"^(\S.*):$")
_FAULT = re.compile(r"^\s*- at '(.*?)': (.*)$")
_ADDED = re.compile(r"^additional propert(?:y|ies) '([^']+)'")


@dataclass(frozen=True, slots=True)
class Layer:
    """Values that were given at one place.

    Attributes:
        shown: the file, or the input.
        marks: the places of its values, None for an input.
        key: of an input that sets one key, where that is.
    """

    shown: str
    data: Any
    marks: Places | None = None
    key: Where = ()

    def apply(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values with these over them."""
        if self.key:
            return set_value(values, self.key, self.data)
        return merge_values(values, self.data)

    def has(self, where: Where) -> bool:
        """Return whether it gives something at this path."""
        head, rest = where[: len(self.key)], where[len(self.key) :]
        if head != self.key[: len(head)]:
            return False
        data = self.data
        for each in rest:
            try:
                data = data[each]
            except (KeyError, IndexError, TypeError):
                return False
        return True


def read_layer(source: Path, given: str | Mapping[str, Any], index: int) -> Layer:
    """Return what one entry of ``values`` gives: a file, or a mapping written out.

    Raises:
        PermanentError: code ``helm-values``.
    """
    if not isinstance(given, str):
        return Layer(f"values[{index}]", dict(given))
    path = join_inside(source, given)
    if not path.is_file():
        raise PermanentError(f"there is no values file {given!r}", code="helm-values")
    content = path.read_bytes()
    if not content.strip():
        return Layer(given, {})
    try:
        document = compose(content, file=given, schema="1.1")
    except InvalidInput as error:
        raise PermanentError(str(error.problems[0]), code="helm-values") from error
    if document.data is not None and not isinstance(document.data, dict):
        raise PermanentError(f"{given!r} is not a mapping", code="helm-values")
    return Layer(given, document.data or {}, document.marks)


def set_layers(
    source: Path,
    single: Mapping[str, Any],
    texts: Mapping[str, Any],
    files: Mapping[str, str],
) -> list[Layer]:
    """Return the layers of single keys: as they are, as text, and the content of files.

    Raises:
        PermanentError: code ``helm-values`` for a file that is not there, not text or too large.
        InvalidInput: code ``helm-key``.
    """
    found = [
        Layer(f"set {key!r}", value, key=tuple(split_key(key))) for key, value in single.items()
    ]
    for key, value in texts.items():
        text = value if isinstance(value, str) else str(value).lower()
        found.append(Layer(f"set_string {key!r}", text, key=tuple(split_key(key))))
    for key, file in files.items():
        text = _read_text(source, file)
        found.append(Layer(f"set_file {key!r}", text, key=tuple(split_key(key))))
    return found


def collect_values(layers: Iterable[Layer]) -> dict[str, Any]:
    """Return all values merged; a later layer wins."""
    values: dict[str, Any] = {}
    for each in layers:
        values = each.apply(values)
    return values


def explain_schema(said: str, chart: str, shown: str, layers: Sequence[Layer]) -> PermanentError:
    """Return the error for values that a chart's ``values.schema.json`` does not take.

    Args:
        said: Helm's words: charts, and below each what is wrong at which path.
        chart: the name of the chart itself; the values of others are below their names.
        shown: how the user named the chart.
        layers: what was given.
    """
    faults: list[tuple[Location | None, str]] = []
    below: Where = ()
    for line in said.splitlines():
        head, fault = _HEAD.match(line), _FAULT.match(line)
        if fault is not None:
            faults.append(_locate(below + _read_pointer(fault[1]), fault[2], layers))
        elif head is not None:
            below = () if head[1] == chart else (head[1],)
    if not faults:
        return PermanentError(f"chart {shown!r}: {said.strip()}", code="helm-schema")
    if len(faults) == 1:
        place, told = faults[0]
        return PermanentError(
            f"chart {shown!r} does not take the values: {told}", code="helm-schema", location=place
        )
    told = "; ".join(f"{place}: {each}" if place else each for place, each in faults)
    return PermanentError(f"chart {shown!r} does not take the values: {told}", code="helm-schema")


def _locate(where: Where, said: str, layers: Sequence[Layer]) -> tuple[Location | None, str]:
    added = _ADDED.match(said)
    full = (*where, added[1]) if added else where
    told = f"{'.'.join(map(str, where)) or 'values'}: {said}"
    if said.startswith("missing propert"):
        return None, told
    layer = next((each for each in reversed(layers) if each.has(full)), None)
    if layer is None:
        return None, f"{told} (the chart's own)"
    if layer.marks is not None:
        return layer.marks.at(full, key=added is not None), told
    return None, f"{told} ({layer.shown})"


def _read_pointer(pointer: str) -> Where:
    parts = [each.replace("~1", "/").replace("~0", "~") for each in pointer.split("/")[1:]]
    return tuple(int(each) if each.isdigit() else each for each in parts)


def _read_text(source: Path, file: str) -> str:
    path = join_inside(source, file)
    if not path.is_file():
        raise PermanentError(f"there is no file {file!r}", code="helm-values")
    if path.stat().st_size > MAX_FILE:
        raise PermanentError(
            f"{file!r} has more than {MAX_FILE >> 20} MiB, too much for a value", code="helm-values"
        )
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError:
        raise PermanentError(f"{file!r} is not text in UTF-8", code="helm-values") from None
