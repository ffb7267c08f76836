"""Health rules of a project's own, in CEL."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gennaker.loader import read_file
from gennaker.plugins import Registry
from gennaker.project import load_project
from gennaker.validation import validate
from gennaker.validation.settings import validate_project
from gennaker_stages.kubernetes.health.assessment import check_health, is_waited_for
from gennaker_stages.kubernetes.health.custom import HealthRule
from gennaker_stages.kubernetes.operations.looks import KubernetesRead
from gennaker_stages.kubernetes.settings import KubernetesSettings

WIDGET = HealthRule(
    ready="status.phase == 'Up' && spec.size == status.size",
    failed="status.phase in ['Broken', 'Lost']",
    message="status.phase + ': ' + status.detail",
)
KIND = "example.test/Widget"


def check(rule: HealthRule, status: Any, **metadata: Any) -> tuple[str, str]:
    body = {
        "apiVersion": "example.test/v1",
        "kind": "Widget",
        "metadata": {"name": "one", **metadata},
        "spec": {"size": 3},
        "status": status,
    }
    found = check_health(body, {KIND: rule})
    return found.state, found.message


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"phase": "Up", "size": 3}, ("ready", "")),
        ({"phase": "Up", "size": 2, "detail": "grows"}, ("progressing", "Up: grows")),
        ({"phase": "Broken", "detail": "no"}, ("failed", "Broken: no")),
        ({"phase": "Lost"}, ("failed", "status.phase in ['Broken', 'Lost'] holds")),
        ({}, ("progressing", f"waits for {WIDGET.ready}")),
        (None, ("progressing", f"waits for {WIDGET.ready}")),
        ("odd", ("progressing", f"waits for {WIDGET.ready}")),
        ({"phase": ["Up"], "size": 3}, ("progressing", f"waits for {WIDGET.ready}")),
        ({"conditions": [{"type": "Stalled", "status": "True"}]}, ("progressing", "waits for")),
    ],
)
def test_a_rule_judges_its_kind(status: Any, expected: tuple[str, str]) -> None:
    """Failed comes before ready; what is not there yet, or of another type, is a no."""
    state, message = check(WIDGET, status)
    assert (state, expected[1] in message) == (expected[0], True), message


def test_a_rule_waits_for_the_controller() -> None:
    """A status of an older generation is not asked, and neither is one of what is deleted."""
    status = {"phase": "Up", "size": 3, "observedGeneration": 1}
    assert check(WIDGET, status, generation=1) == ("ready", "")
    assert check(WIDGET, status, generation=2)[1] == "the controller has not seen the change yet"
    assert check(WIDGET, status, deletionTimestamp="2026-01-01T00:00:00Z")[0] == "progressing"


def test_a_rule_wins_over_the_built_in_one() -> None:
    """An Ingress that gets no address here is ready when the project says so."""
    body = {"apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": "x"}}
    rules = {"networking.k8s.io/Ingress": HealthRule(ready="true")}
    assert check_health(body).state == "progressing"
    assert check_health(body, rules).state == "ready"
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "x"}}
    assert is_waited_for(config, {"ConfigMap": WIDGET})


def test_a_rule_is_bounded() -> None:
    """What takes too many steps is a no; the wait goes on to its own end."""
    rule = HealthRule(ready="status.list.all(a, status.list.all(b, status.list.all(c, a == a)))")
    assert check(rule, {"list": list(range(100))})[0] == "progressing"


def test_a_message_is_short() -> None:
    """Of what an object says of itself 300 characters are told."""
    status = {"phase": "Up", "detail": "x" * 1000}
    assert len(check(WIDGET, status)[1]) == 300


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"ready": "status.phase =="}, "'status.phase ==': "),
        ({"ready": "stauts.phase == 'Up'"}, "unknown variable 'stauts'"),
        ({"ready": "'Up'"}, "is string, but must be bool"),
        ({"ready": "params.x == 1"}, "'params' has no value here"),
        ({"ready": "secrets.x == 'a'"}, "a secret"),
        ({"ready": "true", "message": "1 + 1"}, "is int, but must be string"),
        ({"ready": "true", "failed": "success()"}, "have no meaning here"),
        ({"failed": "true"}, "Field required"),
        ({"ready": "true", "redy": "true"}, "not permitted"),
        ({"ready": "x" * 5000}, "an expression may have 4096 bytes"),
    ],
)
def test_a_wrong_rule_is_refused(rule: dict[str, str], told: str) -> None:
    """An expression is checked when the settings are read."""
    with pytest.raises(ValidationError, match="health") as caught:
        KubernetesSettings.model_validate({"health": {KIND: rule}})
    assert told in str(caught.value)


@pytest.mark.parametrize("kind", ["example.test/v1/Widget", "widget", "Example.test/Widget", ""])
def test_a_kind_is_named_with_its_group(kind: str) -> None:
    """A version in the name, or a small kind, would never match: it is refused."""
    with pytest.raises(ValidationError, match=r"example\.com/Widget"):
        KubernetesSettings.model_validate({"health": {kind: {"ready": "true"}}})


def test_validate_tells_the_place(tmp_path: Path) -> None:
    """``gennaker validate`` points at the expression in ``gennaker.yaml``."""
    (tmp_path / "gennaker.yaml").write_text(
        "environments:\n  staging:\n    kubernetes:\n      health:\n"
        "        example.test/Widget:\n          ready: stauts.phase == 'Up'\n"
    )
    problems = validate_project(load_project(tmp_path), registry=Registry.installed())
    assert [(each.location and each.location.line, each.message) for each in problems] == [
        (6, "'ready': \"stauts.phase == 'Up'\": unknown variable 'stauts'")
    ]


@pytest.mark.parametrize(
    ("written", "told"),
    [
        ('until: "status.replicas == ${{ params.n }}"', []),
        ("until: stauts.phase == 'Up'", ["'until': \"stauts.phase == 'Up'\": unknown variable"]),
        ("until: status.replicas = 3", ["'until': unexpected '='"]),
    ],
)
def test_what_is_waited_for_is_checked(tmp_path: Path, written: str, told: list[str]) -> None:
    """Where it is wrong before a value is put in; what a value makes of it is seen when it runs."""
    (tmp_path / "gennaker.yaml").write_text("environments: {a: {kubernetes: {namespace: a}}}\n")
    (tmp_path / "p.yaml").write_text(
        "name: p\nparameters: {n: {type: integer, default: 3}}\nstages:\n  a:\n"
        "    uses: kubernetes.wait\n    environment: a\n    with:\n      object: Deployment/web\n"
        f"      {written}\n"
    )
    project = load_project(tmp_path)
    (loaded,) = read_file(tmp_path / "p.yaml", project=project)
    problems = validate(loaded, registry=Registry.installed(), project=project)
    assert len(problems) == len(told)
    for each, start in zip(problems, told, strict=True):
        assert each.location and each.location.line == 9
        assert each.message.startswith(start)


def test_a_value_that_is_read_is_an_expression() -> None:
    """Like ``until``; it may give anything."""
    object_ = {"object": "Deployment/web"}
    KubernetesRead.Inputs.model_validate({**object_, "values": {"a": "spec.replicas + 1"}})
    with pytest.raises(ValidationError, match=r"'spec.': expected a field name"):
        KubernetesRead.Inputs.model_validate({**object_, "values": {"a": "spec."}})
