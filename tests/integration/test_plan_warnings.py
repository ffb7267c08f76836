"""What a plan warns of: it does not stop the run, and people are to know it before."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.fixtures.typed_project import TypedProject

SETTINGS = """\
project: shop
secrets: {shared: {env: SHOP_SHARED}}
environments:
  staging:
    approval: {approvers: ["local:*"]}
    secrets: {token: {env: SHOP_TOKEN}, key: {file: keys/staging}, unused: {env: SHOP_UNUSED}}
"""
PIPELINE = """\
name: shop
stages:
  call:
    uses: shell
    environment: staging
    with:
      source: false
      run: "true"
      env: {HEADER: "${{ 'Bearer ' + secrets.token }}", KEY: "${{ secrets.key }}"}
  tell:
    uses: shell
    with: {source: false, run: "true", env: {SHARED: "${{ secrets.shared }}"}}
"""
TOKEN = (
    "secret-missing: environment variable 'SHOP_TOKEN', which a secret is read from, is not set; "
    "set it where gennaker runs: export SHOP_TOKEN=…"
)
KEY = (
    "secret-missing: file 'keys/staging', which a secret is read from, cannot be read: no such file "
    "or directory; make it, or change its path under 'secrets' in gennaker.yaml"
)


@pytest.fixture(name="shop")
def make_shop(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> TypedProject:
    """A project with secrets, of which none can be read but the shared one."""
    monkeypatch.delenv("SHOP_TOKEN", raising=False)
    monkeypatch.setenv("SHOP_SHARED", "kanarienvogel")
    shop = TypedProject(tmp_path, capsys)
    shop.write("gennaker.yaml", SETTINGS)
    shop.write("pipelines/shop.yaml", PIPELINE)
    return shop


def test_secrets_that_cannot_be_read_are_told(
    shop: TypedProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the run's words, with each stage that uses one; the plan and its digest are the same."""
    said = shop.type("plan", "shop")
    assert said.splitlines()[2:5] == [
        "call  shell in staging  asks for approval",
        f"    warning: {KEY}",
        f"    warning: {TOKEN}",
    ]
    assert "2 run, 2 warnings; 2 to run" in said
    assert "SHOP_UNUSED" not in said
    plan = json.loads(shop.type("plan", "shop", "-o", "json"))
    assert [each.get("warnings") for each in plan["stages"]] == [None, [KEY, TOKEN]]
    monkeypatch.setenv("SHOP_TOKEN", "made-up-token")
    shop.write("keys/staging", "abc\n")
    said = shop.type("plan", "shop")
    short = "the secret in file 'keys/staging' has fewer than 4 characters"
    assert f"    warning: secret-too-short: {short}" in said
    assert "1 warning;" in said
    monkeypatch.delenv("SHOP_SHARED")
    assert "warning: secret-missing: environment variable 'SHOP_SHARED'" in shop.type(
        "plan", "shop"
    )


def test_who_approves_is_warned(shop: TypedProject) -> None:
    """With the plan that is shown, and again as a reason to doubt, before the decision."""
    shop.type("run", "shop", "--detach-on-wait", code=6)
    said = shop.type("status", "@last")
    assert f"warning: {KEY}" in said and f"warning: {TOKEN}" in said
    said = shop.type("approve", "@last", "call", "--no-follow")
    assert f"call: warning: {TOKEN}" in said
