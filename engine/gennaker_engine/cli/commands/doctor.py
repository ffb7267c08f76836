"""``gennaker doctor``: what is missing or wrong here, and what to do about it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gennaker.records import dataclass
from gennaker_engine.cli.exit_codes import FAILED, SUCCEEDED
from gennaker_engine.cli.options import command, output_option
from gennaker_engine.cli.settings import Settings, pass_settings

if TYPE_CHECKING:
    from gennaker_engine.journal.port import Journal

__all__ = ["Check", "doctor_command"]

State = Literal["ok", "missing", "wrong"]
_CHECKED = 200
"""How many ended runs have their journal checked, the newest."""
_TONES = {"ok": "green", "missing": "yellow", "wrong": "red"}


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Attributes:
        state: ``ok``; ``missing``: only some stages need it; ``wrong``: nothing, or something that
            the project asks for, will work.
        found: what there is.
        advice: what to do, empty when all is well.
    """

    name: str
    state: State
    found: str
    advice: str = ""


@command("doctor")
@output_option("table", "json", "yaml", "name")
@pass_settings
def doctor_command(settings: Settings, form: str) -> int:
    """Tell what is missing or wrong here, and what to do.

    Exit code 1 when something is wrong; what is only missing is needed by some stages.
    """
    console = settings.console
    checks = [check for look in _LOOKS for check in look(settings)]
    if form == "table":
        for check in checks:
            word = console.paint(check.state.ljust(len("missing")), _TONES[check.state])
            console.out(f"{word}  {console.paint(check.name, 'bold')}: {check.found}")
            if check.advice:
                console.out(f"         {check.advice}")
    elif form == "name":
        console.out("\n".join(check.name for check in checks if check.state != "ok"))
    else:
        from gennaker_engine.cli.render.data import print_data

        items = [asdict(check) for check in checks]
        print_data(console, form, "CheckList", {"items": items})
    return FAILED if any(check.state == "wrong" for check in checks) else SUCCEEDED


def _look_at_python(settings: Settings) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    yield Check(
        "python", "ok" if good else "wrong", version, "" if good else "install 3.11 or newer"
    )


def _look_at_git(settings: Settings) -> Iterator[Check]:
    import shutil

    path = shutil.which("git")
    if path is None:
        advice = "install git; without it the source is all files of the folder"
        yield Check("git", "missing", "not on PATH", advice)
        return
    inside = any(
        (each / ".git").exists()
        for each in (settings.start.resolve(), *settings.start.resolve().parents)
    )
    found = path if inside else f"{path}; this is not a git repository"
    yield Check("git", "ok", found, "" if inside else "'git init' pins runs to commits")


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
    state: State = "ok" if usable else "wrong"
    advice = "" if usable else "install gennaker again: its own stage types are not found"
    yield Check("plugins", state, f"{len(usable)} can be used", advice)


def _look_at_docker(settings: Settings) -> Iterator[Check]:
    """Ask the Docker engine's socket, as the docker stages will; their client is not loaded."""
    import socket

    host = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not host.startswith("unix://"):
        yield Check("docker", "ok", f"{host} (not asked)")
        return
    path = host.removeprefix("unix://")
    advice = "start Docker, or set DOCKER_HOST; 'oci.build' needs no engine"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2)
        try:
            probe.connect(path)
            probe.sendall(b"GET /_ping HTTP/1.0\r\nHost: docker\r\n\r\n")
            answer = probe.recv(64)
        except PermissionError:
            yield Check(
                "docker", "missing", f"{path} is not yours to use", "join the group 'docker'"
            )
            return
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            yield Check("docker", "missing", f"no engine at {path}: {reason}", advice)
            return
    good = b" 200 " in answer
    yield Check("docker", "ok" if good else "missing", path, "" if good else advice)


def _look_at_clusters(settings: Settings) -> Iterator[Check]:
    """Look for each environment's kubeconfig context; nothing is connected to or executed."""
    from gennaker.errors import GennakerError

    try:
        environments = settings.project.environments
    except GennakerError:
        return
    told: set[Path] = set()
    for name, each in environments.items():
        context = each.settings.get("context")
        if each.target != "kubernetes" or not context:
            continue
        known, files, broken = _read_contexts(settings.project.root, each.settings)
        for file in broken:
            if file not in told:
                yield Check("kubeconfig", "wrong", f"{file} is not valid YAML", "correct it")
        told.update(broken)
        if context in known:
            yield Check(f"environment {name}", "ok", f"context {context!r}")
        else:
            where = ", ".join(map(str, files))
            advice = "add it, or correct 'context'; '--sandbox' needs no cluster"
            found = f"no context {context!r} in {where}" if files else "there is no kubeconfig"
            yield Check(f"environment {name}", "missing", found, advice)


def _list_kubeconfigs(root: Path, settings: Mapping[str, Any]) -> list[Path]:
    own, variable = settings.get("kubeconfig"), os.environ.get("KUBECONFIG")
    if own:
        return [root / Path(str(own)).expanduser()]
    if not variable:
        return [Path.home() / ".kube" / "config"]
    return [Path(each).expanduser() for each in variable.split(os.pathsep) if each]


def _read_contexts(
    root: Path, settings: Mapping[str, Any]
) -> tuple[set[str], list[Path], list[Path]]:
    """Return the contexts in an environment's kubeconfigs, these files, and those that are no YAML."""
    import yaml

    files = [each for each in _list_kubeconfigs(root, settings) if each.is_file()]
    found: set[str] = set()
    broken = []
    for file in files:
        try:
            data = yaml.safe_load(file.read_text("utf-8"))
        except OSError:
            continue
        except (UnicodeDecodeError, yaml.YAMLError, RecursionError):
            broken.append(file)
            continue
        contexts = data.get("contexts") if isinstance(data, dict) else None
        for each in contexts if isinstance(contexts, list) else []:
            if isinstance(each, dict) and isinstance(each.get("name"), str):
                found.add(each["name"])
    return found, files, broken


def _look_at_helm(settings: Settings) -> Iterator[Check]:
    import importlib.util
    import shutil

    if importlib.util.find_spec("helm_python") is not None:
        yield Check("helm", "ok", "its library is installed")
    elif path := shutil.which("helm"):
        yield Check("helm", "ok", path)
    else:
        advice = "install helm-python-sdk, or put helm on PATH, for 'helm.template'"
        yield Check("helm", "missing", "neither its library nor a binary", advice)


_LOOKS: tuple[Callable[[Settings], Iterator[Check]], ...] = (
    _look_at_python,
    _look_at_git,
    _look_at_project,
    _look_at_state,
    _look_at_plugins,
    _look_at_docker,
    _look_at_clusters,
    _look_at_helm,
)
