"""Two levels: fine features in time, coarse features per clip that meet in one codebook."""

from __future__ import annotations

from typing import Any

import keras

from keras_cmg.layers.coarse_projector import CoarseProjector
from keras_cmg.models.base.sequence_backbone import SequenceBackbone
from keras_cmg.types import Tensor

UNALIGNED = ("text",)
"""Modalities that do not run in step with the clip's seconds, unless `fine` says otherwise."""


@keras.saving.register_keras_serializable("keras_cmg")
class FineCoarseBackbone(SequenceBackbone):
    """General encoders in time, and a coarse level above them whose features are quantised.

    Fine modalities (audio, video) run in step with the seconds of a clip. Coarse level: projectors,
    then encoders (dense, ReLU), shared by the fine modalities, one set for each other modality.

    Training updates the codebook (`Codebook`); inference leaves all state alone.

    Args:
        modalities: names, in the order in which they update the codebook.
        fine: which of them are fine; default all but text.
        quantize_level: `"clip"`, codes are learned on clips and applied to segments (the paper);
            `"segment"`, fine modalities are quantised per segment in training too. One modality
            alone is always quantised per segment.
        **kwargs: the arguments of `SequenceBackbone`.

    Call arguments:
        inputs: a batch, as in `SequenceBackbone`.
        training: whether dropout acts and the codebook moves.

    Returns:
        Dict of dicts by modality: `"fine_general"` `(batch, frames, dim)`; `"projected"`,
        `"coarse_general"`, `"quantized"`, `"codes"`, each `(batch, dim)`, or `(batch, frames,
        dim)` where segments are quantised; `"indices"`.

    Raises:
        ValueError: for unknown modalities in `fine`, an unknown level, a batch that misses a
            modality, or features of another shape than at first.

    Example:

    >>> backbone = keras_cmg.models.FineCoarseBackbone(("audio", "text"), num_embeddings=8)
    >>> features = backbone({"audio": np.zeros((2, 10, 128)), "text": np.zeros((2, 7, 64))})
    >>> tuple(features["fine_general"]["audio"].shape), tuple(features["indices"]["text"].shape)
    ((2, 10, 256), (2,))

    References:
        Alayrac et al. (2020), Self-Supervised MultiModal Versatile Networks (fine and coarse
        spaces); Huang et al. (2025), section 3.1.
    """

    quantized_kind = "coarse_general"
    coarse_kinds: tuple[str, ...] = ("coarse_general",)
    """Features of the coarse level, each with an encoder of its own per group."""
    coarse_general: dict[str, Any]

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        fine: tuple[str, ...] | None = None,
        quantize_level: str = "clip",
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
        self.quantize_level = quantize_level

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

        >>> keras_cmg.models.FCIDBackbone().group_of("video")
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

        >>> keras_cmg.models.FCIDBackbone(("audio",)).quantizes_segments("audio")
        True
        """
        self.check_modality(modality)
        if len(self.modalities) == 1:
            return True
        return self.quantize_level == "segment" and modality in self.fine

    def trained_level(self, modality):
        return "segment" if self.quantizes_segments(modality) else "clip"

    def build_rest(self) -> None:
        dim, dtype = self.embedding_dim, self.dtype_policy
        self.projectors = {}
        for kind in self.coarse_kinds:
            setattr(self, kind, {})
        for name in self.groups:
            self.projectors[name] = CoarseProjector(dim, dtype=dtype, name=f"{name}_projector")
            self.projectors[name].build((None, None, dim))
            for kind in self.coarse_kinds:
                layer = keras.layers.Dense(dim, "relu", dtype=dtype, name=f"{name}_{kind}")
                layer.build((None, None, dim))
                getattr(self, kind)[name] = layer

    def call(self, inputs, training=False):
        self.check_inputs(inputs)
        masks = self.frame_masks(inputs)
        features: dict[str, dict[str, Tensor]] = {"fine_general": {}, "projected": {}}
        for name in self.modalities:
            mask = masks.get(name)
            fine = self.encode_frames(name, inputs[name], mask, training)
            features["fine_general"][name] = fine
            features["projected"][name] = self.projectors[self.group_of(name)](
                fine, frame_mask=mask, pool=not self.quantizes_segments(name)
            )
        for kind in self.coarse_kinds:
            layers = getattr(self, kind)
            features[kind] = {
                name: layers[self.group_of(name)](x) for name, x in features["projected"].items()
            }
        return {**features, **self.assign_codes(features["coarse_general"], masks, training)}

    def general_features(self, modality, x, level, mask=None):
        mask = mask if self.use_masks else None
        fine = self.encode_frames(modality, x, mask)
        group = self.group_of(modality)
        projected = self.projectors[group](fine, frame_mask=mask, pool=level == "clip")
        return self.coarse_general[group](projected)

    def get_config(self):
        return {
            **super().get_config(),
            "fine": self.fine,
            "quantize_level": self.quantize_level,
        }


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
