"""The shared checks, for every public layer."""

import keras
import numpy as np
import pytest

from keras_cmg import layers
from tests.helpers.layer_checks import check_layer

SEQUENCE = np.random.default_rng(0).standard_normal((2, 4, 6)).astype("float32")
MAP = np.random.default_rng(1).standard_normal((2, 4, 5, 5, 6)).astype("float32")
SPECIFIC_MAP = MAP[:, :, :3, :3]
CLIP = SEQUENCE[:, 0]
WAVEFORM = np.random.default_rng(3).standard_normal((2, 1500)).astype("float32")
PAIR = {"audio": SEQUENCE, "video": 2 * SEQUENCE}
TEMPORAL = {"units": 8, "num_heads": 2, "feedforward_units": 4, "dropout": 0.0}


def projected_decoder(units, **kwargs):
    """Both layers of one policy."""
    decoder = layers.SequenceDecoder(5, dtype=kwargs.get("dtype"))
    return layers.ProjectedDecoder(units, decoder, **kwargs)


CASES = {
    "BatchNormMapEncoder": (
        layers.BatchNormMapEncoder,
        {"hidden_channels": 3, "channels": 4},
        (MAP,),
    ),
    "CLUBEstimator": (layers.CLUBEstimator, {"hidden_units": 4}, (SEQUENCE, SEQUENCE[..., :3])),
    "CPCPredictor": (layers.CPCPredictor, {"units": 3}, (PAIR,)),
    "CPCPredictor split": (
        layers.CPCPredictor,
        {"units": 3, "num_layers": 2, "num_prediction_steps": 2, "split_biases": True},
        (PAIR,),
    ),
    "CoarseProjector": (layers.CoarseProjector, {"units": 3}, (SEQUENCE,)),
    "Codebook": (layers.Codebook, {"num_embeddings": 5, "embedding_dim": 6}, (SEQUENCE,)),
    "Codebook pair": (layers.Codebook, {"num_embeddings": 5, "embedding_dim": 6}, (PAIR,)),
    "LogMelSummary": (layers.LogMelSummary, {"sample_rate": 1000}, (WAVEFORM,)),
    "GlobalBatchNormalization": (layers.GlobalBatchNormalization, {}, (MAP[:, 0],)),
    "JigsawClassifier": (layers.JigsawClassifier, {"hidden_units": 3}, (PAIR,)),
    "ImageDecoder": (
        layers.ImageDecoder,
        {"channels": 2, "grid": (2, 2), "hidden_channels": 3, "num_residual": 1, "upsampling": 1},
        (SEQUENCE,),
    ),
    "ImageEncoder": (
        layers.ImageEncoder,
        {"units": 5, "hidden_channels": 3, "num_residual": 1, "downsampling": 1},
        (MAP[:, 0, :4, :4],),
    ),
    "MapAttention": (layers.MapAttention, {"reduction": 2, **TEMPORAL}, (MAP,)),
    "MapDecoder": (
        layers.MapDecoder,
        {"units": 6, "hidden_channels": 3, "pre_activation_skip": True},
        (SEQUENCE, SPECIFIC_MAP),
    ),
    "MapPooling attention": (layers.MapPooling, {"reduction": 2}, (MAP,)),
    "MapPooling sum": (layers.MapPooling, {"pooling": "sum"}, (MAP,)),
    "MapPooling flatten": (layers.MapPooling, {"pooling": "flatten"}, (MAP,)),
    "MapSpecificEncoder": (
        layers.MapSpecificEncoder,
        {"hidden_channels": 3, "channels": 4},
        (MAP,),
    ),
    "StackedBiLSTM": (layers.StackedBiLSTM, {"units": 4}, (SEQUENCE,)),
    "PCAProjection": (layers.PCAProjection, {"num_components": 2}, (SEQUENCE,)),
    "PatchConvolution": (
        layers.PatchConvolution,
        {"filters": 4, "padding": "same"},
        (MAP[:, 0],),
    ),
    "ResidualUnit": (layers.ResidualUnit, {"channels": 6}, (MAP[:, 0],)),
    "TransposedConvolution": (layers.TransposedConvolution, {"filters": 6}, (MAP[:, 0],)),
    "MLP": (layers.MLP, {"units": 3, "hidden_units": 5}, (CLIP,)),
    "ProjectedDecoder": (projected_decoder, {"units": 2}, (SEQUENCE, SEQUENCE[..., :3])),
    "SequenceDecoder": (layers.SequenceDecoder, {"units": 5}, (SEQUENCE, SEQUENCE[..., :3])),
    "SequenceDecoder clip": (layers.SequenceDecoder, {"units": 5}, (CLIP, CLIP)),
    "SequenceSpecificEncoder": (layers.SequenceSpecificEncoder, {"units": 3}, (SEQUENCE,)),
    "TOCChannelMask mask": (
        layers.TOCChannelMask,
        {"num_channels": 2, "mode": "mask", "criterion": "variance"},
        (SEQUENCE,),
    ),
    "TOCChannelMask select": (layers.TOCChannelMask, {"num_channels": 2}, (SEQUENCE,)),
    "TransformerEncoder": (layers.TransformerEncoder, {**TEMPORAL, "num_layers": 2}, (SEQUENCE,)),
    "CoarseLevel": (layers.CoarseLevel, {"modalities": ("audio", "video"), "units": 3}, (PAIR,)),
    "CodeDiscriminator": (
        layers.CodeDiscriminator,
        {"num_embeddings": 3, "hidden_units": 4},
        (SEQUENCE,),
    ),
    "GradientReversal": (layers.GradientReversal, {"scale": 0.5}, (SEQUENCE,)),
    "SecondLevel": (
        layers.SecondLevel,
        {"units": 4, "general": {"num_heads": 2, "feedforward_units": 4}},
        (PAIR,),
    ),
    "EventHead": (layers.EventHead, {"num_classes": 3}, (SEQUENCE,)),
    "SaturatingAttention": (
        layers.SaturatingAttention,
        {"num_heads": 2, "key_dim": 3, "seed": 3},
        (SEQUENCE, SEQUENCE),
    ),
    "TransformerBlock": (
        layers.TransformerBlock,
        {"num_heads": 2, "feedforward_units": 4, "seed": 3},
        (SEQUENCE,),
    ),
}
FULL_PRECISION = (
    "CLUBEstimator",
    "Codebook",
    "JigsawClassifier",
    "LogMelSummary",
    "PCAProjection",
)


def is_quantizer(name):
    value = getattr(layers, name)
    return isinstance(value, type) and issubclass(value, layers.Quantizer)


def adapt(layer):
    if isinstance(layer, layers.TOCChannelMask):
        layer.adapt(np.random.default_rng(2).standard_normal((7, 6)))


ELSEWHERE = {"MomentumTeacher", "Prototypes", "SplitBiasLSTMCell"}
"""A teacher is not called, a call of prototypes trains nothing, and a cell is called by an RNN."""
QUANTIZERS = {name for name in layers.__all__ if is_quantizer(name)}
"""Checked by tests/keras_cmg/layers/quantizers/test_quantizer.py."""


def test_no_layer_is_left_out():
    assert {name.split()[0] for name in CASES} | ELSEWHERE | QUANTIZERS == set(layers.__all__)


@pytest.mark.parametrize("case", CASES)
def test_layer(case, tmp_path):
    layer_class, arguments, arrays = CASES[case]
    check_layer(
        lambda **kwargs: layer_class(**arguments, **kwargs),
        arrays,
        tmp_path,
        full_precision=case.split()[0] in FULL_PRECISION,
        prepare=adapt,
        **({"time": 1} if layer_class is layers.CPCPredictor else {}),
    )


KEEPS_FRAMES = (
    "GradientReversal",
    "PCAProjection",
    "SequenceSpecificEncoder",
    "TOCChannelMask select",
    "MapPooling sum",
)


@pytest.mark.parametrize("case", KEEPS_FRAMES)
def test_the_mask_of_frames_is_passed_on(case):
    layer_class, arguments, arrays = CASES[case]
    layer = layer_class(**arguments)
    adapt(layer)
    frames = keras.Input(arrays[0].shape[1:])
    frames._keras_mask = keras.Input((4,), dtype="bool")
    assert layer(frames)._keras_mask is frames._keras_mask


@pytest.mark.parametrize("case", CASES)
def test_attributes_are_called_as_their_arguments(case):
    layer_class, arguments, _ = CASES[case]
    layer = layer_class(**arguments)
    for name, value in arguments.items():
        found = getattr(layer, name)
        # Keras makes tuples of sizes of kernels.
        assert found in (value, (value, value)), name
