"""Command line, seeds, output folder, provenance."""
