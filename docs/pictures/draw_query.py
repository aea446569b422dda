"""Draws a query by sound and what it finds, from a finished quickstart.

    python -m recipes quickstart --out runs/demo
    python docs/pictures/draw_query.py --run runs/demo --out docs/pictures/query.webp

The queries are the first test clips, one of each of the first three classes that occur; what is
searched are the pictures and captions of all other test clips. Labels took no part in training
and take none in the search: they only tell right from wrong afterwards. Also prints how many of
the hits of all test sounds are right.
"""

from __future__ import annotations

import argparse
import textwrap
from pathlib import Path

import keras
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from data_tools.io.feature_folder import FeatureFolder
from data_tools.raw import rendering
from keras_cmg.search import ClipIndex, EncodedClips
from recipes.protocol.clips import Clips, clip_labels, encode
from recipes.reporting import clip_media

QUERIES, PICTURES, CAPTIONS = 3, 5, 2
RIGHT, WRONG, INK = "#1f7a4d", "#b3261e", "#1f2933"


def main(arguments: list[str] | None = None) -> None:
    """Draws the picture.

    Args:
        arguments: words of the command line; those of the process if None.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run", type=Path, required=True, help="folder of a quickstart")
    parser.add_argument("--features", type=Path, help="prepared features, if not in the run")
    parser.add_argument("--out", type=Path, required=True, help="WebP file to write")
    words = parser.parse_args(arguments)
    folder = FeatureFolder(words.features or words.run / "features")
    backbone = keras.saving.load_model(words.run / "model.keras", compile=False).backbone
    clips = Clips("synthetic", folder.root)
    labels = clip_labels(clips, "test")
    names = tuple(str(place) for place in range(len(labels)))

    def encoded(modality: str, rows: np.ndarray) -> EncodedClips:
        codes = encode(backbone, clips, "test", modality, "clip").codes
        vectors = np.asarray(backbone.index_features(modality, codes), "float32")[rows]
        kept = tuple(names[row] for row in rows.tolist())
        return EncodedClips(kept, vectors, codes["indices"][rows], vectors, modality)

    every = np.arange(len(labels))
    index = ClipIndex(backbone.code_source())
    for modality in ("video", "text"):
        index.add(encoded(modality, every))
    sounds = encoded("audio", every)
    found = {
        # A clip does not find itself.
        modality: [
            [hit for hit in hits if hit.name != name][:count]
            for name, hits in zip(names, index.search(sounds, modality, count + 1), strict=True)
        ]
        for modality, count in (("video", PICTURES), ("text", CAPTIONS))
    }
    for modality, hits in found.items():
        right = [labels[int(hit.name)] == labels[q] for q in every for hit in hits[q]]
        print(f"{modality}: {np.mean(right):.3f} of {len(right)} hits have the query's label")
    _, first = np.unique(labels, return_index=True)
    queries = np.sort(first)[:QUERIES].tolist()
    chosen = [(found["video"][query], found["text"][query]) for query in queries]
    draw(folder, queries, labels, chosen).save(words.out, "webp", quality=85, method=6)


def draw(folder: FeatureFolder, queries: list[int], labels: np.ndarray, found: list) -> Image.Image:
    """Draws a row per query: its spectrogram, the pictures and the captions that it finds.

    Args:
        folder: prepared features.
        queries: rows of the test split.
        labels: class of each test clip.
        found: hits among pictures and among captions, for each query.

    Returns:
        The picture.
    """
    rows, described = folder.order("test"), rendering.read_clips(folder)
    dataset = rendering.open_dataset(folder)
    height = 1.5
    figure = Figure(figsize=(12, height * len(queries) + 0.35), facecolor="white")
    widths = [2.2, *[1.0] * PICTURES, 2.6]
    grid = figure.add_gridspec(
        len(queries),
        len(widths),
        width_ratios=widths,
        left=0.01,
        right=0.995,
        top=1 - 0.55 / figure.get_figheight(),
        bottom=0.22 / figure.get_figheight(),
        wspace=0.07,
        hspace=0.45,
    )

    def label(row: int) -> str:
        return folder.categories[labels[row]]

    for line, (query, (pictures, captions)) in enumerate(zip(queries, found, strict=True)):
        axes = [figure.add_subplot(grid[line, column]) for column in range(len(widths))]
        for each in axes:
            each.set_xticks([])
            each.set_yticks([])
            each.spines[:].set_visible(False)
        waveform = dataset.waveform(described[rows[query]])
        axes[0].imshow(clip_media.spectrogram(waveform), aspect="auto")
        axes[0].set_xlabel(f"a sound: {label(query)}", fontsize=10, color=INK)
        for each, hit in zip(axes[1:-1], pictures, strict=False):
            clip = described[rows[int(hit.name)]]
            each.imshow(dataset.frames(clip)[(clip.start + clip.end) // 2])
            each.set_xlabel(
                f"{label(int(hit.name))}  {hit.score:.2f}",
                fontsize=9,
                color=RIGHT if labels[int(hit.name)] == labels[query] else WRONG,
            )
        for place, hit in enumerate(captions):
            right = labels[int(hit.name)] == labels[query]
            axes[-1].text(
                0.04,
                0.75 - 0.5 * place,
                textwrap.fill(f"“{described[rows[int(hit.name)]].caption}”", 36) + "\n"
                f"{label(int(hit.name))}  {hit.score:.2f}",
                fontsize=9,
                color=RIGHT if right else WRONG,
                va="center",
                transform=axes[-1].transAxes,
            )
    headings = {0: "query", 1: "nearest pictures", len(widths) - 1: "nearest captions"}
    for column, text in headings.items():
        place = grid[0, column].get_position(figure)
        figure.text(place.x0, 1 - 0.3 / figure.get_figheight(), text, fontsize=11, color=INK)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3])


if __name__ == "__main__":
    main()
