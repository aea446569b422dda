"""Export of trained systems to SavedModel, ONNX and LiteRT, for serving without keras_cmg."""

from keras_cmg.export.exporting import FORMATS, export
from keras_cmg.export.metadata import read_metadata
from keras_cmg.export.runs import load_reductions
from keras_cmg.export.served_system import ServedSystem
from keras_cmg.models.base.exporting import register_exporter

register_exporter(export)

__all__ = ["FORMATS", "ServedSystem", "export", "load_reductions", "read_metadata"]
