"""The embedded runtime: drives runs in this process and calls their stages."""

from __future__ import annotations

from gennaker_engine.runtime.engine import Engine, find_actor
from gennaker_engine.runtime.inbox import Answer
from gennaker_engine.runtime.observer import Observer, QuietObserver

__all__ = ["Answer", "Engine", "Observer", "QuietObserver", "find_actor"]
