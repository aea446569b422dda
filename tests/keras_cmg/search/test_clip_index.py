"""An index of named clips finds them by cosine, keeps what is known of them, and survives files."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import keras_cmg
from keras_cmg.search import ClipIndex, EncodedClips, clip_index

pytest.importorskip("faiss")


def clips(
    modality: str, count: int, seed: int, codebook: np.ndarray, shape: tuple[int, ...] = ()
) -> EncodedClips:
    """Random clips with their nearest codes."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, codebook.shape[1])).astype("float32")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    codes = (unit @ codebook.T).argmax(axis=1).reshape(count, *shape)
    names = tuple(f"{modality}{number}" for number in range(count))
    return EncodedClips(names, vectors, codes, vectors, modality)


@pytest.fixture
def codebook() -> np.ndarray:
    rng = np.random.default_rng(3)
    codes = rng.normal(size=(6, 8)).astype("float32")
    return codes / np.linalg.norm(codes, axis=1, keepdims=True)


@pytest.fixture
def filled(codebook: np.ndarray) -> ClipIndex:
    index = ClipIndex(codebook)
    sounds, pictures = clips("audio", 40, 0, codebook), clips("video", 30, 1, codebook)
    index.add(sounds, labels=["dog"] * 40, files=[f"/data/{n}.ogg" for n in range(40)])
    index.add(pictures, texts=[f"words {n}" for n in range(30)])
    return index


def test_clips_are_ranked_by_cosine(codebook: np.ndarray, filled: ClipIndex) -> None:
    queries, pictures = clips("text", 5, 2, codebook), clips("video", 30, 1, codebook)
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries[1], pictures[1])]
    cosines = unit[0] @ unit[1].T
    for row, hits in enumerate(filled.search(queries, "video", k=7)):
        order = np.argsort(-cosines[row])[:7]
        assert [hit.name for hit in hits] == [f"video{place}" for place in order]
        np.testing.assert_allclose([hit.score for hit in hits], cosines[row][order], atol=1e-5)
        for hit, place in zip(hits, order, strict=True):
            same = pictures.indices[place] == queries.indices[row]
            assert hit.shared_codes == ((int(queries.indices[row]),) if same else ())
            assert hit.text == f"words {place}"


def test_a_search_returns_no_more_clips_than_there_are(
    codebook: np.ndarray, filled: ClipIndex
) -> None:
    queries = clips("text", 2, 2, codebook)
    assert [len(hits) for hits in filled.search(queries, "video", k=100)] == [30, 30]
    few = filled.search(queries, "video", k=100, num_codes=1)
    assert all(len(hits) < 30 for hits in few)
    for hits in few:
        assert len({hit.codes for hit in hits}) == 1


def test_queries_are_averaged_with_their_neighbours(
    codebook: np.ndarray, filled: ClipIndex, tmp_path: Path
) -> None:
    queries, sounds = clips("audio", 3, 2, codebook), clips("audio", 40, 0, codebook)
    # A clip of the index, and two that are not in it.
    queries = queries._replace(names=("audio7", "new", "newer"))
    queries.vectors[0] = sounds.vectors[7]
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries[1], sounds[1])]
    expected = []
    for row, cosines in enumerate(unit[0] @ unit[1].T):
        near = [place for place in np.argsort(-cosines) if (row, place) != (0, 7)][:4]
        mixed = 0.3 * unit[0][row] + 0.7 * unit[1][near].mean(axis=0)
        expected.append(mixed / np.linalg.norm(mixed))
    filled.save(tmp_path / "clips")
    for index in (filled, ClipIndex.load(tmp_path / "clips")):
        found = index.expand(queries, 4)
        np.testing.assert_allclose(found.vectors, expected, atol=1e-6)
        assert found.names == queries.names
    words = clips("text", 2, 5, codebook)
    assert filled.expand(words) is words
    with pytest.raises(ValueError, match=r"`number` must be at least 1\. Received: 0"):
        filled.expand(queries, 0)
    assert [filled.is_labelled(name) for name in ("audio", "video", "text")] == [True, False, False]


def test_many_clips_are_searched_in_the_nearest_lists(
    codebook: np.ndarray, filled: ClipIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clip_index, "MAX_VISITED", 1)
    hits = filled.search(clips("text", 1, 2, codebook), "video", k=30)[0]
    assert len({hit.codes for hit in hits}) == 1


def test_clips_of_a_code_are_of_all_modalities(codebook: np.ndarray, filled: ClipIndex) -> None:
    everything = [clip for name in filled.modalities for clip in filled.clips(name)]
    for code in range(len(codebook)):
        expected = [clip for clip in everything if clip.codes == (code,)]
        assert list(filled.clips_of_code(code)) == expected
    assert filled.clips_of_code(99) == ()


def test_what_is_saved_is_loaded(codebook: np.ndarray, filled: ClipIndex, tmp_path: Path) -> None:
    filled.save(tmp_path / "index")
    loaded = ClipIndex.load(tmp_path / "index")
    assert len(loaded) == 70
    assert {name: loaded.clips(name) for name in loaded.modalities} == {
        name: filled.clips(name) for name in filled.modalities
    }
    queries = clips("text", 3, 2, codebook)
    assert loaded.search(queries, "audio") == filled.search(queries, "audio")
    more = clips("text", 4, 5, codebook)
    loaded.add(more)
    loaded.save(tmp_path / "index")
    assert ClipIndex.load(tmp_path / "index").modalities == ("audio", "video", "text")


def test_several_indices_survive_a_file(tmp_path: Path) -> None:
    quantizer = keras_cmg.layers.ResidualQuantizer(keras_cmg.layers.LFQ(num_bits=2), num_levels=2)
    index = ClipIndex(quantizer)
    x = np.array([[0.9, -0.4], [0.4, -1.6]], "float32")
    codes = np.asarray(quantizer.encode(x))
    index.add(EncodedClips(("a", "b"), x, codes, x, "audio"))
    index.save(tmp_path / "index")
    loaded = ClipIndex.load(tmp_path / "index")
    # Codes of the second level are numbered after the four of the first.
    first = (int(codes[0, 0]), 4 + int(codes[0, 1]))
    assert loaded.clips("audio")[0].codes == first
    loaded.add(EncodedClips(("c",), x[:1], codes[:1], x[:1], "video"))
    hit = loaded.search(EncodedClips(("a",), x[:1], codes[:1], x[:1], "audio"), "video")[0][0]
    assert hit.name == "c"
    assert hit.shared_codes == first
    assert [clip.name for clip in loaded.clips_of_code(first[1])] == ["a", "c"]


def test_wrong_clips_are_refused_and_nothing_is_added(
    codebook: np.ndarray, filled: ClipIndex
) -> None:
    new = clips("text", 3, 7, codebook)
    with pytest.raises(ValueError, match=r"new within a modality. Received again: \['audio1'\]"):
        filled.add(new._replace(names=("a", "audio1", "b"), modality="audio"))
    with pytest.raises(ValueError, match=r"new within a modality. Received again: \['a'\]"):
        filled.add(new._replace(names=("a", "a", "b")))
    with pytest.raises(ValueError, match=r"`labels` must have an entry per clip\. Received 1"):
        filled.add(new, labels=["dog"])
    with pytest.raises(ValueError, match="`codes` must lie between 0 and 5"):
        filled.add(new._replace(indices=np.array([0, 1, 9])))
    assert len(filled) == 70
    assert filled.modalities == ("audio", "video")
    with pytest.raises(ValueError, match=r"`modality` must be one of \('audio', 'video'\)"):
        filled.search(new, "text")
    with pytest.raises(ValueError, match="`k` must be at least 1"):
        filled.search(new, "audio", k=0)
    with pytest.raises(ValueError, match="`storage` must be 'float32' or 'float16'"):
        ClipIndex(codebook, "codes")


def test_damaged_files_are_named(filled: ClipIndex, tmp_path: Path) -> None:
    folder = tmp_path / "index"
    filled.save(folder)
    lines = folder / "clips.jsonl"
    good = lines.read_text()
    lines.write_text(good.replace("dog", "cat"))
    with pytest.raises(ValueError, match=r"clips\.jsonl does not have the checksum"):
        ClipIndex.load(folder)
    lines.write_text(good)
    description = json.loads((folder / "clips.json").read_text())
    (folder / "clips.json").write_text(json.dumps({**description, "modalities": 3}))
    with pytest.raises(ValueError, match=r"clips\.json must name modalities"):
        ClipIndex.load(folder)
    (folder / "clips.json").write_text(json.dumps({**description, "format": "other"}))
    with pytest.raises(ValueError, match="must be of the format"):
        ClipIndex.load(folder)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "a.txt").touch()
    with pytest.raises(ValueError, match="`path` must be new or hold an index"):
        filled.save(tmp_path / "other")


@pytest.mark.parametrize("shape", [(), (2,), (0,)])
def test_no_clips_are_no_modality(
    codebook: np.ndarray, filled: ClipIndex, shape: tuple[int, ...]
) -> None:
    """Such as where no file could be read."""
    none = EncodedClips((), np.zeros((0, 8)), np.zeros((0, *shape), int), np.zeros((0, 8)), "text")
    filled.add(none)
    assert filled.modalities == ("audio", "video") and len(filled) == 70
    assert filled.search(none, "audio") == []


def test_an_index_without_clips_is_not_saved(codebook: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must hold at least one clip to be saved"):
        ClipIndex(codebook).save(tmp_path / "index")
    assert not (tmp_path / "index").exists()
