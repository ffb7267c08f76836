"""Random sequences of requests, sent to the real API server and to the sandbox, are answered alike.

Answers (objects, managed fields, conflicts, error reasons and codes) and watch events are compared; aside
are what :func:`tests.fixtures.cluster_scenarios.simplify` names. A difference is told with the seed and
the shortest sequence that still shows it.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gennaker_stages.kubernetes.sandbox.process import (
    ensure_sandbox,
    release_sandbox,
    stop_sandbox,
)
from tests.fixtures.cluster_pairs import Cluster, compare_sequences, establish, shrink
from tests.fixtures.cluster_scenarios import Step
from tests.fixtures.cluster_sequences import KINDS, make_sequence
from tests.fixtures.control_plane import ControlPlane
from tests.fixtures.scale import scale

# On a busy machine they take several times what they take on a quiet one.
pytestmark = [pytest.mark.real("control_plane"), pytest.mark.timeout(scale(300, 1_800))]
SEED = 20


@pytest.fixture(scope="module")
def pair(
    control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Cluster, Cluster]]:
    """The real server and the sandbox, as a process of its own, with the custom kind."""
    state = tmp_path_factory.mktemp("differential")
    sandbox = ensure_sandbox(state).kubeconfig("tests")
    clusters = Cluster(control_plane.kubeconfig), Cluster(Path(sandbox))
    for each in clusters:
        establish(each)
    yield clusters
    for each in clusters:
        each.close()
    stop_sandbox(state)
    release_sandbox(state)


@pytest.mark.scaled
@pytest.mark.parametrize("name", KINDS)
def test_real_differential_sequences_are_answered_alike(
    pair: tuple[Cluster, Cluster], name: str, count_cases: Callable[[int], None]
) -> None:
    """Creates, applies by several managers, updates, patches, deletes, dry runs; watched."""
    kind = KINDS[name]
    dice = random.Random(f"{name} {SEED}")
    sequences = [make_sequence(dice, kind) for _ in range(scale(200, 700))]

    def compare(some: list[list[Step]]) -> dict[int, list[str]]:
        return compare_sequences(pair, kind.path, kind.minimal, some)

    found = compare(sequences)
    count_cases(len(sequences))
    for number, told in found.items():
        steps_left = shrink(sequences[number], lambda fewer: bool(compare([fewer])))
        lines = compare([steps_left]).get(0, told)
        shown = "\n".join(json.dumps(step) for step in steps_left)
        pytest.fail(f"seed {SEED}, sequence {number} of {name}:\n{shown}\n" + "\n".join(lines))
