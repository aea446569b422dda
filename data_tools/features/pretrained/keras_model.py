"""Keras models: files, `keras.applications`, and presets of KerasHub."""

from __future__ import annotations

from typing import Any

import numpy as np

from data_tools.features.pretrained.runtime import Runtime, missing_tensor, model_file
from data_tools.io.files import missing

APPLICATIONS, HUB = "keras.applications.", "keras_hub:"


class KerasModel(Runtime):
    """A Keras model, on the engine that Keras runs on.

    Args:
        model: a `.keras` file, which may hold no code of its own; `keras.applications.NAME` with
            its ImageNet weights and without its classifier, `keras.applications.NAME:FILE` with
            weights from a file or, for tests, `:random` ones; or `keras_hub:PRESET`, the backbone
            of a KerasHub preset.
        output: name of the layer whose output is returned, or key of the output of a model that
            returns a dict; the model's first output if None.

    Raises:
        FileNotFoundError: if the file does not exist, or weights could not be downloaded.
        ImportError: if KerasHub is not installed.
        ValueError: if the model is unknown or damaged, or has no such layer.

    Example:
        >>> layers = [keras.layers.Dense(5, name="hidden"), keras.layers.Dense(2)]
        >>> keras.Sequential([keras.Input((4,)), *layers]).save("model.keras")
        >>> KerasModel("model.keras", "hidden")(np.ones((3, 4))).shape
        (3, 5)
    """

    def __init__(self, model: str, output: str | None = None) -> None:
        import keras

        whole = self._opened(model)
        outputs = whole.outputs
        names = [layer.name for layer in whole.layers]
        structure = getattr(whole, "output", None)
        named = structure if isinstance(structure, dict) else {}
        if output is None:
            chosen = outputs[0]
        elif output in named:
            chosen = named[output]
        elif output in names:
            chosen = whole.get_layer(output).output
        else:
            raise missing_tensor(model, output, [*named, *names])
        self._model = keras.Model(whole.inputs[0], chosen)
        self.output = output
        first = whole.inputs[0]
        self.input_shape = tuple(first.shape)
        self.input_dtype = np.dtype(keras.backend.standardize_dtype(first.dtype))

    def _opened(self, model: str) -> Any:
        from keras_cmg.saved_models import load_model

        if model.startswith(APPLICATIONS):
            return _application(model)
        if model.startswith(HUB):
            return _hub_backbone(model.removeprefix(HUB))
        return load_model(model_file(model))

    def run(self, inputs: np.ndarray) -> np.ndarray:
        from keras import ops

        return ops.convert_to_numpy(self._model(inputs, training=False))


def _application(model: str) -> Any:
    import keras

    name, _, weights = model.removeprefix(APPLICATIONS).partition(":")
    kind = getattr(keras.applications, name, None)
    if not callable(kind):
        raise ValueError(f"`model` must name a network of keras.applications. Received: {model!r}")
    if weights and weights != "random":
        model_file(weights)
    if weights == "random":
        keras.utils.set_random_seed(0)
    chosen = None if weights == "random" else weights or "imagenet"
    try:
        return kind(include_top=False, weights=chosen)
    except ValueError as error:
        raise ValueError(f"{weights} must hold weights of {name}: {error}") from error
    except Exception as error:  # what a download raises depends on the network
        if weights:
            raise
        raise FileNotFoundError(
            f"the weights of {name} could not be downloaded; get them by other means and give "
            f"them as {APPLICATIONS}{name}:FILE: {error}"
        ) from error


def _hub_backbone(preset: str) -> Any:
    try:
        import keras_hub
    except ImportError as error:
        raise missing("keras_hub", "presets of KerasHub need", error) from error
    try:
        return keras_hub.models.Backbone.from_preset(preset)
    except Exception as error:  # what a hub raises depends on the hub
        raise ValueError(f"preset {preset!r} of KerasHub could not be loaded: {error}") from error
