"""Floating-point operations of an FCID training step, counted from the shapes of its layers.

A multiply and an add are two operations. Counted are convolutions, dense layers, attention, LSTMs
and the distances to codes; normalisation, activations and the optimiser are not.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import Any

import keras

import keras_cmg
from keras_cmg.backend.keras_internals import all_layers

Call = tuple[keras.Layer, tuple, tuple]


@contextlib.contextmanager
def recorded_calls() -> Iterator[list[Call]]:
    """Collects every layer call with its shapes, inner layers included.

    Yields:
        A list that fills with (layer, first input shape, first output shape).

    Example:

    >>> with recorded_calls() as calls:
    ...     _ = keras.layers.Dense(3)(np.ones((2, 4)))
    >>> calls[0][1:]
    ((2, 4), (2, 3))
    """
    calls: list[Call] = []
    original = keras.layers.Layer.__call__

    def recording(layer: keras.Layer, *args: Any, **kwargs: Any) -> Any:
        outputs = original(layer, *args, **kwargs)
        first = keras.tree.flatten(outputs)[0]
        if hasattr(first, "shape") and args and hasattr(args[0], "shape"):
            calls.append((layer, tuple(args[0].shape), tuple(first.shape)))
        return outputs

    keras.layers.Layer.__call__ = recording
    try:
        yield calls
    finally:
        keras.layers.Layer.__call__ = original


def forward_flops(layer: keras.Layer, inputs: tuple, outputs: tuple) -> float:
    """Operations of one call of one layer, without what its inner layers do.

    Args:
        layer: a Keras layer.
        inputs: shape of its first input.
        outputs: shape of its output.

    Returns:
        Number of operations; 0 for layers that are not counted.

    Example:

    >>> layer = keras.layers.Dense(3)
    >>> _ = layer(np.ones((2, 4)))
    >>> forward_flops(layer, (2, 4), (2, 3))
    48
    """
    if isinstance(layer, keras.layers.LSTM):
        sizes = math.prod(layer.cell.kernel.shape) + math.prod(layer.cell.recurrent_kernel.shape)
        return 2 * math.prod(inputs[:2]) * sizes
    if isinstance(layer, keras.layers.MultiHeadAttention):
        batch, frames, dim = inputs
        return 4 * batch * frames * frames * dim
    if isinstance(layer, keras_cmg.layers.CLUBEstimator):
        sizes = sum(math.prod(kernel.shape) for kernel in layer.kernels)
        return 2 * math.prod(inputs[:-1]) * sizes
    if isinstance(layer, keras.layers.Conv2DTranspose):
        return 2 * math.prod(inputs[:-1]) * math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
        return 2 * math.prod(outputs[:-1]) * math.prod(layer.kernel.shape)
    if isinstance(layer, keras.layers.EinsumDense):
        return 2 * math.prod(inputs[:2]) * math.prod(layer.kernel.shape)
    return 0


def step_flops(model: keras_cmg.models.FCID, batch: dict[str, Any]) -> float:
    """Operations of one training step: forward, backward and the estimators' own steps.

    The backward pass costs twice the forward pass; layers that read the data, told by the
    shape of their input, need no gradient for it. Estimators run forward and backward in each of
    their steps, and once more for their bound.

    Args:
        model: a built `FCID`.
        batch: features by modality.

    Returns:
        Number of operations.

    Example:

    >>> model = keras_cmg.models.FCID(("audio",))
    >>> batch = {"audio": np.ones((2, 10, 128), "float32")}
    >>> _ = model(batch)
    >>> step_flops(model, batch) > 1e6
    True
    """
    with recorded_calls() as calls:
        model.main_losses(model.prepare_step(batch))
    estimators = {id(part) for e in model.estimators.values() for part in all_layers(e)}
    data = [tuple(x.shape) for x in batch.values()]
    flattened = [(math.prod(shape[:2]), *shape[2:]) for shape in data]
    total = 0.0
    for layer, inputs, outputs in calls:
        forward = forward_flops(layer, inputs, outputs)
        if id(layer) in estimators:
            total += forward * (3 * model.estimator_steps + 2)
        else:
            total += forward * (2 if inputs in data or inputs in flattened else 3)
    backbone = model.backbone
    frames = [x.shape[1] if backbone.trained_level(m) == "segment" else 1 for m, x in batch.items()]
    vectors = next(iter(batch.values())).shape[0] * sum(frames)
    return total + 2 * vectors * backbone.num_embeddings * backbone.embedding_dim
