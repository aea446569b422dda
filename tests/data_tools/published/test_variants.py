"""Annotation files in other versions: with headers, other separators, larger tables, damage."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import data_tools
from data_tools.__main__ import main
from data_tools.io.tables import nearest_name, read_list, read_table
from data_tools.published.annotation_files import AS_PUBLISHED
from data_tools.published.ave import read_annotations
from data_tools.published.inspection import Report, inspect
from recipes.protocol.open_set import PUBLISHED_KNOWN, known_classes
from tests.helpers import published_layouts as layouts

HEADER = "Category&VideoID&Quality&StartTime&EndTime"
LINES = ["Church bell&a&good&0&10", "Race car, auto racing&b&good&6&8", "Church bell&c&good&1&2"]


@pytest.fixture
def variants(data_root: Path) -> Path:
    """The folder of variants of annotation files."""
    if not (data_root / "variants").is_dir():
        pytest.skip(f"no variants in {data_root}")
    return data_root / "variants"


def issues(report: Report) -> dict[tuple[str, str], int]:
    return {(issue.kind, issue.where): len(issue.items) for issue in report.issues}


def versions() -> dict[str, bytes]:
    """The same three rows, written in ways that other programs write them."""
    plain = "\n".join(LINES) + "\n"
    tabs = plain.replace("&", "\t")
    commas = plain.replace("Race car, auto racing", '"Race car, auto racing"').replace("&", ",")
    swapped = "\n".join("&".join(line.split("&")[1:] + line.split("&")[:1]) for line in LINES)
    return {
        "plain": plain.encode(),
        "header": f"{HEADER}\n{plain}".encode(),
        "header, mark, line ends": f"\ufeff{HEADER}\r\n{plain}".replace("\n", "\r\n").encode(),
        "blank lines": f"\n\n{HEADER}\n\n{LINES[0]}\n\n  \n{LINES[1]}\n{LINES[2]}\n\n".encode(),
        "blank lines alone": f"\n{LINES[0]}\n\n{LINES[1]}\n{LINES[2]}".encode(),
        "tabs": tabs.encode(),
        "tabs and header": f"category\tvideo_id\tquality\tonset\toffset\n{tabs}".encode(),
        "commas": commas.encode(),
        "commas and header": f"Label,YTID,Quality,Start time,End time\n{commas}".encode(),
        "columns in another order": (f"video_id&quality&start&end&category\n{swapped}\n".encode()),
    }


@pytest.mark.parametrize("version", versions())
def test_rows_do_not_depend_on_how_annotations_are_written(tmp_path: Path, version: str) -> None:
    path = tmp_path / "Annotations.txt"
    path.write_bytes(versions()[version])
    rows, classes = read_annotations(path)
    assert classes == ("Church bell", "Race car, auto racing")
    assert [row.row for row in rows] == [0, 1, 2]
    assert [(row.id, row.spans) for row in rows] == [
        ("a", ((0, 0, 10),)),
        ("b", ((1, 6, 8),)),
        ("c", ((0, 1, 2),)),
    ]
    assert data_tools.FeatureFolder(tmp_path).categories == list(classes)


def test_an_error_names_the_line_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "Annotations.txt"
    path.write_text(f"{HEADER}\n\n{LINES[0]}\nChurch bell&d&good&0&12\n")
    with pytest.raises(ValueError, match=r"line 4 must have seconds from 0 to 10"):
        read_annotations(path)
    # Words that are no header are not skipped.
    path.write_text(f"What&Who&How&From&To\n{LINES[0]}\n")
    with pytest.raises(ValueError, match=r"line 1 must have seconds .* 'From' to 'To'"):
        read_annotations(path)


@pytest.mark.parametrize("separator", ["\t", ",", ";", "&"])
def test_tables_may_have_other_separators_and_spellings(tmp_path: Path, separator: str) -> None:
    lines = ["Split", "Video ID", "CATEGORY"], ["train", "v1", "skiing"], ["val", "v2", "bowling"]
    path = tmp_path / "table.csv"
    path.write_text("\ufeff\r\n" + "\r\n\r\n".join(separator.join(line) for line in lines))
    rows = read_table(path, ("category", "video_id", "split"))
    assert rows == [
        {"category": "skiing", "video_id": "v1", "split": "train"},
        {"category": "bowling", "video_id": "v2", "split": "val"},
    ]
    assert [row.line for row in rows] == [4, 6]


def test_lists_may_have_headers(tmp_path: Path) -> None:
    (tmp_path / "classes.txt").write_text("\ufeffClass name\r\n\r\nDog\r\nCategory of cats\r\n")
    assert read_list(tmp_path / "classes.txt") == ["Dog", "Category of cats"]


def test_nearest_name() -> None:
    assert nearest_name("KvIjsmANkxI_10_20`", {"KvIjsmANkxI_10_20", "other"}) == (
        "'KvIjsmANkxI_10_20`' (nearest known name: 'KvIjsmANkxI_10_20')"
    )


def test_ave_as_its_authors_distribute_it(variants: Path, data_root: Path, tmp_path: Path) -> None:
    shutil.copytree(data_root / "ave", tmp_path / "ave")
    shutil.copy(variants / "ave" / "Annotations.txt", tmp_path / "ave")
    ours = data_tools.open_published("ave", data_root)
    theirs = data_tools.open_published("ave", tmp_path)
    assert theirs.rows == ours.rows
    assert theirs.categories == ours.categories
    assert theirs.splits == ours.splits
    report = inspect("ave", tmp_path, read=False)
    (state,) = (file for file in report.files if file.name == "Annotations.txt")
    assert (state.content, state.state) == ("4143 lines and a header", AS_PUBLISHED)


def test_open_set_splits_as_lists_of_lines(variants: Path, data_root: Path, tmp_path: Path) -> None:
    shutil.copy(data_root / "ave" / "Annotations.txt", tmp_path)
    shutil.copytree(variants / "oscmg", tmp_path / "oscmg")
    for order, count in (("order_14class", 1857), ("order_21class", 2628)):
        listed = data_tools.open_published("ave", tmp_path, order=order)
        stored = data_tools.open_published("ave", data_root, order=order)
        assert listed.published == stored.published
        assert len(listed.published["train"]) == count
    path = tmp_path / "oscmg" / "trainSet_14.txt"
    path.write_text("Church bell&nowhere&good&0&10\n" + path.read_text())
    with pytest.raises(ValueError, match=r"trainSet_14\.txt, line 1 must be a line of Annotations"):
        _ = data_tools.open_published("ave", tmp_path, order="order_14class").published


@pytest.mark.parametrize("subset", ["_12", "_8"])
def test_open_set_tables_of_ucf(
    variants: Path, data_root: Path, tmp_path: Path, subset: str
) -> None:
    shutil.copytree(variants / "oscmg", tmp_path / "oscmg")
    for name in ("UCF101sameVGGSound.txt", "VGGSoundsameUCF101.txt"):
        shutil.copy(data_root / "ucf_vggsound" / name, tmp_path)
    for side in ("ucf", "vggsound"):
        options = {"side": side, "subset": subset}
        found = data_tools.open_published("ucf_vggsound", tmp_path, **options)
        stored = data_tools.open_published("ucf_vggsound", data_root, **options)
        assert found.published == stored.published


def test_vggsound_shares_videos_with_other_sets(variants: Path, data_root: Path) -> None:
    report = inspect("vggsound", variants, read=False, against=[data_root])
    assert report.sizes["reference"] == {"train": 24515, "val": 8171, "test": 8115}
    assert {file.name: file.state for file in report.files if file.sha256} == dict.fromkeys(
        (
            "vggsound-avel40k.csv",
            "vggsound-avel90k-new.csv",
            "VggsoundAVEL40kCategories.txt",
            "vggsoundCategories2Prompts.csv",
        ),
        AS_PUBLISHED,
    )
    shared = {issue.where.split(" (")[0]: issue for issue in report.issues if "video" in issue.kind}
    assert len(shared["vggsound and ave"].items) == 342
    # Of the videos that AVVP lists, 49 are of its test list.
    assert "test 49)" in shared["vggsound and avvp"].where
    lacking = shared["vggsound-avel40k.csv against vggsound-avel90k-new.csv"]
    assert len(lacking.items) == 7293
    assert "vggsound and ave (" in "\n".join(report.lines())


def test_the_larger_table_is_read_too(variants: Path) -> None:
    dataset = data_tools.open_published(
        "vggsound", variants, table="vggsound-avel90k-new.csv", protocol="reference"
    )
    sizes = {split: len(clips) for split, clips in dataset.published.items()}
    assert sizes == {"train": 53598, "val": 16858, "test": 16867}
    assert len(dataset.categories) == 141


def test_a_damaged_table_is_named_with_line_and_value(
    variants: Path, data_root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(data_root / "avvp", tmp_path / "avvp")
    shutil.copy(variants / "avvp" / "AVVP_eval_audio.csv", tmp_path / "avvp")
    words = ["verify", "avvp", "--root", str(tmp_path), "--quick", "--option", "events=audio"]
    assert main([*words, "--option", "version=original"]) == 1
    shown = capsys.readouterr().out
    assert "AVVP_eval_audio.csv: 4131 rows, sha256 249122f65501..., NOT AS PUBLISHED" in shown
    report = inspect("avvp", tmp_path, read=False, events="audio", version="original")
    items = [item for issue in report.issues if "name" in issue.kind for item in issue.items]
    assert "line 930: 'Baby_cry_infant_cry' (the name of a class)" in items
    near = "line 2449: 'KvIjsmANkxI_10_20`' (nearest known name: 'KvIjsmANkxI_10_20')"
    assert near in items


def test_videos_of_damaged_sets_are_not_compared_silently(tmp_path: Path) -> None:
    layouts.write_vggsound(tmp_path / "vggsound")
    layouts.write_avvp(tmp_path / "avvp")
    (tmp_path / "avvp" / "AVVP_test_pd.csv").write_text("nonsense\n")
    report = inspect("vggsound", tmp_path, read=False)
    (issue,) = (issue for issue in report.issues if "compared" in issue.kind)
    assert issue.where == "avvp"
    assert "AVVP_test_pd.csv must begin with the columns" in issue.items[0]


MISSING = {
    "clotho": ("clotho_captions_evaluation.csv", "train"),
    "mscoco": ("annotations/captions_val2017.json", "train"),
    "valor": ("desc_val.json", "train"),
}


@pytest.mark.parametrize("name", MISSING)
def test_nothing_is_held_out_silently(tmp_path: Path, name: str) -> None:
    """A split cannot be held out from a split whose file is missing."""
    getattr(layouts, f"write_{name}")(tmp_path)
    if name == "mscoco":
        (tmp_path / "annotations/captions_train2017.json").write_text(
            '{"annotations": [{"image_id": 139, "caption": "a"}, {"image_id": 9, "caption": "b"}]}'
        )
        layouts.write_features(tmp_path, ["000000000009"], {"video": layouts.VIDEO})
    file, split = MISSING[name]
    before = data_tools.open_published(name, tmp_path).examples(split)
    assert before
    (tmp_path / file).unlink()
    dataset = data_tools.open_published(name, tmp_path)
    assert dataset.is_present()
    with pytest.raises(FileNotFoundError, match=f"must not have videos of .*{Path(file).name}"):
        dataset.examples(split)
    with pytest.raises(FileNotFoundError, match=Path(file).name):
        data_tools.load(tmp_path, split, dataset=name, format="numpy")
    report = inspect(name, tmp_path, read=False)
    assert split not in report.clean
    assert any(issue.kind == "split that cannot be held out" for issue in report.issues)
    reference = data_tools.open_published(name, tmp_path, protocol="reference")
    assert len(reference.examples(split)) >= len(before)


@pytest.mark.parametrize("name", ["ave", "avvp", "ave_avvp", "ucf_vggsound", "vggsound"])
def test_each_missing_file_that_decides_a_split_is_an_error(tmp_path: Path, name: str) -> None:
    getattr(layouts, f"write_{name}")(tmp_path)
    if name == "ave_avvp":
        layouts.write_avvp(tmp_path / "avvp")
    optional = {"AVVP_Categories.txt", "AVVP_train.csv"}
    files = set(data_tools.open_published(name, tmp_path).annotation_files()) - optional
    needed = {"vggsound": ("labels", "text")}.get(name, ())
    for file in sorted(files):
        path = data_tools.open_published(name, tmp_path).find(file)
        hidden = path.rename(path.with_name("hidden"))
        dataset = data_tools.open_published(name, tmp_path)
        with pytest.raises(FileNotFoundError, match=file):
            dataset.examples("train")
            for kind in needed:
                _ = dataset.labels("train") if kind == "labels" else dataset.source(kind, "train")
        hidden.rename(path)


def test_a_damaged_validation_split_is_an_error(tmp_path: Path) -> None:
    layouts.write_clotho(tmp_path)
    (tmp_path / "clotho_captions_validation.csv").write_text("nonsense\n")
    for split in ("train", "val", "test"):
        with pytest.raises(ValueError, match=r"clotho_captions_validation\.csv must begin"):
            data_tools.open_published("clotho", tmp_path).examples(split)


@pytest.mark.parametrize(
    ("name", "sides", "subsets"),
    [
        ("ave", ({},), {14: {"order": "order_14class"}, 21: {"order": "order_21class"}}),
        ("ucf51", ({},), {17: {"subset": "_17"}, 34: {"subset": "_34"}}),
        (
            "ucf_vggsound",
            ({"side": "ucf"}, {"side": "vggsound"}),
            {8: {"subset": "_8"}, 12: {"subset": "_12"}},
        ),
    ],
)
def test_known_classes_of_open_set_splits_are_the_first_ones(
    variants: Path,
    data_root: Path,
    tmp_path: Path,
    name: str,
    sides: tuple[dict, ...],
    subsets: dict[int, dict],
) -> None:
    shutil.copytree(variants / "oscmg", tmp_path / "oscmg")
    stored = "ave" if name == "ave" else "ucf_vggsound"
    for path in (data_root / stored).iterdir():
        shutil.copy(path, tmp_path)
    assert tuple(subsets) == PUBLISHED_KNOWN[name]
    for side in sides:
        whole = data_tools.open_published(name, tmp_path, **side)
        for count, subset in subsets.items():
            known = known_classes(name, len(whole.categories), count)
            part = data_tools.open_published(name, tmp_path, **side, **subset)
            listed = {part.categories[clip.spans[0][0]] for clip in part.published["train"]}
            first = [whole.categories[number] for number in known]
            with_clips = {
                whole.categories[clip.spans[0][0]]
                for clips in whole.published.values()
                for clip in clips
            }
            assert listed == set(first) & with_clips
            if name == "ucf51":
                assert list(part.categories) == first
