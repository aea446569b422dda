"""Codes of several modalities that belong together: rows of blocks (CoDAAR)."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

from keras import ops

from keras_cmg.ops.contrastive import info_nce
from keras_cmg.types import Tensor


def cascade_blocks(blocks: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Moves the codes of equal index of all modalities towards one another, one after the other.

    From the last modality to the first, the codes of a modality become the mean of those of all
    modalities, the ones that were moved before included (cascading semantic alignment).

    Args:
        blocks: modality to float tensor `(num_embeddings, dim)`.

    Returns:
        Modality to float tensor of the same shape, in the same order.

    Example:

    >>> blocks = {"video": np.zeros((1, 1)), "audio": np.zeros((1, 1)), "text": np.full((1, 1), 27)}
    >>> [float(block[0, 0]) for block in cascade_blocks(blocks).values()]
    [4.0, 3.0, 9.0]

    References:
        CoDAAR (2026), arXiv:2605.12145, in the form of the authors' code.
    """
    moved = {name: ops.convert_to_tensor(block) for name, block in blocks.items()}
    for name in reversed(list(moved)):
        moved[name] = sum(moved.values()) / len(moved)
    return moved


def row_alignment_loss(blocks: Mapping[str, Tensor], temperature: float = 0.1) -> Tensor:
    """Computes how well the code of a modality identifies the code of equal index of another.

    Half the mean over pairs of modalities of InfoNCE between rows, one direction.

    Args:
        blocks: modality to float tensor `(num_embeddings, dim)`.
        temperature: float, divides the cosine similarities.

    Returns:
        Scalar, in nats; zero for a single modality.

    Example:

    >>> blocks = {"video": np.ones((4, 2), "float32"), "audio": np.ones((4, 2), "float32")}
    >>> round(2 * float(row_alignment_loss(blocks)), 4)
    1.3863

    References:
        CoDAAR (2026), arXiv:2605.12145, whose authors' code logs it and trains nothing by it.
    """
    losses = row_alignment_terms(blocks, temperature)
    return 0.5 * sum(losses.values()) / len(losses) if losses else ops.zeros(())


def row_alignment_terms(
    blocks: Mapping[str, Tensor], temperature: float = 0.1
) -> dict[tuple[str, str], Tensor]:
    """Computes the terms of `row_alignment_loss`.

    Args:
        blocks: as there.
        temperature: as there.

    Returns:
        Pair of modalities to scalar, in nats.

    Example:

    >>> terms = row_alignment_terms({"video": np.ones((4, 2)), "audio": np.ones((4, 2))})
    >>> round(float(terms["video", "audio"]), 4)
    1.3863

    References:
        CoDAAR (2026), arXiv:2605.12145.
    """
    return {(a, b): info_nce(blocks[a], blocks[b], temperature) for a, b in combinations(blocks, 2)}
