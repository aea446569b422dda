"""Layers whose state must not be rounded: codebook, estimators."""

from __future__ import annotations

from typing import Any

import keras


def full_precision(dtype: Any = None) -> str:
    """The dtype in which a policy keeps its variables: float32 under every mixed policy.

    Args:
        dtype: a dtype, a dtype policy or its name; default the global policy.

    Returns:
        Name of a floating-point dtype.

    Example:

    >>> full_precision("mixed_bfloat16")
    'float32'
    """
    policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
    return policy.variable_dtype
