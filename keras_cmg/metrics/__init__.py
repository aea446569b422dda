"""What the paper reports, as Keras metrics: stateful, on every engine, streamed over batches."""

from keras_cmg.metrics.clip_accuracy import ClipAccuracy
from keras_cmg.metrics.code_use import CodeActivation, CodeAgreement, Perplexity
from keras_cmg.metrics.frechet_distance import FrechetDistance
from keras_cmg.metrics.localization import EventF1, SegmentF1
from keras_cmg.metrics.micro_f1 import MicroF1
from keras_cmg.metrics.recall_at_k import RecallAtK

__all__ = [
    "ClipAccuracy",
    "CodeActivation",
    "CodeAgreement",
    "EventF1",
    "FrechetDistance",
    "MicroF1",
    "Perplexity",
    "RecallAtK",
    "SegmentF1",
]
