"""Data sets, features and batches: from raw signals and published features to training.

Packages import only from those before them: `io`, `untrusted`, `decoding`, `features`, `raw`,
`published`, `store`, `extraction`, `loading`, `composing`.
"""

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
