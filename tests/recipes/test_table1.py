"""Tasks on prepared clips: who takes which role, what is chosen on what, systems without codes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import data_tools
import keras_cmg
from keras_cmg.models.base.backbone import Backbone
from recipes.protocol import clips, table1_protocol, tasks
from recipes.protocol.tasks import TASKS
from recipes.reporting import table1_tables
from recipes.runner import command_line


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


def evaluate(task: str, backbone, source, **changes) -> dict:
    return table1_protocol.evaluate(TASKS[task], backbone, source, {}, probe_epochs=1, **changes)


def test_roles_of_the_tasks(source: clips.Clips, backbone: MeanOfFeatures) -> None:
    counts = {}
    for name in TASKS:
        result = evaluate(name, backbone, source)
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
    for name in TASKS:
        counts = evaluate(name, backbone, source._replace(protocol="reference"))["clips"]
        splits[name] = [key for key in counts if key.endswith("video")]
    assert splits["ave"] == ["target train video", "source train video"][::-1]
    assert splits["avvp"] == ["source test video", "target test video"]
    assert splits["ave_avvp"] == ["source train video", "target test video"]


def test_text_is_a_source_of_classes_and_not_of_events(
    source: clips.Clips, backbone: MeanOfFeatures
) -> None:
    result = evaluate("ave", backbone, source, directions=("text:audio",))
    assert set(result["scores"]) == {"text->audio", "text->text"}
    with pytest.raises(ValueError, match="'text' has no seconds"):
        evaluate("avvp", backbone, source, directions=("text:audio",))


def test_systems_without_codes_have_no_toc_columns(
    source: clips.Clips, backbone: MeanOfFeatures
) -> None:
    task = TASKS["ave"]
    assert table1_protocol.protocol_masks(backbone, task, "heldout", (64,)) == {}
    assert table1_protocol.protocol_masks(backbone, task, "reference", (64,)) == {}
    result = evaluate("ave", backbone, source)
    assert list(table1_tables.rows(task, [result], "SimMMDG")) == ["SimMMDG"]
    assert "has no codes" in table1_tables.main_table(task, [result], "SimMMDG", "x").note
    table = table1_tables.probe_table([result], "accuracy", "t")
    assert table.columns == ("continuous", "constant answer")


def test_toc_of_the_protocols() -> None:
    backbone = keras_cmg.models.FCIDBackbone.from_preset("small", modalities=("audio",))
    backbone.build({"audio": (None, 10, 128)})
    task = TASKS["avvp"]
    (mask,) = table1_protocol.protocol_masks(backbone, task, "heldout", (32,)).values()
    assert (mask.num_channels, mask.criterion, mask.normalize) == (32, "both", True)
    (mask,) = table1_protocol.protocol_masks(backbone, task, "reference", (32,)).values()
    assert (mask.num_channels, mask.criterion) == (196, "similarity")
    assert not mask.normalize and mask.unbiased
    with pytest.raises(ValueError, match="--toc-channels must lie between 1 and 256"):
        table1_protocol.protocol_masks(backbone, task, "heldout", (257,))


def test_the_number_of_dimensions_is_chosen_on_validation() -> None:
    result = {"chosen_on": {"a->b": {"192": 0.5, "128": 0.7, "64": 0.7}}}
    assert table1_protocol.chosen_view(result, "a->b", ["192", "128", "64"]) == "128"


def test_published_data_need_a_root(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command_line.main(["table1", "--data", "ave", "--out", str(tmp_path / "run")]) == 2
    assert "--data ave needs --root" in capsys.readouterr().err
