"""Export of trained systems to SavedModel, ONNX and LiteRT, for serving without keras_cmg."""

from keras_cmg.export.exporting import FORMATS, export
from keras_cmg.export.metadata import read_metadata
from keras_cmg.export.served_system import ServedSystem

__all__ = ["FORMATS", "ServedSystem", "export", "read_metadata"]
