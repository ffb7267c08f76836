"""The registry: listed without importing, loaded on first use, the broken ones told."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gennaker.errors import InvalidInput
from gennaker.plugins import Registry
from gennaker.stage import Stage, StageInputs
from tests.fixtures.sample_plugins import Cluster, Env, Shell

PLUGIN = '''
from gennaker.stage import Stage, StageInputs, Succeeded
class Greet(Stage):
    """Say hello.

    More.
    """
    name = "acme.greet"
    class Inputs(StageInputs):
        who: str
    def run(self, inputs, ctx):
        return Succeeded()
class Old(Greet):
    name = "acme.old"
    api_version = 0
class Misnamed(Greet):
    name = "acme.other"
class Timed(Greet):
    name = "acme.timed"
    class Inputs(StageInputs):
        timeout: str
class Idle(Stage):
    name = "acme.idle"
class NoStage:
    name = "acme.no"
'''


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """Give a function that installs a distribution with a module and entry points."""

    def install(name: str, entries: dict[str, str], module: str = PLUGIN) -> None:
        package = name.replace("-", "_")
        (tmp_path / f"{package}.py").write_text(module)
        info = tmp_path / f"{package}-1.2.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        lines = "\n".join(f"{key} = {value}" for key, value in entries.items())
        (info / "entry_points.txt").write_text(f"[gennaker.stages]\n{lines}\n")

    monkeypatch.syspath_prepend(str(tmp_path))
    yield install
    for name in [each for each in sys.modules if each.startswith("acme_")]:
        del sys.modules[name]


def error_of(ask: Callable[[], Any]) -> str:
    """Return the error of a call as it is shown."""
    with pytest.raises(InvalidInput) as caught:
        ask()
    return str(caught.value)


def test_listed_without_import(install: Callable[..., None]) -> None:
    """Names are known without importing; the class is imported on first use, once."""
    install("acme-hello", {"acme.greet": "acme_hello:Greet"})
    registry = Registry.installed()
    assert "acme.greet" in registry.names("stages")
    assert "acme_hello" not in sys.modules
    assert registry.stage("acme.greet") is registry.stage("acme.greet")
    assert registry.stage("acme.greet").__name__ == "Greet"


def test_checklist_82_a_plugin_that_hangs_at_import(
    install: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is given up after a time, and told; others can be used."""
    monkeypatch.setattr("gennaker.plugins.LOADING_SECONDS", 0.2)
    install("acme-slow", {"acme.slow": "acme_slow:Slow"}, "import time\ntime.sleep(600)\n")
    install("acme-hello", {"acme.greet": "acme_hello:Greet"})
    registry = Registry.installed()
    assert error_of(lambda: registry.stage("acme.slow")) == (
        "broken-plugin: the stage type 'acme.slow' of 'acme-slow 1.2' cannot be loaded: "
        "TookTooLong: it took longer than 0.2 seconds; repair or uninstall 'acme-slow 1.2'"
    )
    assert registry.stage("acme.greet").__name__ == "Greet"


def test_unknown_plugin() -> None:
    """An unknown name gets the near one, or where to look."""
    registry = Registry.of(stages=[Shell], targets=[Cluster], secrets=[Env])
    assert error_of(lambda: registry.stage("shel")) == (
        "unknown-plugin: 'shel' is not an installed stage type; did you mean 'shell'?"
    )
    assert error_of(lambda: registry.target("docker")) == (
        "unknown-plugin: 'docker' is not an installed target; "
        "'gennaker plugins' lists what is installed"
    )
    assert error_of(lambda: registry.secret_provider("vault")) == (
        "unknown-plugin: 'vault' is not an installed secret provider; "
        "'gennaker plugins' lists what is installed"
    )


@pytest.mark.parametrize(
    ("entry", "value", "expected"),
    [
        (
            "acme.old",
            "acme_bad:Old",
            "plugin-api: stage type 'acme.old' of 'acme-bad 1.2' is written for an older version of "
            "the plugin contract: 0, not 1; install a version of 'acme-bad 1.2' that fits",
        ),
        (
            "acme.misnamed",
            "acme_bad:Misnamed",
            "plugin-invalid: stage type 'acme.misnamed' of 'acme-bad 1.2' calls itself "
            "'acme.other'; the entry point and the class say the same name",
        ),
        (
            "acme.timed",
            "acme_bad:Timed",
            "plugin-invalid: stage type 'acme.timed' of 'acme-bad 1.2' has an input 'timeout', "
            "which is a key of every stage; give it another name",
        ),
        (
            "acme.idle",
            "acme_bad:Idle",
            "plugin-invalid: stage type 'acme.idle' of 'acme-bad 1.2' has no run()",
        ),
        (
            "acme.no",
            "acme_bad:NoStage",
            "plugin-invalid: stage type 'acme.no' of 'acme-bad 1.2' is not a subclass of Stage",
        ),
        (
            "acme.gone",
            "acme_bad:Gone",
            "broken-plugin: the stage type 'acme.gone' of 'acme-bad 1.2' cannot be loaded: "
            "AttributeError: module 'acme_bad' has no attribute 'Gone'; "
            "repair or uninstall 'acme-bad 1.2'",
        ),
    ],
)
def test_checklist_82_bad_plugins(
    install: Callable[..., None], entry: str, value: str, expected: str
) -> None:
    """A plugin that breaks the contract is refused, naming distribution and cause."""
    install("acme-bad", {entry: value, "acme.greet": "acme_bad:Greet"})
    registry = Registry.installed()
    assert error_of(lambda: registry.stage(entry)) == expected
    assert error_of(lambda: registry.stage(entry)) == expected
    assert registry.stage("acme.greet").name == "acme.greet"


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("raise ValueError('no\\nway')", "ValueError: no"),
        ("import acme_nowhere", "ModuleNotFoundError: No module named 'acme_nowhere'"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def (", "SyntaxError: invalid syntax (acme_raising.py, line 1)"),
    ],
)
def test_plugin_that_cannot_be_imported(
    install: Callable[..., None], source: str, cause: str
) -> None:
    """What a plugin raises on import is told as its fault."""
    install("acme-raising", {"acme.greet": "acme_raising:Greet"}, source)
    assert error_of(lambda: Registry.installed().stage("acme.greet")) == (
        f"broken-plugin: the stage type 'acme.greet' of 'acme-raising 1.2' cannot be loaded: {cause}; "
        "repair or uninstall 'acme-raising 1.2'"
    )


def test_checklist_82_a_clash_of_names(install: Callable[..., None]) -> None:
    """A name that two distributions define is refused, naming both; the others work."""
    install("acme-one", {"acme.greet": "acme_one:Greet"})
    install("acme-two", {"acme.greet": "acme_two:Greet"})
    registry = Registry.installed()
    assert error_of(lambda: registry.stage("acme.greet")) == (
        "plugin-clash: the stage type 'acme.greet' is defined more than once, by 'acme-one' and "
        "'acme-two'; uninstall all but one of them"
    )
    listed = [each for each in registry.list() if each.name == "acme.greet"]
    assert [(each.distribution, each.error.code) for each in listed if each.error] == [
        ("acme-one", "plugin-clash"),
        ("acme-two", "plugin-clash"),
    ]


def test_list(install: Callable[..., None]) -> None:
    """Every plugin is listed with its distribution and summary, a broken one with the reason."""
    install("acme-hello", {"acme.greet": "acme_hello:Greet", "acme.gone": "acme_hello:Gone"})
    listed = {each.name: each for each in Registry.installed().list() if each.group == "stages"}
    greet = listed["acme.greet"]
    assert (greet.distribution, greet.version, greet.value, greet.summary, greet.error) == (
        "acme-hello",
        "1.2",
        "acme_hello:Greet",
        "Say hello.",
        None,
    )
    error = listed["acme.gone"].error
    assert error is not None
    assert error.code == "broken-plugin"


def test_of_checks_as_installed_ones() -> None:
    """A registry of given classes refuses what an installed one would."""

    class Needy(Stage):
        name = "needy"

        class Inputs(StageInputs):
            needs: str

        def run(self, inputs: Any, ctx: Any) -> Any:
            """Do nothing."""

    assert error_of(lambda: Registry.of(stages=[Needy])) == (
        "plugin-invalid: stage type 'needy' of 'this process' has an input 'needs', "
        "which is a key of every stage; give it another name"
    )
    assert error_of(lambda: Registry.of(stages=[Shell, Shell])).startswith(
        "plugin-clash: the stage type 'shell' is defined more than once"
    )


def test_installed_is_fast() -> None:
    """Listing what is installed imports no plugin and takes milliseconds."""
    import time

    Registry.installed()
    started = time.process_time()
    Registry.installed()
    assert time.process_time() - started < 0.5
