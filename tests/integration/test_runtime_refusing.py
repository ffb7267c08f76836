"""What is refused before a run begins: environments nobody declared, approvals nobody asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from gennaker.errors import InvalidInput
from gennaker_engine.cli.main import main
from tests.integration.runtime_parts import open_engine, start_run, write_project

SETTINGS = """project: shop
environments:
  staging: {place: {folder: there}}
  production: {place: {folder: there}}
"""
PIPELINE = """name: shop
parameters: {e: {default: staging}, on: {type: boolean, default: true}}
stages:
"""


@pytest.mark.parametrize(
    "stage",
    [
        "deploy: {uses: t.deploy, environment: '${{ params.e }}'}",
        "deploy: {uses: t.deploy, matrix: {e: [staging, pruduction]}, environment: '${{ matrix.e }}'}",
        "deploy: {uses: t.deploy, if: '${{ params.on }}', environment: '${{ params.e }}'}",
    ],
)
def test_an_unknown_environment_is_refused_before_the_run(tmp_path, stage):
    """A name made of parameters or a literal matrix is looked up when the run is created."""
    engine = open_engine(write_project(tmp_path, f"{PIPELINE}  {stage}\n", SETTINGS))
    with pytest.raises(InvalidInput) as caught:
        start_run(engine, parameters={"e": "pruduction"})
    assert str(caught.value) == (
        "unknown-environment: stage 'deploy' would act in environment 'pruduction', which is not "
        "declared; did you mean 'production'?"
    )
    assert caught.value.exit_code == 2
    assert engine.journal.find_run("shop-1") is None
    engine.close()


def test_what_is_not_known_or_never_comes_to_it_is_not_refused(tmp_path):
    """A stage that is known to be skipped, and a matrix that is computed later, may begin."""
    stages = (
        "  off: {uses: t.deploy, if: '${{ !params.on }}', environment: '${{ params.e }}'}\n"
        "  say: {uses: t.echo, with: {say: staging}}\n"
        "  later:\n    uses: t.deploy\n    matrix: {e: '${{ [stages.say.outputs.said] }}'}\n"
        "    environment: '${{ matrix.e }}'\n"
    )
    engine = open_engine(write_project(tmp_path, PIPELINE + stages, SETTINGS))
    run = engine.drive(start_run(engine, parameters={"e": "nowhere"}))
    outcomes = {name: stage.outcome for name, stage in run.facts.stages.items()}
    assert outcomes == {"off": "skipped", "say": "succeeded", "later": "succeeded"}
    engine.close()


ASKING = """project: shop
environments:
  staging: {docker: {}}
  production: {docker: {}, approval: {approvers: ["local:*"]}}
"""
STAGES = """name: shop
stages:
  ask: {uses: approval, with: {approvers: ["local:*"]}}
  pause: {uses: wait, with: {for: 0s}}
  say: {uses: shell, environment: production, with: {source: false, run: "true", effect: none}}
  staging: {uses: shell, environment: staging, with: {source: false, run: "true"}}
  production: {uses: shell, environment: production, with: {source: false, run: "true"}}
"""


def run_approving(root: Path, stage: str) -> int:
    """Run the pipeline on the sandbox with ``--approve STAGE`` and return the exit code."""
    write_project(root, STAGES, ASKING.replace("docker: {}", "variables: {x: y}"))
    return main(
        ["--project", str(root), "run", "shop", "--sandbox", "--detach-on-wait", "--approve", stage]
    )


@pytest.mark.parametrize("stage", ["pause", "staging"])
def test_approving_what_asks_nobody_is_refused(tmp_path, capsys, stage):
    """--approve of a stage that never asks is an error (2), and there is no run."""
    assert run_approving(tmp_path, stage) == 2
    said = capsys.readouterr().err
    assert f"no-approval: stage '{stage}' asks for no approval: --approve {stage} would do" in said
    assert "name an approval, or a stage that deploys to an environment which asks for one" in said
    engine = open_engine(tmp_path)
    assert engine.journal.find_run("shop-1") is None
    engine.close()


@pytest.mark.parametrize("stage", ["ask", "production"])
def test_approving_what_asks_is_taken(tmp_path, capsys, stage):
    """The approval, and a stage of a protected environment, are decided before seeing."""
    assert run_approving(tmp_path, stage) == 6
    assert f"{stage if stage == 'ask' else 'environment production'}: approved by local:" in (
        capsys.readouterr().err
    )
