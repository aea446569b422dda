"""DCID's encoders and codebook: every modality a sequence, one code per frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.layers.bidirectional_context import BidirectionalContext
from keras_cmg.layers.coarse_projector import mean_over_time
from keras_cmg.layers.codebook import Codebook
from keras_cmg.layers.map_pooling import MapAttention
from keras_cmg.layers.specific_encoders import MapSpecificEncoder, SequenceSpecificEncoder
from keras_cmg.layers.temporal_attention import TemporalAttention, seed_of
from keras_cmg.models.baselines import dcid_presets
from keras_cmg.models.cross_modal_backbone import CrossModalBackbone
from keras_cmg.models.fcid import presets
from keras_cmg.types import Tensor


@keras.saving.register_keras_serializable("keras_cmg")
class DCIDBackbone(CrossModalBackbone):
    """Dual Cross-modal Information Disentangling: the part that is kept.

    Each modality has a general encoder, whose features meet frame by frame in one codebook, and a
    specific one. Words are first read by a bidirectional LSTM.

    Training updates the codebook (`Codebook`); inference leaves all state alone.

    Args:
        modalities: names, in the order in which they update the codebook.
        num_embeddings: number of codes.
        embedding_dim: width of general features and codes.
        use_masks: honour `<modality>_mask` in a batch; the authors' code lets padding take part.
        recurrent: modality to arguments of `BidirectionalContext`, for those that pass one first.
        general: arguments of `TemporalAttention`, for every modality.
        map_general: further arguments of `MapAttention`, for feature maps.
        specific: modality to arguments of `SequenceSpecificEncoder`.
        map_specific: arguments of `MapSpecificEncoder`.
        codebook: arguments of `Codebook`.
        seed: of the initial codes.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: dict of modality to features, as in `FCIDBackbone`.
        training: whether dropout acts and the codebook moves.

    Returns:
        Dict of dicts by modality: `"input"`, what is encoded and rebuilt; `"general"`,
        `"quantized"` and `"codes"`, `(batch, frames, dim)`; `"specific"`; `"summary"`,
        `(batch, frames, summary_dim)`; `"indices"`, `(batch, frames)`.

    Raises:
        ValueError: for a batch that misses a modality, or features of another shape than at first.

    Example:

    >>> backbone = DCIDBackbone.from_preset("small", modalities=("audio", "text"))
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 10, 64))})
    >>> tuple(features["quantized"]["audio"].shape), tuple(features["indices"]["text"].shape)
    ((2, 10, 256), (2, 10))

    References:
        Xia et al. (2023), Achieving Cross Modal Generalization with Multimodal Unified
        Representation, section 3.
    """

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        num_embeddings: int = 400,
        embedding_dim: int = 256,
        use_masks: bool = True,
        recurrent: Mapping[str, Any] | None = None,
        general: Mapping[str, Any] | None = None,
        map_general: Mapping[str, Any] | None = None,
        specific: Mapping[str, Any] | None = None,
        map_specific: Mapping[str, Any] | None = None,
        codebook: Mapping[str, Any] | None = None,
        seed: int = 0,
        **kwargs,
    ):
        super().__init__(modalities, **kwargs)
        self.num_embeddings = num_embeddings
        self.embedding_dim = embedding_dim
        self.use_masks = use_masks
        self.settings = {
            "recurrent": {name: value for name, value in (recurrent or {}).items() if value},
            "general": dict(general or {}),
            "map_general": dict(map_general or {}),
            "specific": dict(specific or {}),
            "map_specific": dict(map_specific or {}),
            "codebook": dict(codebook or {}),
        }
        self.seed = seed
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
    ) -> DCIDBackbone:
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

        >>> DCIDBackbone.from_preset("paper").num_embeddings
        400
        """
        if modalities is not None:
            overrides["modalities"] = modalities
        return cls(**presets.merged(dcid_presets.preset(name)["backbone"], overrides))

    def build(self, input_shape: Mapping[str, Any]) -> None:
        self.check_batch(input_shape)
        # No batch size: the next batch may have another.
        self.feature_shapes = {m: (None, *tuple(input_shape[m])[1:]) for m in self.modalities}
        self.contexts, self.encoders, self.specific_encoders = {}, {}, {}
        for name, shape in self.feature_shapes.items():
            if name in self.settings["recurrent"]:
                self.contexts[name] = BidirectionalContext(
                    dtype=self.dtype_policy,
                    name=f"{name}_context",
                    **self.settings["recurrent"][name],
                )
                self.contexts[name].build(shape)
            shape = self.encoded_shape(name)
            self.encoders[name] = self._general(name, shape)
            self.encoders[name].build(shape)
            self.specific_encoders[name] = self._specific(name, shape)
            self.specific_encoders[name].build(shape)
        self.quantizer.build()
        self.built = True

    def encoded_shape(self, modality: str) -> tuple[int | None, ...]:
        """Shape of what a modality's encoders see, and its decoder rebuilds.

        Args:
            modality: its name.

        Returns:
            `(None, frames, ...)`.

        Example:

        >>> backbone = DCIDBackbone.from_preset("small", modalities=("text",))
        >>> backbone.build({"text": (None, 10, 64)})
        >>> backbone.encoded_shape("text")
        (None, 10, 64)
        """
        shape = self.feature_shapes[modality]
        context = self.contexts.get(modality)
        return shape if context is None else context.compute_output_shape(shape)

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
        return SequenceSpecificEncoder(**self.settings["specific"].get(name, {}), **arguments)

    def call(self, inputs, training=False):
        self.check_batch({m: x.shape for m, x in inputs.items() if m in self.modalities})
        features: dict[str, dict[str, Tensor]] = {
            kind: {} for kind in ("input", "general", "specific", "summary")
        }
        for name in self.modalities:
            mask = inputs.get(f"{name}_mask") if self.use_masks else None
            x = self._in_context(name, inputs[name])
            specific = self.specific_encoders[name](x)
            features["input"][name] = x
            features["general"][name] = self.encoders[name](x, frame_mask=mask, training=training)
            features["specific"][name] = specific
            features["summary"][name] = self.specific_encoders[name].summarize(specific)
        codes = self.quantizer(features["general"], training=training)
        for kind in ("quantized", "codes", "indices"):
            features[kind] = {name: code[kind] for name, code in codes.items()}
        return features

    def _in_context(self, name, x):
        return self.contexts[name](x) if name in self.contexts else ops.convert_to_tensor(x)

    def general_features(self, modality, x, level, mask=None):
        mask = mask if self.use_masks else None
        x = self._in_context(modality, x)
        general = self.encoders[modality](x, frame_mask=mask, training=False)
        return general if level == "segment" else mean_over_time(general, mask)

    def get_build_config(self):
        return {"input_shape": self.feature_shapes} if self.built else None

    def build_from_config(self, config):
        if config:
            self.build({m: tuple(shape) for m, shape in config["input_shape"].items()})

    def get_config(self):
        names = "modalities num_embeddings embedding_dim use_masks seed".split()
        config = {name: getattr(self, name) for name in names}
        return {**super().get_config(), **config, **self.settings}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "modalities": tuple(config["modalities"])})
