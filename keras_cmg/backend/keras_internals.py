"""Every use of a name that Keras keeps private, one function each."""

from __future__ import annotations

import keras


def sublayers(layer: keras.layers.Layer) -> list[keras.layers.Layer]:
    """Returns the layers that are attributes of a layer, without those nested in them.

    Args:
        layer: a layer or a model.

    Returns:
        List of layers.

    Example:

    >>> [inner.name for inner in sublayers(keras_cmg.layers.CoarseProjector(4))]
    ['dense']
    """
    return list(layer._flatten_layers(include_self=False, recursive=False))
