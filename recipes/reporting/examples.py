"""Clips of different modalities that fall on the same code, made visible and audible."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from data_tools.io import feature_folder as layout
from data_tools.raw import rendering
from recipes.protocol import code_use
from recipes.reporting import figures


def same_code(
    features: str | os.PathLike[str],
    indices: Mapping[str, np.ndarray],
    classes: np.ndarray,
    num_embeddings: int,
    raw: str | None = None,
    split: str = "test",
    limit: int = 5,
) -> list[dict[str, Any]]:
    """Some codes with one clip of each modality, every one from another clip.

    Args:
        features: feature folder.
        indices: modality to (clips,) int codes of the split's clips.
        classes: (clips,) int.
        num_embeddings: number of codes.
        raw: where the raw files lie; as in the preparation if None.
        split: "train", "val" or "test".
        limit: codes at most.

    Returns:
        A dict per code: `code`, and `clips`, modality to a dict of `category`, `id` and what
        shows the clip: `picture` and `sound` addresses, or `text`.

    Raises:
        FileNotFoundError: the folder or a raw file is missing.
        ValueError: the folder is damaged.
    """
    folder = layout.FeatureFolder(features)
    rows, clips = folder.order(split), rendering.read_clips(folder)
    # Opened once: each opening reads the raw files anew.
    dataset = rendering.open_dataset(folder, raw)

    def shown(modality: str, clip: Any) -> dict[str, str]:
        if modality == "audio":
            waveform = dataset.waveform(clip)
            return {
                "picture": figures.spectrogram(waveform, dataset.sample_rate),
                "sound": figures.sound(waveform, dataset.sample_rate),
            }
        if modality == "video":
            return {"picture": figures.film_strip(dataset.frames(clip))}
        return {"text": clip.caption}

    return [
        {
            "code": code,
            "clips": {
                modality: {
                    "category": folder.categories[classes[position]],
                    "id": clips[rows[position]].id,
                    **shown(modality, clips[rows[position]]),
                }
                for modality, position in members.items()
            },
        }
        for code, members in code_use.matching_clips(indices, classes, num_embeddings, limit)
    ]
