"""Pickled arrays: what NumPy writes is read exactly, all else is refused and never run."""

from __future__ import annotations

import io
import pickle
from pathlib import Path

import numpy as np
import pytest

from data_tools.untrusted import read_pickled_array, read_pickled_table
from tests.helpers.hostile_files import ARRAY, encoding_bomb, hostile_pickles, memory_bombs
from tests.helpers.memory import bounded_memory

RNG = np.random.default_rng(0)
ARRAYS = {
    "float32": RNG.normal(size=(3, 4, 5)).astype(np.float32),
    "float16": RNG.normal(size=(3, 4)).astype(np.float16),
    "float64 in Fortran order": np.asfortranarray(RNG.normal(size=(3, 4))),
    "big-endian, transposed": RNG.normal(size=(3, 4, 5)).astype(">f8").transpose(1, 0, 2),
    "a view with strides": RNG.normal(size=(8, 8))[::2, ::3],
    "integers": np.arange(-3, 3),
    "uint8": np.arange(6, dtype=np.uint8),
    "booleans": np.array([[True], [False]]),
    "no axes": np.array(3.5),
    "no numbers": np.zeros((0, 128)),
    "non-finite": np.array([np.nan, np.inf]),
}


def loads(content: bytes, **options: int) -> np.ndarray:
    return read_pickled_array(io.BytesIO(content), **options, name="a.pkl")


@pytest.mark.parametrize("numpy_1", [False, True], ids=["numpy 2", "numpy 1"])
@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_read_exactly(name: str, protocol: int, numpy_1: bool) -> None:
    array = ARRAYS[name]
    content = pickle.dumps(array, protocol=protocol)
    if numpy_1:
        # Names of known length: only protocols 4 and 5 count the bytes.
        content = content.replace(b"\x1cnumpy._core.multiarray", b"\x1bnumpy.core.multiarray")
        content = content.replace(b"\x13numpy._core.numeric", b"\x12numpy.core.numeric")
        content = content.replace(b"cnumpy._core", b"cnumpy.core")
        content = content.replace(b"\x16numpy._core", b"\x15numpy.core")
        assert b"_core" not in content
    found = loads(content)
    assert found.dtype == array.dtype
    assert found.shape == array.shape
    np.testing.assert_array_equal(found, array)


def test_arrays_of_python_2_are_read() -> None:
    content = (
        b"\x80\x02cnumpy.core.multiarray\n_reconstruct\nq\x01cnumpy\nndarray\nq\x02K\x00\x85q\x03"
        b"U\x01bq\x04\x87q\x05Rq\x06(K\x01K\x02\x85q\x07cnumpy\ndtype\nq\x08U\x02f4q\tK\x00K\x01"
        b"\x87q\nRq\x0b(K\x03U\x01<q\x0cNNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tq\rb\x89"
        b"U\x08\x00\x00\x80?\x00\x00\x80\xbfq\x0etq\x0fb."
    )
    np.testing.assert_array_equal(loads(content), np.array([1, -1], np.float32))


@pytest.mark.parametrize("kind", hostile_pickles(Path("witness")))
def test_hostile_pickles_are_refused_and_not_run(kind: str, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    with pytest.raises(ValueError, match=r"^a\.pkl must ") as caught:
        loads(hostile_pickles(witness)[kind])
    assert not witness.exists()
    named = {
        "GLOBAL os.system": "Received: os.system",
        "STACK_GLOBAL posix.system": "Received: posix.system",
        "REDUCE builtins.eval": "Received: builtins.eval",
        "EXT registry": "no instruction EXT1",
        "PERSID": "no instruction PERSID",
        "two pickles": "Received more bytes",
        "object array": "Received dtype 'O8'",
    }
    assert named.get(kind, "") in str(caught.value)


def test_the_hostile_pickles_are_hostile(tmp_path: Path) -> None:
    # Otherwise the test above would show nothing.
    for kind in ("GLOBAL os.system", "STACK_GLOBAL posix.system", "REDUCE builtins.eval"):
        witness = tmp_path / kind.replace(" ", "-")
        pickle.loads(hostile_pickles(witness)[kind])
        assert witness.exists()


@pytest.mark.parametrize("kind", memory_bombs())
def test_bombs_take_neither_memory_nor_time(kind: str) -> None:
    content = memory_bombs()[kind]
    with bounded_memory(2**21), pytest.raises(ValueError, match=r"^a\.pkl must "):
        loads(content)


def test_size_is_bounded() -> None:
    content = pickle.dumps(np.zeros(1000, np.float32))
    with pytest.raises(ValueError, match=r"a\.pkl must hold at most 3000 bytes. Received one that"):
        loads(content, max_bytes=3000)
    assert loads(content, max_bytes=len(content)).shape == (1000,)


@pytest.mark.parametrize("protocol", [0, 2, 4, 5])
def test_every_cut_is_noticed(protocol: int) -> None:
    content = pickle.dumps(ARRAY, protocol=protocol)
    for length in range(len(content)):
        with pytest.raises(ValueError, match=r"^a\.pkl must "):
            loads(content[:length])


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_altered_bytes_give_an_array_or_a_value_error(protocol: int) -> None:
    content = bytearray(pickle.dumps(ARRAY, protocol=protocol))
    rng = np.random.default_rng(protocol)
    for _ in range(3000):
        altered = bytearray(content)
        for place in rng.integers(0, len(content), rng.integers(1, 4)):
            altered[place] = rng.integers(256)
        try:
            found = loads(bytes(altered))
        except ValueError as error:
            assert str(error).startswith("a.pkl must ")
        else:
            assert found.dtype.kind in "biuf"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1.0, 2.0], "no instruction EMPTY_LIST"),
        ({"a": 1}, "no instruction EMPTY_DICT"),
        ("text", "must be one pickled NumPy array. Received: 'text'"),
        (np.float32(1), "name nothing else. Received: numpy._core.multiarray.scalar"),
        (np.array(["a"]), "booleans, integers or floats. Received dtype 'U1'"),
        (np.zeros(2, "f4,i4"), "booleans, integers or floats. Received dtype 'V8'"),
        (np.zeros(2, "M8[s]"), "booleans, integers or floats. Received dtype 'M8'"),
        (np.zeros(2, complex), "booleans, integers or floats. Received dtype 'c16'"),
        (np.ma.zeros(2), "name nothing else. Received: numpy.ma.core._mareconstruct"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_other_objects_are_refused_by_name(value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        loads(pickle.dumps(value))


def test_all_bytes_that_instructions_make_count() -> None:
    content = encoding_bomb(2**20, times=190)
    with bounded_memory(2**24), pytest.raises(ValueError, match="that makes at most 6291456 bytes"):
        loads(content, max_bytes=2**21)


@pytest.mark.parametrize("protocol", range(6))
def test_tables_are_read_exactly(protocol: int) -> None:
    table = {
        b"labels": list(range(1200)),
        "filenames": [f"{number}.png" for number in range(1200)],
        "empty": [],
        "label": "training batch 1 of 5",
        "data": ARRAYS["uint8"],
    }
    found = read_pickled_table(io.BytesIO(pickle.dumps(table, protocol=protocol)))
    assert set(found) == {"labels", "filenames", "empty", "data"}
    assert found["labels"] == table[b"labels"]
    assert found["filenames"] == table["filenames"]
    np.testing.assert_array_equal(found["data"], table["data"])


def test_tables_of_python_2_are_read() -> None:
    content = (
        b"\x80\x02}q\x01(U\x06labelsq\x02]q\x03(K\x06K\teU\tfilenamesq\x04]q\x05(U\x05a.pngq\x06"
        b"U\x05b.pngq\x07eu."
    )
    expected = {"labels": [6, 9], "filenames": ["a.png", "b.png"]}
    assert read_pickled_table(io.BytesIO(content)) == expected
    assert pickle.loads(content) == expected


@pytest.mark.parametrize("kind", hostile_pickles(Path("witness")))
def test_hostile_tables_are_refused_and_not_run(kind: str, tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    with pytest.raises(ValueError, match="must"):
        read_pickled_table(io.BytesIO(hostile_pickles(witness)[kind]))
    inside = b"\x80\x02}(U\x01a" + hostile_pickles(witness)[kind].rstrip(b".") + b"u."
    with pytest.raises(ValueError, match="must"):
        read_pickled_table(io.BytesIO(inside))
    assert not witness.exists()


def test_values_that_are_no_table_are_refused() -> None:
    for content in (b"\x80\x02]K\x01a.", b"\x80\x02}K\x01K\x02s.", b"\x80\x02K\x01K\x02a."):
        with pytest.raises(ValueError, match="must be"):
            read_pickled_table(io.BytesIO(content))
    with pytest.raises(ValueError, match="must be a whole pickle"):
        read_pickled_table(io.BytesIO(b"\x80\x02}K\x01e."))
