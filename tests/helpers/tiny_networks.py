"""Networks of a few numbers in the formats of pretrained ones."""

from __future__ import annotations

import base64
import zlib
from pathlib import Path

import numpy as np

WINDOW = 400
_LITERT = (
    "c-m!EKTH!*7=J)}Ewq-3RU2g>(E%JPMWaSd1W_a5j|7O5Nj<p(E@`iNz1A3waUh1lp)tfT5GOSZCNelUFgiFG;=o"
    "`GF^&$#Ffb`{{=R$PU9aUOzr1(f{l4G#z3;yFu2Tpxb#3HSN_2@%krpYD6mi(1B80VoO^A756G%1-(FJ@_glNHY6"
    "A%L4>^M%Gx#xg(prl(B!<@}&`ixr6+dg;6ahw>h72-`7ExlCJs_Z&W$c-<=eYK*`6s-c50%65z=4?VE!RrIS;El1"
    "HS0^TiZj9wduTBkI8JHS?f85;z>Ff(|3x=7q%BF1;^jt-^N=DIi^X)|f-9Qr9#`6#0Gw=~u1KtB~fmgsXun5?!d%"
    "}@9-=-P~Iie!r$0yry*Q&TSh5cy6{hEi|y0=$fuO54M_F)U}*{f4urZ1c672*ZQBF$_j+ebEU%>Qwm1>hM_1r~uN"
    "U>R6vKaSh~J@8Dm|6TX~$)(0zqdaTCFX(LnRJYNQp^2`+qKR7Cx|VUZQm#hA-x=v7*iJoC1!)mjYLc1-)iB8;0*t"
    "_x0yc;T<hiGaH-;Rgw&+Z<9_9Dwuj5eM7}u<g=f^evL60A%@5p?Q*UI{)Bl|cRs7ou)wEy**Ud+>@@3g~uQPzv_9"
    "IQbsPy>vko<H#}?nr;nPhnlk(5qjY+bc4+CWgZNFh5hgl*_5b<9@vC`L1xRnva}gfoI~bKzO`a2Kay%3r+Id#DTB"
    "$p8Nj_*Xrdz$03O%$03a_APxI|%;TzM8#Ydxt_`aB{Q2I%{qe2AH^%c6>{N$BIq!3o-Fj{t*YU|e*}wT>SrY;6GY"
    "$M!o>y60)ij@br-2(~?M-m0*1D-%vkz+8&l~s=?(g`nJR6hu%BrPbn9xge>RmnSpJz&Ny}?&u-|M^bZmai|G3neW"
    "PQ72)+durmvQ{S_@OOO5+!S;8>^FDQ{=rZCdpc?9T6vm2PtGtkW14PcIVuhDS~$-w-lJ+6_FQJVXqIf%w6pAW$o-"
    "cb=I)gv0;_DdRG{~1BE5dT)9dx*zMEMy?RWQH&1B$g(Eh5>JF@pbl=J>6)PP=1BYe+{QyzTZ91qlN4O%@iPR}Q-J"
    "LI}!1M6YA9uA3+%l!#kx3qO{W6k*;io0i0xQcW(Zb|#C|Asb6v;"
)
"""Converted by TensorFlow 2.21 from: energy = mean of squares of each quarter of 400 samples, loud
= sqrt(energy + 1), output = 2 loud - 1."""


def write_litert(path: Path) -> Path:
    """A LiteRT model of 400 samples, see `_LITERT`; `energy` and `loud` are internal."""
    path.write_bytes(zlib.decompress(base64.b85decode(_LITERT)))
    return path


def energies(windows: np.ndarray) -> np.ndarray:
    """The tensor `energy`: (n, 400) to (n, 4)."""
    return np.square(windows.reshape(len(windows), 4, -1)).mean(-1)


def write_onnx_sound(path: Path) -> Path:
    """An ONNX model of (n, 400) samples; `energy` is internal, the output `loud` is one more."""
    from onnx import helper, numpy_helper

    constants = [
        numpy_helper.from_array(np.array([-1, 4, 100]), "shape"),
        numpy_helper.from_array(np.array([2]), "axis"),
        numpy_helper.from_array(np.float32(1), "one"),
    ]
    nodes = [
        helper.make_node("Reshape", ["x", "shape"], ["quarters"]),
        helper.make_node("Mul", ["quarters", "quarters"], ["squares"]),
        helper.make_node("ReduceMean", ["squares", "axis"], ["energy"], keepdims=0),
        helper.make_node("Add", ["energy", "one"], ["loud"]),
    ]
    return _save(path, nodes, ("x", ["n", WINDOW]), [("loud", ["n", 4])], constants)


def write_onnx_pictures(path: Path, side: int | None = 8, seed: int = 0) -> Path:
    """An ONNX model of RGB pictures, channels first: `half`, `map` and the vectors `pool`."""
    from onnx import helper, numpy_helper

    kernel = np.random.default_rng(seed).normal(0, 0.5, (5, 3, 1, 1)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["x"], ["half"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Conv", ["half", "kernel"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["pool"]),
    ]
    size = "side" if side is None else side
    out = "out" if side is None else side // 2
    outputs = [("map", ["n", 5, out, out]), ("pool", ["n", 5])]
    constants = [numpy_helper.from_array(kernel, "kernel")]
    return _save(path, nodes, ("x", ["n", 3, size, size]), outputs, constants)


def write_onnx_text(path: Path, table: np.ndarray, pooled: bool = False) -> Path:
    """An ONNX model that looks up (1, pieces) token numbers; a mask is taken where it pools."""
    import onnx
    from onnx import helper, numpy_helper

    nodes = [helper.make_node("Gather", ["table", "input_ids"], ["vectors"])]
    inputs = [("input_ids", [1, 6 if pooled else "pieces"])]
    outputs = [("vectors", [1, "pieces", table.shape[1]])]
    constants = [numpy_helper.from_array(table, "table")]
    if pooled:
        inputs.append(("attention_mask", [1, 6]))
        constants.append(numpy_helper.from_array(np.array([2]), "last"))
        constants.append(numpy_helper.from_array(np.array([1]), "middle"))
        nodes += [
            helper.make_node("Cast", ["attention_mask"], ["mask"], to=onnx.TensorProto.FLOAT),
            helper.make_node("Unsqueeze", ["mask", "last"], ["weights"]),
            helper.make_node("Mul", ["vectors", "weights"], ["kept"]),
            helper.make_node("ReduceSum", ["kept", "middle"], ["sentence"], keepdims=0),
        ]
        outputs = [("sentence", [1, table.shape[1]])]
    return _save(path, nodes, inputs, outputs, constants, onnx.TensorProto.INT64)


def _save(path: Path, nodes, inputs, outputs, constants, dtype: int = 1) -> Path:
    import onnx
    from onnx import helper

    value = helper.make_tensor_value_info
    named = [inputs] if isinstance(inputs, tuple) else inputs
    graph = helper.make_graph(
        nodes,
        "tiny",
        [value(name, dtype, shape) for name, shape in named],
        [value(name, onnx.TensorProto.FLOAT, shape) for name, shape in outputs],
        constants,
    )
    opsets = [helper.make_opsetid("", 18)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def write_tokenizer(path: Path, vocabulary: list[str]) -> Path:
    """A tokenizer of whole words; the first word stands for those that are not known."""
    import tokenizers

    numbers = {word: number for number, word in enumerate(vocabulary)}
    model = tokenizers.models.WordLevel(numbers, unk_token=vocabulary[0])
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    tokenizer.save(str(path))
    return path
