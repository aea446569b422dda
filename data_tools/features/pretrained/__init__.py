"""Pretrained networks behind one interface, whatever runtime they come from.

`open_runtime` opens a model file; sound, picture and text extractors of `data_tools.extraction`
feed it. `PCAReduction` shrinks its features.
"""

from data_tools.features.pretrained.pca_reduction import PCAReduction
from data_tools.features.pretrained.runtime import RUNTIMES, Runtime, open_runtime

__all__ = ["RUNTIMES", "PCAReduction", "Runtime", "open_runtime"]
