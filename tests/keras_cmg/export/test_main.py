"""The command line of the export, and what `export` refuses."""

from __future__ import annotations

import json
from pathlib import Path

import keras
import numpy as np
import pytest

import keras_cmg
from data_tools.features import AudioFeatures, TextFeatures, VideoFeatures
from data_tools.raw.extractors import Extractors
from keras_cmg.export import ServedSystem, export, read_metadata
from keras_cmg.export.__main__ import main
from keras_cmg.export.tensorflow_process import _last_error
from tests.helpers.served_systems import built


def tiny_backbone() -> keras_cmg.models.FCIDBackbone:
    backbone = keras_cmg.models.FCIDBackbone.from_preset(
        "small", modalities=("audio", "text"), num_embeddings=6, embedding_dim=8,
        general={"feedforward_units": 8, "num_heads": 2},
    )  # fmt: skip
    backbone.build({"audio": (None, 10, 128), "text": (None, 5, 8)})
    return backbone


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder as a recipe leaves it, with a probe and prepared features beside it."""
    folder = tmp_path / "run"
    folder.mkdir()
    tiny_backbone().save(folder / "model.keras")
    result = {
        "recipe": "quickstart",
        "data": "synthetic",
        "seed": 3,
        "command": "python -m recipes",
    }
    (folder / "result.json").write_text(json.dumps(result), encoding="utf-8")
    probe = keras_cmg.models.LinearProbe(2)
    probe.build((None, None, 4))
    probe.save(tmp_path / "probe.keras")
    (tmp_path / "labels.txt").write_text("dog\nbell\n", encoding="utf-8")
    features = tmp_path / "features"
    features.mkdir()
    random = np.random.default_rng(0)
    waveforms = random.normal(size=(2, 80000))
    video = VideoFeatures(4, 0).fit(random.integers(0, 255, (4, 56, 56), "uint8"))
    Extractors(AudioFeatures(8000).fit(waveforms), video, TextFeatures(8, 5)).save(
        features / "extractors.npz"
    )
    return folder


def test_a_run_is_exported_with_all_around_it(run: Path, capsys) -> None:
    pytest.importorskip("tensorflow")
    out = run.with_name("served") / "1"
    words = [
        str(run), "--to", str(out), "--toc", "4", "--level", "text=clip",
        "--probe", str(run.with_name("probe.keras")), "--labels", str(run.with_name("labels.txt")),
        "--waveform", str(run.with_name("features")),
    ]  # fmt: skip
    assert main(words) == 0
    assert "classify_audio_waveform: audio_waveform (None, None)" in capsys.readouterr().out
    found = read_metadata(out)
    assert found["labels"] == ["dog", "bell"]
    assert len(found["toc"]["channels"]) == 4
    assert found["signatures"]["encode_text"]["level"] == "clip"
    assert found["sample_rates"] == {"audio": 8000}
    assert found["extra"]["seed"] == 3
    before = sorted(out.rglob("*"))
    assert main(words) == 2
    assert "exists already" in capsys.readouterr().err
    assert sorted(out.rglob("*")) == before
    assert [path.name for path in out.parent.iterdir()] == ["1"]
    clips = run.with_name("features")
    files = sorted(clips.iterdir())
    assert main([*words, "--to", str(clips), "--overwrite"]) == 2
    assert "or assets/metadata.json to be overwritten" in capsys.readouterr().err
    assert sorted(clips.iterdir()) == files


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--toc", "9"], "`num_channels` must lie between 1 and the codebook"),
        (["--level", "frame"], "`levels` must be of ('segment', 'clip')"),
        (["--level", "smell=clip"], "`levels` must name modalities"),
        (["--level", "clip", "--level", "text=clip"], "--level must be one level for all"),
        (["--probe", "probe.keras"], "probe.keras is neither a run"),
        (["--max-frames", "0"], "`max_frames` must be at least 1"),
        (["--waveform", "no-such-folder"], "no-such-folder"),
        (["--activation", "relu"], "`activation` must be one of"),
        (["--reduction", "no-such-folder"], "There is no extractors.npz in no-such-folder"),
    ],
)
def test_bad_options_are_told_in_one_line(run: Path, options, message, capsys) -> None:
    assert main([str(run), "--to", str(run.with_name("served")), *options]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ") and error.count("\n") == 1
    assert not run.with_name("served").exists()


def test_features_without_a_reduction_are_named(run: Path, tmp_path: Path, capsys) -> None:
    words = [str(run), "--to", str(run.with_name("served")), "--reduction"]
    assert main([*words, str(run.with_name("features"))]) == 2
    assert "must hold features that were extracted with `reduce`" in capsys.readouterr().err
    np.savez(tmp_path / "audio_extractors.npz", audio_reduction_components=np.eye(2))
    assert main([*words, str(tmp_path)]) == 2
    assert "audio_extractors.npz must hold what extractors learned" in capsys.readouterr().err


def test_features_without_audio_are_named(run: Path, tmp_path: Path, capsys) -> None:
    np.savez(tmp_path / "extractors.npz", sample_rate=8000)
    words = [str(run), "--to", str(run.with_name("served")), "--waveform", str(tmp_path)]
    assert main(words) == 2
    assert "extractors.npz must hold the statistics of audio features" in capsys.readouterr().err


def test_a_file_that_is_no_model_is_refused(tmp_path: Path, capsys) -> None:
    (tmp_path / "model.keras").write_bytes(b"not a zip")
    assert main([str(tmp_path), "--to", str(tmp_path / "served")]) == 2
    assert "model.keras" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]


def test_arguments_must_fit_the_model(tmp_path: Path) -> None:
    backbone = tiny_backbone()
    probe = keras_cmg.models.LinearProbe(2)
    probe.build((None, None, 8))
    narrow = keras_cmg.models.LinearProbe(2)
    narrow.build((None, None, 3))
    reduction = keras_cmg.layers.PCAProjection(2)
    reduction.assign(np.zeros(3), np.zeros((3, 2)))
    for arguments, message in (
        ({"format": "pickle"}, "`format` must be one of"),
        ({"probes": {"smell": probe}}, "`probes` must name modalities"),
        ({"probes": keras_cmg.models.LinearProbe(2)}, "must be built"),
        ({"probes": narrow}, "has 3 inputs, but 'quantized' has width 8"),
        ({"probes": probe, "labels": ["a"]}, "`labels` must name the 2 classes"),
        ({"probe_view": "selected"}, "`probe_view` must be one of"),
        ({"toc": keras_cmg.layers.TOCChannelMask(2)}, "no channels have been chosen"),
        ({"reductions": {"audio": keras_cmg.layers.PCAProjection(128)}}, "must be built"),
        ({"reductions": {"audio": reduction}}, "has 2 components, and the backbone takes 128"),
    ):
        with pytest.raises(ValueError, match=message):
            export(backbone, tmp_path / "served", **arguments)
    with pytest.raises(ValueError, match="must be a pretrainer or a `Backbone`"):
        export(probe, tmp_path / "served")
    with pytest.raises(ValueError, match="`backbone` must be built"):
        export(keras_cmg.models.FCIDBackbone(("audio",)), tmp_path / "served")
    assert not list(tmp_path.iterdir())


def test_probes_look_at_what_they_were_trained_on() -> None:
    backbone = tiny_backbone()
    toc = keras_cmg.layers.TOCChannelMask(3)
    toc.adapt(backbone.codebook)
    for width, view in ((8, "quantized"), (3, "selected")):
        probe = keras_cmg.models.LinearProbe(2)
        probe.build((None, None, width))
        served = ServedSystem(backbone, toc=toc, probes=probe)
        assert served.probe_view == view


def test_the_reason_of_a_failure_is_told_whole() -> None:
    text = (
        "Traceback:\n  File\nValueError: Exception encountered.\n\n\x20 the cause\nArguments: x\n"
    )
    assert _last_error(text) == "ValueError: Exception encountered. the cause Arguments: x"
    assert _last_error("killed") == "killed"
    assert not _last_error("")


def test_a_layer_of_a_script_is_refused_on_other_engines(tmp_path: Path, monkeypatch) -> None:
    if keras.backend.backend() == "tensorflow":
        pytest.skip("TensorFlow exports in this process")
    backbone = tiny_backbone()
    monkeypatch.setattr(keras_cmg.models.FCIDBackbone, "__module__", "__main__")
    with pytest.raises(ValueError, match="in a module that can be imported"):
        export(backbone, tmp_path / "served")


def test_a_bundle_survives_its_file(tmp_path: Path) -> None:
    model = built("fcid")
    toc = keras_cmg.layers.TOCChannelMask(4)
    toc.adapt(model.backbone.codebook)
    probe = keras_cmg.models.LinearProbe(3)
    probe.build((None, None, 4))
    served = ServedSystem(model.backbone, {"text": "clip"}, toc, probe)
    served.save(tmp_path / "served.keras")
    again = keras.saving.load_model(tmp_path / "served.keras")
    x = np.random.default_rng(0).normal(size=(2, 10, 12)).astype("float32")
    for modality in ("audio", "video"):
        for before, after in zip(
            served.probes[modality].weights, again.probes[modality].weights, strict=True
        ):
            np.testing.assert_array_equal(
                keras.ops.convert_to_numpy(before), keras.ops.convert_to_numpy(after)
            )
    expected = keras.ops.convert_to_numpy(served.classify("audio", x)["logits"])
    found = keras.ops.convert_to_numpy(again.classify("audio", x)["logits"])
    np.testing.assert_array_equal(found, expected)
