"""Steps on PyTorch that wait for nothing, recorded as CUDA graphs where there is a GPU."""

from __future__ import annotations

import collections
import gc
import warnings
import weakref
from typing import ClassVar

import keras
import numpy as np
import pytest

import keras_cmg
from tests.helpers import small_fcid, small_systems

torch = pytest.importorskip("torch")
if keras.backend.backend() != "torch":
    pytest.skip("of PyTorch alone", allow_module_level=True)

from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from keras_cmg.backend import cuda_graphs  # noqa: E402
from keras_cmg.backend import torch as torch_engine  # noqa: E402

on_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
DEVICE = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
WAITING = ("_local_scalar_dense", "nonzero", "repeat_interleave.Tensor", "masked_select", "unique")
"""Operations that read a number from the device, or whose result has a size that depends on it."""


class Operations(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.names = collections.Counter()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.names[str(function)] += 1
        return function(*args, **(kwargs or {}))


def on_device(batch):
    return {name: torch.as_tensor(x, device=DEVICE) for name, x in batch.items()}


@pytest.mark.parametrize("name", small_systems.SYSTEMS)
def test_a_step_neither_waits_for_the_device_nor_copies_new_numbers_to_it(name):
    model = small_systems.compiled_system(name, modalities=("audio", "video", "text"))
    batch = on_device(small_systems.batch(("audio", "video", "text")))
    model.build({m: x.shape for m, x in batch.items()})
    model.optimizer.build(model.trainable_variables)
    constants = cuda_graphs.DeviceConstants(DEVICE)
    randomness = cuda_graphs.StepRandomness(model, DEVICE)

    def step():
        randomness.seed()
        operations = Operations()
        with constants, randomness.drawing(), operations:
            torch_engine._train_step(model, batch)
        return operations.names

    for _ in range(2):
        step()
    kept = constants.count
    names = step()
    assert kept and constants.count == kept
    # The fused Adam of the processor reads its learning rate.
    allowed = names["aten._fused_adam_.tensor_lr"] if DEVICE.type == "cpu" else 0
    waiting = {n: k for n, k in names.items() if any(part in n for part in WAITING)}
    assert sum(waiting.values()) <= allowed, waiting


def test_constants_are_copied_once_and_never_changed():
    constants = cuda_graphs.DeviceConstants(DEVICE)
    with constants:
        first = torch.as_tensor(0.5, dtype=torch.bfloat16, device=DEVICE)
        again = torch.as_tensor(np.array(0.5), dtype=torch.bfloat16, device=DEVICE)
        other = torch.tensor([0.5, 1.0], device=DEVICE)
        assert first is again and other.tolist() == [0.5, 1.0]
        assert torch.as_tensor(0.5, dtype=torch.float32, device=DEVICE).dtype == torch.float32
        other += 1
        with pytest.raises(RuntimeError, match="changes a constant in place"):
            torch.tensor([0.5, 1.0], device=DEVICE)


def test_dropout_of_a_step_repeats_with_the_counters_of_the_layers():
    keras.utils.set_random_seed(0)
    model = keras.Sequential([keras.layers.Dropout(0.5, seed=3), keras.layers.Dropout(0.5, seed=4)])
    x = keras.ops.ones((4, 50))
    model(x)
    randomness = cuda_graphs.StepRandomness(model, DEVICE)

    def draw(randomness):
        randomness.seed()
        with randomness.drawing():
            return keras.ops.convert_to_numpy(model(x, training=True))

    first, second = draw(randomness), draw(randomness)
    assert 0 < first.mean() < 2.5 and (first != second).any()
    for layer in model.layers:
        counter = layer.seed_generator.state
        counter.assign(keras.ops.convert_to_numpy(counter) - np.array([0, 2], counter.dtype))
    again = cuda_graphs.StepRandomness(model, DEVICE)
    np.testing.assert_array_equal(draw(again), first)
    np.testing.assert_array_equal(draw(again), second)


class StandIn:
    """A recorded step without a GPU: notes the batches of its shape, and can fail."""

    made: ClassVar[list[StandIn]] = []
    fails = False

    def __init__(self, step, constants, randomness):
        self.step, self.seen = step, 0
        self.made.append(self)

    def __call__(self, model, x):
        self.seen += 1
        if self.fails:
            raise cuda_graphs.NotRecordableError from RuntimeError("no number to read")
        return self.step(model, x)


@pytest.fixture
def stand_in(monkeypatch):
    monkeypatch.setattr(StandIn, "made", [])
    monkeypatch.setattr(cuda_graphs, "RecordedStep", StandIn)
    monkeypatch.setattr(torch_engine, "_can_record", lambda model, x: True)
    return StandIn


def test_each_shape_has_a_recorded_step_up_to_a_number(stand_in, monkeypatch):
    monkeypatch.setattr(cuda_graphs, "MOST_GRAPHS", 2)
    model = small_fcid.compiled_fcid(("audio",))
    for clips in (4, 3, 4, 2, 3, 2):
        model.train_on_batch(small_fcid.small_batch(("audio",), clips=clips))
    assert [step.seen for step in stand_in.made] == [2, 2]


def test_a_model_that_is_compiled_again_records_anew_and_is_free_to_go(stand_in):
    model, batch = small_fcid.compiled_fcid(("audio",)), small_fcid.small_batch(("audio",))
    for _ in range(2):
        model.train_on_batch(batch)
    assert len(stand_in.made) == 1
    small_fcid.compiled(model).train_on_batch(batch)
    assert [step.seen for step in stand_in.made] == [2, 1]
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None


def test_a_step_that_fails_to_be_recorded_is_computed_all_the_same(stand_in, monkeypatch):
    monkeypatch.setattr(StandIn, "fails", True)
    model, batch = small_fcid.compiled_fcid(("audio",)), small_fcid.small_batch(("audio",))
    with pytest.warns(UserWarning, match="cannot be recorded .* Reason: no number to read"):
        model.train_on_batch(batch)
    assert int(model.optimizer.iterations) == 1
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model.train_on_batch(batch)
    assert [step.seen for step in stand_in.made] == [1] and int(model.optimizer.iterations) == 2


def train(model, batches):
    return [model.train_on_batch(batch, return_dict=True) for batch in batches]


def models_and_batches(**arguments):
    batches = [on_device(small_fcid.small_batch(clips=6, seed=i)) for i in range(8)]
    batches += [on_device(small_fcid.small_batch(clips=3, seed=i)) for i in range(2)]
    models = []
    for _ in range(2):
        keras.utils.set_random_seed(0)
        model = small_fcid.compiled_fcid(
            backbone={"general": {"feedforward_units": 8, "num_heads": 2, "dropout": 0.3}},
            **arguments,
        )
        model.build({name: x.shape for name, x in batches[0].items()})
        models.append(model)
    models[1].set_weights(models[0].get_weights())
    return models, batches


@on_gpu
@pytest.mark.filterwarnings("error:The training step cannot be recorded")
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_recorded_steps_are_those_that_run_operation_by_operation(dtype, monkeypatch):
    (recorded, eager), batches = models_and_batches(dtype=dtype)
    logs = train(recorded, batches)
    recorder = cuda_graphs._RECORDERS[recorded]
    assert any(step._graph is not None for step in recorder._steps.values())
    monkeypatch.setattr(cuda_graphs, "EAGER_STEPS", 1000)
    expected = train(eager, batches)
    tolerance = 1e-4 if dtype == "float32" else 0.05
    for found, wanted in zip(logs, expected, strict=True):
        assert set(found) == set(wanted)
        for key in wanted:
            assert found[key] == pytest.approx(wanted[key], rel=tolerance, abs=1e-3), key


@on_gpu
@pytest.mark.filterwarnings("error:The training step cannot be recorded")
def test_a_recorded_step_sees_new_weights_rates_and_settings():
    (model, _), batches = models_and_batches()
    train(model, batches[:5])
    start = model.get_weights()
    first = train(model, batches[5:6])[0]
    model.set_weights(start)
    model.optimizer.main.learning_rate.assign(0.0)
    before = [np.array(w) for w in model.backbone.get_weights()]
    train(model, batches[5:6])
    names = [v.path for v in model.backbone.trainable_variables]
    for variable, old in zip(model.backbone.weights, before, strict=True):
        if variable.path in names:
            np.testing.assert_array_equal(keras.ops.convert_to_numpy(variable), old)
    recorder = cuda_graphs._RECORDERS[model]
    model.compile(keras.optimizers.Adam(1e-3))
    train(model, batches[:1])
    assert cuda_graphs._RECORDERS[model] is not recorder
    assert np.isfinite(first["loss"])


@on_gpu
def test_a_step_that_cannot_be_recorded_runs_all_the_same(monkeypatch):
    (model, _), batches = models_and_batches()
    waits = keras_cmg.models.FCID.commitment_loss

    def commitment_loss(self, inputs):
        loss = waits(self, inputs)
        return loss * (1.0 if float(loss) > -1 else 2.0)

    monkeypatch.setattr(keras_cmg.models.FCID, "commitment_loss", commitment_loss)
    with pytest.warns(UserWarning, match="cannot be recorded as a CUDA graph"):
        logs = train(model, batches)
    assert np.isfinite([log["loss"] for log in logs]).all()
