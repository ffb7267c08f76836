"""Runs many random cases, each bounded, and says how to get one of them again; used by the fuzzers.

A case is made by one :class:`random.Random` of the seed and its number alone, so that a failure is
told by these two. ``make test`` always tries the same cases, ``make nightly`` others each time.
"""

from __future__ import annotations

import os
import random
import resource
import string
import time
from collections.abc import Callable, Sequence

from tests.fixtures.scale import scale

__all__ = ["MOST_BYTES", "MOST_SECONDS", "SEED", "mutate", "run_cases"]

SEED = "GENNAKER_FUZZ_SEED"
CASES = 1_000_000
MOST_SECONDS = 2.0
MOST_BYTES = 256 << 20
_ODD = (
    *("\x00", "\t", "\r\n", "\n", "\ufeff", "\u202e", "\u2028", "\x85", "é", "🚀", "\ud800"),
    *(" ", "  ", "'", '"', "`", "\\", "#", " #", ": ", ":", ",", "-", "- ", "?", "!", "&a ", "*a"),
    *(
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "${{",
        "}}",
        "$${{",
        "|",
        ">",
        "%",
        "@",
        "<<: ",
        "---\n",
        "...",
    ),
    *("null", "~", "true", "no", "0", "-1", "1e999", ".nan", "9223372036854775807", "1" * 400),
    *("__class__", "../..", "a" * 300, "!!python/object/apply:os.system "),
)


def run_cases(check: Callable[[random.Random], object], *, small: int = 10_000) -> None:
    """Check many cases, all of them within 2 seconds and 256 MB each; nightly a million.

    Args:
        check: makes a case of the generator it is given and raises when something is wrong.
        small: how many for every change.
    """
    default = scale(1, time.time_ns())
    seed = int(os.environ.get(SEED, default))
    before = _peak()
    for number in range(scale(small, CASES)):
        started = time.process_time()
        try:
            check(random.Random(f"{seed}:{number}"))
        except Exception as error:
            raise AssertionError(f"case {number} of {SEED}={seed}: {error!r}") from error
        spent = time.process_time() - started
        assert spent < MOST_SECONDS, f"case {number} of {SEED}={seed} took {spent:.1f} s"
    grown = _peak() - before
    assert grown < MOST_BYTES, f"{SEED}={seed}: a case took {grown >> 20} MB"


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def mutate(text: str, others: Sequence[str], words: Sequence[str], choose: random.Random) -> str:
    """Return ``text`` after one to six random changes, at most 20,000 characters.

    Args:
        text: what to begin with.
        others: texts that parts are taken from.
        words: pieces of the language, to put in beside what is odd in any language.
        choose: makes every choice.
    """
    for _ in range(choose.choice((1, 1, 1, 2, 3, 6))):
        start = choose.randint(0, len(text))
        end = min(len(text), start + choose.choice((0, 1, 1, 2, 5, 20, 100)))
        how = choose.randrange(8)
        if how == 0:
            new = ""
        elif how == 1:
            new = text[start:end] * choose.choice((2, 3, 50))
        elif how == 2:
            other = choose.choice(others)
            begin = choose.randint(0, len(other))
            new = other[begin : begin + choose.choice((3, 10, 60, 400))]
        elif how == 3:
            new = choose.choice(_ODD)
        elif how == 4:
            new = choose.choice(string.printable)
        else:
            new = choose.choice(words)
        text = text[:start] + new + text[end:]
    return text[:20_000]
