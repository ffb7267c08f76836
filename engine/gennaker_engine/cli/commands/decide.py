"""``gennaker approve`` and ``reject``: a named person's decision on what a run waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import click

from gennaker_engine.cli.options import (
    command,
    no_follow_option,
    output_option,
    parameter_option,
    run_argument,
    split_pairs,
    stage_argument,
)
from gennaker_engine.cli.settings import Settings, pass_settings

__all__ = ["approve_command", "reject_command"]


@command("approve")
@run_argument
@stage_argument
@click.option("--comment", metavar="TEXT", help="Why; it is kept with the decision.")
@parameter_option
@no_follow_option
@output_option("text", "json", "yaml", "name")
@pass_settings
def approve_command(
    settings: Settings,
    *,
    run: str,
    stage: str,
    comment: str | None,
    parameters: tuple[str, ...],
    no_follow: bool,
    form: str,
) -> int:
    """Approve what a run waits for.

    STAGE is the approval, or for an environment's approval any stage that it covers. Locally the
    identity is the operating-system user, which nobody has checked.
    """
    inputs = split_pairs(parameters)
    return _decide(settings, (run, stage), "approve", comment, inputs, (form, not no_follow))


@command("reject")
@run_argument
@stage_argument
@click.option("--comment", metavar="TEXT", help="Why; it is kept with the decision.")
@no_follow_option
@output_option("text", "json", "yaml", "name")
@pass_settings
def reject_command(
    settings: Settings, *, run: str, stage: str, comment: str | None, no_follow: bool, form: str
) -> int:
    """Reject what a run waits for.

    One rejection decides.
    """
    return _decide(settings, (run, stage), "reject", comment, {}, (form, not no_follow))


def _decide(
    settings: Settings,
    where: tuple[str, str],
    decision: Literal["approve", "reject"],
    comment: str | None,
    texts: Mapping[str, str],
    after: tuple[str, bool],
) -> int:
    from gennaker_engine.cli.driving import record_and_follow
    from gennaker_engine.cli.follow import describe_origin, read_inputs
    from gennaker_engine.cli.reading import load_progress
    from gennaker_engine.cli.render.subject import tell_doubts
    from gennaker_engine.core.messages import Decide
    from gennaker_engine.journal.lookup import resolve_run

    journal = settings.open_engine().journal
    row = resolve_run(journal, where[0])
    progress = load_progress(journal, row.run)[1]
    gate = progress.find_gate(where[1])
    # An unknown or settled gate is the core's to refuse: it says what is open instead.
    inputs: Mapping[str, Any] = texts
    if gate is not None and decision == "approve":
        inputs = read_inputs(gate.asked.inputs, texts)
        for doubt in tell_doubts(gate.plans):
            settings.console.err(f"warning: {doubt}")
    message = Decide(
        stage=where[1],
        decision=decision,
        actor=settings.actor,
        origin=describe_origin(),
        comment=comment,
        inputs=inputs,
    )
    form, follow = after
    return record_and_follow(settings, row.run, message, form=form, follow=follow)
