"""The command line of `extract`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from data_tools.__main__ import main
from data_tools.store import Store
from tests.helpers import media


def test_one_command_from_clips_to_store(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    media.write_clips(tmp_path / "clips", 4)
    (tmp_path / "clips/audio/clip0001.flac").write_bytes(b"")
    words = ["extract", "--input", str(tmp_path / "clips"), "--out", str(tmp_path / "store")]
    options = ["--segments", "2", "--video-channels", "8", "--num-tokens", "5", "--shard-rows", "2"]
    assert main([*words, *options, "--workers", "2"]) == 0
    assert "3 clips are in" in (printed := capsys.readouterr().out)
    assert "1 failed, see" in printed
    store = Store(tmp_path / "store")
    assert {name: field.shape for name, field in store.fields.items()} == {
        "audio": (2, 128),
        "video": (2, 7, 7, 8),
        "text": (5, 64),
    }
    store.close()
    assert main([*words, *options, "--text-dim", "8"]) == 2
    assert "differs in" in capsys.readouterr().err


def test_the_sound_of_video_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(2):
        sound = media.tone(1.0, hertz=200 * (1 + number))
        media.write_video(tmp_path / f"clips/{number}.mp4", media.pictures(8), 8, sound)
    words = ["extract", "--input", str(tmp_path / "clips"), "--out", str(tmp_path / "store")]
    options = ["--segments", "1", "--audio", "log_mel", "--video", "none"]
    assert main([*words, *options]) == 0
    assert "is left out" not in capsys.readouterr().out
    store = Store(tmp_path / "store")
    assert list(store.fields) == ["audio"]
    assert np.abs(np.subtract(*store.read("audio", [0, 1]))).max() > 0.5
    store.close()
    words = ["extract", "--input", str(tmp_path / "clips"), "--out", str(tmp_path / "pictures")]
    assert main([*words, "--segments", "1", "--video-channels", "8"]) == 0
    assert "the sound of videos is left out; --audio log_mel extracts it" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--audio", "vggish"], "`weights` must name a file of VGGish weights"),
        (["--audio", "nothing"], "`audio` must be one of"),
        (["--text-preset", "bert_base"], "`--text-preset` must belong to an extractor in use"),
        (["--audio", "none"], "must hold clips of a chosen modality"),
        (["--workers", "0"], "`workers` must be at least 1"),
        (["--timeout", "0"], "`timeout` must be above 0"),
        (["--shard-rows", "0"], "`shard_rows` must be at least 1"),
        (["--segments", "0"], "`segments` must be at least 1. Received: 0"),
        (["--video-option", "side=8"], "`--video-option` must belong to an extractor in use"),
        (["--fitted", "."], "`fitted` must be a finished extraction, with schema.json in it"),
        (["--frobnicate", "1"], "unknown arguments: --frobnicate 1"),
    ],
)
def test_mistakes_are_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], message: str
) -> None:
    media.write_sound(tmp_path / "clips/a.wav")
    words = ["extract", "--input", str(tmp_path / "clips"), "--out", str(tmp_path / "store")]
    assert main([*words, *options]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "store").exists()


def test_unknown_options_of_other_commands_are_refused(tmp_path: Path) -> None:
    with pytest.raises(SystemExit):
        main(["verify", str(tmp_path), "--frobnicate"])


def test_an_extraction_of_nothing_is_a_failure_and_leaves_no_plan(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "clips").mkdir()
    (tmp_path / "clips/a.wav").touch()
    words = ["extract", "--input", str(tmp_path / "clips"), "--out", str(tmp_path / "store")]
    assert main(words) == 2
    assert "no clip of 1 could be decoded to learn features from" in capsys.readouterr().err
    assert not (tmp_path / "store").exists()
    (tmp_path / "clips.csv").write_text("id,caption\na,\n")
    words = ["extract", "--input", str(tmp_path / "clips.csv"), "--text", "words"]
    assert main([*words, "--out", str(tmp_path / "empty")]) == 1
    assert "0 clips are in" in capsys.readouterr().out
