"""Loads the modules of `keras_cmg` that import no engine, without importing one.

Importing `keras_cmg` imports Keras and an engine: seconds and hundreds of megabytes in each worker
of an extraction, and packages that preparation does not need.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType


def load_module(name: str) -> ModuleType:
    """Loads a module of `keras_cmg` from its file, if `keras_cmg` is not imported yet.

    Args:
        name: full name of the module, which imports nothing of `keras_cmg` but modules loaded
            before it.

    Returns:
        The module, under its name in `sys.modules`.

    Raises:
        ImportError: if `keras_cmg` is not installed.

    Example:
        >>> load_module("keras_cmg.ops.log_mel").NUM_FEATURES
        128
    """
    if name in sys.modules:
        return sys.modules[name]
    package = importlib.util.find_spec("keras_cmg")
    if package is None or not package.submodule_search_locations:
        raise ImportError("data_tools needs the package keras_cmg, which is not installed")
    parts = name.split(".")[1:]
    path = Path(package.submodule_search_locations[0], *parts).with_suffix(".py")
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} must be a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module
