"""The extractors of features that are used where none is named: pretrained networks if there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from data_tools.composing.preparation import OFFLINE
from data_tools.io.files import cache_folder, is_installed, missing

AUTO, OFFLINE_ONLY = "auto", "offline"
REDUCE = {"audio": 128, "video": 64}
"""Modality to the principal components that are kept of the features of its network."""
MIN_COMPONENTS = 8
WORDS = 16
"""Words that are kept of a caption by a pretrained table."""
FILES = {
    "audio": ("yamnet", "yamnet.tflite", ("ai_edge_litert",)),
    "video": ("efficientnet_lite0", "efficientnet_lite0.onnx", ("onnx", "onnxruntime")),
}
"""Modality to extractor, file of its network, and packages that run it."""
TEXT = ("wordllama", ("wordllama", "safetensors", "tokenizers"))


class Chosen(NamedTuple):
    """Extractors of raw files."""

    extractors: dict[str, dict[str, Any]]
    """Modality to `name` and `options`."""
    paths: dict[str, dict[str, str]]
    """Modality to option to path of a model file."""


def choose_extractors(
    networks: str | None, which: str = AUTO, counts: Mapping[str, int] | None = None
) -> Chosen:
    """Chooses an extractor for each modality: a pretrained network if its file and packages exist.

    Args:
        networks: folder of `yamnet.tflite` and `efficientnet_lite0.onnx`; `models` of the download
            cache if None.
        which: "auto", or "offline" for extractors without networks.
        counts: modality to number of training files, which limits the principal components.

    Returns:
        The extractors.

    Raises:
        FileNotFoundError: if `networks` is given and holds neither file.
        ImportError: if it is given and a package that runs a network is missing.

    Example:

    >>> choose_extractors(None, "offline").extractors["audio"]["name"]
    'log_mel'
    """
    extractors: dict[str, dict[str, Any]] = {
        name: {"name": spec["name"], "options": {}} for name, spec in OFFLINE.items()
    }
    if which == OFFLINE_ONLY:
        return Chosen(extractors, {})
    folder = Path(networks) if networks is not None else cache_folder() / "models"
    found = {
        name: folder / file for name, (_, file, _) in FILES.items() if (folder / file).is_file()
    }
    if networks is not None and not found:
        names = " or ".join(file for _, file, _ in FILES.values())
        raise FileNotFoundError(f"--networks must be a folder with {names}. Received: {networks}")
    paths: dict[str, dict[str, str]] = {}
    for modality, path in found.items():
        name, _, packages = FILES[modality]
        absent = [package for package in packages if not is_installed(package)]
        if absent and networks is not None:
            raise missing(absent[0], f"{path.name} needs")
        if absent:
            continue
        components = min(REDUCE[modality], _power_of_two((counts or {}).get(modality)))
        model = str(path.absolute())
        extractors[modality] = {"name": name, "options": {"model": model, "reduce": components}}
        paths[modality] = {"model": model}
    if all(map(is_installed, TEXT[1])):
        extractors["text"] = {"name": TEXT[0], "options": {"num_tokens": WORDS}}
    return Chosen(extractors, paths)


def _power_of_two(count: int | None) -> int:
    """The largest power of two up to a number of files, each of which gives a vector at least."""
    if count is None:
        return max(REDUCE.values())
    return max(MIN_COMPONENTS, 2 ** max(count.bit_length() - 1, 0))
