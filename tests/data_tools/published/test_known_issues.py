"""Issues planted in small annotation files are found, and the held-out splits are free of them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import h5py
import numpy as np
import pytest

import data_tools
from data_tools.published.annotation_files import DIFFERENT
from data_tools.published.examples import Example, hold_out
from data_tools.published.inspection import inspect
from data_tools.published.registry import PUBLISHED_DATASETS
from tests.helpers import published_layouts as layouts


def kinds(name: str, root: Path, **options: object) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for issue in data_tools.open_published(name, root, **options).known_issues():
        found.setdefault(issue.kind, []).extend(issue.items)
    return found


def test_ave(tmp_path: Path) -> None:
    arrays = layouts.write_ave(tmp_path)
    assert kinds("ave", tmp_path) == {
        "leaking ids": ["bell0000001"],
        "empty span": ["bell0000003@2"],
        "sorted by class": ["3 classes"],
    }
    wrong = arrays["labels"].copy()
    wrong[4] = np.eye(4)[0]
    layouts.write_array(tmp_path / "labels.h5", wrong)
    layouts.write_array(tmp_path / "train_order.h5", [0, 2, 2, 3], "order")
    layouts.write_array(tmp_path / "audio_feature.h5", arrays["audio"][:7])
    found = kinds("ave", tmp_path)
    assert found["labels unlike the annotations"] == ["bark0000002@4"]
    assert found["duplicate"] == ["bell0000003@2"]
    assert found["line in no split"] == ["cat00000002@6"]
    assert found["sorted by class"] == ["2 classes"]
    assert found["rows unlike the annotations"] == ["7 rows, 8 lines"]


def test_avvp(tmp_path: Path) -> None:
    layouts.write_avvp(tmp_path)
    found = kinds("avvp", tmp_path, version="original")
    assert found == {
        "empty span": ["test000000a_30_40 Dog 5-5"],
        "duplicate": ["short_30_40 Speech 1-2"],
        "stray name": ["line 29: 'test000000b_30_40`' (nearest known name: 'test000000b_30_40')"],
        "unmatched name": ["line 30: 'short_30_40' (no known name is similar)"],
    }


def test_ave_avvp(tmp_path: Path) -> None:
    ave, _ = layouts.write_ave_avvp(tmp_path)
    layouts.write_avvp(tmp_path / "avvp")
    header = [["filename", "event_labels"], ["bark0000001_0_10", "Dog"]]
    layouts.write_table(tmp_path / "avvp" / "AVVP_test_pd.csv", header, "\t")
    labels = ave["labels"].copy()
    labels[4] = 0
    layouts.write_array(tmp_path / "avvp" / "ave_avvp" / "ave_avvp_labels.h5", labels)
    found = kinds("ave_avvp", tmp_path)
    assert found["video in both data sets"] == ["bark0000001"]
    assert found["leaking ids"] == ["cat00000002"]
    assert found["labels unlike the annotations"] == ["bark0000002@4"]


def test_the_other_sets(tmp_path: Path) -> None:
    layouts.write_vggsound(tmp_path / "vggsound")
    assert kinds("vggsound", tmp_path) == {"leaking ids": ["ski00000002"]}
    layouts.write_ucf_vggsound(tmp_path / "ucf_vggsound")
    found = kinds("ucf_vggsound", tmp_path, side="vggsound")
    assert found["class on one side only"] == [
        "FrisbeeCatch / playing frisbee: ucf only",
        "Bowling / bowling impact: vggsound only",
        "bowl0000001",
    ]
    layouts.write_clotho(tmp_path / "clotho")
    found = kinds("clotho", tmp_path)
    assert found["empty caption"][0] == "Sea.wav sentence 1"
    assert found["empty caption"][-1] == "Mute"
    layouts.write_mscoco(tmp_path / "mscoco")
    assert kinds("mscoco", tmp_path)["empty caption"] == ["000000000632 sentence 1", "000000000632"]
    layouts.write_valor(tmp_path / "valor")
    assert kinds("valor", tmp_path)["leaking ids"] == ["aaaaaaaaaaa"]


def written(root: Path) -> None:
    layouts.write_ave_avvp(root)
    layouts.write_avvp(root / "avvp")
    names = ("vggsound", "ucf51", "ucf_vggsound", "clotho", "mscoco", "flickrsound", "valor")
    for name in names:
        getattr(layouts, f"write_{name}")(root / name)
    layouts.write_images(root / "celeba_hq")


@pytest.mark.parametrize("name", sorted(set(PUBLISHED_DATASETS) - {"mnist"}))
def test_no_video_is_in_two_held_out_splits(tmp_path: Path, name: str) -> None:
    written(tmp_path)
    root = tmp_path / "celeba_hq" if name == "celeba_hq" else tmp_path
    dataset = data_tools.open_published(name, root)
    groups = [{clip.group for clip in clips} for clips in dataset.splits.values()]
    assert sum(len(ids) for ids in groups) > 0
    for one, other in itertools.combinations(groups, 2):
        assert not one & other
    assert not any(clip.fault for clips in dataset.splits.values() for clip in clips)


@pytest.mark.parametrize("seed", range(20))
def test_holding_out_keeps_test_whole_and_loses_nothing_else(seed: int) -> None:
    rng = np.random.default_rng(seed)
    published = {
        split: [
            Example(str(n), f"{split}{n}", str(rng.integers(12)), fault="x" if n == 3 else "")
            for n in range(rng.integers(1, 9))
        ]
        for split in ("train", "val", "test")
    }
    exclude = {str(rng.integers(12))}
    result = hold_out(published, exclude)
    groups = {split: {clip.group for clip in clips} for split, clips in result.items()}
    for one, other in itertools.combinations(groups.values(), 2):
        assert not one & other
    later: set[str] = set(exclude)
    for split in ("test", "val", "train"):
        expected = [c for c in published[split] if c.group not in later and not c.fault]
        assert result[split] == expected
        later |= groups[split]


def test_changed_files_and_missing_files_are_told(tmp_path: Path) -> None:
    layouts.write_ave(tmp_path)
    report = inspect("ave", tmp_path)
    states = {file.name: file.state for file in report.files}
    assert states["Annotations.txt"] == DIFFERENT
    assert states["labels_closs.h5"] == "MISSING"
    assert not report.whole
    layouts.write_flickrsound(tmp_path)
    assert inspect("flickrsound", tmp_path).whole
    (tmp_path / "video" / "7000000.zip").unlink()
    for read in (True, False):
        report = inspect("flickrsound", tmp_path, read=read)
        assert not report.whole
        (line,) = (line for line in report.lines() if line.strip().startswith("7000000: "))
        assert "7000000.zip or 7000000.npy. Received neither" in line


ANNOTATION_FAULTS = {
    "ave, line": (
        "ave",
        "Annotations.txt",
        "Bark&a&good&0\n",
        "must have 5 fields in each line, separated by '&'; line 1 has fewer",
    ),
    "ave, seconds": (
        "ave",
        "Annotations.txt",
        "Bark&a&good&0&11\n",
        "must have seconds from 0 to 10",
    ),
    "ave, text": ("ave", "Annotations.txt", "Bark&a&good&zero&ten\n", "Received: 'zero' to 'ten'"),
    "avvp, columns": (
        "avvp",
        "AVVP_eval_visual_checked_combined.csv",
        "a\tb\n",
        "with the columns",
    ),
    "avvp, lists": (
        "avvp",
        "AVVP_eval_visual_checked_combined.csv",
        "filename\tonset\toffset\tevent_labels\nx_0_10\t0,1\t2\tDog\n",
        "line 2 must have as many onsets as offsets and labels. Received: [2, 1, 1]",
    ),
    "avvp, class": (
        "avvp",
        "AVVP_eval_visual_checked_combined.csv",
        "filename\tonset\toffset\tevent_labels\nx_0_10\t0\t2\tWolf\n",
        "line 2 must name one of 3 classes. Received: 'Wolf' (no known name is similar)",
    ),
    "vggsound, split": (
        "vggsound",
        "vggsound-avel40k.csv",
        "split,category,video_id\ndev,skiing,a\n",
        "line 2 must have a split of ('train', 'val', 'test')",
    ),
    "vggsound, fields": (
        "vggsound",
        "vggsoundCategories2Prompts.csv",
        "label,prompt\nskiing,The sound, of skis\n",
        "must have 2 fields in each line, separated by ','; line 2 has more",
    ),
    "ucf, id": (
        "ucf_vggsound",
        "ucf2vggsound.csv",
        "category,video_id\nSkiing,skiing-1\n",
        "must have an id such as v_Skiing_g09_c01. Received: 'skiing-1'",
    ),
    "ucf, lists": (
        "ucf_vggsound",
        "UCF101sameVGGSound.txt",
        "Skiing\n",
        "must pair classes line by",
    ),
    "mscoco, json": ("mscoco", "annotations/captions_val2017.json", "{", "must hold valid JSON"),
    "mscoco, list": ("mscoco", "annotations/captions_val2017.json", "[]", "must hold a list under"),
    "mscoco, deep": (
        "mscoco",
        "annotations/captions_val2017.json",
        "[" * 100_000,
        "must hold valid JSON",
    ),
    "valor, entry": ("valor", "desc_test.json", '[{"desc": "x"}]', "entry 0 does not"),
    "valor, type": ("valor", "desc_test.json", '[{"desc": 1, "video_id": "x"}]', "entry 0 has not"),
}


@pytest.mark.parametrize("fault", ANNOTATION_FAULTS)
def test_damaged_annotations_are_named_with_file_and_line(tmp_path: Path, fault: str) -> None:
    name, file, content, message = ANNOTATION_FAULTS[fault]
    getattr(layouts, f"write_{name}")(tmp_path)
    (tmp_path / file).write_text(content)
    with pytest.raises(ValueError, match=Path(file).name) as caught:
        data_tools.open_published(name, tmp_path).examples("test")
    assert message in str(caught.value)


def test_tables_may_have_marks_and_line_ends_of_other_systems(tmp_path: Path) -> None:
    layouts.write_flickrsound(tmp_path, 2)
    (tmp_path / "flickr.csv").write_bytes("\ufefffilename\r\n7000000.wav\r\n".encode())
    clips = data_tools.open_published("flickrsound", tmp_path, protocol="reference")
    assert [clip.id for clip in clips.examples("test")] == ["7000000"]
    (tmp_path / "flickr.csv").write_bytes(b"filename\n\xff\xfe\n")
    with pytest.raises(ValueError, match=r"flickr\.csv must be UTF-8 text"):
        data_tools.open_published("flickrsound", tmp_path).examples("test")


def test_sentences_may_hold_quotes_commas_and_odd_line_ends(tmp_path: Path) -> None:
    layouts.write_clotho(tmp_path)
    header = ["file_name", *(f"caption_{number}" for number in range(1, 6))]
    sentences = ['a "loud", long\u2028 bang', "b", "c", "d", "e"]
    layouts.write_table(
        tmp_path / "clotho_captions_evaluation.csv", [header, ["x.wav", *sentences]]
    )
    (clip,) = data_tools.open_published("clotho", tmp_path).examples("test")
    assert clip.caption == sentences[0]


def test_ids_that_lead_out_of_the_folder_are_not_followed(tmp_path: Path) -> None:
    layouts.write_valor(tmp_path / "set")
    layouts.write_features(tmp_path, ["secret"], {"audio": (10, 4)})
    rows = [{"video_id": "../../audio/secret", "desc": "a"}]
    (tmp_path / "set" / "desc_test.json").write_text(json.dumps(rows))
    with pytest.raises(ValueError, match="an id must be a plain file name"):
        data_tools.load(tmp_path / "set", "test", ("audio",), dataset="valor", format="numpy")


@pytest.mark.parametrize("kind", ["external link", "virtual", "external storage", "text", "wide"])
def test_arrays_that_lead_out_of_their_file_are_refused(tmp_path: Path, kind: str) -> None:
    layouts.write_ave(tmp_path)
    path = tmp_path / "audio_feature.h5"
    path.rename(tmp_path / "other.h5")
    with h5py.File(path, "w") as file:
        if kind == "external link":
            file["avadataset"] = h5py.ExternalLink("other.h5", "avadataset")
        elif kind == "virtual":
            layout = h5py.VirtualLayout((8, 10, 4), "f8")
            layout[:] = h5py.VirtualSource(tmp_path / "other.h5", "avadataset", (8, 10, 4))
            file.create_virtual_dataset("avadataset", layout)
        elif kind == "external storage":
            stored = [(str(tmp_path / "Annotations.txt"), 0, 80)]
            file.create_dataset("avadataset", (1, 10, 1), "f8", external=stored)
        elif kind == "text":
            file["avadataset"] = ["a", "b"]
        else:
            file.create_dataset("avadataset", (8, 10, 10**8), "f8", chunks=(1, 1, 1000))
    message = {
        "external link": "must hold an array named",
        "text": "must hold rows of numbers",
        "wide": "must have rows of at most",
    }.get(kind, "Received one kept in other files")
    with pytest.raises(ValueError, match=message):
        data_tools.load(tmp_path, "train", ("audio",), dataset="ave", format="numpy")
