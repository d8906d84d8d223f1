import numpy as np
import pytest
from tiny_jhmdb import FRAMES, write_tiny_jhmdb

from sf_detect.data.jhmdb import JHMDB, grouped_folds, read_frames
from sf_detect.errors import DataError
from synthetic_video import read_index


@pytest.fixture
def root(tmp_path):
    return write_tiny_jhmdb(tmp_path)


def test_reads_clips_labels_and_splits(root):
    data = JHMDB(root)
    assert data.labels == ["catch", "walk"]
    assert [clip.video_id for clip in data.split(1, "test")] == ["catch_003", "walk_003"]
    assert len(data.split(2, "train")) == 6
    clip = data.clips[0]
    assert (clip.label, clip.num_frames, clip.source) == (0, FRAMES, "film1_catch")
    np.testing.assert_array_equal(clip.boxes[3], [13, 8, 43, 44])


def test_reads_frames_in_order(root):
    frames = read_frames(JHMDB(root).clips[0], 64, 48)
    assert frames.shape == (FRAMES, 48, 64, 3)
    assert [read_index(frame) for frame in frames] == list(range(FRAMES))


def test_folds_keep_a_source_together(root):
    clips = JHMDB(root).clips
    folds = grouped_folds(clips, 2)
    assert folds[0] == folds[1]  # catch_001 and catch_002 come from one film
    assert set(folds[:3]) == {0, 1}


@pytest.mark.parametrize(("split", "side"), [(4, "train"), (1, "val")])
def test_refuses_an_unknown_split(root, split, side):
    with pytest.raises(DataError, match="splits 1, 2, 3"):
        JHMDB(root).split(split, side)


def test_missing_folder_is_named(tmp_path):
    with pytest.raises(DataError, match=r"boxes\.csv: does not exist; point the data root"):
        JHMDB(tmp_path)


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        ("boxes.csv", "catch_001,1,11,", "catch_001,1,left,", r"boxes\.csv:3: expected video_id,frame"),
        ("videos.csv", "catch_001,catch,0,", "catch_001,catch,zero,", r"videos\.csv:2: .*expected numbers"),
        ("videos.csv", "walk_001,walk", "walk_009,walk", r"videos\.csv:5: .*'walk_009'"),
    ],
)
def test_malformed_row_is_named(root, file, old, new, message):
    path = root / file
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(DataError, match=message):
        JHMDB(root)


def test_short_video_is_reported(root):
    path = root / "videos.csv"
    path.write_text(path.read_text().replace(f",0,{FRAMES},", ",0,40,").replace(f",25,{FRAMES}", ",25,40"))
    with pytest.raises(DataError, match="holds 12 frames, its annotation 40"):
        read_frames(JHMDB(root).clips[0], 64, 48)


def test_unreadable_video_is_reported(root):
    clip = JHMDB(root).clips[0]
    clip.path.write_text("no video")
    with pytest.raises(DataError, match="cannot be decoded"):
        read_frames(clip, 64, 48)
