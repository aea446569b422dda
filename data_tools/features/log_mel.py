"""Gives access to `keras_cmg.ops.log_mel`, the definition of the log-mel summary, without Keras.

Importing `keras_cmg` imports Keras and an engine: seconds and hundreds of megabytes in each worker
of an extraction, and a package that preparation does not need. That module needs NumPy only, so it
is loaded from its file where `keras_cmg` is not imported yet.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

NAME = "keras_cmg.ops.log_mel"


def load_definition() -> ModuleType:
    """Loads the module that defines the log-mel summary.

    Returns:
        The module `keras_cmg.ops.log_mel`.

    Raises:
        ImportError: if `keras_cmg` is not installed.

    Example:
        >>> load_definition().NUM_FEATURES
        128
    """
    if NAME in sys.modules:
        return sys.modules[NAME]
    package = importlib.util.find_spec("keras_cmg")
    if package is None or not package.submodule_search_locations:
        raise ImportError("the audio features need the package keras_cmg, which is not installed")
    path = Path(package.submodule_search_locations[0], "ops", "log_mel.py")
    spec = importlib.util.spec_from_file_location(f"{__name__}.definition", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} must be a Python module")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


definition = load_definition()
