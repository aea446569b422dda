"""Command line: `python -m benchmarks NAME`; the engine is KERAS_BACKEND."""

from __future__ import annotations

import argparse
import os

# TensorFlow reads this once, and Keras imports it wherever it is installed.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras

from benchmarks import assign, index, measuring, quantizers, serve, store, toc, train


def main(arguments: list[str] | None = None) -> None:
    """Runs one benchmark.

    Args:
        arguments: of the command line; default those of the process.

    Example:

    >>> main(["assign", "--vectors", "8", "--codes", "4", "--rounds", "1"])
    assign on ...
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = parser.add_subparsers(dest="name", required=True)
    one = names.add_parser("toc", help="choice of channels, in memory and streamed from disk")
    one.add_argument("--codes", type=int, default=1_000_000)
    one.add_argument("--channels", type=int, default=512)
    one = names.add_parser("assign", help="nearest codes against the bare matrix product")
    one.add_argument("--vectors", type=int, default=65_536)
    one.add_argument("--codes", type=int, default=16_384)
    one.add_argument("--channels", type=int, default=256)
    one = names.add_parser("quantizers", help="quantisers against vector-quantize-pytorch")
    one.add_argument("--vectors", type=int, default=8192)
    one.add_argument("--codes", type=int, default=1024)
    one.add_argument("--channels", type=int, default=256)
    one.add_argument("--bits", type=int, default=14)
    one = names.add_parser("store", help="the feature store against zips and a bare read")
    one.add_argument("--clips", type=int, default=400)
    one.add_argument("--batch-size", type=int, default=40)
    one.add_argument("--naive-clips", type=int, default=40)
    one = names.add_parser("train", help="a training step against a large matrix product")
    one.add_argument("--preset", default="small", help="small, paper or reference")
    one.add_argument("--batch-size", type=int, default=8)
    one.add_argument(
        "--precision", default="float32", help="float32, mixed_bfloat16 or mixed_float16"
    )
    one.add_argument("--jit", choices=["auto", "on", "off"], default="auto")
    one = names.add_parser("index", help="clips filed under codes against brute force")
    one.add_argument("--clips", type=int, default=1_000_000)
    one.add_argument("--codes", type=int, default=1024)
    one.add_argument("--channels", type=int, default=256)
    one.add_argument("--queries", type=int, default=1000)
    one.add_argument("--storage", default="float32", help="float32, float16 or codes")
    one = names.add_parser("serve", help="an exported SavedModel against predict")
    one.add_argument("--preset", default="small", help="small, paper or reference")
    one.add_argument("--modality", default="audio", help="audio, video or text")
    for name, one in names.choices.items():
        usual = 200 if name == "serve" else 3
        one.add_argument("--rounds", type=int, default=usual, help="how often each part is timed")
        one.add_argument("--clock", choices=["wall", "processor"], default="wall")
        one.add_argument("--out", help="JSON file to write")
    options = vars(parser.parse_args(arguments))
    name, out = options.pop("name"), options.pop("out")
    benchmarks = {
        "toc": toc,
        "assign": assign,
        "index": index,
        "quantizers": quantizers,
        "serve": serve,
        "store": store,
        "train": train,
    }
    results = benchmarks[name].run(**options)
    measuring.report(f"{name} on {keras.backend.backend()}", results, out)


if __name__ == "__main__":
    main()
