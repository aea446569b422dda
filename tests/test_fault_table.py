"""Every command that writes, under every fault: it says why, loses nothing, ends as undisturbed.

The table of docs/security.md lists these cells.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import hashlib
import multiprocessing
import os
import random
import signal
import time
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

import data_tools
from data_tools import store
from data_tools.extraction import extract
from data_tools.store import Store
from keras_cmg.callbacks import Checkpoint
from keras_cmg.export import export
from keras_cmg.saved_models import load_model
from keras_cmg.search import CodeIndex
from recipes.runner.seed_runs import Job, run_seed
from recipes.runner.settings import Settings
from tests.helpers import served_systems
from tests.helpers.disks import Disk, small_disk

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason="kills and mounts are of POSIX systems"),
    pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning"),
]


@dataclasses.dataclass(frozen=True)
class Command:
    """What writes a folder, and what a finished folder holds."""

    write: Callable[[Path, Path], Any]
    """Function of a folder with inputs and the folder to write."""
    state: Callable[[Path], Any]
    left: int = 20_000
    """Bytes of space that do not suffice."""


def digests(folder: Path) -> dict[str, str]:
    """Checksums of all files."""
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def _extract(inputs: Path, out: Path) -> None:
    words = {"text": {"name": "words", "options": {"dim": 64}}}
    extract(inputs / "clips.csv", out, words, shard_rows=20)


def _prepare(inputs: Path, out: Path) -> None:
    data_tools.prepare("synthetic", out, num_clips={"train": 4}, video_channels=8)


def _pack(inputs: Path, out: Path) -> None:
    store.pack(inputs / "features", out, overwrite=True)


def _save_index(inputs: Path, out: Path) -> None:
    rng = np.random.default_rng(0)
    index = CodeIndex(rng.normal(size=(8, 16)).astype("f4"))
    index.add(np.arange(2000), rng.normal(size=(2000, 16)).astype("f4"))
    index.save(out)


def _index_state(out: Path) -> Any:
    index = CodeIndex.load(out)
    return index.search(index.codebook, 5, 8)["ids"].tolist()


def _checkpoint(inputs: Path, out: Path) -> None:
    out.mkdir(exist_ok=True)
    callback = Checkpoint(out / "model.keras")
    callback.set_model(MODELS[0])
    callback.on_epoch_end(0)


def _checkpoint_state(out: Path) -> Any:
    return [weight.tolist() for weight in load_model(out / "model.keras").get_weights()]


def _run(job: Job, out: Path) -> dict[str, Any]:
    for number in range(20):
        (out / f"{number}.txt").write_text(str(number) * 4000)
    return {"score": 0.5}


def _recipe(inputs: Path, out: Path) -> None:
    recipe = types.SimpleNamespace(run=_run, report=lambda runs, out: "text")
    resources = Settings(out=str(out), seeds=1, resume=False, smoke=False)
    run_seed(recipe, Job("quickstart", "command", Settings(epochs=1), resources, 0))


def _recipe_state(out: Path) -> Any:
    return {name: digest for name, digest in digests(out).items() if name != "result.json"}


def _export(inputs: Path, out: Path) -> None:
    export(MODELS[1].backbone, out, overwrite=True)


MODELS: list[Any] = []
COMMANDS = {
    "extract": Command(_extract, digests),
    "prepare": Command(_prepare, digests),
    "pack": Command(_pack, digests),
    "index save": Command(_save_index, _index_state),
    "checkpoint": Command(_checkpoint, _checkpoint_state),
    "recipe": Command(_recipe, _recipe_state),
    "export": Command(_export, lambda out: sorted(digests(out))),
}
NAMES = [
    pytest.param(name, marks=[pytest.mark.slow] if name == "export" else []) for name in COMMANDS
]


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands read."""
    root = tmp_path_factory.mktemp("inputs")
    lines = "".join(f"c{number},the caption {number}\n" for number in range(60))
    (root / "clips.csv").write_text("id,caption\n" + lines)
    data_tools.prepare("synthetic", root / "features", num_clips={"train": 4}, video_channels=8)
    dense = [keras.Input((80,)), keras.layers.Dense(80)]
    MODELS[:] = [keras.Sequential(dense), served_systems.built("fcid")]
    return root


@pytest.fixture(scope="module")
def undisturbed(inputs: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """What a command leaves that nothing disturbs, by its name."""
    root, known = tmp_path_factory.mktemp("undisturbed"), {}

    def state(name: str) -> Any:
        if name not in known:
            out = root / name.replace(" ", "-")
            COMMANDS[name].write(inputs, out)
            known[name] = COMMANDS[name].state(out)
        return known[name]

    return state


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A small disk."""
    with small_disk(tmp_path / "disk") as found:
        yield found


def temporary(folder: Path) -> list[str]:
    """Temporary folders and files below a folder, but those that a resume of `extract` needs."""
    return [
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.name.endswith(".part") and path.name.startswith(".")
    ]


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk(
    name: str, inputs: Path, undisturbed: Callable[[str], Any], disk: Disk
) -> None:
    command, out = COMMANDS[name], disk.root / "out"
    expected = undisturbed(name)
    for left in (0, command.left):
        disk.fill(left)
        start = time.monotonic()
        with pytest.raises(OSError, match="No space left on device") as caught:
            command.write(inputs, out)
        assert caught.value.errno == errno.ENOSPC
        assert str(disk.root) in str(caught.value.filename), "the message names the place"
        assert time.monotonic() - start < 120
        assert temporary(disk.root) == []
        disk.empty()
    command.write(inputs, out)
    assert command.state(out) == expected


@pytest.mark.parametrize("name", NAMES)
def test_a_read_only_disk(
    name: str, inputs: Path, undisturbed: Callable[[str], Any], disk: Disk
) -> None:
    command, out = COMMANDS[name], disk.root / "out"
    expected = undisturbed(name)
    with disk.read_only(), pytest.raises(OSError, match="Read-only file system"):
        command.write(inputs, out)
    command.write(inputs, out)
    assert command.state(out) == expected
    with disk.read_only():
        assert command.state(out) == expected


def _child(name: str, inputs: str, out: str) -> None:
    try:
        COMMANDS[name].write(Path(inputs), Path(out))
    except (OSError, ValueError) as error:
        # Two extractions of one folder: the second is refused.
        os._exit(3 if "another process" in str(error) else 4)
    except KeyboardInterrupt:
        os._exit(130)
    os._exit(0)


def started(name: str, inputs: Path, out: Path) -> Any:
    """The command in a process of its own, with the modules of this one."""
    context = multiprocessing.get_context("fork")
    process = context.Process(target=_child, args=(name, str(inputs), str(out)))
    process.start()
    return process


@pytest.mark.parametrize("name", NAMES)
def test_kills_and_interrupts_at_random_moments(
    name: str, inputs: Path, undisturbed: Callable[[str], Any], tmp_path: Path
) -> None:
    command, out, rng = COMMANDS[name], tmp_path / "out", random.Random(name)
    expected = undisturbed(name)
    begin = time.monotonic()
    command.write(inputs, tmp_path / "timed")
    seconds = time.monotonic() - begin
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL, signal.SIGINT):
        process = started(name, inputs, out)
        time.sleep(rng.uniform(0, seconds))
        os.kill(process.pid, number)
        process.join(300)
        assert not process.is_alive()
    command.write(inputs, out)
    assert command.state(out) == expected
    assert temporary(tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_two_at_once(
    name: str, inputs: Path, undisturbed: Callable[[str], Any], tmp_path: Path
) -> None:
    command, out = COMMANDS[name], tmp_path / "out"
    expected = undisturbed(name)
    processes = [started(name, inputs, out) for _ in range(2)]
    for process in processes:
        process.join(300)
    codes = sorted(process.exitcode for process in processes)
    assert codes == [0, 0] or (name == "extract" and codes == [0, 3])
    assert command.state(out) == expected
    assert temporary(tmp_path) == []


def _save_many(out: str, count: int) -> None:
    for _ in range(count):
        _save_index(Path(), Path(out))


def test_an_index_is_read_whole_while_two_save_it(tmp_path: Path) -> None:
    out, context = tmp_path / "out", multiprocessing.get_context("fork")
    _save_index(tmp_path, out)
    expected, loads = _index_state(out), 0
    writers = [context.Process(target=_save_many, args=(str(out), 25)) for _ in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert _index_state(out) == expected
        loads += 1
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert loads > 3
    assert len(list(out.iterdir())) == 3


def test_inputs_that_vanish_or_are_locked_stop_an_extraction(tmp_path: Path) -> None:
    source = tmp_path / "clips"
    source.mkdir()
    for number in range(6):
        (source / f"{number}.txt").write_text(f"caption {number}")
    words = {"text": {"name": "tests.helpers.extractors:Vanishing", "options": {}}}
    out = tmp_path / "out"
    for reason, number in (("vanish", errno.ENOENT), ("lock", errno.EACCES)):
        os.environ["FAULT"] = f"{reason} {source / '3.txt'}"
        try:
            with pytest.raises(OSError, match=r"3\.txt") as caught:
                extract(source, out, words)
        finally:
            del os.environ["FAULT"]
        assert caught.value.errno == number
        (source / "3.txt").write_text("caption 3")
    assert extract(source, out, words) == {"rows": 6, "failed": 0}
    extract(source, tmp_path / "other", words)
    assert digests(out) == digests(tmp_path / "other")


def test_a_file_that_a_manifest_lists_in_vain_is_a_failure_of_its_clip(tmp_path: Path) -> None:
    (tmp_path / "clips.csv").write_text("id,text\na,a.txt\nb,b.txt\n")
    (tmp_path / "a.txt").write_text("a dog")
    words = {"text": {"name": "words", "options": {}}}
    assert extract(tmp_path / "clips.csv", tmp_path / "out", words) == {"rows": 1, "failed": 1}
    assert '"reason": "does not exist"' in (tmp_path / "out/failures.jsonl").read_text()
    with contextlib.closing(Store(tmp_path / "out")) as found:
        assert [clip["id"] for clip in found.clips()] == ["a"]


def test_fitting_on_a_full_disk_ends_with_the_reason(tmp_path: Path, disk: Disk) -> None:
    from tests.helpers import media

    for number in range(4):
        media.write_sound(tmp_path / f"clips/{number}.wav", 1.0, hertz=200 + 90 * number)
    sounds = {"audio": {"name": "log_mel", "options": {"segments": 1}}}
    out = disk.root / "out"
    disk.fill(12_000)
    start = time.monotonic()
    with pytest.raises(OSError, match="No space left on device"):
        extract(tmp_path / "clips", out, sounds, 1, workers=2)
    assert time.monotonic() - start < 60
    disk.empty()
    assert extract(tmp_path / "clips", out, sounds, 1) == {"rows": 4, "failed": 0}
    extract(tmp_path / "clips", tmp_path / "other", sounds, 1)
    assert digests(out) == digests(tmp_path / "other")


def test_a_store_that_is_cut_while_it_is_read_is_noticed(inputs: Path, tmp_path: Path) -> None:
    _pack(inputs, tmp_path / "store")
    with contextlib.closing(Store(tmp_path / "store")) as found:
        found.read("audio", [0])
        path = tmp_path / "store/shards/00000/audio.npy"
        os.truncate(path, path.stat().st_size - 100)
        with pytest.raises(ValueError, match=r"audio\.npy"):
            found.read("audio", [3])


def test_features_that_a_disk_cannot_hold_end_no_process(disk: Disk) -> None:
    """HDF5 crashes when it closes a file whose rows it could not write."""
    disk.fill(300_000)
    with pytest.raises(OSError, match="No space left on device"):
        data_tools.prepare("synthetic", disk.root / "out", num_clips={"train": 8})
    assert temporary(disk.root) == []
