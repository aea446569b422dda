"""How far codes are from orthogonal."""

from __future__ import annotations

from keras import ops

from keras_cmg.ops.contrastive import l2_normalize
from keras_cmg.types import Tensor


def orthogonality_loss(codebook: Tensor) -> Tensor:
    """Computes the mean squared cosine between different codes.

    Args:
        codebook: float tensor `(num_embeddings, dim)`.

    Returns:
        Scalar, `sum_ij cos(e_i, e_j)^2 / H^2 - 1 / H`; 0 for orthogonal codes.

    Example:

    >>> float(orthogonality_loss(np.eye(3, dtype="float32")))
    0.0

    References:
        Shin et al. (2021), Translation-equivariant Image Quantizer for Bi-directional Image-Text
        Generation, equation 2.
    """
    codes = l2_normalize(ops.convert_to_tensor(codebook))
    count = codes.shape[0]
    # |C C^T| and |C^T C| have equal sums of squares; the smaller one is computed.
    wide = codes.shape[1] > count
    gram = (
        ops.matmul(codes, ops.transpose(codes)) if wide else ops.matmul(ops.transpose(codes), codes)
    )
    return ops.sum(ops.square(gram)) / count**2 - 1 / count
