"""The console script: calls the command table and turns every ending into an exit code.

This is the boundary at which an unexpected exception becomes ``internal: …`` and exit code 7; a
traceback is shown only with ``--debug``.
"""

from __future__ import annotations

import gc
import io
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gennaker_engine.cli.exit_codes import ERRORED, INTERRUPTED, INVALID, SUCCEEDED

if TYPE_CHECKING:
    import click

    from gennaker.errors import Problem
    from gennaker_engine.cli.settings import Settings

__all__ = ["main"]

_PROGRAM = "gennaker"
_GARBAGE = 20_000
"""Objects after which Python looks for garbage: nearly all of a start's stay, and looking through them
every 700 is a twentieth of it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line.

    Args:
        argv: the words after the program's name; those of this process by default.

    Returns:
        The exit code, one of :data:`gennaker_engine.cli.exit_codes.EXIT_CODES`.
    """
    gc.set_threshold(_GARBAGE)
    try:
        # The rest is imported here, where a Ctrl-C that comes this early is no traceback.
        return _run(argv)
    except KeyboardInterrupt:
        return INTERRUPTED


def _run(argv: Sequence[str] | None) -> int:
    from gennaker_engine.cli.app import app
    from gennaker_engine.cli.settings import Settings

    if f"_{_PROGRAM.upper()}_COMPLETE" in os.environ:
        from gennaker_engine.cli.completion import complete_in_time

        return complete_in_time(app, _PROGRAM)
    _open_closed_streams()
    settings = Settings()
    for stream in (sys.stdout, sys.stderr):
        # A name or a mark that the terminal's encoding lacks is no reason to stop.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        code = _call(list(sys.argv[1:] if argv is None else argv), settings)
        if not sys.stdout.closed:  # a stage's code can close it: the run is told by its exit code
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        # Whoever read us has seen enough; the interpreter must not complain when it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return SUCCEEDED


def _open_closed_streams() -> None:
    """Stand the null device in for what a shell closed (``2>&-``).

    Else the next file that is opened, the journal perhaps, would be taken for stdout or stderr.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            null = os.open(os.devnull, os.O_RDWR)
            if null != number:
                os.dup2(null, number)
                os.close(null)
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _call(argv: list[str], settings: Settings) -> int:
    import click

    from gennaker.errors import GennakerError
    from gennaker_engine.cli.app import app

    try:
        _check_words(argv)
        # Not app.main(): that answers a closed pipe with exit code 1 before anybody here sees it.
        with app.make_context(_PROGRAM, argv, obj=settings) as context:
            result = app.invoke(context)
        return result if isinstance(result, int) else SUCCEEDED
    except click.exceptions.Exit as asked:
        return asked.exit_code
    except click.exceptions.NoArgsIsHelpError as error:
        sys.stderr.write(error.format_message() + "\n")
        return INVALID
    except click.UsageError as error:
        _show(settings, [_usage_problem(error)])
        return INVALID
    except click.ClickException as error:
        from gennaker.errors import Problem

        _show(settings, [Problem("usage", error.format_message())])
        return INVALID
    except (KeyboardInterrupt, click.Abort):
        return INTERRUPTED
    except GennakerError as error:
        if settings.debug:
            _show_traceback()
        _show(settings, getattr(error, "problems", None) or [error.problem])
        return error.exit_code
    except BrokenPipeError:
        raise
    except OSError as error:
        if settings.debug:
            _show_traceback()
        _show(settings, [_system_problem(error)])
        return ERRORED
    except Exception as error:  # noqa: BLE001 -- the boundary named above: nobody else can tell it
        _show_internal(settings, error)
        return ERRORED
    finally:
        settings.close()


def _check_words(argv: Sequence[str]) -> None:
    """Refuse what is no text, which a name, a title or a comment would carry into the journal."""
    import click

    for word in argv:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise click.UsageError(f"{word.encode(errors='replace')!r} is not UTF-8 text") from None


def _show(settings: Settings, problems: Sequence[Problem]) -> None:
    from gennaker_engine.cli.render.problems import render_problems

    console = settings.console
    console.err(render_problems(problems, console, base=settings.project_folder))


def _usage_problem(error: click.UsageError) -> Problem:
    """Tell a wrong command line in the form of every other problem."""
    from difflib import get_close_matches

    import click

    from gennaker.errors import Problem
    from gennaker_engine.cli.app import COMMANDS

    path = error.ctx.command_path if error.ctx else _PROGRAM
    message = error.format_message().rstrip(".")
    hint = f"see '{path} --help'"
    if message.startswith("No such command"):
        word = message.split("'")[1]
        close = get_close_matches(word, COMMANDS, n=1)
        message = f"{word!r} is not a command"
        hint = f"did you mean '{_PROGRAM} {close[0]}'?" if close else hint
    elif isinstance(error, click.NoSuchOption):
        message = f"{path!r} has no option {error.option_name!r}"
        if error.possibilities:
            hint = f"did you mean {' or '.join(sorted(error.possibilities)[:3])}?"
    else:
        message = message[:1].lower() + message[1:]
    return Problem("usage", message, hint=hint)


def _system_problem(error: OSError) -> Problem:
    """Tell what the operating system refused: a missing file, a read-only folder, a full disk."""
    import errno

    from gennaker.errors import Location, Problem

    hints = {
        errno.EACCES: "check its owner and permissions",
        errno.EPERM: "check its owner and permissions",
        errno.EROFS: "choose a folder that can be written, for instance with --state",
        errno.ENOSPC: "free some space",
        errno.ENOENT: "check the path",
    }
    names = {
        errno.EACCES: "permission-denied",
        errno.EPERM: "permission-denied",
        errno.EROFS: "read-only",
        errno.ENOSPC: "disk-full",
        errno.ENOENT: "not-found",
    }
    code = names.get(error.errno or 0, "system")
    what = (error.strerror or str(error) or type(error).__name__).lower()
    where = Location(os.fsdecode(error.filename)) if error.filename is not None else None
    return Problem(code, what, where, hints.get(error.errno or 0))


def _show_internal(settings: Settings, error: Exception) -> None:
    from gennaker.errors import Problem

    if settings.debug:
        _show_traceback()
    message = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
    hint = None if settings.debug else "run again with --debug and report what it shows"
    _show(settings, [Problem("internal", message, hint=hint)])


def _show_traceback() -> None:
    import traceback

    traceback.print_exc(file=sys.stderr)
