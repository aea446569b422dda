"""Sources: what a picture, a sentence or a row may be, and what errors say."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data_tools.published.celeba_hq import ImageSource
from data_tools.published.examples import Example
from data_tools.published.selection import Selection, keep_clean, select
from data_tools.published.sources import ArraySource, CaptionSource, FileSource
from tests.helpers.hostile_files import write_feature
from tests.helpers.memory import bounded_memory
from tests.helpers.published_layouts import write_flickrsound


def clip(id: str, caption: str | None = None, row: int = -1) -> Example:
    return Example(id, id, id, caption=caption, row=row)


def test_pictures_are_cut_to_a_square_from_the_middle(tmp_path: Path) -> None:
    picture = np.zeros((8, 16, 3), np.uint8)
    picture[:, 4:12] = 200
    Image.fromarray(picture).save(tmp_path / "a.png")
    found = ImageSource(tmp_path, 4).read(clip("a.png"))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[:, 1:3], 200 / 255, atol=0.02)


def test_grey_and_transparent_pictures_get_three_channels(tmp_path: Path) -> None:
    Image.new("L", (4, 4), 51).save(tmp_path / "grey.png")
    Image.new("RGBA", (4, 4), (51, 51, 51, 9)).save(tmp_path / "clear.png")
    for name in ("grey.png", "clear.png"):
        np.testing.assert_allclose(ImageSource(tmp_path, 2).read(clip(name)), 0.2, atol=1e-6)


def test_bad_pictures_are_named(tmp_path: Path) -> None:
    source = ImageSource(tmp_path, 4)
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (64, 64, 3), np.uint8)).save(
        tmp_path / "cut.jpg"
    )
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:900])
    (tmp_path / "text.png").write_bytes(b"no picture")
    (tmp_path / "empty.png").write_bytes(b"")
    Image.new("RGB", (4, 4)).save(tmp_path / "other.png", "GIF")
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    Image.new("1", (30000, 20000)).save(tmp_path / "bomb.png")
    for name in ("cut.jpg", "text.png", "empty.png", "other.png", "huge.png", "bomb.png"):
        with (
            bounded_memory(2**24),
            pytest.raises(ValueError, match=f"{name} must be a whole picture; it"),
        ):
            source.read(clip(name))
    with pytest.raises(FileNotFoundError, match=r"none\.png does not exist"):
        source.read(clip("none.png"))
    with pytest.raises(ValueError, match=r"`size` must be at least 1\. Received: 0"):
        ImageSource(tmp_path, 0)


def test_empty_captions_are_named() -> None:
    for caption in (None, "", "  "):
        with pytest.raises(ValueError, match=r"clip a must have a caption\. Received an empty one"):
            CaptionSource().read(clip("a", caption))
    assert CaptionSource().files(clip("a")) == "clip a has an empty caption"


def test_encoders_are_checked() -> None:
    with pytest.raises(ValueError, match="`text_encoder` must turn n sentences into"):
        CaptionSource(lambda sentences: np.zeros((len(sentences), 5)))
    uneven = CaptionSource(lambda sentences: np.zeros((1, len(sentences[0]), 2)))
    with pytest.raises(ValueError, match="for 'longer than six' it gave"):
        uneven.read(clip("a", "longer than six"))


def test_the_usual_shape_is_that_of_most_clips(tmp_path: Path) -> None:
    for number in range(40):
        shape = (10, 3) if number % 4 == 0 else (10, 2)
        write_feature(tmp_path / f"{number}.zip", np.ones(shape))
    ids = [str(number) for number in range(40)]
    source = FileSource(tmp_path, "audio", ids)
    assert source.shape == (10, 2)
    with pytest.raises(
        ValueError, match=r"0\.zip must have the shape \(10, 2\) of the other clips"
    ):
        source.read(clip("0"))
    assert FileSource(tmp_path, "audio", ids, shape=(10, 3)).read(clip("0")).shape == (10, 3)


def test_a_folder_without_any_readable_clip_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="must be the folder of the audio features"):
        FileSource(tmp_path / "none", "audio", ["a"])
    with pytest.raises(ValueError, match="none of 1 looked at can be read, the first because"):
        FileSource(tmp_path, "audio", ["a"])


def test_rows_out_of_range_are_named(tmp_path: Path) -> None:
    source = ArraySource(np.zeros((3, 10, 2), np.float32), "labels.h5")
    with pytest.raises(ValueError, match=r"labels\.h5 must have a row 3. Received 3 rows"):
        source.read(clip("a", row=3))


def test_a_cleaned_split_must_be_of_the_same_set(tmp_path: Path) -> None:
    (tmp_path / "clean.csv").write_text("split,key\ntrain,a\ntrain,z\n")
    clips = [clip("a"), clip("b")]
    with pytest.raises(ValueError, match="lists 1 others, such as 'z'"):
        keep_clean(clips, tmp_path / "clean.csv", "train")
    with pytest.raises(ValueError, match="lists none"):
        keep_clean(clips, tmp_path / "clean.csv", "val")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dataset": "imagenet"}, "`dataset` must be one of .* Received: 'imagenet'"),
        ({"modalities": ("text",)}, r"`modalities` must be one of \('audio', 'video'\)"),
        ({"labels": True}, "`labels` must be False: flickrsound has no classes"),
        ({"labels": "strong"}, "`labels` must be one of"),
        ({"split": "dev"}, "`split` must be one of"),
        ({"protocol": "mine"}, "`protocol` must be one of"),
        ({"protocol": "reference", "split": "train"}, "`split` of 'flickrsound' .* that has clips"),
        ({"side": "ucf"}, "options of 'flickrsound' must be known: .*'side'"),
        ({"num_pairs": 0}, "`num_pairs` must be at least 1. Received: 0"),
    ],
    ids=str,
)
def test_wrong_arguments_are_named(tmp_path: Path, arguments: dict, message: str) -> None:
    write_flickrsound(tmp_path, 3)
    with pytest.raises(ValueError, match=message):
        select(tmp_path, **{"dataset": "flickrsound", **arguments})
    with pytest.raises(FileNotFoundError, match="`root` must be the folder of flickrsound"):
        select(tmp_path / "none", dataset="flickrsound")


def test_prepared_folders_take_no_options(prepared: Path) -> None:
    with pytest.raises(ValueError, match="options must be left out for a prepared folder"):
        select(prepared, protocol="reference")
    with pytest.raises(ValueError, match="Received: 'weak'"):
        select(prepared, labels="weak")


def test_errors_name_the_clip_and_the_file() -> None:
    selection = Selection("some set", [clip("a")], {"text": CaptionSource()})
    with pytest.raises(ValueError, match="clip 'a' of some set cannot be read: clip a must have"):
        selection.read(selection.examples[0])
