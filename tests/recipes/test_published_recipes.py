"""Recipes on folders in the published layouts, small made-up features under real annotations."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import pytest

from data_tools.published.registry import open_published
from recipes.protocol import clips
from recipes.protocol.tasks import TASKS
from recipes.reporting import paper_tables, report_writer
from recipes.runner import command_line
from recipes.runner.seed_runs import Job
from recipes.runner.settings import Settings
from recipes.training import trained_encoders
from tests.helpers.published_layouts import write_array, write_features, write_table

VIDEO, AUDIO = (10, 5, 5, 3), (10, 4)
SHAPES = {"audio": AUDIO, "video": VIDEO}


def link(source: Path, target: Path) -> None:
    """Make every file of a folder appear in another, folder by folder."""
    for path in source.rglob("*"):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)


def write_arrays(root: Path, ids: Iterable[str], shape: tuple[int, ...]) -> None:
    """A `.npy` file of made-up features per clip."""
    random = np.random.default_rng(0)
    root.mkdir(parents=True, exist_ok=True)
    for id in dict.fromkeys(ids):
        np.save(root / f"{id}.npy", random.normal(size=shape).astype("float32"))


def ids_of(name: str, root: Path, **options: str) -> list[str]:
    """Ids of all clips of a data set, in every split of both protocols."""
    found = []
    for protocol in ("heldout", "reference"):
        opened = open_published(name, root, protocol=protocol, **options)
        for split in ("train", "val", "test"):
            if opened.splits.get(split):
                found += [example.id for example in opened.examples(split)]
    return found


@pytest.fixture(scope="module")
def root(data_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real annotations of three data sets, with small features for every clip."""
    for name in ("ave/Annotations.txt", "avvp/AVVP_train.csv", "ucf_vggsound/ucf2vggsound.csv"):
        if not (data_root / name).is_file():
            pytest.skip(f"no {name} in {data_root}")
    root = tmp_path_factory.mktemp("published")
    for name in ("ave", "avvp", "ucf_vggsound"):
        link(data_root / name, root / name)
    random = np.random.default_rng(0)
    rows = len((root / "ave" / "Annotations.txt").read_text("utf-8").splitlines())
    for name, shape in (("audio", AUDIO), ("visual", VIDEO)):
        array = random.normal(size=(rows, *shape)).astype("float32")
        write_array(root / "ave" / f"{name}_feature.h5", array)
    for modality, events in (("audio", "audio"), ("video", "visual")):
        ids = ids_of("avvp", root, events=events) + ids_of("ave_avvp", root, events=events)
        write_arrays(root / "avvp" / modality, ids, SHAPES[modality])
    for side, modality in (("ucf", "video"), ("vggsound", "audio")):
        folder = root / "ucf_vggsound" / side / modality
        write_arrays(folder, ids_of("ucf_vggsound", root, side=side), SHAPES[modality])
    return root


@pytest.fixture(scope="module")
def encoder(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of `pretrain` on AVE, which serves all tasks of sound and pictures."""
    out = tmp_path_factory.mktemp("encoder") / "run"
    words = ["pretrain", "--smoke", "--data", "ave", "--root", str(root), "--out", str(out)]
    assert command_line.main(words) == 0
    return out


def run(out: Path, *words: str | Path) -> Mapping:
    """Run a recipe and read its result."""
    assert command_line.main([str(word) for word in (*words, "--smoke", "--out", out)]) == 0
    return json.loads((out / "result.json").read_text("utf-8"))


@pytest.mark.parametrize("protocol", ["heldout", "reference"])
@pytest.mark.parametrize(
    ("name", "metrics", "column"),
    [
        ("ave", ["accuracy"], "AVE V->A"),
        ("avvp", ["micro F1", "segment F1", "event F1"], "AVVP A->V"),
        ("ave_avvp", ["micro F1", "segment F1", "event F1"], "AVE->AVVP A->V"),
        ("ucf_vggsound", ["accuracy"], "UCF-VGG V->A"),
    ],
)
def test_tasks_of_table_1(
    root: Path,
    encoder: Path,
    tmp_path: Path,
    protocol: str,
    name: str,
    metrics: list[str],
    column: str,
) -> None:
    words = [
        "table1",
        "--task",
        name,
        "--data",
        name,
        "--root",
        root,
        "--run",
        encoder,
        "--protocol",
        protocol,
    ]
    result = run(tmp_path / "run", *words)
    directions = {"video->audio", "audio->video", "video->video", "audio->audio"}
    assert set(result["scores"]) == directions and result["metrics"] == metrics
    for views in result["scores"].values():
        assert all(0 <= score <= 1 for scores in views.values() for score in scores.values())
    assert result["encoder"]["run"] == str(encoder) and result["settings"]["epochs"] == 1
    table = (tmp_path / "run" / "table.md").read_text("utf-8")
    assert column in table and "FCID, published" in table and "FCID+TOC, published" in table
    page = (tmp_path / "run" / "report.html").read_text("utf-8")
    for text, bold in ((table, f"**{report_writer.REFERENCE}**"), (page, report_writer.REFERENCE)):
        assert (bold in text) == (protocol == "reference")
    checked = [len(value) for value in result["features"]["annotations"].values()]
    assert checked and set(checked) == {64}


def test_reference_learns_and_is_tested_on_the_same_ave_clips(
    root: Path, encoder: Path, tmp_path: Path
) -> None:
    words = ["table1", "--data", "ave", "--root", root, "--run", encoder]
    result = run(tmp_path / "a", *words, "--protocol", "reference", "--max-clips", "30")
    assert result["clips"] == {
        f"{role} train {modality}": 30
        for role in ("source", "target")
        for modality in ("video", "audio")
    }
    assert set(result["epochs"]["video->audio"]) == {"quantized", "continuous", "256"}


@pytest.mark.parametrize(
    ("name", "known", "all_classes"), [("ave", 14, 28), ("ucf_vggsound", 8, 16)]
)
def test_open_set_on_published_data(
    root: Path, encoder: Path, tmp_path: Path, name: str, known: int, all_classes: int
) -> None:
    words = ["open_set", "--data", name, "--root", root, "--run", encoder, "--max-clips", 150]
    result = run(tmp_path / "run", *words)
    assert result["known"] == list(range(known)) and len(result["categories"]) == all_classes
    (epoch,) = result["models"]["FCID"]["epochs"]
    assert set(epoch["validation"]) == {"audio", "video"}
    for pair in ("video->audio", "audio->video"):
        for rules in epoch["pairs"][pair]["scores"].values():
            assert 0 <= rules["fpr"] <= 1 and 0 < rules["auroc"] < 1
    # Features are noise, and one epoch has been trained.
    assert epoch["pairs"]["audio->video"]["scores"]["softmax"]["reference"]["hos"] < 0.6


def test_unpaired_clips_need_a_run(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["table1", "--task", "ucf_vggsound", "--data", "ucf_vggsound", "--root", str(root)]
    assert command_line.main([*words, "--smoke", "--out", str(tmp_path / "run")]) == 2
    assert "--data ucf_vggsound needs --run" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_clips_that_cannot_be_read_are_left_out_and_told(
    root: Path, encoder: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "root"
    folder.mkdir()
    for path in root.iterdir():
        (folder / path.name).symlink_to(path)
    (folder / "avvp").unlink()
    link(root / "avvp", folder / "avvp")
    opened = open_published("avvp", folder, events="audio")
    for example in clips.fewer(opened.examples("test"), 20)[:3]:
        os.remove(folder / "avvp" / "audio" / f"{example.id}.npy")
    words = ["table1", "--task", "avvp", "--data", "avvp", "--root", folder, "--run", encoder]
    result = run(tmp_path / "run", *words, "--max-clips", "20")
    assert result["clips_unreadable"] == 3
    assert result["clips"]["target test audio"] == 17 and result["clips"]["target test video"] == 20
    assert "3 could not be read" in (tmp_path / "run" / "table.md").read_text("utf-8")


@pytest.mark.slow
def test_ablation_trains_on_one_set_and_probes_on_the_others(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "root"
    folder.mkdir()
    for path in root.iterdir():
        (folder / path.name).symlink_to(path)
    table = [("split", "category", "video_id")]
    for split, count in (("train", 20), ("val", 10)):
        table += [(split, "bowling impact", f"{split}0000{number:02}") for number in range(count)]
    write_table(folder / "vggsound" / "vggsound-avel40k.csv", table)
    write_features(folder / "vggsound", [id for _, _, id in table[1:]], SHAPES)
    # The clips that UCF-101 is paired with are VGGSound's own.
    link(root / "ucf_vggsound" / "vggsound", folder / "vggsound")
    words = ["ablation", "--data", "vggsound", "--root", folder, "--of", "losses"]
    result = run(tmp_path / "run", *words)
    assert set(result["parts"]["losses"]) == set(paper_tables.LOSS_ABLATION.rows)
    for row in result["parts"]["losses"].values():
        assert set(row) == set(paper_tables.TASKS)


def test_pretraining_does_not_see_the_videos_of_the_evaluation(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "root"
    folder.mkdir()
    for path in root.iterdir():
        (folder / path.name).symlink_to(path)
    tested = open_published("ave", folder).groups("test")
    shared = sorted(tested)[:4]
    rows = [("train", "bowling impact", id) for id in [*shared, *(f"own{n:02}" for n in range(20))]]
    write_table(
        folder / "vggsound" / "vggsound-avel40k.csv", [("split", "category", "video_id"), *rows]
    )
    write_features(folder / "vggsound", [id for _, _, id in rows], SHAPES)
    source = clips.Clips("vggsound", folder)
    videos = trained_encoders.held_out_videos(source, tuple(TASKS))
    assert tested <= videos
    assert open_published("ave", folder).groups("val") <= videos
    sounds = open_published("ucf_vggsound", folder, side="vggsound")
    assert sounds.groups("test") <= videos
    reference = source._replace(protocol="reference")
    assert not trained_encoders.held_out_videos(reference, tuple(TASKS))
    # 24 clips make a batch of 24, unless four of them are held out.
    with pytest.raises(ValueError, match="batch"):
        trained_encoders.train_new(vggsound_job(24), source)
    about = trained_encoders.train_new(vggsound_job(20), source).about
    assert about["videos_held_out"] == len(videos)


def vggsound_job(batch_size: int, **changes) -> Job:
    """A training on VGGSound, as `pretrain` has it."""
    values = {"data": "vggsound", "model": "fcid", "preset": "disentangled", "set": {}, "epochs": 1}
    values |= {"learning_rate": 4e-4, "schedule": "constant", "held_out": None}
    settings = Settings(**{**values, "batch_size": batch_size, **changes})
    return Job("pretrain", "", settings, Settings(), 0)


@pytest.mark.parametrize("missing", ["ave/Annotations.txt", "ave/test_order.h5"])
def test_a_missing_annotation_file_does_not_stop_the_holding_out(
    root: Path, tmp_path: Path, missing: str
) -> None:
    folder = tmp_path / "root"
    for name in ("ave", "avvp", "ucf_vggsound"):
        link(root / name, folder / name)
    source = clips.Clips("vggsound", folder)
    assert trained_encoders.held_out_videos(source, tuple(TASKS))
    os.remove(folder / missing)
    with pytest.raises(FileNotFoundError, match=r"cannot be left out of training.*--held-out"):
        trained_encoders.held_out_videos(source, tuple(TASKS))
    with pytest.raises(FileNotFoundError, match=r"cannot be left out of training.*--held-out"):
        trained_encoders.held_out_videos(source)
    assert trained_encoders.held_out_videos(source, ("ucf_vggsound",))
    # A damaged file is no missing one; a data set of which nothing is here is not tested here.
    (folder / missing).write_bytes(b"damaged")
    with pytest.raises(ValueError, match=missing.partition("/")[2]):
        trained_encoders.held_out_videos(source)
    shutil.rmtree(folder / "ave")
    # AVE to AVVP is there in part: the files of AVVP without those of AVE.
    with pytest.raises(FileNotFoundError, match="ave_avvp cannot be left out"):
        trained_encoders.held_out_videos(source)
    shutil.rmtree(folder / "avvp")
    assert trained_encoders.held_out_videos(source)


def test_a_damaged_validation_split_is_not_taken_for_none(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "root"
    link(root / "ave", folder / "ave")
    source = clips.Clips("ave", folder)
    assert source.has("val")
    path = folder / "ave" / "Annotations.txt"
    lines = path.read_text("utf-8").splitlines()
    os.remove(path)
    path.write_text("\n".join([*lines[:5], "one&field", *lines[5:]]) + "\n")
    with pytest.raises(ValueError, match="Annotations"):
        source.has("val")


def write_clotho(root: Path) -> None:
    """Thirty sounds to train on, three for validation, twenty for the test, five sentences each."""
    header = ["file_name", *(f"caption_{number}" for number in range(1, 6))]
    ids = []
    for part, count in (("development", 30), ("validation", 3), ("evaluation", 20)):
        names = [f"{part}{number}" for number in range(count)]
        rows = [[f"{name}.wav", *(f"sound {name} {n}" for n in range(5))] for name in names]
        write_table(root / f"clotho_captions_{part}.csv", [header, *rows])
        ids += names
    write_features(root, ids, {"audio": AUDIO})


def write_mscoco(root: Path) -> None:
    """Thirty pictures to learn on and twenty to be tested on, with a sentence each."""
    (root / "annotations").mkdir(parents=True)
    ids: list[str] = []
    for part, count in (("train", 30), ("val", 20)):
        numbers = range(len(ids), len(ids) + count)
        content = [{"image_id": n, "caption": f"a picture of {n}"} for n in numbers]
        path = root / "annotations" / f"captions_{part}2017.json"
        path.write_text(json.dumps({"annotations": content}))
        ids += [f"{n:012d}" for n in numbers]
    write_features(root, ids, {"video": VIDEO})


def write_flickrsound(root: Path) -> None:
    """Two hundred sounds with a picture each, which a hash divides."""
    ids = [str(7_000_000 + 3 * number) for number in range(200)]
    write_table(root / "flickr.csv", [("filename",), *((f"{id}.wav",) for id in ids)])
    write_features(root, ids, {"audio": AUDIO, "video": VIDEO})


@pytest.mark.parametrize(
    ("name", "write", "pair"),
    [
        ("clotho", write_clotho, "audio-text"),
        ("mscoco", write_mscoco, "text-video"),
        ("flickrsound", write_flickrsound, "audio-video"),
    ],
)
def test_retrieval(tmp_path: Path, name: str, write, pair: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    write(root)
    words = ["retrieval", "--data", name, "--root", root, "--toc-channels", "128", "64"]
    result = run(tmp_path / "run", *words)
    assert set(result["partner"]) == {pair} and result["toc"][pair] in ("128", "64")
    found = result["partner"][pair]
    assert set(found) == {"continuous", "quantized", "128", "64", "chance"}
    chance = found["chance"]["forward"]["R@10"]
    assert chance == pytest.approx(10 / result["clips"])
    assert "FCID, published" in (tmp_path / "run" / "table.md").read_text("utf-8")
