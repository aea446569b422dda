"""Runs that outlive a process: killed, moved to another engine, spread over replicas."""

import os
import signal
import subprocess
import sys

import keras
import pytest

from tests.helpers.resumable_run import PAIR
from tests.helpers.small_fcid import compiled_fcid, small_batch


def python(*arguments, engine, cwd):
    return subprocess.Popen(
        [sys.executable, *map(str, arguments)],
        cwd=cwd,
        env={**os.environ, "KERAS_BACKEND": engine},
        stdout=subprocess.PIPE,
        text=True,
    )


def losses(lines):
    return {int(epoch): float(loss) for epoch, loss in (line.split() for line in lines)}


def run(folder, epochs, repository):
    arguments = ("-m", "tests.helpers.resumable_run", folder, epochs)
    return python(*arguments, engine="torch", cwd=repository)


def test_a_killed_run_goes_on_as_if_nothing_had_happened(tmp_path, repository):
    for name in ("whole", "killed"):
        (tmp_path / name).mkdir()
    process = run(tmp_path / "whole", 4, repository)
    whole = losses(process.communicate()[0].splitlines())
    assert sorted(whole) == [0, 1, 2, 3]
    process = run(tmp_path / "killed", 10**6, repository)
    before = losses([process.stdout.readline() for _ in range(2)])
    process.send_signal(signal.SIGKILL)
    # What was printed while the signal was on its way counts too.
    before |= losses(process.communicate()[0].splitlines(keepends=True)[:-1])
    assert process.returncode == -signal.SIGKILL
    assert before[1] == whole[1]
    last = max(before)
    process = run(tmp_path / "killed", max(4, last + 3), repository)
    after = losses(process.communicate()[0].splitlines())
    assert process.returncode == 0
    assert {e: after[e] for e in after if e in whole} == {e: whole[e] for e in after if e in whole}
    assert max(after) == max(4, last + 3) - 1


TRAIN_ON = """
import sys
import keras, keras_cmg
from tests.helpers.small_fcid import small_batch
model = keras.saving.load_model(sys.argv[1], safe_mode=True)
history = model.fit(small_batch(("audio", "text")), batch_size=4, shuffle=False, verbose=0).history
print(keras.backend.backend(), repr(history["loss"][0]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("engine", ["jax", "tensorflow"])
def test_a_file_saved_on_one_engine_trains_on_another(engine, tmp_path, repository):
    pytest.importorskip(engine)
    model = compiled_fcid(
        PAIR, backbone={"general": {"num_heads": 2, "feedforward_units": 8, "dropout": 0.0}}
    )
    batch = small_batch(PAIR)
    model.fit(batch, batch_size=4, epochs=2, shuffle=False, verbose=0)
    model.save(tmp_path / "model.keras")
    expected = model.fit(batch, batch_size=4, shuffle=False, verbose=0).history["loss"][0]
    process = python("-c", TRAIN_ON, tmp_path / "model.keras", engine=engine, cwd=repository)
    name, loss = process.communicate()[0].split()
    assert name == engine
    assert float(loss) == pytest.approx(expected, rel=1e-4)


def test_a_file_names_no_engine(tmp_path):
    """Optimisers are stored under their public names."""
    model = compiled_fcid(PAIR)
    config = keras.saving.serialize_keras_object(model)
    assert "keras.src.backend" not in str(config["compile_config"])
