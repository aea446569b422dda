"""The epoch at which a model is best on validation clips of each modality itself."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from recipes.protocol import clip_views
from recipes.protocol.clip_probes import train_probe
from recipes.protocol.clips import Clips
from recipes.protocol.cross_modal_probes import EncodedClips

MASKED = "masked"


class BestEpoch(keras.callbacks.Callback):
    """Keeps the weights of the epoch with the best probes within each modality.

    After each epoch a probe is trained on the mean codes of each modality's training clips; the
    score is the mean over modalities of the accuracy on validation clips of the same modality. No
    clip of another modality and no test clip is read. After training the model has the weights of
    the best epoch; of equally good ones the last.

    Args:
        clips: training and validation clips, with labels.

    Example:

    >>> BestEpoch(Clips("synthetic", "features")).scores
    []
    """

    def __init__(self, clips: Clips) -> None:
        super().__init__()
        self.clips = clips
        self.scores: list[float] = []
        """A score per epoch, a fraction."""
        self.epoch = 0
        """The best epoch, from 1."""
        self._weights: Any = None

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.scores.append(within_modality(self.model.backbone, self.clips))
        if self._weights is None or self.scores[-1] >= max(self.scores):
            self.epoch = len(self.scores)
            self._weights = self.model.get_weights()

    def on_train_end(self, logs: Any = None) -> None:
        if self._weights is not None and self.epoch < len(self.scores):
            self.model.set_weights(self._weights)


def within_modality(backbone: Any, clips: Clips, mask: Any = None) -> float:
    """Computes the accuracy of probes on validation clips of their own modality.

    Args:
        backbone: trained.
        clips: training and validation clips, with labels.
        mask: TOC mask of the codes, adapted; None for whole codes.

    Returns:
        The mean over modalities, a fraction.
    """
    encoded = EncodedClips(backbone, clips)
    view = clip_views.CODES if mask is None else MASKED
    masks = {} if mask is None else {MASKED: mask}
    train, val = (
        clip_views.vectors_of(encoded, split, masks, tokens=False)[view]
        for split in ("train", "val")
    )
    number = len(clips.categories())
    scores = [train_probe(train[name], val[name], number).validation for name in train]
    return float(np.mean(scores))
