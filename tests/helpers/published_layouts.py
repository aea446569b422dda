"""Small data sets written in the published layouts, with the arrays that a reader must give."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import h5py
import numpy as np

from tests.helpers.hostile_files import write_feature

VIDEO = (10, 2, 2, 3)
AUDIO = (10, 4)

Arrays = dict[str, dict[str, np.ndarray]]


def write_table(path: Path, rows: Sequence[Sequence[object]], delimiter: str = ",") -> None:
    """A table, its first row the header."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=delimiter).writerows(rows)


def write_array(path: Path, values: np.ndarray | Sequence, key: str = "avadataset") -> None:
    """An HDF5 file of one array."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with h5py.File(path, "w") as file:
        file[key] = values


def write_features(
    root: Path, ids: Sequence[str], shapes: Mapping[str, tuple[int, ...]], seed: int = 0
) -> Arrays:
    """A zip per clip and modality, in folders named after the modalities; returns the arrays.

    Protocols and precisions vary from file to file, as among the published ones.
    """
    rng = np.random.default_rng(seed)
    arrays: Arrays = {}
    for modality, shape in shapes.items():
        folder = root / modality
        folder.mkdir(parents=True, exist_ok=True)
        arrays[modality] = {}
        for number, id in enumerate(ids):
            values = rng.normal(size=shape).astype(np.float64 if number % 3 else np.float32)
            write_feature(folder / f"{id}.zip", values, protocol=number % 6)
            arrays[modality][id] = values.astype(np.float32)
    return arrays


def stacked(arrays: Arrays, modality: str, ids: Sequence[str]) -> np.ndarray:
    """Arrays of clips in an order."""
    return np.stack([arrays[modality][id] for id in ids])


AVE_LINES = (
    "Church bell&bell0000001&good&0&10",
    "Church bell&bell0000002&good&2&5",
    "Church bell&bell0000003&good&0&0",
    "Bark&bark0000001&good&1&9",
    "Bark&bark0000002&good&0&4",
    "Cat&bell0000001&good&3&10",
    "Cat&cat00000002&good&0&10",
    "Cat&cat00000003&good&5&6",
)
AVE_ORDERS = {"train": [0, 2, 3, 6], "val": [1, 4], "test": [5, 7]}
"""Clip 0 and clip 5 are of one video, in train and in test; clip 2 is an empty event."""


def write_ave(root: Path) -> dict[str, np.ndarray]:
    """AVE: arrays of all clips, labels, order files, annotations."""
    rng = np.random.default_rng(1)
    num_rows = len(AVE_LINES)
    labels = np.zeros((num_rows, 10, 4), np.float32)
    classes = {"Church bell": 0, "Bark": 1, "Cat": 2}
    for row, line in enumerate(AVE_LINES):
        name, _, _, start, end = line.split("&")
        labels[row, :, 3] = 1
        labels[row, int(start) : int(end)] = np.eye(4)[classes[name]]
    arrays = {
        "audio": rng.normal(size=(num_rows, *AUDIO)),
        "video": rng.normal(size=(num_rows, *VIDEO)).astype(np.float32),
        "labels": labels,
    }
    for kind, name in (("audio", "audio"), ("video", "visual")):
        write_array(root / f"{name}_feature.h5", arrays[kind])
    write_array(root / "labels.h5", labels)
    for split, rows in AVE_ORDERS.items():
        write_array(root / f"{split}_order.h5", rows, "order")
    (root / "Annotations.txt").write_text("\n".join(AVE_LINES) + "\n")
    return {kind: values.astype(np.float32) for kind, values in arrays.items()}


AVVP_VAL = [f"val0000000{letter}" for letter in "abcdefghijkl"]
AVVP_TEST = ["test000000a", "test000000b"]


def write_avvp(root: Path) -> Arrays:
    """AVVP: weak labels, events of sound and sight in three versions, features in zips."""
    names = {id: f"{id}_30_40" for id in (*AVVP_VAL, *AVVP_TEST, "train00000a")}
    lists = {"train": ["train00000a"], "val_pd": AVVP_VAL, "test_pd": AVVP_TEST}
    for split, ids in lists.items():
        rows = [["filename", "event_labels"], *([names[id], "Dog,Speech"] for id in ids)]
        write_table(root / f"AVVP_{split}.csv", rows, "\t")
    header = ["filename", "onset", "offset", "event_labels"]
    combined = [
        header,
        *([names[id], "0,2", "3,4", "Dog,Speech"] for id in AVVP_VAL),
        [names[AVVP_TEST[0]], "0,5,9", "5,5,10", "Dog,Dog,Car"],
        [names[AVVP_TEST[1]] + "`", "1", "2", "Speech"],
        ["short_30_40", "1", "2", "Speech"],
    ]
    single = [header] + [
        [row[0], *event]
        for row in combined[1:]
        for event in zip(*(column.split(",") for column in row[1:]), strict=True)
    ]
    for events in ("audio", "visual"):
        start = 0 if events == "visual" else 1
        write_table(
            root / f"AVVP_eval_{events}_checked_combined.csv",
            [header, *combined[1 + start :]],
            "\t",
        )
        write_table(root / f"AVVP_eval_{events}_checked.csv", single, "\t")
        write_table(root / f"AVVP_eval_{events}.csv", [*single, single[-1]], "\t")
    (root / "AVVP_Categories.txt").write_text("Car\nSpeech\nDog\n")
    return write_features(root, list(names), {"audio": AUDIO, "video": VIDEO})


def write_ave_avvp(root: Path) -> tuple[dict[str, np.ndarray], Arrays]:
    """AVE in `ave`, its rows of two shared classes, and events of AVVP in `avvp`."""
    ave = write_ave(root / "ave")
    folder = root / "avvp" / "ave_avvp"
    chosen = [row for row, line in enumerate(AVE_LINES) if line.startswith(("Bark", "Cat"))]
    labels = np.zeros((len(AVE_LINES), 10, 3), np.float32)
    for row in chosen:
        labels[row] = ave["labels"][row][:, [2, 1, 3]]
    write_array(folder / "ave_avvp_labels.h5", labels)
    write_array(folder / "ave_avvp_order.h5", chosen, "order")
    (folder / "AVE_AVVP_Categories.txt").write_text("Cat\nDog\n")
    header = ["filename", "onset", "offset", "event_labels"]
    rows = [
        header,
        ["test000000a_0_10", "0,3", "2,6", "Dog,Cat"],
        ["cat00000002_0_10", "0", "9", "Cat"],
    ]
    for events in ("audio", "visual"):
        write_table(folder / f"AVE_AVVP_eval_{events}_checked_combined.csv", rows, "\t")
    features = write_features(
        root / "avvp", ["test000000a", "cat00000002"], {"audio": AUDIO, "video": VIDEO}, seed=2
    )
    return {**ave, "labels": labels}, features


VGGSOUND = [
    ("train", "skiing", "ski00000001"),
    ("train", "bowling impact", "bowl0000001"),
    ("train", "skiing", "ski00000002"),
    ("val", "skiing", "ski00000003"),
    ("test", "bowling impact", "ski00000002"),
]


def write_vggsound(root: Path) -> Arrays:
    """VGGSound-AVEL40K: the table, classes, prompts, zips. One video is in train and test."""
    write_table(root / "vggsound-avel40k.csv", [("split", "category", "video_id"), *VGGSOUND])
    (root / "VggsoundAVEL40kCategories.txt").write_text("bowling impact\nskiing\n")
    write_table(
        root / "vggsoundCategories2Prompts.csv",
        [("label", "prompt"), ("skiing", "The sound of skis, gliding"), ("bowling impact", "Pins")],
    )
    ids = list(dict.fromkeys(id for _, _, id in VGGSOUND))
    return write_features(root, ids, {"audio": AUDIO, "video": VIDEO})


UCF = [
    ("Skiing", "v_Skiing_g01_c01"),
    ("Skiing", "v_Skiing_g09_c01"),
    ("Skiing", "v_Skiing_g12_c01"),
    ("Skiing", "v_Skiing_g12_c02"),
    ("FrisbeeCatch", "v_FrisbeeCatch_g13_c01"),
]
UCF_VGGSOUND = [
    ("skiing", "ski00000001", "train"),
    ("skiing", "ski00000002", "val"),
    ("bowling impact", "bowl0000001", "test"),
    ("skiing", "ski00000003", "test"),
]


def write_ucf_vggsound(root: Path) -> dict[str, Arrays]:
    """UCF and VGGSound: paired classes, of which two have one side only, and a zip per clip."""
    (root / "UCF101sameVGGSound.txt").parent.mkdir(parents=True, exist_ok=True)
    (root / "UCF101sameVGGSound.txt").write_text("Skiing\nFrisbeeCatch\nBowling\tbowling\n")
    (root / "VGGSoundsameUCF101.txt").write_text("skiing\nplaying frisbee\nbowling impact\n")
    write_table(root / "ucf2vggsound.csv", [("category", "video_id"), *UCF])
    write_table(root / "vggsound2ucf.csv", [("category", "video_id", "split"), *UCF_VGGSOUND])
    return {
        "ucf": write_features(root / "ucf", [id for _, id in UCF], {"video": VIDEO}),
        "vggsound": write_features(
            root / "vggsound", [id for _, id, _ in UCF_VGGSOUND], {"audio": AUDIO}
        ),
    }


def write_ucf51(root: Path) -> dict[str, Arrays]:
    """UCF51: the clips of UCF with sound, the first class alone known."""
    known = [row for row in UCF if row[0] == "Skiing"]
    for end, rows, classes in (
        ("", UCF, "Skiing\nFrisbeeCatch\nBowling\n"),
        ("_17", known, "Skiing\n"),
    ):
        write_table(root / f"ucf51checked{end}.csv", [("category", "video_id"), *rows])
        (root / f"UCF51Categories{end}.txt").write_text(classes)
    shapes = {"audio": AUDIO, "video": VIDEO}
    return write_features(root, [id for _, id in UCF], shapes)


def write_clotho(root: Path) -> Arrays:
    """Clotho: three splits of sounds with five sentences, one of them empty."""
    header = ["file_name", *(f"caption_{number}" for number in range(1, 6))]
    rows = {
        "development": ["Rain 1.wav"],
        "validation": ["Hail.wav"],
        "evaluation": ["Wind a.wav", "Sea.wav", "Mute.wav"],
    }
    for part, names in rows.items():
        table = [header]
        for name in names:
            sentences = ["" if name == "Mute.wav" else f"{name[:4]} sound {n}" for n in range(5)]
            table.append([name, *(["", *sentences[1:]] if name == "Sea.wav" else sentences)])
        write_table(root / f"clotho_captions_{part}.csv", table)
    ids = [name[:-4] for names in rows.values() for name in names]
    return write_features(root, ids, {"audio": AUDIO})


def write_mscoco(root: Path) -> Arrays:
    """MSCOCO: sentences of pictures, whose ids are padded to twelve digits."""
    annotations = [
        {"image_id": 139, "id": 1, "caption": "A room with chairs."},
        {"image_id": 285, "id": 2, "caption": "A bear"},
        {"image_id": 139, "id": 3, "caption": "Chairs"},
        {"image_id": 632, "id": 4, "caption": "   "},
    ]
    path = root / "annotations" / "captions_val2017.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"info": {}, "annotations": annotations}))
    return write_features(root, [f"{n:012d}" for n in (139, 285, 632)], {"video": VIDEO})


def write_flickrsound(root: Path, count: int = 30) -> Arrays:
    """FlickrSound: a list of sounds."""
    ids = [str(7_000_000 + 3 * number) for number in range(count)]
    write_table(root / "flickr.csv", [("filename",), *((f"{id}.wav",) for id in ids)])
    return write_features(root, ids, {"audio": AUDIO, "video": VIDEO})


def write_valor(root: Path) -> Arrays:
    """VALOR: sentences of clips; one video gives a clip of train and one of test."""
    lists = {
        "train": [
            ("aaaaaaaaaaa_10.000_20.000", "a man sings"),
            ("bbbbbbbbbbb_0.000_10.000", "rain"),
        ],
        "val": [("ccccccccccc_0.000_10.000", "a dog barks")],
        "test": [("aaaaaaaaaaa_30.000_40.000", "a crowd"), ("ddddddddddd_0.000_10.000", "")],
    }
    root.mkdir(parents=True, exist_ok=True)
    for split, rows in lists.items():
        content = [{"video_id": id, "desc": desc} for id, desc in rows]
        (root / f"desc_{split}.json").write_text(json.dumps(content))
    ids = [id for rows in lists.values() for id, _ in rows]
    return write_features(root, ids, {"audio": AUDIO, "video": VIDEO, "text": (7, 5)})


def write_images(root: Path, count: int = 40) -> dict[str, np.ndarray]:
    """Pictures of one colour each, of different sizes."""
    from PIL import Image

    folder = root / "CelebA-HQ-img"
    folder.mkdir(parents=True)
    colours = {}
    for number in range(count):
        colour = (number * 5, 255 - number * 3, 7)
        name = f"{number}.png"
        Image.new("RGB", (8 + number % 3, 8), colour).save(folder / name)
        colours[name] = np.array(colour, np.float32) / 255
    return colours
