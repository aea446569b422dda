"""The dtype of computations that stay in float32 under policies of half precision."""

from __future__ import annotations

from typing import Any

import keras

HALF = ("float16", "bfloat16")


def variable_dtype(dtype: Any = None) -> str:
    """Returns the variable dtype of a policy, but float32 in place of half precision.

    Args:
        dtype: dtype, dtype policy or its name; default the global policy.

    Returns:
        Name of a floating-point dtype.

    Example:

    >>> [variable_dtype(dtype) for dtype in ("mixed_bfloat16", "float16", "float64")]
    ['float32', 'float32', 'float64']
    """
    policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
    return "float32" if policy.variable_dtype in HALF else policy.variable_dtype
