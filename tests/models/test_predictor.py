import numpy as np
import pytest
import torch
from torch import nn

from sf_detect.errors import UnknownNameError
from sf_detect.models.predictor import ActionPredictor, Preprocessing
from sf_detect.structures import Clip, ClipSpec, Detections

SPEC = ClipSpec(num_frames=8, sampling_rate=2)
PLAIN = Preprocessing(short_side=12, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5), slow_index=(3, 7))


def clip(persons: int = 1, size: tuple[int, int] = (12, 16), value: int = 255, image_size=(120, 160)) -> Clip:
    boxes = np.array([[10 * i, 0, 10 * i + 80, 60] for i in range(persons)], np.float32).reshape(-1, 4)
    frames = np.full((8, *size, 3), value, np.uint8)
    frames[:, :, :, 0] = np.arange(8)[:, None, None]
    return Clip(frames, np.arange(8) / 15, 0.5, Detections(boxes, np.full(persons, 0.9)), image_size)


class Recorder(nn.Module):
    """Scores each box by its batch index and remembers what it was given."""

    def forward(self, pathways, boxes=None):
        self.pathways, self.boxes, self.was_training = pathways, boxes, self.training
        return torch.stack([boxes[:, 0], boxes[:, 0] + 1, torch.zeros(len(boxes))], dim=1)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


def predictor(network: nn.Module, **options) -> ActionPredictor:
    return ActionPredictor(network, SPEC, ("a", "b", "c"), options.pop("preprocessing", PLAIN), **options)


def test_pathways_are_normalised_and_ordered_slow_first(recorder):
    predictor(recorder)([clip()])
    slow, fast = recorder.pathways
    assert slow.shape == (1, 3, 2, 12, 16)
    assert fast.shape == (1, 3, 8, 12, 16)
    assert fast.dtype == torch.float32
    assert torch.allclose(fast[0, 1], torch.ones(8, 12, 16))
    assert torch.allclose(slow[0, 0, :, 0, 0], (torch.tensor([3.0, 7.0]) / 255 - 0.5) / 0.5)
    assert not recorder.was_training


def test_bgr_networks_get_bgr(recorder):
    bgr = Preprocessing(12, (0.0, 0.0, 0.0), (1.0, 1.0, 1.0), bgr=True)
    predictor(recorder, preprocessing=bgr)([clip()])
    assert len(recorder.pathways) == 1
    assert recorder.pathways[0][0, 2, 7, 0, 0] == pytest.approx(7 / 255)


@pytest.mark.parametrize(("size", "expected"), [((8, 2000), (12, 48)), ((2000, 8), (48, 12))])
def test_a_picture_of_extreme_proportions_is_squeezed_and_its_boxes_with_it(recorder, size, expected):
    height, width = size
    box = np.array([[width / 4, height / 2, width / 2, height]], np.float32)
    shown = Clip(np.zeros((8, *size, 3), np.uint8), np.arange(8) / 15, 0.5, Detections(box, np.ones(1)), size)
    predictor(recorder)([shown])
    assert recorder.pathways[1].shape[-2:] == expected
    h, w = expected
    assert recorder.boxes[0, 1:].tolist() == [w / 4, h / 2, w / 2, h]


def test_networks_of_flow_are_shown_it_in_place_of_the_fast_frames(recorder):
    def flow(frames):
        assert frames.dtype == np.uint8
        assert frames.shape == (8, 12, 16, 3)  # resized already
        return np.stack([frames[..., 0], frames[..., 1]], -1).astype(np.float32)

    two = Preprocessing(12, (0.0,) * 3, (1.0,) * 3, bgr=True, slow_index=(0, 4), flow=flow)
    predictor(recorder, preprocessing=two)([clip(size=(24, 32)), clip(size=(24, 32))])
    rgb, shown = recorder.pathways
    assert rgb.shape == (2, 3, 2, 12, 16)
    assert shown.shape == (2, 2, 8, 12, 16)
    assert shown[1, 0, :, 0, 0].tolist() == list(range(8))  # from RGB, whatever the network's colour order
    predictor(recorder, preprocessing=Preprocessing(12, (0.0,) * 3, (1.0,) * 3, flow=flow))([clip()])
    assert [tuple(x.shape) for x in recorder.pathways] == [(1, 2, 8, 12, 16)]


def test_boxes_become_input_pixels_with_their_batch_index(recorder):
    predictor(recorder)([clip(2), clip(1)])
    assert recorder.boxes.tolist() == [[0, 0, 0, 8, 6], [0, 1, 0, 9, 6], [1, 0, 0, 8, 6]]


def test_boxes_are_cut_to_the_frame(recorder):
    outside = clip(1)
    outside.persons.boxes[0] = [-50, -50, 1000, 1000]
    predictor(recorder)([outside])
    assert recorder.boxes.tolist() == [[0, 0, 0, 16, 12]]


def test_scores_keep_clips_and_persons_apart(recorder):
    first, empty, second = predictor(recorder)([clip(2), clip(0), clip(1)])
    assert first.scores.shape == (2, 3)
    assert empty.scores.shape == (0, 3)
    assert np.allclose(second.scores, 1 / (1 + np.exp([[-1.0, -2.0, 0.0]])))
    assert second.pts == 0.5


def test_no_person_costs_no_inference(recorder):
    assert predictor(recorder)([clip(0)])[0].scores.shape == (0, 3)
    assert not hasattr(recorder, "pathways")
    assert predictor(recorder)([]) == []


def test_clips_of_different_sizes_do_not_share_a_batch(recorder):
    results = predictor(recorder)([clip(1), clip(1, size=(16, 12), image_size=(160, 120))])
    assert [r.scores.shape for r in results] == [(1, 3), (1, 3)]


def test_larger_frames_are_resized_to_the_short_side(recorder):
    predictor(recorder)([clip(1, size=(24, 32))])
    assert recorder.pathways[1].shape == (1, 3, 8, 12, 16)
    assert recorder.boxes.tolist() == [[0, 0, 0, 8, 6]]


def test_softmax_sums_to_one(recorder):
    assert predictor(recorder, activation="softmax")([clip(2)])[0].scores.sum(axis=1) == pytest.approx([1, 1])


def test_unknown_activation():
    with pytest.raises(UnknownNameError, match="unknown activation 'relu'"):
        predictor(Recorder(), activation="relu")


def test_ids_count_from_one_and_thresholds_have_a_default(recorder):
    model = predictor(recorder)
    assert model.spec.label_ids == (1, 2, 3)
    assert model.thresholds == (0.25, 0.25, 0.25)
