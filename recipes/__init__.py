"""Experiments of the paper, each one command: `python -m recipes NAME`.

Imports go one way: `runner` and `protocol` (neither imports the other's callers), then `training`,
then `reporting`, then `experiments`.
"""
