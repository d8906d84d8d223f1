import csv
import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
from fake_landmarks import Standing

from sf_detect.errors import DataError
from sf_detect.labels import label_set, shown_names
from sf_detect.training.postures import footage
from synthetic_video import write_video

COLUMNS = [*("file", "source", "rights", "kind", "start", "end", "time"), *("x1", "y1", "x2", "y2")]
COLUMNS += ["track", "posture", "actions"]
STILL = {"file": "media/a/one.png", "source": "a", "rights": "licensed", "kind": "still"}
STILL |= {"x1": "10", "y1": "5", "x2": "40", "y2": "45", "posture": "stand", "actions": ""}
CLIP = STILL | {"file": "media/b/two.mp4", "kind": "clip", "start": "0.2", "end": "0.5", "time": "0.4", "track": "3"}
CLIP |= {"posture": "walk", "source": "b"}
ACTIONS = shown_names(label_set("jhmdb21").names)


def write(root, *rows):
    with (root / "labels.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    return root / "labels.csv"


@pytest.fixture
def root(tmp_path):
    (tmp_path / "media" / "a").mkdir(parents=True)
    (tmp_path / "media" / "b").mkdir()
    (tmp_path / "tracks").mkdir()
    cv2.imwrite(str(tmp_path / "media/a/one.png"), np.full((48, 64, 3), 90, np.uint8))
    write_video(tmp_path / "media/b/two.mp4", 20, 25, (64, 48))
    person = {"box": [10, 8, 40, 44], "track_id": 3}
    records = [{"frame": frame, "time": frame / 25, "persons": [person]} for frame in range(0, 20, 5)]
    (tmp_path / "tracks/b+two.jsonl").write_text("\n".join(map(json.dumps, records)))
    write(tmp_path, STILL, CLIP, STILL | {"rights": "third-party"})
    return tmp_path


def test_rows_with_other_rights_are_passed_over(root):
    people = footage.read_people(root / "labels.csv", ["licensed"])
    assert [(p.source, p.posture, p.track) for p in people] == [("a", "stand", None), ("b", "walk", 3)]


@pytest.mark.parametrize(
    "change", [{"posture": "float"}, {"x1": "left"}, {"kind": "clip", "track": "", "start": "0", "end": "1"}]
)
def test_a_row_that_is_no_person_is_named(root, change):
    write(root, STILL, STILL | change)
    with pytest.raises(DataError, match="labelled person") as caught:
        footage.read_people(root / "labels.csv", ["licensed"])
    assert ":3" in str(caught.value) or "line 3" in str(caught.value)


def test_a_missing_table_says_what_footage_is(tmp_path):
    with pytest.raises(DataError, match="null for none"):
        footage.read_people(tmp_path / "labels.csv", ["licensed"])


def test_pictures_are_looked_at_from_several_boxes_and_clips_along_the_track(root, tmp_path):
    people, network = footage.read_people(root / "labels.csv", ["licensed"]), Standing()
    looks = footage.footage_looks(people, root, tmp_path / "work", lambda: network, print)
    assert [len(looks[p.name]) for p in people] == [2 * footage.BOXES, 3]
    np.testing.assert_allclose(looks[people[1].name].times, [0, 0.2, 0.4])
    seen = network.looks
    footage.footage_looks(people, root, tmp_path / "work", pytest.fail, print)
    assert network.looks == seen


def test_examples_know_posture_and_that_who_walks_does_nothing_else(root, tmp_path):
    people = footage.read_people(root / "labels.csv", ["licensed"])
    looks = footage.footage_looks(people, root, tmp_path / "work", Standing, print)
    found = footage.footage_examples(people, looks, ACTIONS, 6, np.random.default_rng(0))
    np.testing.assert_array_equal(found.postures.argmax(axis=1), [0] * 6 + [1] * 6)
    assert found.actions.tolist() == [len(ACTIONS)] * 6 + [ACTIONS.index("walk")] * 6
    assert len(set(found.groups.tolist())) == 2


def test_one_action_of_a_clip_is_known_several_or_those_of_a_picture_are_not(root, tmp_path):
    people = footage.read_people(root / "labels.csv", ["licensed"])
    looks = footage.footage_looks(people, root, tmp_path / "work", Standing, print)
    for actions, of_the_clip in ((("wave",), ACTIONS.index("wave")), (("wave", "clap"), -1)):
        acting = [replace(person, actions=actions) for person in people]
        found = footage.footage_examples(acting, looks, ACTIONS, 2, np.random.default_rng(0))
        by_kind = {person.track is not None: found.actions[2 * i] for i, person in enumerate(people)}
        assert by_kind == {False: -1, True: of_the_clip}


def test_who_walks_in_a_picture_is_seen_once(root, tmp_path):
    write(root, STILL | {"posture": "walk"})
    people = footage.read_people(root / "labels.csv", ["licensed"])
    looks = footage.footage_looks(people, root, tmp_path / "work", Standing, print)
    found = footage.footage_examples(people, looks, ACTIONS, 6, np.random.default_rng(0))
    np.testing.assert_array_equal(found.features[:, :, -1].sum(axis=1), 1)  # one known time


def test_a_picture_that_is_none_and_tracks_that_are_missing_are_named(root, tmp_path):
    people = footage.read_people(root / "labels.csv", ["licensed"])
    (root / "media/a/one.png").write_bytes(b"no")
    with pytest.raises(DataError, match=r"one\.png"):
        footage.footage_looks(people[:1], root, tmp_path / "work", Standing, print)
    (root / "tracks/b+two.jsonl").write_text("{}")
    with pytest.raises(DataError, match=r"two\.jsonl"):
        footage.footage_looks(people[1:], root, tmp_path / "work", Standing, print)
