"""Compiles, fits and evaluates a pretrainer, and saves the state of its training."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.backend import engine
from keras_cmg.backend.objective import PhasedObjective
from keras_cmg.callbacks.terminate_on_non_finite import TerminateOnNonFinite, check_arrays
from keras_cmg.distribution.distribute import check_distribution
from keras_cmg.distribution.process_shards import shard_for_process
from keras_cmg.optimizers.phased_optimizer import PhasedOptimizer
from keras_cmg.types import Tensor


class Trainer(PhasedObjective, keras.Model):
    """A Keras model with two optimisers that trains on batches without labels.

    The methods are those of `keras.Model`. `Pretrainer` adds a backbone and losses.

    Example:

    >>> issubclass(keras_cmg.models.FCID, Trainer)
    True
    """

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
            jit_compile: XLA: True, False or `"auto"`, which leaves it out where TensorFlow trains
                on several replicas.

        Raises:
            ValueError: if both optimisers are one object, or for XLA over TensorFlow's replicas.

        Example:

        >>> model = keras_cmg.models.FCID(("audio", "video"))
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
        if self.estimators:
            if estimator_optimizer is None:
                estimator_optimizer = keras.optimizers.Adam(1e-3)
            estimator = keras.optimizers.get(estimator_optimizer)
            self._compile_arguments["estimator_optimizer"] = estimator
            main = PhasedOptimizer(main, estimator, self.is_estimator)
        super().compile(
            optimizer=main,
            steps_per_execution=steps_per_execution,
            run_eagerly=run_eagerly,
            jit_compile=engine.jit_compile(jit_compile),
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

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> model.compile()
        >>> history = model.fit({"audio": np.zeros((4, 10, 128), "float32")}, verbose=0)
        >>> "commitment" in history.history
        True
        """
        check_distribution()
        if isinstance(x, Mapping):
            check_arrays(x)
        elif hasattr(x, "__len__") and len(x) == 0:
            raise ValueError(f"The data set must yield at least one batch. Received: {x!r}")
        if kwargs.get("callbacks") is None:
            kwargs["callbacks"] = []
        if not isinstance(kwargs["callbacks"], keras.callbacks.CallbackList):
            start = keras.callbacks.LambdaCallback(on_train_begin=self._on_train_begin)
            kwargs["callbacks"] = [start, *kwargs["callbacks"], TerminateOnNonFinite()]
        if kwargs.get("validation_data") is not None:
            options = {"batch_size": kwargs.pop("validation_batch_size", None)}
            options["batch_size"] = options["batch_size"] or kwargs.get("batch_size")
            kwargs["validation_data"] = shard_for_process(kwargs["validation_data"], options)
            kwargs["validation_batch_size"] = options.get("batch_size")
        kwargs.setdefault("shuffle", True)
        x = shard_for_process(x, kwargs)
        return super().fit(x, **kwargs)

    def _maybe_symbolic_build(self, iterator=None, data_batch=None):
        # Keras on TensorFlow asks for this; its own way averages a batch over replicas, which
        # fails on masks of truth values.
        engine.current().build_before_training(self, iterator, data_batch)

    def _on_train_begin(self, logs=None):
        engine.current().broadcast_variables(self)

    def evaluate(self, x=None, **kwargs):
        """`keras.Model.evaluate`, of the global batches where several processes take part.

        Args:
            x: as in `fit`.
            **kwargs: as in `keras.Model.evaluate`.

        Returns:
            As from `keras.Model.evaluate`.

        Example:

        >>> model = keras_cmg.models.FCID(("audio",))
        >>> model.compile()
        >>> batch = {"audio": np.zeros((4, 10, 128), "float32")}
        >>> "loss" in model.evaluate(batch, verbose=0, return_dict=True)
        True
        """
        return super().evaluate(shard_for_process(x, kwargs), **kwargs)

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

        >>> model = keras_cmg.models.FCID(("audio", "video"))
        >>> model.compile()
        >>> sorted(model.track({"loss": ops.ones(()), "cpc": ops.ones(())}, 2))[0]
        'club_audio'
        """
        for key, value in losses.items():
            tracker = self._loss_tracker if key == "loss" else self.trackers[key]
            tracker.update_state(ops.cast(value, "float32"), sample_weight=size)
        return self.get_metrics_result()


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
