"""The dtype of layers that compute in the precision of their variables."""

from __future__ import annotations

from typing import Any

import keras


def variable_dtype(dtype: Any = None) -> str:
    """Returns the variable dtype of a policy, which is float32 under every mixed policy.

    Args:
        dtype: dtype, dtype policy or its name; default the global policy.

    Returns:
        Name of a floating-point dtype.

    Example:

    >>> variable_dtype("mixed_bfloat16")
    'float32'
    """
    policy = keras.dtype_policies.get(dtype or keras.config.dtype_policy())
    return policy.variable_dtype
