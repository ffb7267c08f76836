"""What ``show`` prints loads back to the same digest, in YAML and in Python."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from gennaker.loader import build_definition
from gennaker.model import PipelineDefinition
from gennaker.printing import to_yaml
from gennaker.printing.python_text import print_python
from gennaker.process import run
from gennaker.pythonfile import load_python_file
from gennaker.yamltext import compose

BUILTIN = {
    "shell",
    "approval",
    "docker.build",
    "helm.template",
    "kubernetes.deploy",
    "http.request",
}
TYPES = [*sorted(BUILTIN), "acme.load_test", "acme.shell", "noop"]

names = st.from_regex(r"[a-z][a-z0-9]{0,5}([_-][a-z][a-z0-9]{0,3})?", fullmatch=True)
texts = st.text(
    st.characters(
        codec="utf-8", exclude_characters="\r\x85\u2028\u2029", exclude_categories=["Cs", "Cc"]
    )
    | st.sampled_from("\n\t'\"\\{}$#:!&*?|>%@`"),
    max_size=30,
)
templates = st.builds(
    lambda before, path, after: f"{before}${{{{ {path} }}}}{after}",
    st.sampled_from(["", "a ", "{x}", 'q"', "line\n"]),
    st.sampled_from(
        [
            "params.version",
            "params.class",
            "stages.one.outputs.digest",
            "stages['two-b'].outputs.x",
            "stages.one.outputs.labels['a-b'][0]",
            "stages.one.outputs.outcome",
            "stages.one.outcome",
            "secrets.token",
            "environment.variables.host",
            "matrix.region",
            "git.sha + 'x'",
            "run.expression",
        ]
    ),
    st.sampled_from(["", " z", "}", "\n"]),
)
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False, width=32)
    | texts
    | templates
)
keys = names | st.sampled_from(
    ["for", "if_", "self", "class", "x-y", "1", "on", "yes", "key with space"]
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
    max_leaves=8,
)
INPUT_NAMES = names | st.sampled_from(["for", "class", "self", "x-y", "id"])


@st.composite
def stages(draw: st.DrawFn, identifiers: list[str]) -> dict[str, Any]:
    stage: dict[str, Any] = {"uses": draw(st.sampled_from(TYPES))}
    inputs = draw(st.dictionaries(INPUT_NAMES, values, max_size=4))
    reserved = {"name", "needs", "if", "matrix", "environment", "timeout", "retry", "uses", "with"}
    inputs = {name: each for name, each in inputs.items() if name not in reserved}
    if inputs:
        stage["with"] = inputs
    if identifiers and draw(st.booleans()):
        stage["needs"] = draw(st.lists(st.sampled_from(identifiers), unique=True, max_size=3))
    optional: dict[str, st.SearchStrategy[Any]] = {
        "name": texts.filter(bool),
        "if": st.sampled_from(
            ["params.version == 'x'", "params.version", "always()", True, "a\n&& b"]
        ),
        "matrix": st.just(
            {"region": ["eu", 1, {"a": "b"}], "max_parallel": 2, "zone": "${{ params.version }}"}
        ),
        "environment": st.sampled_from(
            ["staging", "${{ params.version }}", "${{ matrix.region }}"]
        ),
        "timeout": st.sampled_from(["60m", "1h30m", "90s", "1h"]),
        "retry": st.sampled_from([3, {"limit": 2, "delay": "5s"}, {"limit": 1, "on": ["failed"]}]),
        "on_failure": st.sampled_from(["branch", "stop", "ignore", "undo", {"undo": ["a", "b"]}]),
    }
    for key, strategy in optional.items():
        if draw(st.integers(0, 3)) == 0:
            stage[key] = draw(strategy)
    return stage


@st.composite
def pipelines(draw: st.DrawFn) -> dict[str, Any]:
    identifiers = draw(
        st.lists(names | st.sampled_from(["one", "two-b"]), min_size=1, max_size=5, unique=True)
    )
    data: dict[str, Any] = {"name": draw(names), "stages": {}}
    if draw(st.booleans()):
        data["title"] = draw(texts.filter(bool) | templates)
    if draw(st.booleans()):
        data["labels"] = draw(st.dictionaries(names, texts, max_size=2))
    if draw(st.booleans()):
        data["parameters"] = {
            "version": {"default": draw(texts), "description": "x"},
            "class": {"type": "integer", "default": 3, "minimum": 1.5},
        }
    if draw(st.booleans()):
        data["concurrency"] = {"group": "g", "policy": "supersede"}
    if draw(st.booleans()):
        data["defaults"] = {"retry": 2}
    split = draw(st.integers(1, len(identifiers)))
    for index, identifier in enumerate(identifiers):
        section = "stages" if index < split else "finally"
        data.setdefault(section, {})[identifier] = draw(stages(identifiers[:index]))
    return data


def define(data: dict[str, Any], root: Path) -> PipelineDefinition:
    return build_definition(data, file="p.yaml", places={}, root=root).definition


@given(data=pipelines())
@settings(max_examples=60)
def test_printed_yaml_has_the_same_digest(
    data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A definition printed as YAML and read again is the same definition."""
    root = tmp_path_factory.getbasetemp()
    definition = define(data, root)
    printed = to_yaml(definition)
    again = define(compose(printed, file="p.yaml").data, root)
    assert definition.digest == again.digest, printed


@given(data=pipelines())
@settings(max_examples=60)
def test_printed_python_has_the_same_digest(
    data: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A definition printed as Python and run is the same definition."""
    root = tmp_path_factory.getbasetemp()
    definition = define(data, root)
    printed = print_python(definition, BUILTIN)
    file = root / "printed.py"
    file.write_text(printed, encoding="utf-8")
    (again,) = load_python_file(file, root=root)
    assert definition.digest == again.definition.digest, printed


@pytest.mark.timeout(60)  # as the two above have
def test_printed_python_is_formatted(tmp_path: Path) -> None:
    """``ruff format`` leaves the printed Python as it is."""
    written = itertools.count()

    @given(data=pipelines())
    @settings(max_examples=100, phases=[Phase.generate], database=None)
    def write_one(data: dict[str, Any]) -> None:
        printed = print_python(define(data, tmp_path), BUILTIN)
        (tmp_path / f"p{next(written)}.py").write_text(printed, encoding="utf-8")

    write_one()  # one call of the formatter for all of them
    ruff = Path(sys.executable).parent / "ruff"
    done = run([str(ruff), "format", "--isolated", "--diff", str(tmp_path)], timeout=60)
    assert done.code == 0, (done.stdout + done.stderr).decode()


def test_python_reads_as_a_person_would_write_it(tmp_path: Path) -> None:
    """References become attributes and f-strings, stages that are used become variables."""
    data = {
        "name": "shop",
        "parameters": {"version": {"default": "1"}},
        "stages": {
            "ship": {
                "uses": "kubernetes.deploy",
                "needs": "check",
                "environment": "staging",
                "with": {
                    "image": "${{ stages.image.outputs.reference }}",
                    "password": "${{ secrets.db }}",
                },
            },
            "image": {
                "uses": "docker.build",
                "with": {"tags": ["r.test/shop:${{ params.version }}"]},
            },
            "check": {"uses": "acme.load_test", "if": "stages.image.outputs.fast", "retry": 3},
        },
        "finally": {"tell": {"uses": "shell", "with": {"run": "echo done"}}},
    }
    assert print_python(define(data, tmp_path), BUILTIN) == (
        "from gennaker import Pipeline, secrets, stage_type\n"
        "from gennaker_stages import docker, kubernetes, shell\n"
        "\n"
        'load_test = stage_type("acme.load_test")\n'
        "\n"
        'with Pipeline("shop") as pipeline:\n'
        '    version = pipeline.parameter("version", default="1")\n'
        '    image = docker.build("image", tags=[f"r.test/shop:{version}"])\n'
        '    check = load_test("check", if_=image.fast, retry=3)\n'
        "    kubernetes.deploy(\n"
        '        "ship",\n'
        "        image=image.reference,\n"
        "        password=secrets.db,\n"
        "        needs=check,\n"
        '        environment="staging",\n'
        "    )\n"
        "    with pipeline.finally_():\n"
        '        shell("tell", run="echo done")\n'
    )


def test_a_script_is_printed_as_its_lines(tmp_path: Path) -> None:
    """Several lines stand between triple quotes; one line, or spaces at a line's end, do not."""
    scripts = {"a": "cd app\nmake\n", "b": "make\n", "c": "one \ntwo\n", "d": 'C:\\x\necho "y"\n'}
    stages = {name: {"uses": "shell", "with": {"run": run}} for name, run in scripts.items()}
    assert print_python(define({"name": "p", "stages": stages}, tmp_path), BUILTIN) == (
        "from gennaker import Pipeline\n"
        "from gennaker_stages import shell\n"
        "\n"
        'with Pipeline("p") as pipeline:\n'
        "    shell(\n"
        '        "a",\n'
        '        run="""\\\n'
        "cd app\n"
        "make\n"
        '""",\n'
        "    )\n"
        '    shell("b", run="make\\n")\n'
        '    shell("c", run="one \\ntwo\\n")\n'
        "    shell(\n"
        '        "d",\n'
        '        run="""\\\n'
        "C:\\\\x\n"
        'echo "y"\n'
        '""",\n'
        "    )\n"
    )


def test_printed_yaml_hides_nothing() -> None:
    """A character that changes the direction of text is written as an escape, and read again."""
    labels = {"a": "x\u202ey", "b": "two\nlines\u2066", "\u202e": "é"}
    definition = PipelineDefinition.model_validate(
        {"name": "one", "labels": labels, "stages": {"a": {"uses": "shell"}}}
    )
    text = to_yaml(definition)
    assert "\u202e" not in text
    assert "\u2066" not in text
    assert "é" in text
    assert compose(text, file="f.yaml").data["labels"] == labels
