"""The command line: what it prints, its exit codes, and that it stays free of engines."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_tools import FeatureFolder
from data_tools.__main__ import main, parser
from data_tools.store import Field, StoreWriter
from tests.helpers.published_layouts import write_flickrsound


def test_prepare_and_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "features")
    sizes = ["--train", "6", "--val", "2", "--test", "2", "--video-channels", "8"]
    assert main(["prepare", "synthetic", "--out", out, *sizes]) == 0
    assert f"features of synthetic are in {out}" in capsys.readouterr().out
    assert main(["verify", out]) == 0
    assert f"{out} is whole" in capsys.readouterr().out
    Path(out, "captions.txt").write_text("changed")
    assert main(["verify", out]) == 1
    assert "error: " in capsys.readouterr().err


def test_errors_are_one_line_and_exit_code_two(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, out = str(tmp_path), str(tmp_path / "features")
    words = ["prepare", "digits", "--root", root, "--out", out]
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: `root` must be a folder with")
    assert error.count("\n") == 1
    assert main([*words, "--debug"]) == 2
    shown = capsys.readouterr().err
    assert shown.startswith("Traceback (most recent call last):")
    assert shown.endswith(error)


def test_an_interrupt_has_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(arguments: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("data_tools.commands.verify.run", interrupt)
    assert main(["verify", "features"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_options_have_the_same_name_in_each_command() -> None:
    """What one command calls `--num-tokens`, no other calls `--tokens`."""
    (commands,) = (a for a in parser()._actions if isinstance(a.choices, dict))
    names: dict[str, set[str]] = {}
    for name, command in commands.choices.items():
        for action in command._actions:
            names.setdefault(action.dest, set()).add(name)
    assert names["debug"] == {"prepare", "extract", "pack", "verify"}
    assert names["option"] == {"prepare", "pack", "verify"}
    assert names["overwrite"] == {"prepare", "extract", "pack"}
    assert names["shard_rows"] == {"extract", "pack"}
    for shared in ("video_channels", "text_dim", "num_tokens", "seed"):
        assert names[shared] == {"prepare", "extract"}
    assert not {"tokens", "channels", "shards", "limit", "audio_road"} & set(names)


def test_options_of_a_data_set_must_be_known_and_not_taken(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["prepare", "synthetic", "--out", str(tmp_path / "features"), "--option"]
    assert main([*words, "colour=red"]) == 2
    assert "options of 'synthetic' must be known" in capsys.readouterr().err
    for word in ("seed=3", "num_clips=3", "num_tokens=3", "progress=true"):
        assert main([*words, word]) == 2
        assert f"must be an option of the data set. Received: {word!r}" in capsys.readouterr().err
    assert not (tmp_path / "features").exists()


def test_another_voice_is_left_out(digits_root: Path, tmp_path: Path) -> None:
    out = tmp_path / "features"
    words = ["prepare", "digits", "--root", str(digits_root), "--out", str(out)]
    words += [
        "--train",
        "4",
        "--val",
        "2",
        "--test",
        "2",
        "--video-channels",
        "8",
        "--split",
        "speaker",
    ]
    assert main([*words, "--option", "test_speaker=theo", "--option", "val_speaker=jackson"]) == 0
    expected = {"split": "speaker", "test_speaker": "theo", "val_speaker": "jackson"}
    assert FeatureFolder(out).manifest["options"] == expected


def test_help_and_unknown_words(capsys: pytest.CaptureFixture[str]) -> None:
    for words, code in ((["prepare", "--help"], 0), (["prepare", "letters", "--out", "x"], 2)):
        with pytest.raises(SystemExit) as stop:
            main(words)
        assert stop.value.code == code
    assert "data set" in capsys.readouterr().out


def test_preparing_needs_no_engine() -> None:
    code = (
        "import sys, data_tools, data_tools.__main__\n"
        "loaded = {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)\n"
        "sys.exit(f'imported: {loaded}' if loaded else 0)"
    )
    root = Path(__file__).parents[2]
    subprocess.run([sys.executable, "-c", code], check=True, cwd=root)


def test_published_sets_are_verified_and_cleaned(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_flickrsound(tmp_path)
    words = ["verify", "flickrsound", "--root", str(tmp_path)]
    assert main(words) == 0
    shown = capsys.readouterr().out
    assert "flickr.csv: 30 rows, sha256 " in shown
    assert "reference: test 30" in shown
    (tmp_path / "audio" / "7000003.zip").write_bytes(b"")
    clean = tmp_path / "clean.csv"
    assert main([*words, "--clean", str(clean)]) == 1
    shown = capsys.readouterr().out
    assert "7000003.zip must hold something. Received a file of 0 bytes" in shown
    assert f"written to {clean}" in shown
    assert len(clean.read_text().splitlines()) == 30
    # The empty file is there, which is all that is asked.
    assert main([*words, "--quick", "--option", "num_pairs=5"]) == 0
    assert "counts: " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["ave"], "`--root` must name the folder of 'ave'"),
        (["imagenet", "--root", "."], "`name` must be one of"),
        (["digits", "--root", "."], "is kept as a prepared folder: verify ., without"),
        (["somewhere", "--clean", "x"], "must come with `--root`"),
        (
            ["somewhere"],
            "`name` must be a prepared folder with manifest.json, a store with schema.json",
        ),
        (["ave", "--root", ".", "--option", "order"], "`--option` must be NAME=VALUE"),
        (["ave", "--root", ".", "--option", "colour=red"], "options of 'ave' must be known"),
        (["ave", "--root", "."], "must hold Annotations.txt"),
    ],
    ids=str,
)
def test_wrong_words_of_verify_are_named(
    words: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["verify", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_verify_reads_stores_and_names_what_is_neither(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with StoreWriter(tmp_path / "store", {"audio": Field((2,))}) as writer:
        writer.append("a", {"audio": np.ones(2)})
    assert main(["verify", str(tmp_path / "store")]) == 0
    assert "checksums: 1 rows of 1 shards as written" in capsys.readouterr().out
    (array,) = (tmp_path / "store").rglob("audio.npy")
    content = bytearray(array.read_bytes())
    content[-1] ^= 1
    array.write_bytes(content)
    assert main(["verify", str(tmp_path / "store")]) == 1
    assert "does not match its checksum" in capsys.readouterr().err
    assert main(["verify", "avee"]) == 2
    assert "Received: avee; did you mean ave with --root?" in capsys.readouterr().err
