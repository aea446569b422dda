"""Layers that follow from the shape of a modality's features: sequences or feature maps."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_cmg.layers.batch_norm_map_encoder import BatchNormMapEncoder
from keras_cmg.layers.map_decoder import MapDecoder
from keras_cmg.layers.map_specific_encoder import MapSpecificEncoder
from keras_cmg.layers.sequence_decoder import SequenceDecoder
from keras_cmg.layers.sequence_specific_encoder import SequenceSpecificEncoder


def specific_encoder(
    shape: Any, specific: Mapping[str, Any], map_specific: Mapping[str, Any], **kwargs
) -> keras.Layer:
    """Returns a new encoder of specific features.

    Args:
        shape: of the features, `(batch, frames, dim)` or `(batch, frames, height, width,
            channels)`.
        specific: arguments of `SequenceSpecificEncoder`.
        map_specific: arguments of `MapSpecificEncoder`, or, with `"batch_norm"` true among them, of
            `BatchNormMapEncoder`.
        **kwargs: arguments of either.

    Returns:
        A layer, not built.

    Example:

    >>> type(specific_encoder((None, 10, 7, 7, 512), {}, {})).__name__
    'MapSpecificEncoder'
    """
    if len(shape) == 5:
        arguments = {**map_specific, **kwargs}
        if arguments.pop("batch_norm", False):
            return BatchNormMapEncoder(**arguments)
        return MapSpecificEncoder(**arguments)
    return SequenceSpecificEncoder(**specific, **kwargs)


def feature_decoder(
    shape: Any, hidden_channels: int, pre_activation_skip: bool, **kwargs
) -> keras.Layer:
    """Returns a new decoder that rebuilds features from general and specific ones.

    Args:
        shape: of the features, as for `specific_encoder`.
        hidden_channels: inner width of a `MapDecoder`.
        pre_activation_skip: see `keras_cmg.layers.ResidualUnit`, for a `MapDecoder`.
        **kwargs: the arguments of every Keras layer.

    Returns:
        A layer, not built.

    Example:

    >>> type(feature_decoder((None, 10, 128), 32, False)).__name__
    'SequenceDecoder'
    """
    if len(shape) == 5:
        return MapDecoder(shape[-1], hidden_channels, pre_activation_skip, **kwargs)
    return SequenceDecoder(shape[-1], **kwargs)


def build_all(layers: Mapping[str, keras.Layer], shapes: Mapping[str, Any]) -> None:
    """Builds layers that are not built, in order.

    Args:
        layers: name to layer.
        shapes: name to input shape.

    Example:

    >>> layer = keras_cmg.layers.CoarseProjector(4)
    >>> build_all({"audio": layer}, {"audio": (None, 10, 6)})
    >>> layer.built
    True
    """
    for name, layer in layers.items():
        if not layer.built:
            layer.build(shapes[name])
