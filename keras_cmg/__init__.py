"""One discrete code space for sound, pictures and words, in Keras 3.

Layers and models for cross-modal generalisation: label one modality, and the model works on the
others. See `FCID`, `FCIDBackbone`, `TOCChannelMask`, and the equations in `keras_cmg.ops`.
"""

from keras_cmg import metrics, ops
from keras_cmg.layers import (
    BidirectionalContext,
    CLUBEstimator,
    CoarseProjector,
    Codebook,
    CPCPredictor,
    ImageDecoder,
    ImageEncoder,
    MapAttention,
    MapDecoder,
    MapPooling,
    MapSpecificEncoder,
    SequenceDecoder,
    SequenceSpecificEncoder,
    TemporalAttention,
    TOCChannelMask,
)
from keras_cmg.models import (
    DCID,
    FCID,
    VQVAE,
    CrossModalBackbone,
    DCIDBackbone,
    FCIDBackbone,
    LinearProbe,
    ModalityEncoder,
    Pretrainer,
    VQVAEBackbone,
    create,
    register_system,
    system,
    systems,
)
from keras_cmg.version import __version__

__all__ = [
    "DCID",
    "FCID",
    "VQVAE",
    "BidirectionalContext",
    "CLUBEstimator",
    "CPCPredictor",
    "CoarseProjector",
    "Codebook",
    "CrossModalBackbone",
    "DCIDBackbone",
    "FCIDBackbone",
    "ImageDecoder",
    "ImageEncoder",
    "LinearProbe",
    "MapAttention",
    "MapDecoder",
    "MapPooling",
    "MapSpecificEncoder",
    "ModalityEncoder",
    "Pretrainer",
    "SequenceDecoder",
    "SequenceSpecificEncoder",
    "TOCChannelMask",
    "TemporalAttention",
    "VQVAEBackbone",
    "__version__",
    "create",
    "metrics",
    "ops",
    "register_system",
    "system",
    "systems",
]
