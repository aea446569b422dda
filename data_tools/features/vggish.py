"""VGGish: 128-d embedding of 0.96 s of sound, with its log-mel front end and post-processing.

Hershey et al., "CNN architectures for large-scale audio classification", ICASSP 2017
(arXiv 1609.09430), with the parameters of the code published with AudioSet.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from data_tools.features.log_mel import definition

SAMPLE_RATE = 16_000
WINDOW, HOP, FFT_LENGTH = 400, 160, 512
"""25 ms and 10 ms; the transform has the next power of two."""
NUM_BANDS, LOWEST, HIGHEST = 64, 125.0, 7500.0
LOG_OFFSET = 0.01
PATCH_FRAMES = 96
"""0.96 s."""
EMBEDDING_DIM = 128
CLIP = 2.0
"""Post-processed features are clipped to [-2, 2] and quantised to 0..255."""
CONVOLUTIONS = {
    "conv1": 64,
    "conv2": 128,
    "conv3_1": 256,
    "conv3_2": 256,
    "conv4_1": 512,
    "conv4_2": 512,
}
"""Layer to filters; a pooling follows each but the first of a pair."""
DENSE = {"fc1_1": 4096, "fc1_2": 4096, "fc2": EMBEDDING_DIM}


def log_mel(waveform: np.ndarray) -> np.ndarray:
    """Computes a log-mel spectrogram with a periodic Hann window and HTK mel bands.

    Args:
        waveform: (samples,) float in [-1, 1], at 16 kHz.

    Returns:
        (frames, 64) float32; one frame per 10 ms that has its whole window.

    Example:
        >>> log_mel(np.zeros(16000)).shape
        (98, 64)
    """
    if len(waveform) < WINDOW:
        return np.zeros((0, NUM_BANDS), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(np.asarray(waveform, np.float64), WINDOW)
    taper = 0.5 - 0.5 * np.cos(2 * np.pi / WINDOW * np.arange(WINDOW))
    magnitudes = np.abs(np.fft.rfft(frames[::HOP] * taper, FFT_LENGTH))
    weights = definition.mel_weights(
        FFT_LENGTH // 2 + 1, SAMPLE_RATE, NUM_BANDS, LOWEST, HIGHEST
    ).astype(np.float32)
    return np.log(magnitudes @ weights + LOG_OFFSET).astype(np.float32)


def patches(waveform: np.ndarray, hop_seconds: float = 0.96) -> np.ndarray:
    """Divides the log-mel spectrogram into patches of 0.96 s; the rest at the end is dropped.

    Args:
        waveform: (samples,) float in [-1, 1], at 16 kHz.
        hop_seconds: from one patch to the next; 0.96 as published, 1.0 to follow segments of one
            second.

    Returns:
        (patches, 96, 64) float32.

    Example:
        >>> patches(np.zeros(160000)).shape, patches(np.zeros(160000), 1.0).shape
        ((10, 96, 64), (10, 96, 64))
    """
    spectrogram = log_mel(waveform)
    hop = round(hop_seconds * SAMPLE_RATE / HOP)
    if len(spectrogram) < PATCH_FRAMES:
        return np.zeros((0, PATCH_FRAMES, NUM_BANDS), np.float32)
    windows = np.lib.stride_tricks.sliding_window_view(spectrogram, PATCH_FRAMES, axis=0)
    return np.array(np.swapaxes(windows[::hop], 1, 2), order="C")


def build_vggish(relu: bool = False) -> Any:
    """Builds the network with random weights.

    Args:
        relu: whether the embedding goes through a ReLU, as in the first release and in its PyTorch
            port; the published TensorFlow code now gives the values before it.

    Returns:
        A Keras model, (batch, 96, 64) to (batch, 128).

    Example:
        >>> build_vggish().count_params()
        72141184
    """
    from keras import Input, Model, layers

    inputs = Input((PATCH_FRAMES, NUM_BANDS))
    x = layers.Reshape((PATCH_FRAMES, NUM_BANDS, 1))(inputs)
    for name, filters in CONVOLUTIONS.items():
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            activation="relu",
            data_format="channels_last",
            name=name,
        )(x)
        if not name.endswith("_1"):
            x = layers.MaxPooling2D(2, padding="same", data_format="channels_last")(x)
    x = layers.Flatten(data_format="channels_last")(x)
    for name, units in DENSE.items():
        activation = "relu" if relu or name != "fc2" else None
        x = layers.Dense(units, activation=activation, name=name)(x)
    return Model(inputs, x, name="vggish")


def postprocess(
    embeddings: np.ndarray, eigenvectors: np.ndarray, means: np.ndarray, quantize: bool = True
) -> np.ndarray:
    """Applies the post-processing of the AudioSet features: PCA whitening, clipping, 8 bits.

    Args:
        embeddings: (patches, 128).
        eigenvectors: (128, 128), one component per row.
        means: (128,) or (128, 1).
        quantize: whether the result is whole numbers from 0 to 255; else clipped to [-2, 2].

    Returns:
        (patches, 128) float32.

    Example:
        >>> postprocess(np.array([[3.0, 0.0]]), np.eye(2), np.zeros(2))
        array([[255., 127.]], dtype=float32)
    """
    whitened = (np.asarray(embeddings) - np.reshape(means, (1, -1))) @ np.asarray(eigenvectors).T
    clipped = np.clip(whitened, -CLIP, CLIP)
    if quantize:
        clipped = np.floor((clipped + CLIP) * (255.0 / (2 * CLIP)))
    return clipped.astype(np.float32)
