"""Tasks on prepared clips: who takes which role, what is chosen on what, systems without codes."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

import data_tools
import keras_cmg
from keras_cmg.models.base.backbone import Backbone
from recipes.experiments import generalisation
from recipes.protocol import clips, evaluation, tasks
from recipes.protocol.tasks import TASKS
from recipes.runner import command_line as runner
from recipes.training import training_settings as training


class MeanOfFeatures(Backbone):
    """Two numbers per frame of any modality, and no codes."""

    def build(self, input_shape):
        self.feature_shapes = dict(input_shape)
        self.built = True

    def general_features(self, modality, x, level, mask=None):
        from keras import ops

        x = ops.reshape(x, (*x.shape[:2], -1))
        both = ops.stack([ops.mean(x, axis=-1), ops.max(x, axis=-1)], axis=-1)
        return ops.mean(both, axis=1) if level == "clip" else both


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> clips.Clips:
    folder = tmp_path_factory.mktemp("features") / "synthetic"
    data_tools.prepare("synthetic", folder, num_clips={"train": 24, "val": 12, "test": 16})
    return clips.Clips("synthetic", folder)


@pytest.fixture(scope="module")
def backbone(source: clips.Clips) -> MeanOfFeatures:
    arrays = data_tools.load(source.root, "val", format="numpy")
    found = MeanOfFeatures(("audio", "video", "text"))
    found.build({name: arrays[name].shape for name in found.modalities})
    return found


def settings(**changes) -> evaluation.Probing:
    return evaluation.Probing(probe_epochs=1, **changes)


def test_roles_of_the_tasks(source: clips.Clips, backbone: MeanOfFeatures) -> None:
    counts = {}
    for name, task in TASKS.items():
        result = evaluation.evaluate(task, backbone, source, settings(), 0, {})
        counts[name] = result["clips"]
        assert list(result["scores"]) == [
            "video->audio",
            "video->video",
            "audio->video",
            "audio->audio",
        ]
    assert counts["ave"] == counts["avvp"]
    assert counts["ave"]["source train video"] == 24
    assert counts["ucf_vggsound"]["source train video"] == 12
    spans = counts["ave_avvp"]
    assert 0 < spans["source train video"] < 24 and 0 < spans["target test audio"] < 16


def test_halves_share_no_clip() -> None:
    labels = np.zeros((9, 10, 3))
    seen, heard = (tasks.unpaired(labels, name, "source") for name in ("video", "audio"))
    assert (seen ^ heard).all()


def test_reference_is_tested_where_the_published_code_is(
    source: clips.Clips, backbone: MeanOfFeatures
) -> None:
    splits = {}
    for name, task in TASKS.items():
        chosen = settings(protocol="reference")
        counts = evaluation.evaluate(task, backbone, source, chosen, 0, {})["clips"]
        splits[name] = [key for key in counts if key.endswith("video")]
    assert splits["ave"] == ["target train video", "source train video"][::-1]
    assert splits["avvp"] == ["source test video", "target test video"]
    assert splits["ave_avvp"] == ["source train video", "target test video"]


def test_text_is_a_source_of_classes_and_not_of_events(
    source: clips.Clips, backbone: MeanOfFeatures
) -> None:
    chosen = settings(directions=("text:audio",))
    result = evaluation.evaluate(TASKS["ave"], backbone, source, chosen, 0, {})
    assert set(result["scores"]) == {"text->audio", "text->text"}
    with pytest.raises(ValueError, match="'text' has no seconds"):
        evaluation.evaluate(TASKS["avvp"], backbone, source, chosen, 0, {})


def test_systems_without_codes_have_no_toc_columns(
    source: clips.Clips, backbone: MeanOfFeatures
) -> None:
    task = TASKS["ave"]
    assert evaluation.masks_of(backbone, settings(), task) == {}
    result = evaluation.evaluate(task, backbone, source, settings(), 0, {})
    assert list(generalisation.rows(task, [result], "simmmdg")) == ["SimMMDG"]
    table = generalisation.all_views([result], "accuracy", "t")
    assert table.columns == ("continuous", "constant answer")


def test_toc_of_the_protocols() -> None:
    backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
    backbone.build({"audio": (None, 10, 128)})
    masks = evaluation.masks_of(backbone, settings(toc_channels=(32,)), TASKS["avvp"])
    (mask,) = masks.values()
    assert (mask.num_channels, mask.criterion, mask.normalize) == (32, "both", True)
    (mask,) = evaluation.masks_of(backbone, settings(protocol="reference"), TASKS["avvp"]).values()
    assert (mask.num_channels, mask.criterion) == (196, "similarity")
    assert not mask.normalize and mask.unbiased
    with pytest.raises(ValueError, match="--toc-channels must lie between 1 and 256"):
        evaluation.masks_of(backbone, settings(toc_channels=(257,)), TASKS["avvp"])


def test_the_number_of_dimensions_is_chosen_on_validation() -> None:
    result = {"chosen_on": {"a->b": {"192": 0.5, "128": 0.7, "64": 0.7}}}
    assert evaluation.chosen_view(result, "a->b", ["192", "128", "64"]) == "128"


def parsed(*words: str) -> argparse.Namespace:
    import recipes.experiments.ave

    return runner.recipe_parser("ave", recipes.experiments.ave).parse_args(list(words))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--preset", "huge"], r"--preset of fcid must be one of .* received: 'huge'"),
        (["--directions", "video"], r"--directions must be FROM:TO .* received: 'video'"),
        (["--directions", "video:smell"], r"--directions must be FROM:TO"),
        (["--epochs", "0"], "--epochs must be positive; received: 0"),
        (["--probe-epochs", "0"], "--probe-epochs must be positive; received: 0"),
    ],
)
def test_options_are_checked(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generalisation.settings_of(parsed(*words))


def finished(folder: Path, **changes) -> Path:
    """A folder that looks like a finished run."""
    folder.mkdir(parents=True)
    (folder / training.MODEL).write_bytes(b"")
    told = {"data": "digits", "epochs": 7, "preset": "paper", "num_clips": {"train": 3}}
    content = {"recipe": "pretrain", "settings": {**told, **changes}}
    (folder / "result.json").write_text(json.dumps(content))
    return folder


def test_a_run_brings_its_settings(tmp_path: Path) -> None:
    run = finished(tmp_path / "run" / "seed3").parent
    chosen = generalisation.settings_of(parsed("--run", str(run), "--seed", "3"))
    assert (chosen.epochs, chosen.preset, chosen.num_clips["train"]) == (7, "paper", 600)
    chosen = generalisation.settings_of(
        parsed("--run", str(run), "--seed", "3", "--data", "digits")
    )
    assert chosen.num_clips == {"train": 3}
    with pytest.raises(FileNotFoundError, match=r"--run must hold model\.keras"):
        generalisation.settings_of(parsed("--run", str(run)))
    with pytest.raises(ValueError, match="--run brings its own settings; leave out: epochs"):
        generalisation.settings_of(parsed("--run", str(run), "--seed", "3", "--epochs", "2"))


def test_published_data_need_a_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert runner.main(["ave", "--data", "ave", "--out", str(tmp_path / "run")]) == 2
    assert "--data ave needs --root" in capsys.readouterr().err
