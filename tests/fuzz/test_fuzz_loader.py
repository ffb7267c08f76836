"""Random pipelines: documented problems, or a definition that survives being shown and loaded."""

from __future__ import annotations

import copy
import json
import random
from pathlib import Path
from typing import Any

import pytest

from gennaker.codes import CODES
from gennaker.errors import InvalidInput
from gennaker.loader import read_file
from gennaker.printing import to_python, to_yaml
from gennaker.project import load_project
from gennaker.validation import validate
from gennaker.yamltext import compose
from tests.fixtures.sample_plugins import make_registry
from tests.fixtures.scale import scale
from tests.fuzz.cases import mutate, run_cases

TEXTS = [
    """\
name: shop
title: "Deploy ${{ params.version }}"
labels: {team: web}
parameters:
  version: {default: "1.4", pattern: '[0-9.]+', choices: ["1.4", "1.5"]}
  count: {type: integer, default: 3, minimum: 1, maximum: 9}
concurrency: {group: "shop-${{ git.branch }}", policy: supersede, limit: 2}
defaults: {timeout: 10m, retry: {limit: 2, delay: 1s, on: [errored]}}
timeout: 2h
stages:
  a: {uses: shell, with: {run: x}}
""",
    """\
name: shop
parameters: {version: {required: true}}
x-anchor: &env {A: "1", B: "${{ params.version }}"}
stages:
  test:
    uses: shell
    name: Test ${{ matrix.os }}
    if: params.version != ''
    matrix: {os: [linux, mac], exclude: [{os: mac}], include: [{os: bsd}], max_parallel: 2}
    with: {run: make test, env: *env, outputs: [tag]}
    retry: 3
    on_failure: ignore
""",
    """\
name: shop
stages:
  image: {uses: docker.build, with: {context: app, tags: [a, "b:${{ run.number }}"], push: true}}
  deploy:
    uses: kubernetes.deploy
    needs: [image]
    environment: staging
    with: {bundle: "${{ stages.image.outputs.digest }}"}
finally:
  tell: {uses: shell, if: failure(), with: {run: [echo, done], env: {A: "${{ run.id }}"}}}
""",
    "name: one\nstages:\n  a: {uses: shell, with: {run: 'echo'}}\n  b: {uses: shell, needs: a, with: {run: x}}\n",
]
WORDS = [
    *(
        "name: ",
        "stages:\n",
        "  a: ",
        "uses: shell",
        "with: {",
        "needs: [a, b]",
        "if: ",
        "matrix: {x: ",
    ),
    *(
        "timeout: 5m",
        "retry: 3",
        "on_failure: stop",
        "environment: staging",
        "finally:\n",
        "parameters:\n",
    ),
    *(
        "${{ params.x }}",
        "${{ stages.a.outputs.y }}",
        "${{ secrets.db_password }}",
        "x-y: ",
        "*env",
    ),
]
ODD: list[Any] = [
    *(None, True, 0, -1, 1.5, 2**53, "", " ", "a", "A", "a-b", "a_b", "1", "a" * 64, "../x", "con"),
    *(
        "90s",
        "5m",
        "1h30m",
        "90",
        "${{ params.version }}",
        "${{ 1 + }}",
        "${{ stages.test.outputs.tag }}",
    ),
    *(
        "__proto__",
        "\u202e",
        "é",
        "e\u0301",
        [],
        {},
        [[]],
        {"a": None},
        ["a", "a"],
        {"run": "x"},
        10**400,
    ),
    *(
        "always()",
        "stages.image.outcome == 'failed'",
        "shell",
        "docker.build",
        "approval",
        "staging",
    ),
]


def _mutate_data(data: Any, choose: random.Random) -> Any:
    """Return data with one node replaced, removed, added or renamed."""
    data = copy.deepcopy(data)
    node = data
    while True:
        children = list(node) if isinstance(node, dict) else range(len(node))
        if not children:
            return data
        key = choose.choice(list(children))
        child = node[key]
        if isinstance(child, dict | list) and child and choose.random() < 0.8:
            node = child
            continue
        how = choose.randrange(4)
        if how == 0:
            del node[key]
        elif how == 1 and isinstance(node, dict):
            node[choose.choice([each for each in ODD if isinstance(each, str)])] = child
        elif how == 2 and isinstance(node, dict):
            node[choose.choice(("needs", "if", "matrix", "timeout", "retry", "with", "uses"))] = (
                choose.choice(ODD)
            )
        else:
            node[key] = choose.choice(ODD)
        return data


@pytest.mark.scaled
@pytest.mark.timeout(scale(240, 0))
def test_fuzz_loader(memory_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is valid is the same data and digest when it is shown and loaded again, in both forms."""
    monkeypatch.chdir(memory_folder)
    Path("gennaker.yaml").write_text(
        "project: shop\nenvironments: {staging: {kubernetes: {context: c, namespace: n}}}\n"
    )
    project = load_project(Path())
    registry = make_registry()
    file = Path("p.yaml")
    data = [compose(text, file="p.yaml").data for text in TEXTS]

    def check(choose: random.Random) -> None:
        if choose.random() < 0.5:
            text = mutate(choose.choice(TEXTS), TEXTS, WORDS, choose)
        else:
            changed = choose.choice(data)
            for _ in range(choose.randint(1, 3)):
                changed = _mutate_data(changed, choose)
            text = json.dumps(changed)
        file.write_text(text, "utf-8", "replace")
        try:
            (loaded,) = read_file(file, project=project)
            problems = validate(loaded, registry=registry, project=project)
        except InvalidInput as error:
            problems = list(error.problems)
        assert all(each.code in CODES for each in problems), problems
        if any(each.severity == "error" for each in problems):
            return
        if choose.random() < 0.3:
            again = Path("again.py")
            again.write_text(to_python(loaded.definition, registry))
        else:
            again = Path("again.yaml")
            again.write_text(to_yaml(loaded.definition))
        (reloaded,) = read_file(again, project=project)
        assert reloaded.definition.digest == loaded.definition.digest, text

    run_cases(check)
