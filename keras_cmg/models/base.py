"""The contract every system keeps: a backbone that encodes, a pretrainer that trains it.

The backbone (encoders and codebook) is what is frozen, probed, masked by TOC and exported. The
pretrainer adds decoders, estimators, losses and their weights, and is what `fit` runs on. A new
system subclasses both and gets every recipe.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg.training import engine
from keras_cmg.training.objective import PhasedObjective
from keras_cmg.training.phased_optimizer import PhasedOptimizer
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

    >>> backbone = FCIDBackbone.from_preset("small", modalities=("audio", "video"))
    >>> isinstance(backbone, CrossModalBackbone), backbone.modalities
    (True, ('audio', 'video'))
    """

    quantizer: Any

    def __init__(self, modalities: tuple[str, ...], **kwargs):
        super().__init__(**kwargs)
        modalities = tuple(modalities)
        if not modalities or len(set(modalities)) != len(modalities):
            raise ValueError(
                f"`modalities` must hold at least one name, each once. Received: {modalities}"
            )
        self.modalities = modalities
        self.quantizer = None

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

        >>> backbone = FCIDBackbone.from_preset("small", modalities=("audio",))
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
            ValueError: for an unknown modality or level, or features of another rank or width
                than those the backbone was built on.

        Example:

        >>> backbone = FCIDBackbone.from_preset("small", modalities=("audio",))
        >>> codes = backbone.encode("audio", np.zeros((2, 10, 128), "float32"))
        >>> tuple(codes["quantized"].shape), tuple(codes["indices"].shape)
        ((2, 10, 256), (2, 10))
        """
        self.check_modality(modality)
        if level not in LEVELS:
            raise ValueError(f"`level` must be one of {LEVELS}. Received: {level!r}")
        x = ops.convert_to_tensor(x)
        self.check_features(modality, x.shape)
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
        codes = self.quantizer(general, training=False)
        return {
            "general": general,
            "quantized": codes["quantized"],
            "indices": codes["indices"],
        }

    def check_modality(self, modality: str) -> None:
        """Refuses a modality this backbone does not have.

        Args:
            modality: its name.

        Raises:
            ValueError: for an unknown name.

        Example:

        >>> FCIDBackbone.from_preset("small", modalities=("audio",)).check_modality("audio")
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

        >>> FCIDBackbone.from_preset("small", modalities=("audio",)).check_features("audio", (1, 2))
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

        >>> backbone = FCIDBackbone.from_preset("small", modalities=("audio",))
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

    >>> backbone = FCIDBackbone.from_preset("small", modalities=("audio",))
    >>> backbone.build({"audio": (None, 10, 128)})
    >>> codes = ModalityEncoder(backbone, "audio", level="clip").predict(
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


class Pretrainer(PhasedObjective, keras.Model):
    """Trains a backbone without labels: `compile`, `fit`, save, load and go on.

    Subclasses define `main_losses`, and with estimators `estimator_loss`, `is_estimator` and
    `estimator_steps`; they list every key they log in `log_keys`.

    Args:
        backbone: a `CrossModalBackbone`.
        **kwargs: the arguments of every Keras model.

    Example:

    >>> isinstance(FCID(("audio", "video")), Pretrainer)
    True
    """

    def __init__(self, backbone: CrossModalBackbone, **kwargs):
        super().__init__(**kwargs)
        self.backbone = backbone
        self.trackers: dict[str, keras.metrics.Mean] = {}

    @property
    def log_keys(self) -> tuple[str, ...]:
        """Keys of the logs of a training step, without `"loss"`."""
        raise NotImplementedError(f"{type(self).__name__} must define `log_keys`.")

    def create_trackers(self) -> None:
        """One running mean per log key; to be called once the keys are known.

        Example:

        >>> sorted(FCID(("audio", "video")).trackers)[:2]
        ['club_audio', 'club_audio_nll']
        """
        self.trackers = {key: keras.metrics.Mean(name=key) for key in self.log_keys}

    def call(self, inputs, training=False):
        return self.backbone(inputs, training=training)

    def compile(
        self,
        optimizer: Any = "adam",
        estimator_optimizer: Any = None,
        steps_per_execution: int = 1,
        run_eagerly: bool = False,
        jit_compile: Any = "auto",
    ) -> None:
        """Sets the optimisers.

        Args:
            optimizer: Keras optimiser, or its name, of everything but the estimators. With the
                policy `mixed_float16` it is wrapped in a `LossScaleOptimizer`.
            estimator_optimizer: Keras optimiser of the estimators; default `Adam(1e-3)`. Not used
                by systems without estimators.
            steps_per_execution: steps in one call of the compiled function.
            run_eagerly: for debugging.
            jit_compile: XLA: True, False or `"auto"`.

        Raises:
            ValueError: if both optimisers are one object.

        Example:

        >>> model = FCID(("audio", "video"))
        >>> model.compile(keras.optimizers.Adam(4e-4), keras.optimizers.Adam(1e-3))
        """
        self._compile_arguments = {
            "optimizer": optimizer,
            "estimator_optimizer": estimator_optimizer,
            "steps_per_execution": steps_per_execution,
            "run_eagerly": run_eagerly,
            "jit_compile": jit_compile,
        }
        main = keras.optimizers.get(optimizer)
        if self.dtype_policy.name == "mixed_float16" and not isinstance(
            main, keras.optimizers.LossScaleOptimizer
        ):
            main = keras.optimizers.LossScaleOptimizer(main)
        self._compile_arguments["optimizer"] = getattr(main, "inner_optimizer", main)
        if self.estimator_steps:
            if estimator_optimizer is None:
                estimator_optimizer = keras.optimizers.Adam(1e-3)
            estimator = keras.optimizers.get(estimator_optimizer)
            self._compile_arguments["estimator_optimizer"] = estimator
            main = PhasedOptimizer(main, estimator, self.is_estimator)
        super().compile(
            optimizer=main,
            steps_per_execution=steps_per_execution,
            run_eagerly=run_eagerly,
            jit_compile=jit_compile,
            auto_scale_loss=False,
        )

    def _random_states(self) -> list:
        """States of the dropout generators, which Keras leaves out of its files."""
        return [v for v in self.non_trainable_variables if v.name == "seed_generator_state"]

    def save_own_variables(self, store):
        super().save_own_variables(store)
        for i, state in enumerate(self._random_states()):
            store[f"random_state_{i}"] = ops.convert_to_numpy(state)

    def load_own_variables(self, store):
        own = [key for key in tuple(store.keys()) if not key.startswith("random_state_")]
        super().load_own_variables({key: store[key] for key in own})
        for i, state in enumerate(self._random_states()):
            state.assign(store[f"random_state_{i}"])

    def get_compile_config(self):
        if not self.compiled:
            return None
        config = keras.saving.serialize_keras_object(self._compile_arguments)
        return _engine_neutral(config)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def fit(self, x=None, **kwargs):
        """`keras.Model.fit`, after a look at what was passed.

        Args:
            x: anything `keras.Model.fit` takes that yields batches: a dict of arrays, a
                `tf.data.Dataset`, a `keras.utils.PyDataset`, a torch `DataLoader`, a generator.
                Loaders of dicts yield tuples `(batch,)`.
            **kwargs: as in `keras.Model.fit`.

        Returns:
            The `keras.callbacks.History`.

        Raises:
            ValueError: for an empty data set, features that are not finite, or a loss that
                stops being finite, naming the terms.

        Example:

        >>> model = FCID(("audio",))
        >>> model.compile()
        >>> history = model.fit({"audio": np.zeros((4, 10, 128), "float32")}, verbose=0)
        >>> "commitment" in history.history
        True
        """
        if isinstance(x, Mapping):
            check_arrays(x)
        elif hasattr(x, "__len__") and len(x) == 0:
            raise ValueError(f"The data set must yield at least one batch. Received: {x!r}")
        if kwargs.get("callbacks") is None:
            kwargs["callbacks"] = []
        if not isinstance(kwargs["callbacks"], keras.callbacks.CallbackList):
            kwargs["callbacks"] = [*kwargs["callbacks"], FiniteLossGuard()]
        return super().fit(x, **kwargs)

    def train_step(self, *args):
        return engine.current().train_step(self, *args)

    def test_step(self, *args):
        return engine.current().test_step(self, *args)

    def track(self, losses: Mapping[str, Tensor], size: Any) -> dict[str, Tensor]:
        """Adds a step's values to the running means, and returns these.

        Args:
            losses: log key to scalar, with `"loss"`.
            size: number of clips in the batch, the weight of the step.

        Returns:
            Log key to running mean.

        Raises:
            KeyError: for a key that `log_keys` does not list.

        Example:

        >>> model = FCID(("audio", "video"))
        >>> model.compile()
        >>> sorted(model.track({"loss": ops.ones(()), "cpc": ops.ones(())}, 2))[0]
        'club_audio'
        """
        for key, value in losses.items():
            tracker = self._loss_tracker if key == "loss" else self.trackers[key]
            tracker.update_state(ops.cast(value, "float32"), sample_weight=size)
        return self.get_metrics_result()

    def get_config(self):
        config = super().get_config()
        return {**config, "backbone": keras.saving.serialize_keras_object(self.backbone)}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("backbone")), **config)


class FiniteLossGuard(keras.callbacks.Callback):
    """Stops training with an error as soon as a logged term is not finite.

    Looks at the first batch of all, and at the end of each epoch: a look at every batch would
    make each wait for the device.

    Example:

    >>> FiniteLossGuard().on_epoch_end(0, {"loss": 1.0})
    """

    def on_train_begin(self, logs=None):
        self.looked = False

    def on_train_batch_end(self, batch, logs=None):
        if not getattr(self, "looked", True):
            self.looked = True
            self._check(logs, "in the first batch")

    def on_epoch_end(self, epoch, logs=None):
        self._check(logs, f"in epoch {epoch + 1}")

    def _check(self, logs, when):
        bad = [key for key, value in (logs or {}).items() if not np.isfinite(float(value))]
        if bad:
            raise ValueError(
                f"Every logged term must be finite. Not finite {when}: {bad}. Features with NaN or "
                "infinity and too high a learning rate are the usual reasons."
            )


def check_arrays(x: Mapping[str, Any]) -> None:
    """Refuses a dict of arrays that is empty, of unequal lengths, or not finite.

    Args:
        x: name to array, nested dicts allowed.

    Raises:
        ValueError: naming the entry, the rule and what was received.

    Example:

    >>> check_arrays({"audio": np.zeros((2, 10, 128))})
    """
    lengths = {}
    for name, values in x.items():
        if isinstance(values, Mapping):
            continue
        values = ops.convert_to_numpy(values)
        lengths[name] = len(values) if values.ndim else None
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            row = int(np.argwhere(~np.isfinite(values))[0][0]) if values.ndim else 0
            raise ValueError(
                f"Features of {name!r} must be finite. "
                f"Received NaN or infinity, first in row {row}."
            )
    if not lengths or 0 in lengths.values():
        raise ValueError(f"The data set must hold at least one clip. Received clips: {lengths}")
    if len(set(lengths.values())) > 1:
        raise ValueError(f"All entries must hold the same clips. Received clips: {lengths}")


def _engine_neutral(config: Any) -> Any:
    """Optimisers under their public names, so that a file saved on PyTorch trains elsewhere."""
    if isinstance(config, dict):
        module = config.get("module") or ""
        if module.startswith("keras.src.backend.torch.optimizers"):
            config = {**config, "module": "keras.optimizers", "registered_name": None}
        return {key: _engine_neutral(value) for key, value in config.items()}
    if isinstance(config, list | tuple):
        return [_engine_neutral(value) for value in config]
    return config
