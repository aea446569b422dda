"""Folders, stores and published data sets as batches."""
