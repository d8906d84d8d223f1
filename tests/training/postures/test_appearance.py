"""The layer for persons' pictures: what is seen of footage and J-HMDB, how much each counts, what is learned."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch
from tiny_jhmdb import write_tiny_jhmdb

from sf_detect.data.jhmdb import JHMDB
from sf_detect.errors import DataError
from sf_detect.keypoints.appearance import AppearanceHead
from sf_detect.keypoints.network import POSTURES
from sf_detect.training.postures import appearance
from sf_detect.training.postures.appearance import JHMDB_MOMENTS, MOMENTS, VIEWS, AppearanceRecipe
from sf_detect.training.postures.examples import NONE, Examples
from sf_detect.training.postures.footage import Person, person_pictures
from synthetic_video import write_video

STILL = Person("media/a/one.png", "a", (10, 5, 40, 45), "stand", (), rights="licensed")
CLIP = Person("media/b/two.mp4", "b", (10, 8, 40, 44), "walk", (), 3, 0.2, 0.5, "licensed")
SIT = POSTURES.index("sit")


class Sides:
    """Features of a picture: mean of the left and of the right half of the box; counts how often it looks."""

    def __init__(self):
        self.looks = 0

    def __call__(self, image, box):
        self.looks += 1
        x1, y1, x2, y2 = np.round(box).astype(int).clip(0, max(image.shape))
        middle = (x1 + x2) // 2
        return np.array([image[y1:y2, x1:middle].mean(), image[y1:y2, middle:x2].mean()], np.float32)


@pytest.fixture
def root(tmp_path):
    """Footage with one picture, its left half dark, and one clip."""
    for folder in ("media/a", "media/b", "tracks"):
        (tmp_path / folder).mkdir(parents=True)
    image = np.full((48, 64, 3), 200, np.uint8)
    image[:, :25] = 50
    cv2.imwrite(str(tmp_path / STILL.file), image)
    write_video(tmp_path / CLIP.file, 20, 25, (64, 48))
    person = {"box": [10, 8, 40, 44], "track_id": 3}
    records = [{"frame": frame, "time": frame / 25, "persons": [person]} for frame in range(20)]
    (tmp_path / "tracks/b+two.jsonl").write_text("\n".join(map(json.dumps, records)))
    return tmp_path


def test_a_person_is_seen_as_they_are_mirrored_and_differently():
    image = np.full((48, 64, 3), 200, np.uint8)
    image[:, :25] = 50
    found = appearance.views(image, STILL.box, Sides(), np.random.default_rng(0))
    assert found.shape == (VIEWS, 2)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found[:2], [[50, 200], [200, 50]])
    assert found[2, 0] < found[2, 1]
    assert found[3, 0] > found[3, 1]  # the last is mirrored
    again = appearance.views(image, STILL.box, Sides(), np.random.default_rng(0))
    np.testing.assert_array_equal(found, again)


def test_views_from_fewer_pixels_show_the_same_person():
    image = np.full((480, 640, 3), 200, np.uint8)
    image[:, :250] = 50
    seen = []

    def features(picture, box):
        seen.append((picture.shape, box))
        return Sides()(picture, box)

    for seed in range(6):
        found = appearance.views(image, np.array(STILL.box) * 10, features, np.random.default_rng(seed))
        assert found[2, 0] < found[2, 1]
        assert found[3, 0] > found[3, 1]
    smaller = [box for shape, box in seen if shape != image.shape]
    assert 0 < len(smaller) < 12
    assert all(15 < max(box[2] - box[0], box[3] - box[1]) <= 81 for box in smaller)


def test_pictures_of_a_person_are_those_in_which_the_labels_hold(root):
    ((image, box),) = person_pictures(STILL, root, 3)
    assert image.shape == (48, 64, 3)
    assert box.tolist() == [10, 5, 40, 45]
    found = person_pictures(CLIP, root, 3)  # frames 4 to 12, of which the first and the last
    assert len(found) == 3
    assert [box.tolist() for _, box in found] == [[10, 8, 40, 44]] * 3
    assert len(person_pictures(CLIP, root, 50)) == 9


def test_footage_that_cannot_be_read_is_named(root):
    (root / STILL.file).write_bytes(b"no")
    with pytest.raises(DataError, match=r"one\.png.*cannot be read as a picture"):
        person_pictures(STILL, root, 3)
    with pytest.raises(DataError, match=r"b\+two\.jsonl.*has no track 4 at 0\.2 s"):
        person_pictures(replace(CLIP, track=4), root, 3)
    (root / "tracks/b+two.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"b\+two\.jsonl.*holds no tracks"):
        person_pictures(CLIP, root, 3)


def test_footage_is_looked_at_once(root, tmp_path):
    sides, folder = Sides(), tmp_path / "work"
    found = appearance.footage_features([STILL, CLIP], root, folder, sides)
    assert [found[p.name].shape for p in (STILL, CLIP)] == [(1, VIEWS, 2), (MOMENTS, VIEWS, 2)]
    assert (folder / f"appearance-{root.name}.npz").is_file()
    seen = sides.looks
    again = appearance.footage_features([CLIP], root, folder, pytest.fail)
    assert list(again) == [CLIP.name]
    np.testing.assert_array_equal(again[CLIP.name], found[CLIP.name])
    other = replace(STILL, box=(12, 5, 40, 45))
    appearance.footage_features([STILL, other], root, folder, sides)
    assert sides.looks == seen + VIEWS


def test_actors_are_looked_at_once(tmp_path):
    clips = JHMDB(write_tiny_jhmdb(tmp_path / "data")).split(1, "train")
    found = appearance.jhmdb_features(clips, tmp_path / "work", Sides())
    assert {name: array.shape for name, array in found.items()} == {
        clip.video_id: (len(JHMDB_MOMENTS), VIEWS, 2) for clip in clips
    }
    again = appearance.jhmdb_features(clips[:1], tmp_path / "work", pytest.fail)
    assert list(again) == [clips[0].video_id]


def gathered(people, clips, **changes):
    """Examples of people with two pictures each and of clips whose actors stand, then walk."""
    seen = {person.name: np.zeros((2, VIEWS, 3), np.float16) for person in people}
    actors = {clip.video_id: np.ones((4, VIEWS, 3), np.float16) for clip in clips}
    letters = dict.fromkeys(actors, "SWW")
    return appearance.appearance_examples(people, seen, clips, actors, letters, AppearanceRecipe(**changes))


@pytest.fixture
def clips(tmp_path):
    return JHMDB(write_tiny_jhmdb(tmp_path / "data")).split(1, "train")


def test_actors_count_as_much_as_the_recipe_says(clips):
    found = gathered([STILL, replace(CLIP, posture="unclear")], clips, jhmdb=0.25)
    assert found.features.shape == (2 * 2 * VIEWS + 4 * 4 * VIEWS, 3)
    assert found.weights.sum() == pytest.approx(1, abs=1e-5)
    assert found.weights[found.features[:, 0] == 1].sum() == pytest.approx(0.25, abs=1e-5)
    assert found.postures[: 4 * VIEWS].argmax(axis=1).tolist() == [0] * 2 * VIEWS + [NONE] * 2 * VIEWS
    of_one = found.postures[4 * VIEWS : 8 * VIEWS : VIEWS]
    assert [np.flatnonzero(row).tolist() for row in of_one] == [[0], *[[POSTURES.index("walk")]] * 3]


def test_many_people_of_a_source_and_those_who_are_none_count_less(clips):
    crowd = [replace(STILL, box=(x, 5, 40, 45)) for x in range(8)]
    found = gathered([*crowd, CLIP, replace(CLIP, source="c", rights="generated", start=1.0)], clips, most=2)
    each = found.weights[: 10 * 2 * VIEWS].reshape(10, -1).sum(axis=1)
    np.testing.assert_allclose(each / each[8], [*[0.5] * 8, 1, 0.4], rtol=1e-5)


@pytest.mark.parametrize("footage", [True, False])
def test_footage_or_actors_alone_make_examples(clips, footage):
    found = gathered([STILL], []) if footage else gathered([], clips)
    assert len(found.weights) == (2 * VIEWS if footage else 16 * VIEWS)
    assert found.weights.sum() == pytest.approx(1)


def made(count=200):
    """Examples of standing and sitting whose first feature tells which, in features of different sizes."""
    rng = np.random.default_rng(0)
    sits = rng.integers(2, size=count)
    x = rng.normal(0, 1, (count, 5)) * [0.3, 1, 5, 0.1, 0] + [3, 0, 20, 0, 1]
    x[:, 0] += 2 * sits
    answers = np.eye(NONE + 1, dtype=np.float32)[sits * SIT]
    weights = np.ones(count, np.float32)
    return Examples(x.astype(np.float16), answers, np.full(count, -1), weights, np.zeros(count, np.int64))


QUICK = AppearanceRecipe(share=0.6, layers=2, steps=60, batch=64, rate=0.05, dropout=0.1)
SHARES = [1 / 9] * 9


def test_the_layer_tells_two_classes_apart_from_features_as_they_are():
    examples = made()
    head = appearance.train_head(examples, QUICK, SHARES)
    np.testing.assert_allclose(head.picture, 0.6 * np.eye(9), rtol=1e-6)
    assert (head.weight.shape, head.bias.shape) == ((9, 5), (9,))
    said = np.stack([head(row) for row in examples.features.astype(np.float32)])
    assert (said.argmax(axis=1) == examples.postures.argmax(axis=1)).mean() > 0.97


def test_training_the_layer_leaves_the_state_of_torch_alone_and_hangs_on_the_seed():
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    one, same, other = (appearance.train_head(made(40), replace(QUICK, steps=3), SHARES, seed) for seed in (1, 1, 9))
    assert torch.rand(1) == expected
    np.testing.assert_array_equal(one.weight, same.weight)
    assert (one.weight != other.weight).any()


def opinions(body_right, count=90):
    """People who stand or sit, of whom pictures always know, and landmarks as often as stated, both half sure."""
    rng = np.random.default_rng(0)
    truth = np.array([0, SIT])[rng.integers(2, size=count)]
    said = np.where(rng.random(count) < body_right, truth, SIT - truth)
    body, picture = (np.log(0.05 + 0.55 * np.eye(9)[columns]) for columns in (said, truth))
    return appearance.Opinions(body, picture, truth, np.ones(count))


def right(head, found):
    joined = np.stack([head.joined(b, [p]) for b, p in zip(found.body, found.picture, strict=True)])
    return (joined[:, :9].argmax(axis=1) == found.postures).mean()


def test_joining_is_fitted_to_who_is_right():
    found = opinions(0.5)
    start = AppearanceHead.product(np.zeros((9, 5), np.float32), np.zeros(9, np.float32), 0.5)
    fitted = appearance.calibrated(start, found)
    assert right(start, found) < 0.7
    assert right(fitted, found) > 0.95
    np.testing.assert_array_equal(fitted.weight, start.weight)
    np.testing.assert_array_equal(start.picture, 0.5 * np.eye(9))


def test_a_large_penalty_leaves_joining_as_it_was():
    start = AppearanceHead.product(np.zeros((9, 5), np.float32), np.zeros(9, np.float32), 0.5)
    fitted = appearance.calibrated(start, opinions(0.5), penalty=1e4)
    np.testing.assert_allclose(fitted.body, start.body, atol=0.02)
    np.testing.assert_allclose(fitted.picture, start.picture, atol=0.02)
    np.testing.assert_allclose(fitted.offset, 0, atol=0.02)
