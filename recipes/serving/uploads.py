"""Reads the forms of searches, and keeps their files in a temporary folder."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from starlette.datastructures import FormData, UploadFile

from keras_cmg.faults import shorten
from recipes.serving.clip_search import Query
from recipes.serving.limits import RefusedRequest
from recipes.serving.media import modality_of

FIELDS = ("file", "text", "modality", "find", "k")
MAX_NAME = 80
"""Characters of a file's name that are repeated in answers."""


def read_form(form: FormData, folder: Path, modalities: Sequence[str]) -> dict[str, Any]:
    """Reads the fields of a search.

    Args:
        form: parsed form: `file` and `text`, each any number of times; `modality`, as which files
            are encoded; `find`, any number of times; `k`.
        folder: temporary folder, for the files.
        modalities: modalities of the model.

    Returns:
        Arguments of `recipes.serving.clip_search.ClipSearch.search`.

    Raises:
        RefusedRequest: if a field is unknown or of the wrong type, or a file is of an unknown kind.
    """
    if unknown := sorted(set(form) - set(FIELDS)):
        raise RefusedRequest(422, f"fields must be among {FIELDS}; there is {shorten(unknown[0])}")
    asked, k = _text(form, "modality"), _text(form, "k") or "10"
    if not (k.isascii() and k.isdigit() and len(k) < 9):
        raise RefusedRequest(422, f"k must be a whole number. Received: {shorten(k, 40)!r}")
    queries = []
    for number, upload in enumerate(form.getlist("file")):
        if not isinstance(upload, UploadFile) or not upload.filename:
            raise RefusedRequest(422, "file must be a file with a name")
        queries.append(_kept(upload, folder / str(number), modalities, asked))
    for text in form.getlist("text"):
        if not isinstance(text, str):
            raise RefusedRequest(422, "text must be words, not a file")
        queries.append(Query(shorten(text, MAX_NAME), "text", text=text))
    find = [shorten(_string(value), 40) for value in form.getlist("find")]
    return {"queries": queries, "find": find, "k": int(k)}


def _kept(upload: UploadFile, folder: Path, modalities: Sequence[str], asked: str) -> Query:
    # Of the client's name, the path of the file gets the extension alone.
    name = shorten(Path(upload.filename or "").name, MAX_NAME)
    modality = modality_of(name, modalities, asked)
    folder.mkdir()
    path = folder / f"query{Path(name).suffix.lower()}"
    with path.open("wb") as stream:
        shutil.copyfileobj(upload.file, stream)
    return Query(name, modality, path)


def _text(form: FormData, field: str) -> str:
    values = form.getlist(field)
    if len(values) > 1:
        raise RefusedRequest(422, f"{field} must be given once")
    return _string(values[0]) if values else ""


def _string(value: Any) -> str:
    if not isinstance(value, str):
        raise RefusedRequest(422, "modality, find and k must be words, not files")
    return value
