"""Keyframes of a video on one picture."""

import numpy as np
import pytest
from PIL import Image

from sf_detect.errors import SinkError
from sf_detect.sinks import SheetSink
from sf_detect.structures import Detections, Frame, FrameResult


def result(index, keyframe=True, size=(48, 64)):
    frame = Frame(np.full((*size, 3), index % 256, np.uint8), index, index / 10)
    return FrameResult(frame, Detections.empty(), None, is_keyframe=keyframe)


def draw(sink, results):
    for one in results:
        sink.write(one)
    sink.close()
    return np.asarray(Image.open(sink.path))


def shown(page):
    """How many different greys of frames a sheet has, by its cells' middles."""
    return len(np.unique(page.reshape(-1, 3)[:, 0]))


@pytest.mark.parametrize("ending", [".png", ".jpg"])
def test_keyframes_are_drawn(tmp_path, ending):
    page = draw(SheetSink(tmp_path / f"s{ending}", "v", lambda one: one.frame.image), [result(i) for i in range(3)])
    assert page.shape[1] > 3 * 384
    assert [path.name for path in tmp_path.iterdir()] == [f"s{ending}"]


def test_a_long_video_keeps_evenly_spaced_keyframes_in_bounds(tmp_path):
    drawn = []
    sink = SheetSink(tmp_path / "s.png", "v", lambda one: drawn.append(one.frame.index) or one.frame.image, cells=4)
    for index in range(1000):
        sink.write(result(index))
        assert len(sink._cells) < 8
    sink.close()
    captions = [cell.caption for cell in sink._cells]
    times = [float(caption.split()[0]) for caption in captions]
    assert len(set(np.diff(times).round(3))) == 1, "evenly spaced"
    assert times[0] == 0.0
    assert times[-1] > 70


def test_frames_between_keyframes_are_not_drawn(tmp_path):
    drawn = []
    sink = SheetSink(tmp_path / "s.png", "v", lambda one: drawn.append(one.frame.index) or one.frame.image)
    draw(sink, [result(0), result(1, keyframe=False), result(2)])
    assert drawn == [0, 2]


def test_the_renderer_s_picture_is_shown(tmp_path):
    """Who is hidden in videos is hidden here."""
    page = draw(SheetSink(tmp_path / "s.png", "v", lambda one: np.full((48, 64, 3), 77, np.uint8)), [result(0)])
    assert (page == 77).all(axis=2).sum() > 48 * 64


def test_a_video_without_keyframes_gives_a_picture_too(tmp_path):
    assert draw(SheetSink(tmp_path / "s.png", "v", lambda one: one.frame.image), []).size


def test_a_closed_sheet_takes_nothing(tmp_path):
    sink = SheetSink(tmp_path / "s.png", "v", lambda one: one.frame.image)
    sink.close()
    sink.close()
    with pytest.raises(SinkError, match="closed and takes no more"):
        sink.write(result(0))


def test_a_folder_in_its_place(tmp_path):
    (tmp_path / "s.png").mkdir()
    with pytest.raises(SinkError, match=r"sheet: cannot write .*s.png"):
        SheetSink(tmp_path / "s.png", "v", lambda one: one.frame.image)


def test_a_full_disk(tmp_path):
    sink = SheetSink(tmp_path / "s.png", "v", lambda one: one.frame.image)
    sink._output.file.close()
    sink._output.file = _Full()
    with pytest.raises(SinkError, match="failed: No space left on device") as caught:
        sink.close()
    assert isinstance(caught.value.__cause__, OSError)
    assert list(tmp_path.iterdir()) == []


class _Full:
    closed = True

    def write(self, data):
        raise OSError(28, "No space left on device")

    def close(self):
        pass
