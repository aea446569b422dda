"""Quantisers against vector-quantize-pytorch on PyTorch, and against a matrix product anywhere."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops

from keras_cmg import layers
from recipes.protocol.resource_use import seconds_in_turns

LEVELS = (8, 5, 5, 5)


def run(
    vectors: int = 8192,
    codes: int = 1024,
    channels: int = 256,
    bits: int = 14,
    rounds: int = 5,
    clock: str = "wall",
) -> dict[str, Any]:
    """Times quantisers, in turns with those of vector-quantize-pytorch where it is installed.

    - `assign`: codes of vectors, in inference.
    - `codebook`: a training step of an EMA codebook, forward and update of the codes.
    - `fsq`, `lfq`: a forward step in training, for LFQ with its losses, and the gradient to
      the inputs on PyTorch.

    On JAX and TensorFlow, steps are compiled.

    Args:
        vectors: how many are quantised.
        codes: number of codes.
        channels: length of a code.
        bits: of LFQ.
        rounds: how often each is timed.
        clock: see `seconds_in_turns`.

    Returns:
        Name to seconds; `_speedup` is their time over ours, `_over_product` our time over that of
        the product of vectors and codes.

    Example:

    >>> run(vectors=64, codes=16, channels=4, bits=3, rounds=1)["assign_over_product"] > 0
    True
    """
    random = np.random.default_rng(0)
    arrays = {
        "assign": random.standard_normal((vectors, channels), "float32"),
        "codebook": random.standard_normal((vectors, channels), "float32"),
        "fsq": random.standard_normal((vectors, len(LEVELS)), "float32"),
        "lfq": 0.1 * random.standard_normal((vectors, bits), "float32"),
    }
    quantizers = {
        "assign": layers.Codebook(codes, channels),
        "codebook": layers.Codebook(codes, channels, gradient="rotation"),
        "fsq": layers.FSQ(LEVELS),
        "lfq": layers.LFQ(bits, commitment_cost=0.25),
    }
    for name, quantizer in quantizers.items():
        quantizer.build((None, arrays[name].shape[1]))
    actions = {
        name: step_of(quantizer, arrays[name], training=name != "assign")
        for name, quantizer in quantizers.items()
    }
    x, columns = (
        ops.convert_to_tensor(value)
        for value in (arrays["assign"], random.standard_normal((channels, codes), "float32"))
    )
    actions["product"] = lambda: ops.matmul(x, columns)
    compared = (
        keras.backend.backend() == "torch"
        and importlib.util.find_spec("vector_quantize_pytorch") is not None
    )
    if compared:
        codebook = ops.convert_to_numpy(quantizers["assign"].codebook)
        actions |= their_steps(arrays, codebook, bits)
    times = seconds_in_turns(actions, rounds, clock=clock)
    results: dict[str, Any] = {"vectors": vectors, "codes": codes, "channels": channels}
    results |= {f"{name}_seconds": seconds for name, seconds in times.items()}
    for name in ("assign", "codebook"):
        results[f"{name}_over_product"] = times[name] / times["product"]
    if compared:
        results |= {f"{name}_speedup": times[f"their_{name}"] / times[name] for name in quantizers}
    return results


def step_of(quantizer: layers.Quantizer, x: np.ndarray, training: bool) -> Callable[[], Any]:
    """A call of a layer, compiled where the engine compiles, with the gradient on PyTorch.

    Args:
        quantizer: a built layer.
        x: its inputs.
        training: whether it trains.

    Returns:
        Function without arguments.

    Example:

    >>> step = step_of(layers.FSQ((3, 3)), np.zeros((2, 2), "float32"), training=False)
    >>> tuple(step().shape)
    (2,)
    """
    engine = keras.backend.backend()
    inputs = ops.convert_to_tensor(x)
    if engine == "torch":
        import torch

        return _torch_step(
            lambda v: _result(quantizer(v, training=training), quantizer), inputs, (training), torch
        )
    if engine == "tensorflow":
        import tensorflow as tf

        return tf.function(
            lambda: quantizer(inputs, training=training)["indices"], jit_compile=True
        )
    import jax

    @jax.jit
    def compiled(trainable, others, values):
        out, others, losses = quantizer.stateless_call(
            trainable, others, values, training=training, return_losses=True
        )
        return out["indices"], others, losses

    def step():
        trainable = [v.value for v in quantizer.trainable_variables]
        others = [v.value for v in quantizer.non_trainable_variables]
        indices, others, _ = compiled(trainable, others, inputs)
        for variable, value in zip(quantizer.non_trainable_variables, others, strict=True):
            variable.assign(value)
        return indices

    return step


def _result(outputs, quantizer):
    return outputs["quantized"], outputs["indices"], sum(quantizer.losses)


def _torch_step(call, inputs, training, torch):
    if not training:

        def look_up():
            with torch.no_grad():
                return call(inputs)[1]

        return look_up
    leaf = inputs.detach().clone().requires_grad_(True)

    def step():
        quantized, indices, loss = call(leaf)
        torch.autograd.grad(quantized.sum() + loss, leaf)
        return indices

    return step


def their_steps(arrays: dict, codebook: np.ndarray, bits: int) -> dict[str, Callable[[], Any]]:
    """The same steps by vector-quantize-pytorch, which must be installed.

    Args:
        arrays: name of a step to its inputs.
        codebook: `(codes, channels)`.
        bits: of LFQ.

    Returns:
        Name to function without arguments.
    """
    import torch
    import vector_quantize_pytorch as vqp

    num_codes, channels = codebook.shape
    device = ops.convert_to_tensor(codebook).device

    def vector_quantize():
        module = vqp.VectorQuantize(channels, num_codes, decay=0.99).to(device)
        module.codebook = torch.tensor(codebook, device=device)
        return module

    modules = {
        "assign": vector_quantize().eval(),
        "codebook": vector_quantize().train(),
        "fsq": vqp.FSQ(list(LEVELS)).to(device),
        "lfq": vqp.LFQ(codebook_size=2**bits, dim=bits, commitment_loss_weight=0.25).to(device),
    }

    def step_of_module(name):
        module = modules[name]
        inputs = ops.convert_to_tensor(arrays[name])[None]

        def call(values):
            outputs = module(values)
            return outputs[0], outputs[1], outputs[2] if len(outputs) == 3 else 0.0

        return _torch_step(call, inputs, name != "assign", torch)

    return {f"their_{name}": step_of_module(name) for name in modules}
