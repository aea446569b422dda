"""Data sets composed of recordings, pictures and captions of the same classes, file by file."""

from data_tools.raw.composed.composed_dataset import ComposedDataset
from data_tools.raw.composed.folders import Folders
from data_tools.raw.composed.natural import Natural

__all__ = ["ComposedDataset", "Folders", "Natural"]
