"""The loader: short forms, problems of form, functions, and finding pipelines by name and file."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import InvalidInput, Location
from gennaker.loader import (
    Loaded,
    build_definition,
    find_pipeline,
    find_pipelines,
    list_pipeline_names,
    load_file,
    read_file,
)
from gennaker.pipeline_files import list_pipeline_files
from gennaker.project import load_project

ONE = "name: one\nstages:\n  a: {uses: shell, with: {run: echo}}\n"


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty project."""
    monkeypatch.chdir(tmp_path)
    Path("pipelines").mkdir()
    Path("gennaker.yaml").write_text("project: shop\n")


def read(text: str) -> Loaded:
    """Read one YAML pipeline of the current folder."""
    Path("p.yaml").write_text(text)
    (loaded,) = read_file(Path("p.yaml"), project=load_project(Path()))
    return loaded


def stage(text: str) -> dict[str, Any]:
    """Return the data of a stage written as flow content."""
    loaded = read(f"name: one\nstages:\n  a: {{uses: shell, {text}}}\n")
    assert loaded.problems == ()
    return loaded.definition.to_data()["stages"]["a"]


def error_of(reference: str) -> str:
    """Return the error of finding a pipeline as it is shown."""
    with pytest.raises(InvalidInput) as caught:
        find_pipeline(load_project(Path()), reference)
    return "\n".join(str(each) for each in caught.value.problems)


@pytest.mark.parametrize(
    ("short", "long"),
    [
        ("needs: b", "needs: [b]"),
        ("retry: 3", "retry: {limit: 3}"),
        ("timeout: 60m", "timeout: 1h"),
        ("timeout: 1h", "on_failure: branch"),
        ("retry: {limit: 1, delay: 120s, on: [failed, errored]}", "retry: {limit: 1, delay: 2m}"),
        ("matrix: {r: [1], fail_fast: true}", "matrix: {r: [1]}"),
    ],
)
def test_short_forms_are_the_same_pipeline(short: str, long: str) -> None:
    """Short forms and documented defaults make no difference to the digest."""
    base = "name: one\ndescription: x\nx-a: &a {k: 1}\nstages:\n"
    first = read(f"{base}  b: {{uses: shell}}\n  a: {{uses: shell, {short}}}\n")
    second = read(f"name: one\nstages:\n  a: {{uses: shell, {long}}}\n  b: {{uses: shell}}\n")
    assert first.definition.digest == second.definition.digest


def test_with_counts_as_written() -> None:
    """``with``, parameter defaults and ``defaults`` make a difference as they are written."""
    other = "name: one\nstages:\n  a: {uses: shell, with: {run: echo, source: true}}\n"
    assert read(ONE).definition.digest != read(other).definition.digest
    assert stage("with: {a: null, b: [null]}")["with"] == {"a": None, "b": [None]}


def test_places() -> None:
    """Every part of the definition has its place."""
    loaded = read(ONE)
    assert loaded.at("stages", "a", "with", "run") == Location("p.yaml", 3, 32)
    assert loaded.at("stages", "a", key=True) == Location("p.yaml", 3, 3)


def test_all_problems_of_the_form() -> None:
    """Every mistake is told at once at its place, and the rest can still be checked."""
    loaded = read(
        "name: bad\n"
        "titel: x\n"
        "parameters:\n"
        "  v: {type: strng, defaut: 1}\n"
        "  w: 5\n"
        "stages:\n"
        "  a:\n"
        "    uses: shell\n"
        "    tmeout: 5m\n"
        "    timeout: 60\n"
        "    needs: {x: y}\n"
        "    retry: {limit: x}\n"
        "  b: {usess: shell, if: }\n"
        "  c: hello\n"
        "  d: {uses: shell, on_failure: sometimes, matrix: {max_parallel: '2', fail_fast: 'no'}}\n"
        "  e: {with: {}}\n"
        "  f: {uses: x, bundle: y}\n"
    )
    assert sorted(str(each) for each in loaded.problems) == sorted(
        [
            "p.yaml:13:21: null-value: 'if' has no value; give it one, or remove it",
            "p.yaml:4:13: invalid-value: 'type' must be 'string', 'integer', 'number' or 'boolean', "
            "not 'strng'; did you mean 'string'?",
            "p.yaml:4:20: unknown-field: 'defaut' is not a field of a parameter; "
            "did you mean 'default'?",
            "p.yaml:5:6: wrong-type: 'w' must be a mapping, not the number 5",
            "p.yaml:11:12: wrong-type: 'needs' must be a list, not a mapping",
            "p.yaml:10:14: duration: 'timeout': 60 has no unit; write a duration as '60s' or '60m'",
            "p.yaml:12:20: wrong-type: 'limit' must be an integer, not 'x'",
            "p.yaml:9:5: unknown-field: 'tmeout' is not a field of a stage; "
            "did you mean 'timeout'?",
            "p.yaml:13:7: unknown-field: 'usess' is not a field of a stage; did you mean 'uses'?",
            "p.yaml:14:6: wrong-type: 'c' must be a mapping, not 'hello'",
            "p.yaml:15:66: wrong-type: 'max_parallel' must be an integer, not '2'",
            "p.yaml:15:82: wrong-type: 'fail_fast' must be true or false, not 'no'",
            "p.yaml:15:32: invalid-value: 'on_failure' must be 'branch', 'stop', 'ignore' or 'undo', "
            "not 'sometimes'",
            "p.yaml:2:1: unknown-field: 'titel' is not a field of a pipeline; "
            "did you mean 'title'?",
            "p.yaml:16:3: missing-field: a stage needs 'uses'; add 'uses: …'",
            "p.yaml:17:16: unknown-field: 'bundle' is not a field of a stage; inputs of its type "
            "stand under 'with'; fields of a stage: environment, if, matrix, name, needs, on_failure, "
            "retry, timeout, uses, with",
        ]
    )
    assert list(loaded.definition.stages) == ["a", "b", "c", "d", "e", "f"]
    with pytest.raises(InvalidInput):
        loaded.check()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "- a\n",
            "p.yaml:1:1: wrong-type: a pipeline is a mapping, not a list; "
            "begin with 'name: …' and 'stages:'",
        ),
        ("", "p.yaml:1:1: yaml-empty: the file is empty; write one document"),
        (
            "name: one\nstages: {a: {uses: x}}\nname: two\n",
            "p.yaml:3:1: duplicate-key: key 'name' is already in line 1; remove one of the two",
        ),
        (
            "stages: {a: {uses: x}}\n",
            "p.yaml:1:1: missing-field: a pipeline needs 'name'; add 'name: …'",
        ),
        (
            "name: one\n",
            "p.yaml:1:1: missing-field: a pipeline needs 'stages'; add 'stages: …'",
        ),
    ],
)
def test_no_pipeline(text: str, expected: str) -> None:
    """What is no pipeline is told in one problem."""
    Path("p.yaml").write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load_file(Path("p.yaml"), project=load_project(Path()))
    assert [str(each) for each in caught.value.problems] == [expected]


def test_functions_are_hashed() -> None:
    """A Python function's file counts in the digest by its hash."""
    Path("pipelines/shop.py").write_text("def check(): pass\n")
    text = "name: one\nstages: {a: {uses: python, with: {function: 'pipelines/shop.py:check'}}}\n"
    first = read(text).definition
    digest = hashlib.sha256(b"def check(): pass\n").hexdigest()
    assert first.functions == {"pipelines/shop.py": f"sha256:{digest}"}
    Path("pipelines/shop.py").write_text("def check(): return 1\n")
    assert read(text).definition.digest != first.digest


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        (
            "shop.py",
            "p.yaml:2:45: function: 'shop.py' does not name a function; "
            "write it as 'FILE.py:FUNCTION', the file relative to the project",
        ),
        (
            "../x.py:f",
            "p.yaml:2:45: path-outside: path '../x.py' has '..' in it; "
            "write a path relative to the folder, with '/' and without '..'",
        ),
    ],
)
def test_functions_refused(function: str, expected: str) -> None:
    """What names no function of the project is told at its place."""
    text = f"name: one\nstages: {{a: {{uses: python, with: {{function: '{function}'}}}}}}\n"
    assert [str(each) for each in read(text).problems] == [expected]


def test_function_without_file(tmp_path: Path) -> None:
    """A function whose file is not there is told, with where it was looked for."""
    loaded = read("name: one\nstages: {a: {uses: python, with: {function: 'no.py:f'}}}\n")
    assert [str(each) for each in loaded.problems] == [
        "p.yaml:2:45: function: there is no file 'no.py' in the project; "
        f"it is looked for in {str(tmp_path)!r}"
    ]


def test_function_that_is_not_there() -> None:
    """A function that its file does not have is told with the near one."""
    Path("f.py").write_text("def check():\n    pass\n")
    loaded = read("name: one\nstages: {a: {uses: python, with: {function: 'f.py:chek'}}}\n")
    assert [str(each) for each in loaded.problems] == [
        "p.yaml:2:45: function: 'f.py' has no function 'chek'; did you mean 'check'?"
    ]


def test_build_definition() -> None:
    """Plain data from elsewhere is the same pipeline as YAML's, with the places it came with."""
    loaded = build_definition(
        {"name": "one", "stages": {"a": {"uses": "shell", "with": {"run": "echo"}}}},
        file="p.py",
        places={(): ("p.py", 3, 1), ("stages", "a"): ("helper.py", 7, 1)},
        root=Path(),
    )
    assert loaded.definition.digest == read(ONE).definition.digest
    assert loaded.at("stages", "a", "with", "run") == Location("helper.py", 7, 1)
    assert loaded.at("name") == Location("p.py", 3, 1)


def test_find() -> None:
    """A pipeline is found by its name, whatever its file is called, by FILE and by FILE:NAME."""
    Path("pipelines/deep").mkdir()
    Path("pipelines/deep/x.yml").write_text(ONE)
    Path("pipelines/_helper.yaml").write_text("no pipeline")
    project = load_project(Path())
    assert [each.name for each in list_pipeline_files(project)] == ["x.yml"]
    assert list_pipeline_names(project) == ["one"]
    for reference in ("one", "pipelines/deep/x.yml", "pipelines/deep/x.yml:one"):
        found = find_pipeline(project, reference)
        assert (found.definition.name, found.file) == ("one", "pipelines/deep/x.yml")
    assert [each.definition.name for each in find_pipelines(project)] == ["one"]


def test_not_found() -> None:
    """What is not found gets the near one, or what is missing."""
    assert error_of("one") == (
        "unknown-pipeline: there is no pipeline 'one'; no pipelines were found in 'pipelines'"
    )
    Path("pipelines/x.yaml").write_text(ONE)
    assert error_of("onee") == (
        "unknown-pipeline: there is no pipeline 'onee'; did you mean 'one'?"
    )
    assert error_of("pipelines/y.yaml") == "unknown-pipeline: there is no file 'pipelines/y.yaml'"
    assert error_of("pipelines/x.yaml:two") == (
        "unknown-pipeline: 'pipelines/x.yaml' has no pipeline 'two'; known: 'one'"
    )
    assert error_of("pipelines/x.json") == (
        "unknown-pipeline: 'pipelines/x.json' is no pipeline file; "
        "a pipeline is in a '.yaml', '.yml' or '.py' file"
    )


def test_defined_twice() -> None:
    """A name that is defined twice is an error that shows both places."""
    Path("pipelines/a.yaml").write_text(ONE)
    Path("pipelines/b.yaml").write_text(f"\n{ONE}")
    assert error_of("one") == (
        "pipelines/b.yaml:2:7: ambiguous-pipeline: pipeline 'one' is defined twice, "
        "at pipelines/a.yaml:1:7 and pipelines/b.yaml:2:7; rename one of them"
    )
    with pytest.raises(InvalidInput, match="is defined twice"):
        find_pipelines(load_project(Path()))


def test_broken_neighbour() -> None:
    """A broken file does not hide the pipelines of others; it is told when a name is not found."""
    Path("pipelines/a.yaml").write_text("name: [\n")
    Path("pipelines/b.yaml").write_text(ONE)
    assert find_pipeline(load_project(Path()), "one").definition.name == "one"
    assert error_of("name").startswith("pipelines/a.yaml:1:8: yaml-syntax:")


def test_python_files() -> None:
    """The pipelines of Python files are found by name beside those of YAML."""
    Path("pipelines/p.py").write_text(
        "from gennaker.dsl import Pipeline, stage_type\n"
        "shell = stage_type('shell')\n"
        "with Pipeline('two') as two:\n"
        "    shell('a', run='echo')\n"
        "with Pipeline('three') as three:\n"
        "    shell('a', run='echo')\n"
    )
    project = load_project(Path())
    assert list_pipeline_names(project) == ["three", "two"]
    assert find_pipeline(project, "two").at("name").file == "pipelines/p.py"
    assert error_of("pipelines/p.py") == (
        "ambiguous-pipeline: 'pipelines/p.py' defines 2 pipelines; name one: 'pipelines/p.py:two'"
    )


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            "shell('b', run='x', if_=v == '1')",
            "pipelines/p.py:6: python-file: TypeError: 'params.v' has no value while the pipeline "
            "is written; compare in an expression: if_=\"params.v == '1'\"",
        ),
        (
            "shell('b', run='x', if_=v in [a.outcome])",
            "pipelines/p.py:6: python-file: TypeError: 'stages.a.outcome' has no value while the "
            'pipeline is written; compare in an expression: if_="stages.a.outcome == params.v"',
        ),
        (
            "shell('a', run='x')",
            "pipelines/p.py:6: duplicate-key: stage 'a' is there already, at pipelines/p.py:5; "
            "give it another id",
        ),
    ],
)
def test_a_wrong_line_of_python_is_told(line: str, expected: str) -> None:
    """With the file as people name it and its line; a comparison is never quietly False."""
    Path("pipelines/p.py").write_text(
        "from gennaker.dsl import Pipeline, stage_type\n"
        "shell = stage_type('shell')\n"
        "with Pipeline('two') as two:\n"
        "    v = two.parameter('v')\n"
        "    a = shell('a', run='x')\n"
        f"    {line}\n"
    )
    assert error_of("pipelines/p.py") == expected


@pytest.mark.parametrize(
    "lines",
    [
        "while True:\n    pass\n",
        "import time\ntime.sleep(600)\n",
        "import re\nre.match('(a*)*b', 'a' * 60)\n",
    ],
)
def test_python_that_never_ends_is_told(lines: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop, a sleep or a search in a file is ended, with its line; the next file is read."""
    monkeypatch.setattr("gennaker.pythonfile.LOADING_SECONDS", 0.2)
    Path("pipelines/p.py").write_text("# a pipeline\n" + lines)
    expected = (
        "python-file: TookTooLong: it took longer than 0.2 seconds; "
        "a file only describes pipelines: let a stage do the work"
    )
    where, _, told = error_of("pipelines/p.py").partition(": ")
    assert (where in ("pipelines/p.py:2", "pipelines/p.py:3"), told) == (True, expected)
    assert error_of("pipelines/none.py").startswith("unknown-pipeline:")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("nowhere", "gennaker.yaml:1:13: no-folder: there is no file or folder 'nowhere'"),
        (
            "../x",
            "gennaker.yaml:1:13: path-outside: path '../x' has '..' in it; "
            "write a path relative to the folder, with '/' and without '..'",
        ),
    ],
)
def test_wrong_folders(setting: str, expected: str) -> None:
    """An entry of ``pipelines`` that is not there, or outside, is told."""
    Path("gennaker.yaml").write_text(f"pipelines: [{setting}]\n")
    assert error_of("one") == expected
