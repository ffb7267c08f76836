"""What every test may use: the real parts in tests/fixtures, and the rules all tests keep."""

import pytest

# Assertions of what tests share tell what they compared, like those of the tests themselves.
pytest.register_assert_rewrite(
    *(f"tests.{name}" for name in ("checklist", "contract", "core", "e2e", "fixtures")),
    *(f"tests.{name}" for name in ("fuzz", "histories", "integration")),
)
pytest_plugins = [
    "pytester",
    "tests.fixtures.house_rules",
    "tests.fixtures.workers",
    "tests.fixtures.case_counts",
    "tests.fixtures.session_end",
    "tests.fixtures.control_plane",
    "tests.fixtures.registry",
    "tests.fixtures.docker_engine",
    "tests.fixtures.git_repository",
    "tests.fixtures.http_server",
    "tests.fixtures.postgres",
]
