from pathlib import Path

import pytest

from sf_detect.errors import DataError
from sf_detect.evaluation.video_names import file_stem, matched_files, matched_folders

PATH = Path("d.csv")


@pytest.mark.parametrize(
    ("found", "truth", "names"),
    [
        (["a/v", "b/v"], ["a/v", "b/v", "c/v"], {}),
        (["v", "w"], ["a/v", "b/w"], {"v": "a/v", "w": "b/w"}),
        (["x/a/v"], ["a/v", "b/v"], {"x/a/v": "a/v"}),
        (["a/v"], ["v"], {"a/v": "v"}),
        (["frames/v"], ["a/v"], {"frames/v": "a/v"}),
        (["a/v", "c/v"], ["a/v", "b/v"], {}),  # c/v is a video that the ground truth lacks
        (["v", "x"], ["a/v"], {"v": "a/v"}),
        ([], ["v"], {}),
    ],
)
def test_folders(found, truth, names):
    expected = {name: names.get(name, name) for name in found}
    assert matched_folders(PATH, found, truth) == expected


@pytest.mark.parametrize(
    ("found", "truth", "message"),
    [
        (["v"], ["b/v", "a/v"], r"d\.csv: video 'v' could be any of 2 in the ground truth: 'a/v', 'b/v'"),
        (["x/v"], ["b/v", "a/v"], "video 'x/v' could be any of 2"),
        (["a/v", "v"], ["a/v", "b/v"], "video 'v' could be any of 2"),
        (["a/v", "b/v"], ["v"], "videos 'a/v' and 'b/v' could both be 'v'"),
        (["a/v", "v"], ["a/v"], "videos 'a/v' and 'v' could both be 'a/v'"),
        (["w", "x"], ["a/v"], r"none of its 2 videos \(such as 'w'\) is in the ground truth \(such as 'a/v'\)"),
    ],
)
def test_names_that_could_be_several_videos(found, truth, message):
    with pytest.raises(DataError, match=message):
        matched_folders(PATH, found, truth)


def test_files():
    truth = {"a", "b.c", "d"}
    names = matched_files(PATH, ["/x/a.mp4", "b.c", "y\\d.webm", "/z/q.mp4"], truth)
    assert names == {"/x/a.mp4": "a", "b.c": "b.c", "y\\d.webm": "d", "/z/q.mp4": "q"}
    assert matched_files(PATH, ["x/b.c.mp4"], truth) == {"x/b.c.mp4": "b.c"}
    with pytest.raises(DataError, match=r"'x/a\.mp4' and 'y/a\.mp4' are both the video 'a'"):
        matched_files(PATH, ["x/a.mp4", "y/a.mp4"], truth)
    assert [file_stem(name) for name in ("a", ".a", "x/a.b.c", "x\\y.z")] == ["a", ".a", "a.b", "y"]
