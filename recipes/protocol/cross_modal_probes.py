"""Codes of clips as views for probes, and probes of every modality tested on every modality."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

import keras_cmg
from recipes.protocol.clips import LEVELS, Clips, Encoded, encode
from recipes.protocol.linear_probes import Labelled, train_probes

QUANTIZED, CONTINUOUS = "quantized", "continuous"


class ProbeScores(NamedTuple):
    """Result of `probe_every_pair`; the first key is always the view."""

    scores: dict[str, dict[str, float]]
    """View and pair "source->target" to accuracy on the target's test clips."""
    validation: dict[str, dict[str, float]]
    """View and source to the accuracy on the source's validation clips that chose the epoch."""
    epochs: dict[str, dict[str, int]]
    """View and source to the chosen epoch, from 1."""
    probes: dict[str, dict[str, keras.Model]]
    """View and source to the probe, with its weights at that epoch."""


def toc_masks(
    channels: Sequence[int], codebook: Any, **options: Any
) -> dict[str, keras_cmg.layers.TOCChannelMask]:
    """Returns an adapted TOC mask for each number of kept dimensions.

    Args:
        channels: numbers of dimensions to keep.
        codebook: what `TOCChannelMask.adapt` takes, such as a backbone's `code_source()`; None for
            a model without codes.
        options: further arguments of `TOCChannelMask`.

    Returns:
        Number of dimensions, as text, to mask; nothing without a codebook.

    Raises:
        ValueError: if a number is below 1 or above that of all channels.

    Example:

    >>> masks = toc_masks((2, 1), np.eye(3))
    >>> [mask.num_channels for mask in masks.values()]
    [2, 1]
    """
    if codebook is None:
        return {}
    check_channels(channels, _width(codebook))
    masks = {str(kept): keras_cmg.layers.TOCChannelMask(kept, **options) for kept in channels}
    for mask in masks.values():
        mask.adapt(codebook)
    return masks


def _width(codebook: Any) -> int:
    if isinstance(codebook, keras_cmg.layers.Quantizer):
        return int(getattr(codebook, "code_dim", codebook.embedding_dim))
    parts = codebook if isinstance(codebook, list | tuple) else (codebook,)
    return sum(codes.shape[1] for codes in parts)


def check_channels(channels: Sequence[int], dim: int) -> None:
    """Checks numbers of kept dimensions against the length of a code.

    Args:
        channels: numbers of dimensions to keep.
        dim: length of a code.

    Raises:
        ValueError: if a number is below 1 or above `dim`.

    Example:

    >>> check_channels((9,), 8)
    Traceback (most recent call last):
    ...
    ValueError: --toc-channels must lie between 1 and 8. Received: 9
    """
    for kept in channels:
        if not 1 <= kept <= dim:
            raise ValueError(f"--toc-channels must lie between 1 and {dim}. Received: {kept}")


def code_views(
    codes: Mapping[str, np.ndarray], masks: Mapping[str, keras_cmg.layers.TOCChannelMask]
) -> dict[str, np.ndarray]:
    """Returns the views that probes learn from: codes, features before them, channels of TOC.

    Args:
        codes: dict with `quantized` and `general`, float (clips, frames, dim) or (clips, dim).
        masks: name to TOC mask, adapted.

    Returns:
        View, "quantized", "continuous" or the name of a mask, to float (clips, frames, dim).

    Example:

    >>> mask = keras_cmg.layers.TOCChannelMask(1)
    >>> mask.adapt(np.eye(2))
    >>> codes = {"quantized": np.ones((3, 2)), "general": np.zeros((3, 2))}
    >>> {view: x.shape for view, x in code_views(codes, {"1": mask}).items()}
    {'quantized': (3, 1, 2), 'continuous': (3, 1, 2), '1': (3, 1, 1)}
    """
    views = {QUANTIZED: codes["quantized"], CONTINUOUS: codes["general"]}
    for name, mask in masks.items():
        views[name] = ops.convert_to_numpy(mask(ops.convert_to_tensor(codes["quantized"])))
    return {name: x if x.ndim == 3 else x[:, None] for name, x in views.items()}


class EncodedClips:
    """Codes of clips, each modality and split encoded once.

    Args:
        backbone: the frozen encoder, built.
        clips: where clips are read from.
        levels: modality to "segment" or "clip".
        cache: codes to share with other data sets that hold the same clips.
    """

    def __init__(
        self,
        backbone: keras_cmg.models.Backbone,
        clips: Clips,
        levels: Mapping[str, str] = LEVELS,
        cache: dict[Any, Any] | None = None,
    ) -> None:
        self.backbone, self.clips, self.levels = backbone, clips, levels
        self.cache: dict[Any, Any] = {} if cache is None else cache
        self.missing = 0
        """Clips that could not be read."""

    def encoded(
        self, split: str, modality: str, level: str | None = None, **options: Any
    ) -> Encoded:
        """Returns codes and labels of a split.

        Args:
            split: "train", "val" or "test".
            modality: one of the backbone's.
            level: "segment" or "clip"; that of the modality if None.
            options: options of a published data set.
        """
        level = level or self.levels.get(modality, "segment")
        key = (self.clips.data, split, modality, level, *sorted(options.items()))
        if key not in self.cache:
            encoder = self.cache.setdefault(
                ("encoder", modality, level),
                keras_cmg.models.ModalityEncoder(self.backbone, modality, level=level),
            )
            found = encode(
                self.backbone, self.clips, split, modality, level, True, encoder, **options
            )
            self.cache[key] = found
            self.missing += found.missing
        return self.cache[key]

    def labelled(
        self,
        split: str,
        modality: str,
        masks: Mapping[str, keras_cmg.layers.TOCChannelMask],
        **options: Any,
    ) -> Labelled:
        """Returns views of the codes of a split, with labels.

        Args:
            split: "train", "val" or "test".
            modality: one of the backbone's.
            masks: name to TOC mask, adapted.
            options: options of a published data set.
        """
        found = self.encoded(split, modality, **options)
        return Labelled(code_views(found.codes, masks), found.labels)


def probe_every_pair(
    encoded: EncodedClips,
    masks: Mapping[str, keras_cmg.layers.TOCChannelMask],
    epochs: int = 25,
    seed: int = 0,
    test: bool = True,
) -> ProbeScores:
    """Trains a probe on each modality's codes and tests it on the codes of every modality.

    The protocol `heldout`: the epoch of a probe is chosen on validation clips of its *source*; test
    labels of the target are read once, at that epoch.

    Args:
        encoded: codes of the clips.
        masks: name to TOC mask, adapted.
        epochs: epochs of training.
        seed: seed of the order of the training clips.
        test: whether test clips are read; without them `scores` is empty.

    Returns:
        Accuracies, as fractions, chosen epochs, and the probes.
    """
    modalities = encoded.backbone.modalities
    targets = {}
    if test:
        targets = {name: encoded.labelled("test", name, masks) for name in modalities}
    sources = {
        name: (encoded.labelled("train", name, masks), encoded.labelled("val", name, masks))
        for name in modalities
    }
    return probe_pairs(sources, targets, epochs, seed)


def probe_pairs(
    sources: Mapping[str, tuple[Labelled, Labelled]],
    targets: Mapping[str, Labelled],
    epochs: int = 25,
    seed: int = 0,
    batch_size: int = 80,
) -> ProbeScores:
    """Trains a probe on each source and tests it on every target, see `probe_every_pair`.

    Args:
        sources: modality to training clips and validation clips.
        targets: modality to test clips.
        epochs: epochs of training.
        seed: seed of the order of the training clips.
        batch_size: clips per step.

    Returns:
        Accuracies, as fractions, chosen epochs, and the probes.

    Example:

    >>> x = np.repeat(np.eye(2, dtype="float32"), 4, axis=0)[:, None]
    >>> labels = np.repeat(np.eye(2, 3), 4, axis=0)[:, None]
    >>> clips = Labelled({"codes": x}, labels)
    >>> probe_pairs({"audio": (clips, clips)}, {"text": clips}, epochs=2).scores["codes"]
    {'audio->text': 1.0}
    """
    result = ProbeScores({}, {}, {}, {})
    for source, (train, val) in sources.items():
        found = train_probes(
            train, val, {**targets, "": val}, epochs=epochs, batch_size=batch_size, seed=seed
        )
        for view, choice in found[""].items():
            result.validation.setdefault(view, {})[source] = choice.chosen_on
            result.epochs.setdefault(view, {})[source] = choice.epoch
            result.probes.setdefault(view, {})[source] = choice.probe
        for target in targets:
            for view, choice in found[target].items():
                pair = f"{source}->{target}"
                result.scores.setdefault(view, {})[pair] = choice.scores["accuracy"]
    return result
