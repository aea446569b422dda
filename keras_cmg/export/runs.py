"""Loads models and statistics of features from the folders that recipes and `data_tools` write."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras

from keras_cmg.faults import reading
from keras_cmg.files import read_arrays
from keras_cmg.layers.log_mel_summary import LogMelSummary
from keras_cmg.layers.pca_projection import PCAProjection
from keras_cmg.records import read_record
from keras_cmg.saved_models import load_model

MODEL, RESULT, EXTRACTORS = "model.keras", "result.json", "extractors.npz"
ORIGIN = ("recipe", "settings", "seed", "command", "date", "versions")
"""Entries of a run's result that are copied to the metadata."""


def load_run(path: str | os.PathLike[str]) -> tuple[keras.Model, dict[str, Any]]:
    """Loads the trained model of a run, and the description of the run.

    Args:
        path: folder of a recipe's run, with `model.keras` and `result.json`; or a `.keras` file.

    Returns:
        The model, not compiled, and a dict of `recipe`, `settings`, `seed`, `command`, `date` and
        `versions` of the run, which is empty for a `.keras` file.

    Raises:
        FileNotFoundError: if there is no model at `path`.
        ValueError: if the file is not a saved model.

    Example:

    >>> load_run("no-such-run")
    Traceback (most recent call last):
        ...
    FileNotFoundError: no-such-run is neither a run with model.keras in it nor a .keras file.
    """
    path = Path(path)
    file = path / MODEL if path.is_dir() else path
    if file.suffix != ".keras" or not file.is_file():
        raise FileNotFoundError(f"{path} is neither a run with {MODEL} in it nor a .keras file.")
    model = load_model(file)
    result = file.with_name(RESULT)
    origin = read_record(result, {}) if path.is_dir() and result.is_file() else {}
    return model, {key: origin[key] for key in ORIGIN if key in origin}


def load_log_mel_summary(path: str | os.PathLike[str], dtype: str = "float64") -> LogMelSummary:
    """Loads the audio front end of prepared features: a layer with their statistics.

    Args:
        path: folder of prepared features, with `extractors.npz`.
        dtype: dtype of the layer; `"float32"` where a format has no double precision.

    Returns:
        A `keras_cmg.layers.LogMelSummary`.

    Raises:
        FileNotFoundError: if there is no `extractors.npz`.
        ValueError: if the file is damaged, or lacks an array.

    Example:

    >>> statistics = {"audio_mean": np.zeros(128), "audio_std": np.ones(128)}
    >>> np.savez("extractors.npz", sample_rate=8000, **statistics)
    >>> load_log_mel_summary(".").sample_rate
    8000
    """
    file = Path(path) / EXTRACTORS
    if not file.is_file():
        raise FileNotFoundError(f"There is no {EXTRACTORS} in {path}.")
    arrays = read_arrays(file)
    with reading(file, "hold the statistics of audio features"):
        sample_rate = int(arrays["sample_rate"])
        mean, std = arrays["audio_mean"].tolist(), arrays["audio_std"].tolist()
        return LogMelSummary(sample_rate, mean, std, dtype=dtype, name="log_mel")


def load_reductions(path: str | os.PathLike[str]) -> dict[str, PCAProjection]:
    """Loads the principal components that an extraction with the option `reduce` fitted.

    Args:
        path: folder that `python -m data_tools extract` or `prepare` wrote, with `extractors.npz`
            or `<modality>_extractors.npz`.

    Returns:
        Modality to a `keras_cmg.layers.PCAProjection`.

    Raises:
        FileNotFoundError: if no such file is there.
        ValueError: if a file is damaged, or none has a reduction.

    Example:

    >>> np.savez("extractors.npz", audio_reduction_mean=np.zeros(3),
    ...     audio_reduction_components=np.eye(3)[:, :2])
    >>> load_reductions(".")["audio"].num_components
    2
    """
    files = sorted(Path(path).glob(f"*{EXTRACTORS}"))
    if not files:
        raise FileNotFoundError(f"There is no {EXTRACTORS} in {path}.")
    found = {}
    for file in files:
        arrays = read_arrays(file)
        with reading(file, "hold what extractors learned"):
            for name, components in arrays.items():
                modality, _, rest = name.partition("_reduction_")
                if rest == "components":
                    layer = PCAProjection(components.shape[1], name=f"{modality}_reduction")
                    layer.assign(arrays[f"{modality}_reduction_mean"], components)
                    found[modality] = layer
    if not found:
        raise ValueError(f"{path} must hold features that were extracted with `reduce`.")
    return found
