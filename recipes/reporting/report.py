"""Pieces of a page that needs nothing else."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

STYLE = Path(__file__).with_name("report.css")


def per_cent(share: float) -> str:
    """A share in per cent, as text.

    Example:

    >>> per_cent(0.1234)
    '12.3 %'
    """
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """A time as people say it.

    Example:

    >>> duration(61), duration(30)
    ('1 min 1 s', '30 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def picture(address: str, description: str) -> str:
    """A picture as HTML.

    Example:

    >>> picture("data:,", "empty")
    '<img src="data:," alt="empty">'
    """
    return f'<img src="{address}" alt="{html.escape(description)}">'


def gallery(pictures: Mapping[str, str], large: bool = False) -> str:
    """Pictures, by description, in as many columns as fit; two of large ones.

    Example:

    >>> gallery({"empty": "data:,"})
    '<div class="gallery"><img src="data:," alt="empty"></div>'
    """
    images = (picture(address, description) for description, address in pictures.items())
    return f'<div class="gallery{" large" if large else ""}">{"".join(images)}</div>'


def example_cards(examples: Sequence[Mapping[str, Any]]) -> str:
    """Clips that share a code, one card per code.

    Args:
        examples: of `recipes.reporting.examples.same_code`.

    Returns:
        HTML.

    Example:

    >>> clip = {"category": "bell", "id": "test-1", "text": "a <bell>"}
    >>> "a &lt;bell&gt;" in example_cards([{"code": 3, "clips": {"text": clip}}])
    True
    """
    cards = []
    for example in examples:
        figures = []
        for modality, clip in example["clips"].items():
            about = html.escape(f"{modality} of {clip['id']}, class {clip['category']}")
            content = ""
            if "picture" in clip:
                content += f'<img src="{clip["picture"]}" alt="{about}">'
            if "sound" in clip:
                content += f'<audio controls preload="none" src="{clip["sound"]}"></audio>'
            if "text" in clip:
                content += f"<blockquote>“{html.escape(clip['text'])}”</blockquote>"
            figures.append(f"<figure><figcaption>{about}</figcaption>{content}</figure>")
        cards.append(f'<div class="code"><h3>Code {example["code"]}</h3>{"".join(figures)}</div>')
    return "".join(cards)


def section(title: str, *content: str) -> str:
    """A section of the page.

    Args:
        title: plain text.
        content: HTML.

    Returns:
        HTML.

    Example:

    >>> section("Codes & use", "<p>all</p>")
    '<section><h2>Codes &amp; use</h2><p>all</p></section>'
    """
    return f"<section><h2>{html.escape(title)}</h2>{''.join(content)}</section>"


def facts(values: Mapping[str, str]) -> str:
    """A row of figures with what they say.

    Args:
        values: text below to figure.

    Returns:
        HTML.

    Example:

    >>> facts({"clips": "12"})
    '<div class="facts"><div><b>12</b><span>clips</span></div></div>'
    """
    boxes = "".join(
        f"<div><b>{html.escape(value)}</b><span>{html.escape(text)}</span></div>"
        for text, value in values.items()
    )
    return f'<div class="facts">{boxes}</div>'


def details(title: str, value: Any) -> str:
    """A value as JSON that unfolds on demand.

    Args:
        title: plain text.
        value: what JSON can hold.

    Returns:
        HTML.

    Example:

    >>> "summary" in details("versions", {"keras": "3"})
    True
    """
    text = html.escape(json.dumps(value, indent=2))
    return f"<details><summary>{html.escape(title)}</summary><pre>{text}</pre></details>"


def page(title: str, subtitle: str, *content: str) -> str:
    """A whole page that loads nothing from elsewhere.

    Args:
        title: plain text.
        subtitle: plain text.
        content: HTML.

    Returns:
        HTML.

    Example:

    >>> page("Report", "of a run", section("Scores")).count("<section>")
    1
    """
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{STYLE.read_text(encoding='utf-8')}</style>"
        f"</head><body><main><h1>{html.escape(title)}</h1>"
        f'<p class="soft">{html.escape(subtitle)}</p>{"".join(content)}</main></body></html>\n'
    )
