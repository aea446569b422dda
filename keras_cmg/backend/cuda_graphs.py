"""CUDA graphs of training steps on PyTorch: recorded once, then launched as one operation.

A step launches thousands of small kernels, and Python needs several times longer to launch them
than a GPU to run them. A CUDA graph launches all of them at once.

Three things in a step would have to wait for the processor, which a graph cannot do, and are
handled here: numbers of Python that become tensors on the GPU (`DeviceConstants`), the generators
of dropout, which Keras seeds from the processor (`StepRandomness`), and the logs, which are read
together.
"""

from __future__ import annotations

import contextlib
import functools
import operator
import warnings
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import keras
import torch
from torch.overrides import TorchFunctionMode

from keras_cmg.backend import keras_internals

EAGER_STEPS = 3
"""Steps of a shape that run operation by operation before one is recorded."""
MOST_GRAPHS = 4
"""Shapes of a batch that are recorded; each takes the memory of a step."""

# How often a tensor was changed in place.
_changes = operator.attrgetter("_version")

Step = Callable[[Any, Mapping[str, Any]], dict[str, torch.Tensor]]


class DeviceConstants(TorchFunctionMode):
    """Keeps the tensors that are made from numbers of Python and arrays, and returns them again.

    To copy a number to a GPU is to wait for it, and a graph cannot record such a copy. Within this
    context the first copy of each value is kept. No operation may change it in place.

    Args:
        device: `torch.device` of the constants; tensors for others are left alone.
    """

    def __init__(self, device: torch.device):
        super().__init__()
        self.device = device
        self._kept: dict[tuple, tuple[torch.Tensor, int]] = {}

    @property
    def count(self) -> int:
        """Number of constants that are kept."""
        return len(self._kept)

    def __torch_function__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        made = function in (torch.tensor, torch.as_tensor) and args
        if not made or isinstance(args[0], torch.Tensor) or kwargs.get("requires_grad"):
            return function(*args, **kwargs)
        device = kwargs.get("device")
        if device is None or torch.device(device).type != self.device.type:
            return function(*args, **kwargs)
        with torch._C.DisableTorchFunction():
            host = function(*args, **{**kwargs, "device": "cpu"})
            # NumPy has no bfloat16.
            bits = host.float() if host.dtype == torch.bfloat16 else host
            key = (host.dtype, tuple(host.shape), bits.numpy().tobytes())
            found = self._kept.get(key)
            if found is None:
                constant = host.to(self.device, copy=True)
                found = self._kept[key] = (constant, _changes(constant))
            constant, changes = found
            if _changes(constant) != changes:
                raise RuntimeError(f"The step changes a constant in place: {host}")
            return constant


class StepRandomness:
    """The dropout of a step, drawn from one generator that is seeded before the step.

    Keras makes a generator for each dropout layer within the step and reads its seed from the
    device, which waits for the device. Here the seed of a step follows from the seeds of the
    model's layers and their counters, so that a model that resumes draws the same numbers.

    Args:
        model: a model.
        device: `torch.device` of the draws.
    """

    def __init__(self, model: keras.Model, device: torch.device):
        self.generator = torch.Generator(device)
        self._states = keras_internals.random_states(model.non_trainable_variables)

    def seed(self) -> None:
        """Seeds the generator for the next step."""
        if self._states:
            states = torch.stack([v.value for v in self._states]).long()
            seed, counter = states.sum(0).tolist()
            self.generator.manual_seed((seed * 1_000_003 + counter) & 0xFFFF_FFFF)

    def drawing(self) -> contextlib.AbstractContextManager:
        """Returns a context in which dropout is drawn from this generator."""
        return keras_internals.torch_generator(self.generator)


@functools.cache
def _stream():
    """One for all steps: autograd adds up each gradient on the stream that first used a weight."""
    return torch.cuda.Stream()


class RecordedStep:
    """A step on batches of one shape: eager at first, then recorded and launched as one operation.

    Args:
        step: the function of a model and a batch to logs.
        constants: of the model.
        randomness: of the model.
    """

    def __init__(self, step: Step, constants: DeviceConstants, randomness: StepRandomness):
        self._step = step
        self._constants = constants
        self._randomness = randomness
        self._stream = _stream()
        self._graph: torch.cuda.CUDAGraph | None = None
        self._eager_steps = 0
        self._batch: list[torch.Tensor] = []
        self._values: torch.Tensor
        self._keys: list[str] = []

    def __call__(self, model: keras.Model, x: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        if self._graph is None and self._eager_steps < EAGER_STEPS:
            self._eager_steps += 1
            return self._run(model, x)
        graph = self._graph or self._record(model, x)
        for static, tensor in zip(self._batch, keras.tree.flatten(x), strict=True):
            static.copy_(tensor, non_blocking=True)
        self._randomness.seed()
        graph.replay()
        return dict(zip(self._keys, self._values.cpu(), strict=True))

    def _run(self, model, x):
        # On the stream that records later, so that the memory of its allocator is the same.
        self._stream.wait_stream(torch.cuda.current_stream())
        self._randomness.seed()
        with torch.cuda.stream(self._stream), self._constants, self._randomness.drawing():
            logs = self._step(model, x)
        torch.cuda.current_stream().wait_stream(self._stream)
        return logs

    def _record(self, model, x):
        x = keras.tree.map_structure(torch.clone, x)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._randomness.generator)
        # Gradients of earlier steps would be written to in place, outside of the graph's memory.
        model.zero_grad()
        try:
            with (
                torch.autograd.set_multithreading_enabled(False),
                self._constants,
                self._randomness.drawing(),
                torch.cuda.graph(graph, stream=self._stream),
            ):
                logs = self._step(model, x)
                values = torch.stack([value.detach().float() for value in logs.values()])
        except Exception as error:
            model.zero_grad()
            raise NotRecordableError from error
        self._graph, self._batch = graph, keras.tree.flatten(x)
        self._keys, self._values = list(logs), values
        return graph


class NotRecordableError(Exception):
    """Raised if an operation of a step cannot be recorded; nothing has been computed."""


class StepRecorder:
    """Records the steps of one model as it is compiled, one graph for each shape of a batch.

    Args:
        model: the model.
        device: `torch.device` of its batches.
        step: the function of a model and a batch to logs.
    """

    def __init__(self, model: keras.Model, device: torch.device, step: Step):
        self._step = step
        self._constants = DeviceConstants(device)
        self._randomness = StepRandomness(model, device)
        self._steps: dict[Any, RecordedStep] = {}
        self._failed = False
        # Keras makes a new function after each `compile`. It holds the model, which has to be free
        # to go.
        function = model.train_function
        self._function = weakref.ref(function) if function else lambda: None

    def is_of(self, model: keras.Model) -> bool:
        """Returns whether the model has not been compiled again."""
        return self._function() is model.train_function

    def __call__(self, model: keras.Model, x: Mapping[str, Any]) -> dict[str, torch.Tensor]:
        shapes = [(tuple(tensor.shape), tensor.dtype) for tensor in keras.tree.flatten(x)]
        key = (tuple(sorted(x)), tuple(shapes))
        if key not in self._steps and len(self._steps) < MOST_GRAPHS and not self._failed:
            self._steps[key] = RecordedStep(self._step, self._constants, self._randomness)
        if key not in self._steps:
            return self._step(model, x)
        try:
            return self._steps[key](model, x)
        except NotRecordableError as error:
            self._failed = True
            self._steps.clear()
            warnings.warn(
                "The training step cannot be recorded as a CUDA graph and runs operation by "
                f"operation, which is slower. Reason: {error.__cause__}",
                stacklevel=2,
            )
            return self._step(model, x)


_RECORDERS: weakref.WeakKeyDictionary[keras.Model, StepRecorder] = weakref.WeakKeyDictionary()


def train_step(model: keras.Model, x: Mapping[str, Any], step: Step) -> dict[str, torch.Tensor]:
    """Runs a training step, recorded if it can be.

    Args:
        model: a compiled model on a GPU. What was recorded is dropped when it is compiled again.
        x: batch, on the GPU.
        step: the function of a model and a batch to logs.

    Returns:
        The logs; of a recorded step, on the processor.
    """
    recorder = _RECORDERS.get(model)
    if recorder is None or not recorder.is_of(model):
        device = keras.tree.flatten(x)[0].device
        recorder = _RECORDERS[model] = StepRecorder(model, device, step)
    return recorder(model, x)
