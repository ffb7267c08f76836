"""Hostile pipeline files: items 1 to 14, those that have no test beside the module they are about."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checklist.bounds import bounded, problems_of

ONE = "name: one\nstages:\n  a: {uses: shell, with: {run: x}}\n"
DEPTH = """
import resource, sys, threading
from gennaker.errors import InvalidInput
from gennaker.yamltext import compose
resource.setrlimit(resource.RLIMIT_AS, (512 << 20, 512 << 20))
def work():
    for opening in ("[", "- ", "{", "? ", "{a: "):
        try:
            compose(opening * 30_000, file="f.yaml")
        except InvalidInput as error:
            print(error.problems[-1].code)
threading.stack_size(128 << 10)
thread = threading.Thread(target=work)
thread.start()
thread.join()
"""


def codes_of(found: list[str]) -> list[str]:
    """The code words of problems as they are shown."""
    return [
        re.findall(r"([a-z]+(?:-[a-z]+)*): ", each.replace("warning: ", ""))[0] for each in found
    ]


def test_checklist_01_depth_bombs_need_no_stack() -> None:
    """A parser with 128 KiB of stack and 512 MB of address space refuses each of them."""
    done = subprocess.run(
        [sys.executable, "-c", DEPTH], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout.split()) == (0, ["yaml-limit"] * 5), done.stderr


@pytest.mark.parametrize("text", ["a: &a [*a]\n", "&a {b: *a}\n", "a: &a {<<: *a}\n"])
def test_checklist_02_a_recursive_alias_is_refused(tmp_path: Path, text: str) -> None:
    """An alias inside what it names has no data."""
    assert codes_of(problems_of(text, tmp_path))[0] == "yaml-alias"


@pytest.mark.parametrize(
    "text",
    [
        ONE + "name: two\n",
        "name: one\nstages:\n  a: {uses: shell, with: {run: x, run: y}}\n",
        'name: one\nstages:\n  a: {uses: shell, with: {run: x}}\n  "a": {uses: shell}\n',
    ],
)
def test_checklist_03_duplicate_keys_are_refused(tmp_path: Path, text: str) -> None:
    """The second of two keys is told, however it is quoted; it never wins quietly."""
    assert codes_of(problems_of(text, tmp_path)) == ["duplicate-key"]


def test_checklist_04_yaml_1_1_traps_are_text_with_a_warning(tmp_path: Path) -> None:
    """What older readers take for booleans, octals, times and dates is what is written."""
    words = ["on", "yes", "NO", "12:30", "1_000", "0755", "2024-13-45"]
    env = ", ".join(f"K{index}: {word}" for index, word in enumerate(words))
    found = problems_of(ONE.replace("run: x", f"run: x, env: {{{env}}}"), tmp_path)
    assert codes_of([each for each in found if "warning" in each]) == ["ambiguous-scalar"] * 6
    assert [each for each in found if "warning" not in each] == [
        "3:92: wrong-type: 'K5' must be a string, not the number 755; put it in quotes"
    ]


@pytest.mark.parametrize(
    "tag",
    ["!!python/object/apply:os.system [id]", "!!python/name:os.system", "!!binary eA==", "!ruby x"],
)
def test_checklist_05_tags_are_refused(tmp_path: Path, tag: str) -> None:
    """No tag makes anything; nothing is run."""
    found = codes_of(problems_of(ONE + f"description: {tag}\n", tmp_path))
    assert found[0] in ("yaml-tag", "yaml-trap")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ONE.encode() + b"description: a\x00b\n", "yaml-character"),
        (ONE.encode() + b"description: a\x1bb\n", "yaml-character"),
        (ONE.encode("utf-16"), "yaml-encoding"),
        (ONE.encode() + b"description: \xff\n", "yaml-encoding"),
        (ONE.encode() + b"description: \xed\xa0\x80\n", "yaml-encoding"),
        (ONE + 'description: "\\ud800"\n', "yaml-syntax"),
        (ONE.replace("one", "o\u202ene"), "yaml-character"),
        (ONE.replace("one", "\u043ene"), "invalid-name"),
    ],
)
def test_checklist_06_odd_characters_are_refused(
    tmp_path: Path, text: str | bytes, code: str
) -> None:
    """NUL, controls, other encodings, lone surrogates, and what hides or imitates text."""
    assert codes_of(problems_of(text, tmp_path))[0] == code


def test_checklist_06_a_byte_order_mark_is_no_text(tmp_path: Path) -> None:
    """Editors of Windows write one."""
    assert problems_of("\ufeff" + ONE, tmp_path) == []


@pytest.mark.parametrize(
    "number", ["9" * 5000, "-" + "9" * 5000, "0x" + "f" * 5000, "1e999", ".nan", "-.inf"]
)
def test_checklist_07_numbers_that_json_has_not_are_refused(tmp_path: Path, number: str) -> None:
    """No digit is lost and nothing becomes infinite."""
    found = problems_of(ONE + f"x-n: {number}\n", tmp_path)
    assert codes_of(found) == ["yaml-number"]
    assert len(found[0]) < 200


def test_checklist_08_many_keys_are_refused(tmp_path: Path) -> None:
    """100,000 keys are more than a file may have."""
    text = "name: one\nx-all:\n" + "".join(f" k{i}: 1\n" for i in range(100_000))
    assert codes_of(problems_of(text, tmp_path)) == ["yaml-limit"]


def test_checklist_08_one_large_text_is_read(tmp_path: Path) -> None:
    """A file of nearly 1 MiB in one value is within the limits."""
    assert problems_of(ONE + "description: " + "x" * 1_000_000 + "\n", tmp_path) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (ONE + "---\n" + ONE, "yaml-documents"),
        ("", "yaml-empty"),
        ("# nothing\n\n", "yaml-empty"),
        ("---\n...\n", "wrong-type"),
        (ONE + "? [a, b]\n: c\n", "yaml-key"),
        (ONE + "? {a: b}\n: c\n", "yaml-key"),
        (ONE + "1: c\n", "yaml-key"),
    ],
)
def test_checklist_09_what_is_not_one_mapping_is_refused(
    tmp_path: Path, text: str, code: str
) -> None:
    """Several documents, none, and keys that are no text."""
    assert codes_of(problems_of(text, tmp_path))[0] == code


@pytest.mark.parametrize(
    ("stages", "code"),
    [
        (
            "a: {uses: shell, needs: b, with: {run: x}}, b: {uses: shell, needs: a, with: {run: x}}",
            "cycle",
        ),
        ("a: {uses: shell, needs: a, with: {run: x}}", "self-need"),
        ("a: {uses: shell, with: {run: x, env: {A: '${{ stages.a.outcome }}'}}}", "self-need"),
        ("a: {uses: shell, needs: nope, with: {run: x}}", "unknown-stage"),
        (
            "a-b: {uses: shell, with: {run: x}}, a_b: {uses: shell, with: {run: x}}",
            "duplicate-id",
        ),
        ("A: {uses: shell, with: {run: x}}, a: {uses: shell, with: {run: x}}", "invalid-name"),
        (
            "é: {uses: shell, with: {run: x}}, e\u0301: {uses: shell, with: {run: x}}",
            "invalid-name",
        ),
    ],
)
def test_checklist_10_wrong_graphs_are_refused(tmp_path: Path, stages: str, code: str) -> None:
    """Cycles, unknown needs, and ids that people cannot tell apart."""
    assert code in codes_of(problems_of(f"name: one\nstages: {{{stages}}}\n", tmp_path))


def test_checklist_11_a_chain_of_20000_is_refused(tmp_path: Path) -> None:
    """Its length is told, before anything walks along it."""
    chain = "".join(f" s{i}x: {{uses: x, needs: s{i - 1}x}}\n" for i in range(1, 20_000))
    found = problems_of(f"name: one\nstages:\n s0x: {{uses: x}}\n{chain}", tmp_path)
    assert codes_of(found) in (["yaml-limit"], ["pipeline-limit"])


def test_checklist_11_the_longest_chain_and_the_densest_graph_are_checked(tmp_path: Path) -> None:
    """1,000 stages in a chain, and 100 that all need each other, cost no more than others."""
    work = "uses: shell, with: {run: x}"
    chain = "".join(f" s{i}x: {{{work}, needs: s{i - 1}x}}\n" for i in range(1, 1000))
    assert problems_of(f"name: one\nstages:\n s0x: {{{work}}}\n{chain}", tmp_path) == []
    dense = "".join(
        f" s{i}x: {{{work}, needs: [{', '.join(f's{j}x' for j in range(i))}]}}\n"
        for i in range(100)
    )
    assert problems_of(f"name: one\nstages:\n{dense}", tmp_path) == []


def test_checklist_13_unknown_words_name_the_near_one(tmp_path: Path) -> None:
    """A field, a stage type, a plugin of a trigger."""
    text = (
        "name: one\ntriggers: [{gti: {}}]\nstages:\n  a: {uses: shel, tmeout: 5m, with: {run: x}}\n"
    )
    found = problems_of(text, tmp_path)
    assert sorted(codes_of(found)) == ["unknown-field", "unknown-plugin", "unknown-plugin"]
    told = " ".join(found)
    assert "did you mean 'shell'?" in told
    assert "did you mean 'timeout'?" in told


@pytest.mark.parametrize(
    "name",
    ["__proto__", "../x", "a/b", "con ", "a" * 64, "a" * 300, "-a", "a-", "A", "a.b", "1", ""],
)
def test_checklist_14_names_that_are_no_labels_are_refused(tmp_path: Path, name: str) -> None:
    """A name is a Kubernetes label and a file's name on every system."""
    found = problems_of(ONE.replace("a:", f"'{name}':"), tmp_path)
    assert codes_of(found) == ["invalid-name"]
    found = problems_of(ONE.replace("name: one", f"name: '{name}'"), tmp_path)
    assert codes_of(found) == ["invalid-name"]


def test_checklist_14_devices_of_windows_are_ordinary_names(tmp_path: Path) -> None:
    """``con`` and ``nul`` are names like others: stages make no files called like them alone."""
    with bounded():
        assert problems_of(ONE.replace("a:", "con:").replace("one", "nul"), tmp_path) == []
