"""Runs the console command without its script: `python -m recipes.console`."""

from __future__ import annotations

import sys

from recipes.console.main import main

if __name__ == "__main__":
    sys.exit(main())
