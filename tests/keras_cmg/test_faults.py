"""Whatever reading raises names the file, shortly; faults of the machine stay what they are."""

from __future__ import annotations

import csv
import errno
import struct
import tokenize
import zlib
from pathlib import Path

import pytest

from keras_cmg.faults import machine_fault, reading, run_command, shorten


@pytest.mark.parametrize(
    "error",
    [
        KeyError("a"), IndexError(), TypeError("x"), AttributeError("no"), AssertionError(),
        RecursionError("deep"), MemoryError(), NotImplementedError(), RuntimeError("native"),
        SyntaxError("bad"), tokenize.TokenError("eof"), struct.error("short"), zlib.error("-3"),
        csv.Error("line"), OverflowError(), EOFError(), OSError("no number"), UnicodeWarning("w"),
        ValueError("does not name it"), ValueError("a.bin " + "x" * 10**6),
    ],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_any_error_becomes_one_that_names_the_file(error: Exception) -> None:
    with pytest.raises(ValueError, match=r"^a\.bin .+") as caught, reading("a.bin", "be whole"):
        raise error
    assert type(caught.value) is ValueError
    assert len(str(caught.value)) < 1000


class PanicException(BaseException):
    """As libraries in Rust raise it."""


def test_a_panic_of_rust_is_damage_and_an_interrupt_is_not() -> None:
    with pytest.raises(ValueError, match=r"a\.bin must be whole"), reading("a.bin"):
        raise PanicException("index out of range")
    with pytest.raises(KeyboardInterrupt), reading("a.bin"):
        raise KeyboardInterrupt


def test_faults_of_the_machine_are_no_damage() -> None:
    for number in (errno.ENOSPC, errno.EACCES, errno.EIO, errno.ENOENT):
        with pytest.raises(OSError) as caught, reading("a.bin"):
            raise OSError(number, "text", "a.bin")
        assert caught.value.errno == number
    hidden = RuntimeError("Can't write (file write failed: errno = 28, error message = 'No space')")
    with pytest.raises(OSError, match=r"No space left on device: 'a\.bin'"), reading("a.bin"):
        raise hidden
    written = RuntimeError("UNKNOWN: export/variables; No space left on device [Op:SaveV2]")
    with pytest.raises(OSError, match="No space left on device"), reading("a.bin"):
        raise written
    try:
        raise ValueError("outer") from hidden
    except ValueError as error:
        found = machine_fault(error)
    assert found is not None
    assert found.errno == errno.ENOSPC


def test_long_texts_are_shortened_to_one_line() -> None:
    text = shorten("line\n" * 10**6 + "\x1b[31mend")
    assert len(text) == 400
    assert "\n" not in text
    assert "\x1b" not in text
    assert text.endswith("end")


def fail(error: BaseException) -> int:
    raise error


def test_commands_print_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    for error, code in (
        (ValueError("a\nb"), 2),
        (FileNotFoundError(2, "No such file", "x"), 2),
        (NotADirectoryError(20, "Not a directory", "x"), 2),
        (KeyError("a"), 1),
        (OSError(28, "No space", Path("x")), 1),
        (RuntimeError("a worker did not start"), 1),
        (ImportError("No module named 'a'"), 1),
    ):
        assert run_command(lambda error=error: fail(error)) == code  # type: ignore[misc]
        shown = capsys.readouterr().err
        assert shown.startswith("error: ")
        assert shown.count("\n") == 1
    assert run_command(lambda: fail(ValueError("a")), debug=True) == 2
    assert "Traceback" in capsys.readouterr().err
    assert run_command(lambda: fail(KeyboardInterrupt()), interrupted="stopped") == 130
    assert capsys.readouterr().err == "stopped\n"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENAMETOOLONG, "File name too long", "x" * 9000),
        FileNotFoundError(errno.ENOENT, "No such file", "x/" * 2000),
        FileNotFoundError("There is no file " + "x" * 9000),
    ],
)
def test_names_that_files_give_are_quoted_shortly(error: OSError) -> None:
    with pytest.raises(type(error)) as caught, reading("extractors.json"):
        raise error
    assert len(str(caught.value)) < 1000
    assert caught.value.errno == error.errno
