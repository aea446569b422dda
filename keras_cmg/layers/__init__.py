"""Keras layers: encoders, quantisers, estimators and decoders."""

from keras_cmg.layers.batch_norm_map_encoder import BatchNormMapEncoder
from keras_cmg.layers.club_estimator import CLUBEstimator
from keras_cmg.layers.coarse_level import CoarseLevel
from keras_cmg.layers.coarse_projector import CoarseProjector
from keras_cmg.layers.code_discriminator import CodeDiscriminator
from keras_cmg.layers.cpc_predictor import CPCPredictor
from keras_cmg.layers.event_head import EventHead
from keras_cmg.layers.global_batch_normalization import GlobalBatchNormalization
from keras_cmg.layers.gradient_reversal import GradientReversal
from keras_cmg.layers.image_decoder import ImageDecoder
from keras_cmg.layers.image_encoder import ImageEncoder
from keras_cmg.layers.jigsaw_classifier import JigsawClassifier
from keras_cmg.layers.log_mel_summary import LogMelSummary
from keras_cmg.layers.map_attention import MapAttention
from keras_cmg.layers.map_decoder import MapDecoder
from keras_cmg.layers.map_pooling import MapPooling
from keras_cmg.layers.map_specific_encoder import MapSpecificEncoder
from keras_cmg.layers.mlp import MLP
from keras_cmg.layers.momentum_teacher import MomentumTeacher
from keras_cmg.layers.patch_convolution import PatchConvolution
from keras_cmg.layers.pca_projection import PCAProjection
from keras_cmg.layers.projected_decoder import ProjectedDecoder
from keras_cmg.layers.quantizers.aligned_codebook import AlignedCodebook
from keras_cmg.layers.quantizers.codebook import Codebook
from keras_cmg.layers.quantizers.fsq import FSQ
from keras_cmg.layers.quantizers.grouped_quantizer import GroupedQuantizer
from keras_cmg.layers.quantizers.learned_codebook import LearnedCodebook
from keras_cmg.layers.quantizers.lfq import BSQ, LFQ
from keras_cmg.layers.quantizers.projected_quantizer import ProjectedQuantizer
from keras_cmg.layers.quantizers.prototypes import Prototypes
from keras_cmg.layers.quantizers.quantizer import Quantizer
from keras_cmg.layers.quantizers.residual_quantizer import ResidualQuantizer
from keras_cmg.layers.quantizers.sim_vq import SimVQ
from keras_cmg.layers.residual_unit import ResidualUnit
from keras_cmg.layers.saturating_attention import SaturatingAttention
from keras_cmg.layers.second_level import SecondLevel
from keras_cmg.layers.sequence_decoder import SequenceDecoder
from keras_cmg.layers.sequence_specific_encoder import SequenceSpecificEncoder
from keras_cmg.layers.split_bias_lstm_cell import SplitBiasLSTMCell
from keras_cmg.layers.stacked_bilstm import StackedBiLSTM
from keras_cmg.layers.toc_channel_mask import TOCChannelMask
from keras_cmg.layers.transformer_block import TransformerBlock
from keras_cmg.layers.transformer_encoder import TransformerEncoder
from keras_cmg.layers.transposed_convolution import TransposedConvolution

__all__ = [
    "BSQ",
    "FSQ",
    "LFQ",
    "MLP",
    "AlignedCodebook",
    "BatchNormMapEncoder",
    "CLUBEstimator",
    "CPCPredictor",
    "CoarseLevel",
    "CoarseProjector",
    "CodeDiscriminator",
    "Codebook",
    "EventHead",
    "GlobalBatchNormalization",
    "GradientReversal",
    "GroupedQuantizer",
    "ImageDecoder",
    "ImageEncoder",
    "JigsawClassifier",
    "LearnedCodebook",
    "LogMelSummary",
    "MapAttention",
    "MapDecoder",
    "MapPooling",
    "MapSpecificEncoder",
    "MomentumTeacher",
    "PCAProjection",
    "PatchConvolution",
    "ProjectedDecoder",
    "ProjectedQuantizer",
    "Prototypes",
    "Quantizer",
    "ResidualQuantizer",
    "ResidualUnit",
    "SaturatingAttention",
    "SecondLevel",
    "SequenceDecoder",
    "SequenceSpecificEncoder",
    "SimVQ",
    "SplitBiasLSTMCell",
    "StackedBiLSTM",
    "TOCChannelMask",
    "TransformerBlock",
    "TransformerEncoder",
    "TransposedConvolution",
]
