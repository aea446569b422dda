"""Optimal transport between features and prototypes, by Sinkhorn iterations in the log domain."""

from __future__ import annotations

from keras import ops

from keras_cmg.ops.masking import MASKED_LOGIT
from keras_cmg.types import Tensor


def sinkhorn(
    scores: Tensor,
    temperature: float = 0.05,
    num_iterations: int = 5,
    weights: Tensor | None = None,
) -> Tensor:
    """Computes the entropy-regularised transport plan between rows and columns.

    The plan maximises `<plan, scores> + temperature * entropy(plan)` over all plans with the given
    marginals. The iterations run on logarithms, so that no temperature overflows or underflows.
    The plan is then rounded to the nearest one with exact marginals, so that rows and columns sum
    to their masses after any number of iterations.

    Args:
        scores: float tensor `(rows, columns)`, similarities.
        temperature: float, weight of the entropy; near 0 the plan becomes an assignment.
        num_iterations: int, Sinkhorn iterations.
        weights: optional `(rows,)` masses, scaled to sum to one; rows of weight 0 are left out.

    Returns:
        Float tensor `(rows, columns)` that sums to one: rows to `weights` (default `1/rows` each),
        columns to `1/columns` each. All zeros if all weights are zero.

    Raises:
        ValueError: if `temperature` is not positive or `num_iterations` is below 1.

    Example:

    >>> plan = sinkhorn(np.eye(2, dtype="float32"), temperature=1e-4)
    >>> [[round(float(v), 3) for v in row] for row in plan]
    [[0.5, 0.0], [0.0, 0.5]]

    References:
        Cuturi (2013), Sinkhorn Distances: Lightspeed Computation of Optimal Transport, Eq. 2 and
        Algorithm 1; Altschuler et al. (2017), Near-linear time approximation algorithms for optimal
        transport via Sinkhorn iteration, Algorithm 2.
    """
    if temperature <= 0:
        raise ValueError(f"`temperature` must be positive. Received: {temperature}")
    if num_iterations < 1:
        raise ValueError(f"`num_iterations` must be at least 1. Received: {num_iterations}")
    scores = ops.convert_to_tensor(scores)
    num_rows, num_columns = ops.shape(scores)[0], scores.shape[1]
    if weights is None:
        weights = ops.ones((num_rows,), dtype=scores.dtype)
    weights = ops.cast(weights, scores.dtype)
    mass = ops.sum(weights)
    row_mass = weights / ops.maximum(mass, 1e-6)
    column_mass = ops.cast(mass > 0, scores.dtype) / num_columns
    log_rows = ops.log(ops.maximum(row_mass, 1e-30))
    # Subtracting the largest score of each row only moves the row's potential.
    logits = (scores - ops.max(scores, axis=1, keepdims=True)) / temperature

    def row_potential(columns):
        potential = log_rows - ops.logsumexp(logits + columns[None, :], axis=1)
        return ops.where(weights > 0, potential, ops.cast(MASKED_LOGIT, logits.dtype))

    columns = ops.zeros((num_columns,), dtype=logits.dtype)
    rows = row_potential(columns)
    for _ in range(num_iterations):
        columns = -ops.logsumexp(logits + rows[:, None], axis=0)
        # The largest potential is zero, so that that of a distant column remains representable.
        columns = columns - ops.max(columns)
        rows = row_potential(columns)
    plan = ops.exp(logits + rows[:, None] + columns[None, :])
    return _rounded(plan, row_mass, column_mass)


def _rounded(plan, row_mass, column_mass):
    """The plan with exact marginals: scaled down where in excess, filled up where lacking."""
    rows = ops.sum(plan, axis=1)
    plan = plan * ops.minimum(row_mass / ops.maximum(rows, 1e-30), 1.0)[:, None]
    columns = ops.sum(plan, axis=0)
    plan = plan * ops.minimum(column_mass / ops.maximum(columns, 1e-30), 1.0)[None, :]
    missing_rows = ops.maximum(row_mass - ops.sum(plan, axis=1), 0.0)
    missing_columns = ops.maximum(column_mass - ops.sum(plan, axis=0), 0.0)
    missing = ops.maximum(ops.sum(missing_rows), 1e-30)
    return plan + missing_rows[:, None] * (missing_columns / missing)[None, :]


def assignments(plan: Tensor) -> Tensor:
    """Normalises each row of a plan to a distribution over columns.

    Args:
        plan: float tensor `(rows, columns)` of `sinkhorn`.

    Returns:
        Float tensor `(rows, columns)`; rows sum to one, or to zero for rows of mass zero.

    Example:

    >>> [round(float(p), 3) for p in assignments(np.array([[0.1, 0.3]]))[0]]
    [0.25, 0.75]

    References:
        Caron et al. (2020), Unsupervised Learning of Visual Features by Contrasting Cluster
        Assignments.
    """
    plan = ops.convert_to_tensor(plan)
    return plan / ops.maximum(ops.sum(plan, axis=1, keepdims=True), 1e-30)


def transport_cost(plan: Tensor, scores: Tensor) -> Tensor:
    """Computes the cost of a plan, `sum_ij plan_ij (1 - score_ij)`.

    Args:
        plan: float tensor `(rows, columns)`; receives no gradient.
        scores: float tensor `(rows, columns)`, cosine similarities.

    Returns:
        Scalar; 0 if all mass is transported between rows and columns of score 1.

    Example:

    >>> float(transport_cost(np.full((2, 2), 0.25, "float32"), np.eye(2, dtype="float32")))
    0.5

    References:
        Duan et al. (2022), Multi-modal Alignment using Representation Codebook.
    """
    plan = ops.stop_gradient(ops.convert_to_tensor(plan))
    return ops.sum(plan * (1 - ops.convert_to_tensor(scores)))
