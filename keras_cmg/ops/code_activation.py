"""How far modalities share codes (Huang et al., 2025, Figures 6 and 7)."""

from __future__ import annotations

from keras import ops

from keras_cmg.types import Tensor

COLOURS = ("unused", "red", "blue", "green")
OWNED, SHARED = 0.95, 0.05
"""A code is of one modality above the first share of its use, common from the second on."""


def activation_colours(counts: Tensor) -> Tensor:
    """Colour of each code by how its use is spread over modalities.

    Args:
        counts: `(num_embeddings, modalities)`, how often each modality falls on each code.

    Returns:
        int32 tensor `(num_embeddings,)` of positions in `COLOURS`: 0, not in use; 1, red: one
        modality has more than 95 % of its use; 3, green: every modality has at least 5 %; 2, blue:
        between the two.

    Example:

    >>> colours = activation_colours(np.array([[99, 1, 0], [3, 3, 3], [5, 5, 0], [0, 0, 0]]))
    >>> [COLOURS[int(colour)] for colour in colours]
    ['red', 'green', 'blue', 'unused']

    References:
        Huang et al. (2025), Figures 6 and 7.
    """
    counts = ops.cast(counts, "float32")
    total = ops.sum(counts, axis=1)
    share = counts / ops.maximum(total, 1)[:, None]
    colour = ops.where(ops.all(share >= SHARED, axis=1), 3, 2)
    colour = ops.where(ops.any(share > OWNED, axis=1), 1, colour)
    return ops.cast(ops.where(total > 0, colour, 0), "int32")
