"""Searches in the index of a run, by a sound, a picture, a video or words."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras_cmg
from data_tools.decoding.signatures import CAPTIONS, PICTURES, SOUNDS, VIDEOS
from keras_cmg.search import ClipIndex, Hit


class Answer(NamedTuple):
    """What a query found."""

    query: str
    """Path of the file, or the words."""
    modality: str
    """Modality of the query."""
    codes: tuple[int, ...]
    """Codes of the query."""
    hits: dict[str, list[Hit]]
    """Modality to the clips found, best first."""


def modality_of(query: str) -> str:
    """Returns the modality of a query: that of the file that it names, or "text" for words.

    Args:
        query: a path, or words.

    Returns:
        "audio", "video" or "text"; "video" for a video file, whose sound is another query.

    Raises:
        FileNotFoundError: if it has the name of a media file, and there is none.
        ValueError: if it is empty, or a file of an unknown kind.

    Example:

    >>> modality_of("a dog barks")
    'text'
    """
    if not query.strip():
        raise ValueError(f"--query must be a file or words. Received: {query!r}")
    path = Path(query)
    suffix = path.suffix.lower()
    kinds = {"audio": SOUNDS, "video": {**VIDEOS, **PICTURES}, "text": CAPTIONS}
    for modality, suffixes in kinds.items():
        if suffix in suffixes:
            if not path.is_file():
                raise FileNotFoundError(f"--query must be a file or words. There is no {query}")
            return "audio" if suffix == ".m4a" else modality
    if path.is_dir():
        return "video"
    if path.is_file():
        known = sorted({one for suffixes in kinds.values() for one in suffixes})
        raise ValueError(f"--query must be a file of {', '.join(known)}. Received: {query}")
    return "text"


def search(
    encoder: keras_cmg.CrossModalEncoder,
    index: ClipIndex,
    query: str,
    find: str | None = None,
    k: int = 10,
    modality: str | None = None,
) -> Answer:
    """Finds the clips that are most similar to a query.

    Args:
        encoder: a trained model that keeps its extractors.
        index: index of clips of the same model.
        query: path of a file, or words.
        find: modality of the clips to find; every other modality of the index if None.
        k: clips to find of each modality.
        modality: modality of the query, such as "audio" for the sound of a video; by its name if
            None.

    Returns:
        The clips found.

    Raises:
        FileNotFoundError: if the file, or a model file of an extractor, does not exist.
        ImportError: if a package is missing.
        ValueError: if the file cannot be read, a modality is unknown, or the index is of another
            model.
    """
    encoder.check_index(index)
    modality = modality or modality_of(query)
    arguments: dict[str, Any] = {"files": [query]}
    if modality == "text" and not Path(query).is_file():
        arguments = {"texts": [query]}
    encoded = encoder.encode(modality, **arguments)
    # Labels say that clips of the same class are wanted; among clips of the query's own modality,
    # the nearest to the query itself are.
    expanded = index.expand(encoded) if index.is_labelled(modality) else encoded
    wanted = [find] if find else [name for name in index.modalities if name != modality]
    hits = {
        name: index.search(encoded if name == modality else expanded, name, k)[0]
        for name in wanted or index.modalities
    }
    (codes,) = index.codes_of(encoded)
    return Answer(query, modality, codes, hits)


def as_text(answer: Answer) -> str:
    """Returns an answer as lines for a terminal: score, shared code, label, name.

    Args:
        answer: what a query found.

    Returns:
        The lines.

    Example:

    >>> hit = Hit("dog.png", "video", 0.91, "dog", (3,), codes=(3,))
    >>> print(as_text(Answer("bark.ogg", "audio", (3,), {"video": [hit]})))
    bark.ogg (audio), code 3
    video
       0.910  code 3 too  dog  dog.png
    """
    lines = [f"{answer.query} ({answer.modality}), {named_codes(answer.codes)}"]
    for modality, hits in answer.hits.items():
        lines.append(modality)
        width = max((len(hit.label) for hit in hits), default=0)
        for hit in hits:
            shared = shared_codes(hit)
            shown = hit.text or hit.name
            lines.append(f"  {hit.score:6.3f}  {shared:11}  {hit.label:{width}}  {shown}".rstrip())
    return "\n".join(lines)


def named_codes(codes: Sequence[int]) -> str:
    """Returns codes in words.

    Args:
        codes: numbers of codes.

    Example:

    >>> named_codes((3,)), named_codes((3, 70))
    ('code 3', 'codes 3, 70')
    """
    return f"code{'s' if len(codes) > 1 else ''} {', '.join(map(str, codes))}"


def shared_codes(hit: Hit) -> str:
    """Returns in words which codes a clip has, and which of them the query has too.

    Args:
        hit: the clip.

    Example:

    >>> shared_codes(Hit("a", "audio", 1.0, "", (3,), codes=(3,)))
    'code 3 too'
    >>> shared_codes(Hit("a", "audio", 1.0, "", (70,), codes=(5, 70)))
    '1 of 2 codes'
    """
    if len(hit.codes) > 1:
        return f"{len(hit.shared_codes)} of {len(hit.codes)} codes"
    return named_codes(hit.codes) + (" too" if hit.shared_codes else "")
