"""Tasks, probes, measures."""
