"""What CI systems read from a job's output: GitHub's workflow commands, GitLab's sections."""

from __future__ import annotations

import re

from gennaker.errors import Problem

__all__ = ["annotate_problem", "close_group", "open_group"]


def annotate_problem(problem: Problem) -> str:
    """Return GitHub's workflow command for a problem: ``::error file=…,line=…::message``."""
    properties: list[tuple[str, str]] = []
    if problem.location is not None:
        properties.append(("file", problem.location.file))
        if problem.location.line is not None:
            properties.append(("line", str(problem.location.line)))
        if problem.location.column is not None:
            properties.append(("col", str(problem.location.column)))
    properties.append(("title", problem.code))
    told = ",".join(f"{name}={_escape_property(value)}" for name, value in properties)
    message = problem.message + (f"; {problem.hint}" if problem.hint else "")
    return f"::{problem.severity} {told}::{_escape(message)}"


def open_group(ci: str, title: str, *, at: float) -> str:
    """Return the line that opens a collapsible group, empty where CI knows none.

    Args:
        ci: ``github``, ``gitlab`` or anything else.
        title: what the group is called.
        at: seconds since the epoch (GitLab shows how long a section took).
    """
    if ci == "github":
        return f"::group::{_escape(title)}"
    if ci == "gitlab":
        return f"\x1b[0Ksection_start:{int(at)}:{_section(title)}[collapsed=true]\r\x1b[0K{title}"
    return ""


def close_group(ci: str, title: str, *, at: float) -> str:
    """Return the line that closes the group of the same title, empty where CI knows none."""
    if ci == "github":
        return "::endgroup::"
    if ci == "gitlab":
        return f"\x1b[0Ksection_end:{int(at)}:{_section(title)}\r\x1b[0K"
    return ""


def _escape(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _escape_property(text: str) -> str:
    return _escape(text).replace(":", "%3A").replace(",", "%2C")


def _section(title: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", title)
