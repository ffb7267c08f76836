"""What ``gennaker validate`` tells of stages on Kubernetes, before anything is built."""

from __future__ import annotations

from pathlib import Path

import pytest

from gennaker.loader import read_file
from gennaker.plugins import Registry
from gennaker.project import load_project
from gennaker.validation import validate

SETTINGS = """\
environments:
  a: {kubernetes: {namespace: a}}
  b: {url: "http://b.test"}
secrets: {db: {env: DB}}
"""
LOAD = "name: p\nstages:\n  load: {uses: manifests.load, with: {files: [k8s]}}\n"
BUNDLE = 'bundle: "${{ stages.load.outputs.bundle }}"'


def list_problems(root: Path, stage: str) -> list[str]:
    """The problems of a stage after one that loads manifests; it is line 4."""
    (root / "gennaker.yaml").write_text(SETTINGS)
    (root / "p.yaml").write_text(f"{LOAD}  it: {stage}\n")
    project = load_project(root)
    (loaded,) = read_file(root / "p.yaml", project=project)
    problems = validate(loaded, registry=Registry.installed(), project=project)
    assert all(each.location and each.location.line == 4 for each in problems)
    return [f"{each.code}: {each.message}; {each.hint}" for each in problems]


@pytest.mark.parametrize("environment", ["", "environment: b, "])
@pytest.mark.parametrize(
    ("uses", "inputs"),
    [
        ("kubernetes.deploy", BUNDLE),
        ("kubernetes.scale", "object: Deployment/web, replicas: 1"),
        ("kubernetes.delete", "objects: [Pod/a]"),
        ("kubernetes.run_job", "image: a"),
        ("kubernetes.wait", "object: Deployment/web"),
        ("kubernetes.read", "object: Deployment/web"),
    ],
)
def test_a_stage_without_its_target_is_told(
    uses: str, inputs: str, environment: str, tmp_path: Path
) -> None:
    """Without an environment, or with one that is no cluster, it could only err at its turn."""
    stage = f"{{uses: {uses}, {environment}with: {{{inputs}}}}}"
    assert list_problems(tmp_path, stage) == [
        f"no-target: {uses} needs an environment with a 'kubernetes' target; give the stage "
        "'environment:', and that environment 'kubernetes:' in gennaker.yaml"
    ]
    assert list_problems(tmp_path, f"{{uses: {uses}, environment: a, with: {{{inputs}}}}}") == []


@pytest.mark.parametrize(
    ("secrets", "told"),
    [
        (
            '{Shop_DB: {password: "${{ secrets.db }}"}}',
            "'Shop_DB' is not a name of a Secret; use lower-case letters and digits, with '-' or "
            "'.' between",
        ),
        ('{shop.db: {"a-b_C.d": "${{ secrets.db }}"}}', None),
        (
            '{shop: {"pass word": "${{ secrets.db }}"}}',
            "'pass word' is not a key of a Secret; use letters, digits, '-', '_' and '.'",
        ),
        (
            '{shop: {"..data": "${{ secrets.db }}"}}',
            "'..data' is not a key of a Secret; use letters, digits, '-', '_' and '.'",
        ),
    ],
)
def test_names_of_secrets_are_checked(secrets: str, told: str | None, tmp_path: Path) -> None:
    """A plan does not try these objects on the server, so it would not be told there."""
    inputs = f"{BUNDLE}, secrets: {secrets}"
    stage = f"{{uses: kubernetes.deploy, environment: a, with: {{{inputs}}}}}"
    expected = [] if told is None else [f"invalid-value: 'secrets': {told}; None"]
    assert list_problems(tmp_path, stage) == expected


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        (
            "kubernetes.restart: {object: Service/web}",
            "object 'Service/web' is not restarted by a rollout; name one of Deployment, "
            "StatefulSet, DaemonSet",
        ),
        (
            "kubernetes.scale: {object: DaemonSet/web, replicas: 1}",
            "object 'DaemonSet/web' has no replicas to set; name one of Deployment, StatefulSet, "
            "ReplicaSet, ReplicationController",
        ),
        (
            "kubernetes.rollout_undo: {object: Job/web}",
            "object 'Job/web' has no revisions; name one of Deployment, StatefulSet, DaemonSet",
        ),
        ("kubernetes.restart: {object: \"${{ 'Service/web' }}\"}", None),
        ("kubernetes.patch: {object: Service/web, patch: {}}", None),
    ],
)
def test_an_operation_on_a_kind_that_cannot_is_told(
    inputs: str, told: str | None, tmp_path: Path
) -> None:
    """It would err in the run, whether the object is there or not; what an expression gives, then."""
    uses, _, with_ = inputs.partition(": ")
    found = list_problems(tmp_path, f"{{uses: {uses}, environment: a, with: {with_}}}")
    assert found == ([] if told is None else [f"operation-kind: {told}"])


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        (
            f"{{uses: kubernetes.deploy, environment: a, with: {{{BUNDLE}, "
            "replace: [Job, PersistentVolumeClaim/db]}}",
            "'replace[1]': 'PersistentVolumeClaim/db' is never replaced: what is in it would go with it",
        ),
        *(
            (
                f"{{uses: {uses}, environment: a, with: {{{inputs}, namespace: Shop}}}}",
                "'namespace': 'Shop' is not a name of a namespace; use lower-case letters and digits, "
                "with '-' between, up to 63",
            )
            for uses, inputs in (
                ("kubernetes.wait", "object: Pod/a"),
                ("kubernetes.delete", "objects: [Pod/a]"),
                ("helm.template", "chart: a"),
            )
        ),
        (
            "{uses: helm.template, with: {chart: a, api_versions: [apps/v1, acme.test/v1/]}}",
            r"'api_versions[1]' is 'acme.test/v1/', which does not fit '^[^/\\s]+(/[^/\\s]+){0,2}$'",
        ),
        ("{uses: manifests.load, with: {files: []}}", "'files' must have at least 1 item, not 0"),
        (
            "{uses: kubernetes.delete, environment: a, with: {kinds: [Pod], labels: ''}}",
            "'labels' must have at least 1 character, not 0",
        ),
    ],
)
def test_a_value_that_cannot_be_meant_is_told(stage: str, told: str, tmp_path: Path) -> None:
    """Before anything is rendered, at its place in the file."""
    (problem,) = list_problems(tmp_path, stage)
    assert problem.rpartition("; ")[0] == f"invalid-value: {told}"
