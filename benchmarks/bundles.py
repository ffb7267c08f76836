"""How much memory a bundle of 2,000 objects takes, from reading it to its plan.

A process of its own for each measurement: ``python -m benchmarks.bundles KUBECONFIG NAMESPACE OBJECTS``
prints the megabytes that reading, checking and planning need at most, on top of nothing.
"""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["measure_memory"]


def measure_memory(kubeconfig: Path, namespace: str, objects: int) -> float:
    """Return the largest size, in MB, of a process that plans so many objects."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.bundles", str(kubeconfig), namespace, str(objects)],
        check=True,
        capture_output=True,
        text=True,
    )
    return float(done.stdout)


def main(kubeconfig: str, namespace: str, objects: int) -> None:
    """Prepare and plan a bundle, and print the largest size of this process in MB."""
    from gennaker_stages.kubernetes.applying.rules import ConflictRules
    from gennaker_stages.kubernetes.bundle.preparing import prepare_bundle
    from gennaker_stages.kubernetes.client.cluster import Cluster
    from gennaker_stages.kubernetes.planning.planner import plan_objects
    from gennaker_stages.kubernetes.settings import KubernetesSettings

    settings = KubernetesSettings(namespace=namespace)
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(kubeconfig), None, settings, project=Path(folder, "none"))
        content = "".join(_write(objects)).encode()
        bundle = prepare_bundle(content, cluster, cache=Path(folder))
        planned = plan_objects(cluster, bundle.objects, rules=ConflictRules())
        assert len(planned.changes) == objects
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)


def _write(objects: int) -> Iterator[str]:
    from benchmarks.kubernetes import MIX

    for number in range(objects):
        yield "---\n" + MIX[number % len(MIX)].format(number)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
