"""Command line: `python -m benchmarks NAME`, `all`, `compare`; the engine is KERAS_BACKEND."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

# TensorFlow reads this once, and Keras imports it wherever it is installed.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

from benchmarks import (
    assign,
    clip_search,
    compare,
    compilation,
    encode,
    extract,
    index,
    quantizers,
    reconstruction,
    rehearsal,
    serve,
    store,
    suite,
    toc,
    train,
)
from benchmarks.results import report
from data_tools.io.files import check_writable, run_command
from recipes.runner.options import Parser

BENCHMARKS = {
    "toc": toc,
    "assign": assign,
    "clip_search": clip_search,
    "compile": compilation,
    "encode": encode,
    "extract": extract,
    "index": index,
    "quantizers": quantizers,
    "reconstruction": reconstruction,
    "rehearsal": rehearsal,
    "serve": serve,
    "store": store,
    "train": train,
}


def positive(word: str) -> int:
    """Converts an argument that must be a whole number of at least 1.

    Args:
        word: the argument.

    Raises:
        ArgumentTypeError: if it is not.

    Example:

    >>> positive("1_000")
    1000
    """
    try:
        value = int(word)
    except ValueError:
        value = 0
    if value < 1:
        raise argparse.ArgumentTypeError(f"must be a whole number of at least 1: {word!r}")
    return value


def parser() -> Parser:
    """Returns the parser of the command line.

    Example:

    >>> parser().parse_args(["assign", "--codes", "4"]).codes
    4
    """
    result = Parser(prog="python -m benchmarks", description=__doc__)
    names = result.add_subparsers(dest="name", required=True, parser_class=Parser)
    one = names.add_parser("toc", help="choice of channels, in memory and streamed from disk")
    _count(one, "--codes", 1_000_000, "number of codes")
    _count(one, "--channels", 512, "length of a code")
    one = names.add_parser("assign", help="nearest codes against the bare matrix product")
    _count(one, "--vectors", 65_536, "number of vectors")
    _count(one, "--codes", 16_384, "number of codes")
    _count(one, "--channels", 256, "length of a code")
    one = names.add_parser("quantizers", help="quantisers against vector-quantize-pytorch")
    _count(one, "--vectors", 8192, "number of vectors")
    _count(one, "--codes", 1024, "number of codes")
    _count(one, "--channels", 256, "length of a code")
    _count(one, "--bits", 14, "channels of LFQ")
    one = names.add_parser("reconstruction", help="quantisers in a VQ-VAE of small digits")
    _count(one, "--epochs", 20, "epochs of training")
    one = names.add_parser("store", help="the feature store against zips and a bare read")
    _count(one, "--clips", 400, "number of clips")
    _count(one, "--batch-size", 40, "clips per batch")
    _count(one, "--naive-clips", 40, "zips that are read")
    one = names.add_parser("rehearsal", help="an epoch of input at the size of a published set")
    _count(one, "--clips", 24_515, "number of clips")
    _count(one, "--batch-size", 80, "clips per batch")
    one.add_argument("--dtype", choices=["float16", "float32"], default="float16", help="of rows")
    one.add_argument("--folder", help="folder for the store, deleted afterwards")
    one = names.add_parser("extract", help="features by a pretrained network against the bare one")
    one.add_argument("--input", help="folder of clips (default: pictures made on the spot)")
    one.add_argument("--modality", choices=["audio", "video"], default="video", help="of the clips")
    one.add_argument("--extractor", default="onnx", help="name, such as yamnet (%(default)s)")
    one.add_argument("--model", help="model file (default: a small random network)")
    _count(one, "--segments", 1, "seconds of a clip")
    _count(one, "--clips", 100, "number of clips at most")
    _count(one, "--workers", 1, "processes of the whole extraction")
    train_parser = names.add_parser("train", help="a training step against a large matrix product")
    encode_parser = names.add_parser("encode", help="codes per second against a large product")
    for one, clips in ((train_parser, 8), (encode_parser, 64)):
        one.add_argument("--preset", default="small", help="preset of FCID (%(default)s)")
        _count(one, "--batch-size", clips, "clips per step or call")
        one.add_argument(
            "--precision", default="float32", help="float32, mixed_bfloat16 or mixed_float16"
        )
        _count(
            one, "--product-size", 2048, "rows of the square matrices to multiply, 8192 on a GPU"
        )
    _count(train_parser, "--batch-chunks", 1, "parts of a batch")
    train_parser.add_argument(
        "--fit-steps", type=int, default=0, help="steps of fit per timing; 0: one train_on_batch"
    )
    train_parser.add_argument(
        "--tf32",
        choices=["on", "off"],
        default="off",
        help="whether PyTorch rounds float32 products to TensorFloat-32 on a GPU, as JAX does",
    )
    train_parser.add_argument(
        "--jit", choices=["auto", "on", "off"], default="auto", help="compilation"
    )
    one = names.add_parser(
        "compile", help="the first step of a new process, with and without cache"
    )
    one.add_argument("--preset", default="small", help="preset of FCID (%(default)s)")
    _count(one, "--batch-size", 32, "clips per step")
    one = names.add_parser("index", help="an index of clips by codes against brute force")
    _count(one, "--clips", 1_000_000, "number of clips")
    _count(one, "--codes", 1024, "number of codes")
    _count(one, "--channels", 256, "length of a code")
    _count(one, "--queries", 1000, "number of queries")
    one.add_argument("--storage", default="float32", help="float32, float16 or codes")
    one = names.add_parser("clip_search", help="answers of the service from a million clips")
    _count(one, "--clips", 1_000_000, "clips of each of two modalities")
    _count(one, "--codes", 64, "number of codes")
    _count(one, "--channels", 256, "length of a vector")
    _count(one, "--queries", 200, "number of queries")
    _count(one, "--found", 10, "clips to find of each modality")
    one.add_argument("--storage", default="float32", help="float32 or float16")
    one = names.add_parser("serve", help="an exported SavedModel against predict")
    one.add_argument("--preset", default="small", help="preset of FCID (%(default)s)")
    one.add_argument("--modality", default="audio", help="audio, video or text")
    for name, one in names.choices.items():
        rounds = {"serve": 200, "rehearsal": 8, "compile": 1}.get(name, 3)
        _count(one, "--rounds", rounds, "times each part is timed")
        one.add_argument("--clock", choices=["wall", "processor"], default="wall", help="clock")
        one.add_argument("--out", help="JSON file to write")
    one = names.add_parser("all", help="every benchmark that this machine can run")
    one.add_argument("--out", required=True, help="JSON file to write")
    one.add_argument("--quick", action="store_true", help="short runs: a test of the machine")
    _count(one, "--repeats", 5, "runs of each")
    one.add_argument("--only", action="append", metavar="ROW", help="row to run; may be repeated")
    one.add_argument("--timeout", type=float, default=3600.0, help="seconds of a run (%(default)g)")
    one = names.add_parser("compare", help="two files of `all`: ratios with their noise")
    one.add_argument("first", help="JSON file")
    one.add_argument("second", help="JSON file")
    for one in names.choices.values():
        one.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return result


def _count(parser: argparse.ArgumentParser, name: str, default: int, help: str) -> None:
    parser.add_argument(name, type=positive, default=default, help=f"{help} (%(default)s)")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one benchmark, or all, or compares two files of all.

    Args:
        arguments: words of the command line; those of the process if None.

    Returns:
        Exit code, see `keras_cmg.faults.run_command`.

    Example:

    >>> main(["assign", "--vectors", "8", "--codes", "4", "--rounds", "1"])
    assign on ...
    0
    """
    options = vars(parser().parse_args(arguments))
    name, debug = options.pop("name"), options.pop("debug")

    def run() -> int:
        if name == "compare":
            print(compare.table(*(compare.load(options[key]) for key in ("first", "second"))))
            return 0
        out = options.pop("out")
        if out is not None:
            check_writable(out, "--out")
        if name == "all":
            found = suite.run_all(options.pop("only"), **options)
            suite.write(found, out)
            print(suite.table(found))
            return int(any(row["problem"] for row in found["rows"].values()))
        report(f"{name} on {keras.backend.backend()}", BENCHMARKS[name].run(**options), out)
        return 0

    return run_command(run, debug, interrupted="stopped")


if __name__ == "__main__":
    sys.exit(main())
