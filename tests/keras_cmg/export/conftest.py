"""One exported FCID for all tests that ask it."""

from __future__ import annotations

from pathlib import Path

import pytest

from keras_cmg.export import ServedSystem, export
from tests.helpers import served_systems


@pytest.fixture(scope="session")
def fcid() -> ServedSystem:
    """A small FCID with a channel choice and a probe."""
    model = served_systems.built("fcid")
    return ServedSystem(model.backbone, **served_systems.surroundings(model))


@pytest.fixture(scope="session")
def fcid_saved_model(fcid: ServedSystem, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a SavedModel that takes 64 clips of 20 frames at most."""
    pytest.importorskip("tensorflow")
    return export(
        fcid.backbone,
        tmp_path_factory.mktemp("fcid") / "1",
        levels=fcid.levels,
        toc=fcid.toc,
        probes=fcid.probes,
        max_clips=64,
        max_frames=20,
    )
