"""Backbone of CodeBind: features in a shared and a specific part, chunks of which have codes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_cmg.layers.quantizers.codebook import Codebook
from keras_cmg.layers.quantizers.grouped_quantizer import GroupedQuantizer
from keras_cmg.models.base.configs import is_serialized
from keras_cmg.models.base.sequence_backbone import SequenceBackbone
from keras_cmg.models.codebind import presets
from keras_cmg.ops.chunked_codes import normalize_chunks


@keras.saving.register_keras_serializable("keras_cmg")
class CodeBindBackbone(SequenceBackbone):
    """Backbone of CodeBind, without its pretrained trunks: compositional codes of shared features.

    The encoder of each modality computes a shared part of `embedding_dim` and a specific part of
    `specific_dim` channels. Each is cut into chunks of `chunk_dim` channels, of unit length, and
    each chunk is replaced by the most similar code: those of the shared parts of all modalities by
    one codebook, those of the specific part of a modality by a codebook of its own.

    `encode` returns the shared part, with an index per chunk.

    Training updates the codebooks; inference changes no state.

    Args:
        modalities: names, in the order in which they update the shared codebook.
        num_embeddings: codes of the shared codebook.
        embedding_dim: width of the shared part.
        chunk_dim: channels of a chunk, of both parts.
        specific_dim: width of the specific part.
        specific_embeddings: codes of each specific codebook.
        shared_only: modalities without a specific part; other names are ignored.
        quantizer: arguments of the shared `Codebook`, or a layer as for `SequenceBackbone`.
        specific_quantizer: arguments of the `Codebook` of each specific part.
        **kwargs: the arguments of `SequenceBackbone`; layers in `encoders` return both parts,
            `(batch, frames, embedding_dim + specific_dim)`.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout is active and the codebooks are updated.

    Returns:
        As `SequenceBackbone`, with `"indices"` `(batch, frames, chunks)`; of the modalities that
        have a specific part also `"specific"`, `"specific_quantized"` and `"specific_codes"`,
        `(batch, frames, specific_dim)`.

    Raises:
        ValueError: unless `chunk_dim` divides both widths, or for an `AlignedCodebook`.

    Example:

    >>> backbone = keras_cmg.models.CodeBindBackbone.from_preset("small", modalities=("audio",))
    >>> features = backbone({"audio": np.zeros((2, 10, 128))})
    >>> tuple(features["quantized"]["audio"].shape), tuple(features["indices"]["audio"].shape)
    ((2, 10, 256), (2, 10, 32))

    References:
        Chen et al. (2026), CodeBind: Decoupled Representation Learning for Multimodal Alignment
        with Unified Compositional Codebook.
    """

    presets = presets.PRESETS

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        num_embeddings: int = 1024,
        embedding_dim: int = 256,
        chunk_dim: int = 8,
        specific_dim: int = 256,
        specific_embeddings: int = 256,
        shared_only: tuple[str, ...] = (),
        specific_quantizer: Mapping[str, Any] | None = None,
        **kwargs,
    ):
        if embedding_dim % chunk_dim or specific_dim % chunk_dim:
            raise ValueError(
                "`chunk_dim` must divide `embedding_dim` and `specific_dim`. "
                f"Received: {chunk_dim} for {embedding_dim} and {specific_dim}"
            )
        # The quantiser depends on it.
        self.chunk_dim = chunk_dim
        super().__init__(
            modalities, num_embeddings=num_embeddings, embedding_dim=embedding_dim, **kwargs
        )
        self.specific_dim = specific_dim
        self.specific_embeddings = specific_embeddings
        self.shared_only = tuple(shared_only)
        self.specific_quantizer = dict(specific_quantizer or {})
        self.specific_quantizers = {
            name: self._chunk_quantizer(
                specific_embeddings,
                specific_dim,
                {"seed": self.seed + 1 + i, **self.specific_quantizer},
                f"{name}_codebook",
            )
            for i, name in enumerate(self.modalities)
            if name not in self.shared_only
        }

    def _chunk_quantizer(self, num_embeddings, width, arguments, name):
        """One codebook for all chunks of a part."""
        codebook = Codebook(
            num_embeddings,
            self.chunk_dim,
            **{
                "similarity": "cosine",
                "dtype": self.dtype_policy,
                "name": f"{name}_chunk",
                **arguments,
            },
        )
        groups = width // self.chunk_dim
        return GroupedQuantizer(codebook, groups, shared=True, dtype=self.dtype_policy, name=name)

    def set_quantizer(self, quantizer):
        if not (isinstance(quantizer, keras.Layer) or is_serialized(quantizer)):
            arguments = {"seed": self.seed, **(quantizer or {})}
            quantizer = self._chunk_quantizer(
                self.num_embeddings, self.embedding_dim, arguments, "codebook"
            )
        super().set_quantizer(quantizer)
        self.require_shared_codes()

    def encoder_units(self, name):
        """The width of the shared part, and of the specific part where there is one."""
        return self.embedding_dim + (0 if name in self.shared_only else self.specific_dim)

    def build_layers(self):
        super().build_layers()
        for quantizer in self.specific_quantizers.values():
            if not quantizer.built:
                quantizer.build()

    def call(self, inputs, training=False):
        inputs, masks = self.prepare_inputs(inputs)
        features: dict[str, dict[str, Any]] = {
            kind: {} for kind in ("general", "specific", "specific_quantized", "specific_codes")
        }
        for name in self.modalities:
            both = super().encode_frames(name, inputs[name], masks.get(name), training)
            both = normalize_chunks(both, self.chunk_dim)
            features["general"][name] = both[..., : self.embedding_dim]
            quantizer = self.specific_quantizers.get(name)
            if quantizer is None:
                continue
            specific = both[..., self.embedding_dim :]
            codes = quantizer(specific, weights=masks.get(name), training=training)
            features["specific"][name] = specific
            features["specific_quantized"][name] = codes["quantized"]
            features["specific_codes"][name] = codes["codes"]
        return {**features, **self.assign_codes(features["general"], masks, training)}

    def encode_frames(self, name, x, mask=None, training=False):
        """The shared part of every frame, its chunks at unit length."""
        both = super().encode_frames(name, x, mask, training)
        return normalize_chunks(both[..., : self.embedding_dim], self.chunk_dim)

    def general_features(self, modality, x, level, mask=None):
        general = super().general_features(modality, x, level, mask)
        return general if level == "segment" else normalize_chunks(general, self.chunk_dim)

    def get_config(self):
        names = (
            "chunk_dim specific_dim specific_embeddings shared_only specific_quantizer"
        ).split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
