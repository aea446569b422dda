"""Systems: for each, a backbone that encodes and a pretrainer that trains it.

The backbone (encoders and codebook) is used after training: it is probed, masked by TOC and
exported. The pretrainer adds decoders, estimators, loss terms and their weights, and has `fit`. A
new system subclasses both, and can be used in every recipe.
"""

from keras_cmg.models.aha import AHA, AHABackbone
from keras_cmg.models.base.alignment_pretrainer import AlignmentPretrainer
from keras_cmg.models.base.backbone import Backbone
from keras_cmg.models.base.pretrainer import Pretrainer
from keras_cmg.models.base.registry import (
    create_model,
    get_model_class,
    list_models,
    register_model,
)
from keras_cmg.models.base.sequence_backbone import SequenceBackbone
from keras_cmg.models.cmcm import CMCM
from keras_cmg.models.codaar import CoDAAR
from keras_cmg.models.codebind import CodeBind, CodeBindBackbone
from keras_cmg.models.codis import CODIS, CODISBackbone
from keras_cmg.models.dcid import DCID, DCIDBackbone
from keras_cmg.models.fac import FAC, FACBackbone
from keras_cmg.models.fcid import FCID, FCIDBackbone
from keras_cmg.models.hdcid import HDCID
from keras_cmg.models.linear_probe import LinearProbe
from keras_cmg.models.micu import MICU
from keras_cmg.models.modality_encoder import ModalityEncoder
from keras_cmg.models.simmmdg import SimMMDG, SimMMDGBackbone
from keras_cmg.models.turn import TURN
from keras_cmg.models.vanilla import Vanilla
from keras_cmg.models.vqvae import VQVAE, VQVAEBackbone

__all__ = [
    "AHA",
    "CMCM",
    "CODIS",
    "DCID",
    "FAC",
    "FCID",
    "HDCID",
    "MICU",
    "TURN",
    "VQVAE",
    "AHABackbone",
    "AlignmentPretrainer",
    "Backbone",
    "CODISBackbone",
    "CoDAAR",
    "CodeBind",
    "CodeBindBackbone",
    "DCIDBackbone",
    "FACBackbone",
    "FCIDBackbone",
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
