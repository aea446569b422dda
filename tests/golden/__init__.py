"""Recomputes numbers recorded from the authors' code: `python -m tests.golden FILE...`."""
