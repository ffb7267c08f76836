"""A plan's fields, as lines, as a diff in Markdown, and as a page."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

from gennaker_engine.cli.render.console import Palette
from gennaker_engine.cli.render.plan import render_markdown, render_plan
from gennaker_engine.cli.render.plan_html import render_html

NASTY = "<script>alert(1)</script>\x1b[31m\"'&"
CHANGES: list[dict[str, Any]] = [
    {
        "action": "create",
        "what": "ConfigMap/new",
        "detail": "",
        "fields": [{"path": "data", "after": {"a": "1"}}],
    },
    {
        "action": "change",
        "what": "Deployment/web",
        "detail": "",
        "fields": [
            {"path": "spec.replicas", "before": 1, "after": 2},
            {"path": "metadata.labels.tier", "after": "x"},
            {"path": "metadata.labels.gone", "before": "x"},
            {"path": f"metadata.annotations[{NASTY}]", "before": NASTY, "after": "b"},
            {"path": "data[app.conf]", "before": "a\nb\nc\n", "after": "a\nB\nc\n"},
        ],
    },
    {
        "action": "change",
        "what": "Secret/db",
        "detail": "",
        "fields": [
            {"path": "data.p", "before": "***", "after": "***", "hidden": True},
            {"path": "data.q", "after": "***", "hidden": True},
            {"path": "data.r", "before": "***", "hidden": True},
        ],
    },
    {"action": "refuse", "what": "Job/x", "detail": "a quota refuses it: no", "fields": []},
    *({"action": "leave", "what": f"ConfigMap/{number}", "detail": ""} for number in range(11)),
    {"action": "leave", "what": "Secret/s", "detail": "its values are compared"},
]
PLAN: dict[str, Any] = {
    "pipeline": "shop",
    "digest": "sha256:abc",
    "stages": [
        {
            "id": "deploy",
            "uses": "kubernetes.deploy",
            "action": "run",
            "environment": "staging",
            "changes": CHANGES,
        },
        {
            "id": "bad",
            "uses": "kubernetes.deploy",
            "action": "error",
            "error": f"bundle: the bundle has 2 problems\nbundle:1:2: one\nbundle:3:4: {NASTY}",
        },
    ],
}


def test_fields_stand_below_their_object() -> None:
    """Old and new of each field, texts line by line, secrets without values, the unchanged counted."""
    assert render_plan(PLAN) == [
        "deploy  kubernetes.deploy in staging",
        "    create ConfigMap/new",
        "    change Deployment/web",
        "      spec.replicas: 1 → 2",
        '      metadata.labels.tier: nothing → "x"',
        '      metadata.labels.gone: "x" → nothing',
        "      metadata.annotations[<script>alert(1)</script>\"'&]: "
        '"<script>alert(1)</script>\\u001b[31m\\"\'&" → "b"',
        "      data[app.conf]:",
        "          a",
        "        - b",
        "        + B",
        "          c",
        "    change Secret/db",
        "      data.p: another value (secret)",
        "      data.q: added",
        "      data.r: taken out",
        "    refuse Job/x  a quota refuses it: no",
        "    leave Secret/s  its values are compared",
        "    leave 11 more that would not change",
        "bad  kubernetes.deploy  cannot be planned: bundle: the bundle has 2 problems",
        "    bundle:1:2: one",
        "    bundle:3:4: <script>alert(1)</script>\"'&",
        "",
        "1 run, 1 cannot be planned; 1 to create, 2 to change, 1 would be refused, 12 to leave",
        "plan sha256:abc",
    ]


def test_colours_are_for_a_terminal() -> None:
    """Old is red and new is green, the word has the tone of what it does."""
    lines = render_plan(PLAN, paint=Palette(True))
    assert "      spec.replicas: \x1b[31m1\x1b[0m → \x1b[32m2\x1b[0m" in lines
    assert "    \x1b[31mrefuse\x1b[0m Job/x  a quota refuses it: no" in lines


def test_markdown_folds_the_fields_of_each_change() -> None:
    """A diff for a pull request; what is created, and what has no fields, has none."""
    lines = render_markdown(PLAN)
    start = lines.index("<details><summary>deploy: change Secret/db</summary>")
    assert lines[start : start + 7] == [
        "<details><summary>deploy: change Secret/db</summary>",
        "",
        "~~~~~~diff",
        "! data.p: another value (secret)",
        "! data.q: added",
        "! data.r: taken out",
        "~~~~~~",
    ]
    assert {"- spec.replicas: 1", "+ spec.replicas: 2", "# data[app.conf]", "- b", "+ B"} < set(
        lines
    )
    assert sum(line.startswith("<details>") for line in lines) == 2


class Page(HTMLParser):
    """The elements of a page, which must be balanced, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append(tag)
        assert not any(name.startswith("on") or name in ("src", "href") for name, _ in attrs)
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def test_a_page_is_static_escaped_and_whole() -> None:
    """No script, nothing loaded, every element closed; whatever a value holds is shown as text."""
    page = Page()
    page.feed("\n".join(render_html(PLAN)))
    assert page.open == []
    assert not {"script", "link", "img", "iframe", "a"} & set(page.seen)
    text = "".join(page.texts)
    assert "<script>alert(1)</script>\"'&" in text
    assert "\x1b" not in text
    assert page.seen.count("details") == 3
    assert "light dark" in text  # both colour schemes
    assert "***" not in text


def test_a_page_shows_both_sides() -> None:
    """Before and after stand beside each other; a text's changed lines are marked."""
    lines = list(render_html(PLAN))
    assert (
        '<tr><td>spec.replicas</td><td class="before"><pre>1</pre></td>'
        '<td class="after"><pre>2</pre></td></tr>'
    ) in lines
    texts = "\n".join(lines).split("data[app.conf]</td>")[1]
    assert texts.startswith("<td><pre>a\n<del>b</del>\nc</pre></td><td><pre>a\n<ins>B</ins>")
