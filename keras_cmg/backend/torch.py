"""PyTorch: train and test steps, sums over the processes of `torch.distributed`."""

from __future__ import annotations

import contextlib
import itertools
import os

import keras
import torch
import torch.distributed
import torch.utils.checkpoint
from torch.optim.adam import adam

from keras_cmg.backend import cuda_graphs, keras_internals
from keras_cmg.backend.objective import (
    batch_size,
    evaluation_losses,
    split_variables,
)

_GROUPS = itertools.count()

SCORE_SIZES = (2**21, 2**9)

UNROLLED = True

_LATE_STEP = 1e9
"""Step at which the powers of Adam's betas are zero, whatever its usual settings."""


def train_step(model, data):
    x = model.prepare_batch(data)
    if _can_record(model, x):
        return cuda_graphs.train_step(model, x, _train_step)
    return _train_step(model, x)


def _can_record(model, x):
    """Whether a CUDA graph can do a step: not over processes, and not where Python must decide.

    `LossScaleOptimizer` decides whether to update, and parts of a batch are computed again with
    the random numbers of the first time.
    """
    return (
        all(tensor.is_cuda for tensor in keras.tree.flatten(x))
        and num_replicas() == 1
        and not model.run_eagerly
        and not torch.compiler.is_compiling()
        and getattr(model.backbone, "batch_chunks", 1) == 1
        and not isinstance(
            getattr(model.optimizer, "main", model.optimizer), keras.optimizers.LossScaleOptimizer
        )
    )


def _train_step(model, x):
    variables = model.trainable_variables
    main, estimators = ([variables[i] for i in part] for part in split_variables(model, variables))
    inputs = model.prepare_step(x, training=True)
    logs = _fit_estimators(model, inputs.stop_gradient(), estimators)
    # Otherwise the backward pass would also compute the estimators' gradients.
    for variable in estimators:
        variable.value.requires_grad_(False)
    try:
        losses = model.main_losses(inputs)
        optimizer = getattr(model.optimizer, "main", model.optimizer)
        model.zero_grad()
        optimizer.scale_loss(losses["loss"]).backward()
    finally:
        for variable in estimators:
            variable.value.requires_grad_(True)
    gradients = _mean_over_processes([_gradient(v.value) for v in main])
    with torch.no_grad():
        optimizer.apply(gradients, main)
    return model.track({**logs, **losses}, batch_size(x))


def _fit_estimators(model, inputs, variables):
    if not variables:
        return {}
    values = [v.value for v in variables]
    for _ in range(model.estimator_steps):
        losses = model.estimator_loss(inputs)
        gradients = torch.autograd.grad(sum(losses.values()), values, allow_unused=True)
        gradients = [
            torch.zeros_like(v) if g is None else g for g, v in zip(gradients, values, strict=True)
        ]
        gradients = _mean_over_processes(gradients)
        with torch.no_grad():
            model.optimizer.estimator.apply(gradients, variables)
    return losses


def test_step(model, data):
    x = model.prepare_batch(data)
    with torch.no_grad():
        losses = evaluation_losses(model, x)
    return model.track(losses, batch_size(x))


def _gradient(value):
    return torch.zeros_like(value) if value.grad is None else value.grad


def _mean_over_processes(gradients):
    """Averages gradients over processes, in one message for all of the same dtype."""
    if num_replicas() == 1:
        return gradients
    means = list(gradients)
    for dtype in {gradient.dtype for gradient in gradients}:
        places = [i for i, gradient in enumerate(gradients) if gradient.dtype == dtype]
        flat = torch.cat([gradients[i].reshape(-1) for i in places]) / num_replicas()
        torch.distributed.all_reduce(flat)
        parts = flat.split([gradients[i].numel() for i in places])
        for i, part in zip(places, parts, strict=True):
            means[i] = part.view_as(gradients[i])
    return means


def gradients(objective, variables, inputs):
    inputs = {name: torch.as_tensor(x).detach().requires_grad_() for name, x in inputs.items()}
    values = [*(v.value for v in variables), *inputs.values()]
    found = torch.autograd.grad(objective(inputs), values, allow_unused=True)
    found = [torch.zeros_like(v) if g is None else g for g, v in zip(found, values, strict=True)]
    return found[: len(variables)], dict(zip(inputs, found[len(variables) :], strict=True))


def map_chunks(function, values, carry, tensors, num_chunks):
    found = []
    for chunk in zip(*(x.tensor_split(num_chunks) for x in tensors), strict=True):
        carry, outputs = torch.utils.checkpoint.checkpoint(
            function, values, carry, chunk, use_reentrant=False
        )
        found.append(outputs)
    return carry, [torch.cat(parts) for parts in zip(*found, strict=True)]


def num_replicas():
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return 1


def global_sum(x):
    return x if num_replicas() == 1 else _Sum.apply(x)


def global_batches(tensors):
    return tensors if num_replicas() == 1 else [_Gather.apply(x) for x in tensors]


def segment_sum(x, indices, num_segments):
    # That of Keras waits for the device, to learn the size of its result. Rows of negative segments
    # are added to one more, which is left out.
    totals = x.new_zeros((num_segments + 1, *x.shape[1:]))
    return totals.index_add(0, torch.where(indices < 0, num_segments, indices), x)[:num_segments]


def patches(x, height, width):
    return _Patches.apply(x, height, width).flatten(3)


def add_patches(x, height, width):
    return _AddedPatches.apply(x.unflatten(3, (height, width, -1)))


def matmul(x, y):
    with _full_precision():
        return torch.matmul(x, y)


def best_columns(x, y, z):
    with _full_precision():
        # One pass: the product is added to the row, not the row to the product.
        scores = torch.addmm(z, x, y)
    values, indices = torch.max(scores, dim=1)
    return values, indices.to(torch.int32)


@contextlib.contextmanager
def _full_precision():
    """Holds the user's setting of float32 products, TF32 or bfloat16, off."""
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:  # set by the newer interface, which does not mix with this one
        matmul_backend = torch.backends.cuda.matmul
        before = matmul_backend.fp32_precision
        matmul_backend.fp32_precision = "ieee"
        try:
            yield
        finally:
            matmul_backend.fp32_precision = before
        return
    if before == "highest":
        yield
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def wait_for_replicas():
    """Does nothing: a process has one replica."""


def own_losses(losses):
    return losses


def has_values(x):
    # On the device "meta" Keras works out shapes.
    device = x.device.type if isinstance(x, torch.Tensor) else "cpu"
    recording = device == "cuda" and torch.cuda.is_current_stream_capturing()
    return not (device == "meta" or recording or torch.compiler.is_compiling())


def process_index(model):
    return torch.distributed.get_rank() if num_replicas() > 1 else 0


def reader_shard():
    return process_index(None), num_replicas()


def distribution(devices):
    started = int(os.environ.get("WORLD_SIZE", "1"))
    if devices not in ("auto", started):
        raise ValueError(
            f"`devices` must be 'auto' or the number of processes, {started}: on PyTorch each "
            f"device has a process of its own. Start them with `torchrun --nproc-per-node "
            f"{devices} SCRIPT`. Received: {devices}"
        )
    scope = _processes() if started > 1 else contextlib.nullcontext()
    return scope, started, int(os.environ.get("RANK", "0")), started


@contextlib.contextmanager
def _processes():
    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
    store, rank, world = next(torch.distributed.rendezvous("env://"))
    # After a restart by `torchrun`, the store still holds the addresses of the processes before,
    # which no longer run.
    attempt = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}_{next(_GROUPS)}"
    torch.distributed.init_process_group(
        "nccl" if torch.cuda.is_available() else "gloo",
        store=torch.distributed.PrefixStore(f"attempt_{attempt}", store),
        rank=rank,
        world_size=world,
    )
    try:
        yield
    finally:
        torch.distributed.destroy_process_group()


def broadcast_array(array):
    if num_replicas() == 1:
        return array
    sent = [array]
    torch.distributed.broadcast_object_list(sent, src=0)
    return sent[0]


def build_before_training(model, iterator, data_batch):
    """Does nothing: Keras builds the model from the shapes of a batch."""


def broadcast_variables(model):
    """Copies the first process's variables, as `DistributedDataParallel` does."""
    if num_replicas() > 1:
        with torch.no_grad():
            for variable in [*model.variables, *model.optimizer.variables]:
                torch.distributed.broadcast(variable.value.data, src=0)


def jit_compile(requested):
    return requested


def initialization():
    return contextlib.nullcontext()


def step_compilation():
    return contextlib.nullcontext()


@torch.no_grad()
def apply_adam(optimizer, moments, epsilon_last, gradients, variables, learning_rate):
    """One pass over memory; operation by operation, Adam takes a dozen.

    Nothing is read from the device. `torch.compile` does not know the fused update: there, Keras'
    own is used.
    """
    values = [v.value for v in variables]
    known = all(value.device.type in ("cpu", "cuda") for value in values)
    if torch.compiler.is_compiling() or not known:
        keras_internals.original_update(optimizer, gradients, variables, learning_rate)
        return
    places = [keras_internals.variable_index(optimizer, v) for v in variables]
    first, second = ([getattr(optimizer, name)[i].value for i in places] for name in moments)
    done = keras.ops.convert_to_tensor(optimizer.iterations).to(torch.float32)
    rate = keras.ops.convert_to_tensor(learning_rate).double()
    if not epsilon_last:
        # Keras adds epsilon before the correction of the bias. PyTorch adds it after: the rate
        # corrects instead, and of a late step PyTorch corrects nothing.
        step = (done + 1).double()
        rate = rate * torch.sqrt(1 - optimizer.beta_2**step) / (1 - optimizer.beta_1**step)
        done = torch.full_like(done, _LATE_STEP)
    if rate.is_cuda:
        rate = rate.float()  # all that the kernel reads
    adam(
        values,
        [g.to(v.dtype) for g, v in zip(gradients, values, strict=True)],
        first,
        second,
        max_exp_avg_sqs=[],
        state_steps=list(done.repeat(len(values)).unbind()),
        fused=True,
        amsgrad=False,
        beta1=optimizer.beta_1,
        beta2=optimizer.beta_2,
        lr=rate,
        weight_decay=0.0,
        eps=optimizer.epsilon,
        maximize=False,
    )


class _Sum(torch.autograd.Function):
    """Sums over processes; the gradient is the sum of the processes' gradients."""

    @staticmethod
    def forward(context, x):
        total = x.detach().clone()
        torch.distributed.all_reduce(total)
        return total

    @staticmethod
    def backward(context, gradient):
        return _Sum.apply(gradient)


class _Gather(torch.autograd.Function):
    """Gathers the rows of all processes; the gradient is this process's rows of their sum.

    Processes may have different numbers of rows of the last batch, so all are padded to the
    longest.
    """

    @staticmethod
    def forward(context, x):
        rows = torch.tensor([len(x)], device=x.device)
        counts = [torch.empty_like(rows) for _ in range(num_replicas())]
        torch.distributed.all_gather(counts, rows)
        context.counts = [int(count) for count in counts]
        longest = max(context.counts)
        padded = x.detach().new_zeros((longest, *x.shape[1:]))
        padded[: len(x)] = x.detach()
        parts = [torch.empty_like(padded) for _ in counts]
        torch.distributed.all_gather(parts, padded)
        return torch.cat([part[:n] for part, n in zip(parts, context.counts, strict=True)])

    @staticmethod
    def backward(context, gradient):
        start = sum(context.counts[: torch.distributed.get_rank()])
        own = context.counts[torch.distributed.get_rank()]
        return _Sum.apply(gradient)[start : start + own]


class _Patches(torch.autograd.Function):
    """Copies every neighbourhood, `(batch, rows, columns, height, width, channels)`.

    By slices, the gradient would fill a map with zeros for each place of the neighbourhood.
    """

    @staticmethod
    def forward(context, x, height, width):
        windows = x.unfold(1, height, 1).unfold(2, width, 1)
        return windows.permute(0, 1, 2, 4, 5, 3).contiguous()

    @staticmethod
    def backward(context, gradient):
        return _AddedPatches.apply(gradient), None, None


class _AddedPatches(torch.autograd.Function):
    """Adds every neighbourhood to a map of zeros, the adjoint of `_Patches`."""

    @staticmethod
    def forward(context, x):
        batch, rows, columns, height, width, channels = x.shape
        context.size = height, width
        total = x.new_zeros((batch, rows + height - 1, columns + width - 1, channels))
        for i in range(height):
            for j in range(width):
                total[:, i : i + rows, j : j + columns] += x[:, :, :, i, j]
        return total

    @staticmethod
    def backward(context, gradient):
        return _Patches.apply(gradient, *context.size)
