"""PyTorch: train and test steps, sums over the processes of `torch.distributed`."""

from __future__ import annotations

import keras
import torch
import torch.distributed

from keras_cmg.training.objective import (
    batch_size,
    evaluation_losses,
    split_variables,
    with_regularization,
)


def train_step(model, data):
    x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    x = _tensors(x)
    variables = model.trainable_variables
    main, estimators = ([variables[i] for i in part] for part in split_variables(model, variables))
    features = model(x, training=True)
    logs = _fit_estimators(model, x, features, estimators)
    # Without this the backward pass would also work out the estimators' gradients.
    for variable in estimators:
        variable.value.requires_grad_(False)
    try:
        losses = model.main_losses(x, features, training=True)
        total = with_regularization(model, losses["loss"])
        optimizer = getattr(model.optimizer, "main", model.optimizer)
        model.zero_grad()
        optimizer.scale_loss(total).backward()
    finally:
        for variable in estimators:
            variable.value.requires_grad_(True)
    gradients = [_gradient(v.value) for v in main]
    with torch.no_grad():
        optimizer.apply(gradients, main)
    return model.track({**logs, **losses, "loss": total}, batch_size(x))


def _fit_estimators(model, x, features, variables):
    if not variables:
        return {}
    still = keras.tree.map_structure(lambda t: t.detach(), features)
    values = [v.value for v in variables]
    for _ in range(model.estimator_steps):
        losses = model.estimator_loss(x, still)
        gradients = torch.autograd.grad(sum(losses.values()), values, allow_unused=True)
        gradients = [
            torch.zeros_like(v) if g is None else _mean_over_processes(g)
            for g, v in zip(gradients, values, strict=True)
        ]
        with torch.no_grad():
            model.optimizer.estimator.apply(gradients, variables)
    return losses


def test_step(model, data):
    x, _, _ = keras.utils.unpack_x_y_sample_weight(data)
    x = _tensors(x)
    with torch.no_grad():
        losses = evaluation_losses(model, x)
    return model.track(losses, batch_size(x))


def _tensors(x):
    """`train_on_batch` hands NumPy arrays over as they are."""
    return keras.tree.map_structure(keras.ops.convert_to_tensor, x)


def _gradient(value):
    if value.grad is None:
        return torch.zeros_like(value)
    return _mean_over_processes(value.grad)


def _mean_over_processes(gradient):
    return global_sum(gradient) / num_replicas() if num_replicas() > 1 else gradient


def gradients(objective, variables, inputs):
    inputs = {name: torch.as_tensor(x).detach().requires_grad_() for name, x in inputs.items()}
    values = [*(v.value for v in variables), *inputs.values()]
    found = torch.autograd.grad(objective(inputs), values, allow_unused=True)
    found = [torch.zeros_like(v) if g is None else g for g, v in zip(found, values, strict=True)]
    return found[: len(variables)], dict(zip(inputs, found[len(variables) :], strict=True))


def num_replicas():
    if torch.distributed.is_available() and torch.distributed.is_initialized():
        return torch.distributed.get_world_size()
    return 1


def global_sum(x):
    if num_replicas() == 1:
        return x
    total = x.detach().clone()
    torch.distributed.all_reduce(total)
    return total


def from_first_replica(x):
    if num_replicas() == 1:
        return x
    first = x.detach().clone()
    torch.distributed.broadcast(first, src=0)
    return first
