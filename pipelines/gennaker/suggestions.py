"""Advice for misspelt words, one wording for every problem; called wherever a name is unknown."""

from __future__ import annotations

from collections.abc import Iterable

__all__ = ["find_nearest", "suggest"]

_SHOWN = 8


def find_nearest(word: str, known: Iterable[str], *, likeness: float = 0.6) -> str | None:
    """Return the known word that ``word`` was probably meant to be, None when none is near.

    Args:
        word: what was written.
        known: what could have been written.
        likeness: from 0 to 1, how near it has to be.
    """
    if len(word) > 200:
        return None
    # Imported here: only who mistyped pays for difflib.
    from difflib import get_close_matches

    candidates = sorted(set(known))
    folded = word.lower().replace("-", "_")
    for each in candidates:
        if each.lower().replace("-", "_") == folded:
            return each
    near = get_close_matches(word, candidates, n=1, cutoff=likeness)
    return near[0] if near else None


def suggest(word: str, known: Iterable[str], *, otherwise: str | None = None) -> str | None:
    """Return the hint for an unknown ``word``: the near one, else a few of the known ones.

    Args:
        word: what was written.
        known: what could have been written.
        otherwise: the hint when none is near; by default a short list of the known words.
    """
    names = sorted(set(known))
    near = find_nearest(word, names)
    if near is not None:
        return f"did you mean {near!r}?"
    if otherwise is not None:
        return otherwise
    if not names:
        return None
    shown = ", ".join(repr(each) for each in names[:_SHOWN])
    return f"known: {shown}" + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
