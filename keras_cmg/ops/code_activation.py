"""How modalities share codes (Huang et al., 2025, Figures 6 and 7)."""

from __future__ import annotations

from keras import ops

from keras_cmg.types import Tensor

ACTIVATIONS = ("unused", "specific", "partial", "shared")
"""Categories of codes, by index."""

MAX_SHARE, MIN_SHARE = 0.95, 0.05
"""A code is specific if a modality has more than the first share of its use, and shared if every
modality has at least the second."""


def code_activation(counts: Tensor) -> Tensor:
    """Classifies each code by how its use is distributed over modalities.

    Args:
        counts: tensor `(num_embeddings, modalities)`, assignments of each code by modality.

    Returns:
        int32 tensor `(num_embeddings,)` of indices of `ACTIVATIONS`: 0, unused; 1, specific: one
        modality has more than 95 % of the code's use (red in the paper's figures); 3, shared: every
        modality has at least 5 % (green); 2, partial: neither (blue).

    Example:

    >>> counts = np.array([[99, 1, 0], [3, 3, 3], [5, 5, 0], [0, 0, 0]])
    >>> [ACTIVATIONS[int(i)] for i in code_activation(counts)]
    ['specific', 'shared', 'partial', 'unused']

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, Figures 6 and 7.
    """
    counts = ops.cast(counts, "float32")
    total = ops.sum(counts, axis=1)
    share = counts / ops.maximum(total, 1)[:, None]
    activation = ops.where(ops.all(share >= MIN_SHARE, axis=1), 3, 2)
    activation = ops.where(ops.any(share > MAX_SHARE, axis=1), 1, activation)
    return ops.cast(ops.where(total > 0, activation, 0), "int32")
