"""Canaries for every stage type there is: a new one without a case, or with an open input, fails here."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from gennaker.plugins import Registry
from tests.integration.canary_parts import Canaries, Project

CASES = Path(__file__).with_name("test_canary_secrets.py")
SECRET = "x-gennaker-secret"
REFUSALS = ("secret-misplaced", "expression-misplaced", "expression-in-script")
REGISTRY = Registry.installed()
BUILT_IN = [
    each.name
    for each in REGISTRY.list()
    if each.group == "stages" and each.distribution == "gennaker"
]


def list_inputs(uses: str) -> dict[str, bool]:
    """Return the inputs of a stage type: whether a secret may stand in each, somewhere."""
    schema = REGISTRY.stage(uses).Inputs.model_json_schema(by_alias=True)
    inner = json.dumps(schema.get("$defs", {}))
    found = {}
    for name, each in schema["properties"].items():
        text = json.dumps(each)
        found[name] = SECRET in text or ("$ref" in text and SECRET in inner)
    return found


@pytest.mark.parametrize("uses", BUILT_IN)
def test_every_stage_type_that_takes_secrets_has_a_canary_case(uses: str) -> None:
    """One with an input for secrets is used in the tests that give some and search for them."""
    if any(list_inputs(uses).values()):
        assert re.search(rf"uses: {re.escape(uses)}\b", CASES.read_text()), uses


def test_no_other_input_of_any_stage_type_takes_a_canary(tmp_path: Path) -> None:
    """Each is refused before anything starts."""
    canaries = Canaries(tmp_path / "secrets")
    refused = [
        (uses, name)
        for uses in BUILT_IN
        for name, secret in list_inputs(uses).items()
        if not secret
    ]
    assert len(refused) > len(BUILT_IN)
    project = Project(
        tmp_path,
        f"project: shop\nsecrets: {canaries.declare()}\n",
        "name: p\nstages:\n"
        + "".join(
            f"  s{at}x:\n    uses: {uses}\n    with:\n      {name}: ${{{{ secrets.plain }}}}\n"
            for at, (uses, name) in enumerate(refused)
        ),
    )
    lines = (project.root / "pipelines" / "p.yaml").read_text().splitlines()
    code, out, err = project.call("validate", "-o", "json")
    assert code == 2, err
    told = {each["line"] for each in json.loads(out)["problems"] if each["code"] in REFUSALS}
    open_inputs = [
        lines[at] for at in range(len(lines)) if "secrets." in lines[at] and at + 1 not in told
    ]
    assert open_inputs == []
    assert project.call("run", "p")[0] == 2
    assert canaries.find_in(project.said) == []
