"""Clips of different modalities that have the same code, with pictures and sounds."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from data_tools.io.feature_folder import FeatureFolder
from data_tools.raw import rendering
from recipes.protocol import code_use
from recipes.reporting import clip_media


def same_code(
    features: str | os.PathLike[str],
    indices: Mapping[str, np.ndarray],
    classes: np.ndarray,
    num_embeddings: int,
    raw: str | None = None,
    split: str = "test",
    limit: int = 5,
) -> list[dict[str, Any]]:
    """Returns some codes with one clip of each modality, all from different clips.

    Args:
        features: folder of prepared features.
        indices: modality to (clips,) int codes of the clips of the split.
        classes: (clips,) int.
        num_embeddings: number of codes.
        raw: folder of the raw files; that of the preparation if None.
        split: "train", "val" or "test".
        limit: upper limit of the codes.

    Returns:
        A dict per code: `code`; `agrees`, whether all of its clips have one label; and `clips`,
        modality to a dict of `category`, `id`, and `frames`, a WebP file, or `text`, or
        `spectrogram`, a WebP file of `seconds` and up to `kilohertz`, and `sound`, an MP3 file.

    Raises:
        FileNotFoundError: if the folder or a raw file is missing.
        ValueError: if the folder is damaged.
    """
    folder = FeatureFolder(features)
    rows, clips = folder.order(split), rendering.read_clips(folder)
    # Opened once: each opening reads the raw files anew.
    dataset = rendering.open_dataset(folder, raw)

    def shown(modality: str, clip: Any) -> dict[str, Any]:
        if modality == "audio":
            waveform = dataset.waveform(clip)
            return {
                "spectrogram": clip_media.webp(clip_media.spectrogram(waveform)),
                "seconds": len(waveform) / dataset.sample_rate,
                "kilohertz": dataset.sample_rate / 2000,
                "sound": clip_media.mp3(waveform, dataset.sample_rate),
            }
        if modality == "video":
            return {"frames": clip_media.contact_sheet(dataset.frames(clip))}
        return {"text": clip.caption}

    return [
        {
            "code": code,
            "agrees": len({classes[position] for position in members.values()}) == 1,
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
