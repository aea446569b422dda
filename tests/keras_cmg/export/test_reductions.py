"""Exported models reduce features of a network as their extraction did."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from data_tools.features.pretrained import PCAReduction
from keras_cmg.export import ServedSystem, export, load_reductions, read_metadata
from tests.helpers import served_systems
from tests.helpers.served_systems import answers, assert_same, requests
from tests.keras_cmg.export.test_converters import litert_answers, onnx_answers
from tests.keras_cmg.export.test_saved_model import asked_elsewhere

DIMS = {"audio": 30, "video": 20, "text": 11}


@pytest.fixture(scope="module")
def fitted() -> dict[str, PCAReduction]:
    """Reductions to the features of a small system, whitening those of audio."""
    random = np.random.default_rng(0)
    return {
        name: PCAReduction(served_systems.SHAPES[name][-1], name == "audio").fit(
            [random.normal(size=(100, dim)) * np.linspace(1, 3, dim) + 1]
        )
        for name, dim in DIMS.items()
    }


@pytest.fixture(scope="module")
def features(fitted: dict[str, PCAReduction], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the extractors of a prepared folder learned."""
    folder = tmp_path_factory.mktemp("features")
    for name, reduction in fitted.items():
        state = {f"{name}_{key}": value for key, value in reduction.state().items()}
        np.savez(folder / f"{name}_extractors.npz", **state)
    return folder


@pytest.mark.parametrize("format", ["saved_model", "onnx", "litert"])
def test_exported_models_take_features_of_a_network(
    fcid: ServedSystem,
    fitted: dict[str, PCAReduction],
    features: Path,
    tmp_path: Path,
    format: str,
) -> None:
    pytest.importorskip("tensorflow")
    needed = {"onnx": "tf2onnx", "litert": "ai_edge_litert", "saved_model": "tensorflow"}
    pytest.importorskip(needed[format])
    # Each conversion takes a second or more: a whitened sequence, and a map; words with a mask.
    modalities = ("audio", "text") if format == "saved_model" else ("video", "text")
    reductions = {name: load_reductions(features)[name] for name in modalities}
    arguments = {"levels": fcid.levels, "reductions": reductions, "modalities": modalities}
    path = export(fcid.backbone, tmp_path / "served", format=format, **arguments)
    served = ServedSystem(fcid.backbone, **arguments)
    asked = {key: inputs for key, inputs in requests(served).items() if "_unreduced" in key}
    assert {key.partition("/")[0] for key in asked} >= {f"encode_{m}_unreduced" for m in modalities}
    reduced = {
        key.replace("_unreduced", ""): {
            name.removesuffix("_unreduced"): fitted[name.removesuffix("_unreduced")](x)
            if name.endswith("_unreduced")
            else x
            for name, x in inputs.items()
        }
        for key, inputs in asked.items()
    }
    expected = dict(zip(asked, answers(served, reduced).values(), strict=True))
    if format == "saved_model":
        found = asked_elsewhere(path, asked, tmp_path)
    else:
        found = {"onnx": onnx_answers, "litert": litert_answers}[format](path, asked)
    assert_same(found, expected)
    shapes = read_metadata(path)["signatures"]["encode_text_unreduced_masked"]["inputs"]
    assert shapes == {"text_unreduced": [None, None, 11], "text_mask": [None, None]}


def test_reductions_survive_a_file(fcid: ServedSystem, features: Path, tmp_path: Path) -> None:
    served = ServedSystem(fcid.backbone, reductions=load_reductions(features))
    served.save(tmp_path / "served.keras")
    again = keras.saving.load_model(tmp_path / "served.keras")
    for name, reduction in served.reductions.items():
        for before, after in zip(reduction.weights, again.reductions[name].weights, strict=True):
            np.testing.assert_array_equal(
                keras.ops.convert_to_numpy(before), keras.ops.convert_to_numpy(after)
            )
