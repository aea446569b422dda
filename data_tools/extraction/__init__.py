"""Extracts features of raw clips into a store, with extractors by name and jobs that resume."""

from data_tools.extraction.extractor import EXTRACTORS, Extractor
from data_tools.extraction.running import extract

__all__ = ["EXTRACTORS", "Extractor", "extract"]
