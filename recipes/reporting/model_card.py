"""The card of a saved model: data, numbers, limits and licence, for people and for programs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras_cmg
from data_tools.extraction.description import DESCRIPTION
from recipes.protocol.clips import Clips, num_clips
from recipes.runner import provenance
from recipes.runner.provenance import write_json
from recipes.runner.seed_runs import Job
from recipes.training.trained_encoders import Encoder

CARD, README = "card.json", "README.md"
NOT_STATED = "not stated"
LIMITS = (
    "The model was measured on clips like those that it was trained on; other recordings, pictures "
    "and languages were not tried.",
    "A search always answers, also where no clip fits: a score orders clips, it is no probability.",
)


def write_card(
    folder: Path,
    job: Job,
    clips: Clips,
    encoder: Encoder,
    numbers: Mapping[str, Mapping[str, float]],
    limits: Sequence[str] = (),
    licence: str | None = None,
) -> dict[str, Any]:
    """Writes `card.json` and `README.md`, the card in the form of the Hugging Face hub.

    Call it after the model, with its extractors, was written to the folder.

    Args:
        folder: folder of the run.
        job: the run.
        clips: clips that the model was trained on.
        encoder: the model.
        numbers: measure to what it was measured on, to the number.
        limits: sentences about what the numbers do not show, besides `LIMITS`.
        licence: name of the licence of the model; None where it is not stated.

    Returns:
        The card.
    """
    about = provenance.about(job)
    settings = job.settings
    counts = num_clips(clips) if clips.prepared else {}
    card = {
        "name": f"{settings.model} trained on {settings.data}",
        "model": keras_cmg.models.get_model_class(settings.model).__name__,
        "preset": settings.preset,
        "modalities": list(encoder.backbone.modalities),
        "parameters": encoder.about["parameters"]["backbone"],
        "encodes": "files" if (folder / DESCRIPTION).is_file() else "features",
        "data": {
            "name": settings.data,
            "clips": counts,
            "classes": list(clips.categories()),
        },
        "training": {
            name: encoder.about[name]
            for name in ("train_seconds", "epoch", "epochs_trained", "criterion")
            if name in encoder.about
        },
        "numbers": provenance.plain(numbers),
        "limits": [*limits, *LIMITS],
        "licence": licence,
        "date": about["date"],
        "command": about["command"],
        "versions": about["versions"],
    }
    write_json(folder / CARD, card)
    (folder / README).write_text(as_markdown(card), encoding="utf-8")
    return card


def as_markdown(card: Mapping[str, Any]) -> str:
    """Returns a card as Markdown, with the header that the Hugging Face hub reads.

    Args:
        card: as `write_card` makes it.

    Example:

    >>> card = {"name": "a", "model": "FCID", "preset": "plus", "modalities": ["audio"]}
    >>> card |= {"parameters": 1, "encodes": "files"}
    >>> card |= {"data": {"name": "clips", "clips": {}, "classes": []}}
    >>> card |= {"numbers": {}, "limits": ["One."], "licence": None, "date": "2026", "command": ""}
    >>> print(as_markdown({**card, "training": {}, "versions": {"keras_cmg": "0"}})[:33])
    ---
    library_name: keras
    tags:
    - k
    """
    data = card["data"]
    use = 'files=["FILE"]' if card["encodes"] == "files" else "features=FEATURES"
    header = ["---", "library_name: keras", "tags:", "- keras_cmg", "- cross-modal"]
    if card["licence"]:
        header.append(f"license: {card['licence']}")
    counts = ", ".join(f"{count} {split}" for split, count in data["clips"].items())
    lines = [
        *header,
        "---",
        "",
        f"# {card['name']}",
        "",
        f"{card['model']} of keras_cmg, preset `{card['preset']}`: encodes "
        f"{', '.join(card['modalities'])} into one space with shared codes. "
        f"{card['parameters']:,} parameters.",
        "",
        "## Use",
        "",
        "```python",
        "import keras_cmg",
        "",
        'model = keras_cmg.load("ADDRESS")  # this folder, or hf://USER/NAME',
        f'clips = model.encode("{card["modalities"][0]}", {use})',
        "```",
        "",
        "## Data",
        "",
        f"{data['name']}{f': {counts} clips' if counts else ''}."
        + (f" Classes: {', '.join(data['classes'])}." if data["classes"] else ""),
        "",
        "## Numbers",
        "",
    ]
    for measure, values in card["numbers"].items():
        lines += [f"| {measure} | |", "|---|---|"]
        lines += [f"| {name} | {value:.3f} |" for name, value in values.items()]
        lines.append("")
    if not card["numbers"]:
        lines += ["Nothing was measured.", ""]
    lines += ["## Limits", "", *(f"- {limit}" for limit in card["limits"]), ""]
    lines += ["## Licence", "", f"{card['licence'] or NOT_STATED}.".capitalize(), ""]
    lines += ["## How it was made", "", f"```bash\n{card['command']}\n```", ""]
    lines += [f"{card['date']}, keras_cmg {card['versions']['keras_cmg']}.", ""]
    return "\n".join(lines)
