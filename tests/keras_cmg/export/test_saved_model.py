"""SavedModels answer as the model does, without keras_cmg, and refuse what they cannot answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import keras_cmg
from data_tools.features import AudioFeatures
from keras_cmg.export import ServedSystem, export, read_metadata
from tests.helpers import served_systems
from tests.helpers.served_systems import (
    SYSTEMS,
    answers,
    assert_same,
    built,
    requests,
)

tf = pytest.importorskip("tensorflow")

CLIENT = Path(served_systems.__file__).with_name("saved_model_client.py")


def asked_elsewhere(
    model: Path, asked: dict[str, dict[str, np.ndarray]], folder: Path
) -> dict[str, dict[str, np.ndarray]]:
    """Answers of a SavedModel in a process that has TensorFlow and lacks keras_cmg."""
    flat = {f"{key}/{name}": x for key, inputs in asked.items() for name, x in inputs.items()}
    np.savez(folder / "requests.npz", **flat)
    done = subprocess.run(
        [sys.executable, CLIENT, model, folder / "requests.npz", folder / "answers.npz"],
        cwd=folder,
        env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2", "CUDA_VISIBLE_DEVICES": "-1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, dict[str, np.ndarray]] = {}
    with np.load(folder / "answers.npz") as arrays:
        for key in arrays.files:
            request, name = key.rsplit("/", 1)
            found.setdefault(request, {})[name] = arrays[key]
    return found


def check(served: ServedSystem, path: Path, folder: Path) -> None:
    """All answers of a SavedModel are the model's."""
    asked = requests(served)
    modalities = served.backbone.modalities
    assert {key.partition("/")[0] for key in asked} >= {f"encode_{m}" for m in modalities}
    assert_same(asked_elsewhere(path, asked, folder), answers(served, asked))


@pytest.mark.every_engine
def test_fcid_is_served_as_it_is(
    fcid: ServedSystem, fcid_saved_model: Path, tmp_path: Path
) -> None:
    check(fcid, fcid_saved_model, tmp_path)


@pytest.mark.every_engine
@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(SYSTEMS) - {"fcid"}))
def test_every_system_is_served_as_it_is(name: str, tmp_path: Path) -> None:
    model = built(name)
    arguments = served_systems.surroundings(model)
    path = export(model, tmp_path / "served", **arguments)
    check(ServedSystem(model.backbone, **arguments), path, tmp_path)


@pytest.fixture(scope="module")
def loud_system() -> tuple[keras_cmg.models.FCIDBackbone, dict[str, Any]]:
    """A backbone of sound and words, with a front end from waveforms."""
    keras.utils.set_random_seed(0)
    backbone = keras_cmg.models.FCIDBackbone.from_preset(
        "small", modalities=("audio", "text"), num_embeddings=6, embedding_dim=8,
        general={"feedforward_units": 8, "num_heads": 2},
    )  # fmt: skip
    backbone.build({"audio": (None, 10, 128), "text": (None, 5, 8)})
    return backbone, {"front_ends": {"audio": offline_features().layer()}}


def offline_features() -> AudioFeatures:
    """What prepares features for training."""
    features = AudioFeatures(8000)
    features.load_state({"mean": np.full(128, -30.0), "std": np.full(128, 10.0)})
    return features


@pytest.fixture(scope="module")
def loud(loud_system, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same as a SavedModel with small limits."""
    backbone, arguments = loud_system
    return export(
        backbone,
        tmp_path_factory.mktemp("loud") / "1",
        max_clips=64,
        max_frames=8,
        extra={"command": "python -m recipes quickstart"},
        **arguments,
    )


@pytest.fixture(scope="module")
def signatures(loud: Path) -> Any:
    return tf.saved_model.load(str(loud)).signatures


def test_waveforms_are_turned_into_features_inside(loud_system, loud, tmp_path) -> None:
    backbone, arguments = loud_system
    served = ServedSystem(backbone, **arguments)
    asked = {k: x for k, x in requests(served).items() if k.startswith("encode_audio_waveform")}
    prepared = {}
    for key, inputs in asked.items():
        waveforms = np.pad(inputs["audio_waveform"], [(0, 0), (0, 24000 - 20001)])
        codes = served.encode("audio", offline_features()(waveforms))
        prepared[key] = {name: keras.ops.convert_to_numpy(x) for name, x in codes.items()}
    assert_same(asked_elsewhere(loud, asked, tmp_path), prepared)


def test_metadata_say_what_is_inside(loud_system, loud) -> None:
    backbone, _ = loud_system
    found = read_metadata(loud)
    assert found["backbone"] == "FCIDBackbone"
    assert set(found["signatures"]) == {
        "encode_audio", "encode_audio_waveform", "encode_text", "encode_text_masked",
    }  # fmt: skip
    assert found["signatures"]["encode_text_masked"]["inputs"] == {
        "text": [None, None, 8],
        "text_mask": [None, None],
    }
    assert found["sample_rates"] == {"audio": 8000}
    assert found["limits"] == {"max_clips": 64, "max_frames": 8, "max_samples": 64000}
    assert found["codebooks"][0]["num_embeddings"] == len(backbone.codebook)
    assert found["versions"]["keras"] == keras.__version__
    assert found["versions"]["tensorflow"] == tf.__version__
    assert found["extra"]["command"].startswith("python")
    assert not list(loud.glob("**/*keras*"))


def test_weights_that_no_signature_reads_stay_behind(loud_system, loud) -> None:
    backbone, _ = loud_system
    kept = {
        tuple(shape)
        for name, shape in tf.train.list_variables(str(loud / "variables" / "variables"))
        if "OBJECT_GRAPH" not in name
    }
    specific = backbone.fine_specific_encoders["audio"].weights
    assert specific and not any(tuple(weight.shape) in kept for weight in specific[:1])


def ones(*shape: int) -> Any:
    return tf.ones(shape)


MALFORMED = {
    "width": ("encode_audio", {"audio": ones(2, 5, 64)}, "not compatible"),
    "rank": ("encode_audio", {"audio": ones(5, 128)}, "not compatible"),
    "no clip": ("encode_audio", {"audio": ones(0, 5, 128)}, "must not be empty"),
    "no frame": ("encode_audio", {"audio": ones(2, 0, 128)}, "must not be empty"),
    "NaN": ("encode_audio", {"audio": np.nan * ones(2, 5, 128)}, "must be finite"),
    "infinity": ("encode_audio", {"audio": np.inf * ones(2, 5, 128)}, "must be finite"),
    "many clips": ("encode_audio", {"audio": ones(65, 1, 128)}, "at most 64 clips"),
    "huge length": ("encode_audio", {"audio": ones(1, 9, 128)}, "at most 8 frames"),
    "long waveform": (
        "encode_audio_waveform", {"audio_waveform": ones(1, 64001)}, "at most 64000 samples",
    ),
    "other mask": (
        "encode_text_masked", {"text": ones(2, 5, 8), "text_mask": ones(2, 4)}, "clips and frames",
    ),
    "empty mask": (
        "encode_text_masked",
        {"text": ones(2, 5, 8), "text_mask": np.array([[1.0], [0.0]]) * ones(2, 5)},
        "at least one frame",
    ),
    "no input": ("encode_audio", {}, "audio"),
}  # fmt: skip


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed_requests_get_an_error_and_the_next_an_answer(signatures, case: str) -> None:
    name, inputs, message = MALFORMED[case]
    with pytest.raises(
        (tf.errors.InvalidArgumentError, ValueError, TypeError), match=rf"(?s){message}"
    ):
        signatures[name](**{key: tf.cast(x, tf.float32) for key, x in inputs.items()})
    answer = signatures["encode_audio"](audio=ones(2, 5, 128))
    assert answer["indices"].shape == (2, 5)
