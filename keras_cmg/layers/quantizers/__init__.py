"""Quantisers: layers that replace vectors by codes, behind one interface."""

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

__all__ = [
    "BSQ",
    "FSQ",
    "LFQ",
    "AlignedCodebook",
    "Codebook",
    "GroupedQuantizer",
    "LearnedCodebook",
    "ProjectedQuantizer",
    "Prototypes",
    "Quantizer",
    "ResidualQuantizer",
    "SimVQ",
]
