"""Logs of attempts."""

from __future__ import annotations

from pathlib import Path

from gennaker_engine.storage.logs import LogStore, LogWriter


class _Nothing:
    def mask(self, text: str) -> str:
        return text


class _Word:
    def mask(self, text: str) -> str:
        return text.replace("hunter22", "***")


def test_lines_of_all_attempts_come_in_order_of_time(tmp_path: Path) -> None:
    """Reading a run merges its attempts by time."""
    store = LogStore(tmp_path)
    one, two = (store.writer("shop-1", name, 1, _Nothing()) for name in ("a", "b[0]"))
    one.write("first", "stdout")
    two.write("second", "stderr")
    one.write("third")
    one.close()
    two.close()
    found = [(each.instance, each.stream, each.text) for each in store.read("shop-1")]
    assert found == [
        ("a", "stdout", "first"),
        ("b[0]", "stderr", "second"),
        ("a", "system", "third"),
    ]
    assert [each.text for each in store.read("shop-1", stage="b")] == ["second"]


def test_secrets_are_masked_before_they_are_written(tmp_path: Path) -> None:
    """A masked value is never on disk."""
    writer = LogWriter(tmp_path / "1.log", _Word())
    writer.write("password hunter22")
    writer.close()
    assert "hunter22" not in (tmp_path / "1.log").read_text()


def test_a_log_past_its_limit_keeps_its_end(tmp_path: Path) -> None:
    """The beginning and the last part are kept, and how much is left out is said."""
    writer = LogWriter(tmp_path / "r" / "a" / "1.log", _Nothing(), limit=1000)
    for number in range(60_000):
        writer.write(f"line {number}")
    writer.close()
    texts = [each.text for each in LogStore(tmp_path).read("r")]
    assert texts[0] == "line 0"
    assert texts[-1] == "line 59999"
    assert any(each.endswith("lines left out: the log is larger than its limit]") for each in texts)
    assert (tmp_path / "r" / "a" / "1.log").stat().st_size < 3 << 20


def test_a_long_line_is_cut(tmp_path: Path) -> None:
    """A line past 64 KiB says how much of it is missing."""
    writer = LogWriter(tmp_path / "r" / "a" / "1.log", _Nothing())
    writer.write("x" * 100_000)
    writer.close()
    (line,) = LogStore(tmp_path).read("r")
    assert line.text.endswith("… [34464 characters cut]")


def test_a_cursor_gives_each_whole_line_once(tmp_path: Path) -> None:
    """Following reads what is new, never half a line."""
    store = LogStore(tmp_path)
    cursor = store.cursor("r")
    assert cursor.poll() == []
    writer = store.writer("r", "a", 1, _Nothing())
    writer.write("one")
    assert [each.text for each in cursor.poll()] == ["one"]
    with (tmp_path / "r" / "a" / "1.log").open("a") as stream:
        stream.write("5.0 o hal")
        stream.flush()
        assert cursor.poll() == []
        stream.write("f\n")
    assert [each.text for each in cursor.poll()] == ["half"]
    writer.close()
