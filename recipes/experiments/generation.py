"""Images of sounds and captions, by a generator trained on images alone (Table 4, Figures 5, 11).

Pre-trains FCID, or other models, without labels, then trains two dense layers from the codes of
*images* to the embeddings of a frozen image generator. From the codes of images, sounds and
captions of test clips, with all dimensions of a code and with those that TOC keeps, the generator
draws images. An image is the middle second of a clip's event; image and sound have the codes of
that second, a caption one code.

    python -m recipes generation                                   # rendered shapes, no download
    python -m recipes generation --data digits --root FOLDER --models cmcm dcid fcid
    python -m recipes generation --generator ip-adapter --pipeline FOLDER --adapter FILE

The generator is a small autoencoder trained here; with the extra `generation` it can
be Stable Diffusion behind an IP-Adapter, from files of yours. `--inception FILE` gives the FID, on
the network of Heusel et al. as TorchScript, a program that is run: `--trust-inception` says that
you trust it; without it the distance is on the features of a small
classifier trained here, and is not an FID.

Under `--protocol reference` the two layers take the paper's 80,000 steps of 8 clips, without
validation clips. Leaves `table.md`, `report.html`, `result.json` and pictures in the output folder.
Two to three minutes a seed and model on one core.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from recipes.image_generation import code_prompt, event_images, image_generator
from recipes.protocol.clips import PREPARED
from recipes.reporting import generation_tables, report_writer
from recipes.reporting.image_grid import image_grid
from recipes.reporting.page import Picture, Section, Text
from recipes.runner.options import DATA, TRAINING, RecipeOptions
from recipes.runner.provenance import set_seed
from recipes.runner.seed_runs import Job, Run
from recipes.runner.settings import Settings
from recipes.training import trained_encoders
from recipes.training.model_entries import checked_entries, class_name, of_entry

OPTIONS = RecipeOptions(
    (
        *("models", "toc_channels", "generator", "pipeline", "adapter", "inception"),
        "trust_inception",
        *("generator_epochs", "judge_epochs", "prompt_epochs", "prompt_units"),
        *(name for name in DATA if name != "max_clips"),
        *TRAINING,
    ),
    data=PREPARED,
    defaults={
        "num_clips": {"train": 1500, "val": 300, "test": 500},
        "batch_size": 80,
        "models": ("fcid",),
        "toc_channels": (128,),
    },
    smoke={"generator_epochs": 1, "judge_epochs": 1, "prompt_epochs": 1},
)
PICTURE = "images.png"
SHOWN = 10
EXPLAINED = (
    "Each column is a test clip. The generator is driven by the codes of its image, its sound or "
    "its caption; seed {}, the first clips in test order. What is drawn at random, and with it "
    "what no code holds, such as a place or a colour, is the same in all rows of a column."
)
data_identity = trained_encoders.data_identity


def check(settings: Settings) -> Settings:
    """Checks models, TOC and generator.

    Args:
        settings: resolved settings.

    Returns:
        Settings with an entry per model, and the epochs of the two layers under heldout.

    Raises:
        ValueError: if a model is unknown, or an option is missing.
    """
    if len(settings.toc_channels) != 1:
        raise ValueError(f"--toc-channels must be one number. Received: {settings.toc_channels}")
    if settings.generator == "ip-adapter" and not (settings.pipeline and settings.adapter):
        raise ValueError("--generator ip-adapter needs --pipeline and --adapter")
    if settings.inception and not settings.trust_inception:
        raise ValueError(
            "--inception takes a TorchScript file: a program that is run with your permissions. If "
            "you trust its origin, give --trust-inception too."
        )
    if settings.prompt_epochs is None and settings.protocol == "heldout":
        settings = settings.replace(prompt_epochs=code_prompt.EPOCHS)
    return settings.replace(models=checked_entries(settings.models, settings.preset))


def run(job: Job, out: Path) -> dict[str, Any]:
    """Runs the recipe on one seed.

    Args:
        job: a seed of the recipe.
        out: folder to write into.

    Returns:
        What was measured.
    """
    settings = job.settings
    clips = trained_encoders.open_clips(job)
    images, seconds = event_images.event_images(clips.root, job.resources.root)
    set_seed(job.seed)
    print("training a generator and a classifier of images", flush=True)
    generator = image_generator.new_generator(
        settings.generator, images, settings.generator_epochs, settings.pipeline, settings.adapter
    )
    labels = event_images.class_labels(clips)
    judge = image_generator.Judge(len(clips.categories()))
    accuracy = judge.fit(images, labels, settings.judge_epochs)
    features, features_of = image_generator.distance_features(
        judge, settings.inception, bool(settings.trust_inception)
    )
    distances, accuracies = {}, {}
    rows = {"original": images["test"][:SHOWN]}
    for entry in settings.models:
        own = job._replace(settings=of_entry(settings, entry))
        backbone = trained_encoders.encoder_of(own, clips).backbone
        codes = event_images.event_codes(backbone, clips, seconds)
        for name, kept in code_prompt.with_toc(codes, backbone, settings.toc_channels[0]).items():
            name = f"{class_name(entry)}{name}"
            print(f"from codes to images: {name}", flush=True)
            made = code_prompt.generate(
                kept,
                images,
                generator,
                settings.prompt_units,
                settings.prompt_epochs,
                settings.protocol,
                job.seed,
            )
            distances[name] = {
                pair: image_generator.distance(features, images["test"], x)
                for pair, x in made.items()
            }
            accuracies[name] = {pair: judge.accuracy(x, labels["test"]) for pair, x in made.items()}
            rows |= {f"{pair}, {name}": x[:SHOWN] for pair, x in made.items()}
    (out / PICTURE).write_bytes(image_grid(rows))
    return {
        "protocol": settings.protocol,
        "notice": code_prompt.NOTICE,
        "measure": "FID" if settings.inception else "Fréchet distance",
        "features_of": features_of,
        "distances": distances,
        "accuracies": accuracies,
        "bounds": image_generator.bounds(generator, features, images, job.seed),
        "judge_accuracy": accuracy,
        "features": clips.identity(),
    }


def report(runs: Sequence[Run], out: Path) -> str:
    """Writes the tables and the page.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables, to be printed.
    """
    first = runs[0].result
    tables = generation_tables.all_tables([run.result for run in runs])
    section = Section(
        "Images of images, sounds and captions",
        [
            Picture(runs[0].picture(PICTURE), "generated images", photo=True),
            Text(EXPLAINED.format(first["seed"]), soft=True),
        ],
    )
    method = code_prompt.describe(first["protocol"], first["settings"]["generator"])
    return report_writer.publish(
        out, "Images of sounds and captions", runs, tables, [section], method
    )
