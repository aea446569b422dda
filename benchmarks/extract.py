"""Extraction with a pretrained network against the bare runtime on the same inputs."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from data_tools.decoding import DecodeError
from data_tools.extraction import extract
from data_tools.extraction.clips import find_clips
from data_tools.extraction.extractor import create_extractor
from recipes.protocol.resource_use import seconds_in_turns

SIDE = 96
"""Of the pictures of the stand-in network."""


def run(
    input: str | None = None,
    modality: str = "video",
    extractor: str = "onnx",
    model: str | None = None,
    segments: int = 1,
    clips: int = 100,
    workers: int = 1,
    rounds: int = 3,
    clock: str = "wall",
) -> dict[str, Any]:
    """Times a bare runtime, an extractor on decoded signals, and a whole extraction from files.

    The bare runtime gets the very inputs that the extractor gives it, ready in memory. Decoding is
    timed by itself, so that the whole extraction can be compared with the two together.

    Args:
        input: folder of clips; pictures made on the spot if None.
        modality: "audio" or "video".
        extractor: name of a pretrained extractor.
        model: its model file; a random network of a few convolutions if None.
        segments: seconds of a clip.
        clips: most clips that are used.
        workers: processes of the whole extraction.
        rounds: how often each is timed.
        clock: see `seconds_in_turns`.

    Returns:
        Name to number.

    Example:

    >>> run(clips=2, rounds=1)["clips"]
    2
    """
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options: dict[str, Any] = {"segments": segments, "model": model}
        if model is None:
            options |= {"model": _network(folder / "network.onnx"), "normalization": "signed"}
        stack.enter_context(threadpool_limits(1))
        chosen = create_extractor(modality, extractor, options)
        source = _pictures(folder / "clips", clips) if input is None else Path(input)
        root, found = find_clips(source)
        signals, usable = [], []
        for clip in found:
            with contextlib.suppress(DecodeError):
                signals.append(chosen.decode(root, clip))
                usable.append(clip)
            if len(signals) == clips:
                break
        manifest = folder / "clips.csv"
        lines = [f"{number},{root / clip[modality]}" for number, clip in enumerate(usable)]
        manifest.write_text("\n".join([f"id,{modality}", *lines]) + "\n")
        with _recorded(chosen) as batches:
            for signal in signals:
                chosen(signal)
        network = chosen.network  # type: ignore[attr-defined]

        def bare() -> None:
            for batch in batches:
                network.run(batch)

        def decoding() -> None:
            for clip in usable:
                chosen.decode(root, clip)

        def extractor_alone() -> None:
            for signal in signals:
                chosen(signal)

        def files_in_process() -> None:
            for clip in usable:
                chosen(chosen.decode(root, clip))

        def job() -> None:
            extract(
                manifest,
                folder / "store",
                {modality: {"name": extractor, "options": options}},
                segments=segments,
                workers=workers,
                overwrite=True,
            )

        actions = {
            "bare": bare,
            "decoding": decoding,
            "extractor": extractor_alone,
            "files": files_in_process,
            "job": job,
        }
        times = seconds_in_turns(actions, rounds, clock=clock)
    count = len(usable)
    return {
        "clips": count,
        "calls_of_the_model": len(batches),
        **{f"{name}_clips_per_second": count / seconds for name, seconds in times.items()},
        "extractor_over_bare": times["bare"] / times["extractor"],
        "files_over_decoding_and_bare": (times["bare"] + times["decoding"]) / times["files"],
        "files_over_bare": times["bare"] / times["files"],
        "job_over_decoding_and_bare": (times["bare"] + times["decoding"]) / times["job"],
    }


@contextlib.contextmanager
def _recorded(extractor: Any) -> Iterator[list[np.ndarray]]:
    """Notes the inputs of each call of an extractor's model."""
    batches: list[np.ndarray] = []
    network = extractor.network
    run = network.run

    def note(inputs: np.ndarray) -> np.ndarray:
        batches.append(np.array(inputs))
        return run(inputs)

    network.run = note
    try:
        yield batches
    finally:
        del network.run


def _pictures(folder: Path, count: int) -> Path:
    from PIL import Image

    folder.mkdir()
    random = np.random.default_rng(0)
    for number in range(count):
        pixels = random.integers(0, 256, (48, 48, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number:05d}.png")
    return folder


def _network(path: Path) -> str:
    """A random network of four convolutions."""
    import onnx
    from onnx import helper, numpy_helper

    random = np.random.default_rng(0)
    nodes, weights, name, width = [], [], "x", 3
    for layer, wider in enumerate((16, 32, 64, 128)):
        kernel = random.normal(0, (9 * width) ** -0.5, (wider, width, 3, 3)).astype(np.float32)
        weights.append(numpy_helper.from_array(kernel, f"w{layer}"))
        sizes: Any = {"strides": [2, 2], "pads": [1] * 4, "kernel_shape": [3, 3]}
        nodes.append(helper.make_node("Conv", [name, f"w{layer}"], [f"c{layer}"], **sizes))
        nodes.append(helper.make_node("Relu", [f"c{layer}"], [f"r{layer}"]))
        name, width = f"r{layer}", wider
    value = helper.make_tensor_value_info
    inputs = [value("x", onnx.TensorProto.FLOAT, ["n", 3, SIDE, SIDE])]
    outputs = [value(name, onnx.TensorProto.FLOAT, ["n", width, SIDE // 16, SIDE // 16])]
    graph = helper.make_graph(nodes, "network", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", 17)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return str(path)
