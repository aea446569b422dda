"""Compiles, fits and evaluates a pretrainer, and saves the state of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.backend import engine, keras_internals
from keras_cmg.backend.objective import PhasedObjective
from keras_cmg.callbacks.kmeans_codebook_init import KMeansCodebookInit
from keras_cmg.callbacks.terminate_on_non_finite import TerminateOnNonFinite, non_finite_variables
from keras_cmg.callbacks.training_progress import TrainingProgress
from keras_cmg.distribution.distribute import check_distribution
from keras_cmg.distribution.process_shard import shard_for_process
from keras_cmg.models.base import batch_checks
from keras_cmg.optimizers.phased_optimizer import PhasedOptimizer
from keras_cmg.types import Tensor


class Trainer(PhasedObjective, keras.Model):
    """A Keras model with two optimisers that trains on batches without labels.

    The methods are those of `keras.Model`, with the same arguments. `Pretrainer` adds the losses.

    Example:

    >>> issubclass(keras_cmg.models.FCID, Trainer)
    True
    """

    backbone: Any
    """The `Backbone` that is trained."""

    _fitting = False

    def compile(
        self,
        optimizer: Any = "adam",
        estimator_optimizer: Any = None,
        steps_per_execution: int = 1,
        run_eagerly: bool = False,
        jit_compile: Any = "auto",
        batch_chunks: int = 1,
    ) -> None:
        """Sets the optimisers.

        Args:
            optimizer: Keras optimiser, or its name, of everything but the estimators. With the
                policy `mixed_float16` it is wrapped in a `LossScaleOptimizer`.
            estimator_optimizer: Keras optimiser of the estimators; default `Adam(1e-3)`. Not used
                by systems without estimators.
            steps_per_execution: steps in one call of the compiled function.
            run_eagerly: for debugging.
            jit_compile: XLA: True, False or `"auto"`, which leaves it out where TensorFlow trains
                on several replicas.
            batch_chunks: parts of a batch that encoders and decoders process one after the other.
                With 2 or more, the backward pass computes their activations again, so that memory
                for them is that of one part; losses, codes and gradients are those of the whole
                batch. A batch of fewer clips, such as the last one, has a part for each clip. See
                `docs/scale.md`.

        Raises:
            ValueError: if both optimisers are one object, for XLA over TensorFlow's replicas, or if
                `batch_chunks` is below 1.

        Example:

        >>> model = keras_cmg.models.FCID(("audio", "video"))
        >>> model.compile(keras.optimizers.Adam(4e-4), keras.optimizers.Adam(1e-3))
        """
        if batch_chunks < 1:
            raise ValueError(f"`batch_chunks` must be at least 1. Received: {batch_chunks}")
        self.backbone.batch_chunks = batch_chunks
        self._compile_arguments = {
            "optimizer": optimizer,
            "estimator_optimizer": estimator_optimizer,
            "steps_per_execution": steps_per_execution,
            "run_eagerly": run_eagerly,
            "jit_compile": jit_compile,
            "batch_chunks": batch_chunks,
        }
        main = keras.optimizers.get(optimizer)
        if self.dtype_policy.name == "mixed_float16" and not isinstance(
            main, keras.optimizers.LossScaleOptimizer
        ):
            main = keras.optimizers.LossScaleOptimizer(main)
        self._compile_arguments["optimizer"] = getattr(main, "inner_optimizer", main)
        engine.fuse_adam(self._compile_arguments["optimizer"])
        if self.estimators:
            if estimator_optimizer is None:
                estimator_optimizer = keras.optimizers.Adam(1e-3)
            estimator = keras.optimizers.get(estimator_optimizer)
            self._compile_arguments["estimator_optimizer"] = estimator
            engine.fuse_adam(estimator)
            main = PhasedOptimizer(main, estimator, self.is_estimator)
        super().compile(
            optimizer=main,
            steps_per_execution=steps_per_execution,
            run_eagerly=run_eagerly,
            jit_compile=engine.jit_compile(jit_compile),
            auto_scale_loss=False,
        )

    def save_own_variables(self, store):
        super().save_own_variables(store)
        # Keras leaves the states of dropout out of its files.
        for i, state in enumerate(keras_internals.random_states(self.non_trainable_variables)):
            store[f"random_state_{i}"] = ops.convert_to_numpy(state)

    def load_own_variables(self, store):
        own = [key for key in tuple(store.keys()) if not key.startswith("random_state_")]
        super().load_own_variables({key: store[key] for key in own})
        for i, state in enumerate(keras_internals.random_states(self.non_trainable_variables)):
            state.assign(store[f"random_state_{i}"])

    def get_compile_config(self):
        if not self.compiled:
            return None
        config = keras.saving.serialize_keras_object(self._compile_arguments)
        return keras_internals.portable_config(config)

    def compile_from_config(self, config):
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.built:
            self.optimizer.build(self.trainable_variables)

    def save(self, filepath, overwrite=True, zipped=None, **kwargs):
        """Saves as `keras.Model.save`; within `fit`, only a model whose weights are finite.

        Args:
            filepath: path of the file.
            overwrite: whether an existing file may be replaced.
            zipped: see `keras.Model.save`.
            **kwargs: see `keras.Model.save`.

        Raises:
            ValueError: within `fit`, if a weight is not finite. An existing file is left as it is.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> model.build({"audio": (None, 10, 128)})
        >>> model.save("model.keras")
        """
        self._check_before_saving()
        super().save(filepath, overwrite=overwrite, zipped=zipped, **kwargs)

    def save_weights(self, filepath, overwrite=True, **kwargs):
        """Saves as `keras.Model.save_weights`; within `fit`, only weights that are finite.

        Args:
            filepath: path of the file.
            overwrite: whether an existing file may be replaced.
            **kwargs: see `keras.Model.save_weights`.

        Raises:
            ValueError: within `fit`, if a weight is not finite. An existing file is left as it is.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> model.build({"audio": (None, 10, 128)})
        >>> model.save_weights("model.weights.h5")
        """
        self._check_before_saving()
        super().save_weights(filepath, overwrite=overwrite, **kwargs)

    def _check_before_saving(self):
        # Callbacks that save after some batches do so before the guard looks at the epoch.
        bad = non_finite_variables(self) if self._fitting else []
        if bad:
            raise ValueError(
                "A model saved by a callback must have finite weights; the last file is left as it "
                f"is. Received NaN or infinity in: {bad}"
            )

    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """Trains as `keras.Model.fit`, with checks of the data and of every logged value.

        Args:
            x: a dict of arrays, or a data set of batches: a `tf.data.Dataset`, a
                `keras.utils.PyDataset`, a torch `DataLoader` or a generator, of known, unknown or
                infinite length. It yields batches, each a dict, or tuples `(batch,)`. Entries that
                hold no numbers, such as names of files, are left out.
            y: must be None.
            batch_size: clips per batch of a dict of arrays; default 32.
            epochs: see `keras.Model.fit`, as all arguments without a description here.
            verbose: `"auto"`, 0, 1 or 2, with the meaning of Keras. Unless it is 0, progress is
                shown by `TrainingProgress`, or by the `keras.callbacks.ProgbarLogger` that
                `callbacks` holds, if any.
            callbacks: None, a callback, a list or tuple of callbacks, or a
                `keras.callbacks.CallbackList`; it is not changed. `TerminateOnNonFinite` runs
                before all of them.
            validation_split: see above; not where several processes train.
            validation_data: like `x`, alone or in a tuple.
            shuffle: see above.
            class_weight: must be None.
            sample_weight: must be None.
            initial_epoch: see above.
            steps_per_epoch: see above.
            validation_steps: see above.
            validation_batch_size: see above.
            validation_freq: see above.

        Returns:
            The `keras.callbacks.History`.

        Raises:
            ValueError: if labels or weights are given, if the data are empty or not finite, or if a
                logged value is not finite at the first batch or the end of an epoch.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> model.compile()
        >>> history = model.fit({"audio": np.zeros((4, 10, 128), "float32")}, verbose=0)
        >>> "commitment" in history.history
        True
        """
        check_distribution()
        batch_checks.check_unlabelled(y=y, sample_weight=sample_weight, class_weight=class_weight)
        starts = [
            callback
            for callback in (*_flat(callbacks), *self.training_callbacks())
            if isinstance(callback, KMeansCodebookInit)
        ]

        def watch(batch):
            for start in starts:
                start.watch(batch)

        x = self._checked(x, watch=watch)
        for start in starts:
            start.read_from(x, batch_size)
        if validation_data is not None:
            validation_data = self._checked_validation(validation_data)
            validation_data, validation_batch_size, _ = shard_for_process(
                validation_data, validation_batch_size or batch_size
            )
        data, batch_size, shuffle = shard_for_process(x, batch_size, shuffle)
        if validation_split and data is not x:
            raise ValueError(
                "`validation_split` must be 0 where several processes train; pass "
                f"`validation_data`. Received: {validation_split}"
            )
        self._fitting = True
        try:
            return super().fit(
                data,
                batch_size=batch_size,
                epochs=epochs,
                verbose=verbose,
                callbacks=self._with_own(callbacks, starts, verbose),
                validation_split=validation_split,
                validation_data=validation_data,
                shuffle=shuffle,
                initial_epoch=initial_epoch,
                steps_per_epoch=steps_per_epoch,
                validation_steps=validation_steps,
                validation_batch_size=validation_batch_size,
                validation_freq=validation_freq,
            )
        finally:
            self._fitting = False

    def training_callbacks(self) -> list[keras.callbacks.Callback]:
        """Returns the callbacks that every `fit` of this model uses: none by default.

        Returns:
            List of new callbacks.

        Example:

        >>> keras_cmg.models.FCID(("audio",)).training_callbacks()
        []
        """
        return []

    def _with_own(self, callbacks, starts, verbose):
        """The caller's callbacks between those that must run first and those that run last."""
        broadcast = keras.callbacks.LambdaCallback(
            on_train_begin=lambda logs: engine.current().broadcast_variables(self)
        )
        given = _flat(callbacks)
        added = [start for start in starts if not any(start is c for c in given)]
        if not isinstance(callbacks, keras.callbacks.CallbackList):
            # Keras adds its progress bar where the list holds none, and after all others.
            if verbose and not any(isinstance(c, keras.callbacks.ProgbarLogger) for c in given):
                added.append(TrainingProgress())
            return [broadcast, TerminateOnNonFinite(), *given, *added]
        # Keras adds neither a progress bar nor a history to a list of this class.
        has_history = any(isinstance(c, keras.callbacks.History) for c in given)
        return keras.callbacks.CallbackList(
            [broadcast, TerminateOnNonFinite(), callbacks, *added],
            add_history=not has_history,
            model=self,
            **(callbacks.params or {}),
        )

    def _checked(self, x, name="x", watch=None):
        """The data set without entries that hold no numbers, or an error."""
        batch_checks.check_data(x, name)
        x = batch_checks.numeric_data(x, watch)
        if isinstance(x, Mapping):
            batch_checks.check_arrays(x, self.backbone.modalities, self.backbone.use_masks)
        return x

    def _checked_validation(self, data):
        if isinstance(data, list | tuple) and data:
            data, y, sample_weight = keras.utils.unpack_x_y_sample_weight(tuple(data))
            batch_checks.check_unlabelled(y=y, sample_weight=sample_weight)
        return self._checked(data, "validation_data")

    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
        **kwargs,
    ):
        """Evaluates as `keras.Model.evaluate`, on global batches if several processes take part.

        Args:
            x: as in `fit`.
            y: must be None.
            batch_size: as in `fit`.
            verbose: see `keras.Model.evaluate`.
            sample_weight: must be None.
            steps: see `keras.Model.evaluate`.
            callbacks: see `keras.Model.evaluate`.
            return_dict: see `keras.Model.evaluate`.
            **kwargs: used by Keras itself.

        Returns:
            See `keras.Model.evaluate`.

        Raises:
            ValueError: if labels or weights are given, or if the data are empty or not finite.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> model.compile()
        >>> batch = {"audio": np.zeros((4, 10, 128), "float32")}
        >>> "loss" in model.evaluate(batch, verbose=0, return_dict=True)
        True
        """
        # With further arguments, Keras evaluates the validation data that `fit` has checked.
        if not kwargs:
            batch_checks.check_unlabelled(y=y, sample_weight=sample_weight)
            x, batch_size, _ = shard_for_process(self._checked(x), batch_size)
        return super().evaluate(
            x,
            batch_size=batch_size,
            verbose=verbose,
            steps=steps,
            callbacks=callbacks,
            return_dict=return_dict,
            **kwargs,
        )

    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """Returns the features of every clip, as `keras.Model.predict`.

        Args:
            x: as in `fit`.
            batch_size: as in `fit`.
            verbose: see `keras.Model.predict`.
            steps: see `keras.Model.predict`.
            callbacks: see `keras.Model.predict`.

        Returns:
            The features of a call as NumPy arrays, without those that do not hold one row per clip,
            such as the codebook.

        Raises:
            ValueError: if the data are empty or not finite.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> features = model.predict({"audio": np.zeros((4, 10, 128), "float32")}, verbose=0)
        >>> features["indices"]["audio"].shape
        (4, 10)
        """
        return super().predict(
            self._checked(x),
            batch_size=batch_size,
            verbose=verbose,
            steps=steps,
            callbacks=callbacks,
        )

    def train_on_batch(self, x, y=None, sample_weight=None, class_weight=None, return_dict=False):
        """Trains on one batch as `keras.Model.train_on_batch`.

        Args:
            x: dict of arrays.
            y: must be None.
            sample_weight: must be None.
            class_weight: must be None.
            return_dict: see `keras.Model.train_on_batch`.

        Returns:
            See `keras.Model.train_on_batch`.

        Raises:
            ValueError: if labels or weights are given, if the data are empty or not finite, or if a
                term of the loss is not finite.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> model.compile()
        >>> batch = {"audio": np.zeros((4, 10, 128), "float32")}
        >>> "loss" in model.train_on_batch(batch, return_dict=True)
        True
        """
        batch_checks.check_unlabelled(y=y, sample_weight=sample_weight, class_weight=class_weight)
        x = self._checked(x)
        logs = super().train_on_batch(x, return_dict=True)
        TerminateOnNonFinite.check(logs, "in this batch")
        return logs if return_dict else _in_order(self, logs)

    def test_on_batch(self, x, y=None, sample_weight=None, return_dict=False):
        """Evaluates one batch as `keras.Model.test_on_batch`.

        Args:
            x: dict of arrays.
            y: must be None.
            sample_weight: must be None.
            return_dict: see `keras.Model.test_on_batch`.

        Returns:
            See `keras.Model.test_on_batch`.

        Raises:
            ValueError: if labels or weights are given, or if the data are empty or not finite.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> model.compile()
        >>> batch = {"audio": np.zeros((4, 10, 128), "float32")}
        >>> "loss" in model.test_on_batch(batch, return_dict=True)
        True
        """
        batch_checks.check_unlabelled(y=y, sample_weight=sample_weight)
        return super().test_on_batch(self._checked(x), return_dict=return_dict)

    def predict_on_batch(self, x):
        """Returns the features of one batch, as `keras.Model.predict_on_batch`.

        Args:
            x: dict of arrays.

        Returns:
            As `predict`.

        Raises:
            ValueError: if the data are empty or not finite.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> features = model.predict_on_batch({"audio": np.zeros((4, 10, 128), "float32")})
        >>> features["indices"]["audio"].shape
        (4, 10)
        """
        return super().predict_on_batch(self._checked(x))

    def prepare_batch(self, data: Any) -> dict[str, Any]:
        """Converts what the data set yields to the batch that the model and its losses receive.

        Args:
            data: a batch, alone or in a tuple.

        Returns:
            Dict of tensors.

        Raises:
            ValueError: if the tuple holds labels or weights, or a mask has an unknown modality.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> tuple(model.prepare_batch(({"audio": np.zeros((1, 2, 3))},))["audio"].shape)
        (1, 2, 3)
        """
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        batch_checks.check_unlabelled(y=y, sample_weight=sample_weight)
        if not isinstance(x, Mapping):
            raise ValueError(
                f"A batch must be a dict of modality to array. Received: {type(x).__name__}"
            )
        batch_checks.check_keys(list(x), self.backbone.modalities)
        return keras.tree.map_structure(ops.convert_to_tensor, batch_checks.numeric_entries(x))

    def make_train_function(self, force=False):
        with engine.current().step_compilation():
            super().make_train_function(force)

    def make_test_function(self, force=False):
        with engine.current().step_compilation():
            super().make_test_function(force)

    def make_predict_function(self, force=False):
        with engine.current().step_compilation():
            return super().make_predict_function(force)

    def train_step(self, *args):
        return engine.current().train_step(self, *args)

    def test_step(self, *args):
        return engine.current().test_step(self, *args)

    def predict_step(self, *args):
        *state, data = args
        prepared = (self.prepare_batch(data),)
        found = super().predict_step(*state, prepared)
        if not state:
            return self._batched(found)
        features, *state = found
        return (self._batched(features), *state)

    def _batched(self, features):
        """The features that hold one row per clip, which `predict` concatenates."""
        return {
            name: value
            for name, value in features.items()
            if name not in self.unbatched_entries
            and all(len(tensor.shape) for tensor in keras.tree.flatten(value))
        }

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

        >>> model = keras_cmg.models.FCID(("audio", "video"))
        >>> model.compile()
        >>> sorted(model.track({"loss": ops.ones(()), "cpc": ops.ones(())}, 2))[0]
        'club_audio'
        """
        for key, value in losses.items():
            tracker = keras_internals.loss_tracker(self) if key == "loss" else self.trackers[key]
            tracker.update_state(ops.cast(value, "float32"), sample_weight=size)
        return self.get_metrics_result()


def _build_before_training(model, iterator, data_batch):
    engine.current().build_before_training(model, iterator, data_batch)


keras_internals.set_build_before_training(Trainer, _build_before_training)


def _flat(callbacks: Any) -> list[keras.callbacks.Callback]:
    """The callbacks in any form that Keras takes, as a new list."""
    if isinstance(callbacks, keras.callbacks.CallbackList):
        return list(callbacks.callbacks)
    return keras.tree.flatten(callbacks) if callbacks else []


def _in_order(model: keras.Model, logs: Mapping[str, float]) -> list[float] | float:
    """Logs as Keras returns them without `return_dict`."""
    values = [logs[metric.name] for metric in model.metrics if metric.name in logs]
    return values[0] if len(values) == 1 else values
