"""URLs of a state in PostgreSQL: how they are shown, and that what cannot be read is not shown."""

from __future__ import annotations

import sys

import pytest

from gennaker.errors import InvalidInput
from gennaker_engine.journal.opening import open_journal
from gennaker_engine.journal.postgres_link import Server, Timeouts

PASSWORD = "correct-horse"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://ann:{PASSWORD}/x@db/x",  # the password ends up where the port is
        f"postgresql://ann:{PASSWORD}%zz@db/x",
        f"postgresql://ann@db/x?secret={PASSWORD}",
    ],
)
def test_unreadable_urls_are_refused_without_a_word_of_them(tmp_path, url):
    """What libpq says of them may be a password: it is not told."""
    with pytest.raises(InvalidInput) as caught:
        open_journal(url, project=tmp_path)
    assert str(caught.value) == (
        "state-url: the state's URL cannot be read; write it like "
        "postgresql://USER:PASSWORD@HOST:5432/DATABASE, and special characters of the password "
        "as %40 for '@', %2F for '/'"
    )


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("postgresql://ann:secret@db.test/x", "db.test:5432"),
        ("postgres://db:6432/x?password=secret", "db:6432"),
        ("postgresql://one,two/x", "one:5432,two:5432"),
        ("postgresql://one:1,two:2/x", "one:1,two:2"),
        ("postgresql:///x?host=one,two&port=7", "one:7,two:7"),
        ("postgresql:///x?host=/run/postgresql", "/run/postgresql"),
        ("postgresql://[::1]/x", "[::1]:5432"),
        ("postgresql:///x", "localhost:5432"),
    ],
)
def test_messages_name_the_database_without_user_and_password(url, place):
    """Host, port and database are enough to know which it is."""
    server = Server(url, application="test", timeouts=Timeouts())
    assert server.name == f"PostgreSQL database 'x' at {place}"


def test_a_missing_client_library_is_told(tmp_path, monkeypatch):
    """Without psycopg the message says what to install."""
    monkeypatch.setitem(sys.modules, "psycopg", None)
    for name in ("postgres", "postgres_link", "postgres_owners"):
        monkeypatch.delitem(sys.modules, f"gennaker_engine.journal.{name}", raising=False)
    with pytest.raises(InvalidInput) as caught:
        open_journal("postgresql://ann@db/x", project=tmp_path)
    said = str(caught.value)
    assert said.startswith(
        "state-driver: a state in PostgreSQL needs psycopg, which cannot be loaded ("
    )
    assert said.endswith("; install it with: pip install 'gennaker[postgres]'")
