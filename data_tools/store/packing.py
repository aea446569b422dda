"""Packs published or prepared features into a store."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from data_tools.io.constants import SPLITS
from data_tools.io.feature_folder import FeatureFolder, order_file
from data_tools.io.files import check_replaceable
from data_tools.io.progress import bar
from data_tools.published.registry import open_published
from data_tools.published.selection import PREPARED, Selection, select
from data_tools.store.schema import SCHEMA, Field
from data_tools.store.writer import StoreWriter


def pack(
    root: str | os.PathLike[str],
    out: str | os.PathLike[str],
    dataset: str | None = None,
    modalities: Sequence[str] | None = None,
    labels: bool | str = True,
    shard_rows: int | None = None,
    overwrite: bool = False,
    progress: bool = False,
    options: Mapping[str, Any] | None = None,
) -> dict[str, int]:
    """Packs all splits of a published data set or of a prepared folder into a store.

    A clip that cannot be read is left out and listed with its reason in `failures.jsonl`.

    Args:
        root: folder of annotations and features.
        out: store to write.
        dataset: a published data set; None for a prepared folder.
        modalities: which to pack; all that the data have if None.
        labels: whether to pack labels too; "weak" for those of whole clips.
        shard_rows: rows of a shard; about 256 MB if None.
        overwrite: replace a store that is there.
        progress: show a progress bar.
        options: arguments of the published data set, such as `protocol`.

    Returns:
        Number of `rows`, and of clips that `failed`.

    Raises:
        FileNotFoundError: if the folder or a file of all clips is missing.
        ValueError: if an argument or a file of all clips is wrong, or the store exists.

    Example:
        >>> import data_tools
        >>> path = data_tools.prepare("synthetic", "features", num_clips={"train": 4, "val": 2})
        >>> pack(path, "store")
        {'rows': 6, 'failed': 0}
    """
    options = dict(options or {})
    if Path(out).exists() and not overwrite:
        raise ValueError(
            f"`out` must be a new folder; {out} exists. Choose another folder, or overwrite this "
            "one."
        )
    check_replaceable("out", out, SCHEMA)
    if dataset is None or dataset in PREPARED:
        folder = FeatureFolder(root)
        names = [split for split in SPLITS if (folder.root / order_file(split)).is_file()]
        categories: Sequence[str] = folder.categories if labels else ()
    else:
        opened = open_published(dataset, root, **options)
        names = [split for split, examples in opened.splits.items() if examples]
        categories = opened.categories if labels else ()
    selections = {
        split: select(root, split, modalities, labels, dataset, **options) for split in names
    }
    if not selections:
        raise ValueError(f"`root` must hold clips of a split; {root} has none")
    sources = next(iter(selections.values())).sources
    fields = {kind: Field(tuple(map(int, source.shape))) for kind, source in sources.items()}
    origin = {"packed": dataset or "prepared", "options": options}
    counts = {"rows": 0, "failed": 0}
    with StoreWriter(out, fields, shard_rows, categories, origin, overwrite) as writer:
        for split, id, read in _clips(selections, progress):
            try:
                writer.append(id, read(), split=split)
                counts["rows"] += 1
            except ValueError as error:
                writer.fail(id, str(error.__cause__ or error))
                counts["failed"] += 1
    for selection in selections.values():
        selection.close()
    return counts


def _clips(selections: dict[str, Selection], progress: bool) -> Iterable[tuple[str, str, Any]]:
    clips: Iterable[tuple[str, str, Any]] = (
        (split, example.key, lambda example=example, selection=selection: selection.read(example))
        for split, selection in selections.items()
        for example in selection.examples
    )
    if not progress:
        return clips
    total = sum(len(selection.examples) for selection in selections.values())
    return bar(clips, "pack", "clip", total)
