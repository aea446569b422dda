"""Terms of a loss that several systems share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.cpc_predictor import CPCPredictor
from keras_cmg.ops import contrastive, counter_random, quantization
from keras_cmg.types import Tensor


def full_precision(model: keras.Model, value: Tensor) -> Tensor:
    """`value` in the dtype of the model's variables, if it is a float.

    Losses are sums of many small numbers: they are never worked out in half precision.

    Args:
        model: the model whose dtype policy counts.
        value: tensor.

    Returns:
        Tensor.

    Example:

    >>> x = ops.ones((1,), dtype="bfloat16")
    >>> keras.backend.standardize_dtype(full_precision(FCID(("audio",)), x).dtype)
    'float32'
    """
    if "float" in keras.backend.standardize_dtype(value.dtype):
        return ops.cast(value, model.variable_dtype)
    return value


def mean_squared_error(target: Tensor, prediction: Tensor) -> Tensor:
    """Mean over all elements of the squared difference, in full precision.

    Args:
        target: float tensor.
        prediction: float tensor of the same shape.

    Returns:
        Scalar.

    Example:

    >>> float(mean_squared_error(ops.zeros((2, 3)), ops.ones((2, 3))))
    1.0
    """
    wide = keras.backend.result_type(target.dtype, prediction.dtype, "float32")
    return ops.mean(ops.square(ops.cast(target, wide) - ops.cast(prediction, wide)))


def cpc_time(
    counter: Tensor, features: Mapping[str, Tensor], num_prediction_steps: int, first: int = 0
) -> Tensor:
    """Last observed frame of a step of CPC, drawn so that all predicted frames exist.

    Args:
        counter: int32 scalar, one per training step.
        features: modality to float tensor `(batch, frames, dim)`.
        num_prediction_steps: how many steps ahead are predicted.
        first: earliest frame that may be drawn.

    Returns:
        int32 scalar.

    Raises:
        ValueError: if the clips have too few frames.

    Example:

    >>> int(cpc_time(0, {"audio": np.zeros((1, 3, 4))}, 1, first=1))
    1
    """
    frames = min(x.shape[1] for x in features.values())
    if frames <= first + num_prediction_steps:
        raise ValueError(
            f"CPC of {num_prediction_steps} steps from frame {first} on needs clips of at least "
            f"{first + num_prediction_steps + 1} frames. Received: {frames}"
        )
    return counter_random.random_integer(counter, first, frames - num_prediction_steps, salt=1)


def cpc_terms(
    cpc: CPCPredictor,
    features: Mapping[str, Tensor],
    time: Tensor,
    self_weight: float = 0.0,
    candidates: str = "targets",
) -> tuple[Any, dict[str, Tensor]]:
    """Loss of every cross-modal prediction, and how often each finds its target.

    Args:
        cpc: the predictor.
        features: modality to float tensor `(batch, frames, dim)`.
        time: int32 scalar, last observed frame.
        self_weight: weight of self-predictions; cross-modal ones weigh 1.
        candidates: see `keras_cmg.ops.cpc_loss`.

    Returns:
        The weighted sum, in nats, and `cpc_accuracy_<source>_<target>` to the share of clips.

    Example:

    >>> x = {"audio": np.zeros((4, 3, 2), "float32"), "video": np.zeros((4, 3, 2), "float32")}
    >>> loss, accuracies = cpc_terms(CPCPredictor(units=3), x, ops.convert_to_tensor(1))
    >>> round(float(ops.convert_to_numpy(loss)), 4), len(accuracies)
    (2.7726, 4)
    """
    loss, accuracies = 0.0, {}
    axis = 0 if candidates == "targets" else 1
    for pair, logits in cpc(features, time=time).items():
        source, target = pair.split("->")
        logits = full_precision(cpc, logits)
        weight = self_weight if source == target else 1.0
        if weight:
            loss = loss + weight * contrastive.cpc_loss(logits, candidates)
        accuracies[f"cpc_accuracy_{source}_{target}"] = contrastive.diagonal_accuracy(
            logits[-1], axis=axis
        )
    return loss, accuracies


def code_logs(indices: Mapping[str, Tensor], num_embeddings: int) -> dict[str, Tensor]:
    """What tells how the codes are used.

    Args:
        indices: modality to int tensor `(batch, [frames])`.
        num_embeddings: number of codes.

    Returns:
        `"perplexity"`, `"code_usage"` and `"code_agreement"`, scalars.

    Example:

    >>> logs = code_logs({"audio": np.array([0, 1])}, 4)
    >>> round(float(logs["perplexity"]), 3), float(logs["code_usage"])
    (2.0, 0.5)
    """
    every = ops.concatenate([ops.reshape(index, (-1,)) for index in indices.values()])
    usage = quantization.code_usage(every, num_embeddings)
    return {
        "perplexity": quantization.perplexity(usage),
        "code_usage": ops.mean(ops.cast(usage > 0, "float32")),
        "code_agreement": quantization.code_agreement(indices),
    }
