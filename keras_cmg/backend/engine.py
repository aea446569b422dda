"""The functions that every engine module offers, and those that call the module in use.

Each of `jax`, `tensorflow` and `torch` defines:

- `train_step(model, ...)`, `test_step(model, ...)`: the steps of
  `keras_cmg.backend.objective.PhasedObjective`;
- `gradients(objective, variables, inputs)`: see below;
- `map_chunks(function, values, carry, tensors, num_chunks)`: see below;
- `num_replicas()`: number of replicas that each see a part of the batch; 1 on JAX, where arrays are
  those of the global batch whatever the number of devices;
- `global_sum(x)`: the sum of `x` over all replicas;
- `global_batches(tensors)`: the rows of all replicas in the order of the global batch, for tensors
  with the same number of rows;
- `wait_for_replicas()`: returns when all replicas of this process are at this line of their trace;
- `own_losses(losses)`: those of the tensors that layers passed to `add_loss` that are this
  replica's;
- `has_values(x)`: whether a tensor has values now, rather than being traced;
- `process_index(model)`: number of this process among those that train the model;
- `reader_shard()`: number of this process, and how many processes read a part of each batch by
  themselves; `(0, 1)` where one process reads for all;
- `broadcast_array(array)`: the NumPy array of the first of the processes that read by themselves;
- `broadcast_variables(model)`: copies the first process's weights and state to every process;
- `build_before_training(model, iterator, data_batch)`: creates variables that a step cannot create;
- `distribution(devices)`: the arguments of `keras_cmg.distribution.Distribution`;
- `initialization()`: a context in which weights are created with little to compile;
- `step_compilation()`: a context in which Keras makes the functions of `fit`, to set how they are
  compiled;
- `segment_sum(x, indices, num_segments)`: see below;
- `patches(x, height, width)`, `add_patches(x, height, width)`: see below;
- `matmul(x, y)`: a matrix product in the full precision of its type, see below;
- `best_columns(x, y, z)`: the largest entry of each row of `x y + z`, and its first index;
- `apply_adam(optimizer, moments, epsilon_last, gradients, variables, learning_rate)`: the update by
  Adam of all variables in fewer operations than Keras': see `fuse_adam`;
- `UNROLLED`: whether `keras.layers.RNN` must unroll, since its loop is one of Python anyway and
  would read the number of each frame from the device;
- `SCORE_SIZES`: sizes of the blocks of `keras_cmg.ops.nearest_codes`;
- `jit_compile(requested)`: the setting of XLA that training over these replicas allows.

`global_sum` and `global_batches` carry gradients to every replica.
"""

from __future__ import annotations

import functools
import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

import keras
from keras import ops

from keras_cmg.backend import keras_internals


def current() -> ModuleType:
    """Returns the module of the engine in use.

    Returns:
        A module with the names listed above.

    Raises:
        ValueError: for an engine without a module here.

    Example:

    >>> current().__name__.startswith("keras_cmg.backend.")
    True
    """
    name = keras.backend.backend()
    if name not in ("jax", "tensorflow", "torch"):
        raise ValueError(
            "keras_cmg trains on the engines 'jax', 'tensorflow' and 'torch' "
            f"(set KERAS_BACKEND). Received: {name!r}"
        )
    module = f"keras_cmg.backend.{name}"
    # Compilers trace this function, and `import_module` is more than they can follow.
    return sys.modules.get(module) or importlib.import_module(module)


def global_sum(x: Any) -> Any:
    """Returns the sum of `x` over all replicas; `x` itself on a single device.

    Args:
        x: tensor.

    Returns:
        Tensor of the same shape.

    Example:

    >>> float(global_sum(ops.ones(())))
    1.0
    """
    return current().global_sum(x)


def global_batch(x: Any) -> Any:
    """Returns the rows of all replicas in the order of the global batch.

    Args:
        x: tensor `(batch, ...)`, or a nest of such; scalars stay as they are.

    Returns:
        Tensor `(global batch, ...)`, or a nest of such, the same on every replica; `x` itself on a
        single device.

    Example:

    >>> tuple(global_batch({"audio": ops.ones((2, 3))})["audio"].shape)
    (2, 3)
    """
    if current().num_replicas() == 1:
        return x
    flat = keras.tree.flatten(x)
    # Not every engine sends truth values around.
    truths = [keras.backend.standardize_dtype(value.dtype) == "bool" for value in flat]
    sent = [
        ops.cast(value, "int32") if truth else value
        for value, truth in zip(flat, truths, strict=True)
        if len(value.shape)
    ]
    received = iter(current().global_batches(sent))
    flat = [next(received) if len(value.shape) else value for value in flat]
    flat = [
        ops.cast(value, "bool") if truth and len(value.shape) else value
        for value, truth in zip(flat, truths, strict=True)
    ]
    return keras.tree.pack_sequence_as(x, flat)


def global_mean(x: Any, weights: Any = None) -> Any:
    """Computes the weighted mean over the elements of all replicas.

    Args:
        x: float tensor.
        weights: optional float tensor that broadcasts to `x`; 0 leaves an element out.

    Returns:
        Scalar, the same on every replica; 0 if all weights are 0.

    Example:

    >>> float(global_mean(np.array([1.0, 5.0]), np.array([1.0, 0.0])))
    1.0
    """
    x = ops.convert_to_tensor(x)
    if weights is None and current().num_replicas() == 1:
        return ops.mean(x)
    counts = ops.ones_like(x) if weights is None else ops.cast(weights, x.dtype)
    counts = ops.broadcast_to(counts, ops.shape(x))
    total, count = global_sum(ops.sum(x * counts)), global_sum(ops.sum(counts))
    return total / ops.maximum(count, 1e-6)


def has_values(x: Any) -> bool:
    """Returns whether a tensor has values now: False while a function is traced or compiled.

    Args:
        x: tensor or array.

    Returns:
        True or False.

    Example:

    >>> has_values(ops.ones((2,))), has_values(keras.KerasTensor((2,)))
    (True, False)
    """
    return not isinstance(x, keras.KerasTensor) and current().has_values(x)


def best_columns(x: Any, y: Any, z: Any) -> tuple[Any, Any]:
    """Computes the largest entry of each row of `x y + z` and where it is.

    The product has the full precision of its type, see `matmul`.

    Args:
        x: float tensor `(rows, inner)`.
        y: float tensor `(inner, columns)` of the same dtype.
        z: float tensor `(columns,)` of the same dtype.

    Returns:
        Float tensor `(rows,)`, and int32 tensor `(rows,)`; the lowest index wins a tie.

    Example:

    >>> x, y, z = (ops.convert_to_tensor(v) for v in ([[2.0]], [[1.0, 0.0]], [0.0, 3.0]))
    >>> value, index = best_columns(x, y, z)
    >>> float(value[0]), int(index[0])
    (3.0, 1)
    """
    return current().best_columns(x, y, z)


def score_sizes() -> tuple[int, int]:
    """Returns how many scores, and scores of how many codes, `nearest_codes` holds at once.

    Returns:
        Two ints: on processors, blocks of this size are searched fastest.

    Example:

    >>> elements, codes = score_sizes()
    >>> codes <= elements
    True
    """
    return current().SCORE_SIZES


def segment_sum(x: Any, indices: Any, num_segments: int) -> Any:
    """Computes the sum of the rows of each segment, without waiting for the device.

    Args:
        x: float tensor `(rows, ...)`.
        indices: int32 tensor `(rows,)`, the segment of each row; negative for rows to leave out.
        num_segments: number of segments.

    Returns:
        Tensor `(num_segments, ...)`; zeros for a segment without rows.

    Example:

    >>> indices = ops.convert_to_tensor([0, 2, 0])
    >>> segment_sum(ops.ones((3,)), indices, 3).tolist()
    [2.0, 0.0, 1.0]
    """
    if isinstance(x, keras.KerasTensor) or isinstance(indices, keras.KerasTensor):
        return ops.segment_sum(x, indices, num_segments=num_segments)
    return current().segment_sum(x, indices, num_segments)


def patches(x: Any, height: int, width: int) -> Any:
    """Computes the neighbourhood of every position of a map.

    Args:
        x: tensor `(batch, rows, columns, channels)`.
        height: rows of a neighbourhood.
        width: columns of a neighbourhood.

    Returns:
        Tensor `(batch, rows - height + 1, columns - width + 1, height * width * channels)`.

    Example:

    >>> x = ops.reshape(ops.arange(4.0), (1, 2, 2, 1))
    >>> patches(x, 2, 2).tolist()
    [[[[0.0, 1.0, 2.0, 3.0]]]]
    """
    return current().patches(x, height, width)


def add_patches(x: Any, height: int, width: int) -> Any:
    """Adds the neighbourhood of every position to a map, the adjoint of `patches`.

    Args:
        x: tensor `(batch, rows, columns, height * width * channels)`.
        height: rows of a neighbourhood.
        width: columns of a neighbourhood.

    Returns:
        Tensor `(batch, rows + height - 1, columns + width - 1, channels)`.

    Example:

    >>> add_patches(ops.ones((1, 1, 2, 2)), 1, 2).tolist()
    [[[[1.0], [2.0], [1.0]]]]
    """
    return current().add_patches(x, height, width)


def matmul(x: Any, y: Any) -> Any:
    """Computes a matrix product in the full precision of its type.

    Engines may round the factors of a float32 product to TF32 or bfloat16 on accelerators. Where
    nearly equal results are compared, as in a search for nearest codes, that is too coarse.

    Args:
        x: float tensor `(..., rows, inner)`.
        y: float tensor `(..., inner, columns)` of the same dtype.

    Returns:
        Float tensor `(..., rows, columns)`.

    Example:

    >>> float(matmul(ops.ones((1, 2)), ops.ones((2, 1)))[0, 0])
    2.0
    """
    if isinstance(x, keras.KerasTensor) or isinstance(y, keras.KerasTensor):
        return ops.matmul(x, y)
    return current().matmul(x, y)


def map_chunks(
    function: Callable[[Any, Any, Any], tuple[list, list]],
    values: list,
    carry: list,
    tensors: list,
    num_chunks: int,
) -> tuple[list, list]:
    """Applies a function to parts of tensors, one after the other, in the memory of one part.

    What the function computes on the way is not kept for the gradient, but computed again in the
    backward pass, part by part. The results and their gradient are those of the whole tensors if
    the function treats each row by itself.

    Args:
        function: of `(values, carry, chunk)` to `(carry, outputs)`: lists of tensors; outputs are
            float tensors with the rows of the chunk.
        values: float tensors that every part uses, such as weights.
        carry: tensors that go from part to part and get no gradient.
        tensors: tensors with the same number of rows, which are split.
        num_chunks: number of parts, at most the number of rows. Their sizes differ by at most one.

    Returns:
        The last carry, and the outputs of all rows in their order.

    Example:

    >>> double = lambda values, carry, chunk: (carry, [values[0] * chunk[0]])
    >>> x = ops.convert_to_tensor([1.0, 2.0, 3.0])
    >>> map_chunks(double, [ops.convert_to_tensor(2.0)], [], [x], 2)[1][0].tolist()
    [2.0, 4.0, 6.0]
    """
    return current().map_chunks(function, values, carry, tensors, num_chunks)


def jit_compile(requested: Any) -> Any:
    """Returns the setting of XLA that training over the current replicas allows.

    Args:
        requested: True, False or `"auto"`.

    Returns:
        The same, or False.

    Raises:
        ValueError: if XLA is requested where it cannot compile the step.

    Example:

    >>> jit_compile("auto")
    'auto'
    """
    return current().jit_compile(requested)


def gradients(
    objective: Callable[[dict[str, Any]], Any], variables: list, inputs: Mapping[str, Any]
) -> tuple[list, dict[str, Any]]:
    """Computes gradients of a scalar with respect to variables and inputs.

    Args:
        objective: function of the inputs to a scalar. The values of state that it changes are
            undefined afterwards.
        variables: Keras variables.
        inputs: name to float tensor.

    Returns:
        One gradient per variable, and name to gradient; zeros where the scalar does not depend
        on one.

    Example:

    >>> _, slopes = gradients(lambda x: x["a"] ** 2, [], {"a": ops.convert_to_tensor(3.0)})
    >>> float(slopes["a"])
    6.0
    """
    return current().gradients(objective, variables, inputs)


def fuse_adam(
    optimizer: keras.optimizers.Optimizer,
    moments: tuple[str, str] | None = None,
    epsilon_last: bool = False,
) -> None:
    """Lets an optimiser update its variables in as few operations as the engine allows.

    Keras updates each variable by a dozen operations. That is slow where each runs by itself, and
    slow to compile where they become one program. The numbers are the same to rounding.

    Args:
        optimizer: an optimiser with the attributes `beta_1`, `beta_2` and `epsilon`.
        moments: names of its attributes that hold the first and second moments of its variables. If
            None, those of Keras' `Adam` and `AdamW`; any other optimiser is left as it is.
        epsilon_last: adds `epsilon` after the correction of the bias, as PyTorch does, instead of
            before it, as Keras does.

    Example:

    >>> optimizer, x = keras.optimizers.Adam(0.5), keras.Variable(1.0)
    >>> fuse_adam(optimizer)
    >>> optimizer.apply([ops.ones(())], [x])
    >>> round(float(ops.convert_to_numpy(x)), 4)
    0.5
    """
    if moments is None:
        if not keras_internals.is_plain_adam(optimizer):
            return
        moments = keras_internals.ADAM_MOMENTS
    update = functools.partial(current().apply_adam, optimizer, moments, epsilon_last)
    keras_internals.replace_update(optimizer, update)
