"""The part of a system that is kept: encoders of several modalities into one space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Self

import keras
import numpy as np
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.backend.replicas import own
from keras_cmg.models.base.presets import Presets, merged, named
from keras_cmg.ops.masking import weights_like
from keras_cmg.types import Tensor

LEVELS = ("segment", "clip")


class CrossModalBackbone(keras.Model):
    """Encoders of several modalities into one (discrete) space.

    Subclasses set `modalities`, build in `build(input_shape)` from a dict of shapes, and define
    `general_features`; those with a codebook set `quantizer` as well.

    Args:
        modalities: names of the modalities, in the order in which they update the codebook.
        **kwargs: the arguments of every Keras model.

    Raises:
        ValueError: if no modality is given, or one twice.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio", "video"))
    >>> backbone.modalities
    ('audio', 'video')
    """

    quantizer: Any
    presets: ClassVar[Presets] = {}
    """Named settings; the entry `"backbone"` of each holds arguments of the class."""

    def __init__(self, modalities: tuple[str, ...], **kwargs):
        super().__init__(**kwargs)
        modalities = tuple(modalities)
        if not modalities or len(set(modalities)) != len(modalities):
            raise ValueError(
                f"`modalities` must hold at least one name, each once. Received: {modalities}"
            )
        self.modalities = modalities
        self.use_masks = True
        self.quantizer = None

    @classmethod
    def from_preset(
        cls, name: str = "small", modalities: tuple[str, ...] | None = None, **overrides
    ) -> Self:
        """A backbone with named settings.

        Args:
            name: a key of `presets`.
            modalities: names; default those of the class, audio, video and text.
            **overrides: arguments of the class; dicts are merged into the preset's.

        Returns:
            The backbone, not built yet.

        Raises:
            ValueError: for an unknown preset.

        Example:

        >>> keras_cmg.models.FCIDBackbone.from_preset("small", num_embeddings=64).num_embeddings
        64
        """
        if modalities is not None:
            overrides["modalities"] = modalities
        return cls(**merged(named(cls.presets, name)["backbone"], overrides))

    def general_features(
        self, modality: str, x: Tensor, level: str, mask: Tensor | None = None
    ) -> Tensor:
        """Features of one modality in the shared space, before quantisation.

        Args:
            modality: its name.
            x: the modality's features as in a batch.
            level: `"segment"` or `"clip"`.
            mask: optional `(batch, frames)`, nonzero where a frame counts.

        Returns:
            `(batch, frames, dim)` for segments, `(batch, dim)` for clips.

        Raises:
            NotImplementedError: where a subclass does not define it.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
        >>> backbone.build({"audio": (None, 10, 128)})
        >>> tuple(backbone.general_features("audio", np.zeros((2, 10, 128)), "clip").shape)
        (2, 256)
        """
        raise NotImplementedError(f"{type(self).__name__} must define `general_features`.")

    def encode(
        self, modality: str, x: Any, level: str = "segment", mask: Any = None
    ) -> dict[str, Tensor]:
        """One modality in the shared space; what probes, retrieval and serving work on.

        Args:
            modality: one of `modalities`.
            x: the modality's features as in a batch, such as `(batch, frames, 128)` for audio.
            level: `"segment"`, one code per frame; `"clip"`, one per clip.
            mask: optional `(batch, frames)`, nonzero where a frame counts.

        Returns:
            Dict of `"general"`, before quantisation, and `"quantized"`, both `(batch, frames,
            dim)` or `(batch, dim)`, and `"indices"`, `(batch, frames)` or `(batch,)`. A system
            without codebook has no `"indices"`, and its `"quantized"` equals `"general"`.

        Raises:
            ValueError: for an unknown modality or level, features of another rank or width than
                those the backbone was built on, or features that are not finite in frames that
                count. In a traced or compiled function values cannot be checked: there, `"general"`
                and `"quantized"` of a clip with NaN are NaN, and its indices have no meaning.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
        >>> codes = backbone.encode("audio", np.zeros((2, 10, 128), "float32"))
        >>> tuple(codes["quantized"].shape), tuple(codes["indices"].shape)
        ((2, 10, 256), (2, 10))
        """
        self.check_modality(modality)
        if level not in LEVELS:
            raise ValueError(f"`level` must be one of {LEVELS}. Received: {level!r}")
        x = ops.convert_to_tensor(x)
        self.check_features(modality, x.shape)
        if mask is not None and self.use_masks:
            x = self.zero_masked_frames({modality: x, f"{modality}_mask": mask})[modality]
        self._check_finite(modality, x)
        if not self.built and len(self.modalities) == 1:
            self.build({modality: tuple(x.shape)})
        if not self.built:
            raise ValueError(
                "The backbone does not know the shapes of all its modalities yet. Call it on a "
                f"batch of {self.modalities}, or `build` it with their shapes, before `encode`."
            )
        general = self.general_features(modality, ops.cast(x, self.compute_dtype), level, mask)
        if self.quantizer is None:
            return {"general": general, "quantized": general}
        codes = self.quantizer.assign_codes(general)
        return {
            "general": general,
            "quantized": codes["quantized"],
            "indices": codes["indices"],
        }

    def _check_finite(self, modality: str, x: Tensor) -> None:
        if "float" not in keras.backend.standardize_dtype(x.dtype) or not engine.has_values(x):
            return
        if not bool(ops.all(ops.isfinite(x))):
            axes = tuple(range(1, len(x.shape)))
            finite = ops.convert_to_numpy(ops.all(ops.isfinite(x), axis=axes))
            raise ValueError(
                f"Features of {modality!r} must be finite. "
                f"Received NaN or infinity, first in row {int(np.argmin(finite))}."
            )

    def zero_masked_frames(self, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Sets frames that a mask leaves out to zero, so that NaN in them has no effect.

        Args:
            inputs: a batch.

        Returns:
            The batch; unchanged for a backbone with `use_masks=False`.

        Raises:
            ValueError: as `frame_masks`.

        Example:

        >>> batch = {"audio": np.full((1, 1, 2), np.nan), "audio_mask": np.zeros((1, 1))}
        >>> keras_cmg.models.FCIDBackbone(("audio",)).zero_masked_frames(batch)["audio"].tolist()
        [[[0.0, 0.0]]]
        """
        zeroed = dict(inputs)
        for name, mask in self.frame_masks(inputs).items():
            x = ops.convert_to_tensor(inputs[name])
            counts = ops.reshape(
                ops.cast(mask, "bool"), (*ops.shape(mask), *(1,) * len(x.shape[2:]))
            )
            zeroed[name] = ops.where(counts, x, ops.zeros((), dtype=x.dtype))
        return zeroed

    def __call__(self, inputs, *args, **kwargs):
        # Here rather than in each `call`, since every subclass has one of its own.
        if isinstance(inputs, Mapping) and any(f"{m}_mask" in inputs for m in self.modalities):
            self.check_batch({m: inputs[m].shape for m in self.modalities if m in inputs})
            inputs = self.zero_masked_frames(inputs)
        return super().__call__(inputs, *args, **kwargs)

    def trained_level(self, modality: str) -> str:
        """What training quantises of a modality.

        Args:
            modality: its name.

        Returns:
            `"segment"` or `"clip"`.

        Example:

        >>> keras_cmg.models.FCIDBackbone().trained_level("audio")
        'clip'
        """
        return "segment"

    def adapt_codebook(self, batches: Any, level: str | None = None) -> None:
        """Places the codes at k-means centres of features, see `Codebook.adapt`.

        Args:
            batches: as for `codebook_features`.
            level: as for `codebook_features`.

        Raises:
            ValueError: without a codebook, or for a batch that `encode` refuses.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone(("audio",), num_embeddings=4)
        >>> backbone.adapt_codebook({"audio": np.random.default_rng(0).normal(size=(8, 10, 128))})
        >>> backbone.codebook.shape
        (4, 256)
        """
        self.require_codebook("Adapting a codebook")
        self.quantizer.adapt(self.codebook_features(batches, level))

    def codebook_features(self, batches: Any, level: str | None = None) -> np.ndarray:
        """Computes the vectors of all modalities that the codebook quantises.

        Args:
            batches: dict of all modalities, or an iterable of such dicts; frames that a mask leaves
                out are not among the vectors.
            level: `"clip"` or `"segment"`; by default what training quantises of each modality.

        Returns:
            Array `(vectors, embedding_dim)`.

        Raises:
            ValueError: for a batch that `encode` refuses, or if there is no batch.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone(("audio",))
        >>> backbone.codebook_features({"audio": np.zeros((8, 10, 128))}).shape
        (80, 256)
        """
        features = []
        for batch in [batches] if isinstance(batches, Mapping) else batches:
            if not self.built:
                self.build({name: tuple(batch[name].shape) for name in self.modalities})
            features.extend(self._codebook_rows(batch, level))
        if not features:
            raise ValueError("`batches` must yield at least one batch. Received none.")
        return np.concatenate(features)

    def _codebook_rows(self, batch: Mapping[str, Any], level: str | None) -> list[np.ndarray]:
        masks = self.frame_masks(batch)
        features = []
        for name in self.modalities:
            mask = masks.get(name)
            chosen = level or self.trained_level(name)
            x = self.encode(name, batch[name], chosen, mask)["general"]
            rows = ops.convert_to_numpy(x).reshape(-1, self.quantizer.embedding_dim)
            if mask is not None:
                rows = rows[ops.convert_to_numpy(weights_like(mask, x)).ravel() > 0]
            features.append(rows)
        return features

    def frame_masks(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        """The masks of a batch, of those modalities that have one.

        Args:
            inputs: a batch.

        Returns:
            Modality to `(batch, frames)`: zero where a frame is padding, and zero throughout for
            a clip that lacks the modality. Empty for a backbone with `use_masks=False`.

        Raises:
            ValueError: for a mask of another shape than its modality's clips and frames.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone(("audio", "text"))
        >>> sorted(backbone.frame_masks({"text_mask": np.ones((2, 7)), "labels": None}))
        ['text']
        """
        if not self.use_masks:
            return {}
        masks = {}
        # Of several replicas, masks are gathered and features of the batch are not.
        batch = own(inputs)
        for name in self.modalities:
            mask = inputs.get(f"{name}_mask")
            if mask is None:
                continue
            masks[name] = ops.convert_to_tensor(mask)
            shape = tuple(ops.convert_to_tensor(batch[f"{name}_mask"]).shape)
            expected = tuple(batch[name].shape[:2]) if name in batch else (None, None)
            sizes = zip(shape, expected, strict=False)
            if len(shape) != 2 or any(None not in pair and pair[0] != pair[1] for pair in sizes):
                raise ValueError(
                    f"`{name}_mask` must have shape (batch, frames), here {expected}. "
                    f"Received shape {shape}."
                )
        return masks

    def require_codebook(self, purpose: str) -> None:
        """Refuses what needs codes, in a system that has none.

        Args:
            purpose: what needs them, the start of a sentence, such as `"TOC"`.

        Raises:
            ValueError: naming the system and the reason.

        Example:

        >>> keras_cmg.models.FCIDBackbone().require_codebook("TOC")
        """
        if self.quantizer is None:
            system = type(self).__name__.removesuffix("Backbone")
            raise ValueError(
                f"{purpose} needs codes, and {system} has none: its features are continuous. "
                "Its `codebook` is None."
            )

    def check_modality(self, modality: str) -> None:
        """Refuses a modality this backbone does not have.

        Args:
            modality: its name.

        Raises:
            ValueError: for an unknown name.

        Example:

        >>> keras_cmg.models.FCIDBackbone(("audio",)).check_modality("audio")
        """
        if modality not in self.modalities:
            raise ValueError(f"`modality` must be one of {self.modalities}. Received: {modality!r}")

    def check_features(self, modality: str, shape: Any) -> None:
        """Refuses features of another rank or width than those the backbone was built on.

        Args:
            modality: name of the modality.
            shape: of the features.

        Raises:
            ValueError: naming the modality, the rule and the shape received.

        Example:

        >>> keras_cmg.models.FCIDBackbone(("audio",)).check_features("audio", (1, 2))
        """
        expected = getattr(self, "feature_shapes", {}).get(modality)
        shape = tuple(shape)
        if expected is None:
            return
        same_rank = len(shape) == len(expected)
        if not same_rank or any(
            a is not None and b is not None and a != b
            for a, b in zip(shape[2:], expected[2:], strict=True)
        ):
            sizes = ", ".join(str(size) for size in expected[2:])
            raise ValueError(
                f"Features of {modality!r} must have shape (batch, frames, {sizes}). "
                f"Received shape {shape}."
            )

    def check_batch(self, shapes: Mapping[str, Any]) -> None:
        """Refuses a batch that misses a modality or whose clips differ in number.

        Args:
            shapes: modality to shape.

        Raises:
            ValueError: naming the modality.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
        >>> backbone.check_batch({"audio": (2, 10, 128)})
        """
        if not isinstance(shapes, Mapping):
            raise ValueError(
                f"A batch must be a dict of the modalities {self.modalities}. "
                f"Received: {type(shapes).__name__}"
            )
        missing = [name for name in self.modalities if name not in shapes]
        if missing:
            raise ValueError(
                f"A batch must hold the modalities {self.modalities}. "
                f"Missing: {missing}. Received: {sorted(shapes)}"
            )
        for name in self.modalities:
            self.check_features(name, shapes[name])
        sizes = {name: next(iter(shapes[name])) for name in self.modalities}
        if len({size for size in sizes.values() if size is not None}) > 1:
            raise ValueError(
                f"All modalities of a batch must hold the same clips. Received clips: {sizes}"
            )

    @property
    def codebook(self) -> np.ndarray | None:
        """The codes, float array `(num_embeddings, embedding_dim)`; None without a codebook."""
        if self.quantizer is None:
            return None
        return ops.convert_to_numpy(self.quantizer.codebook)


@keras.saving.register_keras_serializable("keras_cmg")
class ModalityEncoder(keras.Model):
    """One modality's way through a backbone as a model of its own, for `predict` and export.

    Args:
        backbone: a built `CrossModalBackbone`.
        modality: which modality its input is.
        level: `"segment"` or `"clip"`.
        **kwargs: the arguments of every Keras model.

    Call arguments:
        inputs: the modality's features as in a batch; or a batch, a dict with the modality and,
            optionally, `<modality>_mask`.

    Returns:
        The dict of `CrossModalBackbone.encode`.

    Raises:
        ValueError: for an unknown modality or level.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
    >>> backbone.build({"audio": (None, 10, 128)})
    >>> codes = keras_cmg.models.ModalityEncoder(backbone, "audio", level="clip").predict(
    ...     np.zeros((5, 10, 128), "float32"), verbose=0
    ... )
    >>> codes["indices"].shape
    (5,)
    """

    def __init__(
        self, backbone: CrossModalBackbone, modality: str, level: str = "segment", **kwargs
    ):
        super().__init__(**kwargs)
        backbone.check_modality(modality)
        if level not in LEVELS:
            raise ValueError(f"`level` must be one of {LEVELS}. Received: {level!r}")
        self.backbone = backbone
        self.modality = modality
        self.level = level

    def build(self, input_shape=None):
        self.built = True

    def call(self, inputs):
        mask = None
        if isinstance(inputs, Mapping):
            mask = inputs.get(f"{self.modality}_mask")
            inputs = inputs[self.modality]
        return self.backbone.encode(self.modality, inputs, self.level, mask)

    def get_config(self):
        return {
            **super().get_config(),
            "backbone": keras.saving.serialize_keras_object(self.backbone),
            "modality": self.modality,
            "level": self.level,
        }

    @classmethod
    def from_config(cls, config):
        backbone = keras.saving.deserialize_keras_object(config.pop("backbone"))
        return cls(backbone, **config)
