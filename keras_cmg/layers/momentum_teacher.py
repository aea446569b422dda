"""A teacher that follows its student slowly, and whose words the student learns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable("keras_cmg")
class MomentumTeacher(keras.layers.Layer):
    """Moving averages of other layers' weights, with which these layers can be run.

    The teacher has no layers of its own: `run` lends its weights to the student's. So any encoder
    can have one. It starts as the student; `update` moves it, once per training step.

    Args:
        momentum: share of the teacher that stays at each step, in [0, 1).
        **kwargs: the arguments of every Keras layer.

    Raises:
        ValueError: for a momentum outside [0, 1).

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
        """Starts as the students; takes the place of `build`, whose arguments Keras would keep.

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
        # States of random generators are integers: a teacher draws nothing.
        followed = [v for layer in students for v in layer.variables if "float" in v.dtype]
        # Not tracked: they belong to the student.
        self._followed = _Untracked(followed)
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
        """The student's variables, in the order of `averages`."""
        return self._followed.items

    def update(self) -> None:
        """Moves every weight of the teacher a step towards the student's."""
        for average, variable in zip(self.averages, self.followed, strict=True):
            new = ops.stop_gradient(ops.convert_to_tensor(variable.value))
            old = ops.convert_to_tensor(average.value)
            average.assign(self.momentum * old + (1 - self.momentum) * ops.cast(new, old.dtype))

    def run(self, function: Callable[[], Any]) -> Any:
        """What a function of the student's layers gives with the teacher's weights.

        Args:
            function: calls the layers, not in training; must read no variable but theirs.

        Returns:
            What the function returns, without gradient into the weights.
        """
        values = [ops.stop_gradient(ops.convert_to_tensor(v.value)) for v in self.averages]
        with keras.StatelessScope(list(zip(self.followed, values, strict=True))):
            return function()

    def get_config(self):
        return {**super().get_config(), "momentum": self.momentum}


class _Untracked:
    """Hides variables from Keras, which would save and train them a second time."""

    def __init__(self, items):
        self.items = items


def _value_of(variable):
    def initializer(shape, dtype=None):
        return ops.copy(ops.stop_gradient(ops.cast(variable.value, dtype)))

    return initializer
