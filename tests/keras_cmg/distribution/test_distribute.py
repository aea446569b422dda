"""Training over several devices: the numbers of one, whatever the engine and its processes."""

import json
import os
import signal
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

import keras_cmg
from tests.helpers.small_fcid import compiled_fcid, small_batch

RUN = "tests.helpers.distributed_run"
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "OMP_NUM_THREADS": "1"}


def start(arguments, cwd, engine, **variables):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, **QUIET, "KERAS_BACKEND": engine, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes):
    for process in processes:
        _, errors = process.communicate()
        assert process.returncode == 0, errors[-3000:]


def free_port():
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        return probe.getsockname()[1]


def torchrun(processes, *arguments):
    launcher = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", processes)
    return (*launcher, *arguments)


def assert_same_training(one, other):
    one, other = np.load(one), np.load(other)
    assert set(one.files) == set(other.files)
    for key in one.files:
        np.testing.assert_allclose(other[key], one[key], rtol=1e-4, atol=1e-5, err_msg=key)


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["jax", "tensorflow"])
def test_four_devices_train_as_one_and_go_on_as_one(engine, tmp_path, repository):
    pytest.importorskip(engine)
    runs = ["one=1", "four=4", "one_on=1<one", "four_to_one=1<four", "one_to_four=4<one"]
    runs += ["levels_one=1", "levels_four=4", "plus_one=1", "plus_four=4"]
    finish(start(("-m", RUN, tmp_path, *runs), repository, engine, VIRTUAL_DEVICES="4"))
    assert_same_training(tmp_path / "one.npz", tmp_path / "four.npz")
    for name in ("levels", "plus"):
        assert_same_training(tmp_path / f"{name}_one.npz", tmp_path / f"{name}_four.npz")
    for name in ("four_to_one", "one_to_four"):
        assert_same_training(tmp_path / "one_on.npz", tmp_path / f"{name}.npz")


def test_two_processes_train_as_one_on_torch(tmp_path, repository):
    runs = ("one=1", "one_on=1<one", "levels_one=1", "plus_one=1")
    finish(start(("-m", RUN, tmp_path, *runs), repository, "torch"))
    command = torchrun(2, "-m", RUN, tmp_path, "two=2", "one_to_two=2<one", "levels_two=2")
    finish(start((*command, "plus_two=2"), repository, "torch"))
    for name in ("levels", "plus"):
        assert_same_training(tmp_path / f"{name}_one.npz", tmp_path / f"{name}_two.npz")
    assert_same_training(tmp_path / "one.npz", tmp_path / "two.npz")
    assert_same_training(tmp_path / "one.npz", tmp_path / "two.1.npz")
    assert_same_training(tmp_path / "one_on.npz", tmp_path / "one_to_two.npz")


@pytest.mark.slow
def test_two_workers_train_as_one_on_tensorflow(tmp_path, repository):
    pytest.importorskip("tensorflow")
    workers = [f"localhost:{free_port()}" for _ in range(2)]
    processes = [start(("-m", RUN, tmp_path, "one=1"), repository, "tensorflow")]
    for index in range(2):
        task = {"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}}
        command = ("-m", RUN, tmp_path, "two=2")
        processes.append(start(command, repository, "tensorflow", TF_CONFIG=json.dumps(task)))
    finish(*processes)
    assert_same_training(tmp_path / "one.npz", tmp_path / "two.npz")
    assert_same_training(tmp_path / "one.npz", tmp_path / "two.1.npz")


@pytest.mark.slow
def test_two_processes_train_as_one_on_jax(tmp_path, repository):
    pytest.importorskip("jax")
    processes = [start(("-m", RUN, tmp_path, "one=1"), repository, "jax")]
    cluster = {
        "KERAS_DISTRIBUTION_JOB_ADDRESSES": f"localhost:{free_port()}",
        "KERAS_DISTRIBUTION_NUM_PROCESSES": "2",
    }
    for index in range(2):
        variables = {**cluster, "KERAS_DISTRIBUTION_PROCESS_ID": str(index)}
        processes.append(start(("-m", RUN, tmp_path, "two=2"), repository, "jax", **variables))
    finish(*processes)
    assert_same_training(tmp_path / "one.npz", tmp_path / "two.npz")
    assert_same_training(tmp_path / "one.npz", tmp_path / "two.1.npz")


def losses(text):
    return {int(epoch): float(loss) for epoch, loss in map(str.split, text.splitlines())}


@pytest.mark.slow
def test_a_run_goes_on_after_one_of_its_processes_is_killed(tmp_path, repository):
    """`torchrun` starts all processes again, and they find the last checkpoint."""
    epochs = 12
    runs = {}
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
        helper = ("-m", "tests.helpers.resumable_run", tmp_path / name, epochs)
        runs[name] = start(torchrun(2, "--max-restarts", 1, *helper), repository, "torch")
    before = [runs["killed"].stdout.readline() for _ in range(2)]
    killed = int((tmp_path / "killed" / "1.pid").read_text())
    os.kill(killed, signal.SIGKILL)
    printed = {name: process.communicate() for name, process in runs.items()}
    for name, process in runs.items():
        assert process.returncode == 0, printed[name][1][-3000:]
    assert int((tmp_path / "killed" / "1.pid").read_text()) != killed
    expected = losses(printed["whole"][0])
    assert sorted(expected) == list(range(epochs))
    assert losses("".join(before) + printed["killed"][0]) == expected


SUMS = """
import tensorflow as tf
from tests.helpers.distributed_run import make_virtual_devices
import keras_cmg

make_virtual_devices(4)
for devices, size in ((4, 3), (4, 5), (2, 7)):
    with keras_cmg.distribution.distribute(devices):
        strategy = tf.distribute.get_strategy()

        @tf.function
        def total():
            context = tf.distribute.get_replica_context()
            return context.all_reduce("SUM", tf.ones([size]))

        print(strategy.experimental_local_results(strategy.run(total))[0].numpy())
"""

ADDED_LOSSES = """
import keras
import tensorflow as tf
from tests.helpers.distributed_run import make_virtual_devices
import keras_cmg
from keras_cmg.backend import engine

make_virtual_devices(2)


class Adds(keras.layers.Layer):
    def call(self, x):
        engine.current().wait_for_replicas()
        self.add_loss(keras.ops.sum(x))
        x = engine.global_sum(x)
        self.add_loss(keras.ops.sum(x))
        return x


with keras_cmg.distribution.distribute(2):
    strategy, layer = tf.distribute.get_strategy(), Adds()
    # Outside of a step there is no replica.
    engine.current().wait_for_replicas()

    @tf.function
    def losses():
        layer(tf.ones([3]))
        return tf.stack(engine.current().own_losses(layer.losses))

    for of_replica in strategy.experimental_local_results(strategy.run(losses)):
        print(of_replica.numpy())
"""


def test_one_process_trains_one_model_after_the_other_on_tensorflow(repository):
    pytest.importorskip("tensorflow")
    process = start(("-c", SUMS), repository, "tensorflow")
    printed, errors = process.communicate()
    assert process.returncode == 0, errors[-3000:]
    assert printed.split("\n") == ["[4. 4. 4.]", "[4. 4. 4. 4. 4.]", "[2. 2. 2. 2. 2. 2. 2.]", ""]


def test_a_replica_on_tensorflow_counts_the_losses_that_it_has_added(repository):
    pytest.importorskip("tensorflow")
    process = start(("-c", ADDED_LOSSES), repository, "tensorflow")
    printed, errors = process.communicate()
    assert process.returncode == 0, errors[-3000:]
    assert printed.split("\n") == ["[3. 6.]", "[3. 6.]", ""]


@pytest.mark.parametrize("devices", [0, -1, 1.5, "two"])
def test_refuses_no_number_of_devices(devices):
    with pytest.raises(ValueError, match="`devices` must be 'auto' or at least 1"):
        keras_cmg.distribution.distribute(devices)


def test_says_how_to_start_processes():
    with pytest.raises(ValueError, match="torchrun --nproc-per-node 3"):
        keras_cmg.distribution.distribute(3)


def test_refuses_a_distribution_that_keras_would_ignore():
    model = compiled_fcid(("text",))
    spread = keras.distribution.DataParallel(devices=["cpu:0"])
    with spread.scope(), pytest.raises(ValueError, match="on JAX alone"):
        model.fit(small_batch(("text",)), verbose=0)
