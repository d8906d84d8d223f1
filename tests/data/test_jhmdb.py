import numpy as np
import pytest
from tiny_jhmdb import FRAMES, write_tiny_jhmdb

from sf_detect.data.datasets import build_dataset
from sf_detect.data.decoding import read_clip
from sf_detect.data.jhmdb import JHMDB, grouped_folds, read_frames
from sf_detect.errors import ConfigError, DataError, UnknownNameError
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


def test_samples_have_the_actor_of_the_middle_frame(root):
    data = build_dataset("jhmdb", {"root": str(root), "split": "test"})
    assert (data.name, data.task, data.multi_label) == ("J-HMDB split 1 test", "detection", False)
    assert (data.class_names, data.class_ids, data.missing) == (("catch", "walk"), (1, 2), ())
    sample = data.samples[1]
    assert (sample.video_id, sample.labels) == ("walk_003", ((1,),))
    np.testing.assert_allclose(sample.boxes, [[16 / 64, 8 / 48, 46 / 64, 44 / 48]])
    assert read_index(read_clip(sample, np.array([sample.keyframe]))[0]) == FRAMES // 2


def test_numbers_of_the_data_set_become_columns_and_ids_that_count_from_1(root):
    """The list of J-HMDB counts from 0; another one, or a part of it, gives the same columns."""
    path = root / "videos.csv"
    text = path.read_text()
    for change in (lambda label: label + 1, lambda label: 7 * label + 3):
        header, *rows = text.splitlines()
        place = header.split(",").index("label")
        cells = [row.split(",") for row in rows]
        changed = [",".join([*c[:place], str(change(int(c[place]))), *c[place + 1 :]]) for c in cells]
        path.write_text("\n".join([header, *changed]) + "\n")
        data = build_dataset("jhmdb", {"root": str(root), "split": "test"})
        assert (data.class_ids, data.samples[1].labels) == ((1, 2), ((1,),))


def test_samples_of_every_frame(root):
    options = {"root": str(root), "keyframes": "every", "stride": 5, "number": 2}
    samples = build_dataset("jhmdb", options).samples[:3]
    assert [read_index(read_clip(s, np.array([s.keyframe]))[0]) for s in samples] == [0, 5, 10]


def test_missing_videos_are_told_and_all_missing_is_an_error(root):
    for path in sorted(root.glob("videos/*/*_003.mp4")):
        assert len(build_dataset("jhmdb", {"root": str(root), "split": "test"})) > 0
        path.unlink()
        missing = build_dataset("jhmdb", {"root": str(root), "number": 2}).missing
        assert path.stem in missing
    with pytest.raises(DataError, match=r"none of its 2 videos .catch_003, walk_003. was found below"):
        build_dataset("jhmdb", {"root": str(root), "split": "test"})


def test_refuses_unknown_keyframes_and_strides(root):
    with pytest.raises(UnknownNameError, match="'every'"):
        build_dataset("jhmdb", {"root": str(root), "keyframes": "evry"})
    with pytest.raises(ConfigError, match="stride is a positive number"):
        build_dataset("jhmdb", {"root": str(root), "stride": 0})


def test_sample_of_a_short_video_is_refused(root):
    path = root / "videos.csv"
    path.write_text(path.read_text().replace(f",0,{FRAMES},", ",0,40,").replace(f",25,{FRAMES}", ",25,40"))
    with pytest.raises(DataError, match="holds 12 frames, its annotation 40"):
        build_dataset("jhmdb", {"root": str(root)})
