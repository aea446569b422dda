"""A page that searches by a dropped file or by words, with a map of the code space."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Read when it is imported; nothing is reported to anyone.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio
from fastapi import FastAPI

from recipes.serving.clip_search import ClipSearch, Query
from recipes.serving.limits import RefusedRequest
from recipes.serving.media import SUFFIXES, modality_of
from recipes.serving.page_parts import TEMPLATES, PageParts, noun

PICTURE, SOUND = "its picture", "its sound"
SHOWN = 6
"""Clips of each modality that are shown unless the user asks for more."""
MOST_SHOWN = 24
KEPT_SECONDS = 3600
"""Age at which uploaded files are removed."""


def add_page(app: FastAPI, search: ClipSearch) -> FastAPI:
    """Adds the page at `/`.

    Args:
        app: application of `recipes.serving.rest.create_app`.
        search: answers the searches.

    Returns:
        The application.
    """
    # Fonts of the reader's machine: pages load nothing from elsewhere.
    theme = gradio.themes.Default(
        primary_hue="blue",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(
        # White text on Gradio's own colour has too little contrast to be read by all.
        button_primary_background_fill="*primary_700",
        button_primary_background_fill_hover="*primary_800",
        button_primary_background_fill_dark="*primary_700",
        button_primary_background_fill_hover_dark="*primary_800",
    )
    blocks = create_page(search)
    # Gradio checks that a file was uploaded, and is no other of this machine, of pages that it
    # launched alone.
    blocks.has_launched = True
    return gradio.mount_gradio_app(
        app,
        blocks,
        path="/",
        max_file_size=search.limits.bytes,
        footer_links=[],
        theme=theme,
        css=(TEMPLATES / "page.css").read_text(encoding="utf-8"),
        show_error=False,
        ssr_mode=False,
        pwa=False,
        run_history=False,
    )


def create_page(search: ClipSearch) -> gradio.Blocks:
    """Creates the page.

    Args:
        search: answers the searches.

    Returns:
        The page, to be mounted.
    """
    parts = PageParts(search)
    page = PageSearch(search, parts)
    most = min(MOST_SHOWN, search.limits.hits)
    with gradio.Blocks(
        title="Search sounds, pictures and words",
        analytics_enabled=False,
        delete_cache=(KEPT_SECONDS, KEPT_SECONDS),
    ) as blocks:
        _html(parts.heading())
        with gradio.Row():
            with gradio.Column(scale=1, min_width=300):
                drop = gradio.File(
                    label="Drop a sound, a picture or a video",
                    file_types=[*SUFFIXES],
                    height=150,
                    elem_id="drop",
                )
                words = gradio.Textbox(
                    label="or write words",
                    placeholder="a dog barks",
                    max_length=search.limits.characters,
                    visible="text" in search.encoder.modalities,
                    elem_id="words",
                )
                part = gradio.Radio(
                    [PICTURE, SOUND], value=PICTURE, label="Search with this part of a video"
                )
                count = gradio.Slider(
                    1, most, value=min(SHOWN, most), step=1, label="Clips of each kind to show"
                )
                button = gradio.Button("Search", variant="primary", elem_id="search")
            with gradio.Column(scale=3, min_width=300):
                answer = _html(parts.hint(), elem_id="answer")
        with gradio.Row():
            with gradio.Column(scale=1, min_width=300):
                shown_map = _html(parts.code_map(), elem_id="map")
            with gradio.Column(scale=1, min_width=300):
                code = gradio.Dropdown(
                    parts.code_choices(), label="What falls on code", elem_id="code"
                )
                of_code = _html(parts.code(None), elem_id="of-code")
        _html(parts.sharing(), elem_id="sharing")
        outputs = [answer, shown_map, code, of_code]
        inputs = [drop, words, part, count]
        quiet: dict[str, Any] = {"api_visibility": "private", "show_progress_on": [answer]}
        drop.upload(page.by_file, [drop, part, count], [words, *outputs], **quiet)
        words.submit(page.by_words, [words, count], [drop, *outputs], **quiet)
        button.click(page.search, inputs, outputs, **quiet)
        code.input(parts.code, [code], [of_code], api_visibility="private")
    return blocks.queue(max_size=search.limits.waiting, default_concurrency_limit=4)


def _html(value: str, elem_id: str | None = None) -> gradio.HTML:
    # Gradio's styles of text would frame our tables.
    return gradio.HTML(value, elem_id=elem_id, apply_default_css=False)


class PageSearch:
    """What the page does when a file is dropped, words are entered, or the button is pressed.

    Args:
        searching: answers the searches.
        parts: renders the answers.
    """

    def __init__(self, searching: ClipSearch, parts: PageParts) -> None:
        self.searching = searching
        self.parts = parts

    def by_file(self, path: str | None, part: str, count: float) -> Sequence[Any]:
        """Searches by a file, and empties the field of words.

        Args:
            path: the uploaded file.
            part: `PICTURE` or `SOUND`, what of a video is used.
            count: clips to show of each modality.

        Returns:
            Values of the field of words and of the outputs of `search`.
        """
        return "", *self.search(path, "", part, count)

    def by_words(self, words: str, count: float) -> Sequence[Any]:
        """Searches by words, and removes the file.

        Args:
            words: the words.
            count: clips to show of each modality.

        Returns:
            Values of the file and of the outputs of `search`.
        """
        return None, *self.search(None, words, PICTURE, count)

    def search(self, path: str | None, words: str, part: str, count: float) -> Sequence[Any]:
        """Searches by words, or by a file where there are none.

        Args:
            path: the uploaded file.
            words: the words.
            part: `PICTURE` or `SOUND`, what of a video is used.
            count: clips to show of each modality.

        Returns:
            Values of the answer, the map, the menu of codes and what falls on the code.
        """
        try:
            query = self._query(path, words, part)
            (found,) = self.searching.search([query], k=int(count))
        except RefusedRequest as error:
            nothing = self.parts.code_map(), None, self.parts.code(None)
            return self.parts.error(error.reason), *nothing
        preview = None if query.file is None else f"gradio_api/file={query.file}"
        code = found["code"]["code"]
        answer = self.parts.answer(found, preview)
        return answer, self.parts.code_map(found), code, self.parts.code(code)

    def _query(self, path: str | None, words: str, part: str) -> Query:
        if words.strip():
            return Query(words.strip(), "text", text=words)
        if not path:
            raise RefusedRequest(422, "Drop a file or write some words first.")
        file = Path(path)
        modalities = self.searching.encoder.modalities
        asked = ""
        if noun(modality_of(file.name, modalities)) == noun("video") and part == SOUND:
            asked = "audio"
        return Query(file.name, modality_of(file.name, modalities, asked), file)
