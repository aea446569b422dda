"""Indices of named clips: of the clips that a model was trained on, and of any other folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras_cmg
from data_tools.decoding import DecodeError
from data_tools.decoding.captions import decode_caption
from data_tools.decoding.videos import NO_SOUND
from data_tools.extraction.clips import file_of, find_clips
from data_tools.io.files import shorten
from data_tools.raw.composed.folders import read_folder, refused_files
from keras_cmg.search import ClipIndex
from recipes.own_clips.preparation import CLASSES, Entries, layout_of


def index_of_entries(
    encoder: keras_cmg.CrossModalEncoder, entries: Sequence[Entries]
) -> keras_cmg.search.ClipIndex:
    """Encodes clips whose features are known, and indexes them.

    Args:
        encoder: a trained model.
        entries: clips of each modality.

    Returns:
        The index.

    Raises:
        ImportError: if faiss is not installed.
        ValueError: if the model has no codes.
    """
    index = encoder.new_index()
    for one in entries:
        encoded = encoder.encode(one.modality, features=one.features, names=one.names)
        index.add(encoded, one.labels, one.files, one.texts)
    return index


class Indexed(NamedTuple):
    """An index of a folder, and the files that are not in it."""

    clips: ClipIndex
    refused: list[dict[str, str]]
    """`modality`, `file` and `reason`."""


class _Files(NamedTuple):
    """What a folder holds of one modality."""

    names: list[str]
    paths: list[str]
    """Empty for captions that lie in a file of many."""
    texts: list[str]
    labels: list[str]


def index_of_folder(encoder: keras_cmg.CrossModalEncoder, source: str) -> Indexed:
    """Extracts, encodes and indexes the clips of a folder.

    Args:
        encoder: a trained model that keeps its extractors.
        source: a folder as for training; classes may lack sounds or pictures.

    Returns:
        The index, and the files that could not be used.

    Raises:
        FileNotFoundError: if the folder does not exist.
        ImportError: if a package is missing.
        ValueError: if no file can be used, or the model keeps no extractors.
    """
    index, refused = encoder.new_index(), []
    found, unknown = _files_of(source, encoder.modalities)
    refused += unknown
    for modality, files in found.items():
        arguments: dict[str, Any] = (
            {"texts": files.texts} if modality == "text" else {"files": files.paths}
        )
        encoded = encoder.encode(modality, names=files.names, on_error="skip", **arguments)
        # A video without sound is found by its pictures, and a damaged one is named once.
        known = {(one["file"], one["reason"]) for one in refused}
        refused += [
            {"modality": modality, "file": name, "reason": reason}
            for name, reason in encoded.failures
            if reason != NO_SOUND and (name, reason) not in known
        ]
        place = {name: number for number, name in enumerate(files.names)}
        kept = [place[name] for name in encoded.names]
        if kept:
            index.add(
                encoded,
                [files.labels[at] for at in kept],
                [files.paths[at] for at in kept],
                [files.texts[at] for at in kept],
            )
    if not len(index):
        reasons = "; ".join(f"{one['file']}: {one['reason']}" for one in refused[:3])
        raise ValueError(
            f"--clips must hold a file that can be used. {source}: {shorten(reasons) or 'none'}"
        )
    return Indexed(index, refused)


def _files_of(
    source: str, modalities: Sequence[str]
) -> tuple[dict[str, _Files], list[dict[str, str]]]:
    """The files of each modality, and those that are of none."""
    found: dict[str, _Files] = {}

    def note(modality: str, name: str, path: str, text: str, label: str) -> None:
        if modality not in modalities:
            return
        files = found.setdefault(modality, _Files([], [], [], []))
        for values, value in zip(files, (name, path, text, label), strict=True):
            values.append(value)

    if layout_of(source) == CLASSES:
        items = read_folder(source)
        for item in items:
            path = os.path.abspath(item.path) if item.path else ""
            note(item.modality, item.name, path, item.caption, item.category)
        categories = {item.category for item in items}
        return found, list(refused_files(Path(source), items, sorted(categories)))
    refused = []
    root, clips = find_clips(source)
    for clip in clips:
        if "fault" in clip:
            refused.append({"modality": "", "file": clip["id"], "reason": clip["fault"]})
        label = str(clip.get("label", ""))
        for modality in ("audio", "video"):
            if name := file_of(clip, modality):
                note(modality, name, str(Path(root, name).absolute()), "", label)
        text = clip.get("caption")
        if clip.get("text"):
            try:
                text = decode_caption(Path(root, clip["text"]))
            except DecodeError as error:
                refused.append({"modality": "text", "file": clip["text"], "reason": str(error)})
        if text is not None:
            name = str(clip.get("text") or clip["id"])
            note("text", name, "", " ".join(str(text).split()), label)
    return found, refused
