"""``python -m gennaker_engine.cli``: the same as the console script ``gennaker``."""

from __future__ import annotations

import sys

from gennaker_engine.cli.main import main

sys.exit(main())
