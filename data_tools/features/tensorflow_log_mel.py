"""The log-mel summary as TensorFlow operations, for `tf.data` pipelines, by tensorflow-io.

The constants are those of `keras_cmg.ops.log_mel`, and the numbers agree with
`data_tools.features.audio`. tensorflow-io has wheels for Python up to 3.12 on Linux and macOS. Only
its Python functions are used, which do not need its native library.
"""

from __future__ import annotations

import functools
import warnings
from typing import Any

from data_tools.features.log_mel import definition as log_mel

_NO_LIMIT = 1000.0
"""Dynamic range, in dB, so wide that only the fixed floor has an effect."""


@functools.cache
def library() -> Any:
    """Imports tensorflow-io without its warnings about the native library.

    Returns:
        The module.

    Raises:
        ImportError: if tensorflow-io or TensorFlow is not installed.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore",
            message=r"(?s)(unable to load libtensorflow_io|file system plugins are not loaded)",
            category=UserWarning,
        )
        try:
            import tensorflow_io
        except ImportError as error:
            raise ImportError(
                "the backend 'tensorflow-io' needs the packages tensorflow and tensorflow-io "
                f"(Python 3.12 or older, Linux or macOS); importing them gave: {error}. The "
                "backend 'numpy' gives the same numbers without them."
            ) from error
    return tensorflow_io


def mel_spectrogram(waveform: Any, sample_rate: int) -> Any:
    """Computes mel bands of the short-time amplitude spectrum.

    Args:
        waveform: (..., samples) float, array or tensor.
        sample_rate: in hertz.

    Returns:
        Tensor (..., frames, 32).

    Raises:
        ImportError: if tensorflow-io is not installed.
    """
    functions = library().audio
    import tensorflow as tf

    window, hop = log_mel.spectrogram_sizes(sample_rate)
    waveform = tf.cast(waveform, tf.float32)
    spectrogram = functions.spectrogram(waveform, nfft=window, window=window, stride=hop)
    return functions.melscale(
        spectrogram,
        rate=sample_rate,
        mels=log_mel.NUM_BANDS,
        fmin=log_mel.MIN_HERTZ,
        fmax=sample_rate / 2,
    )


def mask(mel: Any, max_bands: int = 8, max_frames: int = 20) -> Any:
    """Masks a random stretch of bands and one of frames, to augment training clips.

    Apply it between `mel_spectrogram` and `summarize`. The stretches are drawn for each
    spectrogram, with lengths from 0 to the limits exclusive; `tf.random.set_seed` determines the
    draws.

    Args:
        mel: tensor (..., frames, bands) of mel amplitudes.
        max_bands: limit of the bands, exclusive; no mask over bands if 0.
        max_frames: limit of the frames, exclusive; no mask over frames if 0.

    Returns:
        Tensor of the same shape, zero where it is masked.

    Raises:
        ImportError: if tensorflow-io is not installed.
        ValueError: if a limit is negative or exceeds its axis.

    References:
        Park et al., "SpecAugment: a simple data augmentation method for automatic speech
        recognition", Interspeech 2019.
    """
    functions = library().audio
    import tensorflow as tf

    mel = tf.convert_to_tensor(mel)
    for name, limit, size in (
        ("max_bands", max_bands, mel.shape[-1]),
        ("max_frames", max_frames, mel.shape[-2]),
    ):
        if limit < 0 or (size is not None and limit > size):
            raise ValueError(f"`{name}` must be from 0 to {size}. Received: {limit}")

    def one(spectrogram: Any) -> Any:
        if max_bands:
            spectrogram = functions.freq_mask(spectrogram, param=max_bands)
        if max_frames:
            spectrogram = functions.time_mask(spectrogram, param=max_frames)
        return spectrogram

    flat = tf.reshape(mel, tf.concat([[-1], tf.shape(mel)[-2:]], 0))
    # Sequentially, so that the draws have the same order in each run.
    masked = tf.map_fn(one, flat, parallel_iterations=1)
    return tf.reshape(masked, tf.shape(mel))


def summarize(mel: Any) -> Any:
    """Computes the log-mel summary of seconds.

    Args:
        mel: tensor (..., frames, 32) of mel amplitudes, one second each.

    Returns:
        Tensor (..., 128) float32, in dB.

    Raises:
        ImportError: if tensorflow-io is not installed.
    """
    functions = library().audio
    import tensorflow as tf

    decibels = functions.dbscale(mel, top_db=_NO_LIMIT, amin=log_mel.MIN_POWER)
    energy = tf.reduce_sum(tf.square(tf.cast(mel, tf.float64)), -1)
    quiet = tf.cast(log_mel.NOISE_QUANTILE * tf.cast(tf.shape(energy)[-1], tf.float64), tf.int32)
    noise = tf.gather(tf.sort(energy, -1), quiet, axis=-1)[..., None]
    noise = tf.maximum(noise, log_mel.MIN_NOISE)
    sound = tf.maximum(energy - log_mel.NOISE_FACTOR * noise, 0) + log_mel.MIN_SOUND
    weight = sound / (sound + log_mel.NOISE_WEIGHT * noise)
    sound /= tf.reduce_sum(sound, -1, keepdims=True)
    ends = tf.cumsum(sound, -1)[..., None]
    starts = ends - sound[..., None]
    edges = tf.range(log_mel.NUM_STRETCHES + 1, dtype=tf.float64) / log_mel.NUM_STRETCHES
    overlap = tf.minimum(ends, edges[1:]) - tf.maximum(starts, edges[:-1])
    share = tf.maximum(overlap, 0) * (weight / sound)[..., None]
    share /= tf.reduce_sum(share, -2, keepdims=True)
    summary = tf.matmul(share, tf.cast(decibels, tf.float64), transpose_a=True)
    shape = tf.concat([tf.shape(summary)[:-2], [log_mel.NUM_STRETCHES * log_mel.NUM_BANDS]], 0)
    return tf.cast(tf.reshape(summary, shape), tf.float32)
