"""FCID's encoders and codebook: fine features in time, coarse features per clip, shared codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_cmg.layers.coarse_projector import CoarseProjector
from keras_cmg.layers.codebook import Codebook
from keras_cmg.layers.map_pooling import MapAttention
from keras_cmg.layers.specific_encoders import MapSpecificEncoder, SequenceSpecificEncoder
from keras_cmg.layers.temporal_attention import TemporalAttention, seed_of
from keras_cmg.models.cross_modal_backbone import CrossModalBackbone
from keras_cmg.models.fcid import presets
from keras_cmg.types import Tensor

UNALIGNED = ("text",)
"""Modalities that do not run in step with the clip's seconds, unless `fine` says otherwise."""


@keras.saving.register_keras_serializable("keras_cmg")
class FCIDBackbone(CrossModalBackbone):
    """Fine and Coarse cross-modal Information Disentangling: the part that is kept.

    Fine modalities (audio, video) run in step with the seconds of a clip: each has a general
    encoder, which sees the whole clip, and a specific one. Coarse level: projectors, then general
    and specific encoders (dense, ReLU), shared by the fine modalities, one set for each other
    modality. The general coarse features meet in one codebook.

    Training updates the codebook (`Codebook`); inference leaves all state alone.

    Args:
        modalities: names, in the order in which they update the codebook.
        fine: which of them are fine; default all but text.
        num_embeddings: number of codes, the paper's H.
        embedding_dim: width of general features and codes, the paper's D.
        quantize_level: `"clip"`, codes are learned on clips and applied to segments (the paper);
            `"segment"`, fine modalities are quantised per segment in training too. One modality
            alone is always quantised per segment.
        use_masks: honour `<modality>_mask` in a batch; the authors' code lets padding take part.
        encoders: modality to Keras layer that takes the place of the general encoder:
            `(batch, frames, ...)` to `(batch, frames, embedding_dim)`.
        specific_encoders: modality to layer in the place of the specific encoder, see
            `keras_cmg.layers.specific_encoders`.
        general: arguments of `TemporalAttention`, for every modality.
        map_general: further arguments of `MapAttention`, for feature maps.
        specific: arguments of `SequenceSpecificEncoder`.
        map_specific: arguments of `MapSpecificEncoder`.
        codebook: arguments of `Codebook`.
        seed: of the initial codes and of dropout.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: dict of modality to features `(batch, frames, dim)` or `(batch, frames, height,
            width, channels)`, optionally `<modality>_mask` `(batch, frames)`; other keys are
            left alone.
        training: whether dropout acts and the codebook moves.

    Returns:
        Dict of dicts by modality: `"fine_general"` `(batch, frames, dim)`; `"fine_specific"` and
        `"fine_summary"` of the fine modalities; `"projected"`, `"coarse_general"`,
        `"coarse_specific"`, `"quantized"`, `"codes"`, each `(batch, dim)`, or `(batch, frames,
        dim)` where segments are quantised; `"indices"`.

    Raises:
        ValueError: for unknown modalities in `fine`, an unknown level, a batch that misses a
            modality, or features of another shape than at first.

    Example:

    >>> backbone = FCIDBackbone.from_preset("small", modalities=("audio", "text"))
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 7, 64))})
    >>> tuple(features["fine_general"]["audio"].shape), tuple(features["indices"]["text"].shape)
    ((2, 10, 256), (2,))

    References:
        Huang et al. (2025), Enhancing Multimodal Unified Representations for Cross Modal
        Generalization, section 3.1 and Eqs. 5-19.
    """

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        fine: tuple[str, ...] | None = None,
        num_embeddings: int = 400,
        embedding_dim: int = 256,
        quantize_level: str = "clip",
        use_masks: bool = True,
        encoders: Mapping[str, keras.Layer] | None = None,
        specific_encoders: Mapping[str, keras.Layer] | None = None,
        general: Mapping[str, Any] | None = None,
        map_general: Mapping[str, Any] | None = None,
        specific: Mapping[str, Any] | None = None,
        map_specific: Mapping[str, Any] | None = None,
        codebook: Mapping[str, Any] | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(modalities, **kwargs)
        if fine is None:
            fine = tuple(m for m in self.modalities if m not in UNALIGNED)
        unknown = set(fine) - set(self.modalities)
        if unknown:
            raise ValueError(
                f"`fine` must name modalities of {self.modalities}. Received: {sorted(unknown)}"
            )
        if quantize_level not in ("clip", "segment"):
            raise ValueError(
                f"`quantize_level` must be 'clip' or 'segment'. Received: {quantize_level!r}"
            )
        self.fine = tuple(fine)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.quantize_level = quantize_level
        self.use_masks = use_masks
        self.settings = {
            "general": dict(general or {}),
            "map_general": dict(map_general or {}),
            "specific": dict(specific or {}),
            "map_specific": dict(map_specific or {}),
            "codebook": dict(codebook or {}),
        }
        self.seed = seed
        self.given_encoders = dict(encoders or {})
        self.given_specific_encoders = dict(specific_encoders or {})
        self.quantizer = Codebook(
            num_embeddings,
            embedding_dim,
            seed=seed,
            dtype=self.dtype_policy,
            name="codebook",
            **self.settings["codebook"],
        )

    @classmethod
    def from_preset(
        cls, name: str = "small", modalities: tuple[str, ...] | None = None, **overrides
    ) -> FCIDBackbone:
        """A backbone with named settings.

        Args:
            name: `"paper"`, `"reference"` or `"small"`.
            modalities: names; default audio, video and text.
            **overrides: arguments of the class; dicts are merged into the preset's.

        Returns:
            The backbone, not built yet.

        Raises:
            ValueError: for an unknown preset.

        Example:

        >>> FCIDBackbone.from_preset("small", num_embeddings=64).num_embeddings
        64
        """
        if modalities is not None:
            overrides["modalities"] = modalities
        return cls(**presets.merged(presets.preset(name)["backbone"], overrides))

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Sets of modalities that share the coarse level, by name: the fine ones together."""
        groups = {group_name(self.fine): self.fine} if self.fine else {}
        groups.update({m: (m,) for m in self.modalities if m not in self.fine})
        return groups

    def group_of(self, modality: str) -> str:
        """Name of the group whose coarse encoders a modality uses.

        Args:
            modality: its name.

        Returns:
            A key of `groups`.

        Raises:
            ValueError: for an unknown modality.

        Example:

        >>> FCIDBackbone().group_of("video")
        'audiovisual'
        """
        self.check_modality(modality)
        return group_name(self.fine) if modality in self.fine else modality

    def quantizes_segments(self, modality: str) -> bool:
        """Whether training quantises each segment of a modality, rather than the clip.

        Args:
            modality: its name.

        Returns:
            True or False.

        Raises:
            ValueError: for an unknown modality.

        Example:

        >>> FCIDBackbone(("audio",)).quantizes_segments("audio")
        True
        """
        self.check_modality(modality)
        if len(self.modalities) == 1:
            return True
        return self.quantize_level == "segment" and modality in self.fine

    def build(self, input_shape: Mapping[str, Any]) -> None:
        self.check_batch(input_shape)
        # No batch size: the next batch may have another.
        self.feature_shapes = {m: (None, *tuple(input_shape[m])[1:]) for m in self.modalities}
        dtype, dim = self.dtype_policy, self.embedding_dim
        self.encoders, self.specific_encoders = {}, {}
        for name, shape in self.feature_shapes.items():
            self.encoders[name] = self.given_encoders.get(name) or self._general(name, shape)
            if name in self.fine:
                self.specific_encoders[name] = self.given_specific_encoders.get(
                    name
                ) or self._specific(name, shape)
        for layers in (self.encoders, self.specific_encoders):
            for name, layer in layers.items():
                if not layer.built:
                    layer.build(self.feature_shapes[name])
        self.projectors, self.coarse_general, self.coarse_specific = {}, {}, {}
        for name in self.groups:
            self.projectors[name] = CoarseProjector(dim, dtype=dtype, name=f"{name}_projector")
            self.coarse_general[name] = keras.layers.Dense(
                dim, "relu", dtype=dtype, name=f"{name}_coarse_general"
            )
            self.coarse_specific[name] = keras.layers.Dense(
                dim, "relu", dtype=dtype, name=f"{name}_coarse_specific"
            )
            for layer in (
                self.projectors[name],
                self.coarse_general[name],
                self.coarse_specific[name],
            ):
                layer.build((None, None, dim))
        self.quantizer.build()
        self.built = True

    def _general(self, name, shape):
        arguments = {
            **presets.SEQUENCE,
            **self.settings["general"],
            "units": self.embedding_dim,
            "seed": seed_of(name, self.seed),
            "dtype": self.dtype_policy,
            "name": f"{name}_general",
        }
        if len(shape) == 5:
            return MapAttention(**self.settings["map_general"], **arguments)
        return TemporalAttention(**arguments)

    def _specific(self, name, shape):
        arguments = {"dtype": self.dtype_policy, "name": f"{name}_specific"}
        if len(shape) == 5:
            return MapSpecificEncoder(**self.settings["map_specific"], **arguments)
        return SequenceSpecificEncoder(**self.settings["specific"], **arguments)

    def call(self, inputs, training=False):
        is_batch = isinstance(inputs, Mapping)
        self.check_batch(
            {m: inputs[m].shape for m in self.modalities if m in inputs} if is_batch else inputs
        )
        features: dict[str, dict[str, Tensor]] = {
            "fine_general": {},
            "fine_specific": {},
            "fine_summary": {},
            "projected": {},
        }
        for name in self.modalities:
            mask = self._mask(name, inputs)
            fine = self._fine(name, inputs[name], mask, training)
            features["fine_general"][name] = fine
            if name in self.fine:
                specific = self.specific_encoders[name](inputs[name])
                features["fine_specific"][name] = specific
                features["fine_summary"][name] = self.specific_encoders[name].summarize(specific)
            features["projected"][name] = self.projectors[self.group_of(name)](
                fine, frame_mask=mask, pool=not self.quantizes_segments(name)
            )
        for kind, layers in (
            ("coarse_general", self.coarse_general),
            ("coarse_specific", self.coarse_specific),
        ):
            features[kind] = {
                name: layers[self.group_of(name)](x) for name, x in features["projected"].items()
            }
        codes = self.quantizer(features["coarse_general"], training=training)
        for kind in ("quantized", "codes", "indices"):
            features[kind] = {name: code[kind] for name, code in codes.items()}
        return features

    def _fine(self, name, x, mask, training):
        if name in self.given_encoders:
            return self.encoders[name](x, training=training)
        return self.encoders[name](x, frame_mask=mask, training=training)

    def _mask(self, name, inputs):
        return inputs.get(f"{name}_mask") if self.use_masks else None

    def general_features(self, modality, x, level, mask=None):
        mask = mask if self.use_masks else None
        fine = self._fine(modality, x, mask, training=False)
        group = self.group_of(modality)
        projected = self.projectors[group](fine, frame_mask=mask, pool=level == "clip")
        return self.coarse_general[group](projected)

    def get_build_config(self):
        return {"input_shape": self.feature_shapes} if self.built else None

    def build_from_config(self, config):
        if config:
            self.build({m: tuple(shape) for m, shape in config["input_shape"].items()})

    def get_config(self):
        names = "modalities fine num_embeddings embedding_dim quantize_level use_masks seed".split()
        config = {name: getattr(self, name) for name in names}
        for key, layers in (
            ("encoders", self.given_encoders),
            ("specific_encoders", self.given_specific_encoders),
        ):
            config[key] = {
                name: keras.saving.serialize_keras_object(layer) for name, layer in layers.items()
            }
        return {**super().get_config(), **config, **self.settings}

    @classmethod
    def from_config(cls, config):
        for key in ("encoders", "specific_encoders"):
            config[key] = {
                name: keras.saving.deserialize_keras_object(layer)
                for name, layer in config.get(key, {}).items()
            }
        for key in ("modalities", "fine"):
            config[key] = tuple(config[key])
        return cls(**config)


def group_name(modalities: tuple[str, ...]) -> str:
    """Name of modalities taken together: "audiovisual" for audio and video.

    Args:
        modalities: names.

    Returns:
        A name that no single modality has.

    Example:

    >>> group_name(("audio", "depth"))
    'coarse_audio_depth'
    """
    if set(modalities) == {"audio", "video"}:
        return "audiovisual"
    return "coarse_" + "_".join(modalities)
