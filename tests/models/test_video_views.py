"""The views of a video: when, where, and how many frames are kept."""

from __future__ import annotations

import weakref
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from fakes import FakeSource
from sf_detect.errors import ConfigError
from sf_detect.models.video_views import Cropper, Views, ViewSampler, clip_times, squares, whole_video_times
from sf_detect.structures import ClipSpec
from synthetic_video import read_index

SPEC = ClipSpec(4, 2, Fraction(10))  # four frames, 0.2 s apart
WHOLE = Cropper(48, 48, 1)


def indices(times, source):
    """The frame indices of each clip, from the pixels of its middle squares."""
    sampler = ViewSampler(times, WHOLE)
    clips = list(sampler(source, 0.1))
    assert all(clip.shape == (len(t), 1, 48, 48, 3) for clip, t in zip(clips, times, strict=True))
    return [[read_index(frame[0]) for frame in clip] for clip in clips], sampler.end


def square_source(num_frames=30, **options):
    return FakeSource(num_frames, size=(48, 48), **options)


@pytest.mark.parametrize(("text", "views"), [("4x1", Views(4, 1)), ("10x3", Views(10, 3))])
def test_views_from_text(text, views):
    assert Views.parse(text) == views
    assert str(views) == text


@pytest.mark.parametrize("text", ["4", "4x2", "0x1", "x", "4x1x1", "-1x1", "4X1", "9999x1"])
def test_views_that_do_not_exist(text):
    with pytest.raises(ConfigError, match="4x1"):
        Views.parse(text)


def test_clips_reach_from_the_start_to_the_end():
    times = clip_times(SPEC, 3, 2.8)
    assert [t[0] for t in times] == pytest.approx([0, 1, 2])
    assert times[-1][-1] == pytest.approx(2.6)
    assert clip_times(SPEC, 1, 2.8)[0][0] == pytest.approx(1)


@pytest.mark.parametrize("num_frames", [1, 3, 8, 9, 50, 301])
def test_a_clip_over_the_whole_video_takes_the_published_frames(num_frames):
    # PySlowFast's SSv2: of the parts between rounded borders, the middle rounded down.
    borders = [round((num_frames - 1) / 8 * i) for i in range(9)]
    published = [(a + b) // 2 for a, b in pairwise(borders)]
    times = whole_video_times(8, num_frames / 10, 0.1)
    ((found,), _) = indices(times, square_source(num_frames, fps=10))
    assert np.abs(np.subtract(found, published)).max() <= 1
    assert found == sorted(found)


def test_a_clip_over_a_video_of_no_length():
    assert whole_video_times(3, 0.0, 0.1)[0].tolist() == [0, 0, 0]


def test_a_short_video_has_fewer_clips():
    assert len(clip_times(SPEC, 10, 0.8)) == 1
    assert len(clip_times(SPEC, 10, 1.25)) == 3
    assert clip_times(SPEC, 10, 0.5)[0].tolist() == pytest.approx([0, 0.2, 0.4, 0.6])
    assert clip_times(SPEC, 10, 0.5, loop=True)[0].tolist() == pytest.approx([0, 0.2, 0.4, 0.1])
    assert clip_times(SPEC, 10, 0.0, loop=True)[0].tolist() == pytest.approx([0, 0.2, 0.4, 0.6])


def test_squares_lie_along_the_longer_side():
    assert squares(100, 200, 0.5, 3) == [(0, 25, 50), (75, 25, 50), (150, 25, 50)]
    assert squares(200, 100, 1.0, 3) == [(0, 0, 100), (0, 50, 100), (0, 100, 100)]
    assert squares(200, 100, 0.5, 1) == [(25, 75, 50)]
    assert squares(1, 3, 0.5, 1) == [(1, 0, 1)]


@pytest.mark.parametrize("size", [(10, 1), (1, 10), (7, 9), (500, 400)])
@pytest.mark.parametrize("count", [1, 3])
def test_cropper_gives_squares_of_one_size(size, count):
    image = np.full((*size, 3), 90, np.uint8)
    cut = Cropper(16, 14, count)(image)
    assert cut.shape == (count, 14, 14, 3)
    assert cut.dtype == np.uint8
    assert (cut == 90).all()


def test_cropper_cuts_the_right_place():
    image = np.repeat(np.repeat(np.arange(64, dtype=np.uint8)[None, :, None], 32, 0), 3, 2)
    left, middle, right = Cropper(32, 16, 3)(image)[:, 0, :, 0]
    assert left.tolist() == list(range(16))
    assert middle.tolist() == list(range(24, 40))
    assert right.tolist() == list(range(48, 64))


def test_the_nearest_frames_are_taken():
    found, end = indices(clip_times(SPEC, 2, 3.0), square_source(30, fps=10))
    assert found == [[0, 2, 4, 6], [22, 24, 26, 28]]
    assert end == pytest.approx(3.0)


def test_other_rates_give_the_same_moments():
    times = clip_times(SPEC, 2, 3.0)
    assert indices(times, square_source(90, fps=30))[0] == [[0, 6, 12, 18], [66, 72, 78, 84]]
    assert indices(times, square_source(9, fps=3))[0] == [[0, 1, 1, 2], [7, 7, 8, 8]]


def test_times_count_from_the_first_frame():
    source = square_source(pts=[5 + 0.1 * i for i in range(10)])
    assert indices(clip_times(SPEC, 1, 1.0), source)[0] == [[1, 3, 5, 7]]


def test_a_looped_video_starts_over():
    times = clip_times(SPEC, 4, 0.3, loop=True)
    assert indices(times, square_source(3, fps=10))[0] == [[0, 2, 1, 0]]


@pytest.mark.parametrize("loop", [True, False])
def test_a_single_frame_is_a_video(loop):
    found, end = indices(clip_times(SPEC, 4, 0.1, loop), square_source(1, fps=10))
    assert found == [[0, 0, 0, 0]]
    assert end == pytest.approx(0.1)


def test_what_a_wrong_duration_promised_is_the_last_frame():
    found, end = indices(clip_times(SPEC, 2, 30.0), square_source(10, fps=10))
    assert found == [[0, 2, 4, 6], [9, 9, 9, 9]]
    assert end == pytest.approx(1.0)


def test_clips_come_as_soon_as_they_are_complete_and_old_frames_go():
    seen: list[int] = []
    kept: list[weakref.ref[np.ndarray]] = []

    def frames():
        for frame in square_source(300, fps=10):
            seen.append(frame.index)
            yield frame

    def crop(image):
        cut = WHOLE(image)
        kept.append(weakref.ref(cut))
        return cut

    when, alive = [], []
    for _ in ViewSampler(clip_times(SPEC, 5, 30.0), crop)(frames(), 0.1):
        when.append(seen[-1])
        alive.append(sum(reference() is not None for reference in kept))
    assert when == [6, 79, 152, 225, 298]
    assert len(kept) == 20
    assert max(alive) <= SPEC.num_frames
    assert seen[-1] == 299


def test_nothing_comes_of_nothing():
    assert list(ViewSampler(clip_times(SPEC, 2, 1.0), WHOLE)(iter(()), 0.1)) == []
