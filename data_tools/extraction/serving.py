"""The extractors of a finished extraction, for raw files that come later."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from data_tools.extraction.clip_features import FITTED, ClipFeatures
from data_tools.io.constants import NUM_SEGMENTS
from data_tools.io.feature_folder import SCHEMA
from data_tools.io.files import check_record, read_record, reading, shorten
from data_tools.store.schema import read_schema

EXTRACTION = "extraction.json"
"""In a prepared folder of composed clips: how each modality was extracted."""
IDENTITY = {"extractors": {str: {"name": str, "options": dict, "sources": {str: str}}}}
"""Form of how features were extracted."""
REDUCE = ("reduce", "whiten")
"""Options of extractors that ask for a reduction."""


def open_extractors(
    store: str | os.PathLike[str],
    options: Mapping[str, Mapping[str, Any]] | None = None,
    root: str | os.PathLike[str] = ".",
    reduced: bool = True,
) -> ClipFeatures:
    """Opens the extractors of a store with all that they learned, to serve raw files.

    Of a prepared folder they extract clips of ten seconds, as the folder has them; its own clips
    were made of recordings that were brought to one loudness and bandwidth before.

    Args:
        store: folder that `extract` or `prepare_composed` wrote.
        options: modality to options that a store does not keep, paths of model files above all:
            `{"audio": {"model": "yamnet.tflite"}}`.
        root: folder of the clips' paths.
        reduced: whether features are reduced to principal components where they were in the store;
            False for a model that was exported with its reductions.

    Returns:
        A function of a clip such as `{"id": "a", "audio": "a.wav"}` that returns its features by
        modality; call it with all modalities of the store.

    Raises:
        FileNotFoundError: if the store or a model file does not exist.
        ImportError: if an extractor lacks a package.
        ValueError: if the store was not extracted, or a model file is not the one it was made with.

    Example:
        >>> from data_tools.extraction import extract
        >>> Path("clips").mkdir()
        >>> _ = Path("clips/a.txt").write_text("a dog barks")
        >>> _ = extract("clips", "store", {"text": {"name": "words", "options": {"dim": 8}}})
        >>> open_extractors("store")({"id": "b", "caption": "a cat"})["text"].shape
        (10, 8)
    """
    store = Path(store)
    specs, segments, states = recorded_extractors(store)
    given = options or {}
    chosen = {}
    for modality, spec in specs.items():
        kept = {
            name: value for name, value in spec["options"].items() if reduced or name not in REDUCE
        }
        chosen[modality] = {
            "name": spec["name"],
            "options": {**kept, **given.get(modality, {})},
        }
    features = ClipFeatures(root, chosen, segments=segments)
    for modality, spec in specs.items():
        found = features.extractors[modality].sources()
        if found != spec["sources"]:
            raise ValueError(
                f"the {modality} extractor must have the files with which {store} was made, "
                f"{shorten(spec['sources'])}. Received: {shorten(found)}"
            )
    for modality, path in states.items():
        part = ClipFeatures(root, {})
        part.extractors = {modality: features.extractors[modality]}
        part.load_state(path)
    return features


def recorded_extractors(
    store: Path,
) -> tuple[dict[str, Any], int, dict[str, Path]]:
    """Reads which extractors a store, or a prepared folder of composed clips, was made with.

    Args:
        store: the folder.

    Returns:
        Modality to `name`, `options` and `sources`; seconds of a clip; modality to the file of what
        was learned.

    Raises:
        ValueError: if the store was not extracted, or a description is damaged.
    """
    if (store / EXTRACTION).is_file():
        with reading(store / EXTRACTION, "describe how features were extracted"):
            kept = read_record(
                store / EXTRACTION, {str: {"extraction": IDENTITY, "state": (str, None)}}
            )
            specs = {
                modality: each["extraction"]["extractors"][modality]
                for modality, each in kept.items()
            }
            for spec in specs.values():
                # Recordings and pictures were extracted one by one, clips are composed of them.
                if "segments" in spec["options"]:
                    spec["options"]["segments"] = NUM_SEGMENTS
            states = {
                # A plain name: a file of this folder.
                modality: store / Path(each["state"]).name
                for modality, each in kept.items()
                if each["state"]
            }
            return specs, NUM_SEGMENTS, states
    identity = read_schema(store)["origin"].get("extraction")
    if not identity:
        raise ValueError(f"`store` must be one that `extract` wrote. Received: {store}")
    with reading(store / SCHEMA, "describe how features were extracted"):
        check_record(identity, {**IDENTITY, "segments": int}, store / SCHEMA)
    specs, segments = identity["extractors"], identity["segments"]
    learned = store / FITTED
    return specs, segments, dict.fromkeys(specs, learned) if learned.is_file() else {}
