"""Layers that work on parts of a batch, and whose activations are computed again for gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.backend.keras_internals import full_precision_values, random_states


def compute_in_chunks(
    function: Callable[..., Any],
    layers: Sequence[keras.Layer],
    tensors: Sequence[Any],
    batch_chunks: int,
) -> Any:
    """Computes a function of tensors that calls layers, a few rows at a time.

    The results, and the gradients of tensors and weights, are those of `function(*tensors)`, if it
    treats each row by itself. Memory for activations is that of one part: the backward pass
    computes them again. Dropout draws a mask for each part, the same in both passes.

    Args:
        function: of the tensors' rows to a float tensor with the same rows.
        layers: built layers that it calls.
        tensors: tensors with the same number of rows, or None.
        batch_chunks: number of parts.

    Returns:
        Float tensor.

    Raises:
        ValueError: if there are fewer rows than parts; or if a layer changes other state than that
            of its random draws, as batch normalisation does, or adds a loss.

    Example:

    >>> layer = keras.layers.Dense(2)
    >>> layer.build((None, 3))
    >>> tuple(compute_in_chunks(layer, [layer], [ops.ones((5, 3))], 2).shape)
    (5, 2)

    References:
        Chen et al. (2016), Training Deep Nets with Sublinear Memory Cost; Gao et al. (2021),
        Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, section 3.2.
    """
    given = [place for place, x in enumerate(tensors) if x is not None]
    chunked = [ops.convert_to_tensor(tensors[place]) for place in given]
    rows = chunked[0].shape[0]
    if isinstance(rows, int) and rows < batch_chunks:
        raise ValueError(
            f"`batch_chunks` must be at most the number of clips of a batch, {rows}. "
            f"Received: {batch_chunks}"
        )
    weights, states = _variables(layers)

    def run(values: Any, carry: Any, chunk: Any) -> tuple[list, list]:
        arguments: list[Any] = [None] * len(tensors)
        for place, x in zip(given, chunk, strict=True):
            arguments[place] = x
        mapping = [*zip(weights, values, strict=True), *zip(states, carry, strict=True)]
        with keras.StatelessScope(mapping, collect_losses=True) as scope:
            before = [scope.get_current_value(variable) for variable in weights]
            outputs = function(*arguments)
        after = [scope.get_current_value(variable) for variable in weights]
        _check_rows_alone(weights, before, after, scope.losses)
        return [scope.get_current_value(variable) for variable in states], [outputs]

    values = full_precision_values(weights)
    # Copies: the backward pass needs the values from before, which `assign` may change in place.
    carry = [ops.copy(variable) for variable in states]
    carry, (outputs,) = engine.map_chunks(run, values, carry, chunked, batch_chunks)
    for variable, value in zip(states, carry, strict=True):
        variable.assign(value)
    return outputs


def _variables(layers: Sequence[keras.Layer]) -> tuple[list, list]:
    """All variables of layers, each once, and the states of their random draws."""
    found = {id(v): v for layer in layers for v in layer.variables}
    states = random_states(found.values())
    drawn = {id(state) for state in states}
    return [v for v in found.values() if id(v) not in drawn], states


def _check_rows_alone(weights: list, before: list, after: list, losses: list) -> None:
    """Raises an error for layers whose results depend on which rows are computed together."""
    changed = [v.path for v, a, b in zip(weights, before, after, strict=True) if a is not b]
    if changed:
        raise ValueError(
            "`batch_chunks` must be 1 with layers that change state by what a batch holds, such as "
            f"batch normalisation. Received layers that change: {changed}"
        )
    if losses:
        raise ValueError(
            "`batch_chunks` must be 1 with layers that call `add_loss`. "
            f"Received {len(losses)} losses"
        )
