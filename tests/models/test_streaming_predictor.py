"""Frames with times in, action scores of boxes out: the grid, the start, gaps, and agreement with clip inference."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
import torch

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.interfaces import ActionModel, ActionStream
from sf_detect.models.predictor import ActionPredictor, Preprocessing
from sf_detect.models.slowfast import SlowFast
from sf_detect.models.streaming_predictor import StreamingPredictor, TimeGrid
from sf_detect.structures import ClipSpec, Detections, Frame
from sf_detect.video.clip_buffer import ClipBuffer, resize_short_side
from synthetic_video import index_image

SPEC = ClipSpec(8, 2, Fraction(30), keyframe="last")
PLAIN = Preprocessing(24, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), slow_index=(3, 7))
LABELS = ("a", "b", "c")
PERSONS = Detections(np.array([[4, 4, 30, 40], [20, 8, 60, 44]]), np.array([0.9, 0.8]))


def network(causal: bool = True, **options) -> SlowFast:
    torch.manual_seed(0)
    made = SlowFast(3, depth=(1, 1, 1, 1), width=8, slow_frames=2, head="roi", causal=causal, **options).eval()
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
        elif isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=0.3)
    return made


def streaming(made: SlowFast | None = None, preprocessing: Preprocessing = PLAIN, **options) -> StreamingPredictor:
    return StreamingPredictor(made or network(), SPEC, LABELS, preprocessing, resize_short_side, **options)


def frames(pts, size=(64, 48)) -> list[Frame]:
    return [Frame(index_image(i, size), i, float(t)) for i, t in enumerate(pts)]


def chosen(grid: TimeGrid, pts) -> list[int]:
    return [f.index for frame in frames(pts) for f in grid.push(frame)]


def test_a_model_opens_streams_with_states_of_their_own():
    model = ActionPredictor(network(), SPEC, LABELS, PLAIN, resize=resize_short_side, name="n", thresholds=(0.1,) * 3)
    assert isinstance(model, ActionModel)
    assert not isinstance(streaming(), ActionModel)
    one, other = model.open_stream(), model.open_stream()
    assert isinstance(one, ActionStream)
    assert one.spec == model.spec
    for frame in frames(np.arange(30) / 30):
        one.push(frame)
    with pytest.raises(ConfigError, match="no scores before the first"):
        other.score(PERSONS, 1.0, (48, 64))
    assert one.score(PERSONS, 1.0, (48, 64)).seen_until == pytest.approx(28 / 30)


def test_a_model_without_a_resize_has_no_stream():
    with pytest.raises(ConfigError, match=r"n was built without a way to resize.*build_predictor"):
        ActionPredictor(network(), SPEC, LABELS, PLAIN, name="n").open_stream()


@pytest.mark.parametrize("fps", [15, 25, 30, 60, Fraction(30000, 1001)])
def test_the_grid_chooses_the_frames_that_clips_are_cut_from(fps):
    pts = np.arange(50) / float(fps) + 7.0
    buffer = ClipBuffer(ClipSpec(8, 2, Fraction(30), keyframe="last"), 48)
    keyframe = 7.0 + SPEC.interval * 9
    buffer.expect(keyframe)
    for frame in frames(pts):
        buffer.push(frame)
    got = chosen(TimeGrid(SPEC.interval, 10.0), pts)
    clip = buffer.clip(keyframe, Detections.empty(), (48, 64))
    assert [pts[i] for i in got[2:10]] == clip.pts.tolist()


def test_the_grid_follows_variable_rate_and_fills_short_gaps_with_the_nearest_frame():
    assert chosen(TimeGrid(0.1, 1.0), [0.0, 0.1, 0.2, 0.6, 0.7]) == [0, 1, 2, 2, 2, 3, 3, 4]


def test_a_tie_goes_to_the_earlier_frame():
    assert chosen(TimeGrid(0.5, 10.0), [0.0, 0.25, 0.75, 1.0]) == [0, 1, 3]


def test_the_grid_does_not_drift():
    pts = np.arange(0, 3600 * 25, 2500) / 25
    grid = TimeGrid(0.04, 200.0)
    assert sum(len(list(grid.push(frame))) for frame in frames(pts)) == 3600 * 25 - 2499


@pytest.mark.parametrize("pts", [[0.0, 0.1, 1.7], [5.0, 5.1, 0.0], [5.0, 5.1, 5.1]])
def test_a_long_gap_and_a_step_back_begin_a_new_stream(pts):
    model = streaming()
    for frame in frames(pts):
        model.push(frame)
    assert model.resets == 2
    fresh = streaming()
    fresh.push(frames(pts)[-1])
    assert np.array_equal(model.score(PERSONS, 1.0, (48, 64)).scores, fresh.score(PERSONS, 1.0, (48, 64)).scores)


def test_one_frame_a_second_is_one_stream():
    model = streaming()
    for frame in frames([0.0, 1.0, 2.0, 3.0]):
        model.push(frame)
    assert model.resets == 1


def test_another_picture_size_begins_a_new_stream():
    model = streaming()
    model.push(frames([0.0])[0])
    model.push(frames([0.0, 0.1], (48, 64))[1])
    assert model.resets == 2
    assert model.score(PERSONS, 0.1, (64, 48)).scores.shape == (2, 3)


@pytest.mark.parametrize("size", [(64, 48), (48, 64), (24, 24)])
def test_the_first_scores_are_those_of_clip_inference(size):
    made, frame = network(), frames([3.0], size)[0]
    buffer = ClipBuffer(SPEC, PLAIN.short_side)
    buffer.push(frame)
    buffer.expect(3.0)
    expected = ActionPredictor(made, SPEC, LABELS, PLAIN)([buffer.clip(3.0, PERSONS, frame.size)])[0]
    model = streaming(made)
    model.push(frame)
    found = model.score(PERSONS, 3.0, frame.size)
    assert found.pts == 3.0
    assert found.persons is PERSONS
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    assert np.ptp(found.scores) > 1e-3


def test_later_scores_are_those_of_the_network_over_the_whole_video():
    made = network()
    model, shown = streaming(made), frames(np.arange(35) / 30)
    for frame in shown:
        model.push(frame)
    grid = [shown[0]] * 7 + shown[::2]  # the video stands still for a window before it begins
    grid = grid[: len(grid) // 4 * 4]
    pixels = np.stack([resize_short_side(frame.image, 24) for frame in grid])
    fast = (torch.from_numpy(pixels).float() / 127.5 - 1).permute(3, 0, 1, 2)[None]
    boxes = torch.cat([torch.zeros(2, 1), torch.from_numpy(PERSONS.boxes) / 2], 1)
    with torch.inference_mode():
        slow, quick = made.features([fast[:, :, 3::4], fast])
        expected = made.head([slow[:, :, -2:], quick[:, :, -8:]], boxes).sigmoid()
    np.testing.assert_allclose(model.score(PERSONS, 1.0, (48, 64)).scores, expected.numpy(), atol=1e-4)


def test_nobody_gives_no_rows_even_before_the_first_frame():
    assert streaming().score(Detections.empty(), 0.0, (48, 64)).scores.shape == (0, 3)


def test_persons_before_the_first_frame_are_refused():
    with pytest.raises(ConfigError, match="no scores before the first slow step"):
        streaming().score(PERSONS, 0.0, (48, 64))


def test_reset_gives_the_first_scores_again():
    model, shown = streaming(activation="softmax"), frames(np.arange(20) / 30)
    rounds = []
    for _ in range(2):
        model.reset()
        for frame in shown:
            model.push(frame)
        rounds.append(model.score(PERSONS, 0.6, (48, 64)).scores)
    assert np.array_equal(*rounds)
    np.testing.assert_allclose(rounds[0].sum(1), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("causal", "slow_index", "exact"), [(True, (3, 7), True), (False, (3, 7), False), (True, (0, 7), False)]
)
def test_it_says_whether_it_is_exact(causal, slow_index, exact):
    preprocessing = Preprocessing(24, (0.5,) * 3, (0.5,) * 3, slow_index=slow_index)
    model = streaming(network(causal), preprocessing, name="mine")
    assert model.exact == exact
    assert (model.warning is None) == exact
    if not exact:
        assert model.warning.startswith("mine: streaming is an approximation")


def test_a_network_of_one_pathway_streams():
    made = network(pathways="slow")
    model = streaming(made, Preprocessing(24, (0.5,) * 3, (0.5,) * 3))
    for frame in frames(np.arange(9) / 30):
        model.push(frame)
    assert model.exact
    assert model.score(PERSONS, 0.3, (48, 64)).scores.shape == (2, 3)


def test_an_unknown_activation_is_refused():
    with pytest.raises(UnknownNameError, match="unknown activation 'tanh'"):
        streaming(activation="tanh")
