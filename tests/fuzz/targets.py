"""The readers that are fuzzed: how good files are made, and what must hold of damaged ones."""

from __future__ import annotations

import contextlib
import dataclasses
import gzip
import hashlib
import io
import json
import pickle
import sys
import types
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.fuzz.contract import Violation, documented
from tests.fuzz.mutations import damaged, damaged_archive, damaged_folder, packed
from tests.helpers import media

Files = Mapping[str, bytes]
VALUES = np.arange(240, dtype="f4").reshape(4, 6, 10) / 8


@dataclasses.dataclass(frozen=True)
class Target:
    """A reader and its cases.

    Args:
        cases: strategy of folders, as name of file to content.
        read: function of a folder that reads it.
    """

    cases: st.SearchStrategy[Files]
    read: Callable[[Path], Any]


TARGETS: dict[str, Callable[[Path], Target]] = {}
"""Name to a function of an empty folder that makes the target."""
SLOW = ("keras model", "weights in HDF5", "served model", "sound of a video", "video")
"""Targets with a few cases a second, or that need packages which take long to import."""


def target(name: str) -> Callable[[Callable[[Path], Target]], Callable[[Path], Target]]:
    """Registers a target."""

    def add(make: Callable[[Path], Target]) -> Callable[[Path], Target]:
        TARGETS[name] = make
        return make

    return add


def contents(folder: Path) -> dict[str, bytes]:
    """All files of a folder."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def one_of(seeds: Mapping[str, bytes], strategy: Any = damaged) -> st.SearchStrategy[Files]:
    """A folder with one damaged file out of several seeds."""
    return st.one_of([_named(name, strategy(content)) for name, content in seeds.items()])


def _named(name: str, contents: st.SearchStrategy[bytes]) -> st.SearchStrategy[Files]:
    return contents.map(lambda content: {name: content})


def each(read: Callable[[Path], Any], named: bool = True) -> Callable[[Path], Any]:
    """Reads the files of a folder one by one.

    Args:
        read: function of a file.
        named: whether its errors name the file; those of decoders and requests are named by who
            calls them.
    """

    def read_all(folder: Path) -> None:
        for path in sorted(folder.iterdir()):
            with documented(*[path] * named):
                read(path)

    return read_all


def npy(array: np.ndarray) -> bytes:
    """An array as NumPy saves it."""
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


@target("pickled feature")
def _pickled(folder: Path) -> Target:
    from data_tools.untrusted import read_feature

    seeds = {f"{protocol}.zip": packed({"a.pkl": pickle.dumps(VALUES, protocol)})
             for protocol in range(6)}  # fmt: skip
    return Target(one_of(seeds, damaged_archive), each(read_feature))


@target("pickled table")
def _pickled_table(folder: Path) -> Target:
    from data_tools.untrusted import read_pickled_table

    def read(path: Path) -> None:
        with path.open("rb") as stream:
            read_pickled_table(stream, name=str(path))

    table = {b"labels": [1, 2, 3], "names": ["a", "b"], b"data": VALUES}
    seeds = {f"{protocol}.pkl": pickle.dumps(table, protocol) for protocol in range(6)}
    return Target(one_of(seeds), each(read))


@target("feature in .npy")
def _npy(folder: Path) -> Target:
    from data_tools.untrusted import read_feature

    return Target(one_of({"a.npy": npy(VALUES), "b.npy": npy(VALUES.T)}), each(read_feature))


@target("arrays in .npz")
def _npz(folder: Path) -> Target:
    from keras_cmg.files import read_arrays

    seeds = {"a.npz": packed({"a.npy": npy(VALUES), "b.npy": npy(np.float64(3))})}
    return Target(one_of(seeds, damaged_archive), each(read_arrays))


@target("learned features")
def _learned(folder: Path) -> Target:
    from data_tools.extraction.clip_features import ClipFeatures
    from data_tools.raw.extractors import Extractors
    from keras_cmg.export.runs import load_log_mel_summary

    arrays = {
        "audio_mean": np.zeros(128), "audio_std": np.ones(128), "sample_rate": np.array(8000),
        "text_dim": np.array(8), "num_tokens": np.array(4),
    }  # fmt: skip
    seeds = {"extractors.npz": packed({f"{name}.npy": npy(a) for name, a in arrays.items()})}
    features = ClipFeatures(folder, {"audio": {"name": "log_mel", "options": {}}})

    def read(folder: Path) -> None:
        path = folder / "extractors.npz"
        for function in (
            lambda: features.load_state(path),
            lambda: Extractors.load(path),
            lambda: load_log_mel_summary(folder),
        ):
            with documented(path):
                function()

    return Target(one_of(seeds, damaged_archive), read)


@target("JSON")
def _json(folder: Path) -> Target:
    from data_tools.published.annotations import read_records
    from keras_cmg.export.metadata import read_metadata
    from keras_cmg.files import read_json

    seed = json.dumps([{"video_id": "v1", "desc": "a dog", "more": [1, {"a": None}]}] * 3).encode()
    about = {"format": "keras_cmg.export/1", "signatures": {"a": {"inputs": {"a": [None, 3]}}}}

    def read(folder: Path) -> None:
        path = folder / "metadata.json"
        for function in (
            lambda: read_records(path, ["video_id", "desc"]),
            lambda: read_metadata(folder),
            lambda: read_json(path),
        ):
            with documented(path):
                function()

    cases = st.one_of(damaged(seed), damaged(json.dumps(about).encode()))
    return Target(st.builds(lambda content: {"metadata.json": content}, cases), read)


@target("table")
def _table(folder: Path) -> Target:
    from data_tools.io.tables import AVE_COLUMNS, read_list, read_table
    from data_tools.published.annotation_files import describe_content

    seeds = {
        "Annotations.txt": b"Category&VideoID&Quality&StartTime&EndTime\nCat&a&good&0&9\n" * 2,
        "a.csv": b'video_id,category\n"a, b",Dog\n\nc,Cat\n',
        "b.csv": b"video_id\tcategory\r\na\tDog\r\n",
    }

    def read(path: Path) -> None:
        for function in (
            lambda: read_table(path, ["video_id", "category"]),
            lambda: read_table(path, AVE_COLUMNS, header=None),
            lambda: describe_content(path),
        ):
            with documented(path):
                function()
        read_list(path)

    return Target(one_of(seeds), each(read))


@target("published annotations")
def _published(folder: Path) -> Target:
    from data_tools.published.registry import open_published
    from tests.helpers import published_layouts

    cases: list[st.SearchStrategy[Files]] = []
    names = ("ave", "avvp", "vggsound", "ucf51", "clotho", "mscoco", "flickrsound", "valor")
    for name in names:
        getattr(published_layouts, f"write_{name}")(folder / name)
        files = contents(folder / name)
        chosen = [file for file in files if file.endswith((".txt", ".csv", ".json"))]
        seeds = {f"{name}/{file}": files[file] for file in chosen}
        if seeds:
            cases.append(damaged_folder(seeds))

    def read(folder: Path) -> None:
        (root,) = folder.iterdir()
        files = [path for path in root.rglob("*") if path.is_file()]
        for protocol in ("heldout", "reference"):
            dataset = open_published(root.name, root, protocol=protocol)
            with documented(root, *files):
                for split in dataset.split_names():
                    dataset.examples(split)
            with documented(root, *files):
                dataset.known_issues()

    return Target(st.one_of(cases), read)


@target("manifest of clips")
def _manifest(folder: Path) -> Target:
    from data_tools.extraction.clips import find_clips

    seeds = {
        "clips.csv": b'id,audio,caption,label,start,end\na,a.wav,a dog,dog,0,4\nb,,"a, b",,,\n',
        "captions.jsonl": b'{"id": "a", "caption": "a dog"}\n{"id": "b", "caption": null}\n',
        "captions.csv": b"id,caption\na,a dog\n",
    }

    def read(folder: Path) -> None:
        manifest = folder / "clips.csv"
        with documented(*folder.iterdir()):
            list(find_clips(manifest if manifest.exists() else folder)[1])

    return Target(one_of(seeds), read)


@target("descriptions of clips")
def _descriptions(folder: Path) -> Target:
    import data_tools
    from data_tools.io.feature_folder import FeatureFolder
    from data_tools.raw.rendering import open_dataset, read_clips

    made = data_tools.prepare("synthetic", folder / "made", num_clips={"train": 3})
    seeds = {name: (made / name).read_bytes() for name in ("clips.jsonl", "manifest.json")}

    def read(folder: Path) -> None:
        found = FeatureFolder(folder)
        with documented(folder / "clips.jsonl"):
            read_clips(found)
        with documented(folder / "manifest.json"):
            open_dataset(found)
        with documented():
            _ = found.categories

    return Target(damaged_folder(seeds), read)


def hdf5_seeds() -> dict[str, bytes]:
    """Small HDF5 files, in one piece, in chunks, packed."""
    import h5py

    seeds = {}
    for name, options in {
        "plain": {},
        "chunks": {"chunks": (1, 6, 10), "maxshape": (None, 6, 10)},
        "packed": {"chunks": (2, 6, 10), "compression": 4, "shuffle": True, "fletcher32": True},
    }.items():
        stream = io.BytesIO()
        with h5py.File(stream, "w") as file:
            file.create_dataset("avadataset", data=VALUES, **options)
            file["order"] = np.array([2, 0])
        seeds[f"{name}.h5"] = stream.getvalue()
    return seeds


@target("features in HDF5")
def _hdf5(folder: Path) -> Target:
    from data_tools.io.hdf5 import list_arrays, open_array, read_array

    def read(path: Path) -> None:
        for function in (lambda: list_arrays(path), lambda: read_array(path, "order")):
            with documented(path):
                function()
        array = open_array(path)
        array.read(range(min(len(array), 50)))
        array.close()

    return Target(one_of(hdf5_seeds()), each(read))


@target("weights in HDF5")
def _weights(folder: Path) -> Target:
    from keras_cmg.isolated_hdf5 import count_weights

    return Target(one_of(hdf5_seeds()), each(count_weights))


@target("feature folder")
def _feature_folder(folder: Path) -> Target:
    import data_tools

    made = data_tools.prepare(
        "synthetic", folder / "made", num_clips={"train": 3}, video_channels=2, text_dim=4
    )
    files = contents(made)

    def read(folder: Path) -> None:
        with documented(*folder.iterdir(), folder):
            data_tools.verify(folder)
        with documented(*folder.iterdir(), folder):
            data_tools.load(folder, "train", format="numpy")

    return Target(damaged_folder(files), read)


@target("raw digits")
def _digits(folder: Path) -> Target:
    from data_tools.raw.digits_sources import read_idx, read_recordings
    from tests.data_tools.conftest import idx_bytes, wav_bytes

    idx = gzip.compress(idx_bytes(np.arange(48).reshape(3, 4, 4)), mtime=0)
    wav = wav_bytes(np.arange(400))
    archive = packed({"x/recordings/0_ann_0.wav": wav, "x/recordings/1_bob_0.wav": wav})
    cases = st.one_of(one_of({"a.gz": idx}), one_of({"a.zip": archive}, damaged_archive))

    def read(path: Path) -> None:
        (read_idx if path.suffix == ".gz" else read_recordings)(path)

    return Target(cases, each(read))


@target("store")
def _store(folder: Path) -> Target:
    from data_tools.store import Field, Store, StoreWriter

    with StoreWriter(folder / "store", {"a": Field((6, 10))}, 2, ["x"], {"b": 1}) as writer:
        for number, row in enumerate(VALUES):
            writer.append(f"c{number}", {"a": row}, split="train")
    files = contents(folder / "store")
    stored = VALUES.astype("f2")

    def repair(found: dict[str, bytes]) -> None:
        with contextlib.suppress(ValueError, KeyError, TypeError, IndexError, RecursionError):
            schema = json.loads(found["schema.json"])
            for number, shard in enumerate(schema["shards"]):
                index = found[f"shards/{number:05d}/index.json"]
                shard["sha256"] = hashlib.sha256(index).hexdigest()
            found["schema.json"] = json.dumps(schema).encode()

    def read(folder: Path) -> None:
        store = Store(folder)
        try:
            ids = [clip["id"] for clip in store.clips()]
            rows = store.read("a", np.arange(min(len(store), 50)))
            list(store.split_names())
        finally:
            store.close()
        # A stranger may write any store; damage of this one does not go unnoticed.
        if ids[: len(rows)] == [f"c{n}" for n in range(4)] and rows.shape == stored.shape:
            schema = json.loads((folder / "schema.json").read_bytes())
            same = schema["shards"] == json.loads(files["schema.json"])["shards"]
            if same and not np.array_equal(rows, stored):
                raise Violation("altered rows were accepted")

    return Target(damaged_folder(files, repair), read)


@target("journal of a shard")
def _journal(folder: Path) -> Target:
    from data_tools.store import Field
    from data_tools.store.shard import ShardWriter

    clips = [{"id": f"c{number}"} for number in range(5)]
    fields = {"a": Field((6, 10))}
    shard = ShardWriter(folder / "00000", fields, clips)
    for number, row in enumerate(VALUES):
        shard.write(number, {"a": row})
    entries = {number: dict(entry) for number, entry in shard._done.items()}
    files = {f"00000.part/{name}": content for name, content in contents(shard.part).items()}

    def read(folder: Path) -> None:
        found = ShardWriter(folder / "00000", fields, clips)
        if any(entries.get(slot) != entry for slot, entry in found._done.items()):
            raise Violation("an altered entry was accepted")
        for slot in found.missing:
            found.fail(slot, [{"reason": "none"}])
        found.finish()

    return Target(damaged_folder(files), read)


@target("index of codes")
def _index(folder: Path) -> Target:
    from keras_cmg.search import CodeIndex

    index = CodeIndex(np.eye(4, dtype="f4"))
    features = np.repeat(np.eye(4, dtype="f4"), 3, axis=0) * 0.9
    index.add(np.arange(12), features)
    index.save(folder / "index")
    files = contents(folder / "index")
    expected = index.search(features[:2], 3, 4)

    def repair(found: dict[str, bytes]) -> None:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            about = json.loads(found["index.json"])
            for name in about["files"]:
                about["files"][name] = hashlib.sha256(found.get(name, b"")).hexdigest()
            found["index.json"] = json.dumps(about).encode()

    def read(folder: Path) -> None:
        found = CodeIndex.load(folder)
        answer = found.search(np.eye(found.dim, dtype="f4")[:2] * 0.9, 3, 4)
        if not np.isfinite(answer["distances"][answer["ids"] >= 0]).all():
            raise Violation("distances that are not finite")
        same = json.loads((folder / "index.json").read_bytes())
        if same["files"] == json.loads(files["index.json"])["files"]:
            answer = found.search(features[:2], 3, 4)
            if not all(np.array_equal(answer[key], expected[key]) for key in expected):
                raise Violation("an altered index was accepted")

    return Target(damaged_folder(files, repair), read)


def made_folder(folder: Path) -> dict[str, bytes]:
    """A prepared folder with what composed clips have besides."""
    import data_tools

    made = data_tools.prepare(
        "synthetic", folder / "made", num_clips={"train": 2}, video_channels=2, text_dim=4
    )
    files = contents(made)
    clips = [json.loads(line) for line in files["clips.jsonl"].splitlines()]
    for clip in clips:
        clip["sources"] = {"audio": [f"{clip['id']}.ogg"] * 10, "video": ["a.png"]}
    items = [
        {"modality": modality, "name": name, "group": "g", "collection": "c"}
        for clip in clips
        for modality, names in clip["sources"].items()
        for name in names
    ]
    lines = {"clips.jsonl": clips, "items.jsonl": items}
    files |= {
        name: b"".join(json.dumps(one).encode() + b"\n" for one in found)
        for name, found in lines.items()
    }
    manifest = json.loads(files["manifest.json"])
    manifest["options"] = {"bandwidth": 8000, "side": 56}
    for name in lines:
        manifest["files"][name] = hashlib.sha256(files[name]).hexdigest()
    files["manifest.json"] = json.dumps(manifest).encode()
    return files


def beside(files: Files, *damaged_ones: str) -> st.SearchStrategy[Files]:
    """A folder of which some files may be damaged."""
    chosen = {name: files[name] for name in damaged_ones}
    return damaged_folder(chosen).map(lambda found: {**files, **found})


@target("preparation that is there")
def _is_prepared(folder: Path) -> Target:
    from data_tools.raw.preparation import is_prepared

    files = made_folder(folder)
    identity = json.loads(files["manifest.json"])
    del identity["files"]

    def read(folder: Path) -> None:
        with documented(folder / "manifest.json", folder):
            if is_prepared(folder, identity):
                found = contents(folder)
                if any(found[name] != files[name] for name in found if name != "manifest.json"):
                    raise Violation("an altered folder was accepted")

    return Target(beside(files, "manifest.json", "clips.jsonl"), read)


@target("origins of clips")
def _origins(folder: Path) -> Target:
    import data_tools
    from data_tools.io.feature_folder import FeatureFolder

    files = made_folder(folder)

    def read(folder: Path) -> None:
        with documented(folder / "clips.jsonl", folder / "items.jsonl"):
            data_tools.read_clip_origins(FeatureFolder(folder))

    chosen = {name: files[name] for name in ("clips.jsonl", "items.jsonl")}
    return Target(damaged_folder(chosen), read)


SPEC = {"name": "words", "options": {"segments": 10, "dim": 4}, "sources": {"model": "0" * 64}}


@target("recorded extractors")
def _recorded(folder: Path) -> Target:
    from data_tools.extraction.description import describe_extractors
    from data_tools.extraction.serving import recorded_extractors
    from data_tools.store import Field, StoreWriter

    composed = made_folder(folder)
    identity = {"extractors": dict.fromkeys(("audio", "video", "text"), SPEC), "segments": 10}
    states = {"audio": "audio_extractors.npz", "video": None, "text": None}
    kept = {name: {"extraction": identity, "state": state} for name, state in states.items()}
    composed["extraction.json"] = json.dumps(kept).encode()
    prepared = {name: content for name, content in composed.items() if name != "extraction.json"}
    origin = {"extraction": {"extractors": {"a": SPEC}, "segments": 10}, "versions": {}}
    with StoreWriter(folder / "store", {"a": Field((6, 10))}, 2, ["x"], origin) as writer:
        writer.append("c", {"a": VALUES[0]})
    stored = contents(folder / "store")

    def read(folder: Path) -> None:
        with documented(*folder.iterdir(), folder):
            describe_extractors(folder)
        with documented(*folder.iterdir(), folder):
            recorded_extractors(folder)

    cases = st.one_of(
        beside(composed, "extraction.json", "manifest.json"),
        beside(prepared, "manifest.json"),
        beside(stored, "schema.json"),
    )
    return Target(cases, read)


@target("files of a run")
def _run(folder: Path) -> Target:
    from data_tools.extraction.raw_features import RawFeatures
    from keras_cmg.encoding import hub

    one = {
        **{"name": "log_mel", "options": {"sample_rate": 8000}, "sources": {}, "files": {}},
        **{"state": "audio_extractors.npz", "segments": 10, "shape": [10, 128]},
        **{"rendering": {"bandwidth": 8000, "side": 56}, "paths": {"model": "/data/y"}},
    }
    described = {"format": "keras_cmg.extractors/1", "extractors": {"audio": one}}
    card = {"licence": None, "command": "keras-cmg train --clips /data/me/clips", "numbers": [0.5]}
    readme = "---\nlicense: mit\n---\n\nADDRESS\n\n## Licence\n\nNot stated.\n"
    files = {
        "extractors.json": json.dumps(described).encode(),
        "card.json": json.dumps(card).encode(),
        "README.md": readme.encode(),
        "labels.txt": b"dog\nsea\n",
    }

    def read(folder: Path) -> None:
        (folder / "audio_extractors.npz").write_bytes(b"")
        built = folder / "built"
        built.mkdir()
        with documented(*(folder / name for name in files)):
            hub._copy_texts(folder, built, "hf://me/sounds", "mit")
        with documented(folder / "extractors.json", folder):
            hub._copy_extractors(folder, built)
        with documented(folder / "extractors.json"):
            RawFeatures(folder, {})

    return Target(damaged_folder(files), read)


@target("index of clips")
def _clip_index(folder: Path) -> Target:
    from keras_cmg.search import ClipIndex
    from keras_cmg.search.encoded_clips import EncodedClips

    index = ClipIndex(np.eye(4, dtype="f4"))
    vectors = np.eye(4, dtype="f4") * 0.9
    encoded = EncodedClips(tuple("abcd"), vectors, np.arange(4), vectors[:, None], "audio")
    index.add(encoded, ["dog"] * 4, ["a.wav"] * 4)
    index.save(folder / "index")
    files = contents(folder / "index")

    def repair(found: dict[str, bytes]) -> None:
        with contextlib.suppress(ValueError, KeyError, TypeError, AttributeError, RecursionError):
            about = json.loads(found["clips.json"])
            about["sha256"] = hashlib.sha256(found["clips.jsonl"]).hexdigest()
            found["clips.json"] = json.dumps(about).encode()

    def read(folder: Path) -> None:
        with documented(*folder.rglob("*"), folder):
            loaded = ClipIndex.load(folder)
            loaded.without_files().save(folder.parent / "copied")

    return Target(damaged_folder(files, repair), read)


@target("records of runs")
def _records(folder: Path) -> Target:
    from data_tools.extraction.job import Job as Extraction
    from data_tools.extraction.planning import _begun
    from data_tools.store.schema import read_failures
    from recipes.runner import content_cache, provenance, seed_runs
    from recipes.runner.settings import Settings, _values_of_run
    from recipes.training import resumable_training, trained_encoders, tuned_models

    identity = {"format": "x", "num_clips": 2, "extractors": {"text": SPEC}}
    settings = Settings(model="dcid", preset="small", epochs=3, batch_size=8, set={}, data="digits")
    out = types.SimpleNamespace(out="", seeds=1, smoke=False)
    about = provenance.about(seed_runs.Job("quickstart", "", settings, out, 0))
    state = {"epochs": 2, "best": 1, "scores": [0.5, 1], "history": {"loss": [2.0, 1.5]}}
    state |= {"seconds": 1.5, "finished": False, "latest": "epoch2.keras"}
    failure = {"id": "a", "modality": "text", "file": "", "reason": "has no caption"}
    tuned = {"fcid": {"learning_rate": 0.1, "schedule": "constant", "arguments": {}}}
    cached = f"{content_cache.key({'a': 1})}.json"
    files = {
        "result.json": provenance.plain(about),
        "history.json": state["history"],
        "state.json": state,
        "job.json": {"identity": identity, "versions": {"numpy": "2"}},
        "failures.jsonl": failure,
        "tuned.json": {"models": tuned},
        cached: {"identity": {"a": 1}, "result": {"score": 1}},
    }
    report = types.SimpleNamespace(report=lambda runs, scratch: runs[0].result["seed"])
    clips: Any = types.SimpleNamespace(has=lambda split: False)

    def resumed(folder: Path) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            resumable_training._Progress(settings, clips, folder).continued()

    def kept(folder: Path) -> None:
        resources: Any = types.SimpleNamespace(out=folder, seeds=1, smoke=False)
        seed_runs.finished(seed_runs.Job("quickstart", "", settings, resources, 0))

    def begun(folder: Path) -> None:
        _begun(Extraction(folder, {"identity": identity}), overwrite=False)

    values = dict.fromkeys(vars(settings))
    readers: dict[str, tuple[Callable[[Path], Any], ...]] = {
        "result.json": (
            kept,
            lambda folder: _values_of_run({"run": str(folder)}, values, 0),
            lambda folder: seed_runs.write_report(folder, lambda name: report),
        ),
        "history.json": (lambda folder: trained_encoders.read_history(folder / "history.json"),),
        "state.json": (resumed,),
        "job.json": (begun,),
        "failures.jsonl": (read_failures,),
        "tuned.json": (lambda folder: tuned_models.read_tuned(folder / "tuned.json"),),
        cached: (lambda folder: content_cache.remembered(folder, {"a": 1}, dict),),
    }

    def read(folder: Path) -> None:
        (path,) = folder.iterdir()
        (folder / "model.keras").write_bytes(b"")
        for function in readers[path.name]:
            with documented(path, folder):
                function(folder)

    seeds = {name: json.dumps(value).encode() for name, value in files.items()}
    return Target(one_of(seeds), read)


@target("PyTorch weights")
def _torch(folder: Path) -> Target:
    import torch

    from keras_cmg.reference.files import read_state

    state = {"Encoder_parameters": {"a.weight": torch.ones(3, 4), "a.bias": torch.zeros(3).half()}}
    seeds = {}
    for name, zipped in (("new.pt", True), ("old.pt", False)):
        torch.save(state, folder / name, _use_new_zipfile_serialization=zipped)
        seeds[name] = (folder / name).read_bytes()
    cases = st.one_of(
        one_of({"new.pt": seeds["new.pt"]}, damaged_archive), one_of({"old.pt": seeds["old.pt"]})
    )
    return Target(cases, each(read_state))


@target("keras model")
def _keras(folder: Path) -> Target:
    import keras

    from keras_cmg.export.runs import load_run

    keras.Sequential([keras.Input((4,)), keras.layers.Dense(5)]).save(folder / "model.keras")
    (folder / "result.json").write_text('{"recipe": "a", "settings": {}, "seed": 1}')
    files = {name: (folder / name).read_bytes() for name in ("model.keras", "result.json")}
    return Target(damaged_folder(files), load_run)


@target("sound")
def _sound(folder: Path) -> Target:
    from data_tools.decoding import decode_audio

    names = ("a.wav", "a.flac", "a.ogg", "a.mp3")
    seeds = {name: media.write_sound(folder / name, 0.1).read_bytes() for name in names}
    return Target(one_of(seeds), each(lambda path: decode_audio(path, 16_000, 2), named=False))


def _videos(folder: Path) -> dict[str, bytes]:
    sound = media.tone(0.5)
    return {
        name: media.write_video(folder / name, media.pictures(6, side=32), 8, sound).read_bytes()
        for name in ("a.mp4", "a.avi", "a.mkv")
    }


@target("video")
def _video(folder: Path) -> Target:
    from data_tools.decoding import decode_video

    return Target(
        one_of(_videos(folder)), each(lambda path: decode_video(path, 16, [0.1, 0.5]), named=False)
    )


@target("sound of a video")
def _track(folder: Path) -> Target:
    from data_tools.decoding import decode_audio

    return Target(
        one_of(_videos(folder)), each(lambda path: decode_audio(path, 16_000, 2), named=False)
    )


@target("picture")
def _picture(folder: Path) -> Target:
    from PIL import Image

    from data_tools.decoding import decode_picture

    picture = Image.fromarray(media.pictures(1, side=24)[0])
    for name in ("a.png", "a.jpg", "a.bmp", "a.webp"):
        picture.save(folder / name)
    return Target(
        one_of(contents(folder)), each(lambda path: decode_picture(path, 16), named=False)
    )


@target("caption")
def _caption(folder: Path) -> Target:
    from data_tools.decoding import decode_caption

    return Target(
        one_of({"a.txt": "a dog \u00e9 barks\n".encode()}), each(decode_caption, named=False)
    )


@target("answer of a worker")
def _words(folder: Path) -> Target:
    from data_tools.store.shard import read_line, write_line

    line = write_line({"slot": 3, "checksums": [1, 2]})

    def read(path: Path) -> None:
        content = path.read_bytes().rstrip(b"\n")
        found = read_line(content)
        if found is not None and zlib.crc32(content[9:]) != int(content[:8], 16):
            raise Violation("an altered line was accepted")

    return Target(one_of({"a": line}), each(read))


def served_script() -> types.ModuleType:
    """The server of the guide."""
    from tests.conftest import REPOSITORY
    from tests.test_docs import blocks

    (script,) = (
        block.text
        for block in blocks(REPOSITORY / "docs" / "serving.md", "python")
        if "litserve" in block.text
    )
    module = types.ModuleType("serve")
    sys.modules["serve"] = module
    exec(script, module.__dict__)
    return module


METADATA = {
    "signatures": {
        "encode_audio": {"inputs": {"audio": [None, None, 3]}},
        "encode_text_masked": {"inputs": {"text": [None, None, 2], "text_mask": [None, None]}},
    },
    "limits": {"max_clips": 8, "max_frames": 20, "max_samples": 20},
}
REQUESTS = {
    "a": {"signature_name": "encode_audio", "inputs": {"audio": [[[0.5, -1, 2]] * 2]}},
    "b": {
        "signature_name": "encode_text_masked",
        "inputs": {"text": [[[1, 2.5]] * 2], "text_mask": [[1, 1]]},
    },
}


@target("request")
def _request(folder: Path) -> Target:
    check = served_script().check_request
    seeds = {name: json.dumps(request).encode() for name, request in REQUESTS.items()}

    def read(path: Path) -> None:
        body = path.read_bytes()
        check(body, METADATA)
        # What passes is what the graph takes.
        for name, value in json.loads(body)["inputs"].items():
            shape = METADATA["signatures"][json.loads(body)["signature_name"]]["inputs"][name]  # type: ignore[index]
            array = np.asarray(value, "float32")
            if array.ndim != len(shape) or not np.isfinite(array).all():
                raise Violation(f"an array of shape {array.shape} was let through")

    return Target(one_of(seeds), each(read, named=False))


@target("served model")
def _served(folder: Path) -> Target:
    import tensorflow as tf

    from keras_cmg.export import export
    from tests.helpers import served_systems

    model = served_systems.built("fcid")
    path = export(model.backbone, folder / "1", max_clips=8, max_frames=20)
    metadata = json.loads((path / "assets" / "metadata.json").read_text())
    signatures, check = tf.saved_model.load(str(path)).signatures, served_script().check_request
    good = {"audio": np.full((1, 2, 12), 0.5).tolist()}
    seeds = {"a": json.dumps({"signature_name": "encode_audio", "inputs": good}).encode()}

    def ask(body: bytes) -> dict[str, np.ndarray]:
        check(body, metadata)
        request = json.loads(body)
        inputs = {name: np.asarray(x, "float32") for name, x in request["inputs"].items()}
        try:
            found = signatures[request["signature_name"]](
                **{name: tf.constant(x) for name, x in inputs.items()}
            )
        except tf.errors.InvalidArgumentError as error:
            raise ValueError(str(error.message)[:400]) from error
        return {name: value.numpy() for name, value in found.items()}

    expected = ask(seeds["a"])

    def read(path: Path) -> None:
        try:
            found = ask(path.read_bytes())
            if not all(np.isfinite(value).all() for value in found.values()):
                raise Violation("an answer that is not finite")
        finally:
            again = ask(seeds["a"])
            if not all(np.array_equal(again[name], expected[name]) for name in expected):
                raise Violation("the next good request got another answer")

    return Target(one_of(seeds), each(read, named=False))


WORDS = st.sampled_from(
    [
        *("verify", "extract", "pack", "prepare", "synthetic", "--out", "--input", "--root", "."),
        *("--workers", "0", "-1", "1", "--segments", "--debug", "nowhere", "", "\udcff", "--train"),
        *("--option", "a=b", "=", "--dataset", "ave", "digits", "--audio", "none", "--timeout"),
        *("nan", "1e9", "--text", "words", "--shard-rows", "--overwrite", "--quick", "--clean"),
        *("table1", "quickstart", "--dry-run", "--seed", "--seeds", "--set", "x=", "--smoke"),
        *("convert", "export", "a.pt", "a.keras", "--to", "--format", "onnx", "--map-size", "\0"),
        "--json",
    ]
)


@target("command line")
def _command_line(folder: Path) -> Target:
    from data_tools.__main__ import main as data
    from keras_cmg.export.__main__ import main as export
    from keras_cmg.reference.__main__ import main as reference
    from recipes.console.main import main as console
    from recipes.runner.command_line import main as recipes

    commands = {
        "console": lambda words: console(words),
        "data": lambda words: data(words),
        "export": lambda words: export(words),
        "reference": lambda words: reference(words),
        "recipes": lambda words: recipes([*words, "--dry-run"]),
    }
    folder.joinpath("empty").mkdir()

    def read(folder: Path) -> None:
        name, *words = json.loads((folder / "words.json").read_text())
        here, shown = Path.cwd(), io.StringIO()
        import os

        os.chdir(folder)
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(shown):
                code = commands[name](words)
        except SystemExit as error:
            code = error.code if isinstance(error.code, int) else 2
        finally:
            os.chdir(here)
        text = shown.getvalue()
        if code not in (0, 1, 2):
            raise Violation(f"exit code {code}")
        if "--debug" not in words and ("Traceback" in text or "--debug shows where" in text):
            raise Violation(f"more than a line: {text[-400:]}")

    lists = st.lists(WORDS, max_size=7)
    cases = st.builds(
        lambda name, words: {"words.json": json.dumps([name, *words]).encode()},
        st.sampled_from(sorted(commands)),
        lists,
    )
    return Target(cases, read)
