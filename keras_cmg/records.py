"""Reads records in JSON: files of keys and types that are known, wherever they come from.

Imports neither Keras nor an engine, so that it can be loaded without them.
"""

from __future__ import annotations

import os
from typing import Any

from keras_cmg.faults import damaged, reading, shorten
from keras_cmg.files import read_json, read_json_lines

MAX_DEPTH = 64
"""Largest number of lists and dicts inside each other in a record."""
MAX_INTEGER = 2**63 - 1
_NAMES = {dict: "a JSON object", list: "a list", str: "text", bool: "true or false"}
_NAMES |= {int: "an integer of 64 bits", float: "a finite number", object: "a value of JSON"}


def read_record(path: str | os.PathLike[str], form: Any) -> dict[str, Any]:
    """Reads a JSON object whose keys and types are known.

    Args:
        path: the file.
        form: what the object must be, see `check_record`.

    Returns:
        The object as a dict; it may have further keys.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if the file holds something else; the message names the file and the key.

    Example:

    >>> from pathlib import Path
    >>> _ = Path("state.json").write_text('{"epochs": 3, "scores": [0.5, 1]}')
    >>> read_record("state.json", {"epochs": int, "scores": [float]})
    {'epochs': 3, 'scores': [0.5, 1]}
    >>> read_record("state.json", {"epochs": str})
    Traceback (most recent call last):
        ...
    ValueError: state.json must hold text at 'epochs'. Received: 3
    """
    with reading(path, "be a record"):
        found = read_json(path)
        check_record(found, form, path)
    return found


def read_record_lines(path: str | os.PathLike[str], form: Any) -> list[dict[str, Any]]:
    """Reads a file with a JSON object per line, whose keys and types are known.

    Args:
        path: the file.
        form: what each object must be, see `check_record`.

    Returns:
        The objects; they may have further keys.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if a line is something else; the message names the file, the line and the key.

    Example:

    >>> from pathlib import Path
    >>> _ = Path("failures.jsonl").write_text('{"id": "a"}')
    >>> read_record_lines("failures.jsonl", {"id": str})
    [{'id': 'a'}]
    """
    with reading(path, "hold a record per line"):
        found = read_json_lines(path)
        for number, line in enumerate(found, start=1):
            check_record(line, form, f"{path}, line {number},")
    return found


def check_record(value: Any, form: Any, path: object, keys: tuple[str | int, ...] = ()) -> None:
    """Checks the types of a value that was read from JSON.

    Numbers must be finite, integers must have at most 64 bits, and at most 64 lists and dicts may
    lie inside each other, wherever they are.

    Args:
        value: the value.
        form: `int`, `float` (integers are numbers too), `str`, `bool`, `dict`, `list`, None, or
            `object` for anything; a tuple of forms that are allowed; `[form]` of a list;
            `{str: form}` of a dict with any keys; or a dict of keys that must be there, or may be
            there where a "?" ends them, to their forms.
        path: the file, for the message.
        keys: of the dicts and lists around the value.

    Raises:
        ValueError: if the value is something else.

    Example:

    >>> check_record({"epochs": 3}, {"epochs": int, "preset?": (str, None)}, "run.json")
    >>> check_record({"epochs": True}, {"epochs": int}, "run.json")
    Traceback (most recent call last):
        ...
    ValueError: run.json must hold an integer of 64 bits at 'epochs'. Received: True
    """
    if len(keys) > MAX_DEPTH:
        raise damaged(path, "be a record", f"more than {MAX_DEPTH} lists and dicts in each other")
    forms = form if isinstance(form, tuple) else (form,)
    fitting = [one for one in forms if _is_of(value, one)]
    if not fitting:
        wanted = " or ".join(_named(one) for one in forms)
        raise ValueError(
            f"{path} must hold {wanted}{_place(keys)}. Received: {shorten(repr(value), 100)}"
        )
    inner = fitting[0]
    if isinstance(value, list):
        one = inner[0] if isinstance(inner, list) else object
        for number, item in enumerate(value):
            check_record(item, one, path, (*keys, number))
    elif isinstance(value, dict):
        for name, each in _entries(value, inner, path, keys).items():
            check_record(value[name], each, path, (*keys, name))


def _entries(
    value: dict[str, Any], form: Any, path: object, keys: tuple[str | int, ...]
) -> dict[str, Any]:
    """Form of each entry of a dict."""
    if not isinstance(form, dict) or str in form:
        return dict.fromkeys(value, form[str] if isinstance(form, dict) else object)
    known = {name.removesuffix("?"): each for name, each in form.items()}
    for name in form:
        if not name.endswith("?") and name not in value:
            raise ValueError(
                f"{path} must hold the key {name!r}{_place(keys)}. "
                f"Received keys: {shorten(sorted(value), 100)}"
            )
    return {name: known.get(name, object) for name in value}


def _is_of(value: Any, form: Any) -> bool:
    """Whether a value is of a form, but for what is inside it."""
    kind = type(form) if isinstance(form, list | dict) else form
    if kind is None:
        return value is None
    if isinstance(value, float) and kind in (float, object):
        return bool(abs(value) < float("inf"))
    if isinstance(value, int) and not isinstance(value, bool) and kind in (int, float, object):
        return abs(value) <= MAX_INTEGER
    return isinstance(value, kind) and (kind in (bool, object) or not isinstance(value, bool))


def _place(keys: tuple[str | int, ...]) -> str:
    """Where in a file a value is, as `.name` and `[number]`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in keys)
    return f" at {shorten(repr(text.removeprefix('.')), 100)}" if keys else ""


def _named(form: Any) -> str:
    if form is None:
        return "null"
    return _NAMES[type(form) if isinstance(form, list | dict) else form]
