from fractions import Fraction

import numpy as np
import pytest

from sf_detect.structures import ClipSpec, Detections, Frame
from sf_detect.video.clip_buffer import ClipBuffer, nearest, resize_short_side

SPEC = ClipSpec(num_frames=8, sampling_rate=2)


def numbered(index: int, pts: float, size: tuple[int, int] = (8, 8)) -> Frame:
    return Frame(np.full((*size, 3), index % 256, np.uint8), index, pts)


def filled(rate: float, num_frames: int, spec: ClipSpec = SPEC) -> ClipBuffer:
    buffer = ClipBuffer(spec, short_side=8, history=100)
    for i in range(num_frames):
        buffer.push(numbered(i, i / rate))
    return buffer


def chosen(buffer: ClipBuffer, keyframe_pts: float) -> list[int]:
    clip = buffer.clip(keyframe_pts, Detections.empty(), (8, 8))
    return clip.frames[:, 0, 0, 0].tolist()


def test_published_indices_at_the_reference_rate():
    assert chosen(filled(30, 100), 40 / 30) == list(range(40 - 8, 40 + 8, 2))


@pytest.mark.parametrize("rate", [15, 24, 25, 30000 / 1001, 50, 60, 120])
def test_other_rates_cover_the_same_times(rate):
    clip = filled(rate, int(4 * rate)).clip(2.0, Detections.empty(), (8, 8))
    wanted = 2.0 + SPEC.offsets()
    assert np.abs(clip.pts - wanted).max() <= 0.5 / rate + 1e-6


def test_clamped_at_both_ends():
    buffer = filled(30, 10)
    assert chosen(buffer, 0.0) == [0, 0, 0, 0, 0, 2, 4, 6]
    assert chosen(buffer, 9 / 30) == [1, 3, 5, 7, 9, 9, 9, 9]


def test_a_single_frame_makes_a_clip():
    assert chosen(filled(30, 1), 0.0) == [0] * 8


def test_ready_once_no_later_frame_can_belong():
    buffer = ClipBuffer(SPEC, short_side=8)
    ready = []
    for i in range(12):
        buffer.push(numbered(i, i / 30))
        ready.append(buffer.ready(2 / 30))
    assert ready.index(True) == 2 + 6  # the last clip frame of keyframe 2 is 6 frames later


def test_causal_clip_is_ready_at_its_keyframe():
    buffer = filled(30, 20, ClipSpec(8, 2, Fraction(30), keyframe="last"))
    assert buffer.ready(19 / 30)
    assert chosen(buffer, 19 / 30) == list(range(5, 20, 2))


def test_memory_is_bounded():
    buffer = ClipBuffer(SPEC, short_side=4, history=0.5)
    for i in range(1000):
        buffer.push(numbered(i, i / 30))
    assert len(buffer) <= (0.5 + SPEC.duration) * 30 + 2


def test_empty_buffer():
    with pytest.raises(ValueError, match="push frames first"):
        ClipBuffer(SPEC, 8).clip(0.0, Detections.empty(), (8, 8))
    buffer = filled(30, 3)
    buffer.clear()
    assert len(buffer) == 0
    assert not buffer.ready(0.0)


@pytest.mark.parametrize(
    ("size", "expected"), [((480, 640), (128, 170)), ((640, 480), (170, 128)), ((1, 500), (128, 64000))]
)
def test_resize_short_side(size, expected):
    assert resize_short_side(np.zeros((*size, 3), np.uint8), 128).shape == (*expected, 3)


def test_nearest_breaks_ties_to_the_earlier_frame():
    assert nearest(np.array([0.0, 1.0, 2.0]), np.array([-5.0, 0.5, 0.51, 9.0])).tolist() == [0, 0, 1, 2]
