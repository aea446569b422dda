"""Images of sounds and words, by codes that know neither (Table 4, Figures 5 and 11).

Pre-trains FCID, or other systems, without labels, then trains two dense layers from the codes of
*images* to the embeddings of a frozen image generator. Driven by the codes of images, sounds and
captions of test clips, with all dimensions of a code and with those that TOC keeps, the generator
shows what the codes of each modality carry. An image is the middle second of a clip's event; image
and sound give the codes of that second, a caption one code.

    python -m recipes generation                                   # rendered shapes, no download
    python -m recipes generation --data digits --root FOLDER --systems cmcm dcid fcid
    python -m recipes generation --generator ip-adapter --pipeline FOLDER --adapter FILE

The generator is a small autoencoder trained here; with `pip install 'keras-cmg[generation]'` it
can be Stable Diffusion behind an IP-Adapter, from files of yours. `--inception FILE` gives the FID,
on the network of Heusel et al. as TorchScript; without it the distance is on the features of a
small classifier trained here, and not an FID.

Under `--protocol reference` the two layers take the paper's 80,000 steps of 8 clips, whatever
validation clips say. Leaves `table.md`, `report.html`, `result.json` and pictures in the output
folder. Two to three minutes a seed and system on one core.
"""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import data_tools
import keras_cmg
from data_tools.raw import rendering
from recipes.image_generation.code_prompt import CodePrompt
from recipes.image_generation.image_generator import Generator, Judge, SmallGenerator, distance
from recipes.protocol import clips, probing
from recipes.reporting import image_figures, tables
from recipes.reporting import paper_tables as published
from recipes.reporting import report as report_html
from recipes.reporting import report_writer as publishing
from recipes.runner import provenance, settings
from recipes.runner.output import RESULT
from recipes.runner.seeds import Run
from recipes.training import encoders as pretraining
from recipes.training import training_settings as training
from recipes.training.training_settings import Training

SOURCES = {"video": "image", "audio": "audio", "text": "text"}
"""Modality of the codes to how the paper calls it."""
SHOWN = 10
PROMPT_EPOCHS = 60
REFERENCE_STEPS, REFERENCE_BATCH = 80_000, 8
"""Of the two layers as published (Huang et al., 2025, section 4.1)."""
LAYERS = (
    "Two dense layers learn from the image codes of training clips to the embeddings of their "
    "images in a frozen generator"
)
HELDOUT = f"{LAYERS}, and stop at the epoch that is best on validation clips"
REFERENCE = (
    f"{LAYERS} in a fixed number of steps of {REFERENCE_BATCH} clips, as published "
    f"({REFERENCE_STEPS:,} steps unless told otherwise); validation clips are not looked at"
)

NOTICE = "Protocol “reference”: trained for as long as the paper says, without validation clips."


@dataclasses.dataclass
class Settings(Training):
    """Settings of the encoders, and of what makes images of their codes."""

    num_clips: dict[str, int] = dataclasses.field(
        default_factory=lambda: {"train": 1500, "val": 300, "test": 500}
    )
    batch_size: int = 80
    systems: tuple[str, ...] = ("fcid",)
    toc_channels: int = 128
    generator: str = "small"
    generator_epochs: int = 30
    judge_epochs: int = 15
    prompt_epochs: int | None = None
    """60 at most; or, under "reference", as many as the published steps need."""
    prompt_units: int = 512


SMOKE: dict[str, Any] = {"generator_epochs": 1, "judge_epochs": 1, "prompt_epochs": 1}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the options of this recipe."""
    clips.add_arguments(parser, ())
    training.add_arguments(parser, several=True)
    parser.add_argument(
        "--systems", nargs="+", choices=training.systems(), help="to train (default: fcid)"
    )
    parser.add_argument("--toc-channels", type=int, metavar="Q", help="dimensions that TOC keeps")
    parser.add_argument("--generator", choices=("ip-adapter", "small"), help="default: small")
    parser.add_argument("--pipeline", help="folder of Stable Diffusion in the layout of diffusers")
    parser.add_argument("--adapter", help="file of the IP-Adapter, beside its image_encoder folder")
    parser.add_argument("--generator-epochs", type=int, help="of training the small generator")
    parser.add_argument("--judge-epochs", type=int, help="of training the classifier of images")
    parser.add_argument(
        "--prompt-epochs",
        type=int,
        help="of training the two layers, at most (default: 60; 80,000 steps under reference)",
    )
    parser.add_argument("--prompt-units", type=int, help="width between the two layers")
    parser.add_argument("--inception", help="TorchScript file of the Inception network, for FID")


def settings_of(options: argparse.Namespace) -> Settings:
    """Settings of the recipe, checked."""
    chosen = training.settings_of(Settings(), options, SMOKE)
    if chosen.prompt_epochs is None and chosen.protocol == "heldout":
        chosen = dataclasses.replace(chosen, prompt_epochs=PROMPT_EPOCHS)
    positive = ["generator_epochs", "judge_epochs", "toc_channels", "prompt_units"]
    if chosen.prompt_epochs is not None:
        positive.append("prompt_epochs")
    settings.check_positive(chosen, positive)
    if chosen.generator == "ip-adapter" and not (options.pipeline and options.adapter):
        raise ValueError("--generator ip-adapter needs --pipeline and --adapter")
    return chosen


def run(options: argparse.Namespace, out: Path) -> None:
    """Runs the recipe on one seed.

    Args:
        options: of the command line.
        out: folder to write into.
    """
    chosen = settings_of(options)
    source = pretraining.open_clips(options, chosen)
    features, folder = source.root, data_tools.FeatureFolder(source.root)
    images, seconds = event_images(features, options.root)
    labels = {split: probing.clip_classes(features, split) for split in images}
    provenance.set_seed(options.seed)
    print("training a generator and a classifier of images", flush=True)
    generator = generator_of(options, chosen, images)
    judge = Judge(len(folder.categories))
    seen = judge.fit(images, labels, chosen.judge_epochs)
    looks = inception_features(options.inception) if options.inception else judge.features
    embeddings = {split: generator.embed(images[split]) for split in ("train", "val")}
    rows = {"original": images["test"][:SHOWN]}
    distances: dict[str, dict[str, float]] = {}
    accuracies: dict[str, dict[str, float]] = {}
    for name, codes in codes_of_systems(options, chosen, source, seconds):
        print(f"from codes to images: {name}", flush=True)
        prompt = CodePrompt(generator.embedding_dim, chosen.prompt_units)
        learned = {split: codes[split]["video"] for split in embeddings}
        train_prompt(prompt, learned, embeddings, chosen)
        distances[name], accuracies[name] = {}, {}
        for modality, spoken in SOURCES.items():
            made = prompt.images(generator, codes["test"][modality], options.seed)
            distances[name][f"{spoken}->image"] = distance(looks, images["test"], made)
            right = judge.classes(made) == labels["test"]
            accuracies[name][f"{spoken}->image"] = float(right.mean())
            rows[f"{spoken} to image, {name}"] = made[:SHOWN]
    rebuilt = generator.generate(generator.embed(images["test"]), options.seed)
    bounds = {
        "other real images": distance(looks, images["test"], images["val"]),
        "the generator, of the image's own embedding": distance(looks, images["test"], rebuilt),
    }
    (out / "images.png").write_bytes(image_figures.image_grid(rows))
    provenance.write_json(
        out / RESULT,
        {
            **provenance.about(options, chosen),
            "protocol": chosen.protocol,
            "notice": NOTICE,
            "measure": "FID" if options.inception else "Fréchet distance",
            "features_of": f"{options.inception}" if options.inception else judge.name,
            "distances": distances,
            "accuracies": accuracies,
            "bounds": bounds,
            "judge_accuracy": seen,
            "features": source.identity(),
        },
    )


def train_prompt(
    prompt: CodePrompt,
    codes: dict[str, np.ndarray],
    embeddings: dict[str, np.ndarray],
    chosen: Settings,
) -> None:
    """Trains the two layers as the protocol has it."""
    if chosen.protocol == "heldout":
        prompt.fit(codes, embeddings, chosen.prompt_epochs or PROMPT_EPOCHS)
        return
    steps = max(len(codes["train"]) // REFERENCE_BATCH, 1)
    epochs = chosen.prompt_epochs or -(-REFERENCE_STEPS // steps)
    prompt.fit(codes, embeddings, epochs, REFERENCE_BATCH, choose=False)


def codes_of_systems(
    options: argparse.Namespace,
    chosen: Settings,
    source: clips.Clips,
    seconds: Mapping[str, np.ndarray],
) -> Iterator[tuple[str, dict[str, dict[str, np.ndarray]]]]:
    """Each system, trained without labels: name and codes, whole and as TOC leaves them."""
    for system in chosen.systems:
        own = dataclasses.replace(chosen, system=system)
        model = pretraining.pretrained(options, own, source, options.seed).model
        codes = event_codes(model.backbone, source.root, seconds)
        name = type(model).__name__
        yield name, codes
        if model.backbone.codebook is None:
            continue
        toc = keras_cmg.layers.TOCChannelMask(chosen.toc_channels)
        toc.adapt(model.backbone.codebook)
        yield (
            f"{name}+TOC",
            {
                split: {modality: x[:, toc.channel_indices] for modality, x in parts.items()}
                for split, parts in codes.items()
            },
        )


def event_images(
    features: Path, root: str | None
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The middle picture of each clip's event, 0 to 1, and its second, by split."""
    folder = data_tools.FeatureFolder(features)
    clips, dataset = rendering.read_clips(folder), rendering.open_dataset(folder, root)
    images, seconds = {}, {}
    for split in ("train", "val", "test"):
        chosen = [clips[row] for row in folder.order(split)]
        seconds[split] = np.array([(clip.start + clip.end) // 2 for clip in chosen])
        pictures = [
            dataset.frames(clip)[second]
            for clip, second in zip(chosen, seconds[split], strict=True)
        ]
        x = np.stack(pictures).astype("float32") / 255
        images[split] = x if x.ndim == 4 else x[..., None]
    return images, seconds


def event_codes(
    backbone: keras_cmg.models.CrossModalBackbone, features: Path, seconds: Mapping[str, np.ndarray]
) -> dict[str, dict[str, np.ndarray]]:
    """Quantised codes of that second, of captions the one code, by split and modality."""
    levels = {"audio": "segment", "video": "segment", "text": "clip"}
    encoded = probing.encode_splits(backbone, features, levels)
    return {
        split: {
            modality: kinds["quantized"]
            if kinds["quantized"].ndim == 2
            else kinds["quantized"][np.arange(len(seconds[split])), seconds[split]]
            for modality, kinds in parts.items()
        }
        for split, parts in encoded.items()
    }


def generator_of(
    options: argparse.Namespace, chosen: Settings, images: Mapping[str, np.ndarray]
) -> Generator:
    """The frozen generator that was asked for."""
    if chosen.generator == "ip-adapter":
        from recipes.image_generation.ip_adapter import IPAdapterGenerator

        return IPAdapterGenerator(options.pipeline, options.adapter)
    small = SmallGenerator()
    small.fit(images, chosen.generator_epochs)
    return small


def inception_features(path: str) -> Any:
    """Images to pool features of the Inception network in a file."""
    from recipes.image_generation.ip_adapter import InceptionFeatures

    return InceptionFeatures(path)


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the tables and the page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    results = [run.result for run in runs]
    first = results[0]

    def over(kind: str, scale: float) -> dict[str, dict[str, list[float]]]:
        return {
            system: {
                column: [scale * result[kind][system][column] for result in results]
                for column in cells
            }
            for system, cells in first[kind].items()
        }

    bounds = {
        name: {"distance": [result["bounds"][name] for result in results]}
        for name in first["bounds"]
    }
    measure = f"{first['measure']} to real test images"
    note = f"Lower is better. Features: {first['features_of']}."
    seen = tables.cell([100 * result["judge_accuracy"] for result in results])
    found = [
        tables.over_seeds(measure, "system", over("distances", 1), 2, note),
        tables.over_seeds(f"{measure}: what could be reached", "images", bounds, 2),
        tables.over_seeds(
            "Generated images of the clip's class (%)",
            "system",
            over("accuracies", 100),
            note=f"As the classifier sees it; on real images it is right in {seen} %.",
        ),
        tables.of_published(published.GENERATION),
    ]
    parts = [
        report_html.section(
            "Images of images, sounds and words",
            report_html.picture(runs[0].picture("images.png"), "generated images"),
            '<p class="soft">Each column is a test clip. The generator is driven by the codes of '
            f"its image, its sound or its caption; seed {first['seed']}, the first clips in test "
            "order. What is drawn, and with it what no code says, such as a place or a colour, is "
            "the same in all rows of a column.</p>",
        )
    ]
    heldout = first["protocol"] == "heldout"
    how = HELDOUT if heldout else REFERENCE
    text = (
        f"Each system is trained without labels and frozen. {how}; no sound and no caption takes "
        "part. What they cannot know of an embedding is drawn with the spread of their errors on "
        f"{'validation' if heldout else 'training'} clips. "
        f"Generator: {first['settings']['generator']}."
    )
    return publishing.publish(out, "Images of sounds and words", runs, found, parts, text)
