"""Evaluation of an encoder: a task, a protocol, probes, and what comes out."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from keras import ops

import keras_cmg
from recipes.protocol import clips, measures, probes
from recipes.protocol.probing import toc_masks
from recipes.protocol.tasks import Task
from recipes.runner import settings
from recipes.training import training_settings as training
from recipes.training.training_settings import Training

HELDOUT = (
    "Probes are one linear layer, trained on labelled clips of one modality; the epoch, and how "
    "many dimensions TOC keeps, are the best on validation clips of that same modality; test "
    "labels of the other are read once."
)
REFERENCE = (
    "Probes are those of the published code, two linear layers (with the maximum over time between "
    "them where a clip has one class), trained with its losses, learning rates and clipping; the "
    "epoch is the one best on the clips that are reported, which are in part those trained on. "
    "TOC keeps as many dimensions as the published script, by its criterion, of codes that are not "
    "normalised. Unlike there, dropout is off while features are computed."
)
NO_CODES = "{} has no codes, so that TOC does not apply: its columns are absent."


@dataclasses.dataclass
class Probing(Training):
    """Settings of recipes that train an encoder and probe it."""

    directions: tuple[str, ...] = ("video:audio", "audio:video")
    probe_epochs: int = 25
    toc_channels: tuple[int, ...] = (192, 128, 64)


SMOKE: dict[str, Any] = {"probe_epochs": 2, "toc_channels": (128,)}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of training and testing probes."""
    parser.add_argument(
        "--directions",
        nargs="+",
        metavar="FROM:TO",
        help="modality to learn on and modality to be tested on (default: video:audio audio:video)",
    )
    parser.add_argument("--probe-epochs", type=int, help="of training a probe (default: 25)")
    parser.add_argument(
        "--toc-channels", type=int, nargs="+", metavar="Q", help="dimensions that TOC keeps"
    )


def masks_of(
    backbone: keras_cmg.models.Backbone,
    chosen: Probing,
    task: Task,
    criterion: str | None = None,
) -> dict[str, keras_cmg.layers.TOCChannelMask]:
    """TOC as the protocol has it, adapted; nothing for a system without codes.

    Args:
        backbone: the encoder.
        chosen: settings.
        task: whose published script counts under "reference".
        criterion: of TOC; that of the protocol if None.

    Returns:
        Number of dimensions, as text, to mask.
    """
    if backbone.codebook is None:
        return {}
    dim = backbone.codebook.shape[1]
    if chosen.protocol == "heldout":
        masks = toc_masks(chosen.toc_channels, dim, criterion=criterion or "both")
    else:
        masks = toc_masks(
            (min(task.reference_channels, dim),),
            dim,
            criterion=criterion or task.reference_criterion,
            normalize=False,
            unbiased=True,
        )
    for mask in masks.values():
        mask.adapt(backbone.codebook)
    return masks


def evaluate(
    task: Task,
    backbone: keras_cmg.models.Backbone,
    source: clips.Clips,
    chosen: Probing,
    seed: int,
    masks: Mapping[str, keras_cmg.layers.TOCChannelMask],
    cache: dict[Any, clips.Encoded] | None = None,
) -> dict[str, Any]:
    """Probes of a task, in every direction and within the modality they learn on.

    Args:
        task: which clips, labels and metrics.
        backbone: the frozen encoder.
        source: where the clips are read from.
        chosen: protocol, directions and the training of probes.
        seed: of the probes.
        masks: name to TOC mask, adapted.
        cache: of encoded clips, to be shared between tasks on the same data.

    Returns:
        Dict of `scores`, direction to view to metric; `chosen_on` and `epochs`, direction to view;
        `constant`, direction to metric, what one reaches without looking; `clips`, how many there
        were; `clips_unreadable`; `metrics`, the main one first.
    """
    reader = _Reader(task, backbone, source, masks, cache if cache is not None else {})
    pairs = [tuple(direction.split(":")) for direction in chosen.directions]
    learn, tested = ("train", "test") if chosen.protocol == "heldout" else task.reference_splits
    result: dict[str, Any] = {"metrics": list(task.metrics)}
    for kind in ("scores", "chosen_on", "epochs", "constant"):
        result[kind] = {}
    for modality in dict.fromkeys(first for first, _ in pairs):
        train = reader.labelled(learn, modality, "source")
        val = reader.labelled("val", modality, "source") if chosen.protocol == "heldout" else None
        others = [second for first, second in pairs if first == modality]
        targets = {
            target: reader.labelled(tested, target, "target")
            for target in dict.fromkeys([*others, modality])
        }
        found = probes.train_probes(
            train,
            val,
            targets,
            task.localises,
            task.metrics[0],
            chosen.protocol,
            chosen.probe_epochs,
            seed=seed,
        )
        for target, views in found.items():
            direction, labels = f"{modality}->{target}", targets[target].labels
            result["scores"][direction] = {view: c.scores for view, c in views.items()}
            result["epochs"][direction] = {view: c.epoch for view, c in views.items()}
            result["chosen_on"][direction] = {view: c.chosen_on for view, c in views.items()}
            answer = measures.constant_logits(task.localises, train.labels, len(labels))
            result["constant"][direction] = measures.measure(task.localises, labels, answer)
    return {**result, "clips": reader.counts, "clips_unreadable": reader.missing}


class _Reader:
    """Encoded clips of a task, each part of them once."""

    def __init__(self, task, backbone, source, masks, cache):
        self.task, self.backbone, self.source = task, backbone, source
        self.masks, self.cache = masks, cache
        self.counts: dict[str, int] = {}
        self.missing = 0

    def labelled(self, split: str, modality: str, role: str) -> probes.Labelled:
        """Views of the clips of a split that take a role."""
        level = clips.LEVELS.get(modality, "segment")
        if self.task.localises and level == "clip":
            raise ValueError(f"{modality!r} has no seconds, so that it cannot localise events")
        options = {} if self.source.prepared else self.task.options.get(modality, {})
        key = (self.source.data, split, modality, *sorted(options.items()))
        if key not in self.cache:
            encoder = self.cache.setdefault(
                ("encoder", modality),
                keras_cmg.models.ModalityEncoder(self.backbone, modality, level=level),
            )
            self.cache[key] = clips.encode(
                self.backbone, self.source, split, modality, level, True, encoder, **options
            )
            self.missing += self.cache[key].missing
        encoded = self.cache[key]
        keep = np.ones(len(encoded.labels), bool)
        if self.source.prepared:
            keep = self.task.stand_in(encoded.labels, modality, role)
        if not keep.any():
            raise ValueError(f"{split} of {self.source.data} must have clips for {self.task.name}")
        self.counts[f"{role} {split} {modality}"] = int(keep.sum())
        codes = {kind: encoded.codes[kind][keep] for kind in ("quantized", "general")}
        views = {"quantized": codes["quantized"], "continuous": codes["general"]}
        for name, mask in self.masks.items():
            views[name] = ops.convert_to_numpy(mask(ops.convert_to_tensor(views["quantized"])))
        views = {name: x if x.ndim == 3 else x[:, None] for name, x in views.items()}
        return probes.Labelled(views, encoded.labels[keep])


def chosen_view(result: Mapping[str, Any], direction: str, views: Sequence[str]) -> str:
    """The view that is best on what the protocol chooses by; the first of equals.

    Args:
        result: of `evaluate`.
        direction: "source->target".
        views: to choose among.

    Returns:
        One of them.

    Example:

    >>> chosen_view({"chosen_on": {"a->b": {"192": 0.5, "128": 0.6}}}, "a->b", ["192", "128"])
    '128'
    """
    return max(views, key=lambda view: result["chosen_on"][direction][view])


def toc_views(result: Mapping[str, Any]) -> list[str]:
    """Names of the views that TOC made.

    Args:
        result: of `evaluate`.

    Returns:
        Numbers of dimensions, as text, the largest first.

    Example:

    >>> toc_views({"epochs": {"a->b": {"quantized": 1, "continuous": 1, "64": 2, "128": 1}}})
    ['128', '64']
    """
    first = next(iter(result["epochs"].values()))
    return sorted((view for view in first if view.isdigit()), key=int, reverse=True)


def across(result: Mapping[str, Any]) -> list[str]:
    """Directions from one modality to another.

    Args:
        result: of `evaluate`.

    Returns:
        Those of its directions whose ends differ.

    Example:

    >>> across({"scores": {"a->a": {}, "a->b": {}}})
    ['a->b']
    """
    return [d for d in result["scores"] if len(set(d.split("->"))) == 2]


def settings_of(options: argparse.Namespace, defaults: Any) -> Any:
    """Settings of a recipe that probes, checked."""
    chosen = training.settings_of(defaults, options, SMOKE)
    settings.check_positive(chosen, ("probe_epochs",))
    for direction in chosen.directions:
        ends = direction.split(":")
        known = clips.modalities_of(chosen.data)
        if len(ends) != 2 or any(end not in known for end in ends):
            raise ValueError(
                f"--directions must be FROM:TO of {known}, such as video:audio; received: "
                f"{direction!r}"
            )
    return chosen
