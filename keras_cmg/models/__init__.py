"""Systems behind one contract: a backbone that encodes, a pretrainer that trains it.

The backbone (encoders and codebook) is what is frozen, probed, masked by TOC and exported. The
pretrainer adds decoders, estimators, losses and their weights, and is what `fit` runs on. A new
system subclasses both and gets every recipe.
"""

from keras_cmg.models.alignment_pretrainer import AlignmentPretrainer
from keras_cmg.models.baselines import (
    CMCM,
    CODIS,
    DCID,
    FAC,
    TURN,
    CODISBackbone,
    DCIDBackbone,
    SimMMDG,
    SimMMDGBackbone,
    Vanilla,
)
from keras_cmg.models.cross_modal_backbone import CrossModalBackbone, ModalityEncoder
from keras_cmg.models.fcid import FCID, FCIDBackbone
from keras_cmg.models.fine_coarse_backbone import FineCoarseBackbone
from keras_cmg.models.heads import LinearProbe
from keras_cmg.models.pretrainer import Pretrainer
from keras_cmg.models.registry import create, register_system, system, systems
from keras_cmg.models.sequence_backbone import SequenceBackbone
from keras_cmg.models.vqvae import VQVAE, VQVAEBackbone

__all__ = [
    "CMCM",
    "CODIS",
    "DCID",
    "FAC",
    "FCID",
    "TURN",
    "VQVAE",
    "AlignmentPretrainer",
    "CODISBackbone",
    "CrossModalBackbone",
    "DCIDBackbone",
    "FCIDBackbone",
    "FineCoarseBackbone",
    "LinearProbe",
    "ModalityEncoder",
    "Pretrainer",
    "SequenceBackbone",
    "SimMMDG",
    "SimMMDGBackbone",
    "VQVAEBackbone",
    "Vanilla",
    "create",
    "register_system",
    "system",
    "systems",
]
