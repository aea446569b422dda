"""Runs a recipe: `python -m recipes NAME --help` shows its options."""

from __future__ import annotations

import sys

from recipes.runner.command_line import main

if __name__ == "__main__":
    sys.exit(main())
