"""Quantisers compared: the variants, and the recipe on its smoke settings."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import keras_cmg
from recipes.runner import command_line
from recipes.training.quantizer_variants import NAMES, fsq_levels, quantizer_arguments


@pytest.mark.parametrize("model", ["fcid", "cmcm", "vqvae"])
def test_every_variant_is_a_quantizer_of_the_model(model: str) -> None:
    found = quantizer_arguments(tuple(NAMES), model, "small", 3)
    assert found["codebook"] == {} and "preset" not in found
    modalities = ("image",) if model == "vqvae" else ("audio", "text")
    sizes = {}
    for name, arguments in json.loads(json.dumps(found)).items():
        backbone = keras_cmg.models.create_model(model, "small", modalities, **arguments).backbone
        quantizer = backbone.quantizer
        assert quantizer.embedding_dim == backbone.embedding_dim
        sizes[name] = int(quantizer.index_sizes.prod())
    # All but the larger one have about as many codes as the preset's.
    large = sizes.pop("residual_large")
    assert large == sizes["codebook"] ** 2
    assert all(0.7 < size / sizes["codebook"] < 1.4 for size in sizes.values())


def test_the_preset_is_a_row_of_its_own_where_its_quantizer_is_no_codebook() -> None:
    found = quantizer_arguments(("preset", "codebook"), "fcid", "plus", 3)
    assert found["preset"] == {}
    assert found["codebook"]["backbone"]["quantizer"]["class_name"] == "Codebook"


def test_levels_multiply_to_about_the_number() -> None:
    for size in (64, 128, 400, 1000, 4096):
        a, b, c = fsq_levels(size)
        assert 0.75 < a * b * c / size < 1.25


def test_recipe_on_its_smoke_settings(tmp_path: Path) -> None:
    out = tmp_path / "run"
    assert command_line.main(["quantizers", "--smoke", "--out", str(out)]) == 0
    result = json.loads((out / "result.json").read_text("utf-8"))
    assert (
        set(result["trained"]["cmcm"]) == {"codebook", "fsq", "residual"} == set(result["images"])
    )
    for found in result["images"].values():
        assert 1 <= found["perplexity"] <= found["used"] <= found["codes"]
        assert 0 < found["squared_error"] < 1
    table = (out / "table.md").read_text("utf-8")
    for title in (
        "cmcm with each quantiser",
        "Paired differences from codebook (points)",
        "Image VQ-VAE with each quantiser",
        "ResidualQuantizer of two small codebooks",
    ):
        assert title in table
    assert (out / "report.html").is_file()


def test_what_has_no_meaning_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["quantizers", "--smoke", "--out", str(tmp_path / "run")]
    assert command_line.main([*words, "--models", "simmmdg"]) == 2
    assert "--models must have codes. Received: ['simmmdg']" in capsys.readouterr().err
    assert command_line.main([*words, "--quantizers", "vq"]) == 2
    assert "--quantizers must be of ('preset', 'codebook'" in capsys.readouterr().err
