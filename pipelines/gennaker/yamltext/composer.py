"""Builds plain data from the parser's events, with limits and a place for every node."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, cast

from gennaker.errors import InvalidInput, Location, Problem
from gennaker.yamltext import traps
from gennaker.yamltext.document import Document, Limits, Schema
from gennaker.yamltext.marks import Marks, Node, Place
from gennaker.yamltext.scalars import (
    SUSPICIOUS,
    BadScalar,
    find_ambiguity,
    resolve_core,
    resolve_kubernetes,
)

__all__ = ["Composer"]

_SHOWN_PROBLEMS = 100
_STRING_TAG = "tag:yaml.org,2002:str"


# Below this many nodes nobody is harmed, whatever the factor: a short file may repeat an anchor.
_FREE_EXPANSION = 1_000

_Expects: TypeAlias = Literal["item", "key", "value", "merge", "dropped"]
"""What the next node is: of a sequence an ``item``; of a mapping the others, where ``dropped`` is the
value of a key that was refused."""


@dataclass(slots=True)
class _Frame:
    """A collection whose end has not come yet."""

    data: dict[str, Any] | list[Any]
    node: Node
    anchor: str | None
    started: int
    quiet: bool
    """Whether it stands inside a key that was refused already."""
    expects: _Expects
    key: str = ""
    key_place: Place = (1, 1)
    merges: list[tuple[dict[str, Any], Node]] | None = None


class _Stop(Exception):
    """Nothing sensible can be read after this problem."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.message)
        self.problem = problem


class Composer:
    """Reads one text; what is wrong but leaves data to go on with is in ``problems``."""

    def __init__(self, file: str, schema: Schema, limits: Limits) -> None:
        self.file = file
        self.limits = limits
        self.strict = schema == "1.2"
        self.resolve: Callable[[str], Any] = resolve_core if self.strict else resolve_kubernetes
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, Node | Place, int]] = {}
        self.written = 0
        """Nodes of the text."""
        self.repeated = 0
        """Nodes that the data has besides, since aliases repeat them."""
        self.cut: dict[Place, str] = {}
        self.lines: list[str] = []
        self.root: tuple[Any, Node | Place] | None = None

    # Reading ------------------------------------------------------------------------------------

    def read(self, text: str | bytes, *, single: bool) -> list[Document]:
        """Return the documents of ``text``, at most one when ``single``.

        Raises:
            InvalidInput: when nothing sensible can be read; with all problems up to there.
        """
        try:
            return self._read(self._decode(text), single=single)
        except _Stop as stop:
            raise InvalidInput.of([*self.problems, stop.problem]) from None

    def _decode(self, text: str | bytes) -> str:
        size = len(text) if isinstance(text, bytes) else len(text.encode("utf-8", "replace"))
        if size > self.limits.size:
            raise _Stop(
                Problem(
                    "yaml-limit",
                    f"the file has {size} bytes, more than {self.limits.size}",
                    Location(self.file),
                    "split it",
                )
            )
        if isinstance(text, bytes):
            if text.startswith((b"\xff\xfe", b"\xfe\xff")):
                raise _Stop(_bad_encoding(self.file, Location(self.file, 1, 1), "UTF-16"))
            try:
                text = text.decode("utf-8")
            except UnicodeDecodeError as error:
                line = error.object.count(b"\n", 0, error.start) + 1
                raise _Stop(
                    _bad_encoding(self.file, Location(self.file, line), "another encoding")
                ) from None
        text = text.removeprefix("\ufeff")
        bad = traps.check_characters(text, self.file, strict=self.strict)
        if bad is not None:
            raise _Stop(bad)
        return text

    def _read(self, text: str, *, single: bool) -> list[Document]:
        import yaml

        if self.strict and "#" in text:
            self.lines = text.split("\n")
        documents: list[Document] = []
        take: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._take_scalar,
            yaml.MappingStartEvent: self._open_mapping,
            yaml.SequenceStartEvent: self._open_sequence,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
            yaml.AliasEvent: self._take_alias,
        }
        try:
            for event in _parse(text):
                take_event = take.get(type(event))
                if take_event is not None:
                    take_event(event)
                elif isinstance(event, yaml.DocumentStartEvent):
                    if documents and single:
                        raise _Stop(
                            Problem(
                                "yaml-documents",
                                "a second document starts here; a file has one",
                                self._locate(_place(event)),
                                "put it into a file of its own",
                            )
                        )
                    self.root = None
                    self.anchors.clear()
                    self.cut = {}
                    self.warnings = []
                elif isinstance(event, yaml.DocumentEndEvent):
                    data, node = self.root or (None, (1, 1))
                    marks = Marks(self.file, node, self.cut)
                    documents.append(Document(data, marks, tuple(self.warnings)))
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            raise _Stop(
                traps.explain_syntax_error(
                    text,
                    self.file,
                    problem=error.problem or str(error.context),
                    line=mark.line + 1 if mark else 1,
                    column=mark.column + 1 if mark else 1,
                )
            ) from None
        except yaml.YAMLError as error:
            raise _Stop(
                Problem("yaml-syntax", str(error).partition("\n")[0], Location(self.file))
            ) from None
        return documents

    # Nodes --------------------------------------------------------------------------------------

    def _take_scalar(self, event: Any) -> None:
        mark = event.start_mark
        place = (mark.line + 1, mark.column + 1)
        self.written += 1
        if self.written > self.limits.nodes:
            raise self._refuse_size(place)
        text = event.value
        plain = event.implicit[0] and not event.style
        frame = self.stack[-1] if self.stack else None
        is_key = frame is not None and frame.expects == "key"
        value: Any = text
        if event.tag is not None and not (event.tag == _STRING_TAG and not self.strict):
            self._tell(traps.explain_tag(event.tag, text, self._locate(place)))
        elif plain:
            if text[:1] in SUSPICIOUS:
                value = self._resolve(text, place, is_key=is_key)
            if self.lines and not is_key and event.end_mark.line < len(self.lines):
                self._check_cut(text, place, event.end_mark)
        if event.anchor is not None:
            self.anchors[event.anchor] = (text if is_key else value, place, 1)
        if is_key:
            assert frame is not None
            self._set_key(frame, text, value, place=place, plain=plain)
        else:
            self._add(value, place)

    def _open_mapping(self, event: Any) -> None:
        self._open(event, {})

    def _open_sequence(self, event: Any) -> None:
        self._open(event, [])

    def _resolve(self, text: str, place: Place, *, is_key: bool) -> Any:
        try:
            value = self.resolve(text)
        except BadScalar as error:
            self._tell(
                Problem("yaml-number", str(error), self._locate(place), "quote it if it is text")
            )
            return text
        if self.strict and not is_key:
            other = find_ambiguity(text)
            if other is not None and len(self.warnings) < _SHOWN_PROBLEMS:
                kind = "text" if isinstance(value, str) else f"the number {value}"
                self.warnings.append(
                    Problem(
                        "ambiguous-scalar",
                        f"unquoted {text!r} is {kind} here and {other} to other YAML readers",
                        self._locate(place),
                        f'write "{text}" if it is text',
                        severity="warning",
                    )
                )
        return value

    def _check_cut(self, text: str, place: Place, end: Any) -> None:
        comment = self.lines[end.line][end.column :].strip()
        if not comment.startswith("#"):
            return
        self.cut[place] = comment
        if traps.find_cut_expression(text):
            self._tell(
                Problem(
                    "yaml-trap",
                    "' #' starts a comment and cuts the expression off",
                    self._locate(place),
                    "put the whole value in quotes",
                )
            )

    def _open(self, event: Any, data: dict[str, Any] | list[Any]) -> None:
        place = _place(event)
        if len(self.stack) >= self.limits.depth:
            raise _Stop(
                Problem(
                    "yaml-limit",
                    f"more than {self.limits.depth} collections inside each other",
                    self._locate(place),
                )
            )
        self.written += 1
        if self.written > self.limits.nodes:
            raise self._refuse_size(place)
        if event.tag is not None:
            self._tell(traps.explain_tag(event.tag, "", self._locate(place)))
        parent = self.stack[-1] if self.stack else None
        quiet = parent is not None and (parent.quiet or parent.expects == "key")
        if parent is not None and parent.expects == "key" and not parent.quiet:
            self._refuse_key(place, braces=isinstance(data, dict))
        if event.anchor is not None:
            # Known but open: an alias to it inside itself would be endless.
            self.anchors[event.anchor] = (None, place, -1)
        expects: _Expects = "key" if isinstance(data, dict) else "item"
        self.stack.append(_Frame(data, Node(place), event.anchor, self._size - 1, quiet, expects))

    def _close(self, _event: Any) -> None:
        frame = self.stack.pop()
        if frame.merges is not None:
            self._merge(frame, frame.merges)
        if frame.anchor is not None:
            size = self._size - frame.started
            self.anchors[frame.anchor] = (frame.data, frame.node, size)
        self._add(frame.data, frame.node)

    def _take_alias(self, event: Any) -> None:
        place = _place(event)
        name = event.anchor
        value: Any = None
        size = 1
        node: Node | Place = place
        if name not in self.anchors:
            self._tell(
                Problem(
                    "yaml-alias",
                    f"'*{name}' refers to no anchor before it",
                    self._locate(place),
                    f"write '&{name}' where it is meant, or quote the text",
                )
            )
        else:
            value, node, size = self.anchors[name]
            if size < 0:
                raise _Stop(
                    Problem("yaml-alias", f"'*{name}' contains itself", self._locate(place))
                )
        self._count_alias(place, size)
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.expects == "key":
            if isinstance(value, str):
                self._set_key(frame, value, value, place=place, plain=False)
                return
            self._refuse_key(place, braces=False)
        self._add(value, node)

    def _add(self, value: Any, node: Node | Place) -> None:
        if not self.stack:
            self.root = (value, node)
            return
        frame = self.stack[-1]
        expected, data, at = frame.expects, frame.data, frame.node
        if isinstance(data, list):
            at.children[len(data)] = node
            data.append(value)
        elif expected == "value":
            frame.expects = "key"
            data[frame.key] = value
            at.keys[frame.key] = frame.key_place
            at.children[frame.key] = node
        elif expected == "key":
            # A collection used as a key has been refused; its value goes the same way.
            frame.expects = "dropped"
        else:
            frame.expects = "key"
            if expected == "merge":
                self._collect_merge(frame, value, node)

    # Keys and merges ----------------------------------------------------------------------------

    def _set_key(self, frame: _Frame, text: str, value: Any, *, place: Place, plain: bool) -> None:
        if plain and text == "<<":
            frame.expects = "merge"
            frame.key_place = place
            return
        key = text if isinstance(value, str) else self._name_key(text, value, place)
        if plain and self.strict and traps.find_ternary_key(text):
            self._tell(
                Problem(
                    "yaml-trap",
                    "': ' in an unquoted 'a ? b : c' is read as the start of a mapping",
                    self._locate(place),
                    "put the whole value in quotes",
                )
            )
        if key in frame.data:
            first = frame.node.keys[key]
            self._tell(
                Problem(
                    "duplicate-key",
                    f"key {_shorten(key)!r} is already in line {first[0]}",
                    self._locate(place),
                    "remove one of the two",
                )
            )
            frame.expects = "dropped"
            return
        frame.key = key
        frame.key_place = place
        frame.expects = "value"

    def _name_key(self, text: str, value: Any, place: Place) -> str:
        if not self.strict and value is not None:
            # Kubernetes turns such keys into the text of their value.
            return str(value).lower() if isinstance(value, bool) else str(value)
        what = "empty" if value is None and not text else f"{text!r}, which is not a string"
        self._tell(
            Problem(
                "yaml-key",
                f"a key is {what}",
                self._locate(place),
                f'write it in quotes: "{_shorten(text)}"',
            )
        )
        return text

    def _refuse_key(self, place: Place, *, braces: bool) -> None:
        hint = "write text"
        if braces and self.strict:
            hint = 'an expression is written "${{ … }}", in quotes'
        elif braces:
            hint = "'{{ … }}' is of a template: render it first, a chart with 'helm.template'"
        self._tell(Problem("yaml-key", "a key is not a string", self._locate(place), hint))

    def _collect_merge(self, frame: _Frame, value: Any, node: Node | Place) -> None:
        if frame.merges is None:
            frame.merges = []
        if isinstance(value, dict) and isinstance(node, Node):
            frame.merges.append((value, node))
            return
        if isinstance(value, list) and isinstance(node, Node):
            parts = [(each, node.children[index]) for index, each in enumerate(value)]
            if all(isinstance(each, dict) and isinstance(at, Node) for each, at in parts):
                frame.merges.extend(cast("list[tuple[dict[str, Any], Node]]", parts))
                return
        self._tell(
            Problem(
                "yaml-merge",
                "'<<' merges a mapping or a list of mappings",
                self._locate(frame.key_place),
                "refer to a mapping by its anchor: '<<: *name'",
            )
        )

    @staticmethod
    def _merge(frame: _Frame, merges: Sequence[tuple[dict[str, Any], Node]]) -> None:
        data = cast("dict[str, Any]", frame.data)
        for source, node in merges:
            for key, value in source.items():
                if key not in data:
                    data[key] = value
                    frame.node.keys[key] = node.keys[key]
                    frame.node.children[key] = node.children[key]

    @property
    def _size(self) -> int:
        """How many nodes the data has so far."""
        return self.written + self.repeated

    # Limits and problems ------------------------------------------------------------------------

    def _refuse_size(self, place: Place) -> _Stop:
        return _Stop(
            Problem(
                "yaml-limit",
                f"more than {self.limits.nodes} values in one file",
                self._locate(place),
                "split it",
            )
        )

    def _count_alias(self, place: Place, size: int) -> None:
        self.repeated += size
        if self._size > max(self.written * self.limits.expansion, _FREE_EXPANSION):
            raise _Stop(
                Problem(
                    "yaml-limit",
                    f"aliases make the data more than {self.limits.expansion} times as large "
                    "as the text",
                    self._locate(place),
                    "write fewer aliases inside what other aliases repeat",
                )
            )
        self.written += 1
        self.repeated -= 1

    def _locate(self, place: Place) -> Location:
        return Location(self.file, *place)

    def _tell(self, problem: Problem) -> None:
        self.problems.append(problem)
        if len(self.problems) >= _SHOWN_PROBLEMS:
            raise _Stop(
                Problem(
                    "too-many-problems",
                    f"the file has more than {_SHOWN_PROBLEMS} problems; the rest is not shown",
                    Location(self.file),
                )
            )


def _parse(text: str) -> Iterator[Any]:
    import yaml

    parser: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)(text)
    get_event, end = parser.get_event, yaml.StreamEndEvent
    try:
        while type(event := get_event()) is not end:
            yield event
    finally:
        parser.dispose()


def _place(event: Any) -> Place:
    mark = event.start_mark
    return (mark.line + 1, mark.column + 1)


def _bad_encoding(file: str, location: Location, found: str) -> Problem:
    return Problem(
        "yaml-encoding", f"{file!r} is not UTF-8 text, but {found}", location, "save it as UTF-8"
    )


def _shorten(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"
