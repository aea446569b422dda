"""Aliases that make signatures readable; they carry no behaviour."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Tensor = Any
"""A tensor of whichever engine Keras runs on."""

Shape = tuple[int | None, ...]
"""A static shape; `None` where the size is known only at run time."""

Modal = Mapping[str, Tensor]
"""One tensor per modality, keyed by the modality's name."""
