"""A plan as people read it, from its data."""

from __future__ import annotations

from typing import Any

from gennaker_engine.cli.render.plan import render_markdown, render_plan

PLAN: dict[str, Any] = {
    "pipeline": "shop",
    "digest": "sha256:abc",
    "stages": [
        {
            "id": "image",
            "uses": "docker.build",
            "action": "run",
            "changes": [{"action": "build", "what": "registry.test/shop:1", "detail": ""}],
            "warnings": ["no\ntoken"],
        },
        {
            "id": "production",
            "uses": "kubernetes.deploy",
            "action": "run",
            "environment": "production",
            "approval": True,
            "depends_on": ["image.digest"],
            "changes": [{"action": "create", "what": "Deployment/a|b", "detail": "1\nreplica"}],
        },
        {
            "id": "tell",
            "uses": "shell",
            "action": "skip",
            "cause": "condition",
            "detail": {"expression": "params.tell", "values": {"params.tell": False}},
        },
        {"id": "bad", "uses": "shell", "action": "error", "error": "expression: no"},
        {"id": "after", "uses": "shell", "action": "depends", "depends_on": ["image.size"]},
    ],
}


def test_a_plan_tells_every_stage_and_the_digest() -> None:
    """Runs with changes, skips with their facts, what is not known, what cannot be planned."""
    assert render_plan(PLAN) == [
        "image  docker.build",
        "    warning: no token",
        "    build registry.test/shop:1",
        "production  kubernetes.deploy in production  depends on <unknown:image.digest>; "
        "asks for approval",
        "    create Deployment/a|b  1 replica",
        "tell  shell  skipped (condition: params.tell (params.tell = false))",
        "bad  shell  cannot be planned: expression: no",
        "after  shell  depends on <unknown:image.size>",
        "",
        "2 run, 1 may run, 1 skipped, 1 cannot be planned, 1 warning; 1 to build, 1 to create",
        "plan sha256:abc",
    ]


def test_markdown_stays_in_its_table() -> None:
    """Bars, angle brackets and line ends cannot end a cell."""
    lines = render_markdown(PLAN)
    told = "warning: no token<br>build registry.test/shop:1"
    assert lines[4] == f"| image | docker.build |  | {told} |"
    assert lines[5] == (
        "| production | kubernetes.deploy | production | depends on &lt;unknown:image.digest&gt;; "
        "asks for approval<br>create Deployment/a\\|b  1 replica |"
    )
    assert lines[-1] == "Plan `sha256:abc`"
