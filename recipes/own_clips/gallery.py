"""A page that shows a query and what it found, with pictures, sounds and words."""

from __future__ import annotations

import mimetypes
from pathlib import Path
from typing import Any

import jinja2

from data_tools.decoding.signatures import PICTURES, SOUNDS, VIDEOS
from data_tools.io.files import atomic_file
from recipes.own_clips.searching import Answer, named_codes
from recipes.reporting.page import TEMPLATES, data_uri

MAX_EMBEDDED = 2**21
"""Bytes of a file up to which the page holds it; the page links larger ones."""


def write_gallery(answer: Answer, path: Path) -> None:
    """Writes a page of a search; it loads nothing from elsewhere but files of this machine.

    Args:
        answer: what a query found.
        path: the HTML file.

    Raises:
        OSError: if it cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    words = "" if Path(answer.query).is_file() else answer.query
    page = environment.get_template("gallery.html.j2").render(
        title=f"Clips similar to {words or Path(answer.query).name}",
        query=_media(answer.query, "" if words else answer.query, words),
        codes=named_codes(answer.codes),
        groups={
            modality: [
                {
                    "media": _media(hit.name, hit.file, hit.text),
                    "score": hit.score,
                    "label": hit.label,
                    "codes": named_codes(hit.codes),
                    "shared": named_codes(hit.shared_codes) if hit.shared_codes else "",
                }
                for hit in hits
            ]
            for modality, hits in answer.hits.items()
        },
    )
    with atomic_file(path) as temporary:
        temporary.write_text(page, encoding="utf-8")


def _media(name: str, file: str, text: str) -> dict[str, Any]:
    path = Path(file)
    suffix = path.suffix.lower()
    kinds = {"picture": PICTURES, "sound": {**SOUNDS, ".m4a": ""}, "video": VIDEOS}
    kind = next((kind for kind, suffixes in kinds.items() if suffix in suffixes), "")
    address = ""
    if kind and path.is_file():
        address = path.absolute().as_uri()
        if path.stat().st_size <= MAX_EMBEDDED:
            guessed = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
            address = data_uri(path.read_bytes(), guessed)
    return {"name": name, "kind": kind if address else "", "address": address, "text": text}
