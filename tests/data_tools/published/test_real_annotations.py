"""The real annotation files: counts as their documentation gives them, and every known trap."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import data_tools
from data_tools.published.annotation_files import AS_PUBLISHED
from data_tools.published.inspection import inspect


def find(root: Path, name: str, *needed: str) -> Path:
    """A folder of real annotations, or a reason to skip."""
    for file in needed:
        if not (root / name / file).is_file():
            pytest.skip(f"no {file} in {root / name}")
    return root


@pytest.fixture
def real_ave(data_root: Path) -> Path:
    return find(data_root, "ave", "Annotations.txt", "train_order.h5", "labels_closs.h5")


@pytest.fixture
def real_avvp(data_root: Path) -> Path:
    return find(data_root, "avvp", "AVVP_train.csv", "checked/AVVP_Categories.txt")


@pytest.fixture
def real_ave_avvp(real_ave: Path, real_avvp: Path) -> Path:
    return find(real_avvp, "avvp", "ave_avvp/ave_avvp_labels.h5")


@pytest.fixture
def real_ucf(data_root: Path) -> Path:
    return find(data_root, "ucf_vggsound", "ucf2vggsound.csv", "vggsound2ucf.csv")


def contents(report: data_tools.published.inspection.Report) -> dict[str, str]:
    assert all(file.state == AS_PUBLISHED for file in report.files if file.sha256)
    return {file.name: file.content for file in report.files}


def traps(report: data_tools.published.inspection.Report) -> dict[tuple[str, str], int]:
    return {(issue.kind, issue.where): len(issue.items) for issue in report.issues}


def test_ave(real_ave: Path) -> None:
    report = inspect("ave", real_ave, read=False)
    found = contents(report)
    assert found["Annotations.txt"] == "4143 lines"
    assert found["train_order.h5"] == "order (3339,) int64"
    assert found["labels_closs.h5"] == "avadataset (4143, 10) float32"
    assert found["train_order_14class.h5"] == "order (1857,) int64"
    assert found["train_order_21class.h5"] == "order (2628,) int64"
    assert found["audio_feature_noisy.h5"] == "avadataset (178, 10, 128) float64"
    assert (report.num_clips, report.num_groups) == (4143, 4097)
    assert report.sizes["reference"] == {"train": 3339, "val": 402, "test": 402}
    assert report.sizes["heldout"] == {"train": 3319, "val": 402, "test": 402}
    assert traps(report) == {
        ("sorted by class", "train_order.h5"): 1,
        ("sorted by class", "val_order.h5"): 1,
        ("sorted by class", "test_order.h5"): 1,
        ("leaking ids", "train and val, 10 clips of val"): 10,
        ("leaking ids", "train and test, 8 clips of test"): 8,
        ("empty span", "train"): 1,
        ("video in another data set", "ave and avvp (train 338, val 23, test 33)"): 394,
        ("video in another data set", "ave and ucf_vggsound (train 30, val 6)"): 36,
    }
    (empty,) = (issue for issue in report.issues if issue.kind == "empty span")
    assert "VWi2ENBuTbw@26" in str(empty)
    assert not report.whole


def test_ave_classes_and_spans(real_ave: Path) -> None:
    dataset = data_tools.open_published("ave", real_ave, protocol="reference")
    assert len(dataset.categories) == 28
    assert dataset.categories[0] == "Church bell"
    assert dataset.categories[-1] == "Mandolin"
    rows = dataset.rows
    lengths = np.array([end - start for clip in rows for _, start, end in clip.spans])
    assert ((lengths == 10).sum(), (lengths == 0).sum()) == (2750, 1)
    per_class = np.bincount([clip.spans[0][0] for clip in rows])
    assert (per_class.min(), per_class.max()) == (60, 188)


@pytest.mark.parametrize(
    ("events", "version", "clips", "expected"),
    [
        (
            "audio",
            "original",
            4131,
            {"empty span": 6, "duplicate": 8, "stray name": 1, "unmatched name": 7},
        ),
        ("visual", "original", 2495, {"stray name": 1, "unmatched name": 6}),
        (
            "audio",
            "checked",
            4119,
            {"empty span": 5, "duplicate": 8, "stray name": 2, "unmatched name": 2},
        ),
        ("visual", "checked", 2488, {"stray name": 1, "unmatched name": 2}),
        (
            "audio",
            "combined",
            1846,
            {"empty span": 5, "duplicate": 8, "stray name": 2, "unmatched name": 2},
        ),
        ("visual", "combined", 1661, {"stray name": 1, "unmatched name": 2}),
    ],
)
def test_avvp(
    real_avvp: Path, events: str, version: str, clips: int, expected: dict[str, int]
) -> None:
    report = inspect("avvp", real_avvp, read=False, events=events, version=version)
    found = contents(report)
    assert found[report.files[0].name] == f"{clips} rows"
    assert found["AVVP_dataset_full.csv"] == "11849 rows"
    assert [found[f"AVVP_{name}.csv"] for name in ("train", "val_pd", "test_pd")] == [
        "10000 rows",
        "649 rows",
        "1200 rows",
    ]
    kinds = {kind: count for (kind, where), count in traps(report).items() if where[0] == "A"}
    assert {kind: kinds.get(kind, 0) for kind in expected} == expected
    assert {"empty span", "duplicate"} & set(kinds) == {"empty span", "duplicate"} & set(expected)
    # Seven truncated or otherwise unknown names, and one whose id is known: eight in all.
    sizes = report.sizes["heldout"]
    assert sizes["test"] == {"audio": 1194, "visual": 1079}[events]
    assert sizes["train"] + sizes["val"] == {"audio": 645, "visual": 579}[events]


def test_avvp_weak_labels(real_avvp: Path) -> None:
    dataset = data_tools.open_published("avvp", real_avvp, weak=True)
    sizes = {split: len(clips) for split, clips in dataset.splits.items()}
    assert sizes == {"train": 10000, "val": 649, "test": 1200}
    counts = np.bincount([len(clip.spans) for clip in dataset.examples("train")])
    assert counts.tolist() == [0, 4032, 5879, 89]
    labels = np.stack([dataset.labels("train", "weak").read(c) for c in dataset.examples("train")])
    totals = dict(zip(dataset.categories, labels.sum(0).astype(int).tolist(), strict=True))
    assert totals["Speech"] == 4988
    assert min(totals.items(), key=lambda item: item[1]) == ("Telephone_bell_ringing", 99)


def test_avvp_events_of_both_kinds(real_avvp: Path) -> None:
    heard, seen = (
        data_tools.open_published("avvp", real_avvp, events=events, version="original")
        for events in ("audio", "visual")
    )
    assert len(heard.published["test"]) == 1195
    assert len(seen.published["test"]) == 1079
    both = {clip.group for clip in heard.published["test"]} & seen.groups("test")
    assert len(both) == 1074
    for split in ("train", "val"):
        assert not (heard.groups(split) | seen.groups(split)) & heard.groups("test")
        assert not (heard.groups(split) | seen.groups(split)) & seen.groups("test")


@pytest.mark.parametrize(
    ("events", "rows", "clips"), [("audio", 1085, 1084), ("visual", 1032, 1032)]
)
def test_ave_avvp(real_ave_avvp: Path, events: str, rows: int, clips: int) -> None:
    report = inspect("ave_avvp", real_ave_avvp, read=False, events=events)
    found = contents(report)
    assert found["AVE_AVVP_Categories.txt"] == "12 lines"
    assert found["ave_avvp_labels.h5"] == "avadataset (4143, 10, 13) float32"
    assert found["ave_avvp_order.h5"] == "order (1831,) int64"
    assert found["AVE_AVVP_eval_audio_checked.csv"] == "1347 rows"
    assert found["AVE_AVVP_eval_visual_checked.csv"] == "1196 rows"
    assert report.sizes["reference"] == {"train": 1831, "test": rows}
    assert report.sizes["heldout"] == {"train": 1428, "val": 175, "test": clips}
    found_traps = traps(report)
    assert found_traps["video in both data sets", "AVVP_test_pd.csv and train_order.h5"] == 26
    assert found_traps["leaking ids", "train and test, 45 clips of test"] == 45
    dataset = data_tools.open_published("ave_avvp", real_ave_avvp, events=events)
    groups = {split: dataset.groups(split) for split in dataset.splits}
    assert not groups["train"] & groups["test"]
    assert not groups["val"] & (groups["test"] | groups["train"])


def test_ave_avvp_labels_are_those_of_the_annotations(real_ave_avvp: Path) -> None:
    dataset = data_tools.open_published("ave_avvp", real_ave_avvp, protocol="reference")
    kinds = {issue.kind for issue in dataset.known_issues()}
    assert not kinds & {"labels unlike the annotations", "class that is not shared"}
    source = dataset.labels("train")
    labels = np.stack([source.read(clip) for clip in dataset.examples("train")])
    assert labels.shape == (1831, 10, 13)
    assert (labels.sum(-1) == 1).all()


@pytest.mark.parametrize(
    ("options", "sizes"),
    [
        ({"side": "ucf"}, {"train": 2003, "test": 2003}),
        ({"side": "ucf", "subset": "_12"}, {"train": 1556, "test": 1556}),
        ({"side": "ucf", "subset": "_8"}, {"train": 1160, "test": 1160}),
        ({"side": "vggsound"}, {"train": 4813, "test": 4813}),
        ({"side": "vggsound", "subset": "_12"}, {"train": 3518, "test": 3518}),
        ({"side": "vggsound", "subset": "_8"}, {"train": 2390, "test": 2390}),
    ],
    ids=str,
)
def test_ucf_vggsound(real_ucf: Path, options: dict[str, Any], sizes: dict[str, int]) -> None:
    report = inspect("ucf_vggsound", real_ucf, read=False, **options)
    found = contents(report)
    assert found["ucf51checked.csv"] == "6831 rows"
    assert found["VggsoundAVEL40kCategories.txt"] == "141 lines"
    assert found["vggsoundCategories2Prompts.csv"] == "141 rows"
    assert (found["cnt.csv"], found["cnt_new.csv"]) == ("1046 rows", "1435 rows")
    assert report.sizes["reference"] == sizes
    (lonely,) = (issue for issue in report.issues if issue.where.startswith("UCF101same"))
    assert lonely.kind == "class on one side only"
    assert "FrisbeeCatch / playing frisbee: ucf only" in lonely.items
    # The file "_8" does not reach down to the line of Bowling.
    assert len(lonely.items) == (1 if options.get("subset") == "_8" else 2)


def test_vggsound_side_has_the_published_splits(real_ucf: Path) -> None:
    dataset = data_tools.open_published("ucf_vggsound", real_ucf, side="vggsound")
    sizes = {split: len(clips) for split, clips in dataset.published.items()}
    assert sizes == {"train": 2894, "val": 964, "test": 955}
    assert len({clip.spans[0][0] for clip in dataset.examples("test")}) == 14


def test_videos_of_one_set_can_be_kept_out_of_another(real_ucf: Path, real_ave: Path) -> None:
    ave = data_tools.open_published("ave", real_ave)
    videos = ave.groups("train") | ave.groups("val") | ave.groups("test")
    options = {"side": "vggsound", "protocol": "reference"}
    whole = data_tools.open_published("ucf_vggsound", real_ucf, **options)
    rest = data_tools.open_published("ucf_vggsound", real_ucf, exclude=videos, **options)
    assert len(whole.examples("train")) - len(rest.examples("train")) == len(
        whole.groups("train") & videos
    )
    assert not rest.groups("train") & videos
