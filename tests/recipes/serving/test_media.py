"""Files are served if they are media, and inside the folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recipes.serving.code_statistics import code_positions, sharing
from recipes.serving.media import MediaFiles
from tests.recipes.serving.conftest import picture, tone


def test_only_media_inside_the_folder_are_served(tmp_path: Path) -> None:
    inside, outside = tmp_path / "clips", tmp_path / "private"
    inside.mkdir()
    outside.mkdir()
    good = tone(inside / "a.wav", 0)
    other = picture(outside / "b.png", 0)
    (inside / "secret.wav").write_text("a password")
    (inside / "notes.txt").write_text("a password")
    (inside / "link.png").symlink_to(other)
    media = MediaFiles(inside)
    assert media.path(str(good)) == good
    assert media.path("a.wav") == good
    assert media.path(str(other)) is None
    assert media.path("../private/b.png") is None
    assert media.path("link.png") is None
    assert media.path("secret.wav") is None
    assert media.path("notes.txt") is None
    assert media.path("") is None
    assert MediaFiles().path(str(other)) == other


def test_modalities_weigh_alike() -> None:
    """A million sounds and ten pictures on one code share it."""
    found = sharing({"audio": np.array([10**6, 0, 3]), "video": np.array([10, 0, 0])})
    assert found["kinds"] == ["shared", "unused", "specific"]
    assert found["codes"] == {"unused": 1, "specific": 1, "partial": 0, "shared": 1}


def test_a_map_keeps_the_codes_with_the_most_clips() -> None:
    random = np.random.default_rng(0)
    codebook, uses = random.normal(size=(1500, 4)), np.arange(1500)
    found = code_positions(codebook, uses)
    assert sorted(found) == list(range(500, 1500))
    assert np.abs(list(found.values())).max() == 1.0
    assert code_positions(codebook, np.zeros(1500, int)) == {}
    assert code_positions(codebook, np.eye(1500, dtype=int)[3]) == {3: (0.0, 0.0)}
