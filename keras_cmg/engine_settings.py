"""Settings that engines read from the environment when they are imported, for commands.

Imports neither Keras nor an engine, so that it can be loaded before them.
"""

from __future__ import annotations

import contextlib
import importlib.abc
import importlib.machinery
import json
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from keras_cmg.extras import ENGINES, engine_error, is_installed

LOG_LEVEL, JAX_CACHE = "TF_CPP_MIN_LOG_LEVEL", "JAX_COMPILATION_CACHE_DIR"
JAX_CACHE_SECONDS, CACHED_SECONDS = "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", 0
"""All programs are kept: a model and its optimisers need dozens of small ones."""
DEFAULT_ENGINE = "tensorflow"
"""What Keras uses if nothing is set."""
_NOISE = re.compile(
    rb"WARNING: All log messages before absl::InitializeLog"
    rb"|I\d{4} [\d:.]+ .*\.cc:\d+\]"
    rb"|To enable the following instructions:"
    rb"|.*Unable to register cu\w+ factory"
    rb"|.*computation placer already registered"
    rb"|INFO: Created TensorFlow Lite XNNPACK delegate"
)
"""Lines that say nothing to a user."""


def set_engine_defaults() -> None:
    """Sets what commands want of engines, where the user has set nothing.

    - `KERAS_BACKEND`: an installed engine, if the one that Keras would use is not installed;
    - `TF_CPP_MIN_LOG_LEVEL=2`: errors of TensorFlow alone, those of its Python code too; what it
      writes while it is imported, before it reads the variable, is filtered;
    - `JAX_COMPILATION_CACHE_DIR`: a folder of the user, see `cache_folder`, where compiled programs
      are kept between runs, and `JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS=0`, on JAX.

    Raises:
        ValueError: if `KERAS_BACKEND` names no engine of keras_cmg.

    Example:

    >>> set_engine_defaults()
    >>> "TF_CPP_MIN_LOG_LEVEL" in os.environ
    True
    """
    engine = choose_engine()
    if os.environ.setdefault(LOG_LEVEL, "2") not in ("0", "1"):
        filter_import("tensorflow")
        logging.getLogger("tensorflow").setLevel(logging.ERROR)
    if engine == "jax" and JAX_CACHE not in os.environ and (folder := jax_cache()) is not None:
        os.environ[JAX_CACHE] = str(folder)
        os.environ.setdefault(JAX_CACHE_SECONDS, str(CACHED_SECONDS))


def jax_cache() -> Path | None:
    """Makes the folder where programs that JAX compiles are kept between runs.

    Returns:
        `jax` in `cache_folder`; None if it cannot be made: JAX would warn at each program.

    Example:

    >>> jax_cache().name
    'jax'
    """
    folder = cache_folder() / "jax"
    with contextlib.suppress(OSError):
        folder.mkdir(parents=True, exist_ok=True)
        return folder
    return None


def choose_engine() -> str:
    """Sets `KERAS_BACKEND` to an installed engine, unless Keras would use one already.

    Returns:
        Name of the engine that Keras will use.

    Raises:
        ValueError: if the variable names no engine of keras_cmg.

    Example:

    >>> choose_engine() in ENGINES
    True
    """
    name = os.environ.get("KERAS_BACKEND")
    if name:
        if name not in ENGINES:
            raise ValueError(engine_error(name))
        return name
    configured = _configured_engine()
    installed = [engine for engine in ENGINES if is_installed(engine)]
    if is_installed(configured) or not installed:
        return configured
    os.environ["KERAS_BACKEND"] = installed[0]
    return installed[0]


def _configured_engine() -> str:
    """Engine in the configuration file of Keras, which Keras writes when it is first imported."""
    folder = Path(os.environ.get("KERAS_HOME") or Path.home() / ".keras")
    try:
        configured = json.loads((folder / "keras.json").read_text(encoding="utf-8"))["backend"]
    except (OSError, ValueError, KeyError, TypeError):
        return DEFAULT_ENGINE
    return str(configured)


def cache_folder() -> Path:
    """Returns the folder of downloaded files, and of what commands can compute again.

    Returns:
        `$KERAS_CMG_CACHE`, else `$XDG_CACHE_HOME/keras_cmg`, else `~/.cache/keras_cmg`.

    Example:

    >>> cache_folder().is_absolute()
    True
    """
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(os.environ.get("KERAS_CMG_CACHE") or caches / "keras_cmg").absolute()


def filter_import(package: str) -> None:
    """Drops lines of no use to a user from what importing a package writes to stderr.

    TensorFlow's libraries write them before they read any variable. Other lines are written when
    the import has ended. Does nothing if the package is imported already.

    Args:
        package: name of the package.

    Example:

    >>> filter_import("no_such_package")
    """
    known = any(isinstance(one, _QuietFinder) and one.package == package for one in sys.meta_path)
    if package not in sys.modules and not known:
        sys.meta_path.insert(0, _QuietFinder(package))


class _QuietFinder(importlib.abc.MetaPathFinder):
    """Finds one package as Python would, and filters what its import writes."""

    def __init__(self, package: str) -> None:
        self.package = package

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.package:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            loader: Any = spec.loader
            execute = loader.exec_module

            def quietly(module: ModuleType) -> None:
                with filtered_stderr():
                    execute(module)

            loader.exec_module = quietly
        return spec


@contextlib.contextmanager
def filtered_stderr() -> Iterator[None]:
    """Drops lines of no use to a user from what libraries of the process write to stderr.

    The other lines are written when the block has ended.

    Example:

    >>> with filtered_stderr():
    ...     _ = os.write(2, b"INFO: Created TensorFlow Lite XNNPACK delegate for CPU.\\n")
    """
    try:
        kept = os.dup(2)
    except OSError:  # There is no stderr.
        yield
        return
    with tempfile.TemporaryFile() as written:
        sys.stderr.flush()
        os.dup2(written.fileno(), 2)
        try:
            yield
        finally:
            sys.stderr.flush()
            os.dup2(kept, 2)
            os.close(kept)
            written.seek(0)
            for line in written:
                if not _NOISE.match(line):
                    os.write(2, line)
