"""Systems behind one contract: a backbone that encodes, a pretrainer that trains it.

The backbone (encoders and codebook) is what is frozen, probed, masked by TOC and exported. The
pretrainer adds decoders, estimators, losses and their weights, and is what `fit` runs on. A new
system subclasses both and gets every recipe.
"""

from keras_cmg.models.base.alignment_pretrainer import AlignmentPretrainer
from keras_cmg.models.base.backbone import CrossModalBackbone, ModalityEncoder
from keras_cmg.models.base.fine_coarse_backbone import FineCoarseBackbone
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.registry import (
    create_model,
    get_model_class,
    list_models,
    register_model,
)
from keras_cmg.models.base.sequence_backbone import SequenceBackbone
from keras_cmg.models.cmcm import CMCM
from keras_cmg.models.codis import CODIS, CODISBackbone
from keras_cmg.models.dcid import DCID, DCIDBackbone
from keras_cmg.models.fac import FAC
from keras_cmg.models.fcid import FCID, FCIDBackbone
from keras_cmg.models.linear_probe import LinearProbe
from keras_cmg.models.simmmdg import SimMMDG, SimMMDGBackbone
from keras_cmg.models.turn import TURN
from keras_cmg.models.vanilla import Vanilla
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
    "create_model",
    "get_model_class",
    "list_models",
    "register_model",
]
