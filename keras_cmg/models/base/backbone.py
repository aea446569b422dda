"""Backbone: encoders of several modalities into one shared space."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import keras
import numpy as np
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.backend.rematerialization import compute_in_chunks
from keras_cmg.layers.precision import variable_dtype
from keras_cmg.layers.quantizers.aligned_codebook import AlignedCodebook
from keras_cmg.layers.quantizers.codebook import Codebook
from keras_cmg.layers.quantizers.fsq import FSQ
from keras_cmg.layers.quantizers.grouped_quantizer import GroupedQuantizer
from keras_cmg.layers.quantizers.learned_codebook import LearnedCodebook
from keras_cmg.layers.quantizers.lfq import LFQ
from keras_cmg.layers.quantizers.projected_quantizer import ProjectedQuantizer
from keras_cmg.layers.quantizers.prototypes import Prototypes
from keras_cmg.layers.quantizers.quantizer import Quantizer
from keras_cmg.layers.quantizers.sim_vq import SimVQ
from keras_cmg.models.base.configs import (
    build_config,
    build_from_config,
    deserialize_layers,
    freeze_layers,
    frozen_layers,
    is_serialized,
    quantizing_all_layers,
    serialize_layer,
)
from keras_cmg.models.base.exporting import export_system
from keras_cmg.models.base.presets import Presets, merged, named
from keras_cmg.ops.masking import weights_like
from keras_cmg.types import Tensor

LEVELS = ("segment", "clip")

CODEBOOKS: dict[str, Any] = {
    layer.__name__: layer
    for layer in (AlignedCodebook, Codebook, LearnedCodebook, Prototypes, SimVQ)
}
"""Quantisers that `quantizer` may name: those of a number of codes and their length."""


class Backbone(keras.Model):
    """Encoders of several modalities into one space, with a quantiser or without.

    The contract of all systems. A subclass sets the attributes `num_embeddings`, `embedding_dim`
    and `seed` and then calls `set_quantizer`, if it has codes; makes and builds its layers in
    `build_layers`, from `feature_shapes`; and defines `call` and `general_features`. `presets` and
    `default_preset` give it `from_preset`.

    Args:
        modalities: names of the modalities, in the order in which they update the codebook.
        frozen_layers: paths of inner layers that do not train, such as `"codebook"` or
            `"audio_general/projection"`. They are frozen when the backbone is built; layers that
            are frozen later by `layer.trainable = False` are listed here as well, and saved.
        **kwargs: the arguments of every Keras model.

    Raises:
        ValueError: if no modality is given, or one twice, or a single name in place of a tuple.

    Example:

    >>> backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio", "video"))
    >>> backbone.modalities
    ('audio', 'video')
    """

    embedding_dim: int
    num_embeddings: int
    seed: int
    batch_chunks: int = 1
    """Parts of a batch that encoders and decoders process one after the other in training, an
    argument of `compile` of the pretrainer."""
    use_masks: bool = False
    """Whether `<modality>_mask` of a batch is used."""
    quantizer_class: ClassVar[Any] = Codebook
    """Class of the quantiser that is made where none is given."""
    quantized_kind: ClassVar[str] = "general"
    """The features that training quantises, an entry of the output."""
    layer_arguments: ClassVar[tuple[str, ...]] = ("quantizer",)
    """Arguments that hold a layer, or a dict of layers."""
    presets: ClassVar[Presets] = {}
    """Named settings; the entry `"backbone"` of each holds arguments of the class."""
    default_preset: ClassVar[str] = "small"
    """The preset that is used where none is named."""

    def __init__(self, modalities: tuple[str, ...], frozen_layers: tuple[str, ...] = (), **kwargs):
        super().__init__(**kwargs)
        named = not isinstance(modalities, str) and all(isinstance(m, str) for m in modalities)
        if not named or not modalities or len(set(modalities)) != len(modalities):
            raise ValueError(
                f"`modalities` must hold at least one name, each once. Received: {modalities!r}"
            )
        modalities = tuple(modalities)
        self.modalities = modalities
        self._to_freeze = tuple(frozen_layers)
        self._quantization: Any = None
        self.feature_shapes: dict[str, tuple[int | None, ...]] = {}
        self.quantizer: Any = None

    def set_quantizer(self, quantizer: keras.Layer | Mapping[str, Any] | None) -> None:
        """Sets the layer that assigns codes to features.

        Args:
            quantizer: a layer with the call and `assign_codes` of `keras_cmg.layers.Codebook`, its
                configuration by `keras.saving.serialize_keras_object`, or arguments of
                `quantizer_class`; an argument `class_name` names another class of
                `keras_cmg.layers`, such as `"Prototypes"` or `"AlignedCodebook"`, and an argument
                `num_groups` makes a `GroupedQuantizer` of as many, each with `num_embeddings` codes
                of its share of the channels. `FSQ`, `LFQ` and `BSQ`, which have widths of their
                own, are wrapped in a `ProjectedQuantizer` with `normalize_inputs`. `num_embeddings`
                becomes that of a layer.

        Raises:
            ValueError: if a layer has another `embedding_dim` than the backbone, an
                `AlignedCodebook` lacks one of its modalities, `class_name` is no quantiser of
                codes, or `num_groups` does not divide the channels.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone(("audio",))
        >>> backbone.set_quantizer(keras_cmg.layers.Codebook(num_embeddings=8, name="codebook"))
        >>> backbone.quantizer.num_embeddings
        8
        """
        if is_serialized(quantizer):
            quantizer = keras.saving.deserialize_keras_object(quantizer)
        if not isinstance(quantizer, keras.Layer):
            arguments = dict(quantizer or {})
            name = arguments.pop("class_name", None)
            if name is not None and name not in CODEBOOKS:
                raise ValueError(
                    f"`class_name` of `quantizer` must be one of {sorted(CODEBOOKS)}. "
                    f"Received: {name!r}"
                )
            quantizer_class = self.quantizer_class if name is None else CODEBOOKS[name]
            layer = self._new_quantizer(quantizer_class, arguments)
        else:
            layer = quantizer
            if isinstance(layer, (FSQ, LFQ)) and layer.embedding_dim != self.general_dim:
                layer = ProjectedQuantizer(
                    layer,
                    self.general_dim,
                    normalize_inputs=True,
                    seed=self.seed,
                    dtype=self.dtype_policy,
                    name="codebook",
                )
            self.num_embeddings = getattr(layer, "num_embeddings", self.num_embeddings)
        known = layer.modalities if isinstance(layer, AlignedCodebook) else self.modalities
        if set(self.modalities) - set(known):
            raise ValueError(
                f"`quantizer` must have codes of the modalities {self.modalities}. "
                f"Received: {known}"
            )
        dim = getattr(layer, "embedding_dim", self.general_dim)
        if dim != self.general_dim:
            raise ValueError(
                f"`quantizer` must have the width of the features, `embedding_dim` "
                f"{self.general_dim}. Received: {dim}"
            )
        self.quantizer = layer

    def check_names(self, **layers: Mapping[str, Any]) -> None:
        """Raises an error for layers of modalities that the backbone does not have.

        Args:
            **layers: argument to its dict of modality to layer.

        Raises:
            ValueError: naming the argument and the modalities.

        Example:

        >>> keras_cmg.models.FCIDBackbone(("audio",)).check_names(encoders={})
        """
        for argument, given in layers.items():
            unknown = sorted(set(given) - set(self.modalities))
            if unknown:
                raise ValueError(
                    f"`{argument}` must name modalities of {self.modalities}. Received: {unknown}"
                )

    def require_shared_codes(self) -> None:
        """Raises an error for a quantiser whose modalities have codes of their own.

        Raises:
            ValueError: naming the backbone and the quantiser.

        Example:

        >>> keras_cmg.models.AHABackbone(("audio", "text")).require_shared_codes()
        """
        if isinstance(self.quantizer, AlignedCodebook):
            raise ValueError(
                f"`quantizer` of {type(self).__name__} must have the same codes for all "
                f"modalities. Received: {type(self.quantizer).__name__}"
            )

    def _new_quantizer(self, quantizer_class: Any, arguments: dict[str, Any]) -> Quantizer:
        """The quantiser of a number of codes, or a group of such."""
        groups = arguments.pop("num_groups", 1)
        aligned = quantizer_class is AlignedCodebook
        if not isinstance(groups, int) or groups < 1 or self.embedding_dim % groups:
            raise ValueError(
                "`num_groups` of `quantizer` must be an int that divides `embedding_dim`, "
                f"{self.embedding_dim}. Received: {groups!r}"
            )
        if aligned and groups > 1:
            raise ValueError(
                "`num_groups` of `quantizer` must be 1 for AlignedCodebook, whose codes have a "
                f"block of channels for each modality. Received: {groups}"
            )
        if aligned:
            arguments = {"modalities": self.modalities, **arguments}
        common = {"dtype": self.dtype_policy, "name": "codebook"}
        layer = quantizer_class(
            self.num_embeddings,
            self.embedding_dim // groups,
            **{"seed": self.seed, **common},
            **arguments,
        )
        return layer if groups == 1 else GroupedQuantizer(layer, groups, **common)

    @property
    def frozen_layers(self) -> tuple[str, ...]:
        """Paths of the inner layers that do not train."""
        return tuple(sorted({*self._to_freeze, *frozen_layers(self)}))

    @classmethod
    def from_preset(
        cls, name: str | None = None, modalities: tuple[str, ...] | None = None, **overrides
    ) -> Self:
        """Makes a backbone with named settings.

        Args:
            name: a key of `presets`; `default_preset` if None.
            modalities: names; default those of the class.
            **overrides: arguments of the class; dicts are merged into the preset's.

        Returns:
            The backbone, not built.

        Raises:
            ValueError: for an unknown preset.

        Example:

        >>> keras_cmg.models.FCIDBackbone.from_preset("small", num_embeddings=64).num_embeddings
        64
        """
        if modalities is not None:
            overrides["modalities"] = modalities
        return cls(**merged(named(cls.presets, name or cls.default_preset)["backbone"], overrides))

    def build(self, input_shape: Mapping[str, Any]) -> None:
        self.check_batch(input_shape)
        # No batch size: the next batch may have another.
        shapes = {m: (None, *tuple(input_shape[m])[1:]) for m in self.modalities}
        # Before anything is kept: a refused batch leaves the backbone as it was.
        self.check_feature_shapes(shapes)
        self.feature_shapes = shapes
        with engine.current().initialization():
            self.build_layers()
            if self.quantizer is not None and not self.quantizer.built:
                self.quantizer.build()
        freeze_layers(self, self._to_freeze)
        self._to_freeze = ()
        self.built = True

    def check_feature_shapes(self, shapes: Mapping[str, tuple[int | None, ...]]) -> None:
        """Raises an error for features that no layer of the backbone takes.

        Args:
            shapes: modality to shape, without a batch size.

        Raises:
            ValueError: naming the modality.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone(("audio",))
        >>> backbone.check_feature_shapes({"audio": (None, 10, 128)})
        """

    def build_layers(self) -> None:
        """Makes and builds the layers, all but the quantiser, for `feature_shapes`."""

    def general_features(
        self, modality: str, x: Tensor, level: str, mask: Tensor | None = None
    ) -> Tensor:
        """Computes features of one modality in the shared space, before quantisation.

        Args:
            modality: its name.
            x: the modality's features as in a batch.
            level: `"segment"` or `"clip"`.
            mask: optional `(batch, frames)`, nonzero where a frame counts.

        Returns:
            `(batch, frames, dim)` for segments, `(batch, dim)` for clips.

        Raises:
            NotImplementedError: if a subclass does not define it.

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
        """Encodes one modality: what probes, retrieval and serving use.

        Args:
            modality: one of `modalities`.
            x: the modality's features as in a batch, such as `(batch, frames, 128)` for audio.
            level: `"segment"`, one code per frame; `"clip"`, one per clip.
            mask: optional `(batch, frames)`, nonzero where a frame counts.

        Returns:
            Dict of `"general"`, before quantisation, and `"quantized"`, both `(batch, frames,
            dim)` or `(batch, dim)`, and `"indices"`, `(batch, frames)` or `(batch,)`. A system
            without codebook has no `"indices"`, and its `"quantized"` equals `"general"`. Floats
            have the variable dtype, float32 at least, under every policy.

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
            batch = {modality: x, f"{modality}_mask": mask}
            x = self.zero_masked_frames(batch, self.frame_masks(batch))[modality]
        self._check_finite(modality, x)
        if not self.built and len(self.modalities) == 1:
            self.build({modality: tuple(x.shape)})
        if not self.built:
            raise ValueError(
                "The backbone does not know the shapes of all its modalities. Call it on a "
                f"batch of {self.modalities}, or `build` it with their shapes, before `encode`."
            )
        general = self.general_features(modality, ops.cast(x, self.compute_dtype), level, mask)
        codes = {} if self.quantizer is None else self.quantize_modality(modality, general)
        # NumPy, JSON and most readers know no bfloat16.
        general = ops.cast(general, variable_dtype(self.dtype_policy))
        if self.quantizer is None:
            return {"general": general, "quantized": general}
        return {
            "general": general,
            "quantized": codes["quantized"],
            "indices": codes["indices"],
        }

    def quantize_modality(self, modality: str, general: Tensor) -> dict[str, Tensor]:
        """Quantises features of one modality, without changing state.

        Args:
            modality: its name.
            general: float tensor `(batch, [frames,] embedding_dim)`.

        Returns:
            Dict of `"quantized"`, `(batch, [frames,] code_dim)`, and `"indices"`.

        Example:

        >>> backbone = keras_cmg.models.SequenceBackbone(("audio",), num_embeddings=8)
        >>> backbone.build({"audio": (None, 10, 128)})
        >>> tuple(backbone.quantize_modality("audio", np.zeros((2, 256)))["quantized"].shape)
        (2, 256)
        """
        if isinstance(self.quantizer, AlignedCodebook):
            return self.quantizer.assign_codes(general, modality)
        return self.quantizer.assign_codes(general)

    def in_chunks(
        self, function: Any, layer: keras.Layer, tensors: Sequence[Any], training: bool
    ) -> Tensor:
        """Calls a function of a layer on the parts of a batch, in training, or on all of it.

        Args:
            function: of the tensors to a float tensor with the same rows.
            layer: the built layer that it calls.
            tensors: tensors with a row per clip, or None.
            training: whether the parts are those of `parts_of`; otherwise there is one.

        Returns:
            Float tensor.

        Raises:
            ValueError: as `keras_cmg.backend.rematerialization.compute_in_chunks`.

        Example:

        >>> layer = keras.layers.Dense(2)
        >>> backbone = keras_cmg.models.FCIDBackbone(("audio",))
        >>> tuple(backbone.in_chunks(layer, layer, [np.ones((4, 3))], training=True).shape)
        (4, 2)
        """
        rows = next(x for x in tensors if x is not None).shape[0]
        parts = self.parts_of(rows) if training else 1
        return (
            compute_in_chunks(function, [layer], tensors, parts)
            if parts > 1
            else function(*tensors)
        )

    def parts_of(self, clips: int | None) -> int:
        """Returns the number of parts of a batch: `batch_chunks`, at most one for each clip.

        Args:
            clips: number of clips, such as that of the last batch; None if it is not known.

        Returns:
            int.

        Example:

        >>> keras_cmg.models.FCIDBackbone(("audio",)).parts_of(3)
        1
        """
        return min(self.batch_chunks, clips) if isinstance(clips, int) else self.batch_chunks

    @property
    def general_dim(self) -> int:
        """Width of `"general"`, as `encode` returns it."""
        return self.embedding_dim

    @property
    def code_dim(self) -> int:
        """Length of quantised vectors: `general_dim`, or that of a row of `AlignedCodebook`."""
        return getattr(self.quantizer, "code_dim", self.general_dim)

    def index_features(self, modality: str, codes: Mapping[str, Tensor]) -> Tensor:
        """Returns the vectors of clips that a search compares, in the space of the codebook.

        Args:
            modality: name of the modality.
            codes: as from `encode`.

        Returns:
            Float tensor `(..., code_dim)`: the general features. With `AlignedCodebook`, the row of
            codes with the general features in place of the modality's own block.

        Example:

        >>> backbone = keras_cmg.models.SequenceBackbone(("audio",), num_embeddings=8)
        >>> codes = backbone.encode("audio", np.zeros((2, 10, 128)), "clip")
        >>> tuple(backbone.index_features("audio", codes).shape)
        (2, 256)
        """
        if not isinstance(self.quantizer, AlignedCodebook):
            return codes["general"]
        blocks = {**self.quantizer.blocks(codes["quantized"]), modality: codes["general"]}
        return ops.concatenate(
            [ops.cast(block, self.quantizer.compute_dtype) for block in blocks.values()], axis=-1
        )

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

    def trained_level(self, modality: str) -> str:
        """Returns the level at which training quantises a modality.

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
            ValueError: without a codebook, for a quantiser that stores no codes, or for a batch
                that `encode` refuses.

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
            batches: dict of all modalities, or an iterable of such dicts, alone or in tuples as for
                `fit`; frames that a mask leaves out are not among the vectors.
            level: `"clip"` or `"segment"`; default `trained_level` of each modality.

        Returns:
            Array `(vectors, code_dim)`. With `AlignedCodebook`, each holds the vectors of all
            modalities at one clip and frame.

        Raises:
            ValueError: for a batch that `encode` refuses, or if there is no batch.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone(("audio",))
        >>> backbone.codebook_features({"audio": np.zeros((8, 10, 128))}).shape
        (80, 256)
        """
        features = []
        for batch in [batches] if isinstance(batches, Mapping) else batches:
            batch = batch[0] if isinstance(batch, tuple) else batch
            if not self.built:
                self.build({name: tuple(batch[name].shape) for name in self.modalities})
            features.extend(self._codebook_rows(batch, level))
        if not features:
            raise ValueError("`batches` must yield at least one batch. Received none.")
        return np.concatenate(features)

    def _codebook_rows(self, batch: Mapping[str, Any], level: str | None) -> list[np.ndarray]:
        masks = self.frame_masks(batch)
        general = {
            name: self.encode(
                name, batch[name], level or self.trained_level(name), masks.get(name)
            )["general"]
            for name in self.modalities
        }
        if isinstance(self.quantizer, AlignedCodebook):
            weights = {name: weights_like(mask, general[name]) for name, mask in masks.items()}
            rows, counts = map(ops.convert_to_numpy, self.quantizer.aligned_rows(general, weights))
            return [rows[counts]]
        features = []
        for name, x in general.items():
            mask = masks.get(name)
            rows = ops.convert_to_numpy(x).reshape(-1, self.quantizer.embedding_dim)
            if mask is not None:
                rows = rows[ops.convert_to_numpy(weights_like(mask, x)).ravel() > 0]
            features.append(rows)
        return features

    def frame_masks(self, inputs: Mapping[str, Any]) -> dict[str, Tensor]:
        """Returns the frame masks of a batch.

        Args:
            inputs: a batch.

        Returns:
            Modality to `(batch, frames)`, for modalities with a mask: zero where a frame is
            padding, and zero throughout for a clip that lacks the modality. A backbone without
            masks returns an empty dict.

        Example:

        >>> keras_cmg.models.VQVAEBackbone().frame_masks({"image": np.ones((2, 8, 8, 1))})
        {}
        """
        return {}

    @staticmethod
    def zero_masked_frames(inputs: Mapping[str, Any], masks: Mapping[str, Tensor]) -> Any:
        """Sets frames that a mask leaves out to zero, so that NaN in them has no effect.

        Args:
            inputs: a batch.
            masks: as from `frame_masks`.

        Returns:
            The batch.

        Example:

        >>> batch, mask = {"audio": np.full((1, 1, 2), np.nan)}, np.zeros((1, 1))
        >>> Backbone.zero_masked_frames(batch, {"audio": mask})["audio"].tolist()
        [[[0.0, 0.0]]]
        """
        zeroed = {}
        for name, mask in masks.items():
            x = ops.convert_to_tensor(inputs[name])
            shape = (*ops.shape(mask), *(1,) * len(x.shape[2:]))
            counts = ops.reshape(ops.cast(mask, "bool"), shape)
            zeroed[name] = ops.where(counts, x, ops.zeros((), dtype=x.dtype))
        return {**inputs, **zeroed} if zeroed else inputs

    def require_codebook(self, purpose: str) -> None:
        """Raises an error if the system has no codebook.

        Args:
            purpose: what needs codes, the start of a sentence, such as `"TOC"`.

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
        """Raises an error for a modality that the backbone does not have.

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
        """Raises an error for features without frames, or of another shape than those at first.

        Args:
            modality: name of the modality.
            shape: of the features.

        Raises:
            ValueError: naming the modality, the rule and the shape received.

        Example:

        >>> keras_cmg.models.FCIDBackbone(("audio",)).check_features("audio", (1, 2))
        """
        expected = self.feature_shapes.get(modality)
        shape = tuple(shape)
        if 0 in shape[1:]:
            raise ValueError(
                f"Features of {modality!r} must have at least one frame, and no other axis of "
                f"length 0 but that of clips. Received shape {shape}."
            )
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

    def check_inputs(self, inputs: Any) -> None:
        """Raises an error for a batch that `check_batch` refuses, or that is no dict.

        Args:
            inputs: a batch.

        Raises:
            ValueError: as `check_batch`.

        Example:

        >>> keras_cmg.models.FCIDBackbone(("audio",)).check_inputs({"audio": np.zeros((2, 10, 8))})
        """
        is_batch = isinstance(inputs, Mapping)
        self.check_batch(
            {m: inputs[m].shape for m in self.modalities if m in inputs} if is_batch else inputs
        )

    def check_batch(self, shapes: Mapping[str, Any]) -> None:
        """Raises an error if a batch misses a modality or its modalities differ in clips.

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
        """The codes, float array `(num_embeddings, embedding_dim)`; None without a quantiser.

        Of a quantiser that describes a vector by several codes, those of each level or group, one
        after another; the codes of a group of channels are zero in all other channels.
        """
        if self.quantizer is None:
            return None
        rows, start = [], 0
        for table in self.codebooks:
            codes = ops.convert_to_numpy(table)
            rest = self.code_dim - codes.shape[1]
            # Codes of levels are as wide as their sum.
            rows.append(np.pad(codes, ((0, 0), (start, rest - start if rest else 0))))
            start += codes.shape[1] if rest else 0
        return np.concatenate(rows)

    @property
    def codebooks(self) -> list[Tensor]:
        """All codes of each index of a vector, see `keras_cmg.layers.Quantizer.codebooks`."""
        if isinstance(self.quantizer, Quantizer):
            return self.quantizer.codebooks
        return [ops.convert_to_tensor(self.quantizer.codebook)]

    def code_source(self) -> Any:
        """Returns the codes as `TOCChannelMask.adapt` and `keras_cmg.search.CodeIndex` take them.

        Returns:
            The quantiser; of quantisers of other packages, `codebook`; None without a quantiser.

        Example:

        >>> type(keras_cmg.models.FCIDBackbone().code_source()).__name__
        'Codebook'
        """
        return self.quantizer if isinstance(self.quantizer, Quantizer) else self.codebook

    def code_tables(self) -> list[Tensor]:
        """Returns all codes of each index of a vector where vectors are compared with them.

        See `keras_cmg.layers.Quantizer`.

        Returns:
            A float tensor `(values, dim)` for each index.

        Example:

        >>> backbone = keras_cmg.models.FCIDBackbone(("audio",), num_embeddings=8)
        >>> backbone.build({"audio": (None, 10, 128)})
        >>> [tuple(codes.shape) for codes in backbone.code_tables()]
        [(8, 256)]
        """
        if isinstance(self.quantizer, Quantizer):
            return self.quantizer.code_tables()
        return [ops.convert_to_tensor(self.quantizer.codebook)]

    @property
    def distance_units(self) -> list[float]:
        """Unit of the distances to the codes of each index, see `keras_cmg.layers.Quantizer`."""
        return self.quantizer.distance_units if isinstance(self.quantizer, Quantizer) else [1.0]

    def split_by_index(self, x: Tensor, tables: Sequence[Tensor]) -> list[Tensor]:
        """Computes the vectors that each index describes, see `keras_cmg.layers.Quantizer`.

        Args:
            x: float tensor `(..., embedding_dim)`.
            tables: as from `code_tables`, of now or of an earlier step.

        Returns:
            A float tensor `(..., dim)` for each index.
        """
        if isinstance(self.quantizer, Quantizer):
            return self.quantizer.split_by_index(x, tables)
        return [x]

    def export(
        self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs
    ):
        export_system(self, filepath, format, input_signature, **kwargs)

    def quantize(self, mode=None, config=None, filters=None, **kwargs):
        with quantizing_all_layers(filters):
            super().quantize(mode, config=config, **kwargs)
        self._quantization = config

    def get_build_config(self):
        return build_config(self.feature_shapes, self._quantization) if self.built else None

    def build_from_config(self, config):
        build_from_config(self, config)

    def get_config(self):
        config: dict[str, Any] = {
            "modalities": self.modalities,
            "frozen_layers": self.frozen_layers,
        }
        if self.quantizer is not None:
            config["quantizer"] = serialize_layer(self.quantizer)
        return {**super().get_config(), **config}

    @classmethod
    def from_config(cls, config):
        return cls(**deserialize_layers(config, cls.layer_arguments))
