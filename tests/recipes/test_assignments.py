"""Settings from `NAME=VALUE`."""

from __future__ import annotations

import pytest

from recipes.experiments import quickstart
from recipes.runner import assignments
from recipes.runner import command_line as runner


def test_values_are_json_or_words() -> None:
    found = assignments.nested(["a.b=0.5", "a.c=[1, 2]", "d=null", "e=flatten", "f=x=y"])
    assert found == {"a": {"b": 0.5, "c": [1, 2]}, "d": None, "e": "flatten", "f": "x=y"}


def test_no_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"NAME=VALUE; received: 'epochs'"):
        assignments.nested(["epochs"])


def test_options_change_the_defaults_of_the_data_set(monkeypatch: pytest.MonkeyPatch) -> None:
    own = quickstart.Settings(
        "synthetic", {"train": 1}, model={"cpc": {"units": 8, "num_layers": 1}}
    )
    monkeypatch.setitem(quickstart.DEFAULTS, "synthetic", own)
    parser = runner.recipe_parser("quickstart", quickstart)
    options = parser.parse_args(["--set", "cpc.units=4", "--epochs", "3"])
    settings = quickstart.settings_of(options)
    assert settings.model == {"cpc": {"units": 4, "num_layers": 1}}
    assert (settings.epochs, settings.batch_size) == (3, own.batch_size)
