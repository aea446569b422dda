"""What `fit` shows: in a terminal, a log file and a notebook, and what Keras users rely on."""

import io
import re
import sys

import keras
import numpy as np
import pytest

import keras_cmg
from keras_cmg.callbacks import TrainingProgress
from keras_cmg.callbacks.training_progress import KEYS, Table
from tests.helpers.small_fcid import compiled_fcid, small_batch

PAIR = ("audio", "text")
LINE = re.compile(
    r"epoch (\d)/2  (?:\d+ min )?\d+ s  loss [-\d.]+ \(val [-\d.]+\)"
    r"  perplexity [\d.]+ \(val [\d.]+\)"
    r"  code_agreement [\d.]+ \(val [\d.]+\)  partner_retrieval [\d.]+ \(val [\d.]+\)"
)


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture(scope="module")
def model():
    return compiled_fcid(PAIR)


def fit(model, **arguments):
    data = small_batch(PAIR)
    return model.fit(data, batch_size=2, epochs=2, validation_data=(data,), **arguments)


@pytest.mark.every_engine
def test_a_log_file_gets_a_line_per_epoch(capsys):
    model = compiled_fcid(PAIR)
    history = fit(model)
    lines = capsys.readouterr().out.splitlines()
    assert [LINE.fullmatch(line)[1] for line in lines] == ["1", "2"]
    assert len(history.history) == 2 * (1 + len(model.log_keys)) > 2 * len(KEYS)
    shares = history.history["partner_retrieval"]
    assert all(0 <= share <= 1 for share in shares)


def test_a_terminal_gets_a_bar_that_becomes_the_line(model, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    fit(model, verbose=1)
    text = terminal.getvalue()
    assert text.count("\n") == 2 and "━" in text and "1/2" in text
    shown = [line.rpartition("\r\033[K")[2] for line in text.split("\n")[:-1]]
    assert all(LINE.fullmatch(line) for line in shown)


def test_verbose_2_draws_no_bar_in_a_terminal(model, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    fit(model, verbose=2)
    assert all(LINE.fullmatch(line) for line in terminal.getvalue().splitlines())


def test_verbose_0_is_silent(model, capsys):
    fit(model, verbose=0)
    assert capsys.readouterr().out == ""
    fit(model, verbose=0, callbacks=[TrainingProgress()])
    assert capsys.readouterr().out == ""


def test_a_given_progress_bar_is_the_only_one(model, capsys):
    fit(model, verbose=2, callbacks=[keras.callbacks.ProgbarLogger()])
    shown = capsys.readouterr().out
    assert "epoch 1/2" not in shown and "Epoch 1/2" in shown and "infonce:" in shown
    fit(model, callbacks=TrainingProgress(["code_usage"]))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 and all("code_usage" in line and "loss" not in line for line in lines)


def test_a_callback_list_shows_what_it_holds(model, capsys):
    fit(model, callbacks=keras.callbacks.CallbackList([]))
    assert capsys.readouterr().out == ""


def test_callbacks_learn_the_verbosity_that_was_asked_for(model):
    seen = []
    spy = keras.callbacks.LambdaCallback(on_train_begin=lambda logs: seen.append(spy.params))
    fit(model, verbose=2, callbacks=[spy])
    assert seen[0]["verbose"] == 2 and seen[0]["epochs"] == 2


def test_quiet_logging_goes_to_absl(model, capsys, caplog):
    keras.config.disable_interactive_logging()
    try:
        with caplog.at_level("INFO", logger="absl"):
            fit(model)
    finally:
        keras.config.enable_interactive_logging()
    assert capsys.readouterr().out == ""
    assert [bool(LINE.fullmatch(record.message)) for record in caplog.records] == [True, True]


def test_data_of_unknown_length_show_steps(monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    progress = TrainingProgress()
    progress.set_params({"verbose": "auto", "epochs": 1, "steps": None})
    progress.on_train_begin()
    progress.on_epoch_begin(0)
    progress.on_train_batch_end(4, {"loss": np.float32(2.5)})
    assert terminal.getvalue() == "\r\033[Kepoch 1/1  step 5  loss 2.5"


def test_a_notebook_gets_one_table_that_grows(model, monkeypatch):
    shown = []

    class Handle:
        def update(self, content):
            shown.append(content)

    def display(content, display_id):
        shown.append(content)
        return Handle()

    class Stream(io.StringIO):
        __module__ = "ipykernel.iostream"

    module = type(sys)("IPython.display")
    module.display = display
    monkeypatch.setitem(sys.modules, "IPython.display", module)
    monkeypatch.setattr(sys, "stdout", Stream())
    fit(model)
    assert sys.stdout.getvalue() == ""
    last = shown[-1]
    assert last._repr_html_().count("<tr>") == 3 and "━" not in last._repr_html_()
    assert last._repr_html_().startswith("<table><thead><tr><th>epoch</th><th>time</th><th>loss")
    assert [line.split()[0] for line in repr(last).splitlines()] == ["epoch", "1", "2"]
    assert any("━" in content._repr_html_() for content in shown)


def test_a_table_is_escaped():
    assert "&lt;b&gt;" in Table(["<b>"], [["1"]], "")._repr_html_()


def test_any_keras_model_may_use_it(capsys):
    model = keras.Sequential([keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    x = np.zeros((4, 2), "float32")
    model.fit(x, x[:, :1], callbacks=[TrainingProgress()])
    assert re.fullmatch(r"epoch 1/1  (?:\d+ min )?\d+ s  loss 0.000\n", capsys.readouterr().out)
    model.evaluate(x, x[:, :1], callbacks=[TrainingProgress()])
    assert "1/1" in capsys.readouterr().out


def test_partner_retrieval_is_that_of_the_nearest(model):
    data = small_batch(PAIR)
    inputs = model.prepare_step(data)
    features = inputs.clip_features(inputs.features[model.backbone.quantized_kind])
    a, b = (keras.ops.convert_to_numpy(features[name]) for name in PAIR)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (a, b))
    expected = np.mean([((a @ b.T).argmax(axis) == np.arange(len(a))).mean() for axis in (0, 1)])
    found = float(model.extra_logs(inputs)["partner_retrieval"])
    assert found == pytest.approx(expected)
    assert "partner_retrieval" not in keras_cmg.models.FCID(("audio",)).log_keys


@pytest.mark.parametrize(
    ("arguments", "message"),
    [({"keys": "loss"}, "keys"), ({"keys": ()}, "keys"), ({"width": 0}, "width")],
)
def test_refuses_nothing_to_show(arguments, message):
    with pytest.raises(ValueError, match=f"`{message}`"):
        TrainingProgress(**arguments)
