"""Checks that need no plugin and no types: names, parameters, references between stages, limits."""

from __future__ import annotations

from collections.abc import Mapping

from gennaker.dependencies import find_mentions
from gennaker.graph import find_cycle
from gennaker.model import StageDefinition
from gennaker.names import find_name_fault, find_twins
from gennaker.parameters import check_declaration
from gennaker.suggestions import suggest
from gennaker.validation.findings import Findings, Path

__all__ = ["check_shape", "is_too_large"]

_MOST_STAGES = 1_000
_MOST_EDGES = 5_000
_SHOWN_CYCLES = 10


def is_too_large(found: Findings) -> bool:
    """Tell and return whether a pipeline is beyond the limits, which makes other checks too slow."""
    count = len(found.definition.stages) + len(found.definition.finally_)
    if count > _MOST_STAGES:
        found.tell(
            "pipeline-limit",
            f"the pipeline has {count} stages, more than {_MOST_STAGES}",
            ("stages",),
            "split it, or use a matrix",
            key=True,
        )
        return True
    edges = sum(len(each) for each in found.dependencies.values())
    if edges > _MOST_EDGES:
        found.tell(
            "pipeline-limit",
            f"the stages have {edges} dependencies, more than {_MOST_EDGES}",
            ("stages",),
            "let fewer stages depend on everything, through one stage between",
            key=True,
        )
        return True
    return False


def check_shape(found: Findings) -> None:
    """Add every problem of names, parameters and references."""
    _check_names(found)
    _check_parameters(found)
    _check_plugins(found)
    if not found.definition.stages and not found.loaded.problems:
        found.tell("missing-field", "a pipeline needs a stage", ("stages",), key=True)
    for identifier, (stage, final) in found.stages.items():
        path = found.path_of(identifier)
        if not stage.uses and not found.unread:
            hint = "name a stage type; 'gennaker stages' lists them"
            found.tell("missing-field", "'uses' is empty", (*path, "uses"), hint)
        if "${{" in stage.uses:
            found.tell("expression-misplaced", "'uses' takes no expressions", (*path, "uses"))
        if stage.uses == "approval" and stage.on_failure == "ignore":
            found.tell(
                "approval-ignored",
                f"the failure of an approval ({identifier!r}) cannot be ignored",
                (*path, "on_failure"),
                "nobody would have approved; remove it",
            )
        _check_needs(found, identifier, stage, final=final)
    _check_cycles(found)


def _check_names(found: Findings) -> None:
    definition = found.definition
    fault = find_name_fault(definition.name) if definition.name or not found.unread else None
    if fault is not None:
        found.tell(
            "invalid-name", f"pipeline name {definition.name!r} {fault[0]}", ("name",), fault[1]
        )
    for identifier in definition.finally_:
        if identifier in definition.stages:
            found.tell(
                "duplicate-id",
                f"{identifier!r} is the id of a stage and of a stage of 'finally'",
                ("finally", identifier),
                "they share the ids; rename one of them",
                key=True,
            )
    for identifier in found.stages:
        fault = find_name_fault(identifier)
        if fault is not None:
            found.tell(
                "invalid-name",
                f"stage id {identifier!r} {fault[0]}",
                found.path_of(identifier),
                fault[1],
                key=True,
            )
    for first, second in find_twins(found.stages):
        found.tell(
            "duplicate-id",
            f"stage ids {first!r} and {second!r} differ only in '-' and '_'",
            found.path_of(second),
            "rename one of them",
            key=True,
        )


def _check_parameters(found: Findings) -> None:
    for name, parameter in found.definition.parameters.items():
        path = ("parameters", name)
        if not name.isascii() or not name.replace("-", "_").isidentifier() or len(name) > 63:
            found.tell(
                "invalid-name",
                f"{name!r} is not a name of a parameter",
                path,
                "use letters, digits, '_' and '-', beginning with a letter",
                key=True,
            )
        for field, fault in check_declaration(parameter):
            found.tell("parameter", f"parameter {name!r}: {fault}", (*path, field))


def _check_plugins(found: Findings) -> None:
    """Triggers and notifications: each item names one plugin, and none is installed yet."""
    for section, noun, items in (
        ("triggers", "trigger", found.definition.triggers),
        ("notifications", "notifier", found.definition.notifications),
    ):
        for index, item in enumerate(items):
            path: Path = (section, index)
            if len(item) != 1:
                found.tell(
                    "plugin-item", f"an item of {section!r} has one key, naming a plugin", path
                )
            for name in item:
                found.tell(
                    "unknown-plugin",
                    f"{name!r} is not an installed {noun}",
                    (*path, name),
                    "'gennaker plugins' lists what is installed",
                    key=True,
                )


def _check_needs(found: Findings, identifier: str, stage: StageDefinition, *, final: bool) -> None:
    path = found.path_of(identifier)
    for index, need in enumerate(stage.needs):
        place = (*path, "needs", index)
        if "${{" in need:
            found.tell("expression-misplaced", "'needs' takes no expressions", place)
        elif need == identifier:
            found.tell("self-need", f"stage {identifier!r} needs itself", place)
        elif need not in found.stages:
            found.tell(
                "unknown-stage",
                f"stage {identifier!r} needs {need!r}, which is no stage",
                place,
                suggest(need, [each for each in found.stages if each != identifier]),
            )
        elif not final and need in found.definition.finally_:
            _tell_backwards(found, identifier, need, place)
    for mention, where in find_mentions(stage).items():
        if mention == identifier:
            found.tell("self-need", f"stage {identifier!r} mentions itself", (*path, *where))
        elif not final and mention in found.definition.finally_ and mention not in stage.needs:
            _tell_backwards(found, identifier, mention, (*path, *where))


def _tell_backwards(found: Findings, identifier: str, other: str, path: Path) -> None:
    found.tell(
        "needs-finally",
        f"stage {identifier!r} depends on {other!r} of 'finally', which runs after all others",
        path,
        f"move {identifier!r} to 'finally', or {other!r} out of it",
    )


def _check_cycles(found: Findings) -> None:
    final = found.definition.finally_
    edges: Mapping[str, list[str]] = {
        name: [each for each in needs if each != name and (each in final) == (name in final)]
        for name, needs in found.dependencies.items()
    }
    for _ in range(_SHOWN_CYCLES):
        cycle = find_cycle(edges)
        if cycle is None:
            return
        first = min(cycle, key=list(found.stages).index)
        start = cycle.index(first)
        whole = [*cycle[start:-1], *cycle[:start], first]
        found.tell(
            "cycle",
            f"stages depend on each other in a circle: {' → '.join(whole)}",
            (*found.path_of(first), "needs"),
            "each depends on the next; remove one of these dependencies",
        )
        gone = set(cycle)
        edges = {
            name: [each for each in needs if each not in gone]
            for name, needs in edges.items()
            if name not in gone
        }
