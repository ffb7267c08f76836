"""What the release pipeline does when something breaks: tested without running anything."""

from pathlib import Path

from gennaker.testing import simulate

RELEASE = Path(__file__).parent / "pipelines" / "release.yaml"


def test_everything_goes_well() -> None:
    """An approval leads to the release."""
    run = simulate(RELEASE, outputs={"build": {"version": "2"}}, decide={"go_live": "approve"})
    assert run.outcome == "succeeded"
    assert run.order.index("smoke") < run.order.index("publish")


def test_a_failing_smoke_test_stops_the_release() -> None:
    """Nobody is asked, nothing is published, and the report is written."""
    run = simulate(RELEASE, outputs={"build": {"version": "2"}}, outcomes={"smoke": "failed"})
    assert run.outcome == "failed"
    assert run.outcomes["publish"] == "skipped"
    assert run.outcomes["report"] == "succeeded"


def test_nobody_decides() -> None:
    """After eight hours the approval has expired, which counts as a rejection."""
    run = simulate(RELEASE, outputs={"build": {"version": "2"}})
    assert run.outcomes["go_live"] == "aborted"
    assert run.outcome == "aborted"
