"""Callbacks for `fit`."""

from keras_cmg.callbacks.checkpoint import Checkpoint
from keras_cmg.callbacks.kmeans_codebook_init import KMeansCodebookInit
from keras_cmg.callbacks.terminate_on_non_finite import TerminateOnNonFinite
from keras_cmg.callbacks.training_progress import TrainingProgress

__all__ = ["Checkpoint", "KMeansCodebookInit", "TerminateOnNonFinite", "TrainingProgress"]
