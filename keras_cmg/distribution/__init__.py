"""Data-parallel training over several devices and processes."""

from keras_cmg.distribution.distribute import Distribution, distribute

__all__ = ["Distribution", "distribute"]
