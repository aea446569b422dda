"""Trained models that encode raw files, words and features, loaded by address."""

from keras_cmg.encoding.cross_modal_encoder import CrossModalEncoder
from keras_cmg.encoding.hub import push
from keras_cmg.encoding.loading import load

__all__ = ["CrossModalEncoder", "load", "push"]
