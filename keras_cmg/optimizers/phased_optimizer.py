"""An optimiser that holds two: one for the model and one for its estimators."""

from __future__ import annotations

from typing import Any

import keras

from keras_cmg.backend import engine, keras_internals


@keras.saving.register_keras_serializable("keras_cmg")
class PhasedOptimizer(keras.optimizers.Optimizer):
    """Holds the optimiser of the model and that of its estimators, so that Keras saves both.

    `learning_rate` and `iterations` are those of `main`: callbacks that set the learning rate
    change that of the model alone. `keras.callbacks.SwapEMAWeights` swaps the weights of those of
    the two that have `use_ema=True`. Train steps call `main.apply` and `estimator.apply`, see
    `keras_cmg.backend.objective`.

    Args:
        main: optimiser of everything but the estimators; may be a `LossScaleOptimizer`.
        estimator: optimiser of the estimators.
        is_estimator: which variables belong to the estimators, a function of the variable; none if
            None. It is no part of the configuration: `compile` of a pretrainer passes its own.
        name: name of the optimiser.

    Raises:
        ValueError: if `main` and `estimator` are one object.

    Example:

    >>> main, estimator = keras.optimizers.Adam(4e-4), keras.optimizers.Adam(1e-3)
    >>> optimizer = keras_cmg.optimizers.PhasedOptimizer(main, estimator)
    >>> round(float(optimizer.learning_rate), 6)
    0.0004
    """

    built: bool

    def __init__(self, main: Any, estimator: Any, is_estimator: Any = None, name: str = "phased"):
        if main is estimator:
            raise ValueError(
                "`optimizer` and `estimator_optimizer` must be two objects. Received one twice."
            )
        super().__init__(learning_rate=0.0, name=name)
        self.main = main
        self.estimator = estimator
        self.is_estimator = is_estimator or (lambda variable: False)

    def get_config(self):
        return {
            "name": self.name,
            "main": keras.optimizers.serialize(self.main),
            "estimator": keras.optimizers.serialize(self.estimator),
        }

    @classmethod
    def from_config(cls, config, custom_objects=None):
        inner = {
            key: keras.optimizers.deserialize(config[key], custom_objects)
            for key in ("main", "estimator")
        }
        return cls(**{**config, **inner})

    def split(self, variables: list) -> tuple[list, list]:
        """Splits variables into those of the model and of the estimators.

        Args:
            variables: list of Keras variables.

        Returns:
            Two lists, in the order of `variables`.

        Example:

        >>> main, estimator = keras.optimizers.SGD(), keras.optimizers.SGD()
        >>> optimizer = keras_cmg.optimizers.PhasedOptimizer(main, estimator)
        >>> optimizer.split([1, 2])
        ([1, 2], [])
        """
        main = [v for v in variables if not self.is_estimator(v)]
        return main, [v for v in variables if self.is_estimator(v)]

    def build(self, variables):
        if self.built:
            return
        main, estimator = self.split(variables)
        with engine.current().initialization():
            self.main.build(main)
            if estimator:
                self.estimator.build(estimator)
        self.built = True

    @property
    def variables(self):
        return [*self.main.variables, *self.estimator.variables]

    @property
    def learning_rate(self):
        return self.main.learning_rate

    @learning_rate.setter
    def learning_rate(self, value):
        self.main.learning_rate = value

    @property
    def iterations(self):
        return self.main.iterations

    def scale_loss(self, loss):
        return self.main.scale_loss(loss)

    def finalize_variable_values(self, var_list):
        main, estimator = self.split(var_list)
        self.main.finalize_variable_values(main)
        if estimator:
            self.estimator.finalize_variable_values(estimator)

    def save_own_variables(self, store):
        """Saves nothing: Keras saves the two optimisers inside, each under its own name."""

    def load_own_variables(self, store):
        """Loads nothing: Keras loads the two optimisers inside."""

    @property
    def use_ema(self):
        return any(optimizer.use_ema for optimizer in self._inner())

    @use_ema.setter
    def use_ema(self, value):
        """Keras sets the argument of an optimiser of its own, which this one does not have."""

    def _inner(self) -> list:
        """The two optimisers without the one that scales losses."""
        held = (getattr(self, name, None) for name in ("main", "estimator"))
        return [getattr(o, "inner_optimizer", o) for o in held if o is not None]


def _averaged(optimizer: PhasedOptimizer) -> list[tuple]:
    """Pairs of a variable and its moving average."""
    return [
        pair
        for inner in optimizer._inner()
        for pair in zip(
            keras_internals.optimized_variables(inner),
            keras_internals.moving_averages(inner),
            strict=False,
        )
    ]


keras_internals.expose_moving_averages(PhasedOptimizer, _averaged)
