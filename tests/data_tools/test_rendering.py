"""Clips are drawn again from their description."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import data_tools
from data_tools.raw.synthetic import Synthetic
from tests.data_tools.conftest import NUM_CLIPS


def test_rendered_clip_is_the_planned_one(prepared: Path) -> None:
    dataset = Synthetic()
    planned = dataset.plan(NUM_CLIPS, 0)[7]
    rendered = data_tools.render(prepared, 7)
    assert rendered["clip"] == planned
    assert rendered["caption"] == planned.caption
    assert rendered["sample_rate"] == 8000
    np.testing.assert_array_equal(rendered["waveform"], dataset.waveform(planned))
    np.testing.assert_array_equal(rendered["frames"], dataset.frames(planned))


@pytest.mark.parametrize("index", [-1, 21])
def test_row_must_exist(prepared: Path, index: int) -> None:
    with pytest.raises(ValueError, match=f"row from 0 to 20. Received: {index}"):
        data_tools.render(prepared, index)


def test_folder_must_have_descriptions(copied: Path) -> None:
    (copied / "clips.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold clips\.jsonl"):
        data_tools.render(copied, 0)
