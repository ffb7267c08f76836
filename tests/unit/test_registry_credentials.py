"""Where credentials for a registry come from, and that they are never shown."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from gennaker.errors import PermanentError
from gennaker.stage import Secret
from gennaker_stages.registry.credentials import CredentialsInput, find_credentials

HELPER = """#!/bin/sh
read host
[ "$host" = r.test ] || { echo 'credentials not found in native keychain'; exit 1; }
echo '{"ServerURL": "r.test", "Username": "ann", "Secret": "from-helper"}'
"""


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The Docker configuration of this test, not there yet; a helper `test` is on the PATH."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    helper = tmp_path / "docker-credential-test"
    helper.write_text(HELPER)
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    return tmp_path / "config.json"


def encode(pair: str) -> dict[str, str]:
    """An entry of `auths`."""
    return {"auth": base64.b64encode(pair.encode()).decode()}


def find(host: str) -> tuple[str, str] | None:
    """The user name and password that are found."""
    found = find_credentials(host, None)
    return (found.username, found.password.reveal()) if found else None


def test_given_credentials_win(config: Path) -> None:
    """A stage's input is used before any file."""
    config.write_text(json.dumps({"auths": {"r.test": encode("bob:file")}}))
    given = CredentialsInput(username="ann", password=Secret("given"))
    found = find_credentials("r.test", given)
    assert found is not None
    assert found.to_basic() == f"Basic {base64.b64encode(b'ann:given').decode()}"
    assert "given" not in repr(found)


def test_nobody_is_logged_in(config: Path) -> None:
    """Without a configuration, or without this host in it, requests are anonymous."""
    assert find("r.test") is None
    config.write_text("{}")
    assert find("r.test") is None
    config.write_text(json.dumps({"auths": {"r.test": {}}}))
    assert find("r.test") is None


def test_the_configuration_is_read_as_docker_writes_it(config: Path) -> None:
    """By host, by URL, and Docker Hub by its old name; a password may have colons."""
    config.write_text(
        json.dumps(
            {
                "auths": {
                    "r.test": encode("ann:a:b"),
                    "https://s.test": encode("bob:c"),
                    "https://index.docker.io/v1/": encode("hub:d"),
                }
            }
        )
    )
    assert find("r.test") == ("ann", "a:b")
    assert find("s.test") == ("bob", "c")
    assert find("docker.io") == ("hub", "d")


@pytest.mark.parametrize(
    "config_text", ['{"credsStore": "test"}', '{"credHelpers": {"r.test": "test"}}']
)
def test_a_credential_helper_is_asked(config: Path, config_text: str) -> None:
    """`docker-credential-test get` gives the password; what it does not know is anonymous."""
    config.write_text(config_text)
    assert find("r.test") == ("ann", "from-helper")
    assert find("other.test") is None


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"auths": {"r.test": {"auth": "é"}}}', '{"credsStore": "../evil"}']
)
def test_a_broken_configuration_is_told(config: Path, text: str) -> None:
    """The file is named; nothing of what is in it."""
    config.write_text(text)
    with pytest.raises(PermanentError) as caught:
        find("r.test")
    assert caught.value.code == "docker-config"
    assert f"the Docker configuration '{config}' cannot be read" in caught.value.message
    assert caught.value.hint == "log in again, or give credentials from a secret"
