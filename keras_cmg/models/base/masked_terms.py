"""Terms of several systems: contrast of masked features, and jigsaw puzzles of codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from keras import ops

from keras_cmg.layers.jigsaw_classifier import JigsawClassifier
from keras_cmg.models.base.step_inputs import StepInputs
from keras_cmg.ops import counter_random, jigsaw, masked_contrast
from keras_cmg.types import Tensor

MASK_SALT, PARTS_SALT = 101, 102

MaskRatio = float | Mapping[str, float]


def check_mask_ratio(mask_ratio: MaskRatio, modalities: Sequence[str]) -> None:
    """Raises an error for shares of masked frames that are not in [0, 1), or that are missing.

    Args:
        mask_ratio: the share, or modality to share.
        modalities: those that need a share.

    Raises:
        ValueError: naming the argument.

    Example:

    >>> check_mask_ratio({"audio": 0.3, "text": 0.1}, ("audio", "text"))
    """
    ratios = (
        mask_ratio if isinstance(mask_ratio, Mapping) else dict.fromkeys(modalities, mask_ratio)
    )
    if not all(0 <= ratio < 1 for ratio in ratios.values()):
        raise ValueError(f"`mask_ratio` must lie in [0, 1). Received: {mask_ratio}")
    missing = sorted(set(modalities) - set(ratios))
    if missing:
        raise ValueError(
            f"`mask_ratio` must have a share for each of {tuple(modalities)}. Missing: {missing}. "
            f"Received: {mask_ratio}"
        )


def masked_infonce(
    inputs: StepInputs,
    features: Mapping[str, Tensor],
    mask_ratio: MaskRatio,
    temperature: float,
    level: str,
) -> Tensor:
    """Computes InfoNCE from masked to complete features, see `keras_cmg.ops.masked_info_nce`.

    One uniform number is drawn per clip and frame, for all modalities and for both levels.

    Args:
        inputs: of the step; a draw `"mask_uniform"`, `(batch, frames)`, replaces the numbers.
        features: modality to `(batch, frames, dim)`.
        mask_ratio: share of frames that are masked, or modality to share.
        temperature: divides the cosine similarities.
        level: `"frame"` or `"clip"`.

    Returns:
        Scalar, in nats.

    Example:

    >>> x = {"audio": np.ones((4, 3, 2), "float32")}
    >>> round(float(masked_infonce(StepInputs({}, {}, {}), x, 0.3, 1.0, "frame")), 4)
    1.0986
    """
    first, *_ = features.values()
    uniform = inputs.draws.get("mask_uniform")
    if uniform is None:
        frames = max(x.shape[1] for x in features.values())
        shape = (ops.shape(first)[0], frames)
        uniform = counter_random.random_uniform(inputs.draw_counter, shape, MASK_SALT)
    ratios = mask_ratio if isinstance(mask_ratio, Mapping) else dict.fromkeys(features, mask_ratio)
    kept = {
        name: ops.cast(uniform[:, : x.shape[1]] > ratios[name], x.dtype)
        for name, x in features.items()
    }
    weights = {m: inputs.frame_weights(m, x) for m, x in features.items() if m in inputs.masks}
    return masked_contrast.masked_info_nce(features, kept, temperature, level, weights)


def jigsaw_loss(
    inputs: StepInputs, classifier: JigsawClassifier, features: Mapping[str, Tensor]
) -> tuple[Tensor, Tensor]:
    """Computes how well the order of pieces of several modalities' features is told.

    Args:
        inputs: of the step; a draw `"jigsaw_parts"`, `(pieces,)`, replaces the drawn modality of
            each piece.
        classifier: of the orders.
        features: modality to `(batch, [frames,] dim)`.

    Returns:
        The cross-entropy, in nats, and the share of vectors whose order is found.

    Example:

    >>> x = {"audio": np.ones((4, 8), "float32"), "text": np.ones((4, 8), "float32")}
    >>> keras.utils.set_random_seed(0)
    >>> loss, accuracy = jigsaw_loss(StepInputs({}, {}, {}), JigsawClassifier(), x)
    >>> tuple(loss.shape), float(accuracy)
    ((), 0.5)
    """
    parts = inputs.draws.get("jigsaw_parts")
    if parts is None:
        bits = counter_random.random_bits(
            inputs.draw_counter, classifier.num_pieces, salt=PARTS_SALT
        )
        parts = ops.mod(bits, len(features))
    weights = classifier.row_weights(features, inputs.weights(features), parts)
    logits = classifier(features, parts=parts)
    return jigsaw.jigsaw_loss(logits, weights), jigsaw.jigsaw_accuracy(logits, weights)


def jigsaw_classifier(dtype: Any, arguments: Mapping[str, Any]) -> JigsawClassifier:
    """Creates the classifier of a model.

    Args:
        dtype: policy of the model.
        arguments: of `JigsawClassifier`.

    Returns:
        A layer, not built.

    Example:

    >>> jigsaw_classifier("float32", {"num_pieces": 4}).name
    'jigsaw'
    """
    return JigsawClassifier(dtype=dtype, name="jigsaw", **arguments)
