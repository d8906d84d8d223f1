from fractions import Fraction

import numpy as np
import pytest

from sf_detect.structures import (
    ActionDetections,
    Clip,
    ClipSpec,
    Detections,
    Frame,
    Keypoints,
    LazyFrame,
    SourceStatus,
    VideoInfo,
    joined,
)


def test_published_clip_indices_at_the_reference_rate():
    # 32 x 2 around frame c at 30 fps: range(c - 32, c + 32, 2), the rule of the published AVA protocol.
    offsets = ClipSpec(num_frames=32, sampling_rate=2).offsets()
    assert np.round(offsets * 30).astype(int).tolist() == list(range(-32, 32, 2))


def test_odd_lengths_follow_the_published_rule():
    offsets = ClipSpec(num_frames=13, sampling_rate=3).offsets()
    assert np.round(offsets * 30).astype(int).tolist() == list(range(-19, 20, 3))


def test_causal_clip_ends_at_its_keyframe():
    spec = ClipSpec(num_frames=16, sampling_rate=2, fps=Fraction(25), keyframe="last")
    assert spec.offsets()[-1] == 0
    assert spec.offsets()[0] == pytest.approx(-15 * 2 / 25)
    assert spec.duration == pytest.approx(16 * 2 / 25)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_frames": 0, "sampling_rate": 2}, "num_frames must be positive, at most 4096; got 0"),
        ({"num_frames": 8, "sampling_rate": 0}, "sampling_rate must be positive, at most 4096; got 0"),
        ({"num_frames": 8, "sampling_rate": 2, "keyframe": "first"}, "keyframe is 'centre' or 'last', got 'first'"),
    ],
)
def test_clip_spec_refuses(arguments, message):
    with pytest.raises(ValueError, match=message):
        ClipSpec(**arguments)


def test_video_info_refuses_empty_pictures_and_rates():
    with pytest.raises(ValueError, match="frame size must be positive, got 0x4"):
        VideoInfo(0, 4)
    with pytest.raises(ValueError, match="fps must be positive or None, got 0"):
        VideoInfo(4, 4, fps=Fraction(0))


def test_frame_refuses_other_pictures():
    with pytest.raises(ValueError, match=r"shape \(H, W, 3\), got \(4, 4\)"):
        Frame(np.zeros((4, 4), np.uint8), 0, 0.0)
    with pytest.raises(ValueError, match="uint8, got float32"):
        Frame(np.zeros((4, 4, 3), np.float32), 0, 0.0)
    with pytest.raises(ValueError, match="not negative, got -1"):
        Frame(np.zeros((4, 4, 3), np.uint8), -1, 0.0)
    assert repr(Frame(np.zeros((4, 6, 3), np.uint8), 2, 0.5)) == "Frame(6x4, index=2, pts=0.500)"


def test_detections_convert_and_check():
    persons = Detections(np.array([[0, 1, 2, 3]]), np.array([0.5]), np.array([7]))
    assert persons.boxes.dtype == np.float32
    assert persons.track_ids is not None
    assert persons.track_ids.dtype == np.int64
    assert len(persons.select(np.array([False]))) == 0
    with pytest.raises(ValueError, match=r"boxes have shape \(N, 4\) with N=1"):
        Detections(np.zeros((2, 4)), np.zeros(1))
    with pytest.raises(ValueError, match="track_ids have shape"):
        Detections(np.zeros((1, 4)), np.zeros(1), np.zeros(2))
    assert len(Detections.empty()) == 0


def test_clip_and_action_shapes_are_checked():
    with pytest.raises(ValueError, match="clip frames are"):
        Clip(np.zeros((4, 4, 3), np.uint8), np.zeros(1), 0.0, Detections.empty(), (4, 4))
    with pytest.raises(ValueError, match="clip pts have shape"):
        Clip(np.zeros((2, 4, 4, 3), np.uint8), np.zeros(1), 0.0, Detections.empty(), (4, 4))
    with pytest.raises(ValueError, match=r"action scores have shape \(0, C\)"):
        ActionDetections(0.0, Detections.empty(), np.zeros((1, 3)))


def keypoints(*presences: float) -> Keypoints:
    """Persons whose every number is their presence."""
    values = np.array(presences, np.float32)
    return Keypoints(*(np.broadcast_to(values[:, None, None], (len(values), 33, 3)) for _ in range(2)), values)


def people(keypoints: Keypoints | None, first_id: int = 1) -> Detections:
    count = 2 if keypoints is None else len(keypoints)
    return Detections(np.zeros((count, 4)), np.zeros(count), first_id + np.arange(count), keypoints)


def test_keypoints_go_with_their_persons():
    some = people(keypoints(0.1, 0.2, 0.3)).select(np.array([2, 0]))
    assert some.keypoints is not None
    np.testing.assert_allclose(some.keypoints.points[:, 32, 2], [0.3, 0.1])
    np.testing.assert_allclose(some.keypoints.presence, [0.3, 0.1])
    assert repr(Keypoints.unknown(2)) == "Keypoints(n=2, known=0)"


def test_keypoints_are_as_many_as_the_persons():
    with pytest.raises(ValueError, match="keypoints are those of 2 persons, got 1"):
        Detections(np.zeros((2, 4)), np.zeros(2), None, keypoints(0.5))
    with pytest.raises(ValueError, match=r"points have shape \(1, 33, 3\), got \(1, 17, 3\)"):
        Keypoints(np.zeros((1, 17, 3)), np.zeros((1, 33, 3)), np.zeros(1))
    with pytest.raises(ValueError, match=r"presence has shape \(N,\), got \(1, 1\)"):
        Keypoints(np.zeros((1, 33, 3)), np.zeros((1, 33, 3)), np.zeros((1, 1)))


def test_keypoints_say_whether_they_were_seen_on_the_frame():
    assert keypoints(0.0, 0.2).looked.tolist() == [False, True]
    carried = Keypoints(*(np.zeros((2, 33, 3)) for _ in range(2)), np.array([0.1, 0.2]), np.array([False, True]))
    assert people(carried).select(np.array([1, 0])).keypoints.looked.tolist() == [True, False]
    assert joined(people(carried), people(keypoints(0.3))).keypoints.looked.tolist() == [False, True, True]
    with pytest.raises(ValueError, match=r"looked has shape \(2,\), got \(1,\)"):
        Keypoints(carried.points, carried.metres, carried.presence, np.array([True]))


def test_joined_persons_keep_keypoints_where_both_have_some():
    both = joined(people(keypoints(0.1)), people(keypoints(0.2, 0.3), first_id=5))
    assert both.track_ids is not None
    assert both.keypoints is not None
    assert both.track_ids.tolist() == [1, 5, 6]
    np.testing.assert_allclose(both.keypoints.presence, [0.1, 0.2, 0.3])
    assert joined(people(keypoints(0.1)), people(None)).keypoints is None


def test_lazy_frame_converts_once_and_only_when_looked_at():
    calls = []

    def convert():
        calls.append(1)
        return np.zeros((4, 6, 3), np.uint8)

    frame = LazyFrame(convert, (4, 6), 3, 1.5, arrival=9.0, starts_anew=True, damaged=True)
    assert (frame.size, frame.index, frame.pts, frame.arrival) == ((4, 6), 3, 1.5, 9.0)
    assert frame.starts_anew
    assert frame.damaged
    assert repr(frame) == "Frame(6x4, index=3, pts=1.500)"
    assert not calls
    assert frame.image is frame.image
    assert calls == [1]


def test_source_status_knows_its_states():
    assert SourceStatus("live", 0.0).drops == {}
    with pytest.raises(ValueError, match=r"a state is one of connecting, live, .*got 'dead'"):
        SourceStatus("dead", 0.0)
