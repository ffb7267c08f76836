"""The bound on the time of other people's code."""

from __future__ import annotations

import signal
import threading
import time

import pytest

from gennaker.watchdog import TookTooLong, limit_time


def test_what_ends_in_time_is_left_alone() -> None:
    """Nothing is raised, then or later, and the timer and handler of before are back."""
    before = signal.getsignal(signal.SIGALRM)
    left = signal.getitimer(signal.ITIMER_REAL)[0]
    with limit_time(60):
        pass
    assert signal.getsignal(signal.SIGALRM) is before
    rest = signal.getitimer(signal.ITIMER_REAL)[0]
    assert (rest > 0) == (left > 0) and rest <= left


def test_code_that_catches_everything_is_interrupted_again() -> None:
    """An `except Exception` does not keep it; one bare `except` delays it by a second."""
    with pytest.raises(TookTooLong, match=r"it took longer than 0\.05 seconds"), limit_time(0.05):
        try:
            while True:
                try:
                    time.sleep(60)
                except Exception:  # noqa: BLE001 - what it is about
                    continue
        except TookTooLong:
            time.sleep(60)


def test_an_outer_limit_holds_around_an_inner_one() -> None:
    """The inner one, when it is over, gives the rest of its time back to the outer one."""
    started = time.monotonic()
    with pytest.raises(TookTooLong, match=r"longer than 0\.2 seconds"), limit_time(0.2):
        with limit_time(60):
            time.sleep(0.05)
        time.sleep(60)
    assert time.monotonic() - started < 5


def test_another_thread_has_no_limit() -> None:
    """There the body runs to its end."""
    done = []

    def work() -> None:
        with limit_time(0.01):
            time.sleep(0.05)
        done.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == [True]
