"""Images and codes of the middle second of each clip's event, for `generation`."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

import data_tools
import keras_cmg
from data_tools.raw import rendering
from recipes.protocol.clips import LEVELS, Clips, clip_classes, encode
from recipes.runner.options import SPLITS


def event_images(
    features: str | os.PathLike[str], root: str | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Returns the middle picture of each clip's event, 0 to 1, and its second.

    Args:
        features: folder of prepared features.
        root: folder of the raw files; that of the preparation if None.

    Returns:
        Split to (clips, height, width, channels) float32, and split to (clips,) int.
    """
    folder = data_tools.FeatureFolder(features)
    clips, dataset = rendering.read_clips(folder), rendering.open_dataset(folder, root)
    images, seconds = {}, {}
    for split in SPLITS:
        chosen = [clips[row] for row in folder.order(split)]
        seconds[split] = np.array([(clip.start + clip.end) // 2 for clip in chosen])
        pictures = [
            dataset.frames(clip)[second]
            for clip, second in zip(chosen, seconds[split], strict=True)
        ]
        x = np.stack(pictures).astype("float32") / 255
        images[split] = x if x.ndim == 4 else x[..., None]
    return images, seconds


def event_codes(
    backbone: keras_cmg.models.Backbone, clips: Clips, seconds: Mapping[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """Returns the quantised codes of that second; of captions, the one code.

    Args:
        backbone: trained.
        clips: where clips are read from.
        seconds: split to (clips,) int.

    Returns:
        Split to modality to (clips, dim) float.
    """
    codes: dict[str, dict[str, np.ndarray]] = {}
    for split, second in seconds.items():
        codes[split] = {}
        for modality in backbone.modalities:
            found = encode(backbone, clips, split, modality, LEVELS[modality]).codes["quantized"]
            whole = found.ndim == 2
            codes[split][modality] = found if whole else found[np.arange(len(second)), second]
    return codes


def class_labels(clips: Clips) -> dict[str, np.ndarray]:
    """Returns the class of each clip.

    Args:
        clips: prepared clips.

    Returns:
        Split to (clips,) int.
    """
    folder = data_tools.FeatureFolder(clips.root)
    labels = {s: clip_classes(folder.read("labels", folder.order(s))) for s in SPLITS}
    folder.close()
    return labels
