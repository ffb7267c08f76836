"""What the command line writes where, and how plain or rich that may be."""

from __future__ import annotations

import io

import pytest

from gennaker.errors import Location, Problem
from gennaker_engine.cli.render.annotations import annotate_problem, close_group, open_group
from gennaker_engine.cli.render.console import Console, Palette, choose_color, detect_ci
from gennaker_engine.cli.render.problems import render_problem
from gennaker_engine.cli.render.screen import Screen
from gennaker_engine.cli.render.table import render_table


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is one."""
        return True


@pytest.mark.parametrize(
    ("option", "environ", "terminal", "colored"),
    [
        ("auto", {}, True, True),
        ("auto", {}, False, False),
        ("auto", {"NO_COLOR": "1"}, True, False),
        ("auto", {"NO_COLOR": ""}, True, True),
        ("auto", {"CLICOLOR_FORCE": "1"}, False, True),
        ("auto", {"CLICOLOR_FORCE": "0"}, False, False),
        ("auto", {"CLICOLOR": "0"}, True, False),
        ("auto", {"NO_COLOR": "1", "CLICOLOR_FORCE": "1"}, True, False),
        ("always", {"NO_COLOR": "1"}, False, True),
        ("never", {"CLICOLOR_FORCE": "1"}, True, False),
    ],
)
def test_colour_follows_the_option_then_the_environment_then_the_stream(
    option: str, environ: dict[str, str], terminal: bool, colored: bool
) -> None:
    """--color wins, NO_COLOR before CLICOLOR_FORCE, then whether it is a terminal."""
    assert colored == choose_color(option, environ, terminal=terminal)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, ""),
        ({"CI": "true"}, "ci"),
        ({"CI": "false"}, ""),
        ({"CI": "true", "GITHUB_ACTIONS": "true"}, "github"),
        ({"CI": "true", "GITLAB_CI": "true"}, "gitlab"),
    ],
)
def test_ci_is_known_by_its_variables(environ: dict[str, str], expected: str) -> None:
    """GitHub and GitLab are told apart, anything else with CI is just that."""
    assert expected == detect_ci(environ)


def test_a_terminal_outside_ci_is_live_and_interactive() -> None:
    """A person at a terminal sees a tree and can be asked."""
    console = Console.detect(
        environ={"TERM": "xterm"}, streams=(Terminal(), Terminal(), Terminal())
    )
    assert (console.live, console.interactive) == (True, True)


@pytest.mark.parametrize("environ", [{"TERM": "dumb"}, {"TERM": "xterm", "CI": "1"}])
def test_dumb_terminals_and_ci_get_plain_lines(environ: dict[str, str]) -> None:
    """Neither is redrawn nor asked."""
    console = Console.detect(environ=environ, streams=(Terminal(), Terminal(), Terminal()))
    assert (console.live, console.interactive) == (False, False)


def test_a_closed_stderr_stops_nothing() -> None:
    """Progress that nobody reads any more is no error."""
    stream = io.StringIO()
    console = Console.detect(environ={}, streams=(io.StringIO(), io.StringIO(), stream))
    stream.close()
    console.err("nobody hears this")


def test_a_problem_has_one_form() -> None:
    """Place, code, message and hint on one line."""
    problem = Problem(
        "unknown-field",
        "'tmeout' is not a field of a stage",
        Location("pipelines/shop.yaml", 14, 5),
        "did you mean 'timeout'?",
    )
    assert render_problem(problem, Palette(False)) == [
        "pipelines/shop.yaml:14:5: unknown-field: 'tmeout' is not a field of a stage; "
        "did you mean 'timeout'?"
    ]


def test_a_terminal_shows_the_line_and_a_caret() -> None:
    """The caret stands under the column, wide letters before it counted."""
    problem = Problem("code", "message", Location("f.yaml", 3, 5))
    assert render_problem(problem, Palette(False), source="  漢: x") == [
        "f.yaml:3:5: code: message",
        "    3 |   漢: x",
        "      |      ^",
    ]


def test_a_warning_says_so() -> None:
    """Warnings are told apart from errors."""
    problem = Problem("code", "message", severity="warning")
    assert render_problem(problem, Palette(False)) == ["warning: code: message"]


def test_github_gets_workflow_commands() -> None:
    """File, line and column are properties; what would end them is escaped."""
    problem = Problem("bad", "100% of\nit", Location("a,b:c.yaml", 2, 7), "stop")
    assert annotate_problem(problem) == (
        "::error file=a%2Cb%3Ac.yaml,line=2,col=7,title=bad::100%25 of%0Ait; stop"
    )


def test_groups_have_each_systems_form() -> None:
    """GitHub by commands, GitLab by section markers, nothing elsewhere."""
    assert open_group("github", "log of a", at=1.5) == "::group::log of a"
    assert close_group("github", "log of a", at=1.5) == "::endgroup::"
    assert open_group("gitlab", "log of a", at=1.5) == (
        "\x1b[0Ksection_start:1:log_of_a[collapsed=true]\r\x1b[0Klog of a"
    )
    assert close_group("gitlab", "log of a", at=2.5) == "\x1b[0Ksection_end:2:log_of_a\r\x1b[0K"
    assert open_group("ci", "log of a", at=1.5) == ""


def test_a_table_is_as_wide_as_its_contents() -> None:
    """Styled cells count what is seen; on a terminal lines are cut at its edge."""
    rows = [("a", "\x1b[32mok\x1b[0m", "first"), ("long-name", "broken", "second")]
    assert render_table(("name", "state", "what"), rows) == (
        "NAME       STATE   WHAT\n"
        "a          \x1b[32mok\x1b[0m      first\n"
        "long-name  broken  second\n"
    )
    assert render_table(("name", "state", "what"), rows, width=20).splitlines()[2] == (
        "long-name  broken  …"
    )


def test_a_screen_is_drawn_over() -> None:
    """The second drawing goes up over the first; what did not change is not drawn."""
    written: list[str] = []
    screen = Screen(written.append)
    screen.draw(["one", "two"])
    screen.draw(["one", "two"])
    screen.draw(["one"])
    screen.leave()
    screen.draw(["below"])
    assert written == [
        "\rone\x1b[K\ntwo\x1b[K\n\x1b[J",
        "\r\x1b[2Aone\x1b[K\n\x1b[J",
        "\rbelow\x1b[K\n\x1b[J",
    ]
