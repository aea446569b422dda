import json
import time

import numpy as np
import pytest

from benchmarks import __main__ as command_line
from benchmarks import flops
from keras_cmg.models import FCID
from recipes.protocol import resource_use
from tests.helpers.small_fcid import small_batch, small_fcid


def test_times_are_medians_of_turns():
    order = []
    times = resource_use.seconds_in_turns(
        {"a": lambda: (order.append("a"), time.sleep(0.02)), "b": lambda: order.append("b")}, 3, 1
    )
    assert order == ["a", "b"] * 4
    assert times["a"] >= 0.02 > times["b"]


@pytest.mark.parametrize("arguments", [{"rounds": 0}, {"clock": "sun"}])
def test_bad_arguments_are_named(arguments):
    with pytest.raises(ValueError, match=r"`rounds` must be|`clock` must be"):
        resource_use.seconds_in_turns({"a": lambda: None}, **arguments)


def test_memory_of_a_large_array_is_seen():
    with resource_use.PeakMemory() as memory:
        block = np.ones(50_000_000, "float32")
        time.sleep(0.05)
    assert memory.gigabytes == pytest.approx(block.nbytes / 1e9, rel=0.2)


def test_operations_of_a_hand_example():
    """Three passes of every product but the first layers', which need no gradient of the data."""
    model = small_fcid(
        ("text",),
        backbone={"embedding_dim": 16, "general": {"num_heads": 2, "feedforward_units": 12}},
    )
    batch = small_batch(("text",))
    model(batch)
    positions, width, data, inner = 4 * 5, 16, 8, 12
    dense = 2 * positions * width * width
    attention = 4 * dense + 4 * positions * 5 * width + 2 * (2 * positions * width * inner)
    coarse = 3 * dense  # projector, general, specific
    decoder = dense + 2 * dense
    codes = 2 * positions * 6 * width
    expected = 2 * 2 * positions * data * width + 3 * (attention + coarse + decoder) + codes
    assert flops.step_flops(model, batch) == expected


def test_paper_preset_counts_what_was_published():
    """6.07 TFLOP per step at batch 80; counted on two clips without training anything."""
    from benchmarks.train import batch_of

    model, batch = FCID.from_preset("paper"), batch_of("paper", 1)
    model(batch)
    assert 80 * flops.step_flops(model, batch) == pytest.approx(6.07e12, rel=0.01)


@pytest.mark.parametrize(
    "arguments, key",
    [
        (["toc", "--codes", "100", "--channels", "8"], "streamed_over_read"),
        (["assign", "--vectors", "64", "--codes", "8", "--channels", "4"], "over_product"),
        (["train", "--batch-size", "2", "--clock", "processor"], "share_of_product"),
        (["encode", "--batch-size", "2", "--product-size", "64"], "text_codes_per_second"),
    ],
    ids=["toc", "assign", "train", "encode"],
)
def test_commands_write_what_they_measured(arguments, key, tmp_path, capsys):
    out = tmp_path / "results.json"
    command_line.main([*arguments, "--rounds", "1", "--out", str(out)])
    content = json.loads(out.read_text())
    assert content["results"][key] > 0
    assert content["benchmark"] == f"{arguments[0]} on {content['machine']['engine']}"
    assert key in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]


@pytest.mark.slow
def test_a_saved_model_is_timed_beside_the_model():
    from benchmarks import serve

    results = serve.run(rounds=2)
    for name in ("saved_model", "predict", "call"):
        for size in serve.BATCHES:
            half, almost_all = (results[f"{name}_{size}_p{p}_milliseconds"] for p in (50, 99))
            assert 0 < half <= almost_all
            assert results[f"{name}_{size}_clips_per_second"] > 0


def test_wrong_words_are_told_before_anything_is_measured(tmp_path, capsys, monkeypatch):
    for words in (["--codes", "0"], ["--rounds", "-1"], ["--vectors", "many"]):
        with pytest.raises(SystemExit) as stopped:
            command_line.main(["assign", *words])
        assert stopped.value.code == 2
        assert f"must be a whole number of at least 1: '{words[1]}'" in capsys.readouterr().err
    monkeypatch.setitem(command_line.BENCHMARKS, "assign", None)
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "a.json"
    assert command_line.main(["assign", "--out", str(out)]) == 2
    assert f"cannot write --out {out}" in capsys.readouterr().err
