"""What runs leave for later commands: damage is told with the name of the file."""

from __future__ import annotations

import json
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recipes.reporting import training_tables
from recipes.runner import content_cache, output_folder, provenance, seed_runs
from recipes.runner.settings import Settings, _values_of_run
from recipes.training import resumable_training, tuned_models

SETTINGS = Settings(model="dcid", preset="small", epochs=3)
NOT_READ = (b"", b"[", b"[]", b"7", b"\xff", b'{"a":' * 3000)


def job(out: Path) -> seed_runs.Job:
    resources: Any = types.SimpleNamespace(out=out, seeds=1, smoke=False)
    return seed_runs.Job("quickstart", "", SETTINGS, resources, 0)


def values_of_run(folder: Path) -> None:
    (folder / "model.keras").write_bytes(b"")
    _values_of_run({"run": str(folder)}, vars(SETTINGS), 0)


def rewritten(folder: Path) -> None:
    reports = types.SimpleNamespace(report=lambda runs, scratch: runs[0].result["loss_terms"])
    seed_runs.write_report(folder, lambda name: reports)


def training(folder: Path) -> None:
    clips: Any = types.SimpleNamespace(has=lambda split: False)
    resumable_training._Progress(Settings(batch_size=2, epochs=3), clips, folder).continued()


def curves(folder: Path) -> None:
    run = seed_runs.Run(folder, {"seed": 0, "loss_terms": []})
    training_tables.publish_training([run], folder, "Training")


def check(read: Callable[[Path], Any], path: Path, content: bytes) -> str:
    path.write_bytes(content)
    with pytest.raises(ValueError, match=path.name.replace(".", r"\.")) as caught:
        read(path.parent)
    assert len(str(caught.value)) < 1000
    return str(caught.value)


@pytest.mark.parametrize(
    ("read", "name", "contents"),
    [
        (
            values_of_run,
            "result.json",
            [
                *({}, {"settings": []}, {"settings": {"epochs": "3"}}),
                *({"settings": {"epochs": -3}}, {"settings": {"epochs": 10**30}}),
                *({"settings": {"model": "dcid", "preset": "x" * 9000}}, {"settings": {"set": 7}}),
                {"settings": {"model": "x" * 9000}},
            ],
        ),
        (
            lambda folder: seed_runs.finished(job(folder)),
            "result.json",
            [{}, {"recipe": "a", "seed": 0, "settings": 7, "versions": {}}],
        ),
        (rewritten, "result.json", [{}, {"recipe": "a", "seeds": 7}, {"recipe": ["a"]}]),
        (
            training,
            "state.json",
            [{}, {"epochs": "a"}, {"epochs": 1, "best": 1, "scores": [None], "history": {}}],
        ),
        (curves, "history.json", [{"loss": 3}, {"loss": ["a"]}, {"loss": [10**400]}]),
        (
            lambda folder: tuned_models.read_tuned(folder / "tuned.json"),
            "tuned.json",
            [{}, {"models": {"fcid": {"learning_rate": "a", "schedule": "", "arguments": {}}}}],
        ),
        (
            lambda folder: content_cache.remembered(folder, {"a": 1}, dict),
            f"{content_cache.key({'a': 1})}.json",
            [{}, {"identity": {"a": 1}}, {"identity": {"a": 1}, "result": [1]}],
        ),
    ],
)
def test_other_types_are_refused(
    tmp_path: Path, read: Callable[[Path], Any], name: str, contents: list[Any]
) -> None:
    for content in contents:
        check(read, tmp_path / name, json.dumps(content).encode())
    for damaged in NOT_READ:
        check(read, tmp_path / name, damaged)


def test_a_report_of_a_damaged_result_names_it(tmp_path: Path) -> None:
    result = json.dumps(provenance.plain(provenance.about(job(tmp_path)))).encode()
    assert "KeyError: 'loss_terms'" in check(rewritten, tmp_path / "result.json", result)


def test_the_model_of_a_state_is_missing(tmp_path: Path) -> None:
    state: dict[str, Any] = {"epochs": 2, "best": 1, "scores": [1], "history": {}, "seconds": 1}
    for latest in ("epoch2.keras", "a\0", "x" * 9000):
        content = json.dumps({**state, "finished": False, "latest": latest}).encode()
        check(training, tmp_path / "state.json", content)


def test_another_recipe_is_quoted_shortly(tmp_path: Path) -> None:
    (tmp_path / "result.json").write_text(json.dumps({"recipe": "x" * 9000}))
    with pytest.raises(ValueError, match="is of xxx") as caught:
        output_folder.check_output_folder(tmp_path, "quickstart")
    assert len(str(caught.value)) < 1000


def test_other_settings_are_quoted_shortly(tmp_path: Path) -> None:
    about = provenance.plain(provenance.about(job(tmp_path)))
    about["settings"]["epochs"] = "x" * 9000
    (tmp_path / "result.json").write_text(json.dumps(about))
    with pytest.raises(ValueError, match="--resume keeps runs of the same settings") as caught:
        seed_runs.finished(job(tmp_path))
    assert len(str(caught.value)) < 1000
