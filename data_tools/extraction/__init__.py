"""Extracts features of raw clips into a store, with extractors by name and jobs that resume."""

from data_tools.extraction.extractor import EXTRACTORS, Extractor
from data_tools.extraction.local_extraction import extract
from data_tools.extraction.serving import open_extractors

__all__ = ["EXTRACTORS", "Extractor", "extract", "open_extractors"]
