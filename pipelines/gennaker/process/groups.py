"""Process groups: who is in one, whether it still is the one we started, and how it is ended.

Who leaves its group for a session of its own (``setsid``, a daemon) is known by a mark in its
environment, which it has from the program that was started; only a gated child has one.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gennaker.records import dataclass

if TYPE_CHECKING:
    import subprocess

__all__ = [
    "DRAIN",
    "GRACE",
    "MARK",
    "GroupEnd",
    "end_children",
    "end_group",
    "find_start_time",
    "has_exited",
    "make_mark",
    "reap_leader",
    "signal_group",
]

GRACE = 5.0
"""Seconds between TERM and KILL."""
DRAIN = 1.0
"""Seconds for what is left after KILL, or after the last process of the group."""


MARK = "GENNAKER_PROCESS"
"""The variable with the mark. A program that is to outlive its stage is started without it."""


class GroupEnd:
    """The ending of one group: TERM, KILL after the grace, and a bound for who survives that.

    Args:
        group: its number, None when only those that left it are to be ended.
        grace: seconds between TERM and KILL.
        mark: of those that left it, empty when they have none.
    """

    def __init__(self, group: int | None, grace: float = GRACE, *, mark: str = "") -> None:
        self._group = group
        self._grace = grace
        self._mark = mark
        self._kill_at = float("inf")
        self._give_up_at = float("inf")
        self._told: set[tuple[int, int]] = set()
        self.began = False

    def begin(self) -> None:
        """Send TERM; once."""
        if not self.began:
            self.began = True
            self._kill_at = time.monotonic() + self._grace
            if self._group is not None:
                signal_group(self._group, signal.SIGTERM)

    def hurry(self) -> None:
        """Send KILL with the next look."""
        self.began = True
        self._kill_at = min(self._kill_at, time.monotonic())

    def is_over(self) -> bool:
        """Whether nobody of the group lives; sends KILL when its time has come."""
        if not self.began:
            return False
        now = time.monotonic()
        kills = now >= self._kill_at
        if self._group is not None and _lives(self._group):
            if kills and self._give_up_at == float("inf"):
                signal_group(self._group, signal.SIGKILL)
        elif not self._end_strays(signal.SIGKILL if kills else signal.SIGTERM):
            return True
        if kills:  # counted from when it is sent: this process may have been held up before
            self._give_up_at = min(self._give_up_at, now + DRAIN)
        return now > self._give_up_at  # it sleeps where no signal reaches it

    def _end_strays(self, number: int) -> bool:
        """Send a signal to each that left the group, once; False when there is none."""
        strays = find_strays(self._mark)
        for pid in strays:
            if (pid, number) not in self._told:
                self._told.add((pid, number))
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(pid, number)
        return bool(strays)

    def wait(self, reap: Callable[[], object] = lambda: None) -> None:
        """Wait until it is over; ``reap`` is called between looks by who is the parent."""
        reap()
        while not self.is_over():
            time.sleep(0.01)
            reap()


def reap_leader(child: subprocess.Popen[bytes]) -> None:
    """Take the exit code of a child whose group is over, so that it does not stay a zombie.

    One that sleeps where no signal reaches it is left to a thread, which takes it when it ends.
    """
    import subprocess  # who starts a child has it already

    try:
        child.wait(DRAIN)
    except subprocess.TimeoutExpired:
        threading.Thread(target=child.wait, name=f"reap {child.pid}", daemon=True).start()


def find_start_time(pid: int) -> str:
    """Return when a process started, empty when there is none.

    With ``pid`` it names one process for good, also when the number is used again and after the
    machine started anew. The text is opaque; it is compared for equality only.
    """
    facts = _read_facts(pid)
    return "" if facts is None else facts.start


def end_group(pid: int, started: str, *, grace: float = GRACE) -> bool:
    """End the process group that a dead owner left behind, if it is still that one.

    The group's leader may be gone while its children go on; then the group is ended when its
    members are of the leader's session and younger than it. Who left the group has its mark.

    Returns:
        Whether there was anything to end.
    """
    if pid <= 1 or not started:
        return False
    mark = make_mark(pid, started)
    is_there = _is_group(pid, started) and _lives(pid)
    if not is_there and not find_strays(mark):
        return False
    end = GroupEnd(pid if is_there else None, grace, mark=mark)
    end.begin()
    end.wait()
    return True


def end_children(thread: int) -> None:
    """Send TERM to what a thread of this process started itself, without a group; only where is /proc.

    Args:
        thread: its number in the operating system, ``native_id``.
    """
    try:
        children = Path(f"/proc/self/task/{thread}/children").read_text("ascii").split()
    except OSError:
        return
    for each in children:
        with suppress(ProcessLookupError):
            os.kill(int(each), signal.SIGTERM)


def _is_group(pid: int, started: str) -> bool:
    """Whether the group with this number is the one whose leader started then."""
    found = find_start_time(pid)
    if found:
        return found == started
    return any(_is_later(each.start, started) for each in _list_members(pid))


def make_mark(pid: int, started: str) -> str:
    """Return the mark of a group's processes, from the pid and start time of its leader."""
    return f"{pid}:{started}"


def find_strays(mark: str) -> list[int]:
    """Return the living processes with the mark; none for an empty one, or where is no /proc."""
    if not mark:
        return []
    wanted, found = f"{MARK}={mark}".encode(), []
    with suppress(OSError):
        for each in Path("/proc").iterdir():
            if each.name.isdigit() and wanted in _read_environment(each):
                found.append(int(each.name))
    return found


def _read_environment(process: Path) -> list[bytes]:
    try:
        return (process / "environ").read_bytes().split(b"\0")
    except OSError:  # it is gone, or another user's
        return []


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the system says of one process."""

    state: str
    group: int
    session: int
    start: str
    threads: int = 1

    @property
    def lives(self) -> bool:
        """Whether it runs still: its first thread may be a zombie while others are not."""
        return self.state not in "ZX" or self.threads > 1


def _read_facts(pid: int) -> _Facts | None:
    if not Path("/proc/self/stat").exists():
        return _ask_ps(pid)
    try:
        text = Path(f"/proc/{pid}/stat").read_text("utf-8", "replace")
    except OSError:
        return None
    # The name may hold anything, also ')': the fields begin after the last one.
    words = text.rpartition(")")[2].split()
    start = f"{words[19]}@{_boot()}"
    return _Facts(words[0], int(words[2]), int(words[3]), start, threads=int(words[17]))


def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()[:8]
    except OSError:
        return "boot"


def _ask_ps(pid: int) -> _Facts | None:
    """The same where there is no /proc; ``ps`` has it in seconds."""
    import subprocess  # not needed where there is /proc

    done = subprocess.run(
        ["ps", "-o", "state=,pgid=,sess=,lstart=", "-p", str(pid)],
        capture_output=True,
        check=False,
        env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C"},
    )
    words = done.stdout.decode(errors="replace").split(maxsplit=3)
    if done.returncode != 0 or len(words) < 4:
        return None
    session = int(words[2]) if words[2].isdigit() else 0
    return _Facts(words[0][:1], int(words[1]), session or int(words[1]), words[3].strip())


def _list_members(group: int) -> list[_Facts]:
    """The living processes of a group that are of its own session; none where there is no /proc."""
    found = []
    with suppress(OSError):
        for each in Path("/proc").iterdir():
            facts = _read_facts(int(each.name)) if each.name.isdigit() else None
            if facts and facts.group == facts.session == group and facts.lives:
                found.append(facts)
    return found


def _is_later(start: str, first: str) -> bool:
    ticks, _, boot = start.partition("@")
    first_ticks, _, first_boot = first.partition("@")
    if boot != first_boot or not (ticks.isdigit() and first_ticks.isdigit()):
        return False
    return int(ticks) >= int(first_ticks)


def _lives(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    if not Path("/proc/self/stat").exists():
        return not has_exited(group)
    # Zombies take signals too: only who is not one lives.
    return bool(_list_members(group))


def signal_group(group: int, number: int) -> None:
    """Send a signal to a whole group; one that is gone or not ours is left alone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def has_exited(pid: int) -> bool:
    """Whether a child of ours ended; it is left to be reaped, so that its number stays taken."""
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:
        return True
