from dataclasses import replace

import numpy as np
import pytest

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.rendering import Renderer, RenderStyle
from sf_detect.rendering.renderer import status_line
from sf_detect.rendering.style import track_color
from sf_detect.structures import ActionDetections, Detections, Frame, FrameResult, Keypoints

LABELS = ("stand", "carry_hold", "talk to (e.g., self, a person, a group)", "Größe ändern", "走る", "")
SIZES = [(176, 144), (320, 240), (640, 480), (1920, 1080)]


def result(boxes, scores=None, ids="auto", size=(320, 240), pts=0.0, gray=120, actions_for=None):
    boxes = np.asarray(boxes, np.float32).reshape(-1, 4)
    ids = np.arange(1, len(boxes) + 1) if isinstance(ids, str) else ids
    persons = Detections(boxes, np.ones(len(boxes)), ids)
    if scores is None:
        scores = np.tile([0.9, 0.6, 0.1, 0.1, 0.1, 0.1], (len(boxes), 1))
    scored = persons if actions_for is None else actions_for
    image = np.full((size[1], size[0], 3), gray, np.uint8)
    actions = ActionDetections(pts, scored, np.asarray(scores, np.float32))
    return FrameResult(Frame(image, 0, pts), persons, actions, is_keyframe=True)


def crowd(size, count=12, seed=0):
    """Overlapping people, many cut by the frame's edges."""
    rng = np.random.default_rng(seed)
    width, height = size
    x, y = rng.uniform(0, width, count), rng.uniform(0.1, 1, count) * height
    h = rng.uniform(0.2, 0.7, count) * height
    boxes = np.stack([x - 0.2 * h, y - h / 2, x + 0.2 * h, y + h / 2], axis=1)
    return np.clip(boxes, 0, [width, height, width, height])


def changed(image, gray=120):
    return (image != gray).any(axis=2)


def quiet(**kwargs):
    return RenderStyle(show_status=False, **kwargs)


@pytest.mark.parametrize("size", [*SIZES, (1, 1), (7, 500), (500, 7), (33, 31)])
def test_makes_a_new_picture_of_the_same_size_at_any_size(size):
    item = result(crowd(size), size=size)
    before = item.frame.image.copy()
    image = Renderer(LABELS)(item)
    assert image.shape == before.shape
    assert image.dtype == np.uint8
    assert not np.shares_memory(image, item.frame.image)
    np.testing.assert_array_equal(item.frame.image, before)


def test_read_only_and_strided_frames_are_fine():
    base = np.full((240, 640, 3), 120, np.uint8)
    image = base[:, ::2]
    image.flags.writeable = False
    item = result([[50, 60, 120, 200]])
    drawn = Renderer(LABELS)(FrameResult(Frame(image, 0, 0.0), item.persons, item.actions))
    np.testing.assert_array_equal(drawn, Renderer(LABELS)(item))


def test_is_deterministic():
    items = [result(crowd((320, 240), seed=s)) for s in range(3)]
    first, second = Renderer(LABELS), Renderer(LABELS)
    for item in items:
        np.testing.assert_array_equal(first(item), second(item))


def test_outline_lies_on_the_box_in_the_colour_of_the_track():
    renderer = Renderer(LABELS, quiet(top_k=0, show_track_ids=False))
    image = renderer(result([[50.4, 60, 120, 200]], ids=[5]))
    columns, rows = np.flatnonzero(changed(image).any(axis=0)), np.flatnonzero(changed(image).any(axis=1))
    assert (columns[0], columns[-1], rows[0], rows[-1]) == (49, 120, 59, 200)  # with the 1 pixel dark edge around
    other = renderer(result([[50.4, 60, 120, 200]], ids=[6]))
    assert (image[60, 80] != other[60, 80]).any()


def test_same_track_has_the_same_colour_everywhere():
    renderer = Renderer(LABELS, quiet(show_track_ids=False))
    first = renderer(result([[50, 60, 120, 200], [200, 60, 250, 200]], ids=[5, 9]))
    second = renderer(result([[200, 60, 250, 200]], ids=[5]))
    np.testing.assert_array_equal(first[199, 70], second[199, 220])


def test_idle_persons_are_dimmer_and_have_no_plate():
    box = [[50, 60, 120, 200]]
    idle = np.full((1, 6), 0.1)
    active_area = changed(Renderer(LABELS, quiet())(result(box))).sum()
    image = Renderer(LABELS, quiet(show_track_ids=False))(result(box, idle))
    inner = changed(image)
    inner[59:201, 49:121] = False
    assert not inner.any(), "nothing but the box"
    assert changed(image).sum() < active_area
    tagged = changed(Renderer(LABELS, quiet())(result(box, idle)))
    assert inner.sum() < tagged.sum() < active_area
    nothing = Renderer(LABELS, quiet(hide_idle=True))(result(box, idle))
    assert not changed(nothing).any()


def shown(renderer, item):
    return [[renderer.labels[i] for i, _ in some] for some in renderer._best_of(item)]


def test_what_is_shown():
    scores = [[0.9, 0.35, 0.2, 0.5, 0.31, 0.1]]
    item = result([[50, 60, 120, 200]], scores)
    cases = [
        (RenderStyle(), ["stand", LABELS[3], "carry_hold"]),
        (RenderStyle(top_k=1), ["stand"]),
        (RenderStyle(top_k=6), ["stand", LABELS[3], "carry_hold", LABELS[4]]),
        (RenderStyle(threshold=0.4), ["stand", LABELS[3]]),
        (RenderStyle(threshold=0.4, thresholds={"stand": 0.95, "carry_hold": 0.3}), [LABELS[3], "carry_hold"]),
        (RenderStyle(labels=["carry_hold"]), ["carry_hold"]),
        (RenderStyle(labels=[]), []),
        (RenderStyle(hide_labels=["stand"]), [LABELS[3], "carry_hold", LABELS[4]]),
    ]
    for style, expected in cases:
        assert shown(Renderer(LABELS, style), item) == [expected]


def test_thresholds_of_the_model_lose_against_the_users():
    item = result([[50, 60, 120, 200]], [[0.9, 0.35, 0.2, 0.5, 0.31, 0.1]])
    own = np.array([0.95, 0.5, 0.15, 0.9, 0.9, 0.9])
    assert shown(Renderer(LABELS, thresholds=own), item) == [[LABELS[2]]]
    assert shown(Renderer(LABELS, RenderStyle(threshold=0.6), thresholds=own), item) == [["stand"]]
    style = RenderStyle(thresholds={"stand": 0.2})
    assert shown(Renderer(LABELS, style, thresholds=own), item) == [["stand", LABELS[2]]]
    with pytest.raises(ConfigError, match=r"6 labels, but its thresholds have shape \(2,\)"):
        Renderer(LABELS, thresholds=[0.5, 0.5])


@pytest.mark.parametrize("option", [{"labels": ["carry hold"]}, {"hide_labels": ["stnd"]}, {"thresholds": {"x": 0.1}}])
def test_unknown_labels_are_refused(option):
    with pytest.raises(UnknownNameError, match="unknown label"):
        Renderer(LABELS, RenderStyle(**option))


def test_unknown_label_suggests_the_close_one():
    with pytest.raises(UnknownNameError, match="Did you mean 'carry_hold'"):
        Renderer(LABELS, RenderStyle(labels=["carry hold"]))


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ({"top_k": -1}, "top_k is 0 or more, got -1"),
        ({"threshold": 1.5}, "threshold is between 0 and 1, got 1.5"),
        ({"thresholds": {"a": -0.1}}, "the threshold of .a. is between 0 and 1, got -0.1"),
        ({"anonymise": "face"}, "anonymise is one of head, person or None, got 'face'"),
        ({"font_scale": 0}, "font_scale is between 0.2 and 5, got 0"),
        ({"box_thickness": 0}, "box_thickness is a positive number"),
    ],
)
def test_bad_styles(option, message):
    with pytest.raises(ConfigError, match=message):
        RenderStyle(**option)


def test_a_font_that_is_none(tmp_path):
    (tmp_path / "a.ttf").write_text("no font")
    with pytest.raises(ConfigError, match=r"the font '.*a\.ttf' cannot be read"):
        Renderer(LABELS, RenderStyle(font=tmp_path / "a.ttf"))


def test_results_of_another_model_are_refused():
    with pytest.raises(ConfigError, match="given 2 labels, but the result scores 6 classes"):
        Renderer(LABELS[:2])(result([[50, 60, 120, 200]]))


@pytest.mark.parametrize("label", [*LABELS, "\u202e\x00\n\t", "🤸 cartwheel", "x" * 500])
def test_any_label_can_be_drawn(label):
    image = Renderer([label], quiet())(result([[50, 60, 120, 200]], [[0.9]]))
    assert changed(image).any()


def test_odd_boxes_do_no_harm():
    boxes = [[-50, -50, -10, -10], [400, 300, 500, 500], [10, 10, 10, 10], [60, 50, 20, 10], [-1e6, -1e6, 1e6, 1e6]]
    Renderer(LABELS)(result(boxes))
    Renderer(LABELS, RenderStyle(anonymise="head"))(result(boxes))
    image = Renderer(LABELS, quiet(anonymise="person"))(result([[np.nan, 0, 10, 10], [0, 0, np.inf, 10]]))
    assert not changed(image).any()


def test_no_persons_and_no_actions():
    frame = Frame(np.full((240, 320, 3), 120, np.uint8), 0, 0.0)
    renderer = Renderer(LABELS, quiet())
    assert not changed(renderer(FrameResult(frame, Detections.empty()))).any()
    item = result([[50, 60, 120, 200]])
    assert changed(renderer(FrameResult(frame, item.persons, None))).any()


def test_hiding_scores_and_ids_makes_plates_smaller():
    item = result([[50, 60, 120, 200]], ids=[123])
    areas = [
        changed(Renderer(LABELS, quiet(**option))(item)).sum()
        for option in ({}, {"show_track_ids": False}, {"show_track_ids": False, "hide_scores": True})
    ]
    assert areas == sorted(areas, reverse=True)
    assert len(set(areas)) == 3


def test_font_scale_and_thickness():
    item = result([[50, 60, 120, 200]], size=(640, 480))
    small, large = (changed(Renderer(LABELS, quiet(font_scale=s))(item)).sum() for s in (1, 2))
    assert large > 1.5 * small
    thin, thick = (
        changed(Renderer(LABELS, quiet(box_thickness=t, top_k=0, show_track_ids=False))(item)).sum() for t in (1, 6)
    )
    assert thick > 3 * thin


def test_status_line():
    item = result([[50, 60, 120, 200]], pts=12.49)
    assert status_line(item) == "00:12.4  1 person"
    assert status_line(result([], np.zeros((0, 6)), pts=3725.0)) == "1:02:05.0  0 persons"
    frame = FrameResult(item.frame, Detections.empty())
    for status, visible in ((None, True), ("live 3 ms", True), ("", False)):
        drawn = changed(Renderer(LABELS)(frame, status))
        assert drawn.any() == visible
        assert not drawn[:200].any()
    assert not changed(Renderer(LABELS, quiet())(frame, "live")).any()


def test_long_status_stays_in_the_frame():
    frame = FrameResult(result([], np.zeros((0, 6))).frame, Detections.empty())
    columns = np.flatnonzero(changed(Renderer(LABELS)(frame, "word " * 100)).any(axis=0))
    assert columns[-1] < 200


def texture(size, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)


@pytest.mark.parametrize(("what", "height"), [("head", 35), ("person", 140)])
def test_anonymise_removes_the_detail(what, height):
    item = result([[50, 60, 120, 200]])
    image = texture((320, 240))
    noisy = FrameResult(Frame(image, 0, 0.0), item.persons, None)
    drawn = Renderer(LABELS, quiet(anonymise=what, show_track_ids=False))(noisy)
    region, before = drawn[64 : 60 + height, 55:115].astype(float), image[64 : 60 + height, 55:115].astype(float)
    assert region.std() < 0.15 * before.std()
    assert np.abs(np.diff(region, axis=1)).max() < 12, "no detail between neighbouring pixels"
    np.testing.assert_array_equal(drawn[:40], image[:40])
    np.testing.assert_array_equal(drawn[:, 160:], image[:, 160:])


def test_anonymise_hides_persons_that_are_not_drawn():
    item = result([[50, 60, 120, 200]])
    noisy = FrameResult(Frame(texture((320, 240)), 0, 0.0), item.persons, None)
    drawn = Renderer(LABELS, quiet(anonymise="person", hide_idle=True))(noisy)
    assert drawn[70:190, 60:110].std() < 15


def test_anonymise_keeps_few_values():
    """What is left of a person is a function of a handful of block means: other pictures give the same."""
    image = texture((320, 240))
    shuffled = image.copy()
    rng = np.random.default_rng(1)
    block = shuffled[80:90, 70:80].reshape(-1, 3)
    shuffled[80:90, 70:80] = rng.permutation(block).reshape(10, 10, 3)
    persons = Detections([[50, 60, 120, 200]], [1.0], [1])
    renderer = Renderer(LABELS, quiet(anonymise="person", show_track_ids=False))
    first, second = (renderer(FrameResult(Frame(i, 0, 0.0), persons)).astype(int) for i in (image, shuffled))
    assert np.abs(first - second).max() <= 8


def test_head_of_a_lying_person_is_hidden_wherever_it_is():
    persons = Detections([[40, 100, 200, 150]], [1.0], [1])
    image = texture((320, 240))
    renderer = Renderer(LABELS, quiet(anonymise="head", show_track_ids=False))
    drawn = renderer(FrameResult(Frame(image, 0, 0.0), persons))
    assert drawn[104:146, 46:194].std() < 20


@pytest.mark.parametrize("size", [(640, 480), (1280, 720), (1920, 1080)])
@pytest.mark.parametrize("background", [0, 40, 120, 255])
def test_a_box_without_a_label_stands_out_on_any_background(size, background):
    # Its line is as bright as the track's colour, on dark clothes too, and at least two pixels wide.
    item = result([[50, 60, 300, 400]], np.zeros((1, 6)), ids=[1], size=size, gray=background)
    image = Renderer(LABELS, quiet(show_track_ids=False))(item)
    line = (image[200, 45:75] == track_color(1)).all(axis=1)
    assert line.sum() >= 2


def test_a_label_has_the_colour_that_it_was_given():
    boxes = [[20, 60, 120, 220], [180, 60, 280, 220]]
    scores = [[0.9, 0.6, 0, 0, 0, 0], [0.6, 0.9, 0, 0, 0, 0]]
    image = Renderer(LABELS, quiet(colors={"stand": "#0102FE"}))(result(boxes, scores))
    painted = (image == (1, 2, 254)).all(axis=2)
    assert painted[:, :150].sum() > 100  # box and plate of the one who stands
    assert not painted[:, 150:].any()


@pytest.mark.parametrize("text", ["red", "#12345", "#1234567", "123456", ""])
def test_a_colour_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match=r"the colour of stand is #rrggbb, such as #ff8800"):
        RenderStyle(colors={"stand": text})


def test_a_colour_of_an_unknown_label_is_refused():
    with pytest.raises(UnknownNameError, match="Did you mean 'stand'"):
        Renderer(LABELS, RenderStyle(colors={"stant": "#112233"}))


def postures(boxes, scores, **options):
    """The labels that are printed: "stand" is a posture."""
    item = result(boxes, scores)
    renderer = Renderer(LABELS, quiet(**options), groups=("posture", *("action",) * 5))
    return renderer, item, [[LABELS[i] for i, _ in some] for some in renderer._best_of(item)]


def test_of_somebody_who_acts_no_posture_is_shown():
    boxes = [[10, 40, 100, 200], [150, 40, 240, 200]]
    _, _, names = postures(boxes, [[0.9, 0.4, 0, 0, 0, 0], [0.9, 0.2, 0, 0, 0, 0]])
    assert names == [["carry_hold"], ["stand"]]


def test_who_only_has_a_posture_is_drawn_as_idle():
    box, scores = [[60, 40, 160, 200]], [[0.9, 0, 0, 0, 0, 0]]
    renderer, item, _ = postures(box, scores, top_k=1)
    acting, _, _ = postures(box, [[0, 0.9, 0, 0, 0, 0]])
    corner = (slice(195, 200), slice(150, 160))
    assert changed(renderer(item)[corner]).sum() < changed(acting(result(box, [[0, 0.9, 0, 0, 0, 0]]))[corner]).sum()
    hidden, item, _ = postures(box, scores, hide_idle=True)
    assert not changed(hidden(item)).any()


def with_body(item, presence=0.9, confidence=0.9, head=(160, 80)):
    """Landmarks of everybody: a face of 20 pixels at `head`, shoulders 40 apart below it, the rest in a line."""
    count = len(item.persons)
    points = np.zeros((count, 33, 3), np.float32)
    points[..., 2] = confidence
    x, y = head
    points[:, :11, :2] = np.array([x, y]) + np.linspace(-10, 10, 11)[:, None]
    points[:, 11:, 0], points[:, 11:, 1] = x, y + np.linspace(30, 110, 22)
    points[:, 11:13, 0] = x - 20, x + 20
    body = Keypoints(points, np.zeros((count, 33, 3)), np.full(count, presence))
    return replace(item, persons=replace(item.persons, keypoints=body))


def test_a_skeleton_is_drawn_where_it_is_certain():
    item = result([[60, 40, 260, 230]], np.zeros((1, 6)))
    drawn = changed(Renderer(LABELS, quiet(skeleton=True))(with_body(item)))
    plain = changed(Renderer(LABELS, quiet())(with_body(item)))
    assert (drawn & ~plain)[105:200, 130:190].sum() > 100
    for unsure in (with_body(item, presence=0.4), with_body(item, confidence=0.4), item):
        np.testing.assert_array_equal(changed(Renderer(LABELS, quiet(skeleton=True))(unsure)), plain)


@pytest.mark.parametrize("head", [(-1e9, 40), (1e30, -1e30), (5000, 5000)])
def test_a_skeleton_beyond_the_frame_does_no_harm(head):
    item = with_body(result([[60, 40, 260, 230]], np.zeros((1, 6))), head=head)
    assert Renderer(LABELS, quiet(skeleton=True))(item).shape == item.frame.image.shape


def test_a_head_is_hidden_where_landmarks_show_it():
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3)).astype(np.uint8)
    item = replace(result([[60, 40, 200, 230]], np.zeros((1, 6))), frame=Frame(noise, 0, 0.0))
    renderer = Renderer(LABELS, quiet(anonymise="head", hide_idle=True))

    def hidden(some):
        return (renderer(some) != noise).any(axis=2)

    by_box = hidden(item)
    bending = hidden(with_body(item, head=(180, 150)))  # at the side of the box, half way down
    assert bending[135:163, 166:194].mean() > 0.95  # a pixel of noise may have the colour of its surroundings
    assert (bending & by_box).sum() == by_box.sum()  # and where a head would be
    upright = hidden(with_body(item, head=(130, 75)))
    assert upright[60:88, 116:144].mean() > 0.95
    assert upright.sum() < by_box.sum()
    for unsure in (
        with_body(item, presence=0.4),
        with_body(item, confidence=0.4),
        with_body(item, head=(290, 150)),  # outside the box
    ):
        np.testing.assert_array_equal(hidden(unsure), by_box)
