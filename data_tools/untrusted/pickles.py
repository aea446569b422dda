"""Reads pickled NumPy arrays, and dicts of them, without unpickling.

A pickle is a program. This module reads its instructions one by one and follows only those that
NumPy writes for an array of numbers, and those of dicts and lists where they are expected; nothing
that they name is imported or called.
"""

from __future__ import annotations

import dataclasses
import math
import pickletools
import re
from collections.abc import Callable
from typing import Any, BinaryIO

import numpy as np

from data_tools.io.files import reading
from data_tools.untrusted.bounds import MAX_BYTES, BoundedStream, describe

MAX_OPCODES = 1000
"""An array takes 30 to 60 instructions."""
MAX_TABLE_OPCODES = 2_000_000
"""A batch of CIFAR takes up to four for each picture: two numbers, a name and its place."""
MAX_AXES = 32

_DTYPE = re.compile(r"([<>=|]?)(b1|[iu][1248]|f[248])")
_LITERALS = {
    *("INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1"),
    *("STRING", "BINSTRING", "SHORT_BINSTRING"),
    *("UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"),
    *("SHORT_BINBYTES", "BINBYTES", "BINBYTES8", "BYTEARRAY8"),
}
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False, "EMPTY_TUPLE": ()}
_NO_MEANING = {"PROTO", "FRAME"}
_TUPLE_SIZES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


def read_pickled_array(
    stream: BinaryIO, max_bytes: int = MAX_BYTES, name: str = "the pickle"
) -> np.ndarray:
    """Reads one pickled array of numbers; protocols 0 to 5, written by NumPy 1 or 2.

    Args:
        stream: binary stream at the start of the pickle, which must end with it.
        max_bytes: size that it may have. Reading takes a few times that at most.
        name: its name in error messages.

    Returns:
        The array, of booleans, integers or floats; not writeable.

    Raises:
        ValueError: if the stream holds anything else, is truncated or too large. No code of it is
            run.

    Example:
        >>> import io, pickle
        >>> read_pickled_array(io.BytesIO(pickle.dumps(np.array([1.0, 2.0]))))
        array([1., 2.])
        >>> read_pickled_array(io.BytesIO(b"cos\\nsystem\\n(S'echo run'\\ntR."), name="a.pkl")
        Traceback (most recent call last):
        ...
        ValueError: a.pkl must be a pickled NumPy array and name nothing else. Received: os.system
    """
    bounded = BoundedStream(stream, max_bytes, name)
    with reading(name, "be a whole pickle"):
        array = _Machine(name, max_bytes).run(bounded)
    if not bounded.at_end():
        raise ValueError(f"{name} must end with its array. Received more bytes")
    return array


def read_pickled_table(
    stream: BinaryIO, max_bytes: int = MAX_BYTES, name: str = "the pickle"
) -> dict[str, np.ndarray | list]:
    """Reads one pickled dict of arrays and lists, such as a batch of CIFAR.

    Args:
        stream: binary stream at the start of the pickle, which must end with it.
        max_bytes: size that it may have.
        name: its name in error messages.

    Returns:
        Arrays, and lists of numbers and strings, by name. Other entries are left out.

    Raises:
        ValueError: if the stream holds anything else, is truncated or too large. No code of it is
            run.

    Example:
        >>> import io, pickle
        >>> content = pickle.dumps({b"labels": [3, 8], "data": np.zeros((2, 4))}, protocol=2)
        >>> table = read_pickled_table(io.BytesIO(content))
        >>> table["labels"], table["data"].shape
        ([3, 8], (2, 4))
    """
    bounded = BoundedStream(stream, max_bytes, name)
    with reading(name, "be a whole pickle"):
        table = _TableMachine(name, max_bytes).run(bounded)
    if not bounded.at_end():
        raise ValueError(f"{name} must end with its dict. Received more bytes")
    return table


class _Budget:
    """Limits the bytes that all instructions together make, whichever instruction makes them.

    The text of an array, the bytes that it encodes and the array itself take three times its size.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = 3 * max_bytes
        self._left = self._max_bytes

    def spend(self, count: int) -> None:
        """Raises a ValueError if more is made than allowed."""
        self._left -= count
        if self._left < 0:
            raise ValueError(f"that makes at most {self._max_bytes} bytes. Received more")


class _Mark:
    """The beginning of a tuple on the stack."""


@dataclasses.dataclass(frozen=True)
class _Name:
    """A name of the table below, with the function that this module calls instead."""

    text: str
    call: Callable[..., Any] | None = None


@dataclasses.dataclass
class _DType:
    """A pickled dtype: kind and bytes per number, and the order of the bytes once known."""

    code: str
    order: str = "="

    def build(self, state: Any, budget: _Budget) -> None:
        if not isinstance(state, tuple) or not 5 <= len(state) <= 9:
            raise ValueError(f"the state of a dtype, not {describe(state)}")
        order, parts, metadata = state[1], state[2:5], state[8:]
        if order not in ("<", ">", "=", "|") or any(x is not None for x in (*parts, *metadata)):
            raise ValueError("the dtype of plain numbers, not one with parts or metadata")
        self.order = order

    def numpy(self) -> np.dtype:
        return np.dtype(self.order.replace("|", "=") + self.code)


class _Array:
    """A pickled array, without a value until its state is set."""

    value: np.ndarray | None = None

    def build(self, state: Any, budget: _Budget) -> None:
        if not isinstance(state, tuple) or len(state) != 5:
            raise ValueError(f"the state of an array, not {describe(state)}")
        _, shape, dtype, fortran, content = state
        self.value = _from_bytes(budget, content, dtype, shape, "F" if fortran is True else "C")


class _Machine:
    """Interprets the instructions that create an array, on values of the types above only."""

    kind, max_opcodes = "NumPy array", MAX_OPCODES

    def __init__(self, name: str, max_bytes: int) -> None:
        self.name = name
        self.budget = _Budget(max_bytes)
        self.stack: list[Any] = []
        self.memo: dict[int, Any] = {}

    def run(self, stream: BoundedStream) -> Any:
        for count, (opcode, argument, _) in enumerate(self._instructions(stream)):
            if count >= self.max_opcodes:
                raise ValueError(
                    f"{self.name} must be a pickled {self.kind}, at most {self.max_opcodes} "
                    "instructions. Received more"
                )
            if opcode.name == "STOP":
                break
            try:
                self._step(opcode.name, argument)
            except ValueError as error:
                raise ValueError(f"{self.name} must be a pickled {self.kind} {error}") from error
        last = self.stack.pop()
        result = self._finished(last)
        if self.stack or result is None:
            raise ValueError(
                f"{self.name} must be one pickled {self.kind}. Received: {describe(last)}"
            )
        return result

    def _finished(self, value: Any) -> Any:
        return value.value if isinstance(value, _Array) else None

    def _instructions(self, stream: BoundedStream) -> Any:
        try:
            yield from pickletools.genops(stream)  # type: ignore[arg-type]
        except (ValueError, DeprecationWarning) as error:
            # pickletools warns of odd escapes in text, an error where warnings are.
            if str(error).startswith(self.name):
                raise
            raise ValueError(
                f"{self.name} must be a whole pickle; reading it gave: {error}"
            ) from error

    def _step(self, opcode: str, argument: Any) -> None:
        stack, memo = self.stack, self.memo
        if opcode in _LITERALS:
            stack.append(argument)
        elif opcode in _CONSTANTS:
            stack.append(_CONSTANTS[opcode])
        elif opcode == "MARK":
            stack.append(_Mark)
        elif opcode == "TUPLE":
            items: list[Any] = []
            while (item := stack.pop()) is not _Mark:
                items.append(item)
            stack.append(tuple(reversed(items)))
        elif opcode in _TUPLE_SIZES:
            size = _TUPLE_SIZES[opcode]
            if len(stack) < size:
                raise IndexError("empty stack")
            stack[-size:] = [tuple(stack[-size:])]
        elif opcode in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
        elif opcode == "MEMOIZE":
            memo[len(memo)] = stack[-1]
        elif opcode in ("GET", "BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif opcode == "GLOBAL":
            stack.append(_lookup(*argument.split(" ", 1)))
        elif opcode == "STACK_GLOBAL":
            attribute, module = stack.pop(), stack.pop()
            stack.append(_lookup(module, attribute))
        elif opcode == "REDUCE":
            arguments, function = stack.pop(), stack.pop()
            stack.append(_call(function, arguments, self.budget))
        elif opcode == "BUILD":
            state = stack.pop()
            if not isinstance(stack[-1], _DType | _Array):
                raise ValueError(f"and give no state to {describe(stack[-1])}")
            try:
                stack[-1].build(state, self.budget)
            except ValueError as error:
                raise ValueError(f"with {error}") from error
        elif opcode not in _NO_MEANING:
            raise ValueError(f"and use no instruction {opcode}. Received one that does")


class _TableMachine(_Machine):
    """Interprets the instructions that create a dict of arrays and lists."""

    kind, max_opcodes = "dict of arrays and lists", MAX_TABLE_OPCODES

    def _step(self, opcode: str, argument: Any) -> None:
        stack = self.stack
        if opcode in ("EMPTY_DICT", "EMPTY_LIST"):
            stack.append({} if opcode == "EMPTY_DICT" else [])
        elif opcode in ("DICT", "LIST"):
            items = self._since_mark()
            stack.append({} if opcode == "DICT" else [])
            self._add(items, dict if opcode == "DICT" else list)
        elif opcode in ("APPEND", "SETITEM"):
            count = 1 if opcode == "APPEND" else 2
            items = stack[-count:]
            del stack[-count:]
            self._add(items, list if opcode == "APPEND" else dict)
        elif opcode in ("APPENDS", "SETITEMS"):
            self._add(self._since_mark(), list if opcode == "APPENDS" else dict)
        else:
            super()._step(opcode, argument)

    def _since_mark(self) -> list[Any]:
        place = len(self.stack) - 1
        while self.stack[place] is not _Mark:
            place -= 1
            if place < 0:
                raise IndexError("empty stack")
        items = self.stack[place + 1 :]
        del self.stack[place:]
        return items

    def _add(self, items: list[Any], kind: type) -> None:
        target: Any = self.stack[-1]
        if type(self.stack[-1]) is not kind:
            raise ValueError(f"and put items into a {kind.__name__}, not {describe(target)}")
        if isinstance(target, list):
            target.extend(items)
            return
        for key, value in zip(items[::2], items[1::2], strict=True):
            if not isinstance(key, str | bytes):
                raise ValueError(f"with names as keys. Received: {describe(key)}")
            target[key if isinstance(key, str) else key.decode("latin-1")] = value

    def _finished(self, value: Any) -> Any:
        if not isinstance(value, dict):
            return None
        table: dict[str, Any] = {}
        for key, entry in value.items():
            if isinstance(entry, _Array) and entry.value is not None:
                table[key] = entry.value
            elif isinstance(entry, list) and all(isinstance(x, str | bytes | int) for x in entry):
                # One text may stand in a list any number of times.
                self.budget.spend(sum(len(x) for x in entry if isinstance(x, bytes)))
                table[key] = [x.decode("latin-1") if isinstance(x, bytes) else x for x in entry]
        return table


def _lookup(module: Any, attribute: Any) -> _Name:
    if not isinstance(module, str) or not isinstance(attribute, str):
        raise ValueError(
            f"and name what it uses. Received: {describe(module)}, {describe(attribute)}"
        )
    text = f"{module}.{attribute}"
    known = _NAMES.get(text.replace("numpy.core.", "numpy._core."))
    if known is None:
        raise ValueError(f"and name nothing else. Received: {describe(text)[1:-1]}")
    return _Name(text, known)


def _call(function: Any, arguments: Any, budget: _Budget) -> Any:
    if not isinstance(function, _Name) or not isinstance(arguments, tuple):
        raise ValueError(f"and call nothing else. Received a call of {describe(function)}")
    try:
        return function.call(budget, *arguments)  # type: ignore[misc]
    except TypeError as error:
        # Raised for a wrong number of arguments: the replacements check types themselves.
        raise ValueError(f"with the usual arguments of {function.text}") from error


def _ndarray(budget: _Budget, *arguments: Any) -> Any:
    raise ValueError("made by numpy._core.multiarray._reconstruct, not by numpy.ndarray")


def _dtype(budget: _Budget, code: Any, align: Any = False, copy: Any = False) -> _DType:
    match = _DTYPE.fullmatch(code) if isinstance(code, str) else None
    if match is None:
        raise ValueError(f"of booleans, integers or floats. Received dtype {describe(code)}")
    return _DType(match[2], match[1] or "=")


def _reconstruct(budget: _Budget, kind: Any, shape: Any, code: Any) -> _Array:
    if not isinstance(kind, _Name) or kind.text != "numpy.ndarray":
        raise ValueError(f"of the type numpy.ndarray. Received: {describe(kind)}")
    return _Array()


def _encode(budget: _Budget, text: Any, encoding: Any) -> bytes:
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError(f"with bytes encoded as latin1. Received: {describe(encoding)}")
    budget.spend(len(text))
    return text.encode("latin-1")


def _empty_bytes(budget: _Budget) -> bytes:
    return b""


def _frombuffer(
    budget: _Budget, content: Any, dtype: Any, shape: Any, order: Any, axis_order: Any = None
) -> _Array:
    result = _Array()
    if order == "K":
        value = _from_bytes(budget, content, dtype, shape, "C")
        axes = axis_order if isinstance(axis_order, tuple) else ()
        if sorted(x for x in axes if isinstance(x, int)) != list(range(value.ndim)):
            raise ValueError(f"with an order of its axes. Received: {describe(axis_order)}")
        result.value = value.transpose(axes)
    elif order in ("C", "F"):
        result.value = _from_bytes(budget, content, dtype, shape, order)
    else:
        raise ValueError(f"in order C, F or K. Received: {describe(order)}")
    return result


def _from_bytes(budget: _Budget, content: Any, dtype: Any, shape: Any, order: Any) -> np.ndarray:
    if isinstance(content, str):
        # Python 2 wrote its bytes as strings.
        budget.spend(len(content))
        content = content.encode("latin-1")
    if not isinstance(content, bytes | bytearray) or not isinstance(dtype, _DType):
        raise ValueError(f"of bytes and a dtype. Received: {describe(content)}, {describe(dtype)}")
    shape = (shape,) if isinstance(shape, int) else shape
    whole = isinstance(shape, tuple) and all(
        isinstance(size, int) and not isinstance(size, bool) and 0 <= size < 2**48 for size in shape
    )
    if not whole or len(shape) > MAX_AXES:
        raise ValueError(f"with up to {MAX_AXES} axes. Received: {describe(shape)}")
    wanted = math.prod(shape) * dtype.numpy().itemsize
    if wanted != len(content):
        raise ValueError(
            f"with as many bytes as {shape} of {dtype.numpy()} take ({wanted}). "
            f"Received: {len(content)}"
        )
    budget.spend(len(content))
    values = np.frombuffer(bytes(content), dtype.numpy()) if content else np.empty(0, dtype.numpy())
    return values.reshape(shape, order=order)


_NAMES: dict[str, Callable[..., Any]] = {
    "numpy._core.multiarray._reconstruct": _reconstruct,
    "numpy._core.numeric._frombuffer": _frombuffer,
    "numpy.ndarray": _ndarray,
    "numpy.dtype": _dtype,
    "_codecs.encode": _encode,
    "builtins.bytes": _empty_bytes,
    "__builtin__.bytes": _empty_bytes,
}
