"""The shop's way to production, on the sandbox: what ``make demo`` runs.

One process runs the pipeline; this one is the second terminal: it waits for the approval, shows
what it is about, approves it, and looks at what runs in production in the end.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PIPELINE = "shop_oci"
# The sandbox is empty and forgets nobody's secrets: these are made up.
SECRETS = {
    "STAGING_DB_PASSWORD": "staging-demo-password",
    "PRODUCTION_DB_PASSWORD": "live-demo-password",
}


def gennaker(*words: str) -> list[str]:
    """The command line of this Python's own gennaker."""
    return [str(Path(sys.executable).parent / "gennaker"), *words]


def ask(*words: str) -> Any:
    """What a command prints as JSON, None when it fails."""
    done = subprocess.run(
        gennaker(*words, "-o", "json"), cwd=HERE, capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout) if done.returncode == 0 else None


def show(title: str, *words: str) -> None:
    """Run a command for people to read."""
    print(f"\n── {title}: gennaker {' '.join(words)}\n", flush=True)
    subprocess.run(gennaker(*words), cwd=HERE, check=True)


def find_number() -> int:
    """The number of the last run of the pipeline, 0 before the first."""
    last = ask("runs", "--pipeline", PIPELINE, "--limit", "1")
    return last["items"][0]["number"] if last and last["items"] else 0


def wait_for_approval(run: str, process: subprocess.Popen[bytes]) -> dict[str, Any]:
    """The decision the run waits for."""
    while process.poll() is None:
        status = ask("status", run)
        for each in (status or {}).get("waiting", []):
            if each["on"] == "decision":
                return each
        time.sleep(0.2)
    sys.exit(f"the run ended before it asked: exit {process.returncode}")


def main() -> int:
    """Run the demo; 0 when what runs in production is what was built."""
    os.environ.update(SECRETS)
    started = time.monotonic()
    run = f"{PIPELINE}-{find_number() + 1}"
    show("The pipeline", "graph", PIPELINE)
    print(f"\n── First terminal: gennaker run {PIPELINE} --sandbox\n", flush=True)
    process = subprocess.Popen(
        gennaker("run", PIPELINE, "--sandbox"), cwd=HERE, stdin=subprocess.DEVNULL
    )
    try:
        waiting = wait_for_approval(run, process)
        print(f"\n── Second terminal: {run} asks about\n", flush=True)
        for each in waiting["subject"]:
            print(f"   {each['id']}: {each['uses']} in {each['environment']['name']}", flush=True)
        show("It says yes", "approve", run, waiting["stage"], "--comment", "looks good")
        if process.wait(timeout=120) != 0:
            return process.returncode
    finally:
        process.kill()
    show("What happened", "status", run)
    show("Who did what, and when", "events", run)
    stages = ask("status", run)["stages"]
    built = stages["image"]["outputs"]["reference"]
    running = stages["production"]["outputs"]["images"]
    print(f"\nbuilt      {built}\nproduction {' '.join(running)}")
    print(f"took       {time.monotonic() - started:.1f} s")
    if running != [built]:
        print("what runs in production is not what was built")
        return 1
    print(f"production digest: {built.partition('@')[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
