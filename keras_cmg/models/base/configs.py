"""Layers in the configuration of models: as arguments, and whether they are frozen."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import keras

from keras_cmg.backend.keras_internals import sublayers


def serialize_layer(layer: keras.Layer) -> dict[str, Any]:
    """Returns the configuration of a layer, the same before and after it is built.

    Args:
        layer: a Keras layer.

    Returns:
        Dict that `keras.saving.deserialize_keras_object` takes.

    Example:

    >>> serialize_layer(keras_cmg.layers.CoarseProjector(4))["class_name"]
    'CoarseProjector'
    """
    config = keras.saving.serialize_keras_object(layer)
    return {key: value for key, value in config.items() if key != "build_config"}


def serialize_layers(layers: Mapping[str, keras.Layer]) -> dict[str, Any]:
    """Returns the configurations of a dict of layers.

    Args:
        layers: name to layer.

    Returns:
        Name to dict.

    Example:

    >>> list(serialize_layers({"audio": keras_cmg.layers.CoarseProjector(4)}))
    ['audio']
    """
    return {name: keras.saving.serialize_keras_object(layer) for name, layer in layers.items()}


def deserialize_layers(config: Mapping[str, Any], arguments: Iterable[str]) -> dict[str, Any]:
    """Returns a configuration in which some arguments are layers, not their configurations.

    Args:
        config: arguments of a class; it is not changed.
        arguments: those that hold a layer, or a dict of layers.

    Returns:
        A new dict.

    Example:

    >>> config = {"decoder": serialize_layer(keras_cmg.layers.CoarseProjector(4)), "units": 3}
    >>> type(deserialize_layers(config, ["decoder"])["decoder"]).__name__
    'CoarseProjector'
    """
    result = dict(config)
    for name in arguments:
        value = result.get(name)
        if not isinstance(value, Mapping):
            continue
        if is_serialized(value):
            result[name] = keras.saving.deserialize_keras_object(value)
        else:
            result[name] = {
                key: keras.saving.deserialize_keras_object(v) if is_serialized(v) else v
                for key, v in value.items()
            }
    return result


def is_serialized(value: Any) -> bool:
    """Returns whether a value is the configuration of a layer rather than a dict of arguments.

    Args:
        value: anything.

    Returns:
        bool.

    Example:

    >>> is_serialized(serialize_layer(keras_cmg.layers.CoarseProjector(4))), is_serialized({})
    (True, False)
    """
    return isinstance(value, Mapping) and "class_name" in value and "config" in value


def frozen_layers(model: keras.Layer, without: tuple[Any, ...] = ()) -> tuple[str, ...]:
    """Returns the paths of the layers within a model that are frozen, `trainable=False`.

    Args:
        model: a Keras model or layer.
        without: layers that are left out, with all that is within them.

    Returns:
        Paths such as `"codebook"` or `"audio_general/projection"`; of a frozen layer, the layers
        within it are not listed.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone(("audio",))
    >>> backbone.quantizer.trainable = False
    >>> frozen_layers(backbone)
    ('codebook',)
    """
    return tuple(sorted(set(_frozen(model, "", without))))


def _frozen(layer: Any, path: str, without: tuple[Any, ...]) -> Iterator[str]:
    for inner in sublayers(layer):
        if any(inner is left_out for left_out in without):
            continue
        if inner.trainable:
            yield from _frozen(inner, f"{path}{inner.name}/", without)
        else:
            yield f"{path}{inner.name}"


def freeze_layers(model: keras.Layer, paths: Iterable[str]) -> None:
    """Freezes layers within a model.

    Args:
        model: a built Keras model or layer.
        paths: as from `frozen_layers`.

    Raises:
        ValueError: if a path names no layer.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone(("audio",))
    >>> freeze_layers(backbone, ["codebook"])
    >>> backbone.quantizer.trainable
    False
    """
    for path in paths:
        found = [model]
        for name in path.split("/"):
            found = [inner for layer in found for inner in sublayers(layer) if inner.name == name]
        if not found:
            names = sorted(inner.name for inner in sublayers(model))
            raise ValueError(
                f"`frozen_layers` must name layers within {type(model).__name__}, such as one of "
                f"{names}. Received: {path!r}"
            )
        for layer in found:
            layer.trainable = False


def build_config(shapes: Mapping[str, Any], quantization: Any = None) -> dict[str, Any]:
    """Returns what a saved model needs to build its weights.

    Args:
        shapes: modality to shape of its features.
        quantization: the `config` of `keras.Model.quantize`; None for a model that is not
            quantised.

    Returns:
        Dict that `build_from_config` takes.

    Example:

    >>> build_config({"audio": (None, 10, 128)})
    {'input_shape': {'audio': (None, 10, 128)}, 'quantization': None}
    """
    return {
        "input_shape": dict(shapes),
        "quantization": keras.saving.serialize_keras_object(quantization),
    }


def build_from_config(model: keras.Model, config: Mapping[str, Any] | None) -> None:
    """Builds a model, and quantises its weights as those of the saved one.

    Args:
        model: a Keras model.
        config: as from `build_config`, or None for a model that was saved without weights.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone(("audio",))
    >>> build_from_config(backbone, build_config({"audio": (None, 10, 128)}))
    >>> backbone.built
    True
    """
    if not config:
        return
    model.build({name: tuple(shape) for name, shape in config["input_shape"].items()})
    if config.get("quantization"):
        model.quantize(config=keras.saving.deserialize_keras_object(config["quantization"]))


@contextlib.contextmanager
def quantizing_all_layers(filters: Any) -> Iterator[None]:
    """Prepares the quantisation of all layers of a model by Keras.

    Keras collects garbage after every layer, which takes a second each in a process with many
    objects. Those that exist already are left out of it.

    Args:
        filters: as for `keras.Model.quantize`.

    Raises:
        ValueError: if `filters` is not None: a file does not keep which layers were quantised.

    Example:

    >>> with quantizing_all_layers(None):
    ...     gc.get_freeze_count() > 0
    True
    """
    if filters is not None:
        raise ValueError(
            "`filters` must be None: a saved model quantises all of its layers when it is loaded. "
            f"Received: {filters!r}"
        )
    is_first = gc.get_freeze_count() == 0
    if is_first:
        gc.collect()
        gc.freeze()
    try:
        yield
    finally:
        if is_first:
            gc.unfreeze()
