"""Conversions between tensors of PyTorch layers and variables of Keras layers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from keras import ops

Arrays = tuple[np.ndarray, ...]


class Link(NamedTuple):
    """Tensors of the reference, by name, and the Keras variables with the same values."""

    names: tuple[str, ...]
    variables: tuple[Any, ...]
    to_keras: Callable[..., Arrays]
    to_reference: Callable[..., Arrays]

    def values(self) -> Arrays:
        """The variables' present values in the reference's layout, one array per name."""
        return self.to_reference(*(ops.convert_to_numpy(v) for v in self.variables))

    def assign(self, arrays: Sequence[np.ndarray]) -> None:
        """Writes reference tensors, one per name, into the variables."""
        for variable, value in zip(self.variables, self.to_keras(*arrays), strict=True):
            variable.assign(value.astype(variable.dtype))


def same(name: str, variable: Any) -> Link:
    """A tensor of the same layout."""
    return Link((name,), (variable,), lambda a: (a,), lambda a: (a,))


def permuted(name: str, variable: Any, axes: tuple[int, ...]) -> Link:
    """A tensor with permuted axes; `axes` are those of reference to Keras."""
    inverse = tuple(int(i) for i in np.argsort(axes))
    return Link(
        (name,),
        (variable,),
        lambda a: (np.transpose(a, axes),),
        lambda a: (np.transpose(a, inverse),),
    )


def stacked(parts: Sequence[Link]) -> Link:
    """A tensor whose first axis runs over variables, from the links of each of same layout."""
    return Link(
        parts[0].names,
        tuple(part.variables[0] for part in parts),
        lambda a: tuple(a),
        lambda *values: (np.stack(values),),
    )


def dense(name: str, layer: Any) -> Iterator[Link]:
    """`torch.nn.Linear`: weight `(out, in)`."""
    yield permuted(f"{name}.weight", layer.kernel, (1, 0))
    if layer.use_bias:
        yield same(f"{name}.bias", layer.bias)


def split_dense(names: Sequence[str], kernel: Any, bias: Any) -> Iterator[Link]:
    """Several `torch.nn.Linear`: kernel `(layers, in, out)`, bias `(layers, 1, out)`."""
    yield Link(
        tuple(f"{name}.weight" for name in names),
        (kernel,),
        lambda *weights: (np.stack([weight.T for weight in weights]),),
        lambda kernels: tuple(kernel.T for kernel in kernels),
    )
    yield Link(
        tuple(f"{name}.bias" for name in names),
        (bias,),
        lambda *biases: (np.stack(biases)[:, None],),
        lambda biases: tuple(bias[0] for bias in biases),
    )


def conv(name: str, layer: Any) -> Iterator[Link]:
    """`torch.nn.Conv2d`, weight `(out, in, height, width)`, or its transposed `(in, out, ...)`."""
    yield permuted(f"{name}.weight", layer.kernel, (2, 3, 1, 0))
    if layer.use_bias:
        yield same(f"{name}.bias", layer.bias)


def norm(name: str, layer: Any) -> Iterator[Link]:
    """`torch.nn.LayerNorm`."""
    yield same(f"{name}.weight", layer.gamma)
    yield same(f"{name}.bias", layer.beta)


def batch_norm(name: str, layer: Any) -> Iterator[Link]:
    """`torch.nn.BatchNorm2d`, without its counter of calls, which nothing reads."""
    yield from norm(name, layer)
    yield same(f"{name}.running_mean", layer.moving_mean)
    yield same(f"{name}.running_var", layer.moving_variance)


def attention(name: str, layer: Any) -> Iterator[Link]:
    """`torch.nn.MultiheadAttention`: query, key and value projections stacked in one tensor."""
    parts = [layer.query_dense, layer.key_dense, layer.value_dense]
    dim, heads, head_dim = parts[0].kernel.shape
    yield Link(
        (f"{name}.in_proj_weight",),
        tuple(part.kernel for part in parts),
        lambda a: tuple(w.T.reshape(dim, heads, head_dim) for w in np.split(a, 3)),
        lambda *kernels: (np.concatenate([k.reshape(dim, -1).T for k in kernels]),),
    )
    yield Link(
        (f"{name}.in_proj_bias",),
        tuple(part.bias for part in parts),
        lambda a: tuple(b.reshape(heads, head_dim) for b in np.split(a, 3)),
        lambda *biases: (np.concatenate([b.reshape(-1) for b in biases]),),
    )
    yield Link(
        (f"{name}.out_proj.weight",),
        (layer.output_dense.kernel,),
        lambda a: (a.T.reshape(heads, head_dim, -1),),
        lambda kernel: (kernel.reshape(heads * head_dim, -1).T,),
    )
    yield same(f"{name}.out_proj.bias", layer.output_dense.bias)


def lstm(prefix: str, cell: Any, suffix: str) -> Iterator[Link]:
    """One layer and direction of `torch.nn.LSTM`, such as suffix `l0` or `l1_reverse`."""
    yield permuted(f"{prefix}weight_ih_{suffix}", cell.kernel, (1, 0))
    yield permuted(f"{prefix}weight_hh_{suffix}", cell.recurrent_kernel, (1, 0))
    names = f"{prefix}bias_ih_{suffix}", f"{prefix}bias_hh_{suffix}"
    if hasattr(cell, "recurrent_bias"):
        yield same(names[0], cell.bias)
        yield same(names[1], cell.recurrent_bias)
    else:
        # Only the sum of the two biases matters.
        yield Link(names, (cell.bias,), lambda a, b: (a + b,), lambda a: (a, np.zeros_like(a)))


def transformer(name: str, block: Any) -> Iterator[Link]:
    """`torch.nn.TransformerEncoderLayer`, post-norm."""
    yield from attention(f"{name}.self_attn", block.attention)
    yield from dense(f"{name}.linear1", block.expand)
    yield from dense(f"{name}.linear2", block.contract)
    yield from norm(f"{name}.norm1", block.attention_norm)
    yield from norm(f"{name}.norm2", block.output_norm)


def residual(name: str, unit: Any) -> Iterator[Link]:
    """The residual stack of the reference, one unit deep."""
    yield from conv(f"{name}.stack.0.res_block.1", unit.wide)
    yield from conv(f"{name}.stack.0.res_block.3", unit.narrow)
