"""Pages that load nothing from elsewhere: blocks of content, rendered by Jinja templates."""

from __future__ import annotations

import base64
import dataclasses
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import jinja2
from PIL import Image

from recipes.reporting.tables import Table

TEMPLATES = Path(__file__).with_name("templates")


@dataclasses.dataclass(frozen=True)
class Text:
    """A paragraph of plain text."""

    kind: ClassVar[str] = "text"
    text: str
    soft: bool = False
    """Whether it is small and grey."""
    strong: bool = False


@dataclasses.dataclass(frozen=True)
class Command:
    """A command of a shell."""

    kind: ClassVar[str] = "command"
    text: str


@dataclasses.dataclass(frozen=True)
class TableOf:
    """A table with its note."""

    kind: ClassVar[str] = "table"
    table: Table


@dataclasses.dataclass(frozen=True)
class ShadedTable:
    """A table of shares in per cent, cells shaded by their value, rows in groups."""

    kind: ClassVar[str] = "shaded"
    heading: str
    columns: Sequence[str]
    groups: Mapping[str, Sequence[tuple[str, Sequence[float]]]]
    """Title to rows, each a name and numbers."""


@dataclasses.dataclass(frozen=True)
class Picture:
    """A picture."""

    kind: ClassVar[str] = "picture"
    content: bytes
    """Content of a PNG or WebP file."""
    description: str
    photo: bool = False
    """Whether its colours are those of photographs, which a dark page does not turn round."""


@dataclasses.dataclass(frozen=True)
class Gallery:
    """Pictures in as many columns as fit."""

    kind: ClassVar[str] = "gallery"
    pictures: Mapping[str, bytes]
    """Description to content of a PNG or WebP file."""
    large: bool = False


@dataclasses.dataclass(frozen=True)
class Examples:
    """Clips that share a code, a card per code."""

    kind: ClassVar[str] = "examples"
    codes: Sequence[Mapping[str, Any]]
    """As `recipes.reporting.same_code_examples.same_code` returns them."""


@dataclasses.dataclass(frozen=True)
class Shares:
    """Shares of a whole, as a bar and as figures."""

    kind: ClassVar[str] = "shares"
    heading: str
    values: Mapping[str, float]
    """Name to a fraction; they sum to one."""
    kinds: Sequence[str]
    """Of each share, the kind of code that gives it its colour: "shared", "partial" or
    "specific"."""


@dataclasses.dataclass(frozen=True)
class Facts:
    """A row of figures."""

    kind: ClassVar[str] = "facts"
    values: Mapping[str, str]
    """Text below to figure."""


@dataclasses.dataclass(frozen=True)
class Details:
    """A value as JSON, or blocks, that unfold on demand."""

    kind: ClassVar[str] = "details"
    title: str
    value: Any = None
    blocks: Sequence[Any] = ()


class Section(NamedTuple):
    """A section of a page; without a title, blocks stand outside of sections."""

    title: str
    blocks: Sequence[Any]


PIXELS_PER_INCH = 110
SIGNATURES = {b"\x89PNG": "image/png", b"RIFF": "image/webp", b"ID3": "audio/mpeg"}
"""First bytes of a file to its type."""


def media_type(content: bytes) -> str:
    """Returns the type of a file that pages hold, by its first bytes.

    Args:
        content: content of a PNG, WebP or MP3 file.

    Example:

    >>> media_type(b"\\x89PNG...")
    'image/png'
    """
    found = (name for start, name in SIGNATURES.items() if content.startswith(start))
    return next(found, "audio/mpeg")


def data_uri(content: bytes, kind: str | None = None) -> str:
    """Returns a file as a `data:` address.

    Args:
        content: content of the file.
        kind: its type; by `media_type` if None.

    Example:

    >>> data_uri(b"\\x89PNG")
    'data:image/png;base64,iVBORw=='
    """
    return f"data:{kind or media_type(content)};base64,{base64.b64encode(content).decode('ascii')}"


def picture_size(content: bytes) -> tuple[int, int]:
    """Returns width and height of a picture on a page, which does not move while it loads.

    Args:
        content: content of a PNG or WebP file; one that names its resolution is shown at 110 pixels
            per inch.
    """
    with Image.open(io.BytesIO(content)) as picture:
        width, height = picture.size
        scale = PIXELS_PER_INCH / picture.info.get("dpi", (PIXELS_PER_INCH,))[0]
    return round(width * scale), round(height * scale)


def render(title: str, subtitle: str, sections: Sequence[Section]) -> str:
    """Renders a page.

    Args:
        title: title, plain text.
        subtitle: subtitle, plain text.
        sections: sections in order.

    Returns:
        HTML.

    Example:

    >>> page = render("a <title>", "of a run", [Section("Scores", [Text("1 < 2")])])
    >>> page.count("<section>"), "a &lt;title&gt;" in page, "1 &lt; 2" in page
    (1, True, True)
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["data_uri"] = data_uri
    environment.filters["per_cent"] = per_cent
    environment.filters["picture_size"] = picture_size
    environment.filters["as_json"] = lambda value: json.dumps(value, indent=2)
    style = (TEMPLATES / "page.css").read_text(encoding="utf-8")
    template = environment.get_template("page.html.j2")
    return template.render(title=title, subtitle=subtitle, sections=sections, style=style)


def per_cent(share: float) -> str:
    """Returns a fraction in per cent, as text.

    Args:
        share: a fraction.

    Example:

    >>> per_cent(0.1234)
    '12.3 %'
    """
    return f"{100 * share:.1f} %"


def duration(seconds: float) -> str:
    """Returns a time in minutes and seconds, as text.

    Args:
        seconds: the time.

    Example:

    >>> duration(61), duration(30)
    ('1 min 1 s', '30 s')
    """
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
