"""Contrast of frames and clips across modalities while some frames are masked (MICU)."""

from __future__ import annotations

from collections.abc import Mapping

from keras import ops

from keras_cmg.ops.contrastive import Present, info_nce
from keras_cmg.ops.masking import mean_over_time, presence
from keras_cmg.types import Tensor

LEVELS = ("frame", "clip")


def masked_info_nce(
    features: Mapping[str, Tensor],
    kept: Mapping[str, Tensor],
    temperature: float = 0.1,
    level: str = "frame",
    weights: Mapping[str, Tensor] | None = None,
) -> Tensor:
    """Computes InfoNCE from masked to complete features, summed over all pairs of modalities.

    Queries are the features of a modality with frames set to zero where `kept` is zero, keys those
    of a modality, the same one included, without masking. At the level `"frame"` the candidates of
    a frame are the frames of the same clip; a masked frame has equal logits and contributes the
    logarithm of the number of frames. At the level `"clip"` features are averaged over time, masked
    frames included, and the candidates are the clips of the batch.

    Args:
        features: modality to float tensor `(batch, frames, dim)`; of two numbers of frames, the
            frames that both have.
        kept: modality to `(batch, frames)`, zero where a frame is masked.
        temperature: float, divides the cosine similarities.
        level: `"frame"` or `"clip"`.
        weights: optional modality to `(batch, frames)`, zero for padded frames and missing
            modalities, which are neither queries nor keys.

    Returns:
        Scalar, in nats.

    Raises:
        ValueError: if `level` is unknown, or `temperature` is not positive.

    Example:

    >>> x = {"audio": np.ones((2, 3, 4), "float32"), "text": np.ones((2, 3, 4), "float32")}
    >>> kept = {name: np.ones((2, 3), "float32") for name in x}
    >>> round(float(masked_info_nce(x, kept)) / 4, 4)
    1.0986

    References:
        Huang et al. (2025), Open-set Cross Modal Generalization via Multimodal Unified
        Representation (fine-coarse masked multimodal InfoNCE).
    """
    if level not in LEVELS:
        raise ValueError(f"`level` must be one of {LEVELS}. Received: {level!r}")
    weights = weights or {}
    features = {name: ops.convert_to_tensor(x) for name, x in features.items()}
    masked = {name: mask_frames(x, kept[name]) for name, x in features.items()}
    if level == "clip":
        masked, features = (
            {name: mean_over_time(x, weights.get(name)) for name, x in both.items()}
            for both in (masked, features)
        )
        weights = {name: presence(weight) for name, weight in weights.items()}
    losses = []
    for a, query in masked.items():
        for b, key in features.items():
            rows = min(query.shape[1], key.shape[1]) if level == "frame" else None
            present = _present(weights, a, b, query, key, rows)
            x, y = (query, key) if rows is None else (query[:, :rows], key[:, :rows])
            losses.append(info_nce(x, y, temperature, present=present))
    return sum(losses)


def _present(weights, a, b, query, key, rows) -> Present | None:
    """Which queries and keys there are; None if all."""
    if a not in weights and b not in weights:
        return None
    found = [
        ops.cast(weights[name], x.dtype)
        if name in weights
        else ops.ones(ops.shape(x)[:-1], dtype=x.dtype)
        for name, x in ((a, query), (b, key))
    ]
    queries, keys = found if rows is None else (weight[:, :rows] for weight in found)
    return queries, keys


def mask_frames(x: Tensor, kept: Tensor) -> Tensor:
    """Sets frames to zero.

    Args:
        x: float tensor `(batch, frames, dim)`.
        kept: `(batch, frames)`, zero where a frame is masked.

    Returns:
        Float tensor of the shape of `x`.

    Example:

    >>> mask_frames(np.ones((1, 2, 1)), np.array([[1, 0]]))[0, :, 0].tolist()
    [1.0, 0.0]
    """
    x = ops.convert_to_tensor(x)
    return x * ops.cast(kept, x.dtype)[..., None]


def adaptive_mask_ratios(scores: Tensor, ratio: float = 0.3, smallest: float = 0.01) -> Tensor:
    """Computes a mask ratio for each modality from its similarity to the others.

    The modality with the middle score gets `ratio`, another of score s
    `smallest + (ratio - smallest) (1 + tanh((s / middle)^2 - 1))`: those that resemble the others
    more are masked more. The authors' code has this function and does not call it.

    Args:
        scores: float tensor `(..., modalities)`.
        ratio: float, share of masked frames at the middle score.
        smallest: float, share towards which it falls.

    Returns:
        Float tensor of the same shape.

    Example:

    >>> [round(float(r), 3) for r in adaptive_mask_ratios(np.array([0.5, 1.0, 2.0]))]
    [0.116, 0.3, 0.589]

    References:
        Huang et al. (2025), Open-set Cross Modal Generalization via Multimodal Unified
        Representation.
    """
    scores = ops.convert_to_tensor(scores)
    middle = ops.sort(scores, axis=-1)[..., scores.shape[-1] // 2, None]
    growth = 1 + ops.tanh(ops.square(scores / middle) - 1)
    return smallest + (ratio - smallest) * growth
