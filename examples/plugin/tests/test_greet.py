"""Gennaker's own contract tests, run on the plugin."""

from acme_gennaker import Greet

from gennaker.testing import StageContract


class TestGreet(StageContract):
    """The plugin keeps the stage contract."""

    stage = Greet
    inputs = {"who": "world"}
