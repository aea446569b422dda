"""Extractors of files that are rendered first, as those of composed clips were."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from data_tools.decoding import DecodeError, decode_folder, decode_picture, decode_video
from data_tools.decoding.signatures import PICTURES
from data_tools.extraction.audio import sound_of
from data_tools.extraction.extractor import Extractor, source_of
from data_tools.io.constants import NUM_SEGMENTS
from data_tools.raw.composed.rendering import SAMPLE_RATE, recoded, render_sound
from data_tools.store import Field


class RenderedExtractor(Extractor):
    """Applies an extractor to a rendered copy of a file; a clip is a single event.

    A sound is repeated until it fills the clip, as in composed clips, and a picture is shown
    throughout.

    Args:
        inner: the extractor, of clips of `NUM_SEGMENTS` seconds.
        modality: "audio" or "video".
        rendering: `bandwidth` and `side`, see `data_tools.raw.composed.rendering`.
    """

    def __init__(self, inner: Extractor, modality: str, rendering: Mapping[str, int]) -> None:
        self.inner, self.modality, self.rendering = inner, modality, dict(rendering)
        self.needs_fit = inner.needs_fit

    @property
    def field(self) -> Field:
        return self.inner.field

    def decode(self, root: Path, clip: Mapping[str, Any]) -> Any:
        with tempfile.TemporaryDirectory(prefix="rendered-") as folder:
            render = self._sound if self.modality == "audio" else self._frames
            return render(root, clip, Path(folder))

    def _sound(self, root: Path, clip: Mapping[str, Any], folder: Path) -> Any:
        import soundfile

        path = sound_of(root, clip)
        waveform = render_sound(path, self.rendering["bandwidth"], path.name)
        soundfile.write(folder / "sound.flac", waveform, SAMPLE_RATE, subtype="PCM_16")
        return self.inner.decode(folder, {"audio": "sound.flac"}), len(waveform) // SAMPLE_RATE

    def _frames(self, root: Path, clip: Mapping[str, Any], folder: Path) -> Any:
        from PIL import Image

        path, side = source_of(root, clip, "video"), self.rendering["side"]
        times = [second + 0.5 for second in range(NUM_SEGMENTS)]
        if path.is_dir():
            frames = decode_folder(path, side, times, NUM_SEGMENTS, None)
        elif path.suffix.lower() in PICTURES:
            frames = decode_picture(path, side)[None]
        else:
            try:
                frames = decode_video(path, side, times)
            except MemoryError as error:
                raise DecodeError("needs more memory than there is") from error
        for number, frame in enumerate(frames):
            Image.fromarray(recoded(frame)).save(folder / f"{number:02d}.png")
        name = "00.png" if len(frames) == 1 else "."
        return self.inner.decode(folder, {"video": name}), NUM_SEGMENTS

    def __call__(self, signal: Any) -> np.ndarray:
        decoded, seconds = signal
        rows = self.inner(decoded)
        return rows[np.arange(len(rows)) % seconds]

    def state(self) -> dict[str, np.ndarray]:
        return self.inner.state()

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        self.inner.load_state(state)

    def sources(self) -> dict[str, str]:
        return self.inner.sources()
