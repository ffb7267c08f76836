"""YAML text to plain data with the place of every node; the only reader of YAML in Gennaker.

The loaders read pipelines and ``gennaker.yaml`` with :func:`compose` (YAML 1.2 core schema, as the
specification says); stages read Kubernetes manifests with :func:`compose_all` and ``schema="1.1"``,
which types scalars as Kubernetes does. Both work on the parser's events, never on its own
composer, which crashes the process on deep nesting.
"""

from __future__ import annotations

from gennaker.errors import InvalidInput, Location, Problem
from gennaker.yamltext.composer import Composer
from gennaker.yamltext.document import MANIFEST_LIMITS, Document, Limits, Schema
from gennaker.yamltext.marks import Marks, PlaceMap, Places

__all__ = [
    "MANIFEST_LIMITS",
    "Document",
    "Limits",
    "Marks",
    "PlaceMap",
    "Places",
    "Schema",
    "compose",
    "compose_all",
]


def compose(
    text: str | bytes,
    *,
    file: str,
    schema: Schema = "1.2",
    limits: Limits | None = None,
    problems: list[Problem] | None = None,
) -> Document:
    """Return the one document of a YAML text.

    Args:
        text: the text, or its UTF-8 bytes.
        file: as shown in problems.
        schema: how unquoted scalars are typed; ``1.1`` as Kubernetes does.
        limits: what the text may cost; :class:`Limits` by default.
        problems: a list to add problems to that leave data to go on with (a key twice, a tag);
            without one they are raised together.

    Raises:
        InvalidInput: with every problem found; nothing else, whatever the text is.
    """
    composer = Composer(file, schema, limits or Limits())
    documents = composer.read(text, single=True)
    if not documents:
        raise InvalidInput(
            "the file is empty",
            code="yaml-empty",
            location=Location(file, 1, 1),
            hint="write one document",
        )
    _tell(composer.problems, problems)
    return documents[0]


def compose_all(
    text: str | bytes,
    *,
    file: str,
    schema: Schema = "1.1",
    limits: Limits = MANIFEST_LIMITS,
) -> list[Document]:
    """Return every document of a YAML text that has content, in order.

    Args:
        text: the text, or its UTF-8 bytes.
        file: as shown in problems.
        schema: how unquoted scalars are typed.
        limits: what the text may cost.

    Raises:
        InvalidInput: with every problem found.
    """
    composer = Composer(file, schema, limits)
    documents = composer.read(text, single=False)
    _tell(composer.problems, None)
    return [each for each in documents if each.data is not None]


def _tell(found: list[Problem], collected: list[Problem] | None) -> None:
    if collected is not None:
        collected.extend(found)
    elif found:
        raise InvalidInput.of(found)
