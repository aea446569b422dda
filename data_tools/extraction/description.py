"""What a trained run keeps of the extractors of its features, to apply them to raw files later."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_tools.extraction.clip_features import FITTED
from data_tools.extraction.serving import EXTRACTION, recorded_extractors
from data_tools.io import feature_folder as layout
from data_tools.io.constants import NUM_SEGMENTS
from data_tools.io.files import read_record, reading, shorten
from data_tools.store.schema import SCHEMA, read_schema

FORMAT = "keras_cmg.extractors/1"
DESCRIPTION = "extractors.json"
"""File of a run, see `keras_cmg.encoding.raw_features.EXTRACTORS`."""


def describe_extractors(features: str | os.PathLike[str]) -> dict[str, Any] | None:
    """Describes how the features of a folder were extracted from raw files.

    Args:
        features: a prepared folder, or a store that `extract` wrote.

    Returns:
        Dict of `format` and `extractors`, modality to `name`, `options`, `sources` (checksums of
        files), `files` (their names), `state` (name of the file of what was learned, or None),
        `segments`, `rendering` (how recordings and pictures were brought to one form, or None) and
        `shape` of the features; None where the features were not extracted here.

    Raises:
        ValueError: if a description is damaged.

    Example:
        >>> import data_tools
        >>> _ = data_tools.prepare("synthetic", "features", num_clips={"train": 4})
        >>> found = describe_extractors("features")["extractors"]
        >>> found["audio"]["name"], found["audio"]["options"], found["video"]["state"]
        ('log_mel', {'sample_rate': 8000}, 'video_extractors.npz')
    """
    folder = Path(features)
    if (folder / EXTRACTION).is_file() or (folder / SCHEMA).is_file():
        found = _of_extraction(folder)
    elif (folder / layout.EXTRACTORS).is_file() and (folder / layout.MANIFEST).is_file():
        found = _of_preparation(folder)
    else:
        return None
    return None if found is None else {"format": FORMAT, "extractors": found}


def _of_extraction(folder: Path) -> dict[str, Any] | None:
    if (folder / EXTRACTION).is_file():
        shapes = _shapes_of_folder(folder)
        made = read_record(folder / layout.MANIFEST, {})
        with reading(folder / layout.MANIFEST, "describe a preparation"):
            rendering = {name: made["options"][name] for name in ("bandwidth", "side")}
    else:
        schema, rendering = read_schema(folder), {}
        if not schema["origin"].get("extraction"):
            return None
        shapes = {name: list(field.shape) for name, field in schema["fields"].items()}
    specs, segments, states = recorded_extractors(folder)
    return {
        modality: {
            "name": spec["name"],
            "options": spec["options"],
            "sources": spec["sources"],
            "files": {},
            "state": f"{modality}_{FITTED}" if modality in states else None,
            "segments": segments,
            "rendering": rendering if rendering and modality != "text" else None,
            "shape": _known(shapes, modality, folder),
        }
        for modality, spec in specs.items()
    }


def _known(shapes: Mapping[str, list[int]], modality: str, folder: Path) -> list[int]:
    if modality not in shapes:
        raise ValueError(
            f"{folder} must have features of each modality that was extracted, {sorted(shapes)}. "
            f"Received: {shorten(modality, 100)}"
        )
    return shapes[modality]


def _of_preparation(folder: Path) -> dict[str, Any]:
    """Features of no network: digits and synthetic clips."""
    made = read_record(folder / layout.MANIFEST, {})
    with reading(folder / layout.MANIFEST, "describe a preparation"):
        arguments = made["arguments"]
        options: dict[str, tuple[str, dict[str, Any]]] = {
            "audio": ("log_mel", {"sample_rate": made["sample_rate"]}),
            "video": (
                "patches",
                {"channels": arguments["video_channels"], "seed": arguments["seed"]},
            ),
            "text": (
                "words",
                {"num_tokens": arguments["num_tokens"], "dim": arguments["text_dim"]},
            ),
        }
    shapes = _shapes_of_folder(folder)
    return {
        modality: {
            "name": name,
            "options": values,
            "sources": {},
            "files": {},
            "state": None if modality == "text" else f"{modality}_{FITTED}",
            "segments": NUM_SEGMENTS,
            "rendering": None,
            "shape": shapes[modality],
        }
        for modality, (name, values) in options.items()
    }


def _shapes_of_folder(folder: Path) -> dict[str, list[int]]:
    opened = layout.FeatureFolder(folder)
    try:
        return {name: list(opened.array(name).shape[1:]) for name in layout.MODALITIES}
    finally:
        opened.close()


def save_extractors(
    features: str | os.PathLike[str],
    run: str | os.PathLike[str],
    paths: Mapping[str, Mapping[str, str]] | None = None,
) -> bool:
    """Writes `extractors.json`, and what extractors learned, into the folder of a run.

    Args:
        features: folder of the features that the run was trained on.
        run: folder to write into.
        paths: modality to option to path of a model file on this machine, whose name is kept, and
            where it is looked for first. Features are told apart by checksums of such files, and
            do not name them.

    Returns:
        Whether the features were extracted here; if not, nothing is written.

    Raises:
        ValueError: if a description is damaged.

    Example:
        >>> import data_tools
        >>> _ = data_tools.prepare("synthetic", "features", num_clips={"train": 4})
        >>> Path("run").mkdir()
        >>> save_extractors("features", "run")
        True
        >>> sorted(path.name for path in Path("run").iterdir())
        ['audio_extractors.npz', 'extractors.json', 'video_extractors.npz']
    """
    described = describe_extractors(features)
    if described is None:
        return False
    folder = Path(features)
    for modality, one in described["extractors"].items():
        if one["state"] is not None:
            own = folder / one["state"]
            shutil.copyfile(own if own.is_file() else folder / FITTED, Path(run, one["state"]))
        if paths and paths.get(modality):
            one["paths"] = dict(paths[modality])
            one["files"] = {option: Path(path).name for option, path in one["paths"].items()}
    text = json.dumps(described, indent=1) + "\n"
    Path(run, DESCRIPTION).write_text(text, encoding="utf-8")
    return True
