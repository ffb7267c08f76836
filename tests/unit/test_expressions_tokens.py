"""Unknown values and secrets: how they flow, their JSON form, and what refuses them."""

from __future__ import annotations

import copy
import json
import pickle
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gennaker.errors import ExpressionError, UnknownValue
from gennaker.expressions import (
    NoOutputs,
    Scope,
    SecretRef,
    SecretText,
    Unknown,
    UnknownText,
    compile_expression,
    compile_template,
    from_json,
    to_json,
)

SCOPE = Scope(
    {
        "stages": {"image": {"outputs": {"digest": Unknown("image.digest")}}},
        "params": {"user": "app", "count": 1},
    }
)


def test_an_unknown_value_flows_through_text() -> None:
    """Alone it stays a token; joined it is text that remembers its tokens."""
    alone = compile_template("${{ stages.image.outputs.digest }}").evaluate(SCOPE)
    joined = compile_template("shop@${{ stages.image.outputs.digest + '!' }}").evaluate(SCOPE)

    assert isinstance(alone, Unknown)
    assert alone.name == "image.digest"
    assert isinstance(joined, UnknownText)
    assert joined == "shop@<unknown:image.digest>!"
    assert joined.names == ("image.digest",)


@pytest.mark.parametrize(
    "source",
    [
        "size(D)",
        "D == 'x'",
        "D.field",
        "D[0]",
        "has(D.x)",
        "D.matches('a')",
        "D + 1",
        "to_json([D])",
        "[D].join('')",
        "[D] == ['a']",
        "D ? 1 : 2",
        "'a' in D",
        "{D: 1}",
        "D.map(x, x)",
        "distinct([D, 'a'])",
        "sort([D, 'a'])",
        "'%s'.format([D])",
        "optional.of(D)",
        "true && D",
        "!D",
    ],
)
def test_any_other_use_of_an_unknown_value_is_refused(source: str) -> None:
    """The plan then says what it depends on."""
    with pytest.raises(UnknownValue) as raised:
        compile_expression(source.replace("D", "stages.image.outputs.digest")).evaluate(SCOPE)

    assert raised.value.token == "image.digest"
    assert str(raised.value) == "unknown-value: depends on 'image.digest', which is not known yet"


def test_what_decides_without_it_needs_no_unknown_value() -> None:
    """A condition that holds whatever the value is, is known in a plan."""
    source = "stages.image.outputs.digest == '' || params.count == 1"

    assert compile_expression(source).evaluate(SCOPE) is True


def test_a_secret_is_its_name_until_it_is_revealed() -> None:
    """The evaluator never sees the value; only ``reveal`` does."""
    text = "postgres://${{ params.user }}:${{ secrets.db_password }}@db"
    found = compile_template(text).evaluate(SCOPE)
    joined = compile_expression("'a' + secrets['db-password'] + params.user").evaluate(SCOPE)

    assert SecretText(("postgres://app:", SecretRef("db_password"), "@db")) == found
    assert found.to_json() == {"$secret": ["postgres://app:", {"name": "db_password"}, "@db"]}
    assert found == SecretText.from_json(json.loads(json.dumps(found.to_json())))
    assert found.reveal({"db_password": "s3cret"}.__getitem__) == "postgres://app:s3cret@db"
    assert SecretText(("a", SecretRef("db-password"), "app")) == joined
    assert str(found) == "postgres://app:<secret:db_password>@db"


@pytest.mark.parametrize(
    "source",
    [
        "secrets",
        "secrets.a == 'x'",
        "[secrets.a]",
        "{'a': secrets.a}",
        "true ? secrets.a : 'x'",
        "secrets.a.size()",
        "'x' + to_json(secrets.a)",
        "has(secrets.a)",
        "default(secrets.a, 'x')",
        "secrets.map(x, x)",
        "secrets.a - 'x'",
        "secrets.a.b",
    ],
)
def test_a_secret_stands_alone_or_is_joined(source: str) -> None:
    """By syntax, whatever the values: nothing can be learnt of a secret."""
    with pytest.raises(ExpressionError) as raised:
        compile_expression(source)

    assert raised.value.code == "secret-in-expression"


def test_a_secret_is_joined_with_text_only() -> None:
    """A number beside a secret is an error as beside any text."""
    with pytest.raises(ExpressionError) as raised:
        compile_expression("secrets.a + 1").evaluate(SCOPE)

    assert (
        str(raised.value)
        == "secret-in-expression: a secret may only stand alone or be joined with '+'"
    )


def test_a_secret_beside_an_unknown_value_keeps_both() -> None:
    """In a plan a secret text may hold tokens, and its JSON form reads back."""
    found = compile_template("${{ secrets.a }}@${{ stages.image.outputs.digest }}").evaluate(SCOPE)

    assert str(found) == "<secret:a>@<unknown:image.digest>"
    assert found == from_json(to_json(found))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["a", "$secret", "$unknown", "$$secret", "name"]) | st.text(),
            inner,
            max_size=2,
        )
    ),
    max_leaves=8,
)


@given(JSON)
@settings(max_examples=200)
def test_data_that_looks_like_a_token_stays_data(data: Any) -> None:
    """No output of a stage can become a secret by being stored and read back."""
    assert data == from_json(json.loads(json.dumps(to_json(data))))


def test_the_json_form_of_unknown_values() -> None:
    """A token is its name; a text with tokens is its parts; both read back as themselves."""
    token = Unknown("image.digest")
    text = "shop@" + token

    assert to_json(token) == {"$unknown": "image.digest"}
    assert to_json(text) == {"$unknown": ["shop@", {"name": "image.digest"}]}
    assert isinstance(from_json(to_json(token)), Unknown)
    assert from_json(to_json(text)).names == ("image.digest",)


@pytest.mark.parametrize("data", [{"$secret": "x"}, {"$secret": [{"nam": "x"}]}, {"$unknown": [1]}])
def test_a_broken_token_is_refused(data: Any) -> None:
    """Reading back never guesses."""
    with pytest.raises(ValueError, match="marked text"):
        from_json(data)


def test_tokens_survive_copies() -> None:
    """Plans are copied and sent between processes."""
    token = Unknown("a.b")
    text = "x" + token + "y"

    assert copy.deepcopy(text).names == ("a.b",)
    assert copy.copy(token).name == "a.b"
    assert pickle.loads(pickle.dumps(text)).names == ("a.b",)  # noqa: S301


def test_absent_outputs_refuse_every_use() -> None:
    """Whatever looks into them is told of the stage; asking whether one is there is not a use."""
    absent = NoOutputs("gone")
    for source in ("x.a", "x.map(k, k)", "size(x)", "x == {}", "x", "to_json(x)"):
        with pytest.raises(ExpressionError) as raised:
            compile_expression(source).evaluate(Scope({"x": absent}))
        assert raised.value.code == "missing-output"
