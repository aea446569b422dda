"""One system on one seed: trained without labels, then probed and searched across modalities."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

import data_tools
import keras_cmg
from benchmarks.measuring import PeakMemory, device_gigabytes
from recipes.protocol import matching, probing
from recipes.runner import provenance

MODALITIES = ("audio", "video", "text")
LEVELS = {"audio": "segment", "video": "segment", "text": "clip"}
PAIRS = (("video", "audio"), ("text", "audio"), ("text", "video"))
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises, of the schedule "cosine"."""


def isolated(spec: Mapping[str, Any]) -> dict[str, Any]:
    """`measure` in a process of its own, so that its memory is its own.

    Args:
        spec: see `measure`.

    Returns:
        What it measured.

    Raises:
        ValueError: it failed.
    """
    methods = multiprocessing.get_all_start_methods()
    # Imports take seconds: the server makes them once, and runs nothing itself.
    context: Any = multiprocessing.get_context("forkserver" if "forkserver" in methods else "spawn")
    if "forkserver" in methods:
        context.set_forkserver_preload([__name__])
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_answer, args=(dict(spec), sender), daemon=True)
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
        raise ValueError(f"{spec['system']}:{spec['preset']} failed: {answer['error']}")
    return answer


def _answer(spec: Mapping[str, Any], sender: Any) -> None:
    # An interruption is told once, by the process that asked.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        sender.send(provenance.plain(measure(spec)))
    except (OSError, ValueError) as error:
        sender.send({"error": " ".join(str(error).split())})


def measure(spec: Mapping[str, Any]) -> dict[str, Any]:
    """Trains a system and measures what its codes know.

    Args:
        spec: `system`, `preset`, `changes` (arguments of the system), `learning_rate`, `schedule`,
            `seed`, `epochs`, `batch_size`, `probe_epochs`, `toc_channels`, `features` (folder),
            `test`: whether to look at the test split; otherwise only source modalities' validation
            clips are looked at.

    Returns:
        `validation`, the mean over modalities of the accuracy of their probes on their own
        validation clips, which is what tuning goes by; times, memory, parameters; with `test` also
        `scores`, view and pair to accuracy, and `retrieval`, see `retrieval`.

    Raises:
        ValueError: a setting is wrong, or training fails.
    """
    provenance.set_seed(spec["seed"])
    features, seed = spec["features"], spec["seed"]
    train = data_tools.load(features, "train", MODALITIES, spec["batch_size"], seed=seed)
    rate = learning_rate(spec["learning_rate"], spec["schedule"], len(train) * spec["epochs"])
    with PeakMemory() as memory:
        model = keras_cmg.models.create_model(
            spec["system"], spec["preset"], MODALITIES, seed=seed, **spec["changes"]
        )
        model.compile(keras.optimizers.Adam(rate, global_clipnorm=1.0), keras.optimizers.Adam(1e-3))
        start = time.perf_counter()
        history = model.fit(train, epochs=spec["epochs"], shuffle=False, verbose=0).history
        seconds = time.perf_counter() - start
    result: dict[str, Any] = {
        "train_seconds": round(seconds, 2),
        "memory_gigabytes": device_gigabytes() or memory.gigabytes,
        "parameters": {"model": model.count_params(), "kept": model.backbone.count_params()},
        "loss": history["loss"],
    }
    result["code_usage"] = history["code_usage"][-1] if "code_usage" in history else None
    masks = {}
    if model.backbone.codebook is not None:
        masks = probing.toc_masks([spec["toc_channels"]], model.backbone.embedding_dim)
        for mask in masks.values():
            mask.adapt(model.backbone.codebook)
    splits = ("train", "val", "test") if spec["test"] else ("train", "val")
    encoded = probing.encode_splits(model.backbone, features, LEVELS, splits)
    codes = {split: probing.code_views(parts, masks) for split, parts in encoded.items()}
    classes = {split: probing.clip_classes(features, split) for split in splits}
    if not spec["test"]:
        # The probes want something to be tried on; their own validation clips tell nothing new.
        codes["test"], classes["test"] = codes["val"], classes["val"]
    folder = data_tools.FeatureFolder(features)
    probes = probing.cross_modal_probes(
        codes, classes, len(folder.categories), spec["probe_epochs"], seed=seed
    )
    result["validation"] = float(np.mean(list(probes.validation["quantized"].values())))
    if spec["test"]:
        result["scores"] = named_views(probes.scores, masks)
        result["retrieval"] = named_views(retrieval(codes["test"], classes["test"]), masks)
    return result


def named_views(values: Mapping[str, Any], masks: Mapping[str, Any]) -> dict[str, Any]:
    """Values by view, under names that do not hang on how many dimensions TOC keeps.

    Args:
        values: view to anything.
        masks: of TOC, by the names their views have.

    Returns:
        The same under "codes", "toc" and "continuous".

    Example:

    >>> named_views({"quantized": 1, "continuous": 2, "128": 3}, {"128": None})
    {'codes': 1, 'continuous': 2, 'toc': 3}
    """
    names = {"quantized": "codes", **dict.fromkeys(masks, "toc")}
    return {names.get(view, view): value for view, value in values.items()}


def learning_rate(peak: float, schedule: str, steps: int) -> Any:
    """A learning rate, or a schedule of it.

    Args:
        peak: its highest value.
        schedule: "constant"; or "cosine", a linear rise, then a fall to zero along a cosine.
        steps: of the whole training.

    Returns:
        What Keras optimisers take.

    Raises:
        ValueError: for an unknown schedule.

    Example:

    >>> rate = learning_rate(1.0, "cosine", 100)
    >>> float(rate(0)), float(rate(10)), round(float(rate(100)), 6)
    (0.0, 1.0, 0.0)
    """
    if schedule == "constant":
        return peak
    if schedule != "cosine":
        raise ValueError(f"`schedule` must be 'constant' or 'cosine'; received: {schedule!r}")
    rise = max(int(WARM_UP * steps), 1)
    return keras.optimizers.schedules.CosineDecay(
        0.0, max(steps - rise, 1), warmup_target=peak, warmup_steps=rise
    )


def retrieval(codes: probing.Codes, classes: np.ndarray) -> dict[str, Any]:
    """Recall of clips of one modality that ask for clips of another, in both directions.

    Clips are compared by the cosine of their codes, averaged over segments. "instance": the very
    clip is right; "class": any clip of the same class is. Ties count as their expected hits.

    Args:
        codes: modality to view to float (clips, [frames,] dim).
        classes: (clips,) int.

    Returns:
        View to "instance" and "class" to pair of modalities to recall at 1, 5 and 10, fractions.

    Example:

    >>> x = {"codes": np.eye(2, dtype="float32")}
    >>> found = retrieval({"audio": x, "video": x, "text": x}, np.array([0, 1]))
    >>> found["codes"]["instance"]["video<->audio"]
    [1.0, 1.0, 1.0]
    """
    right = {
        "instance": np.eye(len(classes), dtype=bool),
        "class": classes[:, None] == classes[None],
    }
    result: dict[str, Any] = {}
    for view in codes[MODALITIES[0]]:
        scores = {
            f"{a}<->{b}": matching.cosine(_clips(codes[a][view]), _clips(codes[b][view]))
            for a, b in PAIRS
        }
        result[view] = {
            kind: {
                pair: [_recall(relevant, cosines, k) for k in matching.RANKS]
                for pair, cosines in scores.items()
            }
            for kind, relevant in right.items()
        }
    return result


def _clips(values: np.ndarray) -> np.ndarray:
    return values.mean(axis=1) if values.ndim == 3 else values


def _recall(right: np.ndarray, scores: np.ndarray, k: int) -> float:
    found = [matching.recall(right, scores, k, direction) for direction in matching.DIRECTIONS]
    return sum(found) / len(found)
