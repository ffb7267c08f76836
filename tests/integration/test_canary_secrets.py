"""No secret value gets anywhere but to the stage that was given it: canaries through every stage type.

Each test runs the program itself with ``--debug``, reads all that can be read of the run, and then
searches what was printed, the journal, the state folder, the temporary folder and, while the run
goes on, the arguments and environments of all processes.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.integration.canary_parts import Canaries, Project, Watch, find_marks

ENV = "{P: '${{ secrets.plain }}', U: '${{ secrets.url }}', Q: '${{ secrets.quoted }}', " + (
    "L: '${{ secrets.lines }}', S: '${{ secrets.split }}'}"
)
SHOW = """\
import base64, json, os, sys, time
from urllib.parse import quote, quote_plus
from gennaker.errors import PermanentError, StageError, TemporaryError
from gennaker.stage import Failed

VALUES = [os.environ[name] for name in "PUQLS" if name in os.environ]

def show():
    for stream in (sys.stdout, sys.stderr):
        for value in VALUES:
            print("plain", value, repr(value), repr(value.encode()), file=stream)
            print("json", json.dumps(value), json.dumps([json.dumps(value)]), file=stream)
            print("url", quote(value), quote_plus(value), quote(value, safe=""), file=stream)
            for before in ("", "a", "ab", "user:"):
                text = before.encode() + value.encode()
                print("base64", base64.b64encode(text).decode(), file=stream)
                print("safe", base64.urlsafe_b64encode(text).decode(), file=stream)
                print("lines", base64.encodebytes(text * 9).decode(), file=stream)
        for at, letter in enumerate(VALUES[-1]):
            print(letter, end="", file=stream, flush=True)
            if not at % 8:
                time.sleep(0.01)
        print(file=stream)

def fail():
    show()
    return Failed(f"it is {VALUES!r}", VALUES[0])

def crash():
    raise ValueError(f"bad value {VALUES[1]!r}", VALUES)

def refuse():
    raise PermanentError(f"no: {VALUES[3]}", code="no", hint=f"not {VALUES[2]}")

def later():
    raise TemporaryError(f"wait: {VALUES[0]}", delay=0)

def leave():
    raise SystemExit(VALUES[0])

def give():
    return {"value": VALUES[2]}

def import_it():
    import_error = __import__("no_" + VALUES[0])
"""


@pytest.fixture
def canaries(tmp_path: Path) -> Canaries:
    """New values for each test."""
    return Canaries(tmp_path / "secrets")


def make_project(folder: Path, canaries: Canaries, stages: str, settings: str = "") -> Project:
    """A project whose pipeline has these stages and whose secrets are the canaries."""
    return Project(
        folder,
        f"project: shop\nsecrets: {canaries.declare()}\n{settings}",
        f"name: p\nstages:\n{stages}",
    )


def search(project: Project, canaries: Canaries, run: str = "p-1") -> None:
    """Read all there is of a run; nothing of it, and no file, holds a canary."""
    project.tell_all(run)
    assert canaries.find_in(project.said) == [], project.said.decode(errors="replace")
    assert [(where, data) for where, data in project.list_cells() if canaries.find_in(data)] == []
    assert canaries.find_below(project.state) == []
    assert canaries.find_below(project.temporary) == []


def read_stages(project: Project, run: str = "p-1") -> dict[str, tuple[str, str | None]]:
    """Return outcome and code of every stage."""
    _, out, _ = project.call("status", run, "-o", "json")
    stages = json.loads(out)["stages"]
    return {name: (each["outcome"], each["code"]) for name, each in stages.items()}


def test_the_search_finds_every_form(canaries: Canaries) -> None:
    """What the other tests rely on: a value is found however it is written."""
    for value in canaries.values.values():
        mark = next(each for each in canaries.marks if each in value)
        forms = [
            value,
            repr(value),
            quote(value, safe=""),
            json.dumps([json.dumps(value)]),
            base64.b64encode(b"user:" + value.encode()).decode(),
            base64.encodebytes(b"x" * 50 + value.encode()).decode(),
        ]
        assert [find_marks(f"a {form} z".encode(), [mark]) for form in forms] == [[mark]] * 6
    assert canaries.find_in(b"nothing") == []


def test_scripts_give_no_secret_away(tmp_path: Path, canaries: Canaries) -> None:
    """`shell` and `python` that succeed, fail, raise, time out or give a secret as an output."""
    ways = ("show", "fail", "crash", "refuse", "later", "leave", "import_it", "give")
    project = make_project(
        tmp_path,
        canaries,
        "".join(
            f"  py_{way}:\n    uses: python\n    with: {{function: 'show.py:{way}', env: {ENV}}}\n"
            for way in ways
        )
        + f"""
  sh:
    uses: shell
    with:
      run: |
        set -x
        : "$P" "$U" "$Q" "$L" "$S"
        printf '%s\\n' "$P" "$U" "$Q" "$L"
        printf '%s' "$L" | base64
        printf 'auth: %s' "user:$P" | base64 -w0
        printf '%.20s' "$S"; sleep 0.2; printf '%s\\n' "${{S#????????????????????}}"
      env: {ENV}
  sh_fail:
    uses: shell
    with: {{run: 'echo "$L" >&2; echo "no: $Q" >&2; exit 3', env: {ENV}}}
  sh_missing:
    uses: shell
    with: {{run: '"$U"', env: {ENV}}}
  sh_late:
    uses: shell
    timeout: 2s
    with: {{run: 'echo "$L"; printf %s "$P"; sleep 60', env: {ENV}}}
  sh_give:
    uses: shell
    with: {{run: 'echo "value=$P" > "$GENNAKER_OUTPUT"', outputs: [value], env: {ENV}}}
  sh_name:
    uses: shell
    with: {{run: 'echo "$P=1" > "$GENNAKER_OUTPUT"', env: {ENV}}}
  sh_joined:
    uses: shell
    with:
      run: 'echo "$A"; echo "$B"; printf %s "$A" | base64 -w0; exit 1'
      env: {{A: '${{{{ "Bearer " + secrets.plain }}}}', B: 'x-${{{{ secrets.url }}}}-y'}}
""",
    )
    (project.root / "show.py").write_text(SHOW)
    with Watch(canaries) as watch:
        code, _, err = project.call("run", "p")
    assert code == 7, err
    assert watch.looks > 5
    assert watch.seen == set()
    assert read_stages(project) == {
        "py_show": ("succeeded", None),
        "py_fail": ("failed", "***"),
        "py_crash": ("errored", "function-raised"),
        "py_refuse": ("errored", "no"),
        "py_later": ("errored", "temporary"),
        "py_leave": ("errored", "function-raised"),
        "py_import_it": ("errored", "function-raised"),
        "py_give": ("errored", "secret-in-output"),
        "sh": ("succeeded", None),
        "sh_fail": ("failed", "failed"),
        "sh_missing": ("failed", "failed"),
        "sh_late": ("failed", "timeout"),
        "sh_give": ("errored", "secret-in-output"),
        "sh_name": ("succeeded", None),
        "sh_joined": ("failed", "failed"),
    }
    search(project, canaries)
