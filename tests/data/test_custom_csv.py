import numpy as np
import pytest

from sf_detect.data.custom_csv import append_rows, keyframe_times, own_videos, rows_of, videos_listed, write_labels
from sf_detect.errors import DataError
from sf_detect.labels import load_labels


def touch(root, *names):
    for name in names:
        (root / "videos" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / "videos" / name).touch()


def test_videos_with_the_action_of_their_folder(tmp_path):
    touch(tmp_path, "wave/a.mp4", "wave/b.mov", "clap/c.mp4", "d.mp4", "notes.txt")
    found = [(v.path.stem, v.action, v.split) for v in own_videos(tmp_path, 2)]
    assert found == [
        ("c", "clap", "train.csv"),
        ("d", "", "train.csv"),
        ("a", "wave", "train.csv"),
        ("b", "wave", "val.csv"),
    ]
    assert {v.split for v in own_videos(tmp_path, 0)} == {"train.csv"}


def test_no_videos_and_equal_names(tmp_path):
    with pytest.raises(DataError, match="holds no video; expected some"):
        own_videos(tmp_path, 5)
    touch(tmp_path, "wave/a.mp4", "clap/a.mp4")
    with pytest.raises(DataError, match="has the same name as"):
        own_videos(tmp_path, 5)


def test_times_keep_away_from_the_ends():
    np.testing.assert_allclose(keyframe_times(4.0, 1.0), [0.5, 1.5, 2.5, 3.5])
    np.testing.assert_allclose(keyframe_times(0.8, 1.0), [0.4])


def test_rows_are_added_and_never_lost(tmp_path):
    touch(tmp_path, "wave/a.mp4", "wave/b.mp4")
    a, b = own_videos(tmp_path, 2)
    assert videos_listed(tmp_path) == set()
    box = np.array([[8, 12, 64, 60]], np.float32)
    append_rows(tmp_path / "train.csv", rows_of(a, 0.5, box, [3], (48, 64)))
    assert (tmp_path / "train.csv").read_text().splitlines()[1] == "a,0.500,0.1250,0.2500,1.0000,1.0000,wave,3"
    edited = (tmp_path / "train.csv").read_text().replace("wave", "clap").rstrip("\n")
    (tmp_path / "train.csv").write_text(edited)
    append_rows(tmp_path / "train.csv", rows_of(b, 0.5, box, [1], (48, 64)))
    lines = (tmp_path / "train.csv").read_text().splitlines()
    assert (len(lines), lines[1].split(",")[6], lines[2].split(",")[6]) == (3, "clap", "wave")
    assert videos_listed(tmp_path) >= {"a", "b"}


def test_labels_count_from_one_and_stay(tmp_path):
    write_labels(tmp_path / "labels.csv", ["clap", "wave"])
    assert load_labels(tmp_path / "labels.csv").ids == (1, 2)
    write_labels(tmp_path / "labels.csv", ["other"])
    assert load_labels(tmp_path / "labels.csv").names == ("clap", "wave")
