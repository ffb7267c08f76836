"""What every test may use: the real parts in tests/fixtures, and the rules all tests keep."""

# A plugin stands before those that import it: pytest rewrites assertions only while it loads one.
pytest_plugins = [
    "pytester",
    "tests.fixtures.house_rules",
    "tests.fixtures.control_plane",
    "tests.fixtures.registry",
    "tests.fixtures.docker_engine",
    "tests.fixtures.git_repository",
    "tests.fixtures.http_server",
    "tests.fixtures.postgres",
]
