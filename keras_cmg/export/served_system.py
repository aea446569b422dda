"""A backbone with channel selection, probes and front ends, as one Keras model for export."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.pca_projection import PCAProjection
from keras_cmg.models.base.backbone import LEVELS, Backbone
from keras_cmg.types import Tensor

ACTIVATIONS = ("softmax", "sigmoid")
VIEWS = ("general", "quantized", "selected")


@dataclasses.dataclass(frozen=True)
class Endpoint:
    """A function of an exported system: its name, the shapes of its inputs, and the computation."""

    name: str
    modality: str
    level: str
    inputs: dict[str, tuple[int | None, ...]]
    """Input name to shape, with None for any size. All inputs are float32."""
    unit: str
    """Unit of axis 1 of the first input: `"frames"`, `"samples"`, or `"rows"` of images."""
    function: Callable[..., dict[str, Tensor]]
    """Function of the inputs, by name, to a flat dict of outputs."""


@keras.saving.register_keras_serializable("keras_cmg")
class ServedSystem(keras.Model):
    """Combines a backbone with channel selection, probes and front ends for export.

    Each of its `endpoints` becomes a signature or file of the exported model.

    Args:
        backbone: a built `Backbone`.
        levels: `"segment"` or `"clip"`, one code per segment or per clip; or a dict of modality to
            either, with default `"segment"`.
        toc: an adapted `TOCChannelMask`; adds the output `"selected"`.
        probes: a model from codes to logits for all modalities, or a dict of modality to model.
        probe_view: input of the probes: `"quantized"`, `"general"` or `"selected"`; default
            `"selected"` if there is a `toc` and probes have its width, else `"quantized"`.
        activation: `"softmax"` for one class, `"sigmoid"` for several; from logits to
            probabilities.
        front_ends: modality to a Keras layer from `(batch, samples)` to features, such as
            `LogMelSummary`.
        reductions: modality to a built `PCAProjection` from the features of a network to those that
            the backbone takes.
        masked: modalities that also get endpoints with a mask; default text, if there is one.
        modalities: modalities that get endpoints; default all of the backbone.
        **kwargs: the arguments of every Keras model.

    Raises:
        ValueError: if a modality, level or view is unknown, a part is not built, or probes have
            another width than their input.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
    >>> backbone.build({"audio": (None, 10, 128)})
    >>> [endpoint.name for endpoint in ServedSystem(backbone, front_ends={
    ...     "audio": keras_cmg.layers.LogMelSummary(8000)}).endpoints()]
    ['encode_audio', 'encode_audio_waveform']
    """

    def __init__(
        self,
        backbone: Backbone,
        levels: str | Mapping[str, str] = "segment",
        toc: keras.Layer | None = None,
        probes: keras.Model | Mapping[str, keras.Model] | None = None,
        probe_view: str | None = None,
        activation: str = "softmax",
        front_ends: Mapping[str, keras.Layer] | None = None,
        reductions: Mapping[str, PCAProjection] | None = None,
        masked: tuple[str, ...] | None = None,
        modalities: tuple[str, ...] | None = None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if not backbone.built:
            raise ValueError(
                "`backbone` must be built. Call it on a batch, or `build` it with the shapes of "
                f"{backbone.modalities}."
            )
        names = backbone.modalities
        by_name = dict.fromkeys(names, levels) if isinstance(levels, str) else dict(levels)
        if probes is not None and not isinstance(probes, Mapping):
            probes = dict.fromkeys(names, probes)
        if masked is None:
            masked = tuple(name for name in names if name == "text")
        self.backbone = backbone
        self.toc = toc
        self.probes = dict(probes or {})
        self.front_ends = dict(front_ends or {})
        self.reductions = dict(reductions or {})
        self.masked = tuple(masked)
        self.modalities = names if modalities is None else tuple(modalities)
        for argument, keys in (
            ("levels", by_name),
            ("probes", self.probes),
            ("front_ends", self.front_ends),
            ("reductions", self.reductions),
            ("masked", self.masked),
            ("modalities", self.modalities),
        ):
            unknown = sorted(set(keys) - set(names))
            if unknown:
                raise ValueError(
                    f"`{argument}` must name modalities of {names}. Received: {unknown}"
                )
        self.levels = {name: by_name.get(name, "segment") for name in names}
        if set(self.levels.values()) - set(LEVELS):
            raise ValueError(f"`levels` must be of {LEVELS}. Received: {self.levels}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"`activation` must be one of {ACTIVATIONS}. Received: {activation!r}")
        self.activation = activation
        for name, probe in self.probes.items():
            if not probe.built:
                raise ValueError(
                    f"`probes` must be built. The probe of {name!r} is not: call it on some codes."
                )
        for name, reduction in self.reductions.items():
            if not reduction.built:
                raise ValueError(
                    f"`reductions` must be built. That of {name!r} is not: `assign` its components."
                )
            width = backbone.feature_shapes[name][-1]
            if reduction.num_components != width:
                raise ValueError(
                    f"`reductions` must give the features that the backbone takes. That of "
                    f"{name!r} has {reduction.num_components} components, and the backbone takes "
                    f"{width}."
                )
        views = VIEWS if toc is not None else VIEWS[:2]
        self.probe_view = probe_view or self._default_view()
        if self.probe_view not in views:
            raise ValueError(f"`probe_view` must be one of {views}. Received: {probe_view!r}")
        for name, width in self._probe_widths().items():
            if width != self._width(self.probe_view):
                raise ValueError(
                    f"`probe_view` must be the input that probes were trained on. The probe of "
                    f"{name!r} has {width} inputs, but {self.probe_view!r} has width "
                    f"{self._width(self.probe_view)}."
                )
        self.built = True

    def _default_view(self) -> str:
        fits = all(width == self._width("selected") for width in self._probe_widths().values())
        return "selected" if self.toc is not None and fits else "quantized"

    def _width(self, view: str) -> int:
        if view == "selected" and self.toc is not None and self.toc.mode == "select":
            return self.toc.num_channels
        return self.backbone.general_dim if view == "general" else self.backbone.code_dim

    def _probe_widths(self) -> dict[str, int]:
        """Input widths of probes whose build config contains them."""
        widths = {}
        for name, probe in self.probes.items():
            shape = (probe.get_build_config() or {}).get("input_shape")
            if isinstance(shape, list | tuple) and shape and isinstance(shape[-1], int):
                widths[name] = shape[-1]
        return widths

    def endpoints(self) -> list[Endpoint]:
        """Returns the endpoints, in a fixed order.

        Returns:
            Endpoints `encode_<modality>`, and `classify_<modality>` of modalities with a probe;
            each also with the suffixes `_masked` for `masked`, `_waveform` for `front_ends`, and
            `_unreduced` and `_unreduced_masked` for `reductions`.

        Raises:
            ValueError: if `toc` is not adapted.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("text",))
        >>> backbone.build({"text": (None, 10, 64)})
        >>> [endpoint.inputs for endpoint in ServedSystem(backbone).endpoints()]
        [{'text': (None, None, 64)}, {'text': (None, None, 64), 'text_mask': (None, None)}]
        """
        if self.toc is not None:
            _ = self.toc.channel_indices
        return [
            endpoint
            for kind in ("encode", "classify")
            for name in self.modalities
            if kind == "encode" or name in self.probes
            for endpoint in self._endpoints_of(kind, name)
        ]

    def _endpoints_of(self, kind: str, modality: str):
        answer = self.encode if kind == "encode" else self.classify
        shape = self.backbone.feature_shapes[modality]
        # Images have a fixed size; other modalities have any number of frames.
        unit = "rows" if len(shape) == 4 else "frames"
        shape = (None, *shape[1:]) if unit == "rows" else (None, None, *shape[2:])
        mask, level = f"{modality}_mask", self.levels[modality]
        waveform = f"{modality}_waveform"

        def of_features(features: str, shape: tuple, reduce: Callable[[Any], Any]):
            yield Endpoint(
                f"{kind}_{features}", modality, level, {features: shape}, unit,
                lambda **inputs: answer(modality, reduce(inputs[features])),
            )  # fmt: skip
            if modality in self.masked:
                yield Endpoint(
                    f"{kind}_{features}_masked", modality, level,
                    {features: shape, mask: (None, None)}, unit,
                    lambda **inputs: answer(modality, reduce(inputs[features]), inputs[mask]),
                )  # fmt: skip

        yield from of_features(modality, shape, lambda features: features)
        if modality in self.reductions:
            reduction = self.reductions[modality]
            yield from of_features(f"{modality}_unreduced", (*shape[:-1], reduction.dim), reduction)
        if modality in self.front_ends:
            front_end = self.front_ends[modality]
            yield Endpoint(
                f"{kind}_{modality}_waveform", modality, level,
                {waveform: (None, None)}, "samples",
                lambda **inputs: answer(modality, front_end(inputs[waveform])),
            )  # fmt: skip

    def encode(self, modality: str, x: Any, mask: Any = None) -> dict[str, Tensor]:
        """Computes the codes of one modality, and the channels that TOC selects.

        Args:
            modality: str, name of the modality.
            x: features `(batch, frames, ...)`.
            mask: optional `(batch, frames)`, nonzero for valid frames.

        Returns:
            The dict of `Backbone.encode` in float32 and int32, and `"selected"`.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
        >>> backbone.build({"audio": (None, 10, 128)})
        >>> sorted(ServedSystem(backbone).encode("audio", np.zeros((1, 10, 128), "float32")))
        ['general', 'indices', 'quantized']
        """
        codes = dict(self.backbone.encode(modality, x, self.levels[modality], mask))
        if self.toc is not None:
            codes["selected"] = self.toc(codes["quantized"])
        return {
            key: ops.cast(value, "int32" if key == "indices" else "float32")
            for key, value in codes.items()
        }

    def classify(self, modality: str, x: Any, mask: Any = None) -> dict[str, Tensor]:
        """Computes the predictions of a modality's probe.

        Args:
            modality: str, name of the modality.
            x: features `(batch, frames, ...)`.
            mask: optional `(batch, frames)`, nonzero for valid frames.

        Returns:
            Dict of `"logits"` and `"probabilities"`, `(batch, [frames,] classes)`, and
            `"label_index"`, int32 `(batch, [frames])`, the most probable class.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
        >>> backbone.build({"audio": (None, 10, 128)})
        >>> probe = keras_cmg.models.LinearProbe(num_classes=3)
        >>> probe.build((None, None, 256))
        >>> served = ServedSystem(backbone, probes=probe)
        >>> tuple(served.classify("audio", np.zeros((2, 10, 128)))["logits"].shape)
        (2, 3)
        """
        codes = self.encode(modality, x, mask)[self.probe_view]
        logits = ops.cast(self.probes[modality](codes), "float32")
        activation = ops.softmax if self.activation == "softmax" else ops.sigmoid
        best = ops.squeeze(ops.top_k(logits, 1)[1], axis=-1)
        return {
            "logits": logits,
            "probabilities": activation(logits),
            "label_index": ops.cast(best, "int32"),
        }

    def get_config(self):
        def serialized(layers):
            return {
                name: keras.saving.serialize_keras_object(layer) for name, layer in layers.items()
            }

        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "toc": self.toc and keras.saving.serialize_keras_object(self.toc),
            "probes": serialized(self.probes),
            "front_ends": serialized(self.front_ends),
            "reductions": serialized(self.reductions),
            "levels": self.levels,
            "probe_view": self.probe_view,
            "activation": self.activation,
            "masked": self.masked,
            "modalities": self.modalities,
        }

    @classmethod
    def from_config(cls, config):
        config, restore = dict(config), keras.saving.deserialize_keras_object
        for key in ("probes", "front_ends", "reductions"):
            config[key] = {name: restore(layer) for name, layer in config[key].items()}
        for key in ("backbone", "toc"):
            config[key] = config[key] and restore(config[key])
        config["masked"], config["modalities"] = (
            tuple(config[key]) for key in ("masked", "modalities")
        )
        return cls(**config)
