"""Systems with weights of their own and everything around them, and what they answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import keras_cmg
from keras_cmg.export import ServedSystem

MODALITIES = ("audio", "video", "text")
SHAPES = {"audio": (None, 10, 12), "video": (None, 10, 7, 7, 6), "text": (None, 10, 8)}
CLIPS = (1, 33)


SYSTEMS = keras_cmg.models.list_models()


QUANTIZERS: dict[str, Callable[[], keras_cmg.layers.Quantizer]] = {
    "levels": lambda: keras_cmg.layers.ResidualQuantizer(
        keras_cmg.layers.Codebook(6, 8), num_levels=2
    ),
    "groups of signs": lambda: keras_cmg.layers.GroupedQuantizer(
        [keras_cmg.layers.Codebook(6, 5), keras_cmg.layers.BSQ(3)]
    ),
}
"""Quantisers of several indices, as wide as `built` makes its codes."""


def built(name: str, quantizer: keras_cmg.layers.Quantizer | None = None) -> keras.Model:
    """A small system, its codes moved to where features are, so that several are in use."""
    keras.utils.set_random_seed(0)
    sizes: dict[str, Any] = {"embedding_dim": 8}
    if name != "simmmdg":
        sizes["num_embeddings"] = 6
    if name == "codebind":
        sizes |= {"chunk_dim": 4, "specific_dim": 8}
    if quantizer is not None:
        sizes["quantizer"] = quantizer
    if name == "vqvae":
        model = keras_cmg.models.VQVAE.from_preset(
            "small", backbone={**sizes, "hidden_channels": 4}
        )
        shapes = {"image": (None, 8, 8, 1)}
    else:
        general = {"feedforward_units": 8, "num_heads": 2}
        model = keras_cmg.models.create_model(
            name, "small", MODALITIES, backbone={**sizes, "general": general}
        )
        shapes = SHAPES
    backbone = model.backbone
    backbone.build(shapes)
    if backbone.quantizer is not None:
        random = np.random.default_rng(1)
        batch = {m: random.normal(size=(8, *s[1:])).astype("float32") for m, s in shapes.items()}
        backbone.adapt_codebook(batch, "segment")
    return model


def surroundings(model: keras.Model) -> dict[str, Any]:
    """Arguments of the export: a channel choice and a probe on it, where there is a codebook."""
    keras.utils.set_random_seed(2)
    backbone = model.backbone
    levels = {"text": "clip"} if "text" in backbone.modalities else {}
    if backbone.quantizer is None:
        probe = keras_cmg.models.LinearProbe(3)
        probe.build((None, None, 8))
        return {"levels": levels, "probes": probe}
    toc = keras_cmg.layers.TOCChannelMask(4)
    toc.adapt(backbone.code_source())
    probe = keras_cmg.models.LinearProbe(3)
    probe.build((None, None, 4))
    return {"levels": levels, "toc": toc, "probes": probe}


def requests(served: ServedSystem, frames: int = 7) -> dict[str, dict[str, np.ndarray]]:
    """Inputs of every endpoint by `<endpoint>/<clips>`, of another length than in training."""
    random = np.random.default_rng(3)
    found = {}
    for endpoint in served.endpoints():
        for clips in CLIPS:
            lengths = {"frames": frames, "samples": 20001, "rows": 8}
            length = lengths[endpoint.unit]
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
