"""The project: its root, its settings, every problem of ``gennaker.yaml``."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gennaker.errors import InvalidInput
from gennaker.project import find_root, load_project
from gennaker.settings import ApprovalRule, EnvironmentSettings, SecretSource
from gennaker.validation import validate_project
from tests.fixtures.sample_plugins import make_registry

SETTINGS = """\
project: shop
pipelines: [pipelines, extra.yaml]
environments:
  staging:
    kubernetes: {context: kind-staging, namespace: shop-staging}
    variables: {host: staging.shop.test, replicas: 1}
    secrets: {db_password: {env: STAGING_DB_PASSWORD}}
    url: https://staging.shop.test
  production:
    kubernetes: {context: production, namespace: shop}
    approval: {approvers: ["group:release"], self: false, expires: 60m}
secrets: {db_password: {file: /run/db}, registry_password: {env: REGISTRY_PASSWORD}}
source: {exclude: ["videos/**"]}
groups: {release: ["local:*"]}
"""


@pytest.fixture(autouse=True)
def in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GENNAKER_STATE", raising=False)


def write(text: str) -> None:
    """Write the settings of the current folder."""
    Path("gennaker.yaml").write_text(text)


def problems() -> list[str]:
    """Return the problems of the current folder's settings as they are shown."""
    found = validate_project(load_project(Path()), registry=make_registry())
    return [str(each) for each in found]


def test_everything_written() -> None:
    """Every key has its place in the settings."""
    write(SETTINGS)
    project = load_project(Path())
    settings = project.load_settings()
    assert settings.project == project.name == "shop"
    assert settings.pipelines == ("pipelines", "extra.yaml")
    assert settings.exclude == ("videos/**",)
    assert settings.groups == {"release": ("local:*",)}
    assert project.environments["staging"] == EnvironmentSettings(
        target="kubernetes",
        settings={"context": "kind-staging", "namespace": "shop-staging"},
        variables={"host": "staging.shop.test", "replicas": 1},
        secrets={"db_password": SecretSource("env", "STAGING_DB_PASSWORD")},
        url="https://staging.shop.test",
    )
    assert project.environments["production"].approval == ApprovalRule(
        approvers=("group:release",), required=1, self=False, expires="1h"
    )
    assert problems() == []


def test_environments_as_written() -> None:
    """An environment gives back what was written, in canonical form."""
    write(SETTINGS)
    assert load_project(Path()).environments["production"].to_data() == {
        "kubernetes": {"context": "production", "namespace": "shop"},
        "approval": {"approvers": ["group:release"], "self": False, "expires": "1h"},
    }
    assert load_project(Path()).environments["staging"].to_data()["secrets"] == {
        "db_password": {"env": "STAGING_DB_PASSWORD"}
    }


def test_secrets_of_an_environment_win() -> None:
    """A stage finds its environment's secret, else the project's, else none."""
    write(SETTINGS)
    settings = load_project(Path()).load_settings()
    assert settings.find_secret("db_password", "staging") == SecretSource(
        "env", "STAGING_DB_PASSWORD"
    )
    assert settings.find_secret("db_password", None) == SecretSource("file", "/run/db")
    assert settings.find_secret("registry_password", "staging") is not None
    assert settings.find_secret("nope", "staging") is None


def test_settings_without_a_file(tmp_path: Path) -> None:
    """Without a file, or with an empty one, everything has a default."""
    folder = tmp_path / "My Shop 2"
    folder.mkdir()
    for _ in range(2):
        project = load_project(folder)
        assert project.name == "my-shop-2"
        assert project.load_settings().pipelines == ("pipelines",)
        assert project.environments == {}
        (folder / "gennaker.yaml").write_text("# nothing yet\n")


def test_root(tmp_path: Path) -> None:
    """The root is the nearest folder with settings, else the git root, else the folder itself."""
    inner = tmp_path / "repository" / "part" / "deep"
    inner.mkdir(parents=True)
    assert find_root(inner) == inner
    (tmp_path / "repository" / ".git").mkdir()
    assert find_root(inner) == tmp_path / "repository"
    (tmp_path / "repository" / "part" / "gennaker.yaml").write_text("{}")
    assert find_root(inner) == tmp_path / "repository" / "part"


def test_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option wins over the variable, which wins over the settings; paths are the root's."""
    project = load_project(Path())
    assert project.state_url() == f"sqlite:///{tmp_path}/.gennaker/state.db"
    write("state: sqlite:///other.db\n")
    project = load_project(Path())
    assert project.state_url() == f"sqlite:///{tmp_path}/other.db"
    monkeypatch.setenv("GENNAKER_STATE", "postgresql://db/x")
    assert project.state_url() == "postgresql://db/x"
    assert project.state_url("sqlite:////tmp/s.db") == "sqlite:////tmp/s.db"


def test_read_again_when_changed() -> None:
    """Settings are read again when the file has changed, and only then."""
    write("project: one\n")
    project = load_project(Path())
    first = project.load_settings()
    assert project.load_settings() is first
    write("project: two\n")
    os.utime("gennaker.yaml", ns=(1, 1))
    assert project.load_settings().project == "two"


def test_no_folder() -> None:
    """A folder that is not there is told."""
    with pytest.raises(InvalidInput, match=r"^no-folder: there is no folder 'nope'$"):
        load_project(Path("nope"))


def test_all_problems_of_the_form() -> None:
    """Every mistake is told at once, each at its place."""
    write(
        "projct: shop\n"
        "pipelines: pipelines\n"
        "environments:\n"
        "  Staging:\n"
        "    variabls: {host: x}\n"
        "    secrets: {db: {env: A, file: b}}\n"
        "    url:\n"
        "  production:\n"
        "    kubernetes: {}\n"
        "    docker: {}\n"
        "    approval: {approvers: [release], required: 0, self: maybe, expires: 60}\n"
        "groups: {release: [bob]}\n"
    )
    assert problems() == [
        "gennaker.yaml:1:1: unknown-field: 'projct' is not a field of gennaker.yaml; "
        "did you mean 'project'?",
        "gennaker.yaml:2:12: wrong-type: 'pipelines' must be a list, not 'pipelines'; "
        "write it as a list: '[…]'",
        "gennaker.yaml:4:3: invalid-name: 'Staging' is not a name of an environment; "
        "use lower-case letters and digits, with single '-' or '_' between, up to 63",
        "gennaker.yaml:5:5: unknown-field: 'variabls' is not a field of an environment; "
        "did you mean 'variables'?",
        "gennaker.yaml:6:19: secret-source: secret 'db' names 2 providers; "
        "write one, like '{env: NAME}' or '{file: PATH}'",
        "gennaker.yaml:7:9: null-value: 'url' has no value; give it one",
        "gennaker.yaml:9:5: missing-field: target 'kubernetes' needs 'context'; add 'context: …'",
        "gennaker.yaml:9:5: missing-field: target 'kubernetes' needs 'namespace'; "
        "add 'namespace: …'",
        "gennaker.yaml:10:13: environment-target: environment 'production' names the targets "
        "'kubernetes' and 'docker'; an environment has one; its other keys are 'variables', "
        "'secrets', 'url' and 'approval'",
        "gennaker.yaml:11:28: approver: 'release' is not an approver; "
        "write 'local:NAME', 'local:*', 'user:NAME' or 'group:NAME'",
        "gennaker.yaml:11:48: invalid-value: 'required' must be at least 1, not 0",
        "gennaker.yaml:11:57: wrong-type: 'self' must be true or false, not 'maybe'",
        "gennaker.yaml:11:73: duration: 'expires': 60 has no unit; "
        "write a duration as '60s' or '60m'",
        "gennaker.yaml:12:20: approver: 'bob' is not an approver; "
        "write 'local:NAME', 'local:*', 'user:NAME' or 'group:NAME'",
    ]


def test_all_problems_of_plugins() -> None:
    """Targets, their settings and secret providers are checked with what is installed."""
    write(
        "environments:\n"
        "  a:\n"
        "    kubernets: {}\n"
        "  b:\n"
        "    kubernetes: {contxt: x, namespace: 5}\n"
        "    secrets: {p: {vault: x}, q: {env: ''}}\n"
    )
    assert problems() == [
        "gennaker.yaml:3:5: unknown-plugin: 'kubernets' is not an installed target; "
        "did you mean 'kubernetes'?",
        "gennaker.yaml:5:18: unknown-field: 'contxt' is not a setting of target 'kubernetes'; "
        "did you mean 'context'?",
        "gennaker.yaml:5:40: wrong-type: 'namespace' must be a string, not the number 5; "
        "put it in quotes",
        "gennaker.yaml:6:19: unknown-plugin: 'vault' is not an installed secret provider; "
        "'gennaker plugins' lists what is installed",
        "gennaker.yaml:6:39: secret-source: secret 'q': the setting of 'env' "
        "must be a non-empty string",
    ]


def test_form_and_plugins_in_one_round() -> None:
    """What is wrong in its form hides no wrong target or provider, and is told only once."""
    write(
        "projct: shop\n"
        "secrets: {p: {vault: x}, q: {env: a, file: b}}\n"
        "environments:\n"
        "  a: {kubernets: 5}\n"
        "  b: {kubernetes: {context: null, namespac: x}}\n"
        "  c: {kubernetes: [x]}\n"
        "  d: {kubernetes: {context: 5}, url: [x]}\n"
        "  e: text\n"
    )
    assert problems() == [
        "gennaker.yaml:1:1: unknown-field: 'projct' is not a field of gennaker.yaml; "
        "did you mean 'project'?",
        "gennaker.yaml:2:15: unknown-plugin: 'vault' is not an installed secret provider; "
        "'gennaker plugins' lists what is installed",
        "gennaker.yaml:2:29: secret-source: secret 'q' names 2 providers; "
        "write one, like '{env: NAME}' or '{file: PATH}'",
        "gennaker.yaml:4:7: unknown-plugin: 'kubernets' is not an installed target; "
        "did you mean 'kubernetes'?",
        "gennaker.yaml:4:18: wrong-type: 'kubernets' must be a mapping of settings",
        "gennaker.yaml:5:29: null-value: 'context' has no value; give it one",
        "gennaker.yaml:5:35: unknown-field: 'namespac' is not a setting of target 'kubernetes'; "
        "did you mean 'namespace'?",
        "gennaker.yaml:6:19: wrong-type: 'kubernetes' must be a mapping of settings",
        "gennaker.yaml:7:7: missing-field: target 'kubernetes' needs 'namespace'; "
        "add 'namespace: …'",
        "gennaker.yaml:7:29: wrong-type: 'context' must be a string, not the number 5; "
        "put it in quotes",
        "gennaker.yaml:7:38: wrong-type: 'url' must be a string, not a list",
        "gennaker.yaml:8:6: wrong-type: 'e' must be a mapping, not 'text'",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("- a\n", "gennaker.yaml:1:1: wrong-type: gennaker.yaml must be a mapping"),
        ("a: [\n", "gennaker.yaml:1:5: yaml-syntax: did not find expected node content"),
    ],
)
def test_no_mapping(text: str, expected: str) -> None:
    """What cannot be read at all is told."""
    write(text)
    assert problems() == [expected]


def test_the_state_is_found_in_a_file_that_is_wrong_elsewhere(tmp_path: Path) -> None:
    """Who only looks at runs needs no right environments; a wrong `state` is told with all the rest."""
    file = tmp_path / "gennaker.yaml"
    file.write_text("state: sqlite:///runs.db\nenvironments: {staging: {approvals: {}}}\n")
    assert load_project(tmp_path).state_url() == f"sqlite:///{tmp_path}/runs.db"
    file.write_text("environments: {staging: {approvals: {}}}\n")
    assert load_project(tmp_path).state_url() == f"sqlite:///{tmp_path}/.gennaker/state.db"
    for wrong in ("state: 5", "state: null", "state: [", "state: a\nstate: b", "- state"):
        file.write_text(f"{wrong}\n")
        with pytest.raises(InvalidInput):
            load_project(tmp_path).state_url()
