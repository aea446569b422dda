"""The parts of the page in HTML: answers, the map of codes, what falls on a code."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import numpy as np

from recipes.serving.clip_search import ClipSearch

TEMPLATES = Path(__file__).with_name("templates")
NOUNS = {
    "audio": ("sound", "sounds"),
    "video": ("picture", "pictures"),
    "image": ("picture", "pictures"),
    "text": ("text", "texts"),
}
"""Modality to what one of its clips, and several, are called on the page."""
KINDS = {
    "shared": "shared: every modality has at least 5 % of its use",
    "partial": "partly shared: some modalities have less than 5 % of its use, none has over 95 %",
    "specific": "of one modality: over 95 % of its use",
}
"""Kind of a code to its explanation."""
WIDTH, HEIGHT, MARGIN = 560, 400, 30
"""Of the map, in units of its drawing."""
SMALL, LARGE = 4.0, 11.0
"""Half sizes of the marks of the map."""


def noun(modality: str, count: int = 1) -> str:
    """Returns what clips of a modality are called on the page.

    Args:
        modality: its name.
        count: number of clips.

    Example:

    >>> noun("audio"), noun("video", 2), noun("depth", 2)
    ('sound', 'pictures', 'depth')
    """
    return NOUNS.get(modality, (modality, modality))[count != 1]


class PageParts:
    """Renders the parts of the page.

    Args:
        search: whose index and answers are shown.
    """

    def __init__(self, search: ClipSearch) -> None:
        self.search = search
        environment = jinja2.Environment(
            loader=jinja2.FileSystemLoader(TEMPLATES),
            # Names and labels are those of strangers.
            autoescape=True,
            trim_blocks=True,
            lstrip_blocks=True,
            undefined=jinja2.StrictUndefined,
        )
        environment.filters["noun"] = noun
        environment.filters["per_cent"] = lambda share: f"{100 * share:.0f} %"
        environment.globals["kinds"] = KINDS
        self._environment = environment

    def heading(self) -> str:
        """Returns title and summary."""
        return self._render("heading", index=self.search.summary())

    def hint(self) -> str:
        """Returns what stands in place of an answer before a search."""
        return self._render("hint")

    def error(self, reason: str) -> str:
        """Returns the reason why there is no answer.

        Args:
            reason: the reason.
        """
        return self._render("error", reason=reason)

    def answer(self, found: Mapping[str, Any], preview: str | None) -> str:
        """Returns the clips that a query found.

        Args:
            found: an answer of `ClipSearch.search`.
            preview: address of the query's file, None for words.
        """
        clips = [clip for of_modality in found["found"].values() for clip in of_modality]
        labels = Counter(clip["label"] for clip in clips if clip["label"])
        agreed = None
        if labels:
            label, count = labels.most_common(1)[0]
            agreed = {"label": label, "count": count, "of": len(clips)}
        return self._render("answer", found=found, agreed=agreed, preview=preview)

    def code(self, code: int | None) -> str:
        """Returns what falls on a code.

        Args:
            code: number of the code; None for none.
        """
        use = None if code is None else self.search.code_use(int(code))
        return self._render("code", use=use)

    def sharing(self) -> str:
        """Returns how far modalities share codes, with a table of all codes in use."""
        uses = [
            (code, {name: int(count[code]) for name, count in self.search.counts.items()})
            for code in self.search.positions
        ]
        return self._render(
            "sharing", index=self.search.summary(), uses=uses, kind_of=self.search.kinds
        )

    def code_choices(self) -> list[tuple[str, int]]:
        """Returns text and number of each code in use."""
        choices = []
        for code in np.flatnonzero(np.sum([*self.search.counts.values()], axis=0)).tolist():
            counts = [(name, int(count[code])) for name, count in self.search.counts.items()]
            use = ", ".join(f"{count} {noun(name, count)}" for name, count in counts if count)
            choices.append((f"{code}: {use}", code))
        return choices

    def code_map(self, found: Mapping[str, Any] | None = None) -> str:
        """Draws the codes in use: near codes are near on the map.

        Args:
            found: an answer of `ClipSearch.search`, whose codes are marked.
        """
        query = found["codes"] if found else []
        found_clips = found["found"].values() if found else ()
        marked = {code for clips in found_clips for clip in clips for code in clip["codes"]}
        uses = np.sum([*self.search.counts.values()], axis=0)
        most = max(int(uses.max()), 1)
        marks: list[dict[str, Any]] = []
        for code, (x, y) in self.search.positions.items():
            share = math.sqrt(int(uses[code]) / most)
            marks.append(
                {
                    "code": code,
                    "x": round(WIDTH / 2 + x * (WIDTH / 2 - MARGIN), 1),
                    "y": round(HEIGHT / 2 - y * (HEIGHT / 2 - MARGIN), 1),
                    "size": round(SMALL + (LARGE - SMALL) * share, 1),
                    "kind": self.search.kinds[code],
                    "clips": int(uses[code]),
                    "role": "query" if code in query else "found" if code in marked else "",
                }
            )
        # Small marks are drawn over large ones, clips found over others, and the query over all.
        order = {"": 0, "found": 1, "query": 2}
        marks.sort(key=lambda mark: (order[mark["role"]], -mark["size"]))
        return self._render("map", marks=marks, width=WIDTH, height=HEIGHT, query=query)

    def _render(self, name: str, **values: Any) -> str:
        return self._environment.get_template(f"{name}.html.j2").render(**values)
