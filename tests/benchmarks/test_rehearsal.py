import pytest

from benchmarks import rehearsal


def test_a_stopped_and_resumed_epoch_has_each_clip_once_and_leaves_nothing(tmp_path):
    found = rehearsal.run(clips=11, batch_size=2, rounds=3, folder=str(tmp_path))
    assert (found["clips_missing"], found["clips_repeated"]) == (0, 0)
    assert found["epoch_lowest_clips_per_second"] <= found["epoch_clips_per_second"]
    assert list(tmp_path.iterdir()) == []


def test_bad_arguments_are_named(tmp_path, monkeypatch):
    with pytest.raises(ValueError, match=r"`rounds` must be between 2 and .* 4. Received: 9"):
        rehearsal.run(clips=8, batch_size=2, rounds=9)
    usage = rehearsal.shutil._ntuple_diskusage(10**9, 10**9, 10**6)
    monkeypatch.setattr(rehearsal.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(ValueError, match=r"`folder` must be on a disk with .* GB free"):
        rehearsal.run(clips=8, batch_size=2, rounds=2, folder=str(tmp_path))
