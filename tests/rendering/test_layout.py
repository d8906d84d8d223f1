"""Labels stay in the frame, off each other and where they were."""

import numpy as np
import pytest

from sf_detect.rendering.anonymise import head_boxes, hidden_regions
from sf_detect.rendering.layout import LabelLayout, LabelRequest

SIZE = (240, 320)
LEVELS = ((90, 40), (90, 24), (50, 20), (14, 14))


def place(layout, boxes, ids=None, sizes=LEVELS, reserved=(), size=SIZE):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    ids = list(range(len(boxes))) if ids is None else ids
    requests = [LabelRequest(i, ids[i], sizes) for i in range(len(boxes))]
    placed = layout.place(requests, boxes, head_boxes(boxes), reserved, size, gap=2)
    return [None if p is None else (p.x, p.y, p.x + sizes[p.level][0], p.y + sizes[p.level][1]) for p in placed]


def touch(a, b):
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


def crowd(seed, count=12):
    rng = np.random.default_rng(seed)
    x, y, h = rng.uniform(0, 320, count), rng.uniform(0, 240, count), rng.uniform(30, 200, count)
    boxes = np.stack([x - 0.2 * h, y - h / 2, x + 0.2 * h, y + h / 2], axis=1)
    return np.clip(boxes, 0, [320, 240, 320, 240])


@pytest.mark.parametrize("seed", range(20))
def test_labels_stay_in_the_frame_and_off_each_other(seed):
    reserved = [(6, 220, 120, 236)]
    rects = [rect for rect in place(LabelLayout(), crowd(seed), reserved=reserved) if rect is not None]
    assert len(rects) >= 10
    for i, rect in enumerate(rects):
        assert rect[0] >= 0
        assert rect[1] >= 0
        assert rect[2] <= 320
        assert rect[3] <= 240
        assert not any(touch(rect, other) for other in [*rects[:i], *reserved])


def test_a_free_person_has_the_richest_label_above_the_box():
    assert place(LabelLayout(), [[100, 100, 150, 200]]) == [(100, 58, 190, 98)]


def test_labels_slide_along_the_edge_of_the_frame():
    (rect,) = place(LabelLayout(), [[280, 100, 318, 200]])
    assert rect == (228, 58, 318, 98)


def test_at_the_top_of_the_frame_the_label_goes_beside():
    (rect,) = place(LabelLayout(), [[100, 2, 150, 200]])
    assert not touch(rect, (100, 2, 150, 200))
    assert rect[0] >= 150 or rect[2] <= 100


def test_a_person_that_fills_the_frame_is_labelled_inside_off_the_head():
    boxes = np.array([[0, 0, 320, 240]], np.float32)
    (rect,) = place(LabelLayout(), boxes)
    assert rect is not None
    assert not touch(rect, head_boxes(boxes)[0])


def test_labels_avoid_the_heads_of_others():
    boxes = np.array([[100, 100, 150, 220], [120, 60, 160, 180]], np.float32)
    rects = place(LabelLayout(), boxes)
    assert not touch(rects[0], head_boxes(boxes)[1])
    assert not touch(rects[1], head_boxes(boxes)[0])


def test_labels_stay_where_they_were_when_boxes_move():
    layout = LabelLayout()
    (first,) = place(layout, [[100, 60, 150, 200]])
    for step in range(1, 30):
        (rect,) = place(layout, [[100, 60 - step, 150, 200 - step]])
        if rect[3] > 60 - step:
            break  # no room above any more
    assert step > 10
    (after,) = place(layout, [[100, 60, 150, 200]])
    assert after != first, "it does not jump back as soon as there is room"
    layout.reset()
    assert place(layout, [[100, 60, 150, 200]]) == [first]


def test_one_pixel_of_jitter_moves_a_label_by_one_pixel():
    layout = LabelLayout()
    rng = np.random.default_rng(0)
    boxes = np.array([[40, 70, 80, 200], [110, 60, 160, 210], [170, 64, 220, 230], [230, 50, 290, 190]])
    before = place(layout, boxes)
    for _ in range(50):
        now = place(layout, boxes + rng.integers(-1, 2, boxes.shape))
        assert all(max(abs(a - b) for a, b in zip(r, s, strict=True)) <= 2 for r, s in zip(now, before, strict=True))


def test_older_tracks_choose_first_whatever_their_order():
    boxes = np.array([[100, 100, 150, 200], [104, 104, 154, 204]])
    forward = place(LabelLayout(), boxes, ids=[1, 2])
    backward = place(LabelLayout(), boxes[::-1], ids=[2, 1])
    assert forward == backward[::-1]


def test_a_label_larger_than_the_frame_is_left_out():
    assert place(LabelLayout(), [[0, 0, 30, 30]], sizes=((50, 20),), size=(32, 40)) == [None]
    assert LabelLayout().place([], np.zeros((0, 4)), np.zeros((0, 4)), [], SIZE, 2) == []


def test_heads_lie_in_their_regions_and_boxes():
    boxes = np.array([[0, 0, 40, 120], [0, 0, 100, 100], [0, 0, 200, 60]], np.float32)
    heads, hidden = head_boxes(boxes), hidden_regions(boxes, "head")
    assert (heads[:, :2] >= hidden[:, :2]).all()
    assert (heads[:, 2:] <= hidden[:, 2:]).all()
    assert (hidden_regions(boxes, "person")[:, 2:] >= boxes[:, 2:]).all()
    assert hidden[2, 3] >= 60
