"""The equations, as pure functions of tensors."""

from keras_cmg.ops.channel_selection import ChannelScores, channel_scores, select_channels
from keras_cmg.ops.code_activation import activation_colours
from keras_cmg.ops.code_matching import (
    code_log_probabilities,
    code_matching_loss,
    matching_scores,
    pair_loss,
)
from keras_cmg.ops.contrastive import (
    cpc_loss,
    diagonal_accuracy,
    diagonal_cross_entropy,
    info_nce,
    prediction_logits,
)
from keras_cmg.ops.counter_random import (
    random_bits,
    random_integer,
    random_permutation,
    random_uniform,
)
from keras_cmg.ops.frechet import frechet_distance, merge_moments
from keras_cmg.ops.localization import event_counts, mean_f1, segment_counts
from keras_cmg.ops.mutual_information import log_likelihood, upper_bound
from keras_cmg.ops.quantization import (
    code_agreement,
    code_statistics,
    code_usage,
    commitment_loss,
    ema_update,
    mix_modalities,
    nearest_codes,
    perplexity,
    straight_through,
)
from keras_cmg.ops.retrieval import retrieval_hits

__all__ = [
    "ChannelScores",
    "activation_colours",
    "channel_scores",
    "code_agreement",
    "code_log_probabilities",
    "code_matching_loss",
    "code_statistics",
    "code_usage",
    "commitment_loss",
    "cpc_loss",
    "diagonal_accuracy",
    "diagonal_cross_entropy",
    "ema_update",
    "event_counts",
    "frechet_distance",
    "info_nce",
    "log_likelihood",
    "matching_scores",
    "mean_f1",
    "merge_moments",
    "mix_modalities",
    "nearest_codes",
    "pair_loss",
    "perplexity",
    "prediction_logits",
    "random_bits",
    "random_integer",
    "random_permutation",
    "random_uniform",
    "retrieval_hits",
    "segment_counts",
    "select_channels",
    "straight_through",
    "upper_bound",
]
