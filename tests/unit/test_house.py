"""The house keeps its shape: what import contracts cannot say, read from the source itself."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    "gennaker": ROOT / "pipelines" / "gennaker",
    "gennaker_engine": ROOT / "engine" / "gennaker_engine",
    "gennaker_stages": ROOT / "stages" / "gennaker_stages",
}
MODULE_LINES = 500
FUNCTION_LINES = 60
PARAMETERS = 6
# The keys of a pipeline and of a stage are keywords there, however many they are.
KEYWORDS_ARE_KEYS = {"gennaker.dsl", "gennaker.testing.simulate"}

# Module of the standard library → the modules that may use it. Each has one home, so that there is
# one place to bound, mask and test what leaves the process.
HOMES = {
    "subprocess": {"gennaker.process"},
    "http.client": {"gennaker.http"},
    "urllib.request": {"gennaker.http"},
    "http.server": {"gennaker_stages.kubernetes.sandbox"},
    "pickle": set(),
    "marshal": set(),
    "shelve": set(),
}
# Calls, as written → the modules that may make them.
CALLS = {
    "eval": set(),
    "exec": {"gennaker.records"},
    "os.system": set(),
    "os.popen": set(),
    "os.path.realpath": {"gennaker.paths"},
    "yaml.load": set(),
    "yaml.unsafe_load": set(),
}


@pytest.fixture(scope="module", autouse=True)
def forget_modules() -> Iterator[None]:
    """Keep the trees no longer than this module: the collector would look through them in all others."""
    yield
    read_modules.cache_clear()


@cache
def read_modules() -> dict[str, tuple[Path, ast.Module]]:
    """Every module of the three packages by its dotted name, parsed."""
    found = {}
    for package, folder in SOURCES.items():
        for path in sorted(folder.rglob("*.py")):
            parts = [package, *path.relative_to(folder).with_suffix("").parts]
            name = ".".join(parts).removesuffix(".__init__")
            found[name] = (path, ast.parse(path.read_text("utf-8"), filename=str(path)))
    return found


def collect(visit: Callable[[str, ast.AST], str | None]) -> list[str]:
    """``FILE:LINE: message`` for every node of every module on which ``visit`` has something to say."""
    return [
        f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}: {message}"
        for name, (path, tree) in read_modules().items()
        for node in ast.walk(tree)
        if (message := visit(name, node))
    ]


def refuse(offenders: list[str]) -> None:
    """Fail with every offender on a line of its own."""
    assert not offenders, "\n" + "\n".join(offenders)


def is_at_home(name: str, homes: set[str]) -> bool:
    """Whether a module is one of these, or inside one."""
    return any(name == home or name.startswith(f"{home}.") for home in homes)


def list_imports(node: ast.AST) -> Iterator[str]:
    """The modules that an import statement may name, absolute ones only."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
        yield node.module
        yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_each_dangerous_module_has_one_home() -> None:
    """Child processes, outbound requests and servers are made in one module each, pickles nowhere."""

    def visit(name: str, node: ast.AST) -> str | None:
        strays = [
            module
            for module in list_imports(node)
            if module in HOMES and not is_at_home(name, HOMES[module])
        ]
        return f"imports {strays[0]}" if strays else None

    refuse(collect(visit))


def test_checklist_84_dangerous_calls_are_made_nowhere() -> None:
    """No eval, no shell, no unsafe YAML; one function resolves links, one compiles methods of classes."""

    def visit(name: str, node: ast.AST) -> str | None:
        if not isinstance(node, ast.Call):
            return None
        if any(word.arg == "shell" and ast.unparse(word.value) == "True" for word in node.keywords):
            return "starts a shell"
        call = ast.unparse(node.func)
        return f"calls {call}" if call in CALLS and not is_at_home(name, CALLS[call]) else None

    refuse(collect(visit))


def test_frozen_values_are_made_quickly() -> None:
    """A module whose dataclasses are all frozen, with slots, takes the decorator from ``gennaker.records``."""
    slow = [
        str(path.relative_to(ROOT))
        for name, (path, tree) in read_modules().items()
        if name != "gennaker.records"
        and any(
            isinstance(node, ast.ImportFrom)
            and node.module == "dataclasses"
            and "dataclass" in {alias.name for alias in node.names}
            for node in ast.walk(tree)
        )
        and all("frozen=True, slots=True" in each for each in list_dataclasses(tree))
    ]
    refuse(slow)


def list_dataclasses(tree: ast.Module) -> list[str]:
    """Each ``@dataclass`` of a module, as written."""
    return [
        text
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef)
        for each in node.decorator_list
        if (text := ast.unparse(each)).startswith("dataclass")
    ]


def test_modules_are_short() -> None:
    """No module has more than 500 lines: what is longer is two things."""
    long = [
        f"{path.relative_to(ROOT)}: {lines} lines"
        for path, _ in read_modules().values()
        if (lines := len(path.read_text("utf-8").splitlines())) > MODULE_LINES
    ]
    refuse(long)


def test_functions_are_short() -> None:
    """No function has more than 60 lines or 6 parameters, `self` and `cls` aside."""

    def visit(name: str, node: ast.AST) -> str | None:
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            return None
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        count = sum(argument.arg not in ("self", "cls") for argument in arguments)
        faults = []
        if lines > FUNCTION_LINES:
            faults.append(f"{lines} lines")
        # A command's parameters are its options: click gives each by name.
        is_command = any("click." in ast.unparse(line) for line in node.decorator_list)
        if count > PARAMETERS and not is_command and not is_at_home(name, KEYWORDS_ARE_KEYS):
            faults.append(f"{count} parameters")
        return f"{node.name} has {' and '.join(faults)}" if faults else None

    refuse(collect(visit))


def test_every_module_says_what_it_is_for() -> None:
    """Each module with code has a docstring."""
    silent = [
        str(path.relative_to(ROOT))
        for path, tree in read_modules().values()
        if tree.body and not ast.get_docstring(tree)
    ]
    refuse(silent)


def test_only_tests_use_the_testing_module() -> None:
    """Nothing that ships imports gennaker.testing, which alone may reach into all three packages."""

    def visit(name: str, node: ast.AST) -> str | None:
        used = "gennaker.testing" in list_imports(node)
        inside = is_at_home(name, {"gennaker.testing"})
        return "imports gennaker.testing" if used and not inside else None

    refuse(collect(visit))


WATCH = """
import json, sys, threading
events = []
def watch(event, arguments):
    if event in ("subprocess.Popen", "socket.connect", "socket.bind", "os.fork"):
        events.append(event)
    if event == "open" and "entry_points.txt" in str(arguments[0]):
        events.append("reads entry points")
    if event in ("open", "os.mkdir") and event == "open" and arguments[2] & 0o3 and (
        not str(arguments[0]).endswith((".pyc", "/dev/null")) and "__pycache__" not in str(arguments[0])
    ):
        events.append(f"writes {arguments[0]}")
sys.addaudithook(watch)
__import__(sys.argv[1])
events += [f"starts {thread.name}" for thread in threading.enumerate()[1:]]
events += [f"loads {name}" for name in sys.argv[2:] if name in sys.modules]
sys.stdout.write(json.dumps(sorted(set(events))))
"""
HEAVY = [
    "networkx",
    "structlog",
    "docker",
    "kubernetes",
    "helm_python",
    "re2",
    "urllib3",
    "asyncio",
]


@pytest.mark.parametrize("package", SOURCES)
def test_importing_a_package_does_nothing(package: str) -> None:
    """An import reads no entry points, writes no file, starts nothing and loads no client library."""
    done = subprocess.run(
        [sys.executable, "-c", WATCH, package, *HEAVY],
        capture_output=True,
        text=True,
        check=True,
        timeout=8,
    )
    assert json.loads(done.stdout) == []
