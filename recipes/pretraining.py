"""Features and pre-training without labels, as recipes share them."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras

import data_tools
import keras_cmg
from recipes.progress import EpochLine


def prepare(
    data: str,
    folder: str | Path,
    root: str | None,
    num_clips: Mapping[str, int],
    **options: Any,
) -> Path:
    """The folder of features, prepared now or found as it was left.

    Args:
        data: name of the raw data set.
        folder: where the features are or go.
        root: folder of the raw files.
        num_clips: split to number of clips.
        **options: of the raw data set, such as `split`.

    Returns:
        The folder.

    Raises:
        FileNotFoundError: a raw file is missing.
        ValueError: the folder holds something else, or a raw file is damaged.
    """
    try:
        return data_tools.prepare(data, folder, root, num_clips=num_clips, progress=True, **options)
    except ValueError as error:
        raise ValueError(f"features in {folder}: {error}") from error


def pretrain(
    model: keras_cmg.Pretrainer,
    features: Path,
    modalities: Sequence[str],
    epochs: int,
    batch_size: int,
    learning_rate: float,
    seed: int,
) -> tuple[dict[str, list[float]], float]:
    """Trains a system without labels.

    Args:
        model: the system, not compiled.
        features: feature folder.
        modalities: of a batch.
        epochs: of training.
        batch_size: clips per step.
        learning_rate: of the main Adam.
        seed: of the order of the clips.

    Returns:
        The logs of every epoch, and the seconds it took.

    Raises:
        ValueError: a loss stops being finite.
    """
    train = data_tools.load(features, "train", modalities, batch_size, seed=seed)
    # Whole batches only: contrastive losses of a smaller one are not comparable.
    val = data_tools.load(features, "val", modalities, batch_size, drop_remainder=True)
    model.compile(
        keras.optimizers.Adam(learning_rate, global_clipnorm=1.0),
        keras.optimizers.Adam(1e-3),
    )
    start = time.perf_counter()
    history = model.fit(
        train,
        validation_data=val,
        epochs=epochs,
        shuffle=False,
        verbose=0,
        callbacks=[EpochLine(("loss", "val_loss", "val_perplexity", "val_code_agreement"))],
    )
    return history.history, time.perf_counter() - start
