"""``gennaker doctor``: what is missing or wrong here, and what to do about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict
from itertools import chain
from typing import TYPE_CHECKING

from gennaker.checks import Check, CheckState
from gennaker_engine.cli.exit_codes import FAILED, SUCCEEDED
from gennaker_engine.cli.options import command, output_option
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker_engine.cli.render.console import Console
    from gennaker_engine.environments.checking import Inquiry
    from gennaker_engine.journal.port import Journal

__all__ = ["doctor_command"]

_CHECKED = 200
"""How many ended runs have their journal checked, the newest."""
_SECONDS = 5.0
"""How long a program may take that only tells something."""
_TONES = {"ok": "green", "missing": "yellow", "wrong": "red"}


@command("doctor")
@output_option("table", "json", "yaml", "name")
@pass_settings
def doctor_command(settings: Settings, form: str) -> int:
    """Tell what is missing or wrong here, and what to do.

    The clusters of all environments are asked, at once and for 5 seconds at most: which context is
    used, whether the server answers, who we are there, and whether we may do what a deploy does.
    Nothing is changed.

    Exit code 1 when something is wrong; what is only missing is needed by some stages.
    """
    console = settings.console
    checks = []
    for check in _list_checks(settings):
        checks.append(check)
        if form == "table":
            _show(console, check)
    if form == "name":
        console.out("\n".join(check.name for check in checks if check.state != "ok"))
    elif form != "table":
        from gennaker_engine.cli.render.data import print_data

        items = [asdict(check) for check in checks]
        print_data(console, form, "CheckList", {"items": items})
    return FAILED if any(check.state == "wrong" for check in checks) else SUCCEEDED


def _show(console: Console, check: Check) -> None:
    word = console.paint(check.state.ljust(len("missing")), _TONES[check.state])
    console.out(f"{word}  {console.paint(check.name, 'bold')}: {check.found}")
    if check.advice:
        console.out(f"         {check.advice}")


def _list_checks(settings: Settings) -> Iterator[Check]:
    """Yield every check as soon as it is made; plugins are asked while the others are."""
    inquiries = _ask_plugins(settings)
    for look in _LOOKS:
        yield from look(settings)
    told: set[Check] = set()
    for each in chain.from_iterable(inquiry.finish() for inquiry in inquiries):
        if each not in told:
            told.add(each)
            yield each


def _ask_plugins(settings: Settings) -> list[Inquiry]:
    from gennaker.errors import GennakerError
    from gennaker_engine.environments.checking import ask_environments, ask_machine

    # This loads every plugin, on this thread: no two import each other's modules at a time.
    asked = ask_machine(settings.registry)
    try:
        return asked + ask_environments(settings.registry, settings.project)
    except GennakerError:  # _look_at_project tells
        return asked


def _look_at_python(settings: Settings) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    yield Check(
        "python", "ok" if good else "wrong", version, "" if good else "install 3.11 or newer"
    )


def _look_at_git(settings: Settings) -> Iterator[Check]:
    import shutil

    from gennaker.errors import GennakerError
    from gennaker.process import capture

    path = shutil.which("git")
    if path is None:
        advice = "install git; without it the source is all files of the folder"
        yield Check("git", "missing", "not on PATH", advice)
        return
    start = settings.start.resolve()
    try:
        code, version, error = capture([path, "--version"], timeout=_SECONDS)
        if code == 0:
            code, _, error = capture([path, "-C", str(start), "rev-parse"], timeout=_SECONDS)
    except GennakerError as failure:
        yield Check("git", "wrong", failure.message, "install git again")
        return
    found = f"{version.strip().removeprefix('git version ')} of {path}"
    if code == 0:
        yield Check("git", "ok", found)
    elif any((each / ".git").exists() for each in (start, *start.parents)):
        said = (error.strip() or f"it ended with {code}").splitlines()[0]
        advice = f"make 'git -C {start} status' work; until then no run knows its commit"
        yield Check("git", "wrong", f"{found} cannot read this repository: {said}", advice)
    else:
        found += "; this is not a git repository"
        yield Check("git", "ok", found, "'git init' pins runs to commits")


def _look_at_project(settings: Settings) -> Iterator[Check]:
    from gennaker.errors import GennakerError

    try:
        project = settings.project
        project.load_settings()
    except GennakerError as error:
        yield Check("project", "wrong", str(error), "correct gennaker.yaml")
        return
    if project.file is None:
        yield Check(
            "project", "missing", f"no gennaker.yaml in {project.root}", "run 'gennaker init'"
        )
    else:
        yield Check("project", "ok", str(project.file))
    from gennaker.pipeline_files import list_pipeline_files

    try:
        number = len(list_pipeline_files(project))
    except GennakerError as error:
        yield Check("pipelines", "wrong", str(error), "correct 'pipelines' in gennaker.yaml")
        return
    advice = "" if number else "run 'gennaker init', or name their folder under 'pipelines'"
    found = "1 file" if number == 1 else f"{number} files"
    yield Check("pipelines", "ok" if number else "missing", found, advice)


def _look_at_state(settings: Settings) -> Iterator[Check]:
    from gennaker.errors import GennakerError
    from gennaker_engine.cli.reading import has_state, read_journal
    from gennaker_engine.cli.render.text import tell_count
    from gennaker_engine.journal.port import RunFilter

    try:
        folder = settings.state_folder.folder
        near = folder if folder.exists() else folder.parent
        if not near.is_dir():
            advice = "move it away, or name another state with --state"
            yield Check("state folder", "wrong", f"{near} is a file", advice)
            return
        if not os.access(near, os.W_OK):
            advice = "change its permissions, or work in a folder of your own"
            yield Check("state folder", "wrong", f"{near} cannot be written", advice)
            return
        yield Check("state folder", "ok", f"{folder}{'' if folder.exists() else ' (to be made)'}")
        if has_state(settings):
            with read_journal(settings) as journal:
                number = len(journal.list_runs(RunFilter(limit=10_000)))
                yield Check("state", "ok", tell_count(number, "run"))
                yield from _look_at_history(journal)
    except GennakerError as error:
        yield Check("state", "wrong", error.message, error.hint or "name another with --state")


def _look_at_history(journal: Journal) -> Iterator[Check]:
    """Check every run that has not ended, and the newest of the others."""
    from gennaker_engine.journal.checking import check_journal

    flaws = check_journal(journal, ended=_CHECKED)
    if not flaws:
        yield Check("journal", "ok", "events, rows, locks and deploys agree")
    for flaw in flaws:
        advice = "restore the state from a copy"
        if flaw.run:
            advice += f", or end what it holds with 'gennaker cancel {flaw.run}'"
        yield Check("journal", "wrong", str(flaw), advice)


def _look_at_plugins(settings: Settings) -> Iterator[Check]:
    listed = settings.registry.list()
    for info in listed:
        if info.error is not None:
            found = f"{info.group}/{info.name}: {info.error.message}"
            yield Check("plugins", "wrong", found, info.error.hint or "")
    usable = [info for info in listed if info.error is None]
    state: CheckState = "ok" if usable else "wrong"
    advice = "" if usable else "install gennaker again: its own stage types are not found"
    yield Check("plugins", state, f"{len(usable)} can be used", advice)


_LOOKS: tuple[Callable[[Settings], Iterator[Check]], ...] = (
    _look_at_python,
    _look_at_git,
    _look_at_project,
    _look_at_state,
    _look_at_plugins,
)
