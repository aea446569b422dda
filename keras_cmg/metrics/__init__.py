"""Keras metrics of localisation, retrieval, code use and generation."""

from keras_cmg.metrics.clip_accuracy import ClipAccuracy
from keras_cmg.metrics.code_activation import CodeActivation
from keras_cmg.metrics.code_agreement import CodeAgreement
from keras_cmg.metrics.event_f1 import EventF1
from keras_cmg.metrics.frechet_distance import FrechetDistance
from keras_cmg.metrics.micro_f1 import MicroF1
from keras_cmg.metrics.perplexity import Perplexity
from keras_cmg.metrics.recall_at_k import RecallAtK
from keras_cmg.metrics.segment_f1 import SegmentF1

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
