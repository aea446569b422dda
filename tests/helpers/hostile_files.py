"""Pickles that would run code or eat memory if anything followed them, and archives around them."""

from __future__ import annotations

import base64
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np

ARRAY = np.arange(20, dtype=np.float32).reshape(2, 10)


def _text(text: str) -> bytes:
    encoded = text.encode()
    return b"X" + struct.pack("<I", len(encoded)) + encoded


class _Evaluates:
    """Pickles into a call of `eval`, then of nothing that a reader would miss."""

    def __init__(self, code: str) -> None:
        self.code = code

    def __reduce__(self) -> tuple:
        return eval, (self.code,)


def hostile_pickles(witness: Path) -> dict[str, bytes]:
    """Pickles by kind; each that runs code would create the file `witness`.

    A reader that follows any of them leaves a trace, so a test can tell that none was followed.
    """
    shell = f"touch {witness}"
    code = f"open({str(witness)!r}, 'w').close()"
    good = pickle.dumps(ARRAY, protocol=2)
    return {
        "GLOBAL os.system": b"cos\nsystem\n(S'" + shell.encode() + b"'\ntR.",
        "STACK_GLOBAL posix.system": (
            b"\x80\x04" + _text("posix") + _text("system") + b"\x93" + _text(shell) + b"\x85R."
        ),
        "REDUCE builtins.eval": pickle.dumps(_Evaluates(code)),
        "BUILD with a state": (
            # The state names a __setstate__ of the attacker's choice.
            b"cnumpy\nndarray\n(I0\ntR}"
            + _text("__setstate__")
            + b"cos\nsystem\nsb"
            + _text(shell)
            + b"b."
        ),
        "EXT registry": b"\x80\x02\x82\x01" + _text(shell) + b"\x85R.",
        "PERSID": b"P" + shell.encode() + b"\n.",
        "BINPERSID": _text(shell) + b"Q.",
        "INST": b"(S'" + shell.encode() + b"'\nios\nsystem\n.",
        "NEWOBJ": b"\x80\x02csubprocess\nPopen\n" + _text(shell) + b"\x85\x81.",
        "array then system": good[:-1] + b"0cos\nsystem\n" + _text(shell) + b"\x85R.",
        "array after system": b"\x80\x02cos\nsystem\n" + _text(shell) + b"\x85R0" + good[2:],
        "two pickles": good + b"cos\nsystem\n" + _text(shell) + b"\x85R.",
        "numpy runs a string": (
            b"cnumpy.testing._private.utils\nruncode\n" + _text(code) + b"\x85R."
        ),
        "attribute through a module": (
            b"\x80\x04"
            + _text("numpy")
            + _text("f2py.os.system")
            + b"\x93"
            + _text(shell)
            + b"\x85R."
        ),
        "object array": pickle.dumps(np.array([_Evaluates(code)], dtype=object)),
    }


def memory_bombs() -> dict[str, bytes]:
    """Small pickles that ask for gigabytes of memory, or for years."""
    doubling = b"N" + b"".join(b"\x94h" + bytes([i]) + b"\x86" for i in range(200))
    return {
        "bytes announced": b"\x80\x04\x8e" + struct.pack("<Q", 2**40) + b"x.",
        "bytearray announced": b"\x80\x05\x96" + struct.pack("<Q", 2**62) + b"x.",
        "text announced": b"\x80\x04\x8d" + struct.pack("<Q", 2**33) + b"x.",
        "long announced": b"\x80\x02\x8b" + struct.pack("<i", 2**31 - 1) + b"x.",
        "memo index": b"\x80\x02Nr\xff\xff\xff\xff.",
        "frame": b"\x80\x04\x95" + struct.pack("<Q", 2**62) + b"N.",
        "shape of a terabyte": (
            b"\x80\x02cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\n\x8a\x06"
            + (2**40).to_bytes(6, "little")
            + b"\x85C\x01b\x87R."
        ),
        "ndarray of a terabyte": (
            b"\x80\x02cnumpy\nndarray\n\x8a\x06" + (2**40).to_bytes(6, "little") + b"\x85\x85R."
        ),
        "tuples that double": b"\x80\x04" + doubling + b".",
        "bytes of a number": b"\x80\x02cbuiltins\nbytes\n\x8a\x06" + bytes(5) + b"\x01\x85R.",
        "endless": b"\x80\x02" + b"N0" * 100_000 + b".",
    }


def encoding_bomb(size: int, times: int) -> bytes:
    """A pickle that encodes one memoised text again and again, and keeps every result."""
    return (
        b"\x80\x02"
        + _text("a" * size)
        + b"q\x00c_codecs\nencode\nq\x01"
        + _text("latin1")
        + b"q\x02"
        + b"h\x01h\x00h\x02\x86R" * times
        + b"."
    )


def write_zip(
    path: Path, content: bytes, member: str | None = None, method: int = zipfile.ZIP_DEFLATED
) -> Path:
    """An archive of one member, by default named after the archive."""
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr(member or f"{path.stem}.pkl", content)
    return path


def write_feature(path: Path, array: np.ndarray, protocol: int = 4) -> Path:
    """A published feature file: `<id>.zip` with one pickled array."""
    return write_zip(path, pickle.dumps(array, protocol=protocol))


def write_bomb(path: Path, size: int = 2**28) -> Path:
    """An archive of a few hundred kilobytes whose member unpacks to `size` zeros."""
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open(f"{path.stem}.pkl", "w") as member,
    ):
        for _ in range(size // 2**20):
            member.write(bytes(2**20))
    return path


def write_lying_bomb(path: Path) -> Path:
    """A bomb whose headers announce a kilobyte."""
    write_bomb(path, 2**24)
    content = bytearray(path.read_bytes())
    for place, value in (
        (content.find(b"PK\1\2") + 24, 1024),  # in the list of members
        (content.find(b"PK\3\4") + 22, 1024),  # before the member
    ):
        content[place : place + 4] = struct.pack("<I", value)
    path.write_bytes(content)
    return path


def write_link(path: Path, target: str = "/etc/passwd") -> Path:
    """An archive whose member is a symbolic link."""
    member = zipfile.ZipInfo(f"{path.stem}.pkl")
    member.create_system = 3
    member.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(member, target)
    return path


def truncate(path: Path, share: float = 0.6) -> Path:
    """Cut a file."""
    os.truncate(path, int(path.stat().st_size * share))
    return path


CRASHING_HDF5 = (
    "c-rllze~eV5XbMmv=S=Pc4`s9jE+T@ZYI)7r&`p(vC*b<P?WZcn+2D;b*x(#rDHc;gyQ7jAK~afAvJmL5|f8N5mE"
    "3yLyo)ey~`u-N8rv%h1HqFYyv!V9b%AzFcV~)jrzV`Ma$53(GIyEXF|i_kjDCI-sXC-=w(k7{P*Ny(q@79kCcj5#"
    "j{)J8))x%G|xV=Yj)diIc@3hH)~Eav_JD-d@qA3IhOhUg0x%)a9g@r@T#x5JJ!og8}q0ckkKJ?f_fZup>s_ZoOWl"
    "(M184qp)+VT4(s(@C#bLCIdWs|orcp~T9k1ePl(2~<G5eKOAn@&|JFKel-CMO%nH{*dq3YlucHj@;V|BP$J`}R@4"
    "LAV#*LEFs(I=%+$(wfje3vC&&@X${VfFbG-clt1VIo4K@dMk2gVNo%cf~sY<r~?mdwr|W#l}?vQBT$FC$u|+UpN2"
    "LE-799M%px-Qnn3Y8QJ~eNJDQAP9mWejNsJr5`CfY>df(|G$3e&!j|ZN(b!Onc^Ar9l7i~27N<jV5diE_(1PZevf"
    "A`MrnB"
)
"""An HDF5 file of a fuzzer, on whose array `avadataset` HDF5 1.14.6 ends the process; packed."""


def write_crashing_hdf5(path: Path) -> Path:
    """A file that crashes the HDF5 library."""
    path.write_bytes(zlib.decompress(base64.b85decode(CRASHING_HDF5)))
    return path


def write_chunk_bomb(path: Path, numbers: int = 2**28) -> Path:
    """A small HDF5 file that announces rows in chunks of a gigabyte."""
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset(
            "avadataset", (1, 10, 128), "f4", chunks=(numbers // 1280, 10, 128), compression=9,
            maxshape=(None, 10, 128),
        )  # fmt: skip
    return path


Maker = Callable[[Path], Path]
