"""Errors of damaged files, faults of the machine, and what commands print of them.

Imports neither Keras nor an engine, so that it can be loaded without them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator

from keras_cmg.extras import describe

MAX_MESSAGE = 400
"""Longest text that is kept of another library's message, or of a file's content."""
MACHINE_FAULTS = frozenset(
    getattr(errno, name)
    for name in (
        *("ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO", "EMFILE", "ENFILE"),
        *("ESTALE", "ENODEV", "ENXIO", "EFBIG", "ETIMEDOUT", "ENOTCONN"),
    )
    if hasattr(errno, name)
)
"""Error numbers that concern the machine or its disks, not the content of a file."""
ABSENT = frozenset({errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG})
SUCCESS, FAILURE, BAD_INPUT, INTERRUPTED = 0, 1, 2, 130
"""Exit codes of commands."""
EXIT_CODES = "exit codes: 0 success; 1 failure; 2 wrong arguments or input; 130 interrupted"
"""For the help of commands."""

_NUMBER = re.compile(r"errno = (\d+)|\[Errno (\d+)\]")
_RUST_PANIC = "PanicException"


def shorten(text: object, limit: int = MAX_MESSAGE) -> str:
    """Returns a text in one line of limited length, without its middle where it is longer.

    Args:
        text: the text, or an error.
        limit: largest number of characters.

    Returns:
        The line.

    Example:

    >>> shorten("a" * 1000, 20)
    'aaaaaaa ... aaaaaaaa'
    """
    whole = str(text)
    if len(whole) > 8 * limit:
        whole = f"{whole[: 4 * limit]} {whole[-4 * limit :]}"
    line = " ".join(whole.split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    if len(line) <= limit:
        return line
    start = (limit - 5) // 2
    return f"{line[:start]} ... {line[len(line) - (limit - 5 - start) :]}"


def machine_fault(error: BaseException | None) -> OSError | None:
    """Finds a fault of the machine (a full or read-only disk, lost permissions) behind an error.

    HDF5 and others hide the number of the system's error in the text of their own.

    Args:
        error: any error, or None.

    Returns:
        An `OSError` of `MACHINE_FAULTS`, or None if the error and its causes have another reason.

    Example:

    >>> machine_fault(RuntimeError("write failed: errno = 28, error message = '...'")).strerror
    'No space left on device'
    >>> machine_fault(ValueError("no number")) is None
    True
    """
    for _ in range(20):
        if error is None:
            break
        if isinstance(error, OSError) and error.errno in MACHINE_FAULTS:
            return error
        if isinstance(error, OSError | RuntimeError) and (fault := fault_in(str(error))):
            return fault
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return None


def fault_in(text: str) -> OSError | None:
    """Finds a fault of the machine in what a library, or another process, wrote about an error.

    Args:
        text: the text.

    Returns:
        An `OSError` of `MACHINE_FAULTS`, or None.

    Example:

    >>> fault_in("RESOURCE_EXHAUSTED: a/variables; No space left on device").errno == errno.ENOSPC
    True
    """
    numbers = [int(one or other) for one, other in _NUMBER.findall(text)]
    for number in (*numbers, errno.ENOSPC, errno.EROFS):
        if number in MACHINE_FAULTS and (number in numbers or os.strerror(number) in text):
            return OSError(number, os.strerror(number))
    return None


@contextlib.contextmanager
def reading(path: object, rule: str = "be whole") -> Iterator[None]:
    """Turns whatever a reader raises on a damaged file into a ValueError that names the file.

    Wrap it around the calls that read one file. Errors of the system (a missing file, lost
    permissions) and of missing packages pass as they are, and so does a ValueError that names the
    file already, shortened.

    Args:
        path: the file.
        rule: str, what the file must do, as in "must be an HDF5 file".

    Raises:
        ValueError: for any other error inside the block.

    Example:

    >>> with reading("labels.h5", "be an HDF5 file"):
    ...     {}["labels"]
    Traceback (most recent call last):
        ...
    ValueError: labels.h5 must be an HDF5 file; reading it gave: KeyError: 'labels'
    """
    try:
        yield
    except ImportError:
        raise
    except Exception as error:
        text = str(error)
        if type(error) is ValueError and os.path.basename(str(path)) in text:
            if len(text) <= 2 * MAX_MESSAGE:
                raise
            raise ValueError(shorten(text, 2 * MAX_MESSAGE)) from error
        absent = isinstance(error, OSError) and error.errno in ABSENT | MACHINE_FAULTS
        if isinstance(error, FileNotFoundError) or (isinstance(error, OSError) and absent):
            if len(text) <= 2 * MAX_MESSAGE:
                raise
            # A name that a file gave.
            if error.errno is None:
                raise FileNotFoundError(shorten(text, 2 * MAX_MESSAGE)) from error
            raise OSError(error.errno, error.strerror, shorten(error.filename)) from error
        if (fault := machine_fault(error)) is not None:
            raise OSError(fault.errno, fault.strerror, str(path)) from error
        raise damaged(path, rule, error) from error
    except BaseException as error:
        # Libraries written in Rust raise this, which is no Exception.
        if type(error).__name__ == _RUST_PANIC:
            raise damaged(path, rule, error) from error
        raise


def damaged(path: object, rule: str, error: object) -> ValueError:
    """Makes the error for a damaged file.

    Args:
        path: the file.
        rule: str, what the file must do, as in "must be an HDF5 file".
        error: what reading it raised, or the reason as a text.

    Returns:
        The error, to be raised.

    Example:

    >>> damaged("a.npz", "be an .npz file", "it ends early")
    ValueError('a.npz must be an .npz file; reading it gave: it ends early')
    """
    named = "" if isinstance(error, str | ValueError | OSError) else f"{type(error).__name__}: "
    reason = f"{named}{shorten(error)}".strip().removesuffix(":")
    if not reason:
        reason = type(error).__name__
    return ValueError(f"{shorten(path)} must {rule}; reading it gave: {reason}")


def run_command(
    command: Callable[[], int],
    debug: bool = False,
    interrupted: str = "interrupted",
    describe: Callable[[BaseException], str] = describe,
) -> int:
    """Runs a command; an error is printed in one line, and nothing else of it.

    Args:
        command: function that returns an exit code.
        debug: bool, whether the traceback is printed before the line.
        interrupted: str, line that is printed after Ctrl-C, unless the KeyboardInterrupt has one.
        describe: function of an error that returns its text.

    Returns:
        The exit code of the command; after an error, 2 if an argument or the input was wrong, 1 if
        the command could not do what it should (a full disk, a missing package, a fault of the
        program); 130 after an interrupt.

    Example:

    >>> run_command(lambda: 0)
    0
    """
    try:
        return command()
    except KeyboardInterrupt as error:
        sys.stderr.write(f"{str(error) or interrupted}\n")
        return INTERRUPTED
    except Exception as error:
        text, code = describe(error), exit_code(error)
        if not isinstance(error, ImportError | OSError | RuntimeError | ValueError):
            # A fault of the program; its text alone says little.
            text = f"{type(error).__name__}: {text} (--debug shows where)"
        if debug:
            traceback.print_exc()
    sys.stderr.write(f"error: {shorten(text, 4 * MAX_MESSAGE)}\n")
    return code


def exit_code(error: BaseException) -> int:
    """Returns the exit code of a command that an error ends.

    Args:
        error: the error.

    Returns:
        `BAD_INPUT` if an argument, a file or the name of the engine was wrong; else `FAILURE`.

    Example:

    >>> exit_code(ValueError("--epochs must be at least 1")), exit_code(MemoryError())
    (2, 1)
    """
    if machine_fault(error) is not None:
        return FAILURE
    if isinstance(error, ValueError | FileNotFoundError | FileExistsError):
        return BAD_INPUT
    wrong_place = isinstance(error, NotADirectoryError | IsADirectoryError)
    return BAD_INPUT if wrong_place else FAILURE
