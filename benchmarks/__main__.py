"""Command line: `python -m benchmarks NAME`, `all`, `compare`; the engine is KERAS_BACKEND."""

from __future__ import annotations

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
from data_tools.io.files import run_command
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


def parser() -> Parser:
    """Returns the parser of the command line.

    Example:

    >>> parser().parse_args(["assign", "--codes", "4"]).codes
    4
    """
    result = Parser(prog="python -m benchmarks", description=__doc__)
    names = result.add_subparsers(dest="name", required=True, parser_class=Parser)
    one = names.add_parser("toc", help="choice of channels, in memory and streamed from disk")
    one.add_argument("--codes", type=int, default=1_000_000, help="number of codes")
    one.add_argument("--channels", type=int, default=512, help="length of a code")
    one = names.add_parser("assign", help="nearest codes against the bare matrix product")
    one.add_argument("--vectors", type=int, default=65_536, help="number of vectors")
    one.add_argument("--codes", type=int, default=16_384, help="number of codes")
    one.add_argument("--channels", type=int, default=256, help="length of a code")
    one = names.add_parser("quantizers", help="quantisers against vector-quantize-pytorch")
    one.add_argument("--vectors", type=int, default=8192, help="number of vectors")
    one.add_argument("--codes", type=int, default=1024, help="number of codes")
    one.add_argument("--channels", type=int, default=256, help="length of a code")
    one.add_argument("--bits", type=int, default=14, help="channels of LFQ")
    one = names.add_parser("reconstruction", help="quantisers in a VQ-VAE of small digits")
    one.add_argument("--epochs", type=int, default=20, help="epochs of training")
    one = names.add_parser("store", help="the feature store against zips and a bare read")
    one.add_argument("--clips", type=int, default=400, help="number of clips")
    one.add_argument("--batch-size", type=int, default=40, help="clips per batch")
    one.add_argument("--naive-clips", type=int, default=40, help="zips that are read")
    one = names.add_parser("rehearsal", help="an epoch of input at the size of a published set")
    one.add_argument("--clips", type=int, default=24_515, help="number of clips")
    one.add_argument("--batch-size", type=int, default=80, help="clips per batch")
    one.add_argument("--dtype", choices=["float16", "float32"], default="float16", help="of rows")
    one.add_argument("--folder", help="folder for the store, deleted afterwards")
    one = names.add_parser("extract", help="features by a pretrained network against the bare one")
    one.add_argument("--input", help="folder of clips (default: pictures made on the spot)")
    one.add_argument("--modality", choices=["audio", "video"], default="video", help="of the clips")
    one.add_argument("--extractor", default="onnx", help="name, such as yamnet (%(default)s)")
    one.add_argument("--model", help="model file (default: a small random network)")
    one.add_argument("--segments", type=int, default=1, help="seconds of a clip")
    one.add_argument("--clips", type=int, default=100, help="number of clips at most")
    one.add_argument("--workers", type=int, default=1, help="processes of the whole extraction")
    train_parser = names.add_parser("train", help="a training step against a large matrix product")
    encode_parser = names.add_parser("encode", help="codes per second against a large product")
    for one, clips in ((train_parser, 8), (encode_parser, 64)):
        one.add_argument("--preset", default="small", help="preset of FCID (%(default)s)")
        one.add_argument("--batch-size", type=int, default=clips, help="clips per step or call")
        one.add_argument(
            "--precision", default="float32", help="float32, mixed_bfloat16 or mixed_float16"
        )
        one.add_argument(
            "--product-size",
            type=int,
            default=2048,
            help="rows of the square matrices to multiply, 8192 on a GPU (%(default)s)",
        )
    train_parser.add_argument("--batch-chunks", type=int, default=1, help="parts of a batch")
    train_parser.add_argument(
        "--jit", choices=["auto", "on", "off"], default="auto", help="compilation"
    )
    one = names.add_parser(
        "compile", help="the first step of a new process, with and without cache"
    )
    one.add_argument("--preset", default="small", help="preset of FCID (%(default)s)")
    one.add_argument("--batch-size", type=int, default=32, help="clips per step")
    one = names.add_parser("index", help="an index of clips by codes against brute force")
    one.add_argument("--clips", type=int, default=1_000_000, help="number of clips")
    one.add_argument("--codes", type=int, default=1024, help="number of codes")
    one.add_argument("--channels", type=int, default=256, help="length of a code")
    one.add_argument("--queries", type=int, default=1000, help="number of queries")
    one.add_argument("--storage", default="float32", help="float32, float16 or codes")
    one = names.add_parser("clip_search", help="answers of the service from a million clips")
    one.add_argument("--clips", type=int, default=1_000_000, help="clips of each of two modalities")
    one.add_argument("--codes", type=int, default=64, help="number of codes")
    one.add_argument("--channels", type=int, default=256, help="length of a vector")
    one.add_argument("--queries", type=int, default=200, help="number of queries")
    one.add_argument("--found", type=int, default=10, help="clips to find of each modality")
    one.add_argument("--storage", default="float32", help="float32 or float16")
    one = names.add_parser("serve", help="an exported SavedModel against predict")
    one.add_argument("--preset", default="small", help="preset of FCID (%(default)s)")
    one.add_argument("--modality", default="audio", help="audio, video or text")
    for name, one in names.choices.items():
        rounds = {"serve": 200, "rehearsal": 8, "compile": 1}.get(name, 3)
        one.add_argument("--rounds", type=int, default=rounds, help="times each part is timed")
        one.add_argument("--clock", choices=["wall", "processor"], default="wall", help="clock")
        one.add_argument("--out", help="JSON file to write")
    one = names.add_parser("all", help="every benchmark that this machine can run")
    one.add_argument("--out", required=True, help="JSON file to write")
    one.add_argument("--quick", action="store_true", help="short runs: a test of the machine")
    one.add_argument("--repeats", type=int, default=5, help="runs of each (%(default)s)")
    one.add_argument("--only", action="append", metavar="ROW", help="row to run; may be repeated")
    one.add_argument("--timeout", type=float, default=3600.0, help="seconds of a run (%(default)g)")
    one = names.add_parser("compare", help="two files of `all`: ratios with their noise")
    one.add_argument("first", help="JSON file")
    one.add_argument("second", help="JSON file")
    for one in names.choices.values():
        one.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return result


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
