"""The JSON Schema for editors: draft-07, with the inputs of the installed plugins."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from gennaker.plugins import Registry
from gennaker.schema import build_schema, build_settings_schema
from gennaker.yamltext import compose
from tests.fixtures.sample_plugins import make_registry

SCHEMA = build_schema(make_registry())


def errors_of(schema: dict[str, Any], text: str) -> list[str]:
    """Return what a draft-07 validator says of a YAML text."""
    data = compose(text, file="f.yaml").data
    return sorted(each.message for each in jsonschema.Draft7Validator(schema).iter_errors(data))


def test_draft() -> None:
    """Both schemas are valid draft-07 and say so, also with no plugin at all."""
    for registry in (make_registry(), Registry.of()):
        for schema in (build_schema(registry), build_settings_schema(registry)):
            assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
            jsonschema.Draft7Validator.check_schema(schema)


def test_references_resolve() -> None:
    """Every reference names a definition."""
    names = {f"#/definitions/{name}" for name in SCHEMA["definitions"]}

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            assert node.get("$ref") is None or node["$ref"] in names
            for each in node.values():
                walk(each)
        elif isinstance(node, list):
            for each in node:
                walk(each)

    walk(SCHEMA)


def test_accepts_every_form() -> None:
    """Short forms, expressions wherever a value may be one, and ``x-`` keys are accepted."""
    text = """
name: shop
x-anchors: {a: 1}
parameters: {v: {type: integer, default: 1}}
defaults: {retry: 2, timeout: 5m}
stages:
  image:
    uses: docker.build
    needs: other
    retry: {limit: 1, delay: 2s}
    with:
      context: app
      tags: ["a", "b:${{ params.v }}"]
      push: ${{ params.v > 1 }}
      attempts: "${{ params.v }}"
      pull: "${{ params.v == 1 ? 'always' : 'missing' }}"
  other: {uses: shell, needs: [], if: true, with: {run: [a, b], env: {A: "${{ secrets.x }}"}}}
  deploy:
    uses: kubernetes.deploy
    matrix: {region: [eu], other: "${{ [1] }}", max_parallel: 1, include: [{region: us}]}
    with: {bundle: "${{ stages.image.outputs.digest }}", secrets: {a: {b: "${{ secrets.c }}"}}}
  go: {uses: approval}
finally:
  tidy: {uses: shell, with: {run: echo}}
"""
    assert errors_of(SCHEMA, text) == []


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("{uses: shel}", "'shel' is not one of "),
        ("{uses: shell, tmeout: 5m}", "'tmeout' was unexpected"),
        ("{uses: docker.build}", "'with' is a required property"),
        ("{uses: docker.build, with: {}}", "'context' is a required property"),
        ("{uses: docker.build, with: {context: a, contxt: b}}", "'contxt' was unexpected"),
        ("{uses: docker.build, with: {context: a, push: 5}}", "5 is not valid under any"),
        ("{uses: shell, timeout: 5, with: {run: a}}", "5 is not of type 'string'"),
        ("{uses: shell, on_failure: no, with: {run: a}}", "'no' is not valid under any"),
        ("{uses: shell, matrix: {a: 5}, with: {run: a}}", "5 is not valid under any"),
    ],
)
def test_refuses(stage: str, expected: str) -> None:
    """What an editor can know to be wrong is underlined."""
    found = errors_of(SCHEMA, f"name: one\nstages: {{a: {stage}}}\n")
    assert any(expected in each for each in found)


def test_scripts_take_no_expressions_but_are_text() -> None:
    """A script's schema is the plain one."""
    run = SCHEMA["definitions"]["inputs.shell"]["properties"]["run"]
    assert {"$ref": "#/definitions/expression"} not in run["anyOf"]


def test_settings() -> None:
    """The project's settings know the installed targets and secret providers."""
    schema = build_settings_schema(make_registry())
    good = """
project: shop
environments:
  staging:
    kubernetes: {context: kind, namespace: shop}
    secrets: {a: {env: A}}
    approval: {approvers: ["local:*"], self: false, expires: 1h}
source: {exclude: [a]}
groups: {release: ["local:*"]}
"""
    assert errors_of(schema, good) == []
    assert errors_of(schema, "environments: {a: {kubernets: {}}}\n") != []
    assert errors_of(schema, "environments: {a: {kubernetes: {context: 5}}}\n") != []
    assert errors_of(schema, "secrets: {a: {vault: x}}\n") != []
    assert errors_of(schema, "projct: a\n") != []
