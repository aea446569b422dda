"""The index finds what brute force finds, files and forgets clips, and survives its files."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest

import keras_cmg
from keras_cmg import layers
from keras_cmg.search import code_index
from tests.helpers.served_systems import MODALITIES, SHAPES, built
from tests.helpers.small_systems import batch, small_system

pytest.importorskip("faiss")


@pytest.fixture
def clips():
    random = np.random.default_rng(0)
    codebook = random.normal(size=(12, 6)).astype("float32")
    codes = random.integers(12, size=300)
    features = codebook[codes] + 0.5 * random.normal(size=(300, 6)).astype("float32")
    return codebook, features.astype("float32"), 10 * np.arange(300)


def squared(a, b):
    return np.square(a[:, None].astype("float64") - b[None]).sum(axis=2)


def filled(clips, **options):
    codebook, features, ids = clips
    index = keras_cmg.search.CodeIndex(codebook, **options)
    index.add(ids, features)
    return index


@pytest.mark.parametrize(("storage", "tolerance"), [("float32", 1e-5), ("float16", 2e-2)])
def test_all_lists_make_the_search_exact(clips, storage, tolerance):
    _, features, ids = clips
    index = filled(clips, storage=storage)
    queries = features[:20] + 0.1
    found = index.search(queries, num_clips=5, num_codes=12)
    exact = squared(queries, features)
    order = np.argsort(exact, axis=1)[:, :5]
    np.testing.assert_allclose(
        found["distances"], np.take_along_axis(exact, order, axis=1), atol=tolerance
    )
    if storage == "float32":
        np.testing.assert_array_equal(found["ids"], ids[order])


# Half precision rounds the stored differences to codes twice independently, once at each offset.
@pytest.mark.parametrize(("storage", "tolerance"), [("float32", 2e-2), ("float16", 4e-2)])
def test_search_does_not_depend_on_the_distance_from_the_origin(storage, tolerance):
    # Of as many vectors and channels, FAISS computes distances from squared norms.
    random = np.random.default_rng(0)
    codebook, features = random.normal(size=(256, 64)), random.normal(size=(2000, 64))
    indices = [
        filled((codebook + offset, features + offset, np.arange(2000)), storage=storage)
        for offset in (0.0, 1000.0)
    ]
    near, far = (
        index.search(features + 0.1 + offset, num_clips=3, num_codes=16)
        for index, offset in zip(indices, (0.0, 1000.0), strict=True)
    )
    # Features themselves are rounded at 1000, by 3e-5.
    np.testing.assert_allclose(far["distances"], near["distances"], atol=tolerance)
    assert (far["ids"] == near["ids"]).mean() > 0.97
    assert np.abs(indices[0].list_sizes - indices[1].list_sizes).sum() < 10


def test_few_lists_are_those_of_the_nearest_codes(clips):
    codebook, features, ids = clips
    index = filled(clips)
    queries = features[:20] + 0.1
    found = index.search(queries, num_clips=300, num_codes=2)
    own = squared(features, codebook).argmin(axis=1)
    for row, query in enumerate(squared(queries, codebook)):
        expected = set(ids[np.isin(own, np.argsort(query)[:2])].tolist())
        got = found["ids"][row]
        assert set(got[got >= 0].tolist()) == expected
        assert np.isinf(found["distances"][row][got < 0]).all()
        assert (np.diff(found["distances"][row][got >= 0]) >= 0).all()


def test_codes_alone_rank_by_distance_to_the_code(clips):
    codebook, features, ids = clips
    index = filled(clips, storage="codes")
    found = index.search(features[:5], num_clips=300, num_codes=12)
    own = squared(features, codebook).argmin(axis=1)
    expected = squared(features[:5], codebook[own])
    np.testing.assert_allclose(found["distances"], np.sort(expected, axis=1), atol=1e-4)
    for row in range(5):
        position = {clip: place for place, clip in enumerate(ids.tolist())}
        np.testing.assert_allclose(
            found["distances"][row],
            expected[row][[position[clip] for clip in found["ids"][row].tolist()]],
            atol=1e-4,
        )


def test_clips_are_found_by_codes(clips):
    codebook, features, ids = clips
    index = filled(clips)
    own = squared(features, codebook).argmin(axis=1)
    found = index.search_codes([[3, 5], [7, 7]], num_clips=300)["ids"]
    assert set(found[0][found[0] >= 0].tolist()) == set(ids[np.isin(own, [3, 5])].tolist())
    assert set(found[1][found[1] >= 0].tolist()) == set(ids[own == 7].tolist())
    single = index.search_codes([7], num_clips=300)["ids"]
    np.testing.assert_array_equal(single[0], found[1])
    in_list = ids[own == 7]
    order = np.argsort(squared(codebook[7:8], features[own == 7])[0])
    np.testing.assert_array_equal(single[0][: len(in_list)], in_list[order])


def test_codes_without_clips_are_passed_over(clips):
    codebook, features, _ = clips
    index = keras_cmg.search.CodeIndex(codebook)
    far = squared(codebook[:1], codebook)[0].argsort()[-2:]
    index.add([1, 2], features[:2], codes=far)
    assert set(index.search(codebook[:1], 2, num_codes=2)["ids"][0].tolist()) == {1, 2}
    assert index.search(codebook[:1], 2, num_codes=1)["ids"][0].tolist() == [1, -1]
    index.remove([1])
    assert index.search(codebook[:1], 1, num_codes=1)["ids"][0].tolist() == [2]


def test_clips_are_filed_under_the_systems_own_codes(clips):
    codebook, features, _ = clips
    index = keras_cmg.search.CodeIndex(codebook)
    index.add([1, 2], features[:2], codes=[4, 4])
    assert index.list_sizes.tolist() == [0] * 4 + [2] + [0] * 7
    assert set(index.search_codes([4], 2)["ids"][0].tolist()) == {1, 2}


def test_stored_vectors_can_be_read_after_clips_are_removed_and_added() -> None:
    x = np.random.default_rng(0).normal(size=(20, 8)).astype("float32")
    index = keras_cmg.search.CodeIndex(x[:4])
    index.add(np.arange(10), x[:10])
    np.testing.assert_allclose(index.vectors([7, 2]), x[[7, 2]], atol=1e-6)
    index.remove([2])
    index.add(np.arange(10, 20), x[10:])
    np.testing.assert_allclose(index.vectors([15, 7]), x[[15, 7]], atol=1e-6)
    with pytest.raises(ValueError, match=r"`ids` must be of clips in the index. Received: \[2\]"):
        index.vectors([7, 2])


@pytest.mark.parametrize("storage", ["float32", "float16", "codes"])
def test_removed_clips_are_gone_and_ids_free_again(clips, storage):
    _, features, ids = clips
    index = filled(clips, storage=storage)
    assert index.remove(ids[::2]) == 150
    assert index.remove(ids[::2]) == 0
    assert len(index) == 150 and 0 not in index and 10 in index
    left = index.search(features[:3], num_clips=300, num_codes=12)["ids"]
    assert all(set(row[row >= 0].tolist()) == set(ids[1::2].tolist()) for row in left)
    index.add(ids[:1], features[:1])
    assert 0 in index and len(index) == 151
    assert index.list_sizes.sum() == 151


@pytest.mark.parametrize("storage", ["float32", "float16", "codes"])
def test_a_saved_index_goes_on(clips, storage, tmp_path):
    _, features, ids = clips
    index = filled(clips, storage=storage)
    index.remove(ids[:5])
    index.save(tmp_path / "index")
    again = keras_cmg.search.CodeIndex.load(tmp_path / "index")
    for key in ("ids", "distances"):
        np.testing.assert_array_equal(again.search(features)[key], index.search(features)[key])
    again.add(ids[:5], features[:5])
    again.save(tmp_path / "index")
    assert len(keras_cmg.search.CodeIndex.load(tmp_path / "index")) == 300
    assert len(list((tmp_path / "index").iterdir())) == 3


def test_a_killed_save_leaves_the_earlier_state(clips, tmp_path, monkeypatch):
    _, _, ids = clips
    index = filled(clips)
    index.save(tmp_path / "index")
    before = sorted(path.name for path in (tmp_path / "index").iterdir())
    index.remove(ids[:100])

    def killed(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(code_index.stored.os, "replace", killed)
    with pytest.raises(KeyboardInterrupt):
        index.save(tmp_path / "index")
    assert sorted(path.name for path in (tmp_path / "index").iterdir()) == before
    assert len(keras_cmg.search.CodeIndex.load(tmp_path / "index")) == 300
    with pytest.raises(KeyboardInterrupt):
        index.save(tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_damage_is_seen_and_named(clips, tmp_path):
    index = filled(clips)
    index.save(tmp_path / "index")
    (lists,) = (tmp_path / "index").glob("lists-*.bin")
    whole = lists.read_bytes()
    for damaged in (whole[:-1], whole[:100] + bytes([whole[100] ^ 1]) + whole[101:], b""):
        lists.write_bytes(damaged)
        with pytest.raises(ValueError, match=lists.name):
            keras_cmg.search.CodeIndex.load(tmp_path / "index")
    lists.unlink()
    with pytest.raises(ValueError, match="is missing"):
        keras_cmg.search.CodeIndex.load(tmp_path / "index")
    description = tmp_path / "index" / "index.json"
    description.write_text(json.dumps({"format": "other"}), encoding="utf-8")
    with pytest.raises(ValueError, match="must be of the format"):
        keras_cmg.search.CodeIndex.load(tmp_path / "index")
    description.write_text(json.dumps({"format": "keras_cmg.search/3"}), encoding="utf-8")
    with pytest.raises(ValueError, match="must have entries"):
        keras_cmg.search.CodeIndex.load(tmp_path / "index")
    with pytest.raises(FileNotFoundError):
        keras_cmg.search.CodeIndex.load(tmp_path)
    with pytest.raises(ValueError, match="holds something else"):
        index.save(tmp_path)


def test_bad_arguments_are_refused_and_change_nothing(clips):
    codebook, features, ids = clips
    index = filled(clips)
    x = features[:2]
    for arguments, message in (
        (([1, 1], x), "each given once"),
        (([0, 1], x), "each given once"),
        (([1], x), "must hold the same clips"),
        (([-1, 1], x), "must be at least 0"),
        (([1.5, 2.5], x), "must be integers"),
        (([1, 2], x[:, :3]), "must have shape"),
        (([1, 2], np.full_like(x, np.nan)), "must be finite"),
        (([1, 2], x, [0, 12]), "must lie between 0 and 11"),
        (([1, 2], x, [0]), "`codes` must have shape"),
    ):
        with pytest.raises(ValueError, match=message):
            index.add(*arguments)
    for call, message in (
        (lambda: index.search(x, num_clips=0), "`num_clips` must be at least 1"),
        (lambda: index.search(x, num_codes=0), "`num_codes` must be at least 1"),
        (lambda: index.search(x[0]), "must have shape"),
        (lambda: index.search_codes([12]), "must lie between"),
        (lambda: index.search_codes([[[1]]]), "must have shape"),
        (lambda: keras_cmg.search.CodeIndex(codebook, "pickle"), "`storage` must be one of"),
        (lambda: keras_cmg.search.CodeIndex(codebook[0]), "`codebook` must be"),
        (lambda: filled((codebook, 1e6 * features, ids), storage="float16"), "half precision"),
    ):
        with pytest.raises(ValueError, match=message):
            call()
    assert len(index) == 300 and index.list_sizes.sum() == 300


def test_an_empty_index_and_no_queries(clips):
    codebook, features, _ = clips
    index = keras_cmg.search.CodeIndex(codebook)
    assert (index.search(features[:2], 3)["ids"] == -1).all()
    assert index.search(features[:0], 3)["ids"].shape == (0, 3)
    index.add([], features[:0])
    assert len(index) == 0


@pytest.mark.every_engine
def test_sound_is_found_by_pictures_and_words():
    model = built("fcid")
    backbone, random = model.backbone, np.random.default_rng(0)
    index = keras_cmg.search.CodeIndex(backbone.codebook)
    batch = {m: random.normal(size=(9, *SHAPES[m][1:])).astype("float32") for m in MODALITIES}
    mask = np.repeat([[1.0] * 4 + [0.0] * 6], 9, axis=0)
    index.add_clips(backbone, "audio", batch["audio"], np.arange(9))
    index.add_clips(backbone, "text", batch["text"], np.arange(9) + 100, mask=mask)
    for modality, kept in (("video", None), ("text", mask)):
        query = backbone.encode(modality, batch[modality], "clip", kept)["general"]
        stored = [
            backbone.encode("audio", batch["audio"], "clip")["general"],
            backbone.encode("text", batch["text"], "clip", mask)["general"],
        ]
        features = np.concatenate([keras.ops.convert_to_numpy(x) for x in stored])
        ids = np.concatenate([np.arange(9), np.arange(9) + 100])
        found = index.search_clips(
            backbone, modality, batch[modality], num_clips=3, num_codes=6, mask=kept
        )
        exact = squared(keras.ops.convert_to_numpy(query), features)
        np.testing.assert_allclose(found["distances"], np.sort(exact, axis=1)[:, :3], atol=1e-5)
        assert set(found["ids"].ravel().tolist()) <= set(ids.tolist())


def test_another_backbones_codes_are_refused():
    backbone = built("fcid").backbone
    index = keras_cmg.search.CodeIndex(backbone.codebook + 1)
    with pytest.raises(ValueError, match="must have the codebook"):
        index.add_clips(backbone, "audio", np.zeros((1, 10, 12)), [0])


def family():
    codebook = layers.Codebook(8, 4, initial_scale=1.0)
    return {
        "levels": layers.ResidualQuantizer(codebook, num_levels=2),
        "groups": layers.GroupedQuantizer(layers.FSQ((3, 3)), num_groups=2),
        "projected": layers.ProjectedQuantizer(layers.FSQ((3, 3, 3)), 4),
        "projected levels": layers.ProjectedQuantizer(
            layers.ResidualQuantizer(layers.LFQ(2), num_levels=3), 4
        ),
    }


@pytest.mark.parametrize("name", ["levels", "groups", "projected", "projected levels"])
@pytest.mark.parametrize("storage", ["float32", "codes"])
def test_clips_are_found_by_all_indices_of_a_quantizer(name, storage, tmp_path):
    quantizer = family()[name]
    quantizer.build()
    features = np.random.default_rng(0).standard_normal((200, 4)).astype("float32")
    codes = np.asarray(keras.ops.convert_to_numpy(quantizer.encode(features)))
    index = keras_cmg.search.CodeIndex(quantizer, storage)
    index.add(np.arange(200), features, codes)
    index.save(tmp_path / "clips")
    index = keras_cmg.search.CodeIndex.load(tmp_path / "clips")
    same = (codes.reshape(200, 1, -1) == codes.reshape(1, 200, -1)).all(axis=2)
    found = index.search_codes(codes[:20], num_clips=200)["ids"]
    for row, expected in zip(found, same[:20], strict=True):
        assert set(row[row >= 0].tolist()) == set(np.flatnonzero(expected).tolist())
    # Lists of several codes: those of the segments of a clip.
    pairs = index.search_codes(np.stack([codes[:20], codes[20:40]], axis=1), num_clips=200)["ids"]
    assert set(pairs[0][pairs[0] >= 0].tolist()) == set(np.flatnonzero(same[0] | same[20]).tolist())
    # A query visits the list of its own code first, nearest or not.
    own = index.search(features[:20], num_clips=200, num_codes=1, codes=codes[:20])["ids"]
    for row, expected in zip(own, same[:20], strict=True):
        assert set(row[row >= 0].tolist()) == set(np.flatnonzero(expected).tolist())
    everything = index.search(features[:20], 5, num_codes=10**4, codes=codes[:20])
    if storage == "float32":
        exact = np.argsort(squared(features[:20], features), axis=1)[:, :5]
        np.testing.assert_array_equal(everything["ids"], exact)


def test_the_leading_levels_choose_the_list_where_there_are_many():
    quantizer = layers.ResidualQuantizer(layers.LFQ(num_bits=6), num_levels=4)
    index = keras_cmg.search.CodeIndex(quantizer)
    assert index.index_sizes.tolist() == [64, 64, 0, 0] and len(index.codebook) == 4096
    features = np.random.default_rng(0).standard_normal((50, 6)).astype("float32")
    codes = np.asarray(keras.ops.convert_to_numpy(quantizer.encode(features)))
    index.add(np.arange(50), features, codes)
    np.testing.assert_array_equal(
        np.flatnonzero(index.list_sizes), np.unique(codes[:, 0] * 64 + codes[:, 1])
    )
    with pytest.raises(ValueError, match=r"`codes` must have shape \(\.\.\., 4\)"):
        index.search_codes(codes[:, :2])
    with pytest.raises(ValueError, match="`codes` must be those of 3 queries"):
        index.search(features[:3], codes=codes[:2])


def test_lists_are_bounded():
    with pytest.raises(ValueError, match="at most 65536 values of its first index"):
        keras_cmg.search.CodeIndex(layers.GroupedQuantizer(layers.LFQ(17), num_groups=2))


def test_a_system_with_levels_is_searched():
    quantizer = layers.ResidualQuantizer(layers.Codebook(6, 8, initial_scale=1.0), num_levels=2)
    backbone = small_system("turn", backbone={"quantizer": quantizer}).backbone
    data = batch(clips=6)
    backbone(data)
    index = keras_cmg.search.CodeIndex(backbone.code_source())
    index.add_clips(backbone, "audio", data["audio"], ids=np.arange(6))
    found = index.search_clips(backbone, "audio", data["audio"], num_clips=1)
    assert found["ids"][:, 0].tolist() == list(range(6))
    quantizer.quantizers[1].codebook.assign(quantizer.quantizers[1].codebook + 1.0)
    with pytest.raises(ValueError, match="must have the codebook that this index was made with"):
        index.search_clips(backbone, "audio", data["audio"])


@pytest.mark.parametrize("name", ["hdcid", "codebind"])
def test_systems_with_several_codes_per_vector_are_searched(name):
    backbone = built(name).backbone
    random = np.random.default_rng(0)
    data = {m: random.normal(size=(9, *SHAPES[m][1:])).astype("float32") for m in MODALITIES}
    index = keras_cmg.search.CodeIndex(backbone.code_source())
    assert index.index_sizes.tolist() == [6, 6] and len(index.codebook) == 36
    index.add_clips(backbone, "audio", data["audio"], np.arange(9))
    found = index.search_clips(backbone, "audio", data["audio"], num_clips=1, num_codes=36)
    assert found["ids"][:, 0].tolist() == list(range(9))
    general = {
        m: keras.ops.convert_to_numpy(backbone.encode(m, data[m], "clip")["general"])
        for m in ("audio", "video")
    }
    found = index.search_clips(backbone, "video", data["video"], num_clips=9, num_codes=36)
    expected = np.sort(squared(general["video"], general["audio"]), axis=1)
    np.testing.assert_allclose(found["distances"], expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(
    "change",
    [
        {"lists": "../elsewhere.bin"},
        {"codes": "/etc/passwd"},
        {"codes": ["codebook.npy"]},
        {"files": {}},
        {"files": []},
        {"clips": -1},
        {"clips": 10**30},
        {"storage": "pickle"},
        {"dim": 10**9},
        {"index_sizes": [10**30]},
        {"index_sizes": "all"},
        {"index_sizes": [-1, -6]},
    ],
    ids=str,
)
def test_a_description_leads_nowhere_else(clips, tmp_path, change):
    filled(clips).save(tmp_path / "index")
    path = tmp_path / "index" / "index.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    path.write_text(json.dumps({**description, **change}), encoding="utf-8")
    with pytest.raises(ValueError, match=r"index\.json|codebook-|lists-|storage") as caught:
        keras_cmg.search.CodeIndex.load(tmp_path / "index")
    assert len(str(caught.value)) < 1000


def test_every_file_of_an_index_is_checked(clips, tmp_path):
    filled(clips).save(tmp_path / "index")
    (codebook,) = (tmp_path / "index").glob("codebook-*.npy")
    path = tmp_path / "index" / "index.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    del description["files"][codebook.name]
    path.write_text(json.dumps(description), encoding="utf-8")
    with pytest.raises(ValueError, match="must have a checksum of codebook"):
        keras_cmg.search.CodeIndex.load(tmp_path / "index")
