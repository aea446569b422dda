"""Results that are found again by content: data, settings, seed, versions and source code."""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import data_tools
import keras_cmg
from data_tools.io.files import read_record
from recipes.runner.provenance import plain, versions, write_json

RECIPES = Path(__file__).parents[1]
CODE = {
    "keras_cmg": Path(keras_cmg.__file__).parent,
    "data_tools": Path(data_tools.__file__).parent,
    "recipes/protocol": RECIPES / "protocol",
    "recipes/training": RECIPES / "training",
}
"""Folders whose source decides a cached number."""
VERSIONS = ("engine", "engine_version", "keras", "keras_cmg", "numpy")


@functools.cache
def code_digest() -> str:
    """Returns a checksum of the source code that decides cached numbers.

    Returns:
        SHA-256, hexadecimal.

    Example:

    >>> len(code_digest())
    64
    """
    digest = hashlib.sha256()
    for name, folder in CODE.items():
        for path in sorted(folder.rglob("*.py")):
            digest.update(f"{name}/{path.relative_to(folder).as_posix()}".encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()


def with_code(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Adds versions and the checksum of the source code to an identity.

    Args:
        identity: all else that decides a result: data, settings, seed.

    Returns:
        The identity in types of JSON. No paths, names of folders or times belong in it.

    Example:

    >>> sorted(with_code({"seed": 0}))
    ['code', 'seed', 'versions']
    """
    found = versions()
    used = {name: found[name] for name in VERSIONS}
    return plain({**identity, "versions": used, "code": code_digest()})


def key(identity: Mapping[str, Any]) -> str:
    """Returns the key of an identity.

    Args:
        identity: dict of types of JSON.

    Returns:
        Twenty hexadecimal digits.

    Example:

    >>> key({"a": 1, "b": 2}) == key({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:20]


def remembered(
    folder: Path, identity: Mapping[str, Any], compute: Callable[[], dict[str, Any]]
) -> dict[str, Any]:
    """Returns a result from the cache, or computes and stores it.

    Args:
        folder: folder of results of this kind.
        identity: all that decides the result, see `with_code`.
        compute: returns the result, as a dict of types of JSON.

    Returns:
        The result.

    Example:

    >>> remembered(Path("scores"), {"seed": 0}, lambda: {"score": 0.5})
    {'score': 0.5}
    >>> remembered(Path("scores"), {"seed": 0}, lambda: {"score": 0.7})
    {'score': 0.5}
    """
    path = folder / f"{key(identity)}.json"
    if path.is_file():
        found = read_record(path, {"identity": dict, "result": dict})
        # A key is a shortened checksum: the whole identity decides.
        if found["identity"] == dict(identity):
            return found["result"]
    result = compute()
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, {"identity": identity, "result": result})
    return plain(result)
