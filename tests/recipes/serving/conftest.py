"""A small model, an index of its clips, and the service that searches it."""

from __future__ import annotations

import wave
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

import keras_cmg
from recipes.serving.clip_search import ClipSearch
from recipes.serving.limits import Limits
from recipes.serving.media import MediaFiles

pytest.importorskip("faiss")
pytest.importorskip("fastapi")

LABELS = ("dog", "sea", "cat")
CLIPS = 6
DIM = 16
"""Length of a feature vector, of all modalities."""


def tone(path: Path, number: int) -> Path:
    """Writes a quarter second of a tone of a label's pitch."""
    times = np.arange(2000) / 8000
    samples = 0.3 * np.sin(2 * np.pi * 220 * (1 + number) * times)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes((32767 * samples).astype("<i2").tobytes())
    return path


def picture(path: Path, number: int) -> Path:
    """Writes a picture of a label's colour."""
    from PIL import Image

    colours = ((180, 120, 60), (40, 90, 200), (230, 160, 60), (90, 170, 90))
    Image.new("RGB", (64, 48), colours[number]).save(path)
    return path


def features_of(label: int, modality: str, number: int = 0) -> np.ndarray:
    """Features around the direction of a label."""
    noise = np.random.default_rng([label, len(modality), number]).normal(size=(4, DIM))
    return (3 * np.eye(DIM)[label] + 0.2 * noise).astype("float32")


class LabelOfName:
    """Features of the label that a file's content or a text names; no network is needed.

    Args:
        folder: folder of the sounds and pictures of `tone` and `picture`.
    """

    def __init__(self, folder: Path) -> None:
        self.known = {
            path.read_bytes(): number
            for number in range(len(LABELS))
            for path in (tone(folder / "known.wav", number), picture(folder / "known.png", number))
        }

    def __call__(
        self, modality: str, files: Sequence[str] = (), texts: Sequence[str] = ()
    ) -> list[np.ndarray | str]:
        found: list[np.ndarray | str] = []
        for file in files:
            label = self.known.get(Path(file).read_bytes())
            found.append("cannot be decoded" if label is None else features_of(label, modality))
        for text in texts:
            named = [number for number, label in enumerate(LABELS) if label in text]
            found.append(features_of(named[0], modality) if named else "names no label")
        return found


@pytest.fixture(scope="session")
def clips_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of sounds and pictures, named after their labels."""
    folder = tmp_path_factory.mktemp("clips")
    for number, label in enumerate(LABELS):
        for clip in range(CLIPS):
            tone(folder / f"{label}{clip}.wav", number)
            picture(folder / f"{label}{clip}.png", number)
    return folder


@pytest.fixture(scope="session")
def encoder() -> keras_cmg.CrossModalEncoder:
    """A model of sounds, pictures and words without training."""
    modalities = ("audio", "video", "text")
    backbone = keras_cmg.models.SequenceBackbone(modalities, num_embeddings=8, embedding_dim=8)
    backbone.build(dict.fromkeys(modalities, (None, None, DIM)))
    return keras_cmg.CrossModalEncoder(backbone, LABELS)


@pytest.fixture(scope="session")
def index(encoder: keras_cmg.CrossModalEncoder, clips_folder: Path) -> keras_cmg.search.ClipIndex:
    """An index of the folder's clips, and of words without files."""
    built = encoder.new_index()
    suffixes = {"audio": ".wav", "video": ".png", "text": ""}
    for modality, suffix in suffixes.items():
        pairs = [(label, clip) for label in range(len(LABELS)) for clip in range(CLIPS)]
        names = [f"{LABELS[label]}{clip}{suffix}" for label, clip in pairs]
        rows = np.stack([features_of(label, modality, clip + 1) for label, clip in pairs])
        built.add(
            encoder.encode(modality, features=rows, names=names),
            labels=[LABELS[label] for label, _ in pairs],
            files=[str(clips_folder / name) if suffix else "" for name in names],
        )
    return built


@pytest.fixture
def search(
    encoder: keras_cmg.CrossModalEncoder,
    index: keras_cmg.search.ClipIndex,
    clips_folder: Path,
    tmp_path: Path,
) -> Iterator[ClipSearch]:
    """Searches the index, with small limits."""
    limits = Limits(bytes=2**18, files=2, characters=100, hits=10, waiting=4)
    media = MediaFiles(clips_folder)
    searching = ClipSearch(encoder, index, LabelOfName(tmp_path), limits, media=media)
    yield searching
    searching.close()


def film(path: Path, number: int) -> Path:
    """Writes a video of half a second, of a label's colour and its tone."""
    import av
    from PIL import Image

    frame = np.asarray(Image.open(picture(path.with_suffix(".png"), number)))
    times = np.arange(8192) / 16000
    tones = (0.3 * np.sin(2 * np.pi * 220 * (1 + number) * times)).astype("float32")
    with av.open(str(path), "w") as container:
        video = container.add_stream("mpeg4", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=16000, layout="mono")
        for _ in range(5):
            container.mux(video.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        for start in range(0, len(tones), 1024):
            block = av.AudioFrame.from_ndarray(tones[None, start : start + 1024], "fltp", "mono")
            block.sample_rate = 16000
            container.mux(audio.encode(block))
        container.mux(video.encode(None))
        container.mux(audio.encode(None))
    path.with_suffix(".png").unlink()
    return path


@pytest.fixture(scope="session")
def run_folder(tmp_path_factory: pytest.TempPathFactory, clips_folder: Path) -> Path:
    """A run with extractors of raw files and an index of sounds, pictures and words."""
    import data_tools
    from data_tools.extraction.description import save_extractors

    folder = tmp_path_factory.mktemp("run")
    data_tools.prepare("synthetic", folder / "features", num_clips={"train": 6})
    save_extractors(folder / "features", folder)
    model = keras_cmg.models.FCID.from_preset("small", modalities=("audio", "video", "text"))
    model.build({"audio": (None, 10, 128), "video": (None, 10, 7, 7, 64), "text": (None, 10, 64)})
    model.save(folder / "model.keras")
    (folder / "labels.txt").write_text("\n".join(LABELS) + "\n")
    encoder = keras_cmg.load(folder)
    index = encoder.new_index()
    for modality, suffix in (("audio", "wav"), ("video", "png")):
        files = sorted(clips_folder.glob(f"*.{suffix}"))
        names = [path.name for path in files]
        encoded = encoder.encode(modality, files=files, names=names)
        index.add(encoded, labels=[name[:3] for name in names])
    texts = [f"a {label} number {number}" for label in LABELS for number in range(2)]
    encoded = encoder.encode("text", texts=texts)
    index.add(encoded, labels=[text[2:5] for text in texts], texts=texts)
    index.save(folder / "index")
    return folder
