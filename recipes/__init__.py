"""Experiments, each one command: `python -m recipes NAME`; see `python -m recipes --help`."""
