"""Systems with weights of their own and everything around them, and what they answer."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

import keras_cmg
from keras_cmg.export import ServedSystem
from tests.helpers.small_fcid import small_fcid
from tests.keras_cmg.models.baselines.test_dcid import dcid

MODALITIES = ("audio", "video", "text")
SHAPES = {"audio": (None, 10, 12), "video": (None, 10, 7, 7, 6), "text": (None, 10, 8)}
CLIPS = (1, 33)
NUM_CODES = 6


def fcid() -> keras_cmg.Pretrainer:
    return small_fcid(MODALITIES)


SYSTEMS = {"fcid": fcid, "dcid": lambda: dcid(*MODALITIES)}


def built(name: str) -> keras_cmg.Pretrainer:
    """A small system, its codes moved to where features are, so that several are in use.

    Each code is there twice: of the two, every format must give the first.
    """
    model = SYSTEMS[name]()
    model.build(SHAPES)
    backbone = model.backbone
    if backbone.codebook is not None:
        random = np.random.default_rng(1)
        batch = {m: random.normal(size=(8, *SHAPES[m][1:])).astype("float32") for m in MODALITIES}
        backbone.adapt_codebook(batch, "segment")
        codes = backbone.codebook[: len(backbone.codebook) // 2]
        backbone.quantizer.codebook.assign(np.concatenate([codes, codes]))
    return model


def surroundings(model: keras_cmg.Pretrainer) -> dict[str, Any]:
    """Arguments of the export: a channel choice and a probe on it, where there is a codebook."""
    keras.utils.set_random_seed(2)
    backbone = model.backbone
    if backbone.codebook is None:
        return {"levels": {"text": "clip"}}
    toc = keras_cmg.TOCChannelMask(4)
    toc.adapt(backbone.codebook)
    probe = keras_cmg.LinearProbe(3)
    probe.build((None, None, 4))
    return {"levels": {"text": "clip"}, "toc": toc, "probes": probe}


def requests(served: ServedSystem, frames: int = 7) -> dict[str, dict[str, np.ndarray]]:
    """Inputs of every endpoint by `<endpoint>/<clips>`, of another length than in training."""
    random = np.random.default_rng(3)
    found = {}
    for endpoint in served.endpoints():
        for clips in CLIPS:
            length = frames if endpoint.unit == "frames" else 20001
            found[f"{endpoint.name}/{clips}"] = {
                name: (random.random((clips, length)) < 0.7).astype("float32")
                + (np.arange(length) == 0)
                if name.endswith("_mask")
                else random.normal(size=(clips, length, *shape[2:])).astype("float32")
                for name, shape in endpoint.inputs.items()
            }
    return found


def answers(served: ServedSystem, asked: dict[str, dict[str, np.ndarray]]) -> dict[str, Any]:
    """What the model itself says to the requests."""
    endpoints = {endpoint.name: endpoint for endpoint in served.endpoints()}
    return {
        key: {
            output: keras.ops.convert_to_numpy(value)
            for output, value in endpoints[key.partition("/")[0]]
            .function(**{name: keras.ops.convert_to_tensor(x) for name, x in inputs.items()})
            .items()
        }
        for key, inputs in asked.items()
    }


def assert_same(found: dict[str, Any], expected: dict[str, Any], tolerance: float = 1e-5) -> None:
    """Every output of every answer is there, of the right type, and as the model gave it."""
    assert found.keys() == expected.keys()
    for key, outputs in expected.items():
        assert found[key].keys() == outputs.keys()
        for name, value in outputs.items():
            assert found[key][name].dtype == value.dtype, (key, name)
            np.testing.assert_allclose(
                found[key][name], value, rtol=0, atol=tolerance, err_msg=f"{key} {name}"
            )


def assert_first_of_equal_codes(found: dict[str, Any]) -> None:
    """No index of a system of `built` points at the second copy of a code."""
    indices = [outputs["indices"] for outputs in found.values() if "indices" in outputs]
    assert all((index < NUM_CODES // 2).all() for index in indices)
