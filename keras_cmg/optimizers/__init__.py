"""Optimizers beyond those of Keras."""

from keras_cmg.optimizers.module_clipped_adam import ModuleClippedAdam
from keras_cmg.optimizers.phased_optimizer import PhasedOptimizer

__all__ = ["ModuleClippedAdam", "PhasedOptimizer"]
