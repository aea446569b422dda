"""Where recorded numbers are found; tests that need them skip when there are none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def golden_root(repository: Path) -> Path:
    """The folder of recorded numbers: `KERAS_CMG_GOLDEN`, else `../shared/golden`."""
    root = Path(os.environ.get("KERAS_CMG_GOLDEN", repository.parent / "shared" / "golden"))
    if not (root / "fcid.npz").is_file():
        pytest.skip(f"no fcid.npz in {root}; set KERAS_CMG_GOLDEN to a folder of recorded numbers")
    return root
