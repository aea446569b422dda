"""Small folders of clips as users have them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CLASSES = {"bell": 500, "rain": 3000}


def write_by_class(root: Path, count: int = 8) -> Path:
    """Sounds, pictures and captions of two classes that are easily told apart."""
    import soundfile
    from PIL import Image

    rng = np.random.default_rng(0)
    for number, (name, hertz) in enumerate(CLASSES.items()):
        for folder in ("sounds", "pictures"):
            (root / folder / name).mkdir(parents=True)
        (root / "captions").mkdir(exist_ok=True)
        lines = []
        for at in range(count):
            time = np.arange(16_000) / 16_000
            tone = 0.3 * np.sin(2 * np.pi * hertz * (1 + 0.02 * at) * time)
            path = root / "sounds" / name / f"{name}{at}.wav"
            soundfile.write(path, tone + rng.normal(0, 0.01, len(time)), 16_000)
            pixels = rng.integers(0, 80, (56, 56, 3), np.uint8)
            pixels[:, at + 8 : at + 24] += 120 * np.uint8(number)
            pixels[at + 8 : at + 24] += 120 * np.uint8(1 - number)
            Image.fromarray(pixels).save(root / "pictures" / name / f"{name}{at}.png")
            lines.append(f"The {name} of day number {at}")
        (root / "captions" / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root


def write_clip_by_clip(root: Path, count: int = 16) -> Path:
    """Clips whose sound and picture have one name."""
    import soundfile
    from PIL import Image

    rng = np.random.default_rng(1)
    root.mkdir(parents=True)
    for at in range(count):
        time = np.arange(16_000) / 16_000
        tone = 0.3 * np.sin(2 * np.pi * (300 + 200 * at) * time)
        soundfile.write(root / f"clip{at:02d}.wav", tone + rng.normal(0, 0.01, 16_000), 16_000)
        pixels = rng.integers(0, 60, (56, 56, 3), np.uint8)
        pixels[:, 2 * at : 2 * at + 16] += 150
        Image.fromarray(pixels).save(root / f"clip{at:02d}.png")
    return root
