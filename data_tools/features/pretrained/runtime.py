"""The interface of a pretrained model, and its runtime by name."""

from __future__ import annotations

import abc
import importlib
import os

import numpy as np

RUNTIMES = {
    "onnx": "data_tools.features.pretrained.onnx_model:ONNXModel",
    "litert": "data_tools.features.pretrained.litert_model:LiteRTModel",
    "keras": "data_tools.features.pretrained.keras_model:KerasModel",
}
"""Name of a runtime to its class."""
MAX_NAMED = 12
"""Tensor names that an error message lists."""


class Runtime(abc.ABC):
    """A pretrained model: batches of inputs to batches of one of its tensors.

    It runs on one thread, so that the same input gives the same bits in every process.

    Attributes:
        input_shape: of the input, None where an axis is free.
        input_dtype: of the input.
    """

    input_shape: tuple[int | None, ...]
    input_dtype: np.dtype

    @abc.abstractmethod
    def run(self, inputs: np.ndarray) -> np.ndarray:
        """The output for inputs of exactly the shape that the model takes."""

    def __call__(self, inputs: np.ndarray, batch_size: int = 16) -> np.ndarray:
        """Computes the output for any number of inputs.

        Args:
            inputs: `(n, ...)`.
            batch_size: inputs per call of the model, where its batch axis is free. It is a part of
                what determines the last bits of the result.

        Returns:
            `(n, ...)` float32.
        """
        inputs = inputs.astype(self.input_dtype, copy=False)
        if self._has_batch(inputs):
            size = self.input_shape[0] or batch_size
            parts = [self._padded(inputs[at : at + size]) for at in range(0, len(inputs), size)]
        else:
            parts = [self.run(each)[None] for each in inputs]
        return np.concatenate(parts).astype(np.float32, copy=False)

    def _has_batch(self, inputs: np.ndarray) -> bool:
        return len(self.input_shape) == inputs.ndim

    def _padded(self, part: np.ndarray) -> np.ndarray:
        """Runs a batch that may be shorter than the one size that the model takes."""
        size, count = self.input_shape[0], len(part)
        if size is not None and count < size:
            part = np.concatenate([part, np.repeat(part[-1:], size - count, axis=0)])
        return self.run(part)[:count]


def open_runtime(
    runtime: str, model: str | os.PathLike[str] | None, output: str | None = None
) -> Runtime:
    """Opens a pretrained model.

    Args:
        runtime: "onnx", "litert" or "keras".
        model: its file; for "keras" also the name of an application or preset, see `KerasModel`.
        output: name of the tensor to return, an internal one too; the first output if None.

    Returns:
        The model.

    Raises:
        FileNotFoundError: if the file does not exist.
        ImportError: if the runtime is not installed.
        ValueError: if the file is damaged, or has no such tensor.

    Example:
        >>> model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, name="head")])
        >>> model.save("model.keras")
        >>> open_runtime("keras", "model.keras")(np.ones((3, 4), "float32")).shape
        (3, 2)
    """
    if runtime not in RUNTIMES:
        raise ValueError(f"`runtime` must be one of {sorted(RUNTIMES)}. Received: {runtime!r}")
    if model is None:
        raise ValueError(f"`model` must name the model file that {runtime!r} is to run")
    module, _, name = RUNTIMES[runtime].partition(":")
    return getattr(importlib.import_module(module), name)(os.fspath(model), output)


def missing_tensor(model: str, output: str, names: list[str]) -> ValueError:
    """The error for a tensor that a model does not have.

    Args:
        model: its file.
        output: the name asked for.
        names: the names that there are.

    Returns:
        The error.

    Example:
        >>> print(missing_tensor("m.onnx", "pool", ["map", "logits"]))
        `output` must be a tensor of m.onnx, such as ['map', 'logits']. Received: 'pool'
    """
    word = output.lower().rsplit("/", 1)[-1]
    alike = [name for name in names if word in name.lower()]
    shown = (alike or names[-MAX_NAMED:])[:MAX_NAMED]
    return ValueError(
        f"`output` must be a tensor of {model}, such as {shown}. Received: {output!r}"
    )


def model_file(model: str) -> str:
    """The path of a model file, once it is known to exist.

    Args:
        model: the path.

    Returns:
        The same.

    Raises:
        FileNotFoundError: if it does not exist.

    Example:
        >>> model_file("nowhere.onnx")
        Traceback (most recent call last):
        ...
        FileNotFoundError: `model` must name a file; nowhere.onnx does not exist
    """
    if not os.path.isfile(model):
        raise FileNotFoundError(f"`model` must name a file; {model} does not exist")
    return model
