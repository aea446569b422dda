"""Coarse level: features of fine frames, projected and encoded per group of modalities."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras

from keras_cmg.layers.coarse_projector import CoarseProjector
from keras_cmg.types import Tensor

UNALIGNED = ("text",)
"""Modalities whose frames are not the seconds of a clip, unless `fine` says otherwise."""

QUANTIZE_LEVELS = ("clip", "segment")


@keras.saving.register_keras_serializable("keras_cmg")
class CoarseLevel(keras.layers.Layer):
    """Projectors and coarse encoders, one set for each group of modalities.

    The fine modalities form one group, and each other modality a group of its own. In each group a
    projector averages the frames of a clip, and one or two encoders (dense, ReLU) map its output to
    general and specific features.

    Frames whose mask is zero do not count in the average over time; a clip without any frame gets
    the features of a zero vector. Without averaging, masks have no effect.

    Args:
        modalities: names.
        fine: those of `modalities` whose frames are the seconds of a clip; default all but text.
        quantize_level: `"clip"`, every modality is averaged over time; `"segment"`, fine modalities
            keep their frames. One modality alone always keeps its frames.
        units: width of all outputs.
        specific: whether there are encoders of specific features.
        **kwargs: the arguments of every Keras layer.

    Call arguments:
        inputs: modality to float tensor `(batch, frames, dim)`.
        frame_masks: optional, modality to `(batch, frames)`, nonzero where a frame counts.

    Returns:
        Dict of `"projected"`, `"coarse_general"` and, with `specific`, `"coarse_specific"`, each a
        dict of modality to `(batch, units)`, or `(batch, frames, units)` where frames are kept.

    Raises:
        ValueError: if `fine` names unknown modalities, or for an unknown `quantize_level`.

    Example:

    >>> layer = keras_cmg.layers.CoarseLevel(("audio", "text"), units=4)
    >>> x = {"audio": np.ones((2, 10, 6), "float32"), "text": np.ones((2, 7, 6), "float32")}
    >>> tuple(layer(x)["coarse_general"]["audio"].shape)
    (2, 4)
    >>> layer.groups
    {'coarse_audio': ('audio',), 'text': ('text',)}

    References:
        Huang et al. (2025), section 3.1 (the projectors P^va and P^t, and the coarse encoders);
        Alayrac et al. (2020), Self-Supervised MultiModal Versatile Networks (fine and coarse
        spaces).
    """

    def __init__(
        self,
        modalities: tuple[str, ...] = ("audio", "video", "text"),
        fine: tuple[str, ...] | None = None,
        quantize_level: str = "clip",
        units: int = 256,
        specific: bool = False,
        **kwargs,
    ):
        super().__init__(**kwargs)
        modalities = tuple(modalities)
        if fine is None:
            fine = tuple(m for m in modalities if m not in UNALIGNED)
        unknown = sorted(set(fine) - set(modalities))
        if unknown:
            raise ValueError(f"`fine` must name modalities of {modalities}. Received: {unknown}")
        if quantize_level not in QUANTIZE_LEVELS:
            raise ValueError(
                f"`quantize_level` must be one of {QUANTIZE_LEVELS}. Received: {quantize_level!r}"
            )
        self.modalities = modalities
        self.fine = tuple(fine)
        self.quantize_level = quantize_level
        self.units = units
        self.specific = specific
        self.projectors: dict[str, Any] = {}
        self.general_encoders: dict[str, Any] = {}
        self.specific_encoders: dict[str, Any] = {}

    @property
    def groups(self) -> dict[str, tuple[str, ...]]:
        """Sets of modalities that share their layers, by name: the fine ones together."""
        groups = {group_name(self.fine): self.fine} if self.fine else {}
        groups.update({m: (m,) for m in self.modalities if m not in self.fine})
        return groups

    def group_of(self, modality: str) -> str:
        """Returns the name of the group that a modality belongs to.

        Args:
            modality: its name.

        Returns:
            A key of `groups`.

        Example:

        >>> keras_cmg.layers.CoarseLevel().group_of("video")
        'audiovisual'
        """
        return group_name(self.fine) if modality in self.fine else modality

    def keeps_frames(self, modality: str) -> bool:
        """Returns whether the frames of a modality are kept, rather than averaged.

        Args:
            modality: its name.

        Returns:
            True or False.

        Example:

        >>> keras_cmg.layers.CoarseLevel(("audio",)).keeps_frames("audio")
        True
        """
        if len(self.modalities) == 1:
            return True
        return self.quantize_level == "segment" and modality in self.fine

    def build(self, input_shape):
        for group, members in self.groups.items():
            shape = input_shape[members[0]]
            layer = CoarseProjector(self.units, dtype=self.dtype_policy, name=f"{group}_projector")
            layer.build(shape)
            self.projectors[group] = layer
            self.general_encoders[group] = self._encoder(f"{group}_coarse_general")
            if self.specific:
                self.specific_encoders[group] = self._encoder(f"{group}_coarse_specific")
        self.built = True

    def _encoder(self, name: str) -> keras.Layer:
        layer = keras.layers.Dense(self.units, "relu", dtype=self.dtype_policy, name=name)
        layer.build((None, None, self.units))
        return layer

    def call(self, inputs, frame_masks=None):
        masks = frame_masks or {}
        outputs: dict[str, dict[str, Tensor]] = {"projected": {}, "coarse_general": {}}
        if self.specific:
            outputs["coarse_specific"] = {}
        for name, x in inputs.items():
            group = self.group_of(name)
            x = self.projectors[group](
                x, frame_mask=masks.get(name), pool=not self.keeps_frames(name)
            )
            outputs["projected"][name] = x
            outputs["coarse_general"][name] = self.general_encoders[group](x)
            if self.specific:
                outputs["coarse_specific"][name] = self.specific_encoders[group](x)
        return outputs

    def general_features(
        self, modality: str, x: Tensor, level: str, mask: Tensor | None = None
    ) -> Tensor:
        """Computes the general features of one modality.

        Args:
            modality: its name.
            x: float tensor `(batch, frames, dim)`.
            level: `"segment"`, of every frame; `"clip"`, of the average over time.
            mask: optional `(batch, frames)`, nonzero where a frame counts.

        Returns:
            Float tensor `(batch, frames, units)` or `(batch, units)`.

        Example:

        >>> layer = keras_cmg.layers.CoarseLevel(("audio", "text"), units=4)
        >>> layer.build({"audio": (None, 10, 6), "text": (None, 7, 6)})
        >>> tuple(layer.general_features("audio", np.ones((2, 10, 6), "float32"), "clip").shape)
        (2, 4)
        """
        group = self.group_of(modality)
        projected = self.projectors[group](x, frame_mask=mask, pool=level == "clip")
        return self.general_encoders[group](projected)

    def compute_output_shape(self, input_shape: Mapping[str, Any]):
        shapes = {
            name: (*shape[: 2 if self.keeps_frames(name) else 1], self.units)
            for name, shape in input_shape.items()
        }
        kinds = ("projected", "coarse_general", "coarse_specific")
        return {kind: dict(shapes) for kind in kinds[: 3 if self.specific else 2]}

    def get_config(self):
        names = "modalities fine quantize_level units specific".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}


def group_name(modalities: tuple[str, ...]) -> str:
    """Returns the name of modalities taken together: "audiovisual" for audio and video.

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
