"""Small collections in the layouts of those of the natural data set."""

from __future__ import annotations

from pathlib import Path

import numpy as np

CAPTIONS = {
    "dog": ("A dog barks", "Puppies bark and a man laughs"),
    "sea": ("Waves crash on rocks", "The ocean roars"),
}


def write_collections(root: Path, recordings: int = 12, pictures: int = 24, first: int = 0) -> Path:
    """Dogs and seas with sounds, pictures and captions; rain and roads as background.

    Files, Freesound recordings and videos are numbered from `first` on, and so are their contents.
    """
    import soundfile
    from PIL import Image

    rng = np.random.default_rng(first)

    def sound(path: Path, hertz: float, rate: int = 16_000, seconds: float = 1.2) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        time = np.arange(int(seconds * rate)) / rate
        tone = np.sin(2 * np.pi * hertz * (1 + 0.1 * rng.random()) * time)
        beats = np.repeat(rng.random(24), int(np.ceil(len(time) / 24)))[: len(time)]
        soundfile.write(path, 0.3 * tone * beats + rng.normal(0, 0.01, len(time)), rate)

    def picture(path: Path, tint: tuple[int, int, int]) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 120, (32, 32, 3)) + np.array(tint)
        Image.fromarray(pixels.astype(np.uint8)).save(path)

    for number in range(first, first + recordings):
        sound(root / f"ESC-10/001 - Dog bark/1-{1000 + number}-A.ogg", 400)
        sound(root / f"ESC-10/003 - Sea waves/1-{2000 + number}-A.ogg", 1500)
        sound(root / f"ESC-10/002 - Rain/1-{3000 + number}-A.ogg", 3000)
        sound(root / f"Animal-Sound-Dataset/Kopek-Part1/dog_{number}.wav", 420, 11_025)
    sound(root / "ESC-10/009 - Rooster/1-4000-A.ogg", 700)
    for number in range(first, first + pictures):
        part = ("train", "test")[number % 2]
        picture(root / f"CIFAR-10-images/{part}/dog/{number:04d}.jpg", (120, 60, 0))
        picture(root / f"CIFAR-100-dataset/{part}/sea/sea_s_{number:06d}.png", (0, 60, 120))
        picture(root / f"CIFAR-100-dataset/{part}/road/road_s_{number:06d}.png", (60, 60, 60))
        picture(root / f"CIFAR-100-dataset/{part}/apple/apple_s_{number:06d}.png", (130, 0, 0))
    table = root / "audiocaps/dataset/train.csv"
    table.parent.mkdir(parents=True, exist_ok=True)
    lines = ["audiocap_id,youtube_id,start_time,caption"]
    for category, captions in CAPTIONS.items():
        for number in range(12):
            caption = f"{captions[number % 2]} {'again ' * (number // 2)}".strip()
            lines.append(f"{first + len(lines)},{category}{first + number},0,{caption}")
    lines += ["90,both,0,A dog by the sea", "91,none,0,Rain falls", '92,comma,0,"Cats, cats"']
    table.write_text("\n".join(lines) + "\n")
    return root
