"""Composed data sets: reading collections, splitting, rendering, planning."""

from __future__ import annotations

import collections
import io
import json
import os
import shutil
import zipfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import soundfile
from PIL import Image

from data_tools.raw.composed import Folders, Natural, natural_downloads
from data_tools.raw.composed.keras_pictures import encode
from data_tools.raw.composed.naming_words import mask_names, named_classes
from tests.helpers import cifar_batches, media
from tests.helpers.media_collections import write_collections

NUM_CLIPS = {"train": 20, "val": 6, "test": 10}
SHARED = Path(os.environ.get("KERAS_CMG_DATA", Path(__file__).parents[4] / "shared"))


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small collections; only to be read."""
    return write_collections(tmp_path_factory.mktemp("collections"))


@pytest.fixture(scope="module")
def dataset(root: Path) -> Natural:
    """Dogs and seas."""
    return Natural(str(root), classes="dog,sea")


def test_collections_are_read_in_their_own_layouts(dataset: Natural) -> None:
    items = {(item.modality, item.name): item for item in dataset.items()}
    counts = collections.Counter((item.modality, item.category) for item in items.values())
    assert counts == {
        ("audio", "dog"): 24,
        ("audio", "sea"): 12,
        ("audio", ""): 12,
        ("video", "dog"): 24,
        ("video", "sea"): 24,
        ("video", ""): 24,
        ("text", "dog"): 12,
        ("text", "sea"): 12,
        ("text", "cat"): 1,
    }
    bark = items["audio", "ESC-10/001 - Dog bark/1-1003-A.ogg"]
    assert (bark.group, bark.collection) == ("freesound:1003", "ESC-10")
    assert items["text", "1"].group == "youtube:dog0"


def test_a_split_depends_on_the_group_alone(root: Path, dataset: Natural, tmp_path: Path) -> None:
    part = tmp_path / "part"
    shutil.copytree(root, part, ignore=shutil.ignore_patterns("Animal*", "audiocaps", "*.png"))
    for path in list((part / "ESC-10").rglob("*"))[::2]:
        if path.is_file():
            path.unlink()
    splits = {item.name: item.in_split for item in dataset.items()}
    fewer = [
        item for item in Natural(str(part), classes="dog,sea").items() if item.modality == "audio"
    ]
    assert 0 < len(fewer) < 40
    assert all(splits[item.name] == item.in_split for item in fewer)
    cuts = [f"{root}/ESC-10/001 - Dog bark/1-77-{take}.ogg" for take in "AB"]
    assert len({Path(cut).stem.split("-")[1] for cut in cuts}) == 1


def test_clips_are_composed_of_one_class_and_background(dataset: Natural) -> None:
    items = {(item.modality, item.name): item for item in dataset.items()}
    clips = dataset.plan(NUM_CLIPS, seed=0)
    assert collections.Counter(clip.split for clip in clips) == NUM_CLIPS
    shown = set()
    for clip in clips:
        category = dataset.categories[clip.category]
        event = range(clip.start, clip.end)
        assert 4 <= len(event) <= 10
        for modality in ("audio", "video"):
            for segment, name in enumerate(clip.sources[modality]):
                item = items[modality, name]
                assert item.category == (category if segment in event else "")
                assert item.in_split == clip.split
        heard = {clip.sources["audio"][segment] for segment in event}
        assert len(heard) == 1
        shown.add(len({clip.sources["video"][segment] for segment in event}))
        (caption,) = clip.sources["text"]
        assert items["text", caption].category == category
        assert clip.caption == items["text", caption].caption
    assert shown == {2, 3, 4}
    assert collections.Counter(clip.category for clip in clips if clip.split == "test") == {
        0: 5,
        1: 5,
    }
    assert dataset.plan(NUM_CLIPS, seed=0) == clips
    assert dataset.plan(NUM_CLIPS, seed=1) != clips


def test_signals_of_a_clip_are_those_of_its_items(dataset: Natural) -> None:
    clip = dataset.plan({"train": 1}, seed=3)[0]
    waveform, frames = dataset.waveform(clip), dataset.frames(clip)
    assert waveform.shape == (160_000,)
    assert frames.shape == (10, 32, 32, 3)
    for segment, second in enumerate(dataset.seconds_used(clip)):
        whole = dataset.material["audio", clip.sources["audio"][segment]]
        part = waveform[segment * 16_000 : (segment + 1) * 16_000]
        np.testing.assert_allclose(
            part * 32767, whole[second * 16_000 : (second + 1) * 16_000], atol=0.01
        )
        np.testing.assert_array_equal(
            frames[segment], dataset.material["video", clip.sources["video"][segment]]
        )


def test_collections_sound_alike(root: Path) -> None:
    dataset = Natural(str(root), classes="dog,sea", bandwidth=4000)
    for (modality, name), signal in dataset.material.items():
        if modality == "audio" and not name.startswith("generated"):
            values = signal / 32767
            assert len(values) % 16_000 == 0
            assert abs(np.sqrt(np.mean(values**2)) - 0.1) < 0.002, name
            power = np.abs(np.fft.rfft(values)) ** 2
            high = power[round(4400 * len(values) / 16_000) :].sum() / power.sum()
            # What is left is the noise that is added to all.
            assert high < 1e-3, name


def test_frequencies(root: Path) -> None:
    dataset = Natural(str(root), classes="dog,sea", frequencies="natural")
    clips = dataset.plan({"train": 30, "test": 10}, seed=0)
    counts = collections.Counter((clip.split, clip.category) for clip in clips)
    recordings = collections.Counter(
        item.category
        for item in dataset.usable()
        if item.modality == "audio" and item.in_split == "train" and item.category
    )
    share = recordings["dog"] / (recordings["dog"] + recordings["sea"])
    assert share > 0.55
    assert abs(counts["train", 0] - 30 * share) < 1
    assert counts["test", 0] == counts["test", 1] == 5


def test_captions_without_the_name_of_the_class(root: Path) -> None:
    dataset = Natural(str(root), classes="dog,sea", captions="masked")
    captions = {clip.caption for clip in dataset.plan({"train": 30}, seed=0)}
    assert any(caption.startswith("_ bark and a man laughs") for caption in captions)
    assert not any(named_classes(caption, ("dog", "cat", "sea")) for caption in captions)
    assert mask_names("The seagull's cry", ["bird"]) == "The _ cry"
    assert mask_names("The seagull's cry", ["sea"]) == "The seagull's cry"
    assert named_classes("The lion roars at geese", ("lion", "bird", "dog")) == ["lion", "bird"]


@pytest.mark.parametrize("missing_text", ["masked", "prompt"])
def test_classes_without_captions(root: Path, tmp_path: Path, missing_text: str) -> None:
    part = tmp_path / "part"
    shutil.copytree(root, part)
    (part / "audiocaps/dataset/train.csv").unlink()
    dataset = Natural(str(part), classes="dog,sea", missing_text=missing_text)
    clip = dataset.plan({"train": 1}, seed=0)[0]
    name = dataset.categories[clip.category]
    prompt = f"a photo and the sound of a {name}"
    expected = ("", "missing") if missing_text == "masked" else (prompt, "prompt")
    assert (clip.caption, clip.attributes["text"]) == expected
    assert "text" not in clip.sources


def test_bad_files_are_named_and_copies_left_out(root: Path, tmp_path: Path) -> None:
    part = tmp_path / "part"
    shutil.copytree(root, part)
    dogs = part / "Animal-Sound-Dataset/Kopek-Part1"
    media.write_sound(tmp_path / "a.mp3", 1.0)
    shutil.copyfile(tmp_path / "a.mp3", dogs / "dog_50.wav")
    (part / "CIFAR-10-images/train/dog/9999.jpg").write_bytes(b"")
    splits = {item.name: item.in_split for item in Natural(str(root)).items()}
    sound = next(
        path
        for path in sorted(dogs.glob("*.wav"))
        if splits.get(path.relative_to(part).as_posix()) == "test"
    )
    for number in range(100, 120):
        shutil.copyfile(sound, dogs / f"dog_{number}.wav")
    dataset = Natural(str(part), classes="dog,sea")
    kept = {item.name for item in dataset.usable()}
    assert dataset.failures == [
        {
            "modality": "audio",
            "file": "Animal-Sound-Dataset/Kopek-Part1/dog_50.wav",
            "reason": "is named .wav but holds MP3",
        },
        {
            "modality": "video",
            "file": "CIFAR-10-images/train/dog/9999.jpg",
            "reason": "is empty",
        },
    ]
    copies = {f"Animal-Sound-Dataset/Kopek-Part1/dog_{number}.wav" for number in range(100, 120)}
    groups = [item for item in dataset.items() if item.name in copies]
    assert {item.in_split for item in groups} == {"train", "val", "test"}
    assert {item.name for item in groups if item.in_split == "test"} == copies & kept
    assert all(pair["correlation"] > 0.95 for pair in dataset.duplicates)
    everything = Natural(str(part), classes="dog,sea", near_duplicates="keep")
    assert copies <= {item.name for item in everything.usable()}
    assert len(everything.duplicates) == len(dataset.duplicates) == 21 * 20 / 2


@pytest.fixture(scope="module")
def other(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for tests: new files, some of the first folder, and copies of its training files."""
    folder = tmp_path_factory.mktemp("other")
    write_collections(folder, recordings=4, pictures=6, first=500)
    shutil.copytree(
        root / "ESC-10/003 - Sea waves", folder / "ESC-10/003 - Sea waves", dirs_exist_ok=True
    )
    items = Natural(str(root)).items()
    for modality, folder_name in (("audio", "Kopek"), ("video", "sea")):
        trained = next(
            item
            for item in items
            if item.modality == modality and item.in_split == "train" and folder_name in item.name
        )
        path = Path(trained.name)
        shutil.copyfile(trained.path, folder / path.with_name(f"equal{path.suffix}"))
        if modality == "audio":
            waveform, rate = soundfile.read(trained.path)
            soundfile.write(folder / path.with_name("nearly.wav"), 0.5 * waveform, rate)
    return folder


def test_test_clips_from_another_folder(root: Path, other: Path) -> None:
    dataset = Natural(str(root), classes="dog,sea", test_root=str(other))
    alone = Natural(str(root), classes="dog,sea")
    split_of = {(item.modality, item.group): item.in_split for item in alone.items()}
    items = {(item.modality, item.name): item for item in dataset.items()}
    used = collections.Counter()
    for clip in dataset.plan({"train": 20, "val": 4, "test": 40}, seed=0):
        for modality, names in clip.sources.items():
            for name in names:
                assert name.startswith("test_root/") == (clip.split == "test")
                group = modality, items[modality, name].group
                expected = clip.split if clip.split != "test" else split_of.get(group, "test")
                assert split_of.get(group, "test") == expected
                used[clip.split, group in split_of] += 1
    # A group that is in both folders is tested if it is a test group of the first.
    assert used["test", True] and used["test", False]
    assert not used["train", False]


def test_files_of_training_are_left_out_of_tests(root: Path, other: Path) -> None:
    dataset = Natural(str(root), classes="dog,sea", test_root=str(other))
    usable = {item.name for item in dataset.usable()}
    reasons = {leak["file"]: leak["reason"] for leak in dataset.leaks}
    for number in range(12):
        item = next(
            item
            for item in dataset.read_items(str(root))
            if item.group == f"freesound:{2000 + number}"
        )
        leaked = item.in_split != "test"
        assert (f"test_root/{item.name}" in usable) == (not leaked)
        assert (f"test_root/{item.name}" in reasons) == leaked
    (sound,) = (name for name in reasons if name.endswith("equal.wav"))
    (picture,) = (name for name in reasons if name.endswith("equal.png"))
    assert "equals Animal-Sound-Dataset/Kopek-Part1/dog_" in reasons[sound]
    assert "equals CIFAR-100-dataset/" in reasons[picture]
    nearly = sound.replace("equal", "nearly")
    (pair,) = (pair for pair in dataset.duplicates if nearly in pair["files"])
    assert pair["dropped"] == nearly
    assert nearly not in usable
    kept = Natural(str(root), classes="dog,sea", test_root=str(other), near_duplicates="keep")
    assert nearly in {item.name for item in kept.usable()}
    assert sound not in {item.name for item in kept.usable()}


def test_a_folder_that_is_its_own_test_folder(root: Path) -> None:
    both = Natural(str(root), classes="dog,sea", test_root=str(root))
    alone = {
        (item.modality, item.name) for item in Natural(str(root)).items() if item.in_split == "test"
    }
    tested = {
        (item.modality, item.name.removeprefix("test_root/"))
        for item in both.items()
        if item.in_split == "test"
    }
    assert tested == alone


def test_a_test_folder_needs_every_class(root: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="`test_root` must be a folder with the layout"):
        Natural(str(root), test_root=str(tmp_path / "nowhere")).items()
    for name in ("CIFAR-10-images", "CIFAR-100-dataset"):
        shutil.copytree(root / name, tmp_path / name)
    dataset = Natural(str(root), classes="dog,sea", test_root=str(tmp_path))
    with pytest.raises(ValueError, match="none that is not in training or validation"):
        dataset.plan({"train": 2, "test": 2}, seed=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": 8}, "`classes` must be 7, 10 or names"),
        ({"classes": "dog,horse"}, r"Received: \['horse'\]"),
        ({"frequencies": "odd"}, "`frequencies` must be one of"),
        ({"captions": "odd"}, "`captions` must be one of"),
        ({"missing_text": "odd"}, "`missing_text` must be one of"),
        ({"near_duplicates": "odd"}, "`near_duplicates` must be one of"),
        ({"bandwidth": 9000}, "`bandwidth` must be between"),
        ({"side": 4}, "`side` must be at least 8"),
    ],
)
def test_mistakes_are_explained(root: Path, options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Natural(str(root), **options)


def test_what_is_missing_is_named(root: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must have a recording of 'frog'"):
        Natural(str(root), classes="dog,frog").plan({"train": 4}, seed=0)
    with pytest.raises(FileNotFoundError, match="must be a folder with any of"):
        Natural(str(tmp_path)).items()


def write_folders(root: Path, first: int = 0) -> Path:
    """Sounds, pictures and captions of cars and trains, without any background."""
    from PIL import Image

    for number in range(16):
        media.write_sound(root / f"sounds/car/{number}.wav", 1.0, 16_000, 200 + 20 * number + first)
        media.write_sound(
            root / f"sounds/train/{number}.wav", 1.0, 16_000, 900 + 70 * number + first
        )
        for place, name in enumerate(("car", "train")):
            path = root / f"pictures/{name}/{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(media.pictures(1, first + 2 * number + place)[0]).save(path)
    (root / "captions").mkdir()
    lines = [f"a car passes {number} times" for number in range(20)]
    (root / "captions/car.txt").write_text("\n".join(lines))
    return root


def test_folders_of_ones_own(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "own")
    dataset = Folders(str(root), side=16, near_duplicates="keep")
    assert dataset.categories == ("car", "train")
    clips = dataset.plan({"train": 8, "test": 4}, seed=0)
    for clip in clips:
        written = dataset.categories[clip.category] == "car"
        assert clip.attributes["text"] == ("written" if written else "missing")
        outside = [
            name for at, name in enumerate(clip.sources["audio"]) if not clip.start <= at < clip.end
        ]
        assert all(name.startswith(f"generated/{clip.split}") for name in outside)
    assert dataset.frames(clips[0]).shape == (10, 16, 16, 3)
    assert dataset.waveform(clips[0]).shape == (160_000,)


def test_a_table_of_files_and_groups(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "own")
    lines = ["file,class,group,split"]
    for number in range(16):
        for name in ("car", "train"):
            lines.append(f"sounds/{name}/{number}.wav,{name},tape{number % 4},")
            lines.append(f"pictures/{name}/{number}.png,{name},,{('train', 'test')[number % 2]}")
    lines.append("captions/car.txt,car,,")
    (root / "files.csv").write_text("\n".join(lines) + "\n")
    items = Folders(str(root)).items()
    tapes = {(item.group, item.in_split) for item in items if item.modality == "audio"}
    assert len(tapes) == 4, "a group is in one split"
    assert ("tape3", "val") in tapes
    pictures = [item for item in items if item.modality == "video"]
    assert all(
        (int(Path(each.name).stem) % 2 == 1) == (each.in_split == "test") for each in pictures
    )
    assert sum(item.modality == "text" for item in items) == 20
    other = write_folders(tmp_path / "other", first=7)
    tested = Folders(str(root), test_root=str(other)).items()
    names = {item.name for item in tested if item.in_split == "test"}
    assert "test_root/sounds/car/3.wav" in names, "equal names are not equal files"
    assert sum(name.startswith("test_root/sounds") for name in names) == 32
    lines = ["file,class,group", "sounds/car/1.wav,car,tape3", "sounds/train/1.wav,train,tape9"]
    (other / "files.csv").write_text("\n".join(lines) + "\n")
    dataset = Folders(str(root), test_root=str(other))
    tested = {item.name for item in dataset.items() if item.in_split == "test"}
    assert tested == {"test_root/sounds/train/1.wav"}
    assert [leak["file"] for leak in dataset.leaks] == ["test_root/sounds/car/1.wav"]
    (root / "files.csv").write_text("path,class\na.wav,car\n")
    with pytest.raises(ValueError, match="with columns file and class"):
        Folders(str(root))


def test_download_of_the_listed_files(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listing, pages = {}, tmp_path / "pages"
    pages.mkdir()
    for collection in ("ESC-10", "audiocaps"):
        folders = {}
        with zipfile.ZipFile(pages / f"{collection}-abc.zip", "w") as archive:
            for path in sorted((root / collection).rglob("*")):
                if path.is_file():
                    archive.write(path, f"x-abc/{path.relative_to(root / collection)}")
            archive.writestr("x-abc/../../evil.txt", "not listed, never written")
        for folder in sorted(path for path in (root / collection).rglob("*") if path.is_dir()):
            files = {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}
            if files:
                folders[folder.relative_to(root / collection).as_posix()] = {
                    "sha256": natural_downloads.folder_checksum(files),
                    "files": sorted(files),
                }
        listing[collection] = {"repository": collection, "commit": "abc", "folders": folders}
    path = tmp_path / "listing.json"
    path.write_text(json.dumps(listing))
    monkeypatch.setattr(natural_downloads, "LISTING", path)
    addresses = ("file:///nowhere/{commit}.zip", pages.as_uri() + "/{repository}-{commit}.zip")
    found = natural_downloads.find(tmp_path / "cache", addresses)
    files = sorted(p.relative_to(found) for p in found.rglob("*") if p.is_file())
    expected = [
        p.relative_to(root) for name in listing for p in (root / name).rglob("*") if p.is_file()
    ]
    assert files == sorted(expected)
    assert natural_downloads.find(tmp_path / "cache", ()) == found, "nothing is fetched twice"
    listing["ESC-10"]["folders"]["002 - Rain"]["sha256"] = "0" * 64
    path.write_text(json.dumps(listing))
    with pytest.raises(FileNotFoundError, match="ESC-10/002 - Rain must have the checksum 000"):
        natural_downloads.find(tmp_path / "other", addresses)


@pytest.fixture
def batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Empty folders of a download cache and of a Keras home; a list of pictures to ask for."""
    monkeypatch.setenv("KERAS_HOME", str(tmp_path / "keras"))
    monkeypatch.setenv("KERAS_CMG_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(natural_downloads, "ARCHIVES", ())
    monkeypatch.setattr(natural_downloads, "LISTING", tmp_path / "listing.json")
    listing = cifar_batches.listing()
    (tmp_path / "listing.json").write_text(json.dumps(listing))
    return tmp_path / "keras/datasets"


@pytest.mark.parametrize("cached", [True, False])
def test_photographs_from_keras_are_the_published_files(
    root: Path, tmp_path: Path, batches: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    import keras

    def load(module: str) -> None:
        assert not cached
        cifar_batches.write(batches, module)

    for module in ("cifar10", "cifar100"):
        monkeypatch.setattr(getattr(keras.datasets, module), "load_data", partial(load, module))
        if cached:
            cifar_batches.write(batches, module)
    part = tmp_path / "part"
    shutil.copytree(root, part, ignore=shutil.ignore_patterns("CIFAR*"))
    dataset = Natural(str(part), classes="dog,sea")
    pictures = {item.name: item for item in dataset.items() if item.modality == "video"}
    assert len(pictures) == 60
    # The second dog of the training batches, of which there are two.
    dog = pictures["CIFAR-10-images/train/dog/0001.jpg"]
    assert (dog.category, dog.group) == ("dog", dog.name)
    pixels = np.asarray(Image.open(dog.path)).mean((0, 1))
    np.testing.assert_allclose(pixels, cifar_batches.colour("cifar10", "train", "dog", 1), atol=2)
    sea = pictures["CIFAR-100-dataset/test/sea/sea_s_000007.png"]
    pixels = np.asarray(Image.open(sea.path))
    assert (pixels == cifar_batches.colour("cifar100", "test", "sea", 7)).all()
    assert dataset.plan({"train": 4, "test": 2}, seed=0)


def test_photographs_that_keras_cannot_load(
    root: Path, tmp_path: Path, batches: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import keras

    def fail() -> None:
        raise Exception("URL fetch failure")

    monkeypatch.setattr(keras.datasets.cifar10, "load_data", fail)
    part = tmp_path / "part"
    shutil.copytree(root, part, ignore=shutil.ignore_patterns("CIFAR-10-*"))
    with pytest.raises(FileNotFoundError, match=r"cifar10 could not be loaded: URL fetch failure"):
        Natural(str(part), classes="dog,sea").items()
    assert Natural(str(part), classes="sea").items(), "no class needs the missing folder"
    cifar_batches.write(batches, "cifar10")
    listing = json.loads(natural_downloads.LISTING.read_text())
    listing["CIFAR-10-images"]["folders"]["train/dog"]["sha256"] = "0" * 64
    natural_downloads.LISTING.write_text(json.dumps(listing))
    with pytest.warns(UserWarning, match="1 of 2 folders of CIFAR-10-images .* differ"):
        Natural(str(part), classes="dog,sea").items()
    shutil.rmtree(tmp_path / "cache")
    listing["CIFAR-10-images"]["folders"]["train/dog"]["files"].append("9999.jpg")
    natural_downloads.LISTING.write_text(json.dumps(listing))
    with pytest.raises(FileNotFoundError, match=r"1 are missing, such as train/dog/9999\.jpg"):
        Natural(str(part), classes="dog,sea").items()
    (batches / "cifar-10-batches-py-target/cifar-10-batches-py/data_batch_1").write_bytes(b"cos")
    with pytest.raises(FileNotFoundError, match="data_batch_1 must be a whole pickle"):
        Natural(str(part), classes="dog,sea").items()


def test_the_published_photographs_were_encoded_alike() -> None:
    root = SHARED / "data/natural"
    if not root.is_dir():
        pytest.skip(f"{root} is not there: KERAS_CMG_DATA names the folder of the shared data")
    paths = sorted((root / "CIFAR-100-dataset/test/sea").iterdir())
    for path in paths[:5]:
        assert encode(np.asarray(Image.open(path)), ".png") == path.read_bytes()
    photograph = Image.open(root / "CIFAR-10-images/test/bird/0005.jpg")
    again = Image.open(io.BytesIO(encode(np.asarray(photograph), ".jpg")))
    assert photograph.quantization == again.quantization  # type: ignore[attr-defined]


def test_the_listing_is_that_of_the_files() -> None:
    root = SHARED / "data/natural"
    if not root.is_dir():
        pytest.skip(f"{root} is not there: KERAS_CMG_DATA names the folder of the shared data")
    listing = json.loads(natural_downloads.LISTING.read_text())
    for collection, listed in listing.items():
        for folder, content in list(listed["folders"].items())[:2]:
            files = {
                name: (root / collection / folder / name).read_bytes() for name in content["files"]
            }
            assert natural_downloads.folder_checksum(files) == content["sha256"]


def test_failures_of_the_real_recordings() -> None:
    root = SHARED / "data/natural"
    if not root.is_dir():
        pytest.skip(f"{root} is not there: KERAS_CMG_DATA names the folder of the shared data")
    from data_tools.decoding import DecodeError, decode_audio

    with pytest.raises(DecodeError, match=r"truncated: 14400 of 14560 samples; .* holds MP3"):
        decode_audio(root / "Animal-Sound-Dataset/Kedi-Part2/cat_145.wav", 16_000, 10)
    dataset = Natural(str(root), classes=10)
    counts = collections.Counter(
        (item.category, item.in_split) for item in dataset.items() if item.modality == "audio"
    )
    for category in dataset.categories:
        assert all(counts[category, split] for split in ("train", "val", "test")), category


def test_rows_of_a_table_that_cannot_be_used_are_refused(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "own")
    (root / "notes.doc").touch()
    rows = {
        "sounds/car/0.wav,train": "is listed again in files.csv:6",
        "sounds/car/99.wav,car": "does not exist",
        "notes.doc,car": "has the extension '.doc', which is not known",
        "../secret.wav,car": f"must lie below {root}",
        "/etc/secret.wav,car": f"must lie below {root}",
        "sounds/car/1.wav,": "has no class in files.csv:11",
        ",car": "has no file in files.csv:12",
    }
    good = [
        "file,class",
        "sounds/car/0.wav,car",
        "sounds/train/0.wav,train",
        "pictures/car/0.png,car",
        "pictures/train/0.png,train",
    ]
    (root / "files.csv").write_text("\n".join([*good, *rows]) + "\n")
    dataset = Folders(str(root))
    assert len(dataset.items()) == 4
    assert [one["reason"] for one in dataset.failures] == list(rows.values())
    for text, message in (
        ("file;class\na.wav;car\n", r"lacks file and class. Received: \['file;class'\]"),
        ("", "lacks file and class"),
        ("file,class,split\na.wav,car,dev\n", "Received: 'dev' in files.csv:2"),
    ):
        (root / "files.csv").write_text(text)
        with pytest.raises(ValueError, match=message):
            Folders(str(root))


def test_captions_are_utf8_with_or_without_a_mark(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "own")
    (root / "captions/car.txt").write_bytes("ein Auto fährt vorbei\n".encode("utf-8-sig"))
    (root / "captions/train.txt").write_bytes("ein Zug fährt vorbei\n".encode("latin-1"))
    dataset = Folders(str(root))
    assert [item.caption for item in dataset.items() if item.modality == "text"] == [
        "ein Auto fährt vorbei"
    ]
    assert dataset.failures == [
        {
            "modality": "text",
            "file": "captions/train.txt",
            "reason": "must be UTF-8 text; byte 9 is not",
        }
    ]


def test_a_folder_without_pairs_says_what_it_has(tmp_path: Path) -> None:
    root = write_folders(tmp_path / "own")
    shutil.rmtree(root / "pictures")
    message = "Received: sounds of car, train; pictures of no class"
    with pytest.raises(ValueError, match=message):
        Folders(str(root))
