"""Generation: the generator, the classifier, the two layers between, and the recipe in small."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from recipes.experiments import generation
from recipes.image_generation import code_prompt, image_generator
from recipes.runner import command_line, provenance


def halves(count: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images bright above or on the left, more or less so: two classes that codes can tell."""
    draws = np.random.default_rng(seed)
    labels, light = draws.integers(0, 2, count), draws.uniform(0.5, 1, count)
    images = np.zeros((count, 8, 8, 1), "float32")
    images[labels == 0, :4] = 1
    images[labels == 1, :, :4] = 1
    return images * light[:, None, None, None].astype("float32"), labels


@pytest.fixture(scope="module")
def trained():
    # A module's fixture comes before the seed that each test starts from.
    provenance.set_seed(0)
    images, labels = {}, {}
    for seed, (split, count) in enumerate({"train": 256, "val": 100, "test": 100}.items()):
        images[split], labels[split] = halves(count, seed)
    small = image_generator.SmallGenerator(embedding_dim=4, hidden_channels=8)
    small.fit(images, epochs=40, batch_size=32)
    judge = image_generator.Judge(2, hidden_channels=8, dim=8)
    accuracy = judge.fit(images, labels, epochs=40, batch_size=32)
    return images, labels, small, judge, accuracy


def test_the_generator_makes_images_of_their_embeddings(trained) -> None:
    images, _, small, _, _ = trained
    rebuilt = small.generate(small.embed(images["test"]))
    assert rebuilt.shape == images["test"].shape
    assert rebuilt.min() >= 0 and rebuilt.max() <= 1
    error = np.square(rebuilt - images["test"]).mean()
    assert error < 0.3 * images["test"].var()


def test_a_classifier_sees_classes_and_measures_distance(trained) -> None:
    images, _, _, judge, accuracy = trained
    assert accuracy > 0.9
    near = image_generator.distance(judge.features, images["test"], images["val"])
    far = image_generator.distance(judge.features, images["test"], 1 - images["test"])
    assert 0 <= near < far
    assert "8 features of a classifier of 2 classes" in judge.name


def test_codes_of_a_class_give_images_of_it(trained) -> None:
    images, labels, small, judge, _ = trained
    codes = {split: np.eye(4, dtype="float32")[labels[split]] for split in images}
    targets = {split: small.embed(images[split]) for split in ("train", "val")}
    prompt = code_prompt.CodePrompt(4, units=32)
    history = prompt.fit(codes, targets, epochs=40, batch_size=32)
    assert history["loss"][-1] < history["loss"][0]
    made = prompt.images(small, codes["test"], seed=0)
    assert (judge.classes(made) == labels["test"]).mean() > 0.8
    np.testing.assert_array_equal(prompt.images(small, codes["test"], seed=0), made)
    assert not np.array_equal(prompt.images(small, codes["test"], seed=1), made)
    # Without what is drawn, one code is one image.
    plain = prompt.images(small, codes["test"], seed=0, spread=0)
    same = plain[labels["test"] == 0]
    np.testing.assert_allclose(same, np.broadcast_to(same[:1], same.shape), atol=1e-5)


def test_recipe_says_what_it_measured(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert command_line.main(["generation", "--smoke", "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text("utf-8"))
    columns = {"image->image", "audio->image", "text->image"}
    for kind in ("distances", "accuracies"):
        assert set(result[kind]) == {"FCID", "FCID+TOC"}
        assert all(set(cells) == columns for cells in result[kind].values())
    assert result["measure"] == "Fréchet distance"
    table = (out / "table.md").read_text("utf-8")
    ours, _, theirs = table.partition("As published")
    # The distance of a network of our own is no FID.
    assert "FID" not in ours and "FCID+TOC | 113.95" in theirs
    assert (out / "images.png").read_bytes()[1:4] == b"PNG"


def test_the_published_protocol_takes_a_fixed_number_of_steps(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fits = []

    def fit(prompt, codes, embeddings, epochs, batch_size=64, choose=True) -> None:
        fits.append((len(codes["train"]), epochs, batch_size, choose))
        prompt.spread = np.zeros(embeddings["val"].shape[1])
        prompt.network.build((None, codes["val"].shape[1]))

    monkeypatch.setattr(code_prompt.CodePrompt, "fit", fit)
    smoke = {**generation.OPTIONS.smoke, "prompt_epochs": None}
    monkeypatch.setattr(generation, "OPTIONS", dataclasses.replace(generation.OPTIONS, smoke=smoke))
    for protocol in ("heldout", "reference"):
        words = ["generation", "--smoke", "--protocol", protocol, "--out", str(tmp_path / protocol)]
        assert command_line.main(words) == 0
    # 20 clips: two steps of 8 an epoch.
    assert set(fits) == {(20, 60, 64, True), (20, 40_000, 8, False)}
    table = (tmp_path / "reference" / "table.md").read_text("utf-8")
    assert f"**{code_prompt.NOTICE}**" in table and "80,000 steps" in table
    assert code_prompt.NOTICE not in (tmp_path / "heldout" / "table.md").read_text("utf-8")


def test_without_choice_the_last_weights_stay() -> None:
    codes = {"train": np.eye(4, dtype="float32"), "val": np.zeros((2, 4), "float32")}
    targets = {"train": np.eye(4, dtype="float32"), "val": np.full((2, 4), 9.0, "float32")}
    prompt = code_prompt.CodePrompt(4, units=8)
    history = prompt.fit(codes, targets, epochs=30, batch_size=4, choose=False)
    assert "val_loss" not in history and len(history["loss"]) == 30
    assert prompt.spread.max() < 1


def test_every_model_must_have_the_preset(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--models", "fcid", "dcid", "--preset", "plus", "--dry-run"]
    for recipe in ("generation", "efficiency"):
        assert command_line.main([recipe, *words]) == 2
        assert "--preset of dcid must be one of" in capsys.readouterr().err


def test_an_adapter_needs_its_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["generation", "--generator", "ip-adapter", "--out", str(tmp_path / "run")]
    assert command_line.main(words) == 2
    assert "--generator ip-adapter needs --pipeline and --adapter" in capsys.readouterr().err
    assert generation.OPTIONS.default("generator") == "small"
