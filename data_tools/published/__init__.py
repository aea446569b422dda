"""Data sets whose features others published: annotations, splits, known issues."""
