"""Settings of a run: what they are resolved from, in which order, and what is refused."""

from __future__ import annotations

import argparse
import importlib
import json
from pathlib import Path

import pytest

from recipes.experiments import quickstart, table1
from recipes.runner import settings as settings_module
from recipes.runner.command_line import RECIPES, recipe_parser
from recipes.runner.options import CATALOGUE, COMMON, RecipeOptions
from recipes.runner.settings import Settings, nested, resolve


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
    (folder / settings_module.MODEL).write_bytes(b"")
    theirs = {"data": "digits", "epochs": 7, "preset": "paper", "num_clips": {"train": 3}}
    content = {"recipe": "pretrain", "settings": {**theirs, **changes}}
    (folder / "result.json").write_text(json.dumps(content))
    return folder


def test_a_run_brings_its_settings(tmp_path: Path) -> None:
    run = str(finished(tmp_path / "run" / "seed3").parent)
    chosen = resolved("table1", table1, "--run", run, seed=3)
    assert (chosen.epochs, chosen.preset, chosen.num_clips) == (7, "paper", None)
    chosen = resolved("table1", table1, "--run", run, "--data", "digits", seed=3)
    assert chosen.num_clips == {"train": 3}
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
