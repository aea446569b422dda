"""Settings of a run: what they are resolved from, in which order, and what is refused."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import pytest

from recipes.experiments import activation, quickstart, table1, train
from recipes.runner.command_line import RECIPES, recipe_parser
from recipes.runner.options import CATALOGUE, COMMON, RecipeOptions
from recipes.runner.settings import MODEL, Settings, nested, resolve


def resolved(name: str, recipe, *words: str, seed: int = 0) -> Settings:
    """Settings of a recipe, as the command line resolves them."""
    given = recipe_parser(name, recipe).parse_args(list(words))
    settings, _ = resolve(recipe.OPTIONS, given, seed)
    return recipe.check(settings) if hasattr(recipe, "check") else settings


def test_values_are_json_or_words() -> None:
    found = nested(["a.b=0.5", "a.c=[1, 2]", "d=null", "e=flatten", "f=x=y"])
    assert found == {"a": {"b": 0.5, "c": [1, 2]}, "d": None, "e": "flatten", "f": "x=y"}


def test_an_assignment_without_a_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"NAME=VALUE. Received: 'epochs'"):
        nested(["epochs"])


def test_later_values_replace_earlier_ones() -> None:
    options = RecipeOptions(
        ("data", "epochs", "batch_size", "learning_rate"),
        data=("a", "b"),
        defaults={"epochs": 7},
        by_data={"b": {"epochs": 8}},
        smoke={"epochs": 9},
    )

    def epochs(**given) -> int:
        names = ("data", "epochs", "batch_size", "learning_rate", "smoke")
        return resolve(options, argparse.Namespace(**{**dict.fromkeys(names), **given}))[0].epochs

    assert CATALOGUE["epochs"].default == 10
    assert epochs(data="a") == 7
    assert epochs(data="b") == 8
    assert epochs(data="b", smoke=True) == 9
    assert epochs(data="b", smoke=True, epochs=3) == 3


def test_the_data_set_and_arguments_of_the_model_reach_the_settings() -> None:
    found = resolved("quickstart", quickstart, "--set", "cpc.units=4", "--set", "cpc.num_layers=1")
    assert found.set == {"cpc": {"units": 4, "num_layers": 1}}
    assert (found.epochs, found.batch_size, found.preset) == (8, 80, "plus")
    assert found.num_clips["train"] == 1500
    digits = resolved("quickstart", quickstart, "--data", "digits", "--num-clips", "5", "6", "7")
    assert (digits.epochs, digits.num_clips) == (10, {"train": 5, "val": 6, "test": 7})


def test_an_option_means_the_same_in_every_recipe() -> None:
    """Help, type and number of values come from one catalogue; only defaults differ."""
    seen: dict[str, tuple] = {}
    for name in RECIPES:
        recipe = importlib.import_module(f"recipes.experiments.{name}")
        for action in recipe_parser(name, recipe)._actions:
            if action.dest == "help":
                continue
            assert action.dest in (*COMMON, *recipe.OPTIONS.names)
            text = (action.help or "").partition(" (default")[0]
            meaning = (text, action.type, action.nargs, action.metavar)
            assert seen.setdefault(action.dest, meaning) == meaning
    assert set(seen) == set(CATALOGUE)
    assert not {"system", "systems"} & set(seen)


def finished(folder: Path, **changes) -> Path:
    """A folder that looks like a finished run."""
    folder.mkdir(parents=True)
    (folder / MODEL).write_bytes(b"")
    theirs = {"data": "digits", "epochs": 7, "preset": "paper", "num_clips": {"train": 3}}
    content = {"recipe": "pretrain", "settings": {**theirs, **changes}}
    (folder / "result.json").write_text(json.dumps(content))
    return folder


def test_a_run_brings_its_settings(tmp_path: Path) -> None:
    run = str(finished(tmp_path / "run" / "seed3").parent)
    chosen = resolved("table1", table1, "--run", run, seed=3)
    assert (chosen.data, chosen.epochs, chosen.preset) == ("digits", 7, "paper")
    assert chosen.num_clips == {"train": 3}
    chosen = resolved("table1", table1, "--run", run, "--data", "synthetic", seed=3)
    assert chosen.num_clips["train"] == 600
    with pytest.raises(FileNotFoundError, match=r"--run must hold model\.keras"):
        resolved("table1", table1, "--run", run)
    with pytest.raises(ValueError, match="--run brings its own settings; leave out --epochs"):
        resolved("table1", table1, "--run", run, "--epochs", "2", seed=3)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "huge"], r"--preset of fcid must be one of .* Received: 'huge'"),
        (["--directions", "video"], r"--directions must be FROM:TO .* Received: 'video'"),
        (["--directions", "video:smell"], r"--directions must be FROM:TO"),
        (["--epochs", "0"], "--epochs must be at least 1. Received: 0"),
        (["--learning-rate", "nan"], "--learning-rate must be greater than 0. Received: nan"),
        (["--toc-channels", "64", "0"], "--toc-channels must be at least 1. Received: 0"),
        (["--data", "avvp"], r"--data of --task ave must be one of .* Received: 'avvp'"),
        (["--option", "video_channels=8"], "must be an option of the data set"),
    ],
)
def test_options_are_checked(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        resolved("table1", table1, *words)


def test_options_that_others_make_useless_are_refused() -> None:
    for words, message in (
        (["--clips", ".", "--data", "digits"], "--clips is read without --data"),
        (["--clips", ".", "--root", ".", "--split", "x"], "without --root, --split"),
        (["--networks", "models"], "--networks must come with --clips"),
    ):
        with pytest.raises(ValueError, match=message):
            resolved("train", train, *words)


def test_the_form_of_devices_is_checked_before_anything_is_computed() -> None:
    for word in ("0", "x", "-1", "1.5"):
        with pytest.raises(ValueError, match="--devices must be 'auto' or at least 1"):
            resolved("quickstart", quickstart, "--devices", word)
    with pytest.raises(ValueError, match="80 clips for 3 devices"):
        resolved("quickstart", quickstart, "--devices", "3")
    resolved("quickstart", quickstart, "--devices", "auto")


def test_a_finished_run_brings_its_data_set(tmp_path: Path) -> None:
    (tmp_path / MODEL).touch()
    for data in ("digits", "vggsound"):
        (tmp_path / "result.json").write_text(json.dumps({"settings": {"data": data}}))
        assert resolved("activation", activation, "--run", str(tmp_path)).data == data
    words = ["--run", str(tmp_path), "--data", "synthetic"]
    assert resolved("activation", activation, *words).data == "synthetic"
    (tmp_path / "result.json").write_text(json.dumps({"settings": {"data": "mscoco"}}))
    with pytest.raises(ValueError, match="name other data by --data"):
        resolved("activation", activation, "--run", str(tmp_path))
