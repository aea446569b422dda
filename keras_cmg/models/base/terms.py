"""Terms of a loss that several systems share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import keras
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.layers.cpc_predictor import CPCPredictor
from keras_cmg.ops import contrastive, counter_random, quantization
from keras_cmg.ops.masking import mean_over_time, pair_presence, weights_like
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
    >>> keras.backend.standardize_dtype(full_precision(keras_cmg.models.FCID(("audio",)), x).dtype)
    'float32'
    """
    if "float" in keras.backend.standardize_dtype(value.dtype):
        return ops.cast(value, model.variable_dtype)
    return value


def mean_squared_error(target: Tensor, prediction: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean over all elements, of all replicas, of the squared difference, in full precision.

    Args:
        target: float tensor `(batch, [frames, ...] dim)`.
        prediction: float tensor of the same shape.
        weights: optional `(batch, [frames])`; 0 leaves a clip or a frame out.

    Returns:
        Scalar.

    Example:

    >>> float(mean_squared_error(ops.zeros((2, 3)), ops.ones((2, 3))))
    1.0
    """
    wide = keras.backend.result_type(target.dtype, prediction.dtype, "float32")
    error = ops.square(ops.cast(target, wide) - ops.cast(prediction, wide))
    if weights is None:
        return engine.global_mean(error)
    axes = tuple(range(len(weights.shape), len(error.shape)))
    return engine.global_mean(ops.mean(error, axis=axes), ops.cast(ops.cast(weights, "bool"), wide))


def level_weights(masks: Mapping[str, Tensor], features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The masks of a batch at the level of some features: per frame or per clip.

    Args:
        masks: modality to `(batch, frames)`.
        features: modality to `(batch, [frames,] dim)`.

    Returns:
        Modality to weights, for those that have a mask; see `keras_cmg.ops.weights_like`.

    Example:

    >>> weights = level_weights({"text": np.array([[1, 0]])}, {"text": np.ones((1, 4))})
    >>> tuple(weights["text"].shape)
    (1,)
    """
    return {m: weights_like(mask, features[m]) for m, mask in masks.items() if m in features}


def stacked(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors one after the other along the batch; one alone as it is.

    Args:
        tensors: of the same shape but for the batch.

    Returns:
        Tensor.

    Example:

    >>> tuple(stacked([np.ones((2, 3)), np.ones((2, 3))]).shape)
    (4, 3)
    """
    return tensors[0] if len(tensors) == 1 else ops.concatenate(tensors)


def stacked_weights(masks: Mapping[str, Tensor], features: Mapping[str, Tensor]) -> Tensor | None:
    """Weights of the features of several modalities, stacked along the batch.

    Args:
        masks: modality to `(batch, frames)`.
        features: modality to `(batch, [frames,] dim)`.

    Returns:
        Float tensor; None where no modality has a mask.

    Example:

    >>> stacked_weights({}, {"audio": np.ones((2, 3))}) is None
    True
    """
    weights = level_weights(masks, features)
    if not weights:
        return None
    return stacked(
        [
            weights[m] if m in weights else ops.ones(ops.shape(x)[:-1], dtype="float32")
            for m, x in features.items()
        ]
    )


def clip_features(features: Mapping[str, Tensor], masks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """One vector per clip: the mean over the frames that count.

    Args:
        features: modality to `(batch, [frames,] dim)`.
        masks: modality to `(batch, frames)`.

    Returns:
        Modality to `(batch, dim)`.

    Example:

    >>> tuple(clip_features({"audio": np.ones((2, 10, 3))}, {})["audio"].shape)
    (2, 3)
    """
    return {
        name: x if len(x.shape) == 2 else mean_over_time(x, masks.get(name))
        for name, x in features.items()
    }


def infonce(
    features: Mapping[str, Tensor],
    pairs: Iterable[tuple[str, str]],
    temperature: float,
    symmetric: bool,
    masks: Mapping[str, Tensor],
    level: str = "clip",
) -> Tensor:
    """Sum over pairs of modalities of InfoNCE between their clips, or their segments.

    Args:
        features: modality to `(batch, [frames,] dim)`.
        pairs: of modalities, query and key.
        temperature: see `keras_cmg.ops.info_nce`.
        symmetric: both directions.
        masks: modality to `(batch, frames)`; a clip without a modality, or a frame that does not
            count, is neither anchor nor candidate there.
        level: `"clip"`, frames are averaged first; `"segment"`, each frame finds its partner
            among the same frame of all clips. Of two lengths, the frames that both have.

    Returns:
        Scalar, in nats.

    Example:

    >>> x = {"audio": np.zeros((4, 3, 2), "float32"), "video": np.zeros((4, 5, 2), "float32")}
    >>> for level in ("clip", "segment"):
    ...     print(round(float(infonce(x, [("audio", "video")], 1.0, True, {}, level)), 4))
    1.3863
    1.3863
    """
    sides = _segment_sides if level == "segment" else _clip_sides
    return sum(
        contrastive.info_nce(x, y, temperature, symmetric, present)
        for x, y, present in (sides(features, a, b, masks) for a, b in pairs)
    )


def _clip_sides(features, a, b, masks):
    """Clips of two modalities, and which exist."""
    clips = clip_features({m: features[m] for m in (a, b)}, masks)
    return clips[a], clips[b], pair_presence(masks, a, b, ops.shape(clips[a])[0])


def _segment_sides(features, a, b, masks):
    """Segments `(frames, batch, dim)` of two modalities in step, and which exist."""
    frames = min(features[a].shape[1], features[b].shape[1])
    x, y = (ops.swapaxes(features[m][:, :frames], 0, 1) for m in (a, b))
    if a not in masks and b not in masks:
        return x, y, None
    weights = (frame_weights(masks, m, features[m])[:, :frames] for m in (a, b))
    return x, y, tuple(ops.transpose(weight) for weight in weights)


def frame_weights(masks: Mapping[str, Tensor], modality: str, features: Tensor) -> Tensor:
    """Which frames of a modality count; all of them where it has no mask.

    Args:
        masks: modality to `(batch, frames)`.
        modality: its name.
        features: its features, `(batch, frames, dim)`.

    Returns:
        float32 tensor `(batch, frames)` of zeros and ones.

    Example:

    >>> frame_weights({}, "audio", np.zeros((1, 2, 3))).tolist()
    [[1.0, 1.0]]
    """
    shape = ops.shape(features)[:2]
    if modality not in masks:
        return ops.ones(shape, dtype="float32")
    return ops.broadcast_to(weights_like(masks[modality], features), shape)


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
    masks: Mapping[str, Tensor] | None = None,
) -> tuple[Any, dict[str, Tensor]]:
    """Loss of every cross-modal prediction, and how often each finds its target.

    Args:
        cpc: the predictor.
        features: modality to float tensor `(batch, frames, dim)`.
        time: int32 scalar, last observed frame.
        self_weight: weight of self-predictions; cross-modal ones weigh 1.
        candidates: see `keras_cmg.ops.cpc_loss`.
        masks: optional modality to `(batch, frames)`; a frame that does not count is no target,
            and nothing is predicted from it.

    Returns:
        The weighted sum, in nats, and `cpc_accuracy_<source>_<target>` to the share of clips.

    Example:

    >>> x = {"audio": np.zeros((4, 3, 2), "float32"), "video": np.zeros((4, 3, 2), "float32")}
    >>> predictor = keras_cmg.layers.CPCPredictor(units=3)
    >>> loss, accuracies = cpc_terms(predictor, x, ops.convert_to_tensor(1))
    >>> round(float(ops.convert_to_numpy(loss)), 4), len(accuracies)
    (2.7726, 4)
    """
    loss, accuracies = 0.0, {}
    axis = 0 if candidates == "targets" else 1
    for pair, logits in cpc(features, time=time).items():
        source, target = pair.split("->")
        logits = full_precision(cpc, logits)
        weight = self_weight if source == target else 1.0
        present = _cpc_presence(masks or {}, source, target, features, time, logits.shape[0])
        if weight:
            loss = loss + weight * contrastive.cpc_loss(logits, candidates, present)
        accuracies[f"cpc_accuracy_{source}_{target}"] = contrastive.diagonal_accuracy(
            logits[-1], axis, present and (present[0][-1], present[1])
        )
    return loss, accuracies


def _cpc_presence(masks, source, target, features, time, num_steps):
    """Which target frames `(steps, batch)` and which predicting clips `(batch,)` there are."""
    if source not in masks and target not in masks:
        return None
    weights = {name: frame_weights(masks, name, features[name]) for name in (source, target)}
    steps = ops.cast(time, "int32") + ops.arange(1, num_steps + 1, dtype="int32")
    future = ops.transpose(ops.take(weights[target], steps, axis=1))
    return future, ops.take(weights[source], time, axis=1)


def code_logs(
    indices: Mapping[str, Tensor],
    num_embeddings: int,
    weights: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """What tells how the codes are used.

    Args:
        indices: modality to int tensor `(batch, [frames])`.
        num_embeddings: number of codes.
        weights: optional modality to float tensor like the indices; 0 leaves a choice out.

    Returns:
        `"perplexity"`, `"code_usage"` and `"code_agreement"`, scalars.

    Example:

    >>> logs = code_logs({"audio": np.array([0, 1])}, 4)
    >>> round(float(logs["perplexity"]), 3), float(logs["code_usage"])
    (2.0, 0.5)
    """
    every = ops.concatenate([ops.reshape(index, (-1,)) for index in indices.values()])
    counts = None
    if weights:
        counts = ops.concatenate(
            [
                ops.reshape(weights.get(name, ops.ones_like(index, dtype="float32")), (-1,))
                for name, index in indices.items()
            ]
        )
    usage = quantization.code_usage(every, num_embeddings, counts)
    return {
        "perplexity": quantization.perplexity(usage),
        "code_usage": ops.mean(ops.cast(usage > 0, "float32")),
        "code_agreement": quantization.code_agreement(indices, weights),
    }
