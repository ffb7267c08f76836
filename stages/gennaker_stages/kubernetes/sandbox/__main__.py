"""``python -m gennaker_stages.kubernetes.sandbox serve FOLDER``: the helper process."""

from __future__ import annotations

import sys
from pathlib import Path

from .helper import GRACE_SECONDS, serve


def main(arguments: list[str]) -> int:
    """Run the helper; returns the exit code. The grace in seconds may follow the folder."""
    if len(arguments) not in (2, 3) or arguments[0] != "serve":
        sys.stderr.write(
            "usage: python -m gennaker_stages.kubernetes.sandbox serve FOLDER [GRACE]\n"
        )
        return 2
    grace = float(arguments[2]) if len(arguments) == 3 else GRACE_SECONDS
    return serve(Path(arguments[1]), grace=grace)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
