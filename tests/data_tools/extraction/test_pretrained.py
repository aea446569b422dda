"""Extractors around pretrained networks: tiny ones made here, and real ones where they are."""

from __future__ import annotations

import json
import os
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_tools.__main__ import main
from data_tools.decoding import DecodeError
from data_tools.extraction import extract, open_extractors
from data_tools.extraction.extractor import create_extractor
from data_tools.extraction.pretrained_pictures import ONNXPictures
from data_tools.extraction.pretrained_sounds import KerasSound, LiteRTSound, ONNXSound
from data_tools.extraction.pretrained_words import MiniLM, ONNXText, WordLlama
from data_tools.features.pretrained import PCAReduction, open_runtime
from data_tools.store import Store
from tests.data_tools.extraction.test_extract import same_folders
from tests.helpers import media, tiny_networks

RATE = 1000
"""Of the tiny networks: a window of 400 samples is 0.4 s."""
SHARED = Path(os.environ.get("KERAS_CMG_DATA", Path(__file__).parents[4] / "shared"))


def shared_model(name: str) -> str:
    """A real network of the shared data; the test is skipped without it."""
    path = SHARED / "models" / name
    if not path.is_file():
        pytest.skip(f"{path} is not there: KERAS_CMG_DATA names the folder of the shared data")
    return str(path)


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny networks; only to be read."""
    root = tmp_path_factory.mktemp("networks")
    tiny_networks.write_litert(root / "sound.tflite")
    tiny_networks.write_onnx_sound(root / "sound.onnx")
    tiny_networks.write_onnx_pictures(root / "pictures.onnx")
    tiny_networks.write_onnx_pictures(root / "any.onnx", side=None)
    return root


@pytest.mark.parametrize("kind", [LiteRTSound, ONNXSound])
def test_sound_is_embedded_window_by_window(networks: Path, kind: type) -> None:
    file = networks / ("sound.tflite" if kind is LiteRTSound else "sound.onnx")
    extractor = kind(3, str(file), "energy", sample_rate=RATE, hop=0.2)
    signal = np.random.default_rng(0).normal(size=2000).astype(np.float32)
    # Windows begin at 0.0, 0.2, ... 1.6 s; their middles are at 0.2, 0.4, ... 1.8 s.
    windows = np.stack([signal[start : start + 400] for start in range(0, 1601, 200)])
    expected = tiny_networks.energies(windows)
    middles = np.arange(9) * 0.2 + 0.2
    features = extractor(signal)
    assert features.shape == extractor.field.shape == (3, 4)
    np.testing.assert_allclose(features[0], expected[middles < 1 - 1e-9].mean(0), rtol=1e-5)
    np.testing.assert_allclose(features[1], expected[middles > 1 - 1e-9].mean(0), rtol=1e-5)
    np.testing.assert_array_equal(features[2], features[1])


def test_windows_at_the_end_and_of_short_sounds(networks: Path) -> None:
    extractor = ONNXSound(4, str(networks / "sound.onnx"), "energy", RATE)
    assert extractor.starts(2000).tolist() == [0, 400, 800, 1200, 1600]
    assert extractor.starts(2090).tolist() == [0, 400, 800, 1200, 1600]
    assert extractor.starts(2120).tolist() == [0, 400, 800, 1200, 1600, 1720]
    signal = np.random.default_rng(0).normal(size=100).astype(np.float32)
    padded = np.pad(signal, (0, 300))[None]
    np.testing.assert_allclose(
        extractor(signal), np.repeat(tiny_networks.energies(padded), 4, 0), rtol=1e-5
    )
    # A hop of more than a second leaves seconds without a window: the nearest stands for them.
    sparse = ONNXSound(4, str(networks / "sound.onnx"), "energy", RATE, hop=1.8)
    long = np.random.default_rng(0).normal(size=4000).astype(np.float32)
    rows = tiny_networks.energies(np.stack([long[:400], long[1800:2200], long[3600:]]))
    np.testing.assert_allclose(sparse(long), rows[[0, 1, 1, 2]], rtol=1e-5)


def test_a_model_of_whole_waveforms(tmp_path: Path) -> None:
    import keras

    whole = keras.Sequential(
        [
            keras.Input((None, 1)),
            keras.layers.AveragePooling1D(250, name="quarters"),
            keras.layers.Dense(3, name="head"),
        ]
    )
    whole.save(tmp_path / "whole.keras")
    extractor = KerasSound(2, str(tmp_path / "whole.keras"), "quarters", RATE)
    assert extractor.window is None
    signal = np.random.default_rng(0).normal(size=2000).astype(np.float32)
    expected = signal.reshape(2, 1000).mean(1, keepdims=True)
    np.testing.assert_allclose(extractor(signal), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("output", ["map", "pool", "half"])
def test_pictures_become_maps(networks: Path, output: str) -> None:
    model = str(networks / "pictures.onnx")
    extractor = ONNXPictures(2, model, output, mean=(1, 2, 3), std=4.0, frames_per_segment=2)
    frames = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), np.uint8)
    pixels = (frames.astype(np.float32) - (1, 2, 3)) / 4
    maps = pixels.reshape(4, 4, 2, 4, 2, 3).mean((2, 4))
    if output != "half":
        import onnx
        from onnx import numpy_helper

        kernel = numpy_helper.to_array(onnx.load(model).graph.initializer[0])[:, :, 0, 0]
        maps = maps @ kernel.T
    if output == "pool":
        maps = maps.mean((1, 2), keepdims=True)
    expected = maps.reshape(2, 2, *maps.shape[1:]).mean(1)
    assert extractor.field.shape == expected.shape
    np.testing.assert_allclose(extractor(frames), expected, rtol=1e-4, atol=1e-4)


def test_tokens_of_vision_transformers_become_maps(tmp_path: Path) -> None:
    import keras

    pictures = keras.Input((8, 8, 3))
    patches = keras.layers.Reshape((16, 12), name="patches")(pictures)
    first = keras.layers.ZeroPadding1D((1, 0), name="with_class")(patches)
    odd = keras.layers.ZeroPadding1D((2, 0), name="odd")(patches)
    keras.Model(pictures, [first, odd]).save(tmp_path / "vit.keras")
    options = {"model": str(tmp_path / "vit.keras"), "normalization": "unit"}
    frames = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    for output in ("patches", "with_class"):
        extractor = create_extractor("video", "keras", {**options, "output": output})
        assert extractor.field.shape == (10, 4, 4, 12)
        np.testing.assert_allclose(
            extractor(frames)[0].reshape(16, 12), frames.reshape(16, 12) / 255, rtol=1e-5
        )
    with pytest.raises(ValueError, match="a square of tokens"):
        create_extractor("video", "keras", {**options, "output": "odd"})


def test_settings_lie_beside_the_model(networks: Path, tmp_path: Path) -> None:
    model = tmp_path / "sound.onnx"
    model.write_bytes((networks / "sound.onnx").read_bytes())
    with pytest.raises(ValueError, match="`sample_rate` must say"):
        ONNXSound(2, str(model))
    settings = tmp_path / "sound.json"
    settings.write_text(json.dumps({"sample_rate": 800, "hop": 0.25, "output": "energy"}))
    extractor = ONNXSound(2, str(model), hop=0.5)
    assert (extractor.sample_rate, extractor.hop, extractor.network.output) == (800, 400, "energy")
    before = extractor.sources()
    settings.write_text(json.dumps({"sample_rate": 400}))
    assert ONNXSound(2, str(model)).sources()["settings"] != before["settings"]
    settings.write_text(json.dumps({"rate": 400}))
    with pytest.raises(ValueError, match=r"must hold settings of .*. Received: \['rate'\]"):
        ONNXSound(2, str(model))


@pytest.mark.parametrize(
    ("modality", "name", "options", "message"),
    [
        ("audio", "onnx", {}, "`model` must name the model file"),
        ("audio", "onnx", {"model": "no.onnx", "sample_rate": 1}, "no.onnx does not exist"),
        ("audio", "onnx", {"model": "sound.onnx", "output": "power"}, "must be a tensor of"),
        ("audio", "litert", {"model": "sound.tflite", "output": "power"}, "must be a tensor of"),
        ("audio", "onnx", {"model": "sound.tflite"}, "must be an ONNX model"),
        ("audio", "litert", {"model": "sound.onnx"}, "must be a LiteRT model"),
        ("audio", "keras", {"model": "sound.onnx"}, "must be a Keras model"),
        ("audio", "onnx", {"model": "sound.onnx", "sample_rate": 1000, "window": 0.3}, "400"),
        ("audio", "onnx", {"model": "sound.onnx", "sample_rate": 1000, "hop": 0}, "`hop` must be"),
        ("audio", "onnx", {"model": "sound.onnx", "whiten": True}, "`whiten` must come with"),
        ("audio", "onnx", {"model": "pictures.onnx", "sample_rate": 1}, "must take waveforms"),
        ("audio", "yamnet", {}, "`model` must name yamnet.tflite"),
        ("video", "onnx", {"model": "sound.onnx"}, "must take RGB pictures"),
        ("video", "onnx", {"model": "pictures.onnx"}, "`normalization` must be one of"),
        ("video", "onnx", {"model": "pictures.onnx", "normalization": "x"}, "must be one of"),
        ("video", "onnx", {"model": "pictures.onnx", "side": 9}, "`side` must be that of"),
        ("video", "onnx", {"model": "any.onnx"}, "`side` must be given"),
        ("video", "keras", {"model": "keras.applications.No"}, "a network of keras.applications"),
    ],
)
def test_mistakes_are_explained(
    networks: Path,
    monkeypatch: pytest.MonkeyPatch,
    modality: str,
    name: str,
    options: dict[str, Any],
    message: str,
) -> None:
    monkeypatch.chdir(networks)
    monkeypatch.setenv("KERAS_CMG_CACHE", str(networks / "cache"))
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        create_extractor(modality, name, options)


def test_keras_models_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    import keras

    def tiny(include_top: bool, weights: str | None) -> Any:
        assert not include_top
        if weights == "imagenet":
            raise OSError("no network")
        return keras.Sequential([keras.Input((8, 8, 3)), keras.layers.MaxPooling2D()])

    monkeypatch.setattr(keras.applications, "Tiny", tiny, raising=False)
    assert open_runtime("keras", "keras.applications.Tiny:random").input_shape == (None, 8, 8, 3)
    with pytest.raises(FileNotFoundError, match="could not be downloaded"):
        open_runtime("keras", "keras.applications.Tiny")
    hub = types.ModuleType("keras_hub")
    backbone = types.SimpleNamespace(from_preset=lambda preset: tiny(False, None))
    hub.models = types.SimpleNamespace(Backbone=backbone)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "keras_hub", hub)
    assert open_runtime("keras", "keras_hub:tiny")(np.ones((1, 8, 8, 3))).shape == (1, 4, 4, 3)


def test_principal_components() -> None:
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(0)
    values = rng.normal(size=(200, 6)) @ rng.normal(size=(6, 6)) + 3
    expected = PCA(3, whiten=True).fit(values)
    reduced = PCAReduction(3, whiten=True).fit([values[:50], values[50:]])(values)
    # scikit-learn divides by n - 1.
    np.testing.assert_allclose(
        np.abs(reduced), np.abs(expected.transform(values)) * np.sqrt(200 / 199), rtol=1e-3
    )
    plain = PCAReduction(3).fit([values])(values)
    ratio = plain.std(0) / np.sqrt(expected.explained_variance_)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-3)
    assert abs(np.square(plain).mean() - 1) < 1e-3
    constant = np.concatenate([values, np.full((200, 1), 0.5)], axis=1)
    whitened = PCAReduction(7, whiten=True).fit([constant])(constant + 1e-4)
    assert np.abs(whitened[:, -1]).max() < 1, "a constant direction is not blown up"
    with pytest.raises(ValueError, match="at most the number of dimensions, 6"):
        PCAReduction(7).fit([values])
    with pytest.raises(ValueError, match="must be fitted"):
        PCAReduction(2)(values)


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five good clips and one bad; only to be read."""
    root = tmp_path_factory.mktemp("clips")
    media.write_clips(root, 5)
    (root / "audio/clip0005.wav").write_bytes(b"ID3 and the rest of an MP3 file")
    return root


def test_one_command_with_pretrained_networks(
    clips: Path, networks: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["extract", "--input", str(clips), "--segments", "2", "--text", "none"]
    words += ["--audio", "litert", "--audio-model", str(networks / "sound.tflite")]
    words += ["--audio-output", "energy", "--audio-option", f"sample_rate={RATE}"]
    words += ["--audio-reduce", "2", "--audio-option", "whiten=true", "--shard-rows", "3"]
    words += ["--video", "onnx", "--video-model", str(networks / "pictures.onnx")]
    words += ["--video-output", "map", "--video-option", "normalization=unit"]
    for workers in "12":
        out = ["--out", str(tmp_path / workers), "--workers", workers]
        assert main([*words, *out]) == 0
    assert "1 failed" in capsys.readouterr().out
    assert same_folders(tmp_path / "1", tmp_path / "2")
    failures = map(json.loads, (tmp_path / "1/failures.jsonl").read_text().splitlines())
    assert [(each["modality"], each["reason"]) for each in failures] == [
        ("audio", "is named .wav but holds MP3"),
        ("video", "has no video"),
    ]
    store = Store(tmp_path / "1")
    assert {name: field.shape for name, field in store.fields.items()} == {
        "audio": (2, 2),
        "video": (2, 4, 4, 5),
    }
    stored = store.read("audio", [0])[0]
    store.close()
    serve = open_extractors(
        tmp_path / "1",
        {
            "audio": {"model": str(networks / "sound.tflite")},
            "video": {"model": str(networks / "pictures.onnx")},
        },
        clips,
    )
    clip = {"id": "a", "audio": "audio/clip0000.wav", "video": "frames/clip0000"}
    np.testing.assert_allclose(serve(clip)["audio"], stored, atol=2e-3)
    with pytest.raises(ValueError, match="must have the files with which"):
        right = {"audio": {"model": str(networks / "sound.tflite")}}
        other = tiny_networks.write_onnx_pictures(tmp_path / "other.onnx", seed=1)
        open_extractors(tmp_path / "1", {**right, "video": {"model": str(other)}})


def test_yamnet_equals_the_bare_runtime(tmp_path: Path) -> None:
    from ai_edge_litert.interpreter import Interpreter

    model = shared_model("yamnet.tflite")
    signal = media.tone(3.0, 16_000) + np.random.default_rng(0).normal(0, 0.05, 48_000)
    import soundfile

    soundfile.write(tmp_path / "a.wav", signal, 16_000, subtype="FLOAT")
    with pytest.warns(UserWarning, match="preserve_all_tensors"):
        interpreter = Interpreter(model, experimental_preserve_all_tensors=True)
    interpreter.allocate_tensors()
    detail = next(
        each
        for each in interpreter.get_tensor_details()
        if each["name"].endswith("layer28/reduce_mean")
    )
    rows = []
    for start in (0, 7800, 15_600, 23_400, 31_200):
        window = signal[start : start + 15_600].astype(np.float32)
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], window)
        interpreter.invoke()
        scale, zero = detail["quantization"]
        whole = interpreter.get_tensor(detail["index"]).reshape(-1).astype(np.float32)
        rows.append((whole - zero) * scale)
    bare = np.stack(rows)
    options = {"model": model, "segments": 3, "dtype": "float32"}
    result = extract(tmp_path, tmp_path / "s", {"audio": {"name": "yamnet", "options": options}}, 3)
    assert result == {"rows": 1, "failed": 0}
    store = Store(tmp_path / "s")
    features = store.read("audio", [0])[0]
    store.close()
    # Middles of the windows: 0.4875, 0.975 | 1.4625, 1.95 | 2.4375 s.
    expected = np.stack([bare[:2].mean(0), bare[2:4].mean(0), bare[4]])
    assert features.shape == (3, 1024)
    assert np.abs(expected).max() > 0.5
    np.testing.assert_allclose(features, expected, atol=1e-5)


def test_efficientnet_equals_the_bare_runtime() -> None:
    import onnxruntime

    model = shared_model("efficientnet_lite0.onnx")
    frames = media.pictures(3, side=224)
    options = {"model": model, "segments": 3, "batch_size": 2}
    extractor = create_extractor("video", "efficientnet_lite0", options)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    bare = np.concatenate(
        [
            session.run(["map"], {"x": pixels.transpose(2, 0, 1)[None]})[0]
            for pixels in (frames.astype(np.float32) - 127) / 128
        ]
    )
    features = extractor(frames)
    assert features.shape == (3, 7, 7, 1280)
    assert np.abs(bare).max() > 1
    np.testing.assert_allclose(features, bare.transpose(0, 2, 3, 1), atol=1e-5)


def write_table(path: Path, table: np.ndarray) -> str:
    """A table of vectors as a `.safetensors` file."""
    safetensors = pytest.importorskip("safetensors.numpy")
    safetensors.save_file({"embedding.weight": table}, path)
    return str(path)


def test_words_from_a_table(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    table = np.arange(12, dtype=np.float16).reshape(4, 3)
    weights = write_table(tmp_path / "t.safetensors", table)
    tokenizer = tiny_networks.write_tokenizer(tmp_path / "t.json", ["?", "dog", "barks", "'"])
    extractor = WordLlama(3, weights, str(tokenizer))
    features = extractor("A DOG barks loudly at night")
    np.testing.assert_array_equal(features, table[[0, 1, 2]])
    # A word of three pieces: dog, apostrophe, unknown.
    np.testing.assert_allclose(extractor("dog's")[0], table[[1, 3, 0]].mean(0))
    assert not extractor("dog")[1:].any()
    reduced = WordLlama(3, weights, str(tokenizer), reduce=1)
    reduced.fit([np.array("dog barks"), np.array("a dog")])
    assert reduced("dog").shape == reduced.field.shape == (3, 1)
    assert not reduced("dog")[1:].any()
    with pytest.raises(ValueError, match="must be a safetensors file"):
        WordLlama(3, str(tokenizer), str(tokenizer))
    with pytest.raises(ValueError, match="a tokenizer must be JSON"):
        WordLlama(3, weights, write_table(tmp_path / "u.safetensors", table))


def test_wordllama_of_its_package() -> None:
    pytest.importorskip("tokenizers")
    try:
        extractor = WordLlama()
    except ImportError:
        pytest.skip("the package wordllama is not installed")
    dog, puppy, sea = (extractor(word)[0] for word in ("dog", "puppy", "sea"))

    def cosine(one: np.ndarray, other: np.ndarray) -> float:
        return float(one @ other / np.linalg.norm(one) / np.linalg.norm(other))

    assert extractor.field.shape == (10, 256)
    assert cosine(dog, puppy) > 2 * cosine(dog, sea)


def test_words_in_context_as_transformers_computes_them(tmp_path: Path) -> None:
    import zipfile

    torch = pytest.importorskip("torch")
    transformers = pytest.importorskip("transformers")
    safetensors = pytest.importorskip("safetensors.torch")
    vocabulary = ["[UNK]", "a", "dog", "barks", "at", "night"]
    config = transformers.BertConfig(
        vocab_size=6,
        hidden_size=24,
        num_hidden_layers=2,
        num_attention_heads=12,
        intermediate_size=48,
        max_position_embeddings=16,
    )
    torch.manual_seed(0)
    bert = transformers.BertModel(config).eval()
    tokenizer = tiny_networks.write_tokenizer(tmp_path / "t.json", vocabulary)
    content = {name: value.contiguous() for name, value in bert.state_dict().items()}
    with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
        archive.writestr("model.safetensors", safetensors.save(content))
        archive.write(tokenizer, "tokenizer.json")
    extractor = MiniLM(4, str(tmp_path / "model.zip"))
    ids = torch.tensor([[1, 2, 3, 4]])
    expected = bert(input_ids=ids).last_hidden_state[0].detach().numpy()
    np.testing.assert_allclose(extractor("A dog barks at night"), expected, atol=1e-5)
    with pytest.raises(ValueError, match="must hold MiniLM"):
        MiniLM(4, str(tokenizer))


def test_text_encoders_in_onnx_files(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    table = np.random.default_rng(0).normal(size=(4, 3)).astype(np.float32)
    model = str(tiny_networks.write_onnx_text(tmp_path / "clip.onnx", table))
    with pytest.raises(FileNotFoundError, match="`tokenizer` must name a file"):
        ONNXText(2, model)
    tiny_networks.write_tokenizer(tmp_path / "tokenizer.json", ["?", "a", "dog", "barks"])
    np.testing.assert_allclose(ONNXText(2, model)("dog barks a"), table[[2, 3]])
    pooled = str(tiny_networks.write_onnx_text(tmp_path / "pooled.onnx", table, pooled=True))
    features = ONNXText(2, pooled)("dog barks")
    np.testing.assert_allclose(features, [table[[2, 3]].sum(0), np.zeros(3)], rtol=1e-5)


def test_captions_without_known_words_fail(tmp_path: Path) -> None:
    pytest.importorskip("tokenizers")
    weights = write_table(tmp_path / "t.safetensors", np.ones((1, 3), np.float32))
    tokenizer = tiny_networks.write_tokenizer(tmp_path / "t.json", ["?"])
    with pytest.raises(DecodeError, match="has no word"):
        WordLlama(3, weights, str(tokenizer)).vectors("...")
