from pathlib import Path

import pytest

from sf_detect.data.media import Media, assemble
from sf_detect.errors import DataError
from sf_detect.labels import LabelMap


def touch(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def test_videos_and_folders_of_frames_at_any_depth(tmp_path):
    touch(tmp_path, "a/b.mp4", "a/c/d.WEBM", "e/f/f_000001.jpg", "e/f/f_000002.jpg", "notes.txt", ".part-x.mp4")
    media = Media([tmp_path])
    assert media.names() == ["b", "d", "f"]
    assert media.find("b") == tmp_path / "a" / "b.mp4"
    assert media.find("class/f") == tmp_path / "e" / "f"
    assert media.find("x") is None


def test_earlier_folders_and_frames_win(tmp_path):
    touch(tmp_path, "one/a.mp4", "two/a.mkv", "two/b.mkv", "two/b/b_1.png")
    media = Media([tmp_path / "absent", tmp_path / "one", tmp_path / "two"])
    assert media.find("a") == tmp_path / "one" / "a.mp4"
    assert media.find("b") == tmp_path / "two" / "b"


def test_messages():
    def make(missing):
        return assemble("x", "detection", [], LabelMap.of(["a"]), True, missing, Path("l.csv"), [Path("here")])

    with pytest.raises(DataError, match=r"none of its 4 videos \(a, b, c, \.\.\.\) was found below here"):
        make(["b", "a", "c", "d", "a"])
    with pytest.raises(DataError, match="holds no sample for these options"):
        make([])
