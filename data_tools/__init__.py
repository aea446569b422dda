"""Data sets, features and batches: from raw signals and published features to training.

Packages import only from those before them: `io`, `untrusted`, `decoding`, `features`, `raw`,
`published`, `store`, `extraction`, `loading`, `composing`, `commands`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from data_tools.composing.preparation import prepare_composed
    from data_tools.io.feature_folder import FeatureFolder
    from data_tools.loading.load import load
    from data_tools.published.inspection import inspect
    from data_tools.published.registry import open_published
    from data_tools.raw.clip_origins import read_clip_origins
    from data_tools.raw.preparation import prepare
    from data_tools.raw.registry import open_raw
    from data_tools.raw.rendering import render
    from data_tools.raw.verification import verify

__all__ = [
    "FeatureFolder",
    "inspect",
    "load",
    "open_published",
    "open_raw",
    "prepare",
    "prepare_composed",
    "read_clip_origins",
    "render",
    "verify",
]
_MODULES = {
    "FeatureFolder": "io.feature_folder",
    "inspect": "published.inspection",
    "load": "loading.load",
    "open_published": "published.registry",
    "open_raw": "raw.registry",
    "prepare": "raw.preparation",
    "prepare_composed": "composing.preparation",
    "read_clip_origins": "raw.clip_origins",
    "render": "raw.rendering",
    "verify": "raw.verification",
}
"""Name to the module that defines it, which is imported at the first use: commands show their help,
and name missing packages, where the packages of the extra `data` are not installed."""


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_MODULES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
