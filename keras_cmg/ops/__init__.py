"""Equations as pure functions of tensors."""

from keras_cmg.ops.adaptive_sampling import adaptive_weights
from keras_cmg.ops.aligned_codes import cascade_blocks, row_alignment_loss, row_alignment_terms
from keras_cmg.ops.binary_codes import (
    entropy,
    pack_signs,
    sign_entropy,
    summed_sign_probabilities,
    unpack_signs,
)
from keras_cmg.ops.channel_selection import (
    ChannelScores,
    channel_scores,
    select_channels,
    select_channels_by_group,
)
from keras_cmg.ops.chunked_codes import (
    chunk_code_log_probabilities,
    chunk_matching_loss,
    frame_overlap,
    normalize_chunks,
    uniformity_loss,
)
from keras_cmg.ops.code_activation import code_activation
from keras_cmg.ops.code_identities import activation_shares, code_histograms, code_overlap
from keras_cmg.ops.code_matching import (
    code_log_probabilities,
    code_matching_logits,
    code_matching_loss,
    pair_loss,
)
from keras_cmg.ops.code_prediction import balanced_assignments, code_prediction_loss
from keras_cmg.ops.contrastive import (
    cosine_logits,
    cpc_loss,
    diagonal_accuracy,
    diagonal_cross_entropy,
    info_nce,
    l2_normalize,
    pair_cross_entropies,
    partner_accuracy,
    prediction_logits,
)
from keras_cmg.ops.counter_random import (
    random_bits,
    random_integer,
    random_normal,
    random_permutation,
    random_uniform,
)
from keras_cmg.ops.diveq import diveq
from keras_cmg.ops.finite_scalars import (
    pack_digits,
    quantize_scalars,
    scalar_values,
    unpack_digits,
)
from keras_cmg.ops.frechet import frechet_distance, merge_moments
from keras_cmg.ops.gradient_reversal import reverse_gradient
from keras_cmg.ops.jigsaw import jigsaw_accuracy, jigsaw_loss, jigsaw_orders, jigsaw_rows
from keras_cmg.ops.k_means import k_means
from keras_cmg.ops.localization import event_counts, mean_f1, segment_counts
from keras_cmg.ops.log_mel import decibels, mel_weights, spectrogram_sizes, summarize_mel
from keras_cmg.ops.masked_contrast import adaptive_mask_ratios, mask_frames, masked_info_nce
from keras_cmg.ops.masking import (
    mask_logits,
    mean_over_time,
    pair_presence,
    presence,
    weighted_mean,
    weights_like,
)
from keras_cmg.ops.mutual_information import club_upper_bound, log_likelihood
from keras_cmg.ops.optimal_transport import assignments, sinkhorn, transport_cost
from keras_cmg.ops.orthogonality import orthogonality_loss
from keras_cmg.ops.quantization import (
    code_agreement,
    code_counts,
    code_statistics,
    code_usage,
    codebook_center,
    commitment_loss,
    ema_update,
    mix_modalities,
    nearest_codes,
    perplexity,
    straight_through,
)
from keras_cmg.ops.residual_search import residual_beam_search
from keras_cmg.ops.retrieval import retrieval_hits
from keras_cmg.ops.rotation_trick import rotation_trick
from keras_cmg.ops.saturating_softmax import saturating_softmax
from keras_cmg.ops.sliding_alignment import (
    sliding_distance,
    sliding_info_nce,
    sliding_window,
)
from keras_cmg.ops.supervised_contrastive import (
    distance_loss,
    same_event,
    supervised_contrastive_loss,
)

__all__ = [
    "ChannelScores",
    "activation_shares",
    "adaptive_mask_ratios",
    "adaptive_weights",
    "assignments",
    "balanced_assignments",
    "cascade_blocks",
    "channel_scores",
    "chunk_code_log_probabilities",
    "chunk_matching_loss",
    "club_upper_bound",
    "code_activation",
    "code_agreement",
    "code_counts",
    "code_histograms",
    "code_log_probabilities",
    "code_matching_logits",
    "code_matching_loss",
    "code_overlap",
    "code_prediction_loss",
    "code_statistics",
    "code_usage",
    "codebook_center",
    "commitment_loss",
    "cosine_logits",
    "cpc_loss",
    "decibels",
    "diagonal_accuracy",
    "diagonal_cross_entropy",
    "distance_loss",
    "diveq",
    "ema_update",
    "entropy",
    "event_counts",
    "frame_overlap",
    "frechet_distance",
    "info_nce",
    "jigsaw_accuracy",
    "jigsaw_loss",
    "jigsaw_orders",
    "jigsaw_rows",
    "k_means",
    "l2_normalize",
    "log_likelihood",
    "mask_frames",
    "mask_logits",
    "masked_info_nce",
    "mean_f1",
    "mean_over_time",
    "mel_weights",
    "merge_moments",
    "mix_modalities",
    "nearest_codes",
    "normalize_chunks",
    "orthogonality_loss",
    "pack_digits",
    "pack_signs",
    "pair_cross_entropies",
    "pair_loss",
    "pair_presence",
    "partner_accuracy",
    "perplexity",
    "prediction_logits",
    "presence",
    "quantize_scalars",
    "random_bits",
    "random_integer",
    "random_normal",
    "random_permutation",
    "random_uniform",
    "residual_beam_search",
    "retrieval_hits",
    "reverse_gradient",
    "rotation_trick",
    "row_alignment_loss",
    "row_alignment_terms",
    "same_event",
    "saturating_softmax",
    "scalar_values",
    "segment_counts",
    "select_channels",
    "select_channels_by_group",
    "sign_entropy",
    "sinkhorn",
    "sliding_distance",
    "sliding_info_nce",
    "sliding_window",
    "spectrogram_sizes",
    "straight_through",
    "summarize_mel",
    "summed_sign_probabilities",
    "supervised_contrastive_loss",
    "transport_cost",
    "uniformity_loss",
    "unpack_digits",
    "unpack_signs",
    "weighted_mean",
    "weights_like",
]
