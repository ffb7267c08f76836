"""Asking a person on the terminal to decide an approval: a small dialogue, one line at a time.

No I/O here: :class:`ApprovalPrompt` is given the lines that were typed and says what to write next.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, Literal

from gennaker.records import dataclass
from gennaker_engine.cli.render.console import PLAIN, Palette
from gennaker_engine.cli.render.progress import Gate
from gennaker_engine.cli.render.subject import render_subject
from gennaker_engine.cli.render.text import clean, tell_time
from gennaker_engine.cli.render.wording import tell_value

__all__ = ["Answer", "ApprovalPrompt"]

_CHOICES = {"y": "approve", "yes": "approve", "n": "reject", "no": "reject"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the person decided; ``inputs`` are texts as typed."""

    decision: Literal["approve", "reject"]
    comment: str | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)


class ApprovalPrompt:
    """One dialogue about one gate: approve or not, its inputs, a comment."""

    def __init__(self, gate: Gate, *, paint: Palette = PLAIN) -> None:
        self.gate = gate
        self.done = False
        self.answer: Answer | None = None
        self._paint = paint
        self._decision: Literal["approve", "reject"] | None = None
        self._inputs: dict[str, str] = {}
        self._left: list[tuple[str, Mapping[str, Any]]] = []

    def begin(self) -> str:
        """Return what is shown first: the subject, its plans, and the question."""
        asked, paint = self.gate.asked, self._paint
        lines = ["", paint(f"{clean(self.gate.title)} asks for your approval", "bold")]
        if asked.message:
            lines.append(clean(asked.message))
        if asked.required > 1:
            lines.append(f"{self.gate.approvals} of {asked.required} approvals are given")
        if asked.deadline is not None:
            lines.append(f"it expires at {tell_time(asked.deadline)}")
        if asked.moved:
            moved = ", ".join(map(clean, asked.moved))
            lines.append(paint(f"it asks again, as these moved: {moved}", "yellow"))
        lines.append("it covers:")
        covered = render_subject(asked.subject, self.gate.plans, paint=paint)
        lines.extend(f"  {line}" for line in covered)
        lines.append(paint(f"subject {asked.digest}", "dim"))
        return "\n".join(lines) + "\n" + self._question()

    def feed(self, line: str | None) -> str:
        """Take one typed line (None: the input has ended) and return what to write next."""
        if line is None:
            self.done = True
            return "\nleft open\n"
        text = line.strip()
        if self._decision is None:
            return self._choose(text.lower())
        if self._left:
            return self._enter(text)
        self.done = True
        self.answer = Answer(self._decision, text or None, dict(self._inputs))
        return ""

    def _choose(self, word: str) -> str:
        if word in ("l", "later"):
            self.done = True
            return "left open\n"
        choice = _CHOICES.get(word)
        if choice is None:
            return self._question()
        self._decision = "approve" if choice == "approve" else "reject"
        if choice == "approve":
            self._left = list(self.gate.asked.inputs.items())
        return self._question()

    def _enter(self, text: str) -> str:
        name, declared = self._left[0]
        if text:
            self._inputs[name] = text
        elif declared.get("required") and declared.get("default") is None:
            return f"{name!r} is required\n" + self._question()
        self._left.pop(0)
        return self._question()

    def _question(self) -> str:
        if self._decision is None:
            return "Approve? [y]es, [n]o, [l]ater: "
        if not self._left:
            return "Comment (may be empty): "
        name, declared = self._left[0]
        about = [str(declared.get("type", "string"))]
        if declared.get("choices"):
            about.append("one of " + ", ".join(tell_value(each) for each in declared["choices"]))
        if declared.get("default") is not None:
            about.append(f"default {tell_value(declared['default'])}")
        return f"{name} ({'; '.join(about)}): "
