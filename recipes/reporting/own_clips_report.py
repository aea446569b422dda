"""Report of a training on one's own clips: what clips find across modalities, and the training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recipes.reporting import report_writer
from recipes.reporting.codebook_sections import curves_by_epoch, described
from recipes.reporting.page import Facts, Gallery, Section, Text, duration, per_cent
from recipes.reporting.tables import Table, over_seeds
from recipes.runner.seed_runs import Run
from recipes.training.trained_encoders import HISTORY, read_history

METHOD = (
    "Every clip of the test split, which training did not see, is a query to the indexed clips of "
    "another modality. P@10: share of the first ten clips found that have the query's class; "
    "queries are averaged with their ten nearest clips. "
    "Chance: the share of all clips that have it. Neighbours: the share of right classes among the "
    "ten nearest training clips of the query's own modality by their raw features, which is what a "
    "search by features and class names would show."
)
PARTNERS = (
    "Every clip of the test split, which training did not see, is a query to the test clips of "
    "another modality. R@k: share of the queries whose own clip is among the first k. Chance is "
    "that of R@10."
)
NOTHING = "Nothing was measured: the clips are too few for a test split."
HEADINGS = {"neighbours": "raw neighbours, class names"}


def publish(runs: Sequence[Run], out: Path) -> str:
    """Writes `table.md` and `report.html`.

    Args:
        runs: finished seeds.
        out: folder to write into.

    Returns:
        The tables as text for a terminal.
    """
    first = runs[0].result
    tables = [precision_table([run.result for run in runs])] if first["precision"] else []
    of_classes = any("neighbours" in one for one in first["precision"].values())
    method = (METHOD if of_classes else PARTNERS) if tables else NOTHING
    histories = {f"seed {run.result['seed']}": read_history(run.folder / HISTORY) for run in runs}
    keys = ["loss", *first["loss_terms"]]
    about, shared = first["encoder"], first["shared_codes"]
    facts = {
        "clips in the index": str(sum(first["indexed"].values())),
        "of their codes are used by every modality": per_cent(shared["clips"]),
        f"of {shared['any']} codes in use are used by every modality": str(shared["shared"]),
        f"training, epoch {about['epoch']} of {about['epochs_trained']} kept": duration(
            about["train_seconds"]
        ),
        "files refused, see refused.json": str(first["refused"]),
    }
    sections = [
        Section("", [Facts(facts)]),
        Section(
            "Training",
            [
                Gallery(described(curves_by_epoch(histories, keys))),
                Text("A line per seed; dashed: validation clips.", soft=True),
            ],
        ),
    ]
    return report_writer.publish(
        out, "Your clips in one code space", runs, tables, sections, method
    )


def precision_table(results: Sequence[Mapping[str, Any]]) -> Table:
    """Returns what test clips find, in per cent.

    Args:
        results: results, one per seed.

    Returns:
        The table.
    """
    first = results[0]["precision"]
    measures = [
        name for name in next(iter(first.values())) if name not in ("queries", "clips")
    ]  # fmt: skip
    sizes = "; ".join(
        f"{pair}: {one['queries']:.0f} queries, {one['clips']:.0f} clips"
        for pair, one in first.items()
    )
    return over_seeds(
        "What test clips find (%)",
        "query -> found",
        {
            pair: {
                HEADINGS.get(name, name): [
                    100 * result["precision"][pair][name] for result in results
                ]
                for name in measures
            }
            for pair in first
        },
        note=sizes,
    )
