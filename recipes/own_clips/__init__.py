"""Clips of one's own: from a folder of files to a trained model, an index, and searches in it."""
