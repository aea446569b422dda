"""One Keras optimiser made of two: one for the model, one for its estimators."""

from __future__ import annotations

from typing import Any

import keras


@keras.saving.register_keras_serializable("keras_cmg")
class PhasedOptimizer(keras.optimizers.Optimizer):
    """Two optimisers behind the face of one, so that Keras saves, restores and tunes both.

    `learning_rate` and `iterations` are those of `main`: callbacks that set the learning rate
    schedule the model and leave the estimators alone. Train steps call `main.apply` and
    `estimator.apply` themselves, at the times of `PhasedObjective`.

    Args:
        main: optimiser of everything but the estimators; may be a `LossScaleOptimizer`.
        estimator: optimiser of the estimators.
        is_estimator: which variables belong to the estimators, a function of the variable.
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

    def split(self, variables: list) -> tuple[list, list]:
        """The main variables and the estimators' variables, in order.

        Args:
            variables: list of Keras variables.

        Returns:
            Two lists.

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
        """Nothing: the two optimisers are saved as parts of this one, each under its own name."""

    def load_own_variables(self, store):
        """Nothing, as above."""
