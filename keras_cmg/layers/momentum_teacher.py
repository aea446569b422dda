"""A momentum teacher: moving averages of the weights of other layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops

from keras_cmg.backend import keras_internals


@keras.saving.register_keras_serializable("keras_cmg")
class MomentumTeacher(keras.layers.Layer):
    """Keeps moving averages of other layers' weights, and runs these layers with the averages.

    The teacher has no layers of its own: `run` substitutes its averages for the weights of the
    student, so that any encoder can have a teacher. The averages start at the student's weights;
    `update` moves them, once per training step, but for those of layers that are frozen. With
    `trainable=False` of the teacher, all of them stay.

    Masks: the teacher has no call. The function passed to `run` passes masks to the student's
    layers as it does without a teacher.

    Args:
        momentum: float, weight of the earlier average at each step, in [0, 1).
        **kwargs: the arguments of every Keras layer.

    Raises:
        ValueError: if `momentum` is not in [0, 1).

    Example:

    >>> student = keras.layers.Dense(1, kernel_initializer="ones")
    >>> student.build((None, 1))
    >>> teacher = keras_cmg.layers.MomentumTeacher(momentum=0.5)
    >>> teacher.follow([student])
    >>> student.kernel.assign([[3.0]]) is None
    False
    >>> teacher.update()
    >>> float(teacher.run(lambda: ops.stop_gradient(student(np.ones((1, 1)))))[0, 0])
    2.0

    References:
        He et al. (2020), Momentum Contrast, Eq. 2; Duan et al. (2022), Multi-modal Alignment using
        Representation Codebook.
    """

    def __init__(self, momentum: float = 0.995, **kwargs):
        super().__init__(**kwargs)
        if not 0 <= momentum < 1:
            raise ValueError(f"`momentum` must lie in [0, 1). Received: {momentum}")
        self.momentum = momentum

    def follow(self, students: Sequence[keras.Layer]) -> None:
        """Creates the averages from the students' weights.

        Called in place of `build`, whose arguments Keras would save.

        Args:
            students: built layers.

        Example:

        >>> teacher = keras_cmg.layers.MomentumTeacher()
        >>> student = keras.layers.Dense(1)
        >>> student.build((None, 1))
        >>> teacher.follow([student])
        >>> len(teacher.averages), len(teacher.trainable_variables)
        (2, 0)
        """
        # States of random generators are integers, and are not averaged.
        followed = [v for layer in students for v in layer.variables if "float" in v.dtype]
        # Hidden from Keras, which would track the student's variables twice.
        self._followed = _Untracked(followed)
        self._students = _Untracked(list(students))
        self.averages = [
            self.add_weight(
                name=f"average_{i}",
                shape=v.shape,
                dtype=v.dtype,
                initializer=_value_of(v),
                trainable=False,
                aggregation="mean",
            )
            for i, v in enumerate(followed)
        ]
        self.built = True

    @property
    def followed(self) -> list:
        """Variables of the students, in the order of `averages`."""
        return self._followed.items

    def update(self) -> None:
        """Moves every average one step towards the student's weight, unless frozen."""
        if not self.trainable:
            return
        held = {id(v) for layer in self._students.items for v in _frozen_variables(layer)}
        for average, variable in zip(self.averages, self.followed, strict=True):
            if id(variable) in held:
                continue
            new = ops.stop_gradient(ops.convert_to_tensor(variable.value))
            old = ops.convert_to_tensor(average.value)
            average.assign(self.momentum * old + (1 - self.momentum) * ops.cast(new, old.dtype))

    def run(self, function: Callable[[], Any]) -> Any:
        """Calls a function of the student's layers with the teacher's weights.

        Args:
            function: function without arguments that calls the layers, not in training, and reads
                no other variables.

        Returns:
            The result of the function, without gradient of the weights.
        """
        values = [ops.stop_gradient(ops.convert_to_tensor(v.value)) for v in self.averages]
        with keras.StatelessScope(list(zip(self.followed, values, strict=True))):
            return function()

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


class _Untracked:
    """Hides variables from Keras, which would save and train them twice."""

    def __init__(self, items):
        self.items = items


def _frozen_variables(layer: keras.Layer) -> list[keras.Variable]:
    """Variables of a layer that is frozen, or of those within it that are."""
    if not layer.trainable:
        return layer.variables
    return [v for inner in keras_internals.sublayers(layer) for v in _frozen_variables(inner)]


def _value_of(variable):
    def initializer(shape, dtype=None):
        return ops.copy(ops.stop_gradient(ops.cast(variable.value, dtype)))

    return initializer
