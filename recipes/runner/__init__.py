"""Command line, options, settings, seeds, output folder, provenance, cache.

Imports no other part of recipes; recipes are imported by name.
"""
