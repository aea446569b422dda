"""One discrete code space for sound, pictures and words, in Keras 3.

Layers and models for cross-modal generalisation: label one modality, and the model works on the
others. See `FCID`, `FCIDBackbone`, `TOCChannelMask`, and the equations in `keras_cmg.ops`.
"""

from keras_cmg import ops
from keras_cmg.layers import (
    CLUBEstimator,
    CoarseProjector,
    Codebook,
    CPCPredictor,
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
    FCID,
    CrossModalBackbone,
    FCIDBackbone,
    LinearProbe,
    ModalityEncoder,
    Pretrainer,
)
from keras_cmg.version import __version__

__all__ = [
    "FCID",
    "CLUBEstimator",
    "CPCPredictor",
    "CoarseProjector",
    "Codebook",
    "CrossModalBackbone",
    "FCIDBackbone",
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
    "__version__",
    "ops",
]
