"""VGGish: its front end against plain NumPy, its network against PyTorch, weights by every name."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data_tools.features import vggish, vggish_weights
from tests.helpers import media


def slow_log_mel(waveform: np.ndarray) -> np.ndarray:
    """The published front end, frame by frame and band by band."""

    def mel(hertz: float) -> float:
        return 1127.0 * np.log(1 + hertz / 700.0)

    edges = np.linspace(mel(125.0), mel(7500.0), 66)
    frames = []
    for start in range(0, len(waveform) - 400 + 1, 160):
        window = [0.5 - 0.5 * np.cos(2 * np.pi * n / 400) for n in range(400)]
        spectrum = np.abs(np.fft.rfft(waveform[start : start + 400] * window, 512))
        bands = []
        for low, middle, high in zip(edges, edges[1:], edges[2:], strict=False):
            total = 0.0
            for number in range(1, 257):
                at = mel(number * 8000 / 256)
                weight = min((at - low) / (middle - low), (high - at) / (high - middle))
                total += max(0.0, weight) * spectrum[number]
            bands.append(np.log(total + 0.01))
        frames.append(bands)
    return np.array(frames)


def test_front_end_is_the_published_one() -> None:
    waveform = media.tone(0.1) + np.random.default_rng(0).normal(0, 0.01, 1600)
    np.testing.assert_allclose(vggish.log_mel(waveform), slow_log_mel(waveform), atol=1e-5)


def test_patches_follow_each_other() -> None:
    waveform = np.random.default_rng(0).normal(size=16_000 * 3)
    spectrogram = vggish.log_mel(waveform)
    published = vggish.patches(waveform)
    np.testing.assert_array_equal(published[1], spectrogram[96:192])
    np.testing.assert_array_equal(vggish.patches(waveform, 1.0)[1], spectrogram[100:196])
    assert (len(published), len(vggish.patches(waveform[:15_000]))) == (3, 0)


def torch_port() -> Any:
    """The network with the module names of the PyTorch port."""
    from torch import nn

    layers: list[Any] = []
    channels = 1
    for width in (64, "M", 128, "M", 256, 256, "M", 512, 512, "M"):
        if isinstance(width, str):
            layers.append(nn.MaxPool2d(2, 2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    sizes = (512 * 4 * 6, *vggish.DENSE.values())
    dense: list[Any] = []
    for one, other in itertools.pairwise(sizes):
        dense += [nn.Linear(one, other), nn.ReLU()]
    modules = {"features": nn.Sequential(*layers), "embeddings": nn.Sequential(*dense)}
    return nn.ModuleDict(modules)


def test_weights_of_every_kind_of_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    # Narrow hidden layers: the full ones have 67 million weights, in the same order.
    monkeypatch.setitem(vggish.DENSE, "fc1_1", 48)
    monkeypatch.setitem(vggish.DENSE, "fc1_2", 32)
    torch.manual_seed(0)
    port = torch_port()
    patches = vggish.patches(media.tone(1.0))
    with torch.no_grad():
        x = port["features"](torch.from_numpy(patches)[:, None])
        expected = port["embeddings"](x.permute(0, 2, 3, 1).reshape(1, -1)).numpy()
    model = vggish.build_vggish(relu=True)
    state = {name: tensor.numpy() for name, tensor in port.state_dict().items()}
    torch.save(port.state_dict(), tmp_path / "port.pth")
    vggish_weights.load_weights(model, tmp_path / "port.pth")

    def embed() -> np.ndarray:
        return np.asarray(model(patches, training=False).detach())

    np.testing.assert_allclose(embed(), expected, rtol=1e-4, atol=1e-5)
    arrays = {}
    for name, scope in vggish_weights.TENSORFLOW_NAMES.items():
        kernel, bias = model.get_layer(name).get_weights()
        arrays |= {f"{scope}/weights": kernel, f"{scope}/biases": bias}
    assert "vggish/conv3/conv3_1/weights" in arrays
    assert "vggish/fc1/fc1_2/biases" in arrays
    model.save_weights(tmp_path / "own.weights.h5")
    for load in (
        lambda: vggish_weights.set_weights(model, arrays),
        lambda: vggish_weights.set_weights(model, state),
        lambda: vggish_weights.load_weights(model, tmp_path / "own.weights.h5"),
    ):
        model.get_layer("fc2").set_weights([np.zeros((32, 128)), np.zeros(128)])
        load()
        np.testing.assert_allclose(embed(), expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"'vggish/fc2/weights' must|'vggish/fc2' must"):
        vggish_weights.set_weights(model, {**arrays, "vggish/fc2/weights": np.zeros((2, 2))})


def test_hostile_and_wrong_files(tmp_path: Path) -> None:
    import torch

    class Hostile:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (Path(tmp_path / "ran").touch, ())  # type: ignore[return-value]

    torch.save({"features.0.weight": Hostile()}, tmp_path / "hostile.pth")
    np.savez(tmp_path / "few.npz", a=np.ones(2))
    (tmp_path / "own.weights.h5").write_bytes(b"no HDF5")
    (tmp_path / "other.bin").touch()
    for name, message in {
        "hostile.pth": "must be a PyTorch file of tensors alone",
        "few.npz": "must hold 'vggish/conv1/weights'",
        "own.weights.h5": "must be a whole HDF5 file",
        "other.bin": "must end in",
    }.items():
        with pytest.raises(ValueError, match=message):
            vggish_weights.load_weights(SMALL, tmp_path / name)
    with pytest.raises(FileNotFoundError, match="does not exist"):
        vggish_weights.load_weights(SMALL, tmp_path / "missing.npz")
    assert not (tmp_path / "ran").exists()


class _Small:
    """Refuses weights as a Keras model does."""

    def load_weights(self, path: Path) -> None:
        raise OSError(f"{path} is no HDF5 file")


SMALL = _Small()


def test_post_processing() -> None:
    rng = np.random.default_rng(0)
    eigenvectors, means = rng.normal(size=(128, 128)), rng.normal(size=(128, 1))
    embeddings = rng.normal(size=(5, 128)).astype(np.float32)
    whitened = np.stack([eigenvectors @ (row[:, None] - means) for row in embeddings])[..., 0]
    clipped = np.clip(whitened, -2, 2)
    found = vggish.postprocess(embeddings, eigenvectors, means, quantize=False)
    np.testing.assert_allclose(found, clipped, rtol=1e-4, atol=1e-5)
    whole = vggish.postprocess(embeddings, eigenvectors, means)
    assert np.abs(whole - (clipped + 2) * 63.75).max() <= 1
    assert set(np.unique(whole % 1)) == {0.0}
    assert (whole.min(), whole.max()) == (0.0, 255.0)
