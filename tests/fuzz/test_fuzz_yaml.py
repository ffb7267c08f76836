"""Random YAML: plain data that survives being written again, or problems with a place and a code."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from gennaker.codes import CODES
from gennaker.errors import InvalidInput
from gennaker.yamltext import compose, compose_all
from tests.fixtures.scale import scale
from tests.fuzz.cases import mutate, run_cases

ROOT = Path(__file__).parents[2]
SEEDS = [
    *(path.read_text() for path in sorted((ROOT / "examples").rglob("*.yaml"))[:20]),
    "a: &a {b: [1, 2.5, true, ~, 'x', \"y\\n\"], c: *x}\n",
    "x-a: &x {k: 1}\nb: {<<: *x, l: |\n  text\n  more\n}\n",
    "a: >-\n  folded\n\n  text\n? long\n: value\n- no\n",
    "- - - [a, {b: c}]\n- !x y\n- on\n- 0755\n- 12:30\n",
    "%YAML 1.2\n---\na: b # c\n...\n---\nd: e\n",
    "a: \"\\x41\\u263a\\U0001F600\\/\\e\"\nb: 'it''s'\n",
]
WORDS = [
    "a: ",
    "- ",
    "&b ",
    "*b",
    "<<: *b",
    "|\n ",
    ">-\n ",
    "? ",
    ": ",
    "[",
    "{",
    "!!str ",
    "\n  ",
]


@pytest.mark.scaled
@pytest.mark.timeout(scale(120, 0))
def test_fuzz_yaml() -> None:
    """Whatever the text is, the composer gives data or documented problems, soon."""

    def check(choose: random.Random) -> None:
        text: str | bytes = mutate(choose.choice(SEEDS), SEEDS, WORDS, choose)
        if choose.random() < 0.1:
            assert isinstance(text, str)
            text = text.encode(choose.choice(("utf-8", "utf-16", "latin-1")), "replace")
        schema = choose.choice(("1.2", "1.2", "1.1"))
        try:
            if choose.random() < 0.2:
                documents = compose_all(text, file="f.yaml", schema=schema)
            else:
                documents = [compose(text, file="f.yaml", schema=schema)]
        except InvalidInput as error:
            for problem in error.problems:
                assert problem.code in CODES, problem
                assert problem.location is not None, problem
                assert problem.location.file == "f.yaml", problem
            return
        for document in documents:
            written = json.dumps(document.data, allow_nan=False)
            if len(written) < 100_000 and schema == "1.2" and "\\ud" not in written:
                again = compose(written, file="g.yaml")
                assert again.data == document.data, (text, written)

    run_cases(check)
