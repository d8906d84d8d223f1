from fractions import Fraction

import cv2
import numpy as np
import pytest

from sf_detect.data.datasets import build_dataset
from sf_detect.data.decoding import read_clip
from sf_detect.errors import ConfigError, DataError, UnknownNameError
from synthetic_video import index_image, read_index, write_video

ROWS = """\
film1,0902,0.1,0.2,0.5,0.9,12,0
film1,0902,0.1,0.2,0.5,0.9,80,0
film1,0902,0.6,0.2,0.9,0.9,2,1
film1,0903,0.1,0.2,0.5,0.9,12,0
film2,0902,0.0,0.0,1.003,1.0,14,2
film2,0910
gone,0902,0.1,0.2,0.5,0.9,12,3
"""
PROPOSALS = """\
film1,0902,0.11,0.2,0.5,0.9,,0.95
film1,0902,0.3,0.3,0.4,0.4,,0.5
film1,0904,0.2,0.2,0.5,0.9,12,0.91
"""


@pytest.fixture
def root(tmp_path):
    """A video cut to start at 900 s, and a folder of 150 frames at 30 fps; a third film is missing."""
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val"):
        (tmp_path / "annotations" / f"ava_{split}_v2.2.csv").write_text(ROWS)
    (tmp_path / "annotations" / "ava_val_excluded_timestamps_v2.2.csv").write_text("film1,0903\n")
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "film1.mp4", 60, 10)
    frames = tmp_path / "frames" / "film2"
    frames.mkdir(parents=True)
    for index in range(70):
        cv2.imwrite(str(frames / f"film2_{index + 1:06d}.png"), index_image(index))
    return tmp_path


def ava(root, **options):
    return build_dataset("ava", {"root": str(root), **options})


def test_rows_become_persons_on_keyframes(root):
    data = ava(root)
    assert (data.name, data.task, data.multi_label, data.missing) == ("AVA 2.2 train", "detection", True, ("gone",))
    assert data.num_classes == 80
    assert [(s.video_id, s.keyframe) for s in data.samples] == [("film1", 902), ("film1", 903), ("film2", 902)]
    first = data.samples[0]
    np.testing.assert_allclose(first.boxes, [[0.1, 0.2, 0.5, 0.9], [0.6, 0.2, 0.9, 0.9]], atol=1e-6)
    assert [tuple(data.class_ids[c] for c in classes) for classes in first.labels] == [(12, 80), (2,)]
    assert data.samples[2].boxes[0, 2] == 1  # cut at the edge


def test_keyframes_lie_where_avas_clock_says(root):
    film1, _, film2 = ava(root).samples
    assert (film1.fps, film1.start_time, film2.fps) == (None, 900, Fraction(30))
    assert read_index(read_clip(film1, np.array([film1.keyframe]))[0]) == 20
    assert read_index(read_clip(film2, np.array([film2.keyframe]))[0]) == 60


def test_sixty_classes_leave_actions_out_and_keep_the_person(root):
    data = ava(root, classes="ava60")
    assert data.num_classes == 60
    assert [len(classes) for classes in data.samples[0].labels] == [2, 0]


def test_label_map_file(root, shared):
    data = ava(root, classes=str(shared / "ava" / "ava_action_list_v2.2_for_activitynet_2019.pbtxt"))
    assert data.num_classes == 60


def test_excluded_keyframes(root):
    assert [s.keyframe for s in ava(root, split="val").samples] == [902, 902]
    assert len(ava(root, split="val", exclude="")) == 3
    (root / "mine.csv").write_text("film1,902.0\nfilm2,0902\n")
    assert [s.keyframe for s in ava(root, split="val", exclude=str(root / "mine.csv")).samples] == [903]


def test_only_every_so_many_seconds(root):
    assert [s.keyframe for s in ava(root, every=2).samples] == [902, 902]


def test_proposals_replace_boxes_in_val(root):
    (root / "boxes.csv").write_text(PROPOSALS)
    data = ava(root, split="val", proposals=str(root / "boxes.csv"))
    assert [s.keyframe for s in data.samples] == [902, 904]
    np.testing.assert_allclose(data.samples[0].scores, [0.95])
    assert data.samples[0].labels == ((),)
    low = ava(root, split="val", proposals=str(root / "boxes.csv"), proposal_threshold=0.4)
    assert len(low.samples[0].boxes) == 2


def test_proposals_join_boxes_in_train(root):
    (root / "boxes.csv").write_text(PROPOSALS)
    first, second = ava(root, proposals=str(root / "boxes.csv")).samples[:2]
    np.testing.assert_allclose(first.scores, [1, 1, 0.95])
    assert first.labels[2] == ()
    assert second.scores is None


def test_older_version_and_named_files(root):
    text = (root / "annotations" / "ava_train_v2.2.csv").read_text()
    (root / "ava_train_v2.1.csv").write_text(text)
    assert ava(root, version="2.1").name == "AVA 2.1 train"
    media = str(root / "videos")
    assert ava(root, annotations=str(root / "ava_train_v2.1.csv"), media=media).missing == ("film2", "gone")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("film1,0902,0.1,0.2,0.5,0.9", "expected video,time,x1,y1,x2,y2,action.*got 6 cells"),
        ("film1,soon,0.1,0.2,0.5,0.9,12,0", "time is a number, got 'soon'"),
        ("film1,0902,0.1,0.2,nan,0.9,12,0", "x2 is a finite number, got 'nan'"),
        ("film1,0902,10,20,50,90,12,0", "lies outside the frame; expected shares"),
        ("film1,0902,0.1,0.2,0.5,0.9,81,0", "unknown action '81'"),
        ("film1,0902,0.5,0.2,0.1,0.9,12,0", "is not x1 <= x2"),
        ("film1,0902,0.1,0.2,0.5,0.9,tango,0", "unknown action 'tango'"),
    ],
)
def test_malformed_rows_are_named(root, row, message):
    path = root / "annotations" / "ava_train_v2.2.csv"
    path.write_text("film1,0902,0.1,0.2,0.5,0.9,12,0\n\n" + row + "\n")
    with pytest.raises(DataError, match=rf"ava_train_v2\.2\.csv:3: .*{message}"):
        ava(root)


def test_malformed_proposals_and_exclusions(root):
    (root / "boxes.csv").write_text("film1,0902,0.1,0.2,0.5,0.9,12\n")
    with pytest.raises(DataError, match=r"boxes\.csv:1: a proposal has 8 cells"):
        ava(root, proposals=str(root / "boxes.csv"))
    with pytest.raises(DataError, match=r"boxes\.csv:1: expected video,time"):
        ava(root, exclude=str(root / "boxes.csv"))


def test_what_is_missing_is_told(root, tmp_path):
    with pytest.raises(DataError, match=r"ava_test_v2\.2\.csv: does not exist; fetch the annotations"):
        ava(root, split="test")
    with pytest.raises(DataError, match=r"none of its 3 videos .* name their folder with the option 'media'"):
        ava(root, media=str(root / "annotations"))
    (root / "annotations" / "ava_train_v2.2.csv").write_text("film1,0902\n")
    with pytest.raises(DataError, match="holds no sample"):
        ava(root)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"version": "2.3"}, "version is one of 2.1, 2.2"),
        ({"split": "training"}, "split is one of"),
        ({"every": 0}, "every is a positive"),
        ({"every": "often"}, "dataset ava: every: "),
    ],
)
def test_wrong_options(root, options, message):
    with pytest.raises(ConfigError, match=message):
        ava(root, **options)


def test_unknown_names_are_suggested(root):
    with pytest.raises(UnknownNameError, match="Did you mean 'proposals'"):
        ava(root, proposal="x.csv")
    with pytest.raises(UnknownNameError, match=r"unknown dataset 'avva'\. Did you mean 'ava'"):
        build_dataset("avva", {})
    with pytest.raises(ConfigError, match="dataset ava needs the option 'root'"):
        build_dataset("ava", {})


def test_ava_kinetics(root):
    (root / "annotations" / "kinetics_train_v1.0.csv").write_text(
        "abc_-12,14.5,0.1,0.2,0.5,0.9,12,0\nwhole,1.2,0.1,0.2,0.5,0.9,14,0\nlost,3.5,0.1,0.2,0.5,0.9,14,0\n"
    )
    (root / "kinetics").mkdir()
    write_video(root / "kinetics" / "abc_-12_000012_000022.mp4", 50, 10)
    write_video(root / "kinetics" / "abc_-12_000030_000040.mp4", 50, 10)
    write_video(root / "kinetics" / "whole.mp4", 50, 10)
    data = build_dataset("ava_kinetics", {"root": str(root)})
    assert data.missing == ("gone", "lost")
    cut, whole = data.samples[-2:]
    assert read_index(read_clip(cut, np.array([cut.keyframe]))[0]) == 25
    assert read_index(read_clip(whole, np.array([whole.keyframe]))[0]) == 12
    only = build_dataset(
        "ava_kinetics", {"root": str(root), "annotations": [str(root / "annotations" / "kinetics_train_v1.0.csv")]}
    )
    assert len(only) == 2
    (root / "annotations" / "ava_train_excluded_timestamps_v2.2.csv").write_text("whole,1.2\n")
    assert [s.video_id for s in build_dataset("ava_kinetics", {"root": str(root)}).samples][-1] == "abc_-12"
    with pytest.raises(DataError, match=r"holds none of ava_test_v2\.2\.csv, kinetics_test_v1\.0\.csv"):
        build_dataset("ava_kinetics", {"root": str(root), "split": "test"})


@pytest.fixture
def mine(tmp_path):
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos" / "hall.mp4", 30, 10)
    (tmp_path / "labels.txt").write_text("wave\npick up\n")
    (tmp_path / "train.csv").write_text(
        "video_id,timestamp,x1,y1,x2,y2,action,person\n"
        "hall,1.000000,0.1,0.2,0.5,0.9,pick up,0\nhall,1.0,0.1,0.2,0.5,0.9,1,0\nhall,1.0,0.6,0.2,0.9,0.9,,1\n"
    )
    return tmp_path


def test_own_data(mine):
    data = build_dataset("custom", {"root": str(mine), "multi_label": False})
    assert (data.name, data.class_names, data.multi_label) == (f"{mine.name} train", ("wave", "pick up"), False)
    assert data.samples[0].labels == ((0, 1), ())
    assert read_index(read_clip(data.samples[0], np.array([1.0]))[0]) == 10


def test_own_data_names_unknown_actions(mine):
    path = mine / "train.csv"
    path.write_text(path.read_text().replace("pick up,0", "pickup,0"))
    with pytest.raises(DataError, match=r"train\.csv:2: unknown action 'pickup'. Did you mean 'pick up'"):
        build_dataset("custom", {"root": str(mine)})
    with pytest.raises(DataError, match=r"val\.csv: does not exist; see docs/train_your_own\.md"):
        build_dataset("custom", {"root": str(mine), "split": "val"})
    path.write_text(path.read_text().replace("0.9,1,0", "0.9,0,0").replace("pickup", "wave"))
    with pytest.raises(DataError, match=r"train\.csv:3: unknown action '0'.*Ids count from 1: add 1 to every id"):
        build_dataset("custom", {"root": str(mine)})
    (mine / "labels.txt").unlink()
    with pytest.raises(DataError, match=r"labels\.csv: does not exist; expected a list of the actions"):
        build_dataset("custom", {"root": str(mine)})
