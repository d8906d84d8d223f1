from fractions import Fraction

import numpy as np
import pytest

from sf_detect.interfaces import ClipSampler
from sf_detect.structures import ClipSpec, Detections, Frame
from sf_detect.video import clip_buffer
from sf_detect.video.clip_buffer import ClipBuffer, nearest, resize_short_side

SPEC = ClipSpec(num_frames=8, sampling_rate=2)


def numbered(index: int, pts: float, size: tuple[int, int] = (8, 8)) -> Frame:
    return Frame(np.full((*size, 3), index % 256, np.uint8), index, pts)


def filled(rate: float, num_frames: int, spec: ClipSpec = SPEC, keyframe: float | None = None) -> ClipBuffer:
    """A buffer after `num_frames`; the clip around `keyframe` was announced when that came."""
    buffer = ClipBuffer(spec, short_side=8)
    for i in range(num_frames):
        buffer.push(numbered(i, i / rate))
        if keyframe is not None and i / rate >= keyframe:
            buffer.expect(keyframe)
            keyframe = None
    return buffer


def clip_times(buffer: ClipBuffer, pts: list[float], keyframes: list[int], late: int = 0) -> dict[int, list[float]]:
    """Times of the frames of each keyframe's clip, cut `late` frames after it was ready."""
    times, open_keyframes = {}, []
    for i, seconds in enumerate(pts):
        buffer.push(numbered(i, seconds))
        if i in keyframes:
            buffer.expect(seconds)
            open_keyframes.append(i)
        while open_keyframes and buffer.ready(pts[open_keyframes[0]]) and i >= open_keyframes[0] + late:
            key = open_keyframes.pop(0)
            times[key] = buffer.clip(pts[key], Detections.empty(), (8, 8)).pts.tolist()
    times.update({key: buffer.clip(pts[key], Detections.empty(), (8, 8)).pts.tolist() for key in open_keyframes})
    return times


def all_kept(spec: ClipSpec, pts: list[float], keyframes: list[int]) -> dict[int, list[float]]:
    """What a buffer that drops nothing would choose."""
    every = np.array(pts)
    return {key: every[nearest(every, pts[key] + spec.offsets())].tolist() for key in keyframes}


def chosen(buffer: ClipBuffer, keyframe_pts: float) -> list[int]:
    clip = buffer.clip(keyframe_pts, Detections.empty(), (8, 8))
    return clip.frames[:, 0, 0, 0].tolist()


def test_published_indices_at_the_reference_rate():
    assert chosen(filled(30, 100, keyframe=40 / 30), 40 / 30) == list(range(40 - 8, 40 + 8, 2))


@pytest.mark.parametrize("rate", [15, 24, 25, 30000 / 1001, 50, 60, 120])
def test_other_rates_cover_the_same_times(rate):
    clip = filled(rate, int(4 * rate), keyframe=2.0).clip(2.0, Detections.empty(), (8, 8))
    wanted = 2.0 + SPEC.offsets()
    assert np.abs(clip.pts - wanted).max() <= 0.5 / rate + 1e-6


def test_clamped_at_both_ends():
    assert chosen(filled(30, 10, keyframe=0.0), 0.0) == [0, 0, 0, 0, 0, 2, 4, 6]
    assert chosen(filled(30, 10, keyframe=9 / 30), 9 / 30) == [1, 3, 5, 7, 9, 9, 9, 9]


def test_a_single_frame_makes_a_clip():
    assert chosen(filled(30, 1, keyframe=0.0), 0.0) == [0] * 8


def test_ready_once_no_later_frame_can_belong():
    buffer = ClipBuffer(SPEC, short_side=8)
    ready = []
    for i in range(12):
        buffer.push(numbered(i, i / 30))
        ready.append(buffer.ready(2 / 30))
    assert ready.index(True) == 2 + 6  # the last clip frame of keyframe 2 is 6 frames later


def test_causal_clip_is_ready_at_its_keyframe():
    buffer = filled(30, 20, ClipSpec(8, 2, Fraction(30), keyframe="last"), keyframe=19 / 30)
    assert buffer.ready(19 / 30)
    assert chosen(buffer, 19 / 30) == list(range(5, 20, 2))


SPECS = [SPEC, ClipSpec(32, 2), ClipSpec(8, 2, keyframe="last"), ClipSpec(5, 3, Fraction(24)), ClipSpec(1, 1)]


def irregular(seed: int) -> list[float]:
    """Times of about 15 to 60 frames a second with gaps of up to 5 s, as from a camera over a bad network."""
    random = np.random.default_rng(seed)
    steps = random.uniform(1 / 60, 1 / 15, 300)
    gaps = random.choice(300, 12, replace=False)
    steps[gaps] = random.uniform(0.2, 5.0, 12)
    return np.cumsum(steps).round(3).tolist()


GAP = [i / 30 for i in range(31)] + [1.0 + 2.4 + i / 30 for i in range(60)]
STREAMS = {
    "one frame every 4 s": ([4.0 * i for i in range(20)], [*range(20)]),
    "one frame a second": ([float(i) for i in range(40)], [*range(0, 40, 3)]),
    "a gap of 2.4 s": (GAP, [0, 15, 29, 30, 31, 32, 46, 61]),
    "a gap of an hour": ([*GAP[:31], *(t + 3600 for t in GAP[31:])], [0, 15, 29, 30, 31, 46]),
    "a keyframe every frame": ([i / 25 for i in range(100)], [*range(100)]),
    "a keyframe a minute": ([i / 5 for i in range(800)], [0, 300, 600]),
    "irregular 1": (irregular(1), [*range(0, 300, 7)]),
    "irregular 2": (irregular(2), [*range(0, 300, 20)]),
}


@pytest.mark.parametrize("late", [0, 40], ids=["at once", "late"])
@pytest.mark.parametrize("spec", SPECS, ids=repr)
@pytest.mark.parametrize("stream", STREAMS)
def test_clips_are_those_of_a_buffer_that_drops_nothing(stream, spec, late):
    pts, keyframes = STREAMS[stream]
    assert clip_times(ClipBuffer(spec, 8), pts, keyframes, late) == all_kept(spec, pts, keyframes)


def test_one_frame_every_4_s_stands_for_its_own_clip():
    assert clip_times(ClipBuffer(SPEC, 8), [0.0, 4.0, 8.0], [0, 1, 2])[1] == [4.0] * 8


def test_a_gap_takes_the_frames_before_it_not_those_behind():
    pts = [i / 30 for i in range(31)] + [3.4]
    assert clip_times(ClipBuffer(SPEC, 8), pts, [28], late=3)[28] == [pts[i] for i in (20, 22, 24, 26, 28, 30, 30, 30)]


def test_a_keyframe_that_is_announced_before_it_comes():
    pts = [i / 30 for i in range(60)]
    buffer = ClipBuffer(SPEC, 8)
    for i, seconds in enumerate(pts):
        buffer.push(numbered(i, seconds))
        if i == 10:
            buffer.expect(pts[30])
    assert chosen(buffer, pts[30]) == list(range(22, 38, 2))


def test_announcing_twice_changes_nothing():
    buffer = filled(30, 20, keyframe=0.5)
    before = len(buffer)
    buffer.expect(0.5)
    assert len(buffer) == before
    assert chosen(buffer, 0.5) == [*range(7, 20, 2), 19]


def test_a_new_shape_ends_clips_as_the_ends_of_a_video_do():
    buffer = ClipBuffer(SPEC, 8)
    for i in range(20):
        buffer.push(numbered(i, i / 30, (8, 8) if i < 12 else (8, 16)))
        if i in (10, 14):
            buffer.expect(i / 30)
        assert buffer.ready(10 / 30) == (i >= 12)  # the clip needs nothing of what comes behind
    assert chosen(buffer, 10 / 30) == [2, 4, 6, 8, 10, 11, 11, 11]
    assert chosen(buffer, 14 / 30) == [12, 12, 12, 12, 14, 16, 18, 19]


@pytest.mark.parametrize("stride", [0.0, 0.5, 60.0, 3600.0])
@pytest.mark.parametrize("rate", [30, 240, 2000])
def test_memory_is_bounded_by_frames_whatever_stride_and_rate(rate, stride):
    buffer, waiting, due, most = ClipBuffer(SPEC, short_side=4), [], 0.0, 0
    for i in range(2000):
        pts = i / rate
        buffer.push(numbered(i, pts, (4, 4)))
        if pts >= due:
            due = pts + stride
            buffer.expect(pts)
            waiting.append(pts)
        while waiting and buffer.ready(waiting[0]):
            clip = buffer.clip(waiting.pop(0), Detections.empty(), (4, 4))
            if clip.pts[0] > 0:
                assert np.abs(clip.pts - (clip.keyframe_pts + SPEC.offsets())).max() <= SPEC.interval / 4 + 0.5 / rate
        most = max(most, len(buffer)) if i % 20 == 0 else most
    assert most <= min(rate * SPEC.duration, 600) + 3


def test_memory_is_bounded_by_bytes(monkeypatch):
    monkeypatch.setattr(clip_buffer, "_MAX_BYTES", 64 * 8 * 8 * 3)
    buffer = ClipBuffer(SPEC, short_side=8)
    for i in range(1000):
        buffer.push(numbered(i, i / 1000))
    assert 16 < len(buffer) <= 32 + 2  # half a clip


def test_a_clip_that_is_cut_lets_its_frames_go():
    buffer = ClipBuffer(SPEC, short_side=8)
    buffer.push(numbered(0, 0.0))
    buffer.expect(0.0)
    for i in range(1, 100):
        buffer.push(numbered(i, float(i)))
    assert len(buffer) == 3
    chosen(buffer, 0.0)
    assert len(buffer) == 2


def test_it_is_a_clip_sampler():
    assert isinstance(ClipBuffer(SPEC, 8), ClipSampler)


def test_empty_buffer():
    with pytest.raises(ValueError, match="push frames first"):
        ClipBuffer(SPEC, 8).clip(0.0, Detections.empty(), (8, 8))


def test_a_clip_is_announced_and_handed_out_once():
    buffer = filled(30, 10, keyframe=0.2)
    chosen(buffer, 0.2)
    for keyframe in (0.2, 0.1):
        with pytest.raises(ValueError, match=r"no clip around 0\.[12]00 s is kept: call expect"):
            chosen(buffer, keyframe)


def test_recent_frames_are_those_that_a_keyframe_may_look_back_to():
    assert 9 <= len(filled(30, 100)) <= 10  # half a clip back, and one frame before that
    assert 15 <= len(filled(30, 100, ClipSpec(8, 2, keyframe="last"))) <= 16


def test_a_keyframe_announced_before_any_frame():
    buffer = ClipBuffer(SPEC, 8)
    buffer.expect(0.5)
    for i in range(40):
        buffer.push(numbered(i, i / 30))
    assert chosen(buffer, 0.5) == list(range(7, 23, 2))


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (128, 170)),
        ((640, 480), (170, 128)),
        ((1, 500), (128, 512)),
        ((2000, 8), (512, 128)),
        ((128, 2000), (128, 512)),
        ((270, 960), (128, 455)),
        ((128, 512), (128, 512)),
    ],
)
def test_resize_short_side(size, expected):
    assert resize_short_side(np.zeros((*size, 3), np.uint8), 128).shape == (*expected, 3)


def test_nearest_breaks_ties_to_the_earlier_frame():
    assert nearest(np.array([0.0, 1.0, 2.0]), np.array([-5.0, 0.5, 0.51, 9.0])).tolist() == [0, 0, 1, 2]
