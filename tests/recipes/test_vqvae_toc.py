"""Masking codes before a decoder: the masks, the errors, and the recipe on its smoke settings."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import keras_cmg
from recipes.protocol import masked_decoding
from recipes.reporting import image_grid
from recipes.runner import command_line


def test_random_masks_keep_as_many_as_asked_and_all_alike() -> None:
    masks = masked_decoding.random_masks(2000, 8, 3, seed=0)
    assert set(masks.sum(axis=1)) == {3}
    np.testing.assert_allclose(masks.mean(axis=0), 3 / 8, atol=0.04)
    assert not (masks == masked_decoding.random_masks(2000, 8, 3, seed=1)).all()


def test_chosen_masks_are_those_of_the_scores() -> None:
    codebook = np.random.default_rng(0).normal(size=(20, 6))
    codebook[:, 2] += 3
    usage = np.arange(20)
    masks = masked_decoding.chosen_masks(codebook, usage, kept=2)
    for name, use in (("TOC", None), ("usage-weighted TOC", usage)):
        importance = keras_cmg.ops.channel_scores(codebook, use).importance
        assert set(np.flatnonzero(masks[name])) == set(np.argsort(importance)[-2:])
    assert all(mask.sum() == 2 for mask in masks.values())


def test_errors_are_those_of_the_masked_codes() -> None:
    random = np.random.default_rng(0)
    codes, images = random.normal(size=(3, 4, 5)), random.normal(size=(3, 4))
    mask, fill = np.array([1, 0, 1, 1, 0]), np.arange(5.0)
    found = masked_decoding.squared_errors(lambda x: x.sum(axis=-1), codes, images, [mask], fill)
    expected = np.square(codes[..., [0, 2, 3]].sum(axis=-1) + 1 + 4 - images).mean()
    assert found == pytest.approx(expected, rel=1e-6)


def test_shares_of_dimensions() -> None:
    assert [masked_decoding.kept_channels(share, 128) for share in (0, 25, 87.5, 99.9)] == [
        128,
        96,
        16,
        1,
    ]
    with pytest.raises(ValueError, match=r"--masked must lie in \[0, 100\)"):
        masked_decoding.kept_channels(100, 128)


def test_grids_show_their_images_in_order(tmp_path: Path) -> None:
    rows = {"dark": np.zeros((3, 28, 28, 1)), "light": np.full((3, 28, 28, 1), 200, "uint8")}
    path = tmp_path / "grid.png"
    path.write_bytes(image_grid.image_grid(rows))
    picture = np.asarray(Image.open(path).convert("L"))
    right = picture[:, -40]
    assert right[20] == 0 and abs(int(right[-20]) - 200) <= 1
    with pytest.raises(ValueError, match="equal numbers of images"):
        image_grid.image_grid({"a": rows["dark"], "b": rows["light"][:1]})


def test_the_number_of_training_images_is_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["vqvae_toc", "--dry-run", "--out", str(tmp_path / "run"), "--num-images"]
    assert command_line.main([*words, "99", "9", "9"]) == 0
    assert '"train": 99' in capsys.readouterr().out
    assert command_line.main([*words, "0", "9", "9"]) == 2
    assert "--num-images must be at least 1. Received: 0" in capsys.readouterr().err


def test_recipe_over_two_seeds(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert command_line.main(["vqvae_toc", "--smoke", "--seeds", "2", "--out", str(out)]) == 0
    whole = json.loads((out / "result.json").read_text("utf-8"))
    assert whole["seeds"] == [0, 1]
    for result in whole["runs"]:
        assert set(result["masked"]) == {"zero", "mean"}
        for shares in result["masked"].values():
            assert set(shares) == {"75.0", "25.0"}
            for cell in shares.values():
                assert set(cell["chosen"]) == set(masked_decoding.CRITERIA)
                assert len(cell["random"]) == 5 and min(cell["random"]) > 0
    first, second = (run["masked"]["zero"]["75.0"]["random"] for run in whole["runs"])
    assert first != second
    table = (out / "table.md").read_text("utf-8")
    assert "| 75.0, published | 0.0477 | 0.0159 |" in table and "smoke run" in table
    page = (out / "report.html").read_text("utf-8")
    assert page.count("data:image/png") >= 4 and "http" not in page


def test_the_weight_of_variance_is_an_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["vqvae_toc", "--dry-run", "--out", str(tmp_path / "run"), "--variance-weight", "0.5"]
    assert command_line.main(words) == 0
    assert '"variance_weight": 0.5' in capsys.readouterr().out
