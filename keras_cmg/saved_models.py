"""Loads `.keras` files and files of weights that may come from strangers."""

from __future__ import annotations

import contextlib
import json
import math
import os
import threading
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from keras_cmg.faults import reading
from keras_cmg.files import check_archive
from keras_cmg.isolated_hdf5 import count_weights

RULE = "be a Keras model"
CONFIG, WEIGHTS = "config.json", "model.weights.h5"
MAX_CONFIG_BYTES = 2**26
MAX_LAYERS = 20_000
SPARE_NUMBERS = 2**16
"""Numbers that a model may hold beyond those of its file, such as the states of seeds."""
_PATCHING = threading.Lock()


def load_model(path: str | os.PathLike[str]) -> keras.Model:
    """Loads a `.keras` file, not compiled; nothing of the file is run.

    Before layers are built, the archive must not unpack to many times its size, its arrays are read
    once in another process, and while they are built, their weights must not be larger than those
    arrays.

    Args:
        path: the file.

    Returns:
        The model.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, is not a saved model, needs code of its own, or
            describes layers that are larger than its weights.

    Example:

    >>> keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)]).save("model.keras")
    >>> load_model("model.keras").count_params()
    25
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with reading(path, RULE):
        if path.suffix != ".keras":
            raise ValueError("its name must end in '.keras'")
        with bounded_layers(path, _checked_numbers(path)):
            return keras.saving.load_model(path, compile=False, safe_mode=True)


def load_model_folder(path: str | os.PathLike[str]) -> keras.Model:
    """Loads a model from a folder in the layout of the Hugging Face hub, as `load_model` does.

    Args:
        path: folder with `config.json` and `model.weights.h5`, as
            `keras.saving.save_model(model, path, zipped=False)` writes it.

    Returns:
        The model, not compiled.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is damaged, the model needs code of its own, or it describes layers
            that are larger than its weights.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    >>> keras.saving.save_model(model, "model", zipped=False)
    >>> load_model_folder("model").count_params()
    25
    """
    folder = Path(path)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"There is no file {folder / name}.")
    with reading(folder / CONFIG, RULE):
        size = (folder / CONFIG).stat().st_size
        if size > MAX_CONFIG_BYTES:
            raise ValueError(
                f"{folder / CONFIG} must have at most {MAX_CONFIG_BYTES} bytes. Received: {size}"
            )
        numbers = count_weights(folder / WEIGHTS)
        with bounded_layers(folder, numbers):
            return keras.saving.load_model(folder, compile=False, safe_mode=True)


def load_weights(model: keras.Model, path: str | os.PathLike[str]) -> None:
    """Loads the weights of a built model from a `.weights.h5` or `.keras` file.

    Args:
        model: the model.
        path: the file.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file is damaged, or has weights of another model.

    Example:

    >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)])
    >>> model.save_weights("a.weights.h5")
    >>> load_weights(model, "a.weights.h5")
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"There is no file {path}.")
    with reading(path, "hold the weights of the model"):
        if path.suffix == ".keras":
            _checked_numbers(path)
        else:
            count_weights(path)
        model.load_weights(path)


def _checked_numbers(path: Path) -> int:
    """Checks the parts of a `.keras` file; returns how many numbers its weights have."""
    check_archive(path, RULE)
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(CONFIG).file_size
        if size > MAX_CONFIG_BYTES:
            raise ValueError(
                f"{path} must hold a {CONFIG} of at most {MAX_CONFIG_BYTES} bytes. Received: {size}"
            )
        json.loads(archive.read(CONFIG))
        if WEIGHTS not in archive.namelist():
            raise ValueError(f"{path} must hold {WEIGHTS}")
    return count_weights(path, WEIGHTS)


@contextlib.contextmanager
def bounded_layers(path: object, numbers: int) -> Iterator[None]:
    """Raises an error inside the block when layers are built that are larger than a file.

    Args:
        path: the file, for the message.
        numbers: int, how many numbers its weights hold.

    Raises:
        ValueError: if the weights of the layers that this thread makes hold more numbers, or there
            are more than 20,000 layers.

    Example:

    >>> with bounded_layers("a.keras", 10):
    ...     keras.layers.Dense(10**9).build((None, 10**9))
    Traceback (most recent call last):
        ...
    ValueError: a.keras must describe layers with at most the 10 numbers of its weights. ...
    """
    left = {"numbers": numbers + SPARE_NUMBERS, "layers": MAX_LAYERS}
    here = threading.get_ident()
    add_weight, make = keras.Layer.add_weight, keras.Layer.__init__

    def counted_weight(self: Any, shape: Any = None, *args: Any, **kwargs: Any) -> Any:
        if threading.get_ident() == here:
            sizes = (shape,) if isinstance(shape, int) else shape or ()
            left["numbers"] -= math.prod(int(size) for size in sizes)
            if left["numbers"] < 0:
                raise ValueError(
                    f"{path} must describe layers with at most the {numbers} numbers of its "
                    f"weights. Received a weight of shape {tuple(sizes)} in {type(self).__name__}"
                )
        return add_weight(self, shape, *args, **kwargs)

    def counted_layer(self: Any, *args: Any, **kwargs: Any) -> None:
        if threading.get_ident() == here:
            left["layers"] -= 1
            if left["layers"] < 0:
                raise ValueError(f"{path} must describe at most {MAX_LAYERS} layers. Received more")
        make(self, *args, **kwargs)

    with _PATCHING:
        keras.Layer.add_weight, keras.Layer.__init__ = counted_weight, counted_layer
        try:
            yield
        finally:
            keras.Layer.add_weight, keras.Layer.__init__ = add_weight, make
