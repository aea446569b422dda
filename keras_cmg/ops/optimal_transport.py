"""Optimal transport between features and prototypes: Sinkhorn's iterations in the log domain."""

from __future__ import annotations

from keras import ops

from keras_cmg.ops.masking import EXCLUDED
from keras_cmg.types import Tensor


def sinkhorn(
    scores: Tensor,
    temperature: float = 0.05,
    num_iterations: int = 5,
    weights: Tensor | None = None,
) -> Tensor:
    """Plan that moves equal masses of rows onto equal masses of columns along high scores.

    Maximises `<plan, scores> + temperature * entropy(plan)` over all plans with these marginals
    (Cuturi, 2013). The iterations run on logarithms, so that no temperature over- or underflows;
    what they leave of the marginals is then settled exactly by rounding to the nearest feasible
    plan (Altschuler et al., 2017, Algorithm 2), so that rows and columns sum to their masses after
    any number of iterations.

    Args:
        scores: float tensor `(rows, columns)`, higher for what belongs together.
        temperature: weight of the entropy; towards 0 the plan becomes an assignment.
        num_iterations: of Sinkhorn.
        weights: optional `(rows,)` masses, scaled to sum to one; 0 leaves a row out.

    Returns:
        Float tensor `(rows, columns)` that sums to one: rows to `weights` (default `1/rows` each),
        columns to `1/columns` each. All zeros if all weights are.

    Raises:
        ValueError: if `temperature` is not positive or `num_iterations` is below 1.

    Example:

    >>> plan = sinkhorn(np.eye(2, dtype="float32"), temperature=1e-4)
    >>> [[round(float(v), 3) for v in row] for row in plan]
    [[0.5, 0.0], [0.0, 0.5]]
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
    # The largest score of each row may be taken off: it would only move the row's potential.
    logits = (scores - ops.max(scores, axis=1, keepdims=True)) / temperature

    def row_potential(columns):
        potential = log_rows - ops.logsumexp(logits + columns[None, :], axis=1)
        return ops.where(weights > 0, potential, ops.cast(EXCLUDED, logits.dtype))

    columns = ops.zeros((num_columns,), dtype=logits.dtype)
    rows = row_potential(columns)
    for _ in range(num_iterations):
        columns = -ops.logsumexp(logits + rows[:, None], axis=0)
        # Balanced around zero, so that a column far from all rows stays representable.
        columns = columns - ops.max(columns)
        rows = row_potential(columns)
    plan = ops.exp(logits + rows[:, None] + columns[None, :])
    return _rounded(plan, row_mass, column_mass)


def _rounded(plan, row_mass, column_mass):
    """The plan with exact marginals: scaled down where too heavy, topped up where too light."""
    rows = ops.sum(plan, axis=1)
    plan = plan * ops.minimum(row_mass / ops.maximum(rows, 1e-30), 1.0)[:, None]
    columns = ops.sum(plan, axis=0)
    plan = plan * ops.minimum(column_mass / ops.maximum(columns, 1e-30), 1.0)[None, :]
    missing_rows = ops.maximum(row_mass - ops.sum(plan, axis=1), 0.0)
    missing_columns = ops.maximum(column_mass - ops.sum(plan, axis=0), 0.0)
    missing = ops.maximum(ops.sum(missing_rows), 1e-30)
    return plan + missing_rows[:, None] * (missing_columns / missing)[None, :]


def assignments(plan: Tensor) -> Tensor:
    """Each row of a plan as a distribution over the columns.

    Args:
        plan: float tensor `(rows, columns)` of `sinkhorn`.

    Returns:
        Float tensor `(rows, columns)`; rows sum to one, or to zero for rows left out.

    Example:

    >>> [round(float(p), 3) for p in assignments(np.array([[0.1, 0.3]]))[0]]
    [0.25, 0.75]
    """
    plan = ops.convert_to_tensor(plan)
    return plan / ops.maximum(ops.sum(plan, axis=1, keepdims=True), 1e-30)


def transport_cost(plan: Tensor, scores: Tensor) -> Tensor:
    """What moving along a plan costs, at `1 - score` per unit of mass.

    Args:
        plan: float tensor `(rows, columns)`; receives no gradient.
        scores: float tensor `(rows, columns)`, cosine similarities.

    Returns:
        Scalar: 0 where all mass moves along scores of 1.

    Example:

    >>> float(transport_cost(np.full((2, 2), 0.25, "float32"), np.eye(2, dtype="float32")))
    0.5
    """
    plan = ops.stop_gradient(ops.convert_to_tensor(plan))
    return ops.sum(plan * (1 - ops.convert_to_tensor(scores)))
