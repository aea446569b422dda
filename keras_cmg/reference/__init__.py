"""Weights of the authors' code: import, export, and a check of every number against it."""
