"""One model on one seed: trained without labels, then probed and searched across modalities."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from recipes.protocol import (
    clip_probes,
    clip_retrieval,
    clip_views,
    code_sharing,
    segment_probes,
    toc_criteria,
)
from recipes.protocol.clips import Clips
from recipes.protocol.cross_modal_probes import EncodedClips, toc_masks
from recipes.protocol.resource_use import PeakMemory, device_gigabytes
from recipes.runner import content_cache, provenance
from recipes.runner.settings import Settings
from recipes.training.best_epoch import BestEpoch
from recipes.training.trained_encoders import compile_model, new_model, training_batches

PAIRS = (("video", "audio"), ("text", "audio"), ("text", "video"))
MEASURED = (
    "model",
    "preset",
    "set",
    "learning_rate",
    "schedule",
    "epochs",
    "batch_size",
    "toc_channels",
    "labels",
)
"""Settings that decide a measurement."""


def cached_measurement(cache: Path, settings: Settings, clips: Clips, seed: int) -> dict[str, Any]:
    """Returns what `measure` measures, from the cache or measured now in a process of its own.

    Args:
        cache: folder of the cache.
        settings: settings with `MEASURED`.
        clips: clips to train and test on.
        seed: seed of the training.

    Returns:
        What `measure` returns.

    Raises:
        ValueError: if the measurement fails.
    """
    chosen = {name: getattr(settings, name) for name in MEASURED}
    identity = content_cache.with_code({**chosen, "seed": seed, "clips": clips.identity()})
    request = {"settings": chosen, "clips": {**clips._asdict(), "root": str(clips.root)}}
    return content_cache.remembered(
        cache / "measurements", identity, lambda: isolated({**request, "seed": seed})
    )


def isolated(request: Mapping[str, Any]) -> dict[str, Any]:
    """Calls `measure` in a process of its own, so that its memory is its own.

    Args:
        request: arguments of `measure`.

    Returns:
        What it measured.

    Raises:
        ValueError: if it failed.
    """
    methods = multiprocessing.get_all_start_methods()
    # Imports take seconds: the server makes them once, and runs nothing itself.
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload([__name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(dict(request), sender), daemon=True)
    process.start()
    sender.close()
    try:
        answer = receiver.recv()
    except EOFError:
        process.join()
        answer = {"error": f"its process ended with status {process.exitcode}"}
    except KeyboardInterrupt:
        process.terminate()
        raise
    process.join()
    if "error" in answer:
        settings = request["settings"]
        raise ValueError(f"{settings['model']}:{settings['preset']} failed: {answer['error']}")
    return answer


def _answer(request: Mapping[str, Any], sender: Any) -> None:
    # An interruption is reported once, by the parent process.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sender.send(provenance.plain(measure(**request)))
    except (OSError, RuntimeError, ValueError) as error:
        sender.send({"error": " ".join(str(error).split())})


def measure(settings: Mapping[str, Any], clips: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """Trains a model and measures its codes across modalities.

    Args:
        settings: settings with `MEASURED`; of `toc_channels`, one is chosen for each modality.
        clips: fields of `Clips`.
        seed: seed of weights, dropout, order and of the clips of small probes.

    Returns:
        The epoch that was chosen and the scores that chose it; `measured_codes`; times, memory,
        parameters.

    Raises:
        ValueError: if a setting is wrong, or training fails.
    """
    chosen, source = Settings(**settings), Clips(**{**clips, "root": Path(clips["root"])})
    with PeakMemory() as memory:
        model = new_model(chosen, source.modalities(), seed)
        batches = training_batches(source, chosen.batch_size, seed, model)
        compile_model(model, chosen, len(batches) * chosen.epochs)
        best, clock = BestEpoch(source), EpochClock()
        history = model.fit(
            batches, epochs=chosen.epochs, shuffle=False, verbose=0, callbacks=[clock, best]
        ).history
    encoded = EncodedClips(model.backbone, source)
    return {
        "train_seconds": round(sum(clock.seconds), 2),
        "memory_gigabytes": device_gigabytes() or memory.gigabytes,
        "parameters": {"model": model.count_params(), "kept": model.backbone.count_params()},
        "loss": history["loss"],
        "code_usage": history["code_usage"][-1] if "code_usage" in history else None,
        "epoch": best.epoch,
        "validation": max(best.scores),
        "validation_of_epochs": best.scores,
        **measured_codes(encoded, chosen.toc_channels, chosen.labels, seed),
    }


class EpochClock(keras.callbacks.Callback):
    """Measures the seconds of training of each epoch, without other callbacks.

    Example:

    >>> EpochClock().seconds
    []
    """

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._start = 0.0

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self._start = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.seconds.append(time.perf_counter() - self._start)


def measured_codes(
    encoded: EncodedClips, toc_channels: Sequence[int], labels: Sequence[int], seed: int
) -> dict[str, Any]:
    """Measures codes across modalities, from their vectors and from their identities.

    Args:
        encoded: codes of the clips.
        toc_channels: numbers of dimensions among which TOC chooses.
        labels: labelled clips per class of further probes.
        seed: seed of random dimensions and of the clips of small probes.

    Returns:
        `scores`, view and "source->target" to accuracy; `correct`, the same to which test clips
        are right, packed into hexadecimal digits; `few_labels`, number of labels to view and pair
        to accuracy; `toc`, chosen numbers of dimensions, and accuracies at half of them by
        criterion; `segments`, `retrieval`, `overlap` and `shares`.
    """
    backbone, clips = encoded.backbone, encoded.clips
    number = len(clips.categories())
    masks = {}
    if backbone.codebook is not None:
        half = max(1, backbone.codebook.shape[1] // 2)
        masks = toc_masks(tuple(dict.fromkeys((*toc_channels, half))), backbone.codebook)
    splits = {
        split: clip_views.vectors_of(encoded, split, masks) for split in ("train", "val", "test")
    }
    probes, correct = {}, {}
    for view, test in splits["test"].items():
        sources = {name: (splits["train"][view][name], splits["val"][view][name]) for name in test}
        probes[view], correct[view] = clip_probes.probe_pairs(sources, test, number)
    toc: dict[str, Any] = {}
    if masks:
        toc = _toc(encoded, splits, probes, correct, toc_channels, str(half), seed)
    present = {name: clips.present for name, clips in splits["test"][clip_views.CODES].items()}
    small = {}
    for count in labels:
        small[str(count)] = _few_labels(splits, count, number, seed)
    vectors = {
        view: {name: clips.vectors for name, clips in splits["test"][view].items()}
        for view in correct
        if view in splits["test"]
    }
    classes = next(iter(splits["test"][clip_views.CODES].values())).classes
    return {
        "scores": {
            view: {pair: _share(right, present, pair) for pair, right in pairs.items()}
            for view, pairs in correct.items()
        },
        "correct": {
            view: {pair: packed(right) for pair, right in pairs.items()}
            for view, pairs in correct.items()
        },
        "few_labels": small,
        "toc": toc,
        "segments": segment_probes.segment_scores(encoded, backbone.modalities),
        "retrieval": recalls_of(vectors, classes, present),
        **code_sharing.shared_codes(encoded, "test"),
    }


def _toc(
    encoded: EncodedClips,
    splits: Mapping[str, Any],
    probes: dict[str, Any],
    correct: dict[str, Any],
    candidates: Sequence[int],
    half: str,
    seed: int,
) -> dict[str, Any]:
    """Chooses numbers of dimensions, renames views, and compares criteria."""
    names = [str(kept) for kept in candidates]
    modalities = list(probes[names[0]])
    # The largest of equally good numbers.
    best = {
        name: max(names, key=lambda kept, name=name: (probes[kept][name].validation, int(kept)))
        for name in modalities
    }
    correct["toc"] = {
        pair: correct[best[pair.split("->")[0]]][pair] for pair in correct[clip_views.CODES]
    }
    correct["toc at half"] = correct[half]
    for kept in {*names, half}:
        del correct[kept]
        for views in splits.values():
            if kept == half:
                views["toc at half"] = views[kept]
            del views[kept]
    train, number = splits["train"][clip_views.CODES], len(encoded.clips.categories())
    counts = sum(code_sharing.counts_of(encoded, "train").values())
    kept = toc_criteria.chosen_channels(
        np.asarray(keras.ops.convert_to_numpy(encoded.backbone.codebook), "float64"),
        counts,
        {name: clips.vectors for name, clips in train.items()},
        int(half),
        seed,
    )
    criteria: dict[str, dict[str, float]] = {}
    for criterion, draws in kept.items():
        found: list[dict[str, np.ndarray]] = []
        for channels in draws:
            views = {
                split: {
                    name: clips._replace(vectors=clips.vectors[:, channels])
                    for name, clips in splits[split][clip_views.CODES].items()
                }
                for split in splits
            }
            sources = {name: (views["train"][name], views["val"][name]) for name in modalities}
            found.append(clip_probes.probe_pairs(sources, views["test"], number)[1])
        present = {name: clips.present for name, clips in splits["test"][clip_views.CODES].items()}
        criteria[criterion] = {
            pair: float(np.mean([_share(draw[pair], present, pair) for draw in found]))
            for pair in found[0]
        }
    return {"channels": {name: int(kept) for name, kept in best.items()}, "criteria": criteria}


def _few_labels(
    splits: Mapping[str, Any], count: int, number: int, seed: int
) -> dict[str, dict[str, float]]:
    """Accuracies of probes with few labelled clips, also to choose their strength on."""
    found = {}
    for view in (*clip_views.VIEWS, "toc at half"):
        if view not in splits["test"]:
            continue
        test = splits["test"][view]
        sources = {
            name: tuple(
                clip_probes.few_labels(splits[split][view][name], count, seed)
                for split in ("train", "val")
            )
            for name in test
        }
        correct = clip_probes.probe_pairs(sources, test, number)[1]
        present = {name: clips.present for name, clips in test.items()}
        found[view] = {pair: _share(right, present, pair) for pair, right in correct.items()}
    return found


def _share(right: np.ndarray, present: Mapping[str, np.ndarray], pair: str) -> float:
    """Accuracy on the test clips that have the target."""
    return float(right[present[pair.split("->")[1]]].mean())


def packed(flags: np.ndarray) -> str:
    """Packs flags into hexadecimal digits.

    Args:
        flags: (clips,) bool.

    Returns:
        Four flags a digit, the first one the highest.

    Example:

    >>> packed(np.array([True, False, True, False, False, False, False, True]))
    'a1'
    """
    return np.packbits(flags).tobytes().hex()


def recalls_of(
    vectors: Mapping[str, Mapping[str, np.ndarray]],
    classes: np.ndarray,
    present: Mapping[str, np.ndarray],
) -> dict[str, Any]:
    """Computes recall of every pair of modalities: of the very clip, and of its class.

    "instance": only the query's own clip is correct; "class": any clip of the same class is. Ties
    count as their expected hits. Vectors are compared by cosine, identities by the Bhattacharyya
    coefficient, which is the cosine of the roots of the shares of codes.

    Args:
        vectors: view to modality to float (clips, dim).
        classes: (clips,) int.
        present: modality to (clips,) bool; a clip that lacks one of two modalities is left out.

    Returns:
        View to "instance" and "class" to pair of modalities to recall at 1, 5 and 10, fractions.

    Example:

    >>> x = np.eye(2, dtype="float32")
    >>> everywhere = dict.fromkeys(("audio", "video", "text"), np.ones(2, bool))
    >>> found = recalls_of({"codes": dict.fromkeys(everywhere, x)}, np.array([0, 1]), everywhere)
    >>> found["codes"]["instance"]["video<->audio"]
    [1.0, 1.0, 1.0]
    """
    result: dict[str, Any] = {}
    for view, by_modality in vectors.items():
        if view in (clip_views.IDENTITIES, clip_views.TOKENS):
            by_modality = {name: np.sqrt(x) for name, x in by_modality.items()}
        result[view] = {"instance": {}, "class": {}}
        for a, b in PAIRS:
            if a not in by_modality or b not in by_modality:
                continue
            both = present[a] & present[b]
            cosines = clip_retrieval.cosine(by_modality[a][both], by_modality[b][both])
            of_class = classes[both]
            right = {
                "instance": np.eye(len(of_class), dtype=bool),
                "class": of_class[:, None] == of_class[None],
            }
            for kind, relevant in right.items():
                result[view][kind][f"{a}<->{b}"] = [
                    _recall(relevant, cosines, k) for k in clip_retrieval.RANKS
                ]
    return result


def _recall(right: np.ndarray, scores: np.ndarray, k: int) -> float:
    directions = clip_retrieval.DIRECTIONS
    found = [clip_retrieval.recall(right, scores, k, direction) for direction in directions]
    return sum(found) / len(found)
