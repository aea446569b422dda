"""The authors' weights in and out again, and what is refused."""

import os
import pickle

import keras
import numpy as np
import pytest
import torch
from keras import ops

import keras_cmg
from keras_cmg.reference.__main__ import main
from keras_cmg.reference.convert import assign_state, export_state, import_state
from keras_cmg.reference.files import read_state
from keras_cmg.reference.names import UNUSED

SHAPES = {"audio": (None, None, 6), "video": (None, None, 7, 7, 8), "text": (None, None, 5)}
BACKBONE = {
    "num_embeddings": 6,
    "embedding_dim": 8,
    "general": {"feedforward_units": 12, "dropout": 0.0},
    "map_specific": {"hidden_channels": 3, "channels": 4},
}
OBJECTIVE = {"club": {"hidden_units": 4}, "cpc": {"units": 5}, "decoder_channels": 3}
FRAMES = {
    "specific": {"audio": {"units": 5}, "text": {"units": 7}},
    "recurrent": {"text": {"units": 3}},
}
SYSTEMS = {
    "fcid": (keras_cmg.models.FCID, {"specific": {"units": 5}}),
    "dcid": (keras_cmg.models.DCID, FRAMES),
    "hdcid": (keras_cmg.models.HDCID, FRAMES),
    "micu": (keras_cmg.models.MICU, FRAMES),
    "codaar": (keras_cmg.models.CoDAAR, FRAMES),
}
CLUBS = {"club_audio", "club_video", "club_text"}
MODULES = {
    "fcid": {"decoder", "cpc", *CLUBS, "club_audiovisual"},
    "dcid": {"decoder", "cpc", *CLUBS},
    "hdcid": {"decoder", "cpc", *CLUBS, "cpc2", "club2_audio", "club2_video", "club2_text"},
    # Its encoder is that of DCID.
    "micu": {"decoder", "cpc", *CLUBS},
    "codaar": {"decoder", "cpc"},
}
"""What is missing beside an encoder."""


def reference_state(system: str) -> dict[str, np.ndarray]:
    """Random numbers under the authors' names."""
    kind, settings = SYSTEMS[system]
    model = kind.from_preset("reference", backbone={**BACKBONE, **settings}, **OBJECTIVE)
    model.build(SHAPES)
    draws = np.random.default_rng(0)
    state = {
        name: draws.normal(scale=0.3, size=value.shape).astype("float32")
        for name, value in export_state(model).items()
    }
    counts = "encoder/Cross_quantizer.ema_count"
    if system == "codaar":
        state[counts] = np.stack([state[f"{counts}_{letter}"] for letter in "vat"]).sum(axis=0)
    return state


def batch() -> dict[str, np.ndarray]:
    draws = np.random.default_rng(1)
    return {
        name: draws.normal(size=(3, 10, *shape[2:])).astype("float32")
        for name, shape in SHAPES.items()
    }


def encoder_of(state):
    return {name: value for name, value in state.items() if name.startswith("encoder/")}


def outputs(model):
    codes = {}
    for name, x in batch().items():
        for key, value in getattr(model, "backbone", model).encode(name, x).items():
            codes[f"{name}/{key}"] = ops.convert_to_numpy(ops.stop_gradient(value))
    return codes


def write_torch(path, content):
    torch.save(content, path)
    return str(path)


def tensors(state):
    return {
        name.partition("/")[2]: torch.tensor(value) for name, value in encoder_of(state).items()
    }


@pytest.mark.parametrize("system", SYSTEMS)
def test_round_trip_through_a_keras_file(system, tmp_path):
    state = reference_state(system)
    model, summary = import_state(state, dropout=0.0)
    assert isinstance(model, SYSTEMS[system][0])
    assert not summary.missing and not summary.unknown
    assert sorted([*summary.mapped, *summary.ignored]) == sorted(state)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    for key, value in outputs(model).items():
        np.testing.assert_array_equal(value, outputs(again)[key], err_msg=key)
    back = export_state(again)
    assert set(back) == set(state)
    for name, value in state.items():
        expected = np.zeros_like(value) if UNUSED.match(name) else value
        np.testing.assert_array_equal(back[name], expected, err_msg=name)


@pytest.mark.parametrize("system", SYSTEMS)
def test_encoder_alone_becomes_a_backbone_with_the_same_codes(system):
    state = reference_state(system)
    whole, _ = import_state(state, dropout=0.0)
    if system != "fcid":
        # The reader of words is no part of the encoder's file.
        state = {k: v for k, v in state.items() if k.startswith(("encoder/", "text_lstm/"))}
    else:
        state = encoder_of(state)
    backbone, summary = import_state(state, dropout=0.0)
    assert isinstance(backbone, keras_cmg.models.Backbone)
    assert set(summary.missing) == MODULES[system]
    for key, value in outputs(whole).items():
        np.testing.assert_array_equal(value, outputs(backbone)[key], err_msg=key)


def test_names_are_those_of_the_authors(golden_root):
    # Of MICU, what the authors train.
    never_trained = ("weights/cpc/", "weights/club_", "weights/jigsaw_alt/")
    for system, skipped in (
        ("fcid", "weights/cpc3_extra/"),
        ("dcid", ()),
        ("hdcid", ()),
        ("micu", never_trained),
        ("codaar", ()),
    ):
        recorded = np.load(golden_root / f"{system}.npz")
        expected = {
            key.removeprefix("weights/"): recorded[key].shape
            for key in recorded.files
            if key.startswith("weights/") and not key.startswith(skipped)
        }
        state = {name: recorded[f"weights/{name}"] for name in expected}
        back = export_state(import_state(state)[0])
        assert {name: value.shape for name, value in back.items()} == expected


def test_paper_preset_adds_the_two_biases_of_the_lstm():
    model = keras_cmg.models.FCID.from_preset(
        "paper", backbone={**BACKBONE, "specific": {"units": 5}}, **OBJECTIVE
    )
    model.build(SHAPES)
    state = export_state(model)
    # One bias vector per LSTM here, two there; the attention over positions has weights here.
    ih, hh = (f"cpc/audio_ar_lstm.bias_{kind}_l0" for kind in ("ih", "hh"))
    state[ih] = np.full_like(state[ih], 0.25)
    state[hh] = np.full_like(state[hh], 0.5)
    assign_state(model, state)
    back = export_state(model)
    np.testing.assert_array_equal(back[ih], np.full_like(state[ih], 0.75))
    np.testing.assert_array_equal(back[hh], np.zeros_like(state[hh]))
    assert "encoder/v_gen_encoder.ave_v_att.weight" in back


def test_torch_file_of_the_encoder(tmp_path, capsys):
    state = reference_state("fcid")
    content = {"Encoder_parameters": tensors(state), "epoch": 3, "total_step": 2000}
    source = write_torch(tmp_path / "in.pt", content)
    read = read_state(source)
    assert set(read) == set(encoder_of(state))
    assert main(["convert", source, str(tmp_path / "out.keras")]) == 0
    printed = capsys.readouterr().out
    assert "FCIDBackbone written" in printed
    assert "6 modules missing: decoder" in printed
    loaded = keras.saving.load_model(tmp_path / "out.keras")
    expected, _ = import_state(encoder_of(state))
    np.testing.assert_array_equal(loaded.codebook, expected.codebook)
    assert main(["export", str(tmp_path / "out.keras"), str(tmp_path / "back.npz")]) == 0
    back = read_state(tmp_path / "back.npz")
    name = "encoder/va2vat.linear.weight"
    np.testing.assert_array_equal(back[name], state[name])


def test_torch_file_that_is_the_state_dict_itself(tmp_path):
    state = reference_state("fcid")
    content = {f"module.{name}": value for name, value in tensors(state).items()}
    assert set(read_state(write_torch(tmp_path / "in.pt", content))) == set(encoder_of(state))


class Hostile:
    """Unpickling it makes a folder."""

    def __init__(self, folder):
        self.folder = folder

    def __reduce__(self):
        return os.mkdir, (str(self.folder),)


def test_hostile_file_is_refused_and_nothing_in_it_runs(tmp_path):
    folder = tmp_path / "made"
    source = write_torch(tmp_path / "hostile.pt", {"Encoder_parameters": Hostile(folder)})
    with pytest.raises(ValueError, match=r"hostile\.pt must be a PyTorch file of tensors alone"):
        read_state(source)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps(Hostile(folder), protocol=2))
    with pytest.raises(ValueError, match=r"plain\.pt"):
        read_state(tmp_path / "plain.pt")
    assert not folder.exists()


def test_truncated_and_wrong_files_are_refused_by_name(tmp_path, capsys):
    source = tmp_path / "in.pt"
    write_torch(source, {"Encoder_parameters": tensors(reference_state("fcid"))})
    (tmp_path / "cut.pt").write_bytes(source.read_bytes()[:1000])
    (tmp_path / "text.pt").write_text("no weights")
    write_torch(tmp_path / "list.pt", [torch.zeros(2)])
    for name in ("cut.pt", "text.pt", "list.pt", "none.pt"):
        assert main(["convert", str(tmp_path / name), str(tmp_path / "out.keras")]) == 2
        assert name in capsys.readouterr().err
    assert not list(tmp_path.glob("*.keras"))


def test_missing_and_misshapen_tensors_are_named():
    state = encoder_of(reference_state("fcid"))
    name = "encoder/va2vat.linear.bias"
    with pytest.raises(ValueError, match=f"1 are missing: {name}"):
        import_state({key: value for key, value in state.items() if key != name})
    with pytest.raises(ValueError, match=rf"'{name}' must have shape \(8,\). Received: \(9,\)"):
        import_state({**state, name: np.zeros(9)})
    with pytest.raises(ValueError, match="must hold a codebook"):
        import_state({name: np.zeros(8)})


def test_other_models_and_modalities_have_no_reference_names():
    with pytest.raises(ValueError, match="must be FCID, DCID"):
        export_state(keras_cmg.models.LinearProbe(2))
    with pytest.raises(ValueError, match="must be built"):
        export_state(keras_cmg.models.FCIDBackbone(("audio",)))
    backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio", "depth"))
    backbone.build({"audio": (None, 10, 4), "depth": (None, 10, 4)})
    with pytest.raises(ValueError, match="'depth'"):
        export_state(backbone)
