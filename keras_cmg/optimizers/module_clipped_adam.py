"""Adam with the gradient norm of each module clipped separately, as the authors train."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import keras
from keras import ops

from keras_cmg.backend import engine, keras_internals

MODULES = {"encoder": r"backbone(_\d+)?/", "cpc": "cpc/", "decoder": "_decoder/"}
"""Modules that the authors clip separately, with a pattern of their variables' paths.

Keras appends a number to the name of the second backbone of a process and of those after it.
"""


@keras.saving.register_keras_serializable("keras_cmg")
class ModuleClippedAdam(keras.optimizers.Optimizer):
    """Adam that clips the gradient norm of each module of a model separately.

    There are two differences from `keras.optimizers.Adam(global_clipnorm=...)`: each module's
    gradient is scaled by `min(1, clip_norm / (norm + 1e-6))` with its own norm, and `epsilon` is
    added after the bias correction, as in PyTorch.

    Args:
        learning_rate: float or schedule.
        beta_1: decay of the first moment.
        beta_2: decay of the second moment.
        epsilon: added to the corrected root of the second moment.
        clip_norm: largest norm of a module's gradient.
        modules: module to regular expression, searched in the variables' paths; the first match
            counts, and variables without a match are not clipped. Default: the encoder, CPC and
            decoder of FCID and DCID.
        name: name of the optimiser.
        **kwargs: the arguments of every Keras optimiser.

    Raises:
        ValueError: unless `clip_norm` is positive, and `beta_1` and `beta_2` lie in (0, 1).

    Example:

    >>> x = keras.Variable([1.0], name="x")
    >>> keras_cmg.optimizers.ModuleClippedAdam(0.5).apply([ops.ones((1,))], [x])
    >>> round(float(ops.convert_to_numpy(x)[0]), 6)
    0.5

    References:
        Kingma and Ba (2015), Adam; Pascanu et al. (2013), On the difficulty of training recurrent
        neural networks.
    """

    def __init__(
        self,
        learning_rate: Any = 4e-4,
        beta_1: float = 0.9,
        beta_2: float = 0.999,
        epsilon: float = 1e-8,
        clip_norm: float = 0.5,
        modules: Mapping[str, str] | None = None,
        name: str = "module_clipped_adam",
        **kwargs,
    ):
        super().__init__(learning_rate=learning_rate, name=name, **kwargs)
        if clip_norm <= 0:
            raise ValueError(f"`clip_norm` must be positive. Received: {clip_norm}")
        for argument, beta in (("beta_1", beta_1), ("beta_2", beta_2)):
            if not 0 < beta < 1:
                raise ValueError(f"`{argument}` must lie in (0, 1). Received: {beta}")
        self.beta_1 = beta_1
        self.beta_2 = beta_2
        self.epsilon = epsilon
        self.clip_norm = clip_norm
        self.modules = dict(modules or MODULES)

    def build(self, variables):
        if self.built:
            return
        super().build(variables)
        self.first_moments = self.add_optimizer_variables(variables, "first_moment")
        self.second_moments = self.add_optimizer_variables(variables, "second_moment")
        engine.fuse_adam(self, ("first_moments", "second_moments"), epsilon_last=True)

    def apply(self, grads, trainable_variables=None):
        variables = trainable_variables or keras_internals.optimized_variables(self)
        super().apply(self.clipped(list(grads), variables), trainable_variables)

    def clipped(self, gradients: list, variables: list) -> list:
        """Clips gradients, each module by its own norm.

        Args:
            gradients: one tensor or None per variable.
            variables: Keras variables.

        Returns:
            List like `gradients`.

        Example:

        >>> x = keras.Variable([1.0], name="x")
        >>> optimizer = keras_cmg.optimizers.ModuleClippedAdam(clip_norm=0.5, modules={"all": ""})
        >>> round(float(optimizer.clipped([ops.ones((1,))], [x])[0][0]), 4)
        0.5
        """
        factors = {
            module: ops.minimum(1.0, self.clip_norm / (norm + 1e-6))
            for module, norm in self.norms(gradients, variables).items()
        }
        clipped = []
        for gradient, variable in zip(gradients, variables, strict=True):
            module = self.module_of(variable)
            if gradient is not None and module is not None:
                gradient = gradient * ops.cast(factors[module], gradient.dtype)
            clipped.append(gradient)
        return clipped

    def norms(self, gradients: list, variables: list) -> dict[str, Any]:
        """Computes the gradient norm of each module.

        Args:
            gradients: one tensor or None per variable.
            variables: Keras variables.

        Returns:
            Module to scalar.

        Example:

        >>> x = keras.Variable([1.0, 1.0], name="x")
        >>> optimizer = keras_cmg.optimizers.ModuleClippedAdam(modules={"all": ""})
        >>> float(optimizer.norms([ops.convert_to_tensor([3.0, 4.0])], [x])["all"])
        5.0
        """
        squares: dict[str, Any] = {}
        for gradient, variable in zip(gradients, variables, strict=True):
            module = self.module_of(variable)
            if gradient is not None and module is not None:
                squares[module] = squares.get(module, 0.0) + ops.sum(ops.square(gradient))
        return {module: ops.sqrt(square) for module, square in squares.items()}

    def module_of(self, variable: Any) -> str | None:
        """Returns the name of the module that a variable belongs to.

        Args:
            variable: a Keras variable.

        Returns:
            A key of `modules`; None if no pattern matches.

        Example:

        >>> model = keras_cmg.models.FCID(("audio", "video"))
        >>> model.build({"audio": (None, 10, 128), "video": (None, 10, 7, 7, 64)})
        >>> kernel = model.cpc_predictor.trainable_variables[0]
        >>> keras_cmg.optimizers.ModuleClippedAdam().module_of(kernel)
        'cpc'
        """
        for module, pattern in self.modules.items():
            if re.search(pattern, variable.path):
                return module
        return None

    def update_step(self, gradient, variable, learning_rate):
        rate = ops.cast(learning_rate, variable.dtype)
        gradient = ops.cast(gradient, variable.dtype)
        step = ops.cast(self.iterations + 1, variable.dtype)
        index = keras_internals.variable_index(self, variable)
        first, second = self.first_moments[index], self.second_moments[index]
        self.assign_add(first, (gradient - first) * (1 - self.beta_1))
        self.assign_add(second, (ops.square(gradient) - second) * (1 - self.beta_2))
        # 1 - beta^t by `expm1`, since the difference loses digits near zero.
        mean = first / -ops.expm1(step * math.log(self.beta_1))
        square = second / -ops.expm1(step * math.log(self.beta_2))
        self.assign_sub(variable, rate * mean / (ops.sqrt(square) + self.epsilon))

    def get_config(self):
        names = "beta_1 beta_2 epsilon clip_norm modules".split()
        return {**super().get_config(), **{name: getattr(self, name) for name in names}}
