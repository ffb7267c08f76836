"""Random expressions and templates: a value that can be kept, or an error with a code and a place."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from gennaker.codes import CODES
from gennaker.errors import ExpressionError
from gennaker.expressions import (
    Scope,
    TypeScope,
    Unknown,
    check_expression,
    compile_expression,
    compile_template,
    from_json,
    to_json,
)
from gennaker.expressions.types import DYN, STRING, map_of
from tests.conformance.cel_cases import read_cases
from tests.fixtures.scale import scale
from tests.fuzz.cases import mutate, run_cases

OWN = [
    "params.version == '1.2' && stages.image.outputs.digest != ''",
    "stages['load-test'].outcome == 'failed' || always()",
    "default(params.?none.orValue(null), 'x') + slug(git.branch)",
    "matrix.region in ['eu', 'us'] ? params.count * 2 : -1",
    "params.list.map(x, x + 1).filter(y, y > 2).exists(z, z == 3)",
    "to_json({'a': [1, 2.5, null, true]}) + to_yaml(params.list)",
    "semver('1.2.3-rc.1') < semver(params.version)",
    "'%s %d %.2f %x'.format(['a', 1, 2.5, 255])",
    "sha256('x') + base64.encode(b'\\xff') + url_encode('a b')",
    "flatten([[1], [2, [3]]]).distinct().sort()",
    "'abc'.matches('^a.*$') && 'abc'.split('').size() == 3",
    "duration('1h30m') + timestamp(run.started_at) > timestamp('2026-01-01T00:00:00Z')",
    "secrets.token + 'x'",
]
SEEDS = [*OWN * 8, *(case["expr"] for case in read_cases() if len(case["expr"]) < 400)]
WORDS = [
    *("params", ".version", "stages.a.outputs.x", "matrix.region", "secrets.token", "[0]", "['a']"),
    *(
        ".map(x, ",
        ".filter(y, ",
        ".all(z, ",
        ".exists_one(w, ",
        ", x + x)",
        "size(",
        "int(",
        "string(",
    ),
    *("&&", "||", "==", "<=", " in ", "?", ":", ".?", "[?", "+", "-", "*", "/", "%", "!", "(", ")"),
    *("b'\\xff'", "r'\\d+'", "1u", "0x7f", "1.5e3", "''", "[]", "{}", "null", "true", "'''a\nb'''"),
    *(".matches('(a*)*$')", ".replace('', 'xx')", ".join(',')", "hash_files('**')", "to_json("),
    *("success()", "failure()", "default(", "from_json('[1]')", ".format(['%s'])", "9" * 19),
]
VALUES: dict[str, Any] = {
    "params": {"version": "1.2.3", "count": 3, "list": [3, 1, 2], "text": "ab" * 5000, "d": 1.5},
    "stages": {"image": {"outputs": {"digest": "sha256:0"}, "outcome": "succeeded"}},
    "matrix": {"region": "eu", "later": Unknown("image.digest")},
    "run": {"id": "shop-1", "started_at": "2026-11-23T10:00:00Z"},
    "git": {"branch": "feature/ünï", "sha": "0" * 40, "dirty": False},
}
SCOPE = Scope(VALUES, files={"**": "0" * 64})
TYPES = TypeScope(dict.fromkeys(VALUES, DYN) | {"git": map_of({"branch": STRING})})


@pytest.mark.scaled
@pytest.mark.timeout(scale(120, 0))
def test_fuzz_expressions() -> None:
    """Whatever the text is, it is refused with a code or evaluates within the bounds."""

    def check(choose: random.Random) -> None:
        source = mutate(choose.choice(SEEDS), SEEDS, WORDS, choose)
        inside = choose.random() < 0.2
        try:
            if inside:
                source = f"a ${{{{ {source} }}}} b"
                value = compile_template(source).evaluate(SCOPE)
            else:
                expression = compile_expression(source)
                for problem in check_expression(expression, TYPES):
                    assert problem.code in CODES, problem
                value = expression.evaluate(SCOPE)
        except ExpressionError as error:
            assert error.code in CODES, error
            assert error.offset is None or 0 <= error.offset <= len(source), error
            return
        kept = to_json(value)
        assert to_json(from_json(json.loads(json.dumps(kept)))) == kept, source

    run_cases(check)
