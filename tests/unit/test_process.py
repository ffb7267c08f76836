"""The subprocess wrapper: real children, their output, their groups and their ends."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gennaker.errors import PermanentError, StageError
from gennaker.process import (
    MAX_LINE,
    ChildProcess,
    capture,
    clean_environment,
    describe_exit,
    end_group,
    find_start_time,
    groups,
    run,
)


def is_alive(pid: int) -> bool:
    """Whether a process does anything still."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def wait_until(done: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Whether ``done()`` holds within the time."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if done():
            return True
        time.sleep(0.01)
    return False


def follow(script: str, **options: object) -> tuple[int, list[tuple[str, str]]]:
    """Follow a shell script; its exit code and lines."""
    lines: list[tuple[str, str]] = []
    child = ChildProcess(["/bin/sh", "-c", script])
    code = child.follow(lambda stream, line: lines.append((stream, line)), **options)  # type: ignore[arg-type]
    return code, lines


def make_countdown(looks: int) -> Callable[[], bool]:
    """A question that is answered with yes from the ``looks``-th time on."""
    asked = itertools.count(1)
    return lambda: next(asked) >= looks


def test_run_returns_code_and_both_streams() -> None:
    """A short program's exit code and its output, byte for byte."""
    done = run(["/bin/sh", "-c", "printf 'a\\377'; printf b >&2; exit 3"])
    assert (done.code, done.stdout, done.stderr) == (3, b"a\xff", b"b")


def test_run_feeds_more_input_than_a_pipe_holds() -> None:
    """Input and output are moved together, so neither side waits for ever."""
    data = os.urandom(1 << 20)
    assert data == run(["cat"], stdin=data).stdout


def test_a_program_that_reads_nothing_does_not_hang() -> None:
    """Input nobody wants is dropped."""
    assert run(["true"], stdin=b"x" * (1 << 20)).code == 0


def test_capture_replaces_what_is_no_text() -> None:
    """Text comes back as text, whatever the bytes."""
    assert capture(["printf", "\\377\\n"]) == (0, "\ufffd\n", "")


def test_stdin_is_closed_unless_given() -> None:
    """A program that asks gets the end of its input, not the terminal."""
    assert capture(["/bin/sh", "-c", "read x || echo end"]) == (0, "end\n", "")


def test_the_environment_is_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the parent's environment but the harmless is passed on."""
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    monkeypatch.setenv("LC_TIME", "C")
    assert capture(["/bin/sh", "-c", "echo $AWS_SECRET_ACCESS_KEY"]) == (0, "\n", "")
    assert clean_environment()["LC_TIME"] == "C"
    assert clean_environment({"PATH": "x"})["PATH"] == "x"
    assert capture(["/usr/bin/env"], env={"A": "1"}) == (0, "A=1\n", "")


def test_a_missing_program_says_what_to_do() -> None:
    """A name that is on no PATH is told with the next step."""
    with pytest.raises(PermanentError) as caught:
        run(["no-such-program-here"])
    assert str(caught.value) == (
        "program-missing: there is no program 'no-such-program-here'; "
        "install it, or put its folder on PATH"
    )


def test_a_file_that_is_not_executable_says_so(tmp_path: Path) -> None:
    """A program with a path is looked for from the folder it starts in."""
    (tmp_path / "build.sh").write_text("#!/bin/sh\necho built\n")
    with pytest.raises(PermanentError) as caught:
        run(["./build.sh"], cwd=tmp_path)
    assert str(caught.value) == (
        "program-missing: program './build.sh' may not be executed; make it executable: chmod +x"
    )
    (tmp_path / "build.sh").chmod(0o755)
    assert run(["./build.sh"], cwd=tmp_path).stdout == b"built\n"


def test_a_missing_folder_is_not_a_missing_program(tmp_path: Path) -> None:
    """Which of the two is missing is told."""
    with pytest.raises(PermanentError, match=r"cannot start in '.*gone': there is no such folder"):
        run(["true"], cwd=tmp_path / "gone")


def test_checklist_84_a_shell_line_is_refused() -> None:
    """Only lists are argument lists."""
    with pytest.raises(TypeError, match="argv is a list of strings"):
        run("echo hello")


def test_a_value_with_nul_is_refused_without_showing_it() -> None:
    """An unusable environment is told without its values."""
    with pytest.raises(PermanentError) as caught:
        run(["true"], env={"PATH": os.environ["PATH"], "TOKEN": "hun\0ter2"})
    assert "unusable name or value" in str(caught.value)
    assert "ter2" not in str(caught.value)


def test_a_program_past_its_time_is_ended() -> None:
    """Its whole group is, also what it started."""
    started = time.monotonic()
    with pytest.raises(StageError, match=r"program-timeout: 'sh' did not end within 0.2 s"):
        run(["sh", "-c", "sleep 60 & sleep 60"], timeout=0.2)
    assert time.monotonic() - started < 3


def test_output_is_bounded() -> None:
    """A program that never stops writing is ended."""
    with pytest.raises(StageError, match=r"'yes' wrote more than 1000 bytes to stdout"):
        run(["yes"], max_bytes=1000)


def test_lines_come_with_their_stream() -> None:
    """Lines are whole, in order, without their ends; the last may have none."""
    code, lines = follow("printf 'one\\r\\ntwo\\n'; printf 'three' >&2; exit 7")
    assert code == 7
    assert lines == [("stdout", "one"), ("stdout", "two"), ("stderr", "three")]


def test_lines_come_while_the_program_runs(tmp_path: Path) -> None:
    """A line is given when it is written, not at the end: this program ends once it was taken."""
    taken = tmp_path / "taken"
    child = ChildProcess(
        ["/bin/sh", "-c", f"echo first; while [ ! -e {taken} ]; do sleep 0.01; done"]
    )
    assert child.follow(lambda _stream, _line: taken.touch()) == 0


def test_a_character_split_over_two_writes_is_whole() -> None:
    """Text is decoded over the borders of what was read."""
    _, lines = follow("printf '\\303'; sleep 0.1; printf '\\244\\n'")
    assert lines == [("stdout", "ä")]


def test_a_long_line_is_cut_with_a_mark() -> None:
    """A line is at most 64 KiB long, and says how much is missing."""
    _, [(_, line)] = follow("head -c 200000 /dev/zero | tr '\\0' x")
    assert len(line) <= MAX_LINE
    kept, mark = line.split("…")
    assert f" [{200000 - len(kept)} characters cut]" == mark


def test_what_a_program_leaves_running_ends_with_it() -> None:
    """A background child neither holds the stage nor survives it."""
    started = time.monotonic()
    code, [(_, pid)] = follow("sleep 60 & echo $!")
    assert code == 0
    assert not is_alive(int(pid))
    assert time.monotonic() - started < 3


def test_who_left_the_group_does_not_hold_the_stage() -> None:
    """A daemon in a session of its own that keeps the output open is not waited for."""
    started = time.monotonic()
    code, [(_, pid)] = follow("setsid sleep 30 & echo $!")
    assert code == 0
    assert time.monotonic() - started < 4
    os.kill(int(pid), signal.SIGKILL)


def test_a_stop_gives_the_program_time_to_clean_up() -> None:
    """TERM comes first, and what the program says then is still read."""
    code, lines = follow(
        "trap 'echo bye; exit 9' TERM; while :; do sleep 0.05; done",
        should_stop=make_countdown(3),
    )
    assert code == 9
    assert ("stdout", "bye") in lines


def test_a_program_that_ignores_term_is_killed() -> None:
    """After the grace KILL ends it."""
    code, _ = follow(
        "trap '' TERM; while :; do sleep 0.05; done", should_stop=make_countdown(3), grace=0.2
    )
    assert code == -signal.SIGKILL


def test_an_error_in_the_reader_ends_the_group() -> None:
    """Who reads and fails leaves nothing running."""

    def refuse(_stream: str, _line: str) -> None:
        raise RuntimeError("enough")

    child = ChildProcess(["/bin/sh", "-c", "echo go; sleep 60"])
    with pytest.raises(RuntimeError, match="enough"):
        child.follow(refuse)
    assert not is_alive(child.pid)


def test_a_gated_program_waits_for_its_gate(tmp_path: Path) -> None:
    """It has a pid before it works, and starts when it is told to."""
    mark = tmp_path / "worked"
    child = ChildProcess(["touch", str(mark)], gated=True)
    time.sleep(0.1)
    assert not mark.exists()
    child.open_gate()
    assert child.follow(lambda _stream, _line: None) == 0
    assert mark.exists()


def test_a_gated_program_that_is_killed_never_starts(tmp_path: Path) -> None:
    """The gate breaks with its owner."""
    mark = tmp_path / "worked"
    child = ChildProcess(["touch", str(mark)], gated=True)
    child.kill()
    assert not mark.exists()
    assert not is_alive(child.pid)


def follow_gated(script: str, **options: object) -> int:
    """Follow a shell script behind a gate; the pid it tells of a process that left its group."""
    lines: list[str] = []
    child = ChildProcess(["/bin/sh", "-c", script], gated=True)
    child.open_gate()
    child.follow(lambda _stream, line: lines.append(line), **options)  # type: ignore[arg-type]
    return int(lines[0])


def test_who_left_the_group_of_a_gated_program_ends_with_it() -> None:
    """A daemon in a session of its own, its child too, is found by its mark."""
    started = time.monotonic()
    pid = follow_gated("setsid sh -c 'sleep 63 & echo $!; sleep 64' & sleep 0.3")
    assert not is_alive(pid)
    assert time.monotonic() - started < 4


def test_who_left_the_group_and_ignores_term_is_killed() -> None:
    """TERM first, KILL after the grace, as for the group."""
    pid = follow_gated("setsid sh -c 'trap \"\" TERM; echo $$; sleep 65; :' & sleep 0.3", grace=0.3)
    assert not is_alive(pid)


def test_who_is_started_without_the_mark_stays() -> None:
    """The way to leave something running on purpose."""
    pid = follow_gated(
        "setsid env -u GENNAKER_PROCESS sleep 66 > /dev/null 2>&1 & echo $!; sleep 0.3"
    )
    assert is_alive(pid)
    os.kill(pid, signal.SIGKILL)


def test_the_start_time_names_a_process() -> None:
    """The same while it lives, nothing when it is gone, another for another process."""
    child = ChildProcess(["sleep", "60"])
    assert child.started == find_start_time(child.pid) != ""
    assert find_start_time(os.getpid()) != child.started
    child.kill()
    assert find_start_time(child.pid) == ""


ORPHAN = """
import sys
from gennaker.process import ChildProcess
child = ChildProcess(["/bin/sh", "-c", sys.argv[1]])
print(child.pid, child.started, flush=True)
import os, signal
os.kill(os.getpid(), signal.SIGKILL)
"""


def leave_orphan(script: str) -> tuple[int, str]:
    """Start a group whose owner dies at once; its pid and start time."""
    done = subprocess.run([sys.executable, "-c", ORPHAN, script], capture_output=True, check=False)
    pid, started = done.stdout.decode().split()
    return int(pid), started


def test_an_orphaned_group_is_ended() -> None:
    """Who knows pid and start time ends it, once."""
    pid, started = leave_orphan("sleep 60 & sleep 60")
    assert is_alive(pid)
    assert end_group(pid, started)
    assert not is_alive(pid)
    assert not end_group(pid, started)


def test_an_orphaned_group_without_its_leader_is_ended() -> None:
    """Children that outlive the leader are found by their session."""
    pid, started = leave_orphan("sleep 61 & exit 0")
    assert wait_until(lambda: not is_alive(pid))
    assert end_group(pid, started)
    assert not end_group(pid, started)


def test_an_orphan_that_left_its_group_is_ended(tmp_path: Path) -> None:
    """Who knows pid and start time of a gated program ends all that it has started."""
    note = tmp_path / "pid"
    script = f"setsid sh -c 'echo $$ > {note}; sleep 67; :' & exit 0"
    gated = ORPHAN.replace("sys.argv[1]])", "sys.argv[1]], gated=True)\nchild.open_gate()")
    done = subprocess.run([sys.executable, "-c", gated, script], capture_output=True, check=False)
    leader, started = done.stdout.decode().split()
    assert wait_until(lambda: note.exists() and note.read_text() != "")
    pid = int(note.read_text())
    assert is_alive(pid)
    assert end_group(int(leader), started)
    assert not is_alive(pid)
    assert not end_group(int(leader), started)


def test_another_process_with_the_same_number_is_left_alone() -> None:
    """A start time that does not match ends nothing."""
    child = ChildProcess(["sleep", "60"])
    try:
        assert not end_group(child.pid, "1@00000000")
        assert not end_group(child.pid, "")
        assert not end_group(1, find_start_time(1))
        assert is_alive(child.pid)
    finally:
        child.kill()


def test_exits_are_told_in_words() -> None:
    """Codes and signals by their names."""
    assert [
        describe_exit(3),
        describe_exit(-9),
        describe_exit(-250),
    ] == ["exit code 3", "ended by SIGKILL", "ended by signal 250"]


def test_who_ends_a_group_too_late_still_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time for who survives a KILL begins when it is sent, not when it should have been."""
    monkeypatch.setattr(groups, "DRAIN", 0.2)
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    end = groups.GroupEnd(child.pid, 0.0)
    end.hurry()
    time.sleep(0.3)
    assert not end.is_over()
    end.wait(reap=child.poll)
    assert child.wait(5) == -signal.SIGKILL


# Its first thread ends, and is a zombie from then on; another one runs and takes no TERM.
HEADLESS = """
import ctypes, signal, threading, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
threading.Thread(target=time.sleep, args=(60,)).start()
print("started", flush=True)
ctypes.CDLL(None).pthread_exit(None)
"""


def test_a_program_whose_first_thread_ended_is_killed_and_reaped() -> None:
    """A process lives as long as one of its threads does, and its exit code is taken."""
    child = ChildProcess([sys.executable, "-c", HEADLESS])
    try:
        assert wait_until(lambda: not is_alive(child.pid))
        assert child.pump(lambda *_: None, timeout=0.1, grace=0.2) == -signal.SIGKILL
    finally:
        child.kill()
    assert not Path(f"/proc/{child.pid}").exists()


def test_a_child_that_survives_its_end_is_reaped_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits gives up in a bounded time; the exit code is taken all the same."""
    monkeypatch.setattr(groups, "DRAIN", 0.05)
    child = subprocess.Popen(["sleep", "60"], start_new_session=True)
    groups.reap_leader(child)
    assert child.returncode is None
    child.send_signal(signal.SIGKILL)
    assert wait_until(lambda: child.returncode == -signal.SIGKILL)
