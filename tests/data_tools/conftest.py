"""A small prepared folder, and raw digits that are no digits but have their formats."""

from __future__ import annotations

import gzip
import io
import shutil
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import data_tools
from data_tools.raw import digits_sources

NUM_CLIPS = {"train": 12, "val": 4, "test": 5}


def wav_bytes(samples: np.ndarray, rate: int = 8000, channels: int = 1, width: int = 2) -> bytes:
    """Content of a WAV file."""
    stream = io.BytesIO()
    with wave.open(stream, "wb") as file:
        file.setparams((channels, width, rate, 0, "NONE", "not compressed"))
        file.writeframes(samples.astype(f"<i{width}").tobytes())
    return stream.getvalue()


def idx_bytes(values: np.ndarray) -> bytes:
    """Content of an IDX file of bytes."""
    header = (0x0800 + values.ndim).to_bytes(4, "big") + np.array(values.shape, ">u4").tobytes()
    return header + values.astype(np.uint8).tobytes()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A synthetic feature folder; only to be read."""
    out = tmp_path_factory.mktemp("prepared") / "features"
    return data_tools.prepare("synthetic", out, num_clips=NUM_CLIPS, video_channels=16)


@pytest.fixture
def copied(prepared: Path, tmp_path: Path) -> Path:
    """A copy of the prepared folder, to be damaged."""
    return Path(shutil.copytree(prepared, tmp_path / "copied"))


@pytest.fixture(scope="session")
def raw_digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noise in the five raw files of the digits, sized for a few clips."""
    root = tmp_path_factory.mktemp("raw_digits")
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(root / "fsdd.zip", "w") as archive:
        for digit in range(10):
            for speaker in ("ann", "bob", "eve"):
                for index in range(15):
                    length = 9000 if index == 14 else int(rng.integers(1500, 5000))
                    samples = rng.normal(0, 500, length)
                    name = f"any-folder/recordings/{digit}_{speaker}_{index}.wav"
                    archive.writestr(name, wav_bytes(samples))
    for part, count in (("train", 400), ("t10k", 120)):
        images = rng.integers(0, 256, (count, 28, 28))
        labels = np.arange(count) % 10
        for kind, values in (("images-idx3", images), ("labels-idx1", labels)):
            content = gzip.compress(idx_bytes(values), mtime=0)
            (root / f"{part}-{kind}-ubyte.gz").write_bytes(content)
    return root


@pytest.fixture
def known_digits(raw_digits: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The raw files, with their contents taken for the known ones."""
    for name in digits_sources.SHA256:
        read: Callable = digits_sources.read_idx
        if name == digits_sources.FSDD:
            read = digits_sources.read_recordings
        monkeypatch.setitem(digits_sources.SHA256, name, read(raw_digits / name)[1])
    return raw_digits
