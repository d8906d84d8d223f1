import pickle

import cv2
import numpy as np
import pytest

from sf_detect.data.datasets import build_dataset
from sf_detect.data.decoding import read_clip
from sf_detect.errors import ConfigError, DataError, UnknownNameError
from synthetic_video import index_image, read_index, write_video


def tube(label, first, count, left=0):
    boxes = np.array([[left + i, 24, 160, 120] for i in range(count)], np.uint16)
    return {"label": label, "sf": first, "ef": first + count, "boxes": boxes}


@pytest.fixture
def root(tmp_path):
    """A video with two persons and a folder of frames; lists in both of the styles that circulate."""
    annotation = {
        "Basketball/v_Basketball_g01_c01": {"annotations": [tube(0, 4, 9), tube(0, 8, 5, 32)], "numf": 20, "label": 0},
        "Biking/v_Biking_g01_c01": {"annotations": [tube(2, 0, 7)], "numf": 20, "label": 2},
        "Biking/v_Biking_g02_c01": {"annotations": [tube(2, 0, 7)], "numf": 20, "label": 2},
    }
    (tmp_path / "pyannot.pkl").write_bytes(pickle.dumps(annotation, 2))
    (tmp_path / "trainlist01.txt").write_text(
        "Basketball/v_Basketball_g01_c01.avi 1\nYoYo/v_YoYo_g01_c01.avi 101\nBiking/v_Biking_g02_c01.avi 3\n"
    )
    (tmp_path / "splitfiles").mkdir()
    (tmp_path / "splitfiles" / "testlist01.txt").write_text("Biking/v_Biking_g01_c01\n")
    (tmp_path / "videos" / "Basketball").mkdir(parents=True)
    write_video(tmp_path / "videos" / "Basketball" / "v_Basketball_g01_c01.avi", 20, 25, codec="mpeg4")
    frames = tmp_path / "rgb-images" / "Biking" / "v_Biking_g01_c01"
    frames.mkdir(parents=True)
    for index in range(20):
        cv2.imwrite(str(frames / f"{index + 1:05d}.png"), index_image(index))
    return tmp_path


def ucf(root, **options):
    return build_dataset("ucf24", {"root": str(root), **options})


def test_middles_of_tubes(root):
    data = ucf(root)
    assert (data.name, data.num_classes, data.multi_label) == ("UCF101-24 split 1 train", 24, False)
    assert data.missing == ("Biking/v_Biking_g02_c01",)
    first, second = data.samples
    np.testing.assert_allclose(first.boxes, [[4 / 320, 0.1, 164 / 320, 0.6], [32 / 320, 0.1, 192 / 320, 0.6]])
    assert first.labels == ((0,), (0,))
    assert [read_index(read_clip(s, np.array([s.keyframe]))[0]) for s in (first, second)] == [8, 10]


def test_every_annotated_frame(root):
    data = ucf(root, keyframes="every", stride=3)
    assert [len(sample.boxes) for sample in data.samples] == [1, 1, 2]
    assert [read_index(read_clip(s, np.array([s.keyframe]))[0]) for s in data.samples] == [4, 7, 10]


def test_folders_of_frames(root):
    (sample,) = ucf(root, split="test").samples
    assert sample.fps == 25
    assert read_index(read_clip(sample, np.array([sample.keyframe]))[0]) == 3


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (tube(24, 0, 3), "label 24"),
        ({"label": 0, "sf": 0, "ef": 3}, "KeyError.*boxes"),
        (tube(0, 0, 0), "with 0 boxes"),
    ],
)
def test_malformed_annotation_is_named(root, entry, message):
    (root / "pyannot.pkl").write_bytes(pickle.dumps({"a/b": {"annotations": [entry]}}))
    with pytest.raises(DataError, match=rf"pyannot\.pkl: expected video -> annotations.*{message}"):
        ucf(root)


def test_pickles_that_call_something_are_refused(root):
    (root / "pyannot.pkl").write_bytes(pickle.dumps({"a": print}))
    with pytest.raises(DataError, match=r"pyannot\.pkl: cannot be read: .*could run code"):
        ucf(root)


def test_what_is_missing_is_told(root):
    with pytest.raises(DataError, match=r"testlist02\.txt: does not exist; fetch the split lists"):
        ucf(root, split="test", number=2)
    (root / "pyannot.pkl").unlink()
    with pytest.raises(DataError, match=r"pyannot\.pkl: does not exist; fetch the corrected"):
        ucf(root)


def test_wrong_options(root):
    with pytest.raises(UnknownNameError, match="kind of keyframes"):
        ucf(root, keyframes="some")
    with pytest.raises(ConfigError, match="splits 1, 2, 3"):
        ucf(root, number=4)
    with pytest.raises(ConfigError, match="stride is"):
        ucf(root, stride=0)
