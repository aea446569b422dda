"""Each published layout, written small by hand, loads to the exact arrays, clips and labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import data_tools
from data_tools.features import TextFeatures
from data_tools.untrusted.features import find_feature
from tests.helpers import published_layouts as layouts
from tests.helpers.published_layouts import stacked


def numpy(root: Path, dataset: str, split: str, **options: object) -> dict[str, np.ndarray]:
    return data_tools.load(root, split, dataset=dataset, format="numpy", **options)


def test_ave(tmp_path: Path) -> None:
    arrays = layouts.write_ave(tmp_path)
    rows = {
        ("heldout", "train"): [3, 6],  # clip 0 is a video of test, clip 2 has no event
        ("heldout", "test"): [5, 7],
        ("reference", "train"): [0, 2, 3, 6],
    }
    for (protocol, split), expected in rows.items():
        found = numpy(tmp_path, "ave", split, protocol=protocol, labels=True)
        assert set(found) == {"audio", "video", "labels"}
        for kind, values in found.items():
            assert values.dtype == np.float32
            np.testing.assert_array_equal(values, arrays[kind][expected])


def test_ave_without_label_file_makes_the_same_labels(tmp_path: Path) -> None:
    expected = layouts.write_ave(tmp_path)["labels"]
    (tmp_path / "labels.h5").unlink()
    found = numpy(tmp_path, "ave", "train", protocol="reference", labels=True)
    np.testing.assert_array_equal(found["labels"], expected[[0, 2, 3, 6]])


def test_avvp(tmp_path: Path) -> None:
    arrays = layouts.write_avvp(tmp_path)
    dataset = data_tools.open_published("avvp", tmp_path)
    assert dataset.categories == ("Car", "Speech", "Dog")
    assert set(layouts.AVVP_VAL) == dataset.groups("train") | dataset.groups("val")
    assert not dataset.groups("train") & dataset.groups("val")
    found = numpy(tmp_path, "avvp", "test", labels=True, modalities=("video",))
    np.testing.assert_array_equal(found["video"], stacked(arrays, "video", layouts.AVVP_TEST))
    labels = np.zeros((2, 10, 4))
    labels[0, :5, 2] = labels[0, 9, 0] = 1  # Dog 0-5, Car 9-10; Dog 5-5 is empty
    labels[0, 5:9, 3] = 1
    labels[1, :, 3] = 1
    labels[1, 1] = [0, 1, 0, 0]
    np.testing.assert_array_equal(found["labels"], labels)
    weak = numpy(tmp_path, "avvp", "test", labels="weak", modalities=("audio",))
    np.testing.assert_array_equal(weak["labels"], [[1, 0, 1], [0, 1, 0]])


def test_avvp_overlapping_events(tmp_path: Path) -> None:
    layouts.write_avvp(tmp_path)
    labels = numpy(tmp_path, "avvp", "val", labels=True, modalities=("audio",))["labels"][0]
    # Dog 0-3 and Speech 2-4 share second 2.
    expected = [[0, 0, 1, 0], [0, 0, 1, 0], [0, 1, 1, 0], [0, 1, 0, 0], *([[0, 0, 0, 1]] * 6)]
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("version", ["combined", "checked", "original"])
def test_avvp_versions_agree(tmp_path: Path, version: str) -> None:
    layouts.write_avvp(tmp_path)
    arrays = [
        numpy(tmp_path, "avvp", "test", labels=True, version=chosen)
        for chosen in ("combined", version)
    ]
    np.testing.assert_array_equal(arrays[0]["labels"], arrays[1]["labels"])


def test_avvp_weak_and_reference(tmp_path: Path) -> None:
    arrays = layouts.write_avvp(tmp_path)
    found = numpy(tmp_path, "avvp", "train", weak=True, labels="weak", modalities=("audio",))
    np.testing.assert_array_equal(found["audio"], stacked(arrays, "audio", ["train00000a"]))
    np.testing.assert_array_equal(found["labels"], [[0, 1, 1]])
    heard = data_tools.open_published("avvp", tmp_path, events="audio", protocol="reference")
    seen = data_tools.open_published("avvp", tmp_path, events="visual", protocol="reference")
    assert [len(heard.examples("train")), len(seen.examples("test"))] == [14, 15]


def test_ave_avvp(tmp_path: Path) -> None:
    ave, avvp = layouts.write_ave_avvp(tmp_path)
    for split, rows in (("train", [3]), ("val", [4])):  # row 6 is a video of the test part
        found = numpy(tmp_path, "ave_avvp", split, labels=True)
        for kind, values in found.items():
            np.testing.assert_array_equal(values, ave[kind][rows])
    found = numpy(tmp_path, "ave_avvp", "train", labels=True, protocol="reference")
    np.testing.assert_array_equal(found["labels"], ave["labels"][[3, 4, 5, 6, 7]])
    found = numpy(tmp_path, "ave_avvp", "test", labels=True)
    ids = ["test000000a", "cat00000002"]
    np.testing.assert_array_equal(found["audio"], stacked(avvp, "audio", ids))
    np.testing.assert_array_equal(found["video"], stacked(avvp, "video", ids))
    np.testing.assert_array_equal(found["labels"][0].argmax(-1), [1, 1, 2, 0, 0, 0, 2, 2, 2, 2])


def test_vggsound(tmp_path: Path) -> None:
    arrays = layouts.write_vggsound(tmp_path)
    found = numpy(tmp_path, "vggsound", "train", labels=True)
    ids = ["ski00000001", "bowl0000001"]
    for modality in ("audio", "video"):
        np.testing.assert_array_equal(found[modality], stacked(arrays, modality, ids))
    encoder = TextFeatures(768, 10)
    np.testing.assert_array_equal(found["text"], encoder(["The sound of skis, gliding", "Pins"]))
    assert found["text_mask"].sum(1).tolist() == [5, 1]
    assert found["labels"].argmax(-1).tolist() == [[1] * 10, [0] * 10]
    everything = numpy(tmp_path, "vggsound", "train", protocol="reference", modalities=("audio",))
    assert len(everything["audio"]) == 3


def test_stored_text_comes_before_the_encoder(tmp_path: Path) -> None:
    layouts.write_vggsound(tmp_path)
    ids = ["ski00000001", "bowl0000001", "ski00000002", "ski00000003"]
    stored = layouts.write_features(tmp_path, ids, {"text": (6, 5)})["text"]
    found = numpy(tmp_path, "vggsound", "val", modalities=("text",))
    np.testing.assert_array_equal(found["text"][0, :6], stored["ski00000003"])
    assert found["text"].shape == (1, 10, 5)
    assert not found["text"][0, 6:].any()
    assert found["text_mask"].tolist() == [[True] * 6 + [False] * 4]


def test_an_encoder_of_ones_own(tmp_path: Path) -> None:
    layouts.write_vggsound(tmp_path)

    def encoder(sentences: list[str]) -> np.ndarray:
        return np.array([np.full((3, 2), len(sentence)) for sentence in sentences])

    found = numpy(tmp_path, "vggsound", "val", modalities=("text",), text_encoder=encoder)
    np.testing.assert_array_equal(found["text"], np.full((1, 3, 2), 26))


def test_ucf_vggsound(tmp_path: Path) -> None:
    arrays = layouts.write_ucf_vggsound(tmp_path)
    ids = ["v_Skiing_g12_c01", "v_Skiing_g12_c02"]
    found = numpy(tmp_path, "ucf_vggsound", "train", side="ucf", modalities=("video",), labels=True)
    np.testing.assert_array_equal(found["video"], stacked(arrays["ucf"], "video", ids))
    assert found["labels"].shape == (2, 10, 4)
    assert (found["labels"] == np.eye(4)[0]).all()
    heard = numpy(tmp_path, "ucf_vggsound", "test", side="vggsound", modalities=("audio",))
    np.testing.assert_array_equal(
        heard["audio"], stacked(arrays["vggsound"], "audio", ["ski00000003"])
    )
    splits = data_tools.open_published("ucf_vggsound", tmp_path, protocol="reference").splits
    assert {name: len(clips) for name, clips in splits.items()} == {"train": 5, "test": 5}


def test_ucf51(tmp_path: Path) -> None:
    arrays = layouts.write_ucf51(tmp_path)
    ids = ["v_Skiing_g12_c01", "v_Skiing_g12_c02"]
    found = numpy(tmp_path, "ucf51", "train", subset="_17", labels=True)
    for modality in ("audio", "video"):
        np.testing.assert_array_equal(found[modality], stacked(arrays, modality, ids))
    assert (found["labels"] == np.eye(2)[0]).all()
    whole = data_tools.open_published("ucf51", tmp_path, protocol="reference")
    assert {name: len(clips) for name, clips in whole.splits.items()} == {"train": 5, "test": 5}
    with pytest.raises(ValueError, match="`subset` must be one of"):
        data_tools.open_published("ucf51", tmp_path, subset="_18")


def test_clotho(tmp_path: Path) -> None:
    arrays = layouts.write_clotho(tmp_path)
    found = numpy(tmp_path, "clotho", "test")
    np.testing.assert_array_equal(found["audio"], stacked(arrays, "audio", ["Wind a", "Sea"]))
    expected = TextFeatures(768, 10)(["Wind sound 0", "Sea. sound 1"])
    np.testing.assert_array_equal(found["text"], expected)
    assert len(numpy(tmp_path, "clotho", "train", num_captions=3)["audio"]) == 3


def test_mscoco(tmp_path: Path) -> None:
    arrays = layouts.write_mscoco(tmp_path)
    found = numpy(tmp_path, "mscoco", "test")
    ids = ["000000000139", "000000000285"]
    np.testing.assert_array_equal(found["video"], stacked(arrays, "video", ids))
    assert found["text_mask"].sum(1).tolist() == [4, 2]


def test_flickrsound(tmp_path: Path) -> None:
    arrays = layouts.write_flickrsound(tmp_path)
    everything = numpy(tmp_path, "flickrsound", "test", protocol="reference")
    np.testing.assert_array_equal(everything["audio"], np.stack(list(arrays["audio"].values())))
    sizes = [
        len(numpy(tmp_path, "flickrsound", split)["video"]) for split in ("train", "val", "test")
    ]
    assert sum(sizes) == 30
    chosen = [
        data_tools.open_published(
            "flickrsound", tmp_path, protocol="reference", num_pairs=count
        ).groups("test")
        for count in (5, 12)
    ]
    assert [len(ids) for ids in chosen] == [5, 12]
    assert chosen[0] < chosen[1]


def test_valor(tmp_path: Path) -> None:
    arrays = layouts.write_valor(tmp_path)
    found = numpy(tmp_path, "valor", "train")
    (id,) = ["bbbbbbbbbbb_0.000_10.000"]  # the other clip is of a video of test
    for modality in ("audio", "video"):
        np.testing.assert_array_equal(found[modality], stacked(arrays, modality, [id]))
    np.testing.assert_array_equal(found["text"][:, :7], stacked(arrays, "text", [id]))
    assert len(numpy(tmp_path, "valor", "test")["audio"]) == 1


def test_images(tmp_path: Path) -> None:
    colours = layouts.write_images(tmp_path)
    dataset = data_tools.open_published("celeba_hq", tmp_path)
    total = 0
    for split in ("train", "val", "test"):
        if split not in dataset.splits:
            continue
        names = [example.id for example in dataset.examples(split)]
        found = numpy(tmp_path, "celeba_hq", split, size=4)["image"]
        assert found.shape == (len(names), 4, 4, 3)
        np.testing.assert_allclose(found[:, 1, 2], [colours[name] for name in names], atol=1e-6)
        total += len(names)
    assert total == 40


def test_digits_and_synthetic_are_prepared_folders(prepared: Path) -> None:
    found = numpy(prepared, "synthetic", "val", labels=True)
    expected = data_tools.load(prepared, "val", format="numpy", labels=True)
    for kind, values in expected.items():
        np.testing.assert_array_equal(found[kind], values)
    with pytest.raises(ValueError, match="`dataset` must be that of the prepared folder"):
        numpy(prepared, "digits", "val")


def test_sound_is_padded_by_its_last_row_and_cut(tmp_path: Path) -> None:
    layouts.write_flickrsound(tmp_path, 3)
    short = np.arange(8, dtype=np.float32).reshape(2, 4)
    layouts.write_feature(tmp_path / "audio" / "7000000.zip", short)
    long = np.arange(60, dtype=np.float32).reshape(15, 4)
    layouts.write_feature(tmp_path / "audio" / "7000003.zip", long)
    found = numpy(tmp_path, "flickrsound", "test", protocol="reference")["audio"]
    np.testing.assert_array_equal(found[0], [short[0], *([short[1]] * 9)])
    np.testing.assert_array_equal(found[1], long[:10])


@pytest.mark.parametrize("format", ["pydataset", "numpy"])
def test_excluded_videos_are_in_no_split(tmp_path: Path, format: str) -> None:
    layouts.write_vggsound(tmp_path)
    dataset = data_tools.open_published("vggsound", tmp_path, exclude=["ski00000001"])
    for split in ("train", "val", "test"):
        assert "ski00000001" not in dataset.groups(split)
    batches = data_tools.load(
        tmp_path,
        "train",
        dataset="vggsound",
        exclude=["ski00000001"],
        modalities=("audio",),
        format=format,
        batch_size=1,
    )
    assert len(batches["audio"] if format == "numpy" else batches) == 1


def test_values_of_annotations_are_quoted_shortly(tmp_path: Path) -> None:
    layouts.write_vggsound(tmp_path)
    path = tmp_path / "vggsound-avel40k.csv"
    path.write_text(f"split,category,video_id\n{'x' * 9000},skiing,ski00000001\n")
    with pytest.raises(ValueError, match=r"vggsound-avel40k\.csv, line 2 must have") as caught:
        data_tools.open_published("vggsound", tmp_path).split_names()
    assert len(str(caught.value)) < 1000


def test_a_long_id_is_no_file_name(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="an id must be a plain file name") as caught:
        find_feature(tmp_path, "x" * 9000)
    assert len(str(caught.value)) < 1000
