"""Strategies of Hypothesis that damage the content of files, byte by byte and value by value."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping
from typing import Any

from hypothesis import strategies as st

NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, 2**48, 2**63, 2**64)
TOKENS = (
    *(b"[", b"{", b"}", b'"', b"'", b",", b"\n", b"\r", b"\0", b"\xff", b"&", b";", b"\t", b"("),
    *(b"[" * 3000, b'{"a":' * 3000, b"(" * 300, b"9" * 400, b"1e999", b"NaN", b"-1", b"null"),
    *(b"../", b"/etc/passwd", b"\\ud800", b"\xed\xa0\x80", b"PK\x03\x04", b"\x93NUMPY", b"True"),
    *(b"cos\nsystem\n", b"\x80\x04", b"R", b".", b"\x89HDF", b"TREE", b"SNOD", b"HEAP"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, -1, 0, 1, 2**31, 10**30, 1e308, -0.5, float("nan"), "", "a", "../a", "a/b"),
    *("x" * 5000, [], {}, [[]], [None], {"a": 1}, ["a"], [-1], [10**12], [1, 2, 3], "float32"),
)
"""What takes the place of values of JSON."""

Edit = tuple[int, int, int, int]
EDITS = st.lists(
    st.tuples(
        st.integers(0, 9),
        st.integers(0, 2**24),
        st.integers(0, 2**12),
        st.integers(0, max(len(TOKENS), len(NUMBERS)) - 1),
    ),
    min_size=1,
    max_size=6,
)


def edited(content: bytes, edits: list[Edit]) -> bytes:
    """Applies edits: bits, numbers, tokens, and pieces that are cut, repeated, copied or zeroed."""
    data = bytearray(content)
    for kind, place, size, choice in edits:
        at = place % (len(data) + 1)
        length = size % 64 + 1
        if kind == 0 and data:
            data[at % len(data)] ^= 1 << (size % 8)
        elif kind == 1 and data:
            data[at % len(data)] = size % 256
        elif kind in (2, 3):
            number = NUMBERS[choice % len(NUMBERS)]
            width = (1, 2, 4, 8)[size % 4]
            order = "little" if kind == 2 else "big"
            data[at : at + width] = (number % 2 ** (8 * width)).to_bytes(width, order)  # type: ignore[arg-type]
        elif kind == 4:
            token = TOKENS[choice % len(TOKENS)]
            data[at : at + (len(token) if size % 2 else 0)] = token
        elif kind == 5:
            del data[at : at + length]
        elif kind == 6:
            data[at:at] = data[at : at + length] * (1 + size % 5)
        elif kind == 7:
            source = (place // 7) % (len(data) + 1)
            data[at : at + length] = data[source : source + length]
        elif kind == 8:
            data[at : at + length] = bytes(length)
        else:
            del data[at:]
    return bytes(data)


def changed_value(text: bytes, steps: list[int], choice: int, remove: bool) -> bytes:
    """Replaces or removes one value inside JSON, or in a line of JSON lines, which stays JSON."""
    lines = text.splitlines() if text.lstrip()[:1] == b"{" else [text]
    try:
        value = json.loads(text)
    except ValueError:
        at = steps[0] % len(lines) if steps else 0
        lines[at] = changed_value(lines[at], steps[1:], choice, remove)
        return b"\n".join(lines) + b"\n"
    root = {"": value}
    parent: Any = root
    key: Any = ""
    for step in steps:
        inner = parent[key]
        if isinstance(inner, dict) and inner:
            parent, key = inner, sorted(inner)[step % len(inner)]
        elif isinstance(inner, list) and inner:
            parent, key = inner, step % len(inner)
        else:
            break
    if remove and parent is not root:
        del parent[key]
    else:
        parent[key] = VALUES[choice % len(VALUES)]
    return json.dumps(root[""]).encode()


class Content(bytes):
    """Bytes that Hypothesis describes shortly."""

    def __repr__(self) -> str:
        return f"<{len(self)} bytes>"


class Contents(dict[str, bytes]):
    """Files that Hypothesis describes shortly."""

    def __repr__(self) -> str:
        return f"<{len(self)} files>"


def damaged(content: bytes) -> st.SearchStrategy[bytes]:
    """Content with a few edits of bytes; of JSON, also with other values."""
    return _damaged(Content(content))


@st.composite
def _damaged(draw: Any, content: bytes) -> bytes:
    if content[:1] in b"{[" and draw(st.booleans()):
        steps = draw(st.lists(st.integers(0, 50), max_size=6))
        return changed_value(content, steps, draw(st.integers(0, len(VALUES))), draw(st.booleans()))
    return edited(content, draw(EDITS))


def damaged_archive(content: bytes) -> st.SearchStrategy[bytes]:
    """A zip archive with damaged bytes, or a whole one with a damaged member."""
    return _damaged_archive(Content(content))


@st.composite
def _damaged_archive(draw: Any, content: bytes) -> bytes:
    if draw(st.booleans()):
        return draw(damaged(content))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name = draw(st.sampled_from(sorted(members)))
    return packed({**members, name: draw(damaged(members[name]))})


def packed(members: Mapping[str, bytes]) -> bytes:
    """A zip archive."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return stream.getvalue()


def damaged_folder(
    files: Mapping[str, bytes], repair: Callable[[dict[str, bytes]], None] | None = None
) -> st.SearchStrategy[dict[str, bytes]]:
    """A folder with a damaged file; `repair` may make its checksums right again."""
    return _damaged_folder(Contents(files), repair)


@st.composite
def _damaged_folder(
    draw: Any, files: Contents, repair: Callable[[dict[str, bytes]], None] | None
) -> dict[str, bytes]:
    name = draw(st.sampled_from(sorted(files)))
    strategy = damaged_archive if name.endswith((".npz", ".zip", ".keras")) else damaged
    found = {**files, name: draw(strategy(files[name]))}
    if repair is not None and draw(st.booleans()):
        repair(found)
    return found
