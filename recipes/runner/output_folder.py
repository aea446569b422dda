"""The output folder of a recipe: written atomically, and never over other files."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path

from data_tools.io.files import folder_lock, read_record, scratch_folder, shorten

RESULT = "result.json"
CACHES = ("features", "cache")
"""Folders that an interrupted run may leave in the output folder, for the next one."""
SHOWN = 3
"""Most names of files that an error lists."""
SEED_FOLDER = re.compile(r"seed\d+")


@contextlib.contextmanager
def output_folder(out: Path, recipe: str, several: bool = False) -> Iterator[Path]:
    """Yields a scratch folder whose files move to `out` together when the block succeeds.

    Args:
        out: a new folder, an empty one, or that of an earlier run of the same recipe, whose
            files are replaced.
        recipe: name of the recipe.
        several: whether the folder holds a folder for each of several seeds.

    Yields:
        The scratch folder, inside `out`; caches belong beside it, in `out` itself.

    Raises:
        ValueError: if `out` holds other files, which are not changed.

    Example:

    >>> out = Path("run")
    >>> with output_folder(out, "quickstart") as folder:
    ...     _ = (folder / "result.json").write_text('{"recipe": "quickstart"}')
    >>> [path.name for path in out.iterdir()]
    ['result.json']
    """
    check_output_folder(out, recipe, several)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with scratch_folder(out / "run") as scratch:
            yield scratch
            # Of several processes, one moves its files; the result last, whose presence says that
            # the run is complete.
            with folder_lock(out):
                for path in sorted(scratch.iterdir(), key=lambda path: path.name == RESULT):
                    earlier = out / path.name
                    if path.is_dir() and earlier.is_dir():
                        # A folder replaces no folder with files in it.
                        os.replace(earlier, scratch / f"{path.name}.earlier")
                    os.replace(path, earlier)
    finally:
        with contextlib.suppress(OSError):
            # Succeeds on an empty folder only.
            out.rmdir()


def check_output_folder(out: Path, recipe: str, several: bool = False) -> None:
    """Checks that a folder holds nothing but an earlier run of the same recipe.

    Args:
        out: the folder.
        recipe: name of the recipe.
        several: whether the folder is to hold a folder for each of several seeds.

    Raises:
        ValueError: if it holds other files, or a run of another recipe.

    Example:

    >>> check_output_folder(Path("not-there-yet"), "quickstart")
    """
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out must be a folder. Received the file: {out}")
    names = sorted(path.name for path in out.iterdir()) if out.exists() else []
    found = [name for name in names if name not in CACHES and not name.endswith(".part")]
    seeds = [name for name in found if SEED_FOLDER.fullmatch(name)]
    advice = "choose another folder, or empty this one"
    if seeds and not several:
        raise ValueError(f"{out} holds a run of several seeds, {', '.join(seeds[:3])}: {advice}")
    for name in seeds:
        check_output_folder(out / name, recipe)
    if found == seeds:
        return
    if RESULT not in found:
        raise ValueError(
            f"--out must be new, empty or of an earlier run of {recipe}; {out} holds "
            f"{_few([name for name in found if name not in seeds])}: {advice}"
        )
    earlier = read_record(out / RESULT, {})
    if earlier.get("recipe") != recipe:
        raise ValueError(
            f"--out must be new, empty or of an earlier run of {recipe}; {out} is of "
            f"{shorten(earlier.get('recipe'), 100)}: {advice}"
        )
    if several and not seeds:
        raise ValueError(f"{out} holds a run of one seed: {advice}")


def _few(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(shorten(name, 60) for name in names[:SHOWN]) + more
