"""The record of a keyframe: what is written, what is read again, what is refused."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sf_detect.errors import ConfigError, DataError
from sf_detect.records import keyframe_record, labels_of, parse_record, read_json_lines
from sf_detect.structures import ActionDetections, Detections, Frame, FrameResult, Keypoints, LiveResult

LABELS = ("stand", "walk", "wave")
THRESHOLDS = (0.3, 0.5, 0.1)


def result(scores, ids=(7,), actions=True):
    persons = Detections(np.tile([1, 2, 11, 20], (len(scores), 1)), [0.9] * len(scores), ids)
    frame = Frame(np.zeros((48, 64, 3), np.uint8), 45, 1.5)
    return FrameResult(frame, persons, ActionDetections(1.5, persons, scores) if actions else None, True)


def actions(scores, thresholds=THRESHOLDS, **options):
    (person,) = keyframe_record(result([scores]), "v", LABELS, thresholds, **options)["persons"]
    return person["actions"]


def test_each_action_says_whether_it_reached_its_threshold():
    assert actions([0.3, 0.49, 0.05]) == [
        {"label": "walk", "score": 0.49, "above_threshold": False},
        {"label": "stand", "score": 0.3, "above_threshold": True},
        {"label": "wave", "score": 0.05, "above_threshold": False},
    ]


def test_the_unrounded_score_decides():
    assert actions([0.0, np.nextafter(np.float32(0.5), np.float32(0)), 0.0]) == [
        {"label": "walk", "score": 0.5, "above_threshold": False}
    ]


def test_without_thresholds_the_key_is_left_out():
    assert actions([0.0, 0.6, 0.0], None) == [{"label": "walk", "score": 0.6}]


def test_a_threshold_of_another_number_of_classes_is_refused():
    with pytest.raises(ConfigError, match=r"thresholds of shape \(2,\) for 3 classes"):
        actions([0.0, 0.6, 0.0], [0.1, 0.2])


def test_an_unscored_person_has_no_actions():
    (person,) = keyframe_record(result([[0.5] * 3], actions=False), "v", LABELS, THRESHOLDS)["persons"]
    assert person["actions"] == []


@given(
    st.lists(st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3), min_size=1, max_size=4),
    st.lists(st.floats(0, 1, width=32), min_size=3, max_size=3),
)
def test_what_is_written_is_read(scores, thresholds):
    ids = tuple(range(len(scores)))
    record = keyframe_record(result(scores, ids), "v", LABELS, thresholds, min_score=0.0)
    assert parse_record("f", 1, json.dumps(record)) == record
    for person, row in zip(record["persons"], np.float32(scores), strict=True):
        found = {a["label"]: a["above_threshold"] for a in labels_of(person)}
        assert found == {label: bool(s >= t) for label, s, t in zip(LABELS, row, np.float32(thresholds), strict=True)}


def test_groups_that_readers_do_not_ask_for_are_passed_over():
    entries = [{"label": "a", "score": 1}, {"label": "b", "score": 1, "group": "action"}]
    other = {"label": "sit", "score": 1, "group": "posture", "unknown": 3}
    person = {"box": [0, 0, 1, 1], "score": 1, "track_id": None, "actions": [*entries, other]}
    parse_record("f", 1, GOOD.replace("[]", json.dumps([person])))
    assert labels_of(person) == entries
    assert labels_of(person, "posture") == [other]
    with pytest.raises(TypeError, match="actions is a list of objects, got"):
        labels_of({"actions": "walk"})


GOOD = json.dumps(
    {"schema": "sf-detect/1", "video": "a", "frame": 0, "time": 0, "width": 1, "height": 1, "persons": []}
)
PERSON = GOOD.replace("[]", '[{"box": [0, 0, 1, 1], "score": 1, "track_id": 1, "actions": []}]')


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"schema": "sf-de', "is not JSON"),
        ("[1]", "expected an object with schema 'sf-detect/1', got 'list'"),
        (GOOD.replace("sf-detect/1", "other/2"), "got 'other/2'"),
        (GOOD.replace('"time": 0, ', ""), "lacks time"),
        (GOOD.replace("[]", "{}"), "persons is a list, got dict"),
        (GOOD.replace("[]", '[{"box": [0, 0, 1, 1], "score": 1}]'), "a person lacks track_id, actions"),
        (GOOD.replace("[]", "[3]"), "a person lacks box"),
        (PERSON.replace("[]", "null"), "actions is a list, got NoneType"),
        (PERSON.replace("[]", '["walk"]'), "an action lacks label, score"),
        (PERSON.replace("[]", '[{"label": "a", "score": 1, "group": 2}]'), "group of an action is text, got 2"),
        (
            PERSON.replace("[]", '[{"label": "a", "score": 1, "above_threshold": 1}]'),
            "above_threshold of an action is true or false, got 1",
        ),
        ("[" * 100_000, "is not JSON"),
    ],
)
def test_reader_names_file_and_line(tmp_path, line, message):
    path = tmp_path / "a.jsonl"
    path.write_text(f"{GOOD}\n\n{line}\n")
    with pytest.raises(DataError, match=message) as caught:
        list(read_json_lines(path))
    assert str(caught.value).startswith(f"{path}:3: ")


def test_reader_of_what_is_no_such_file(tmp_path):
    with pytest.raises(DataError, match="cannot be read: No such file"):
        next(read_json_lines(tmp_path / "missing"))
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is not text"):
        next(read_json_lines(tmp_path / "binary"))


def test_groups_are_named_where_not_all_are_actions():
    groups = ("posture", "action", "action")
    assert [entry["group"] for entry in actions([0.3, 0.6, 0.0], groups=groups)] == ["action", "posture"]
    assert "group" not in actions([0.3, 0.6, 0.0], groups=("action",) * 3)[0]


def test_keypoints_are_named_points_in_pixels():
    points = np.tile(np.array([10.123, 20.567, 0.98765], np.float32), (2, 33, 1))
    points[0, 32, 0] = 33.0
    keypoints = Keypoints(points, np.zeros((2, 33, 3)), np.array([0.5, 0.4]))
    persons = Detections(np.tile([1, 2, 11, 20], (2, 1)), [0.9] * 2, [1, 2], keypoints)
    item = FrameResult(Frame(np.zeros((48, 64, 3), np.uint8), 45, 1.5), persons, None, True)
    seen, unsure = keyframe_record(item, "v", LABELS, keypoints=True)["persons"]
    assert len(seen["keypoints"]) == 33
    assert seen["keypoints"]["nose"] == [10.12, 20.57, 0.988]
    assert seen["keypoints"]["right_foot_index"][0] == 33.0
    assert unsure["keypoints"] is None
    assert "keypoints" not in keyframe_record(item, "v", LABELS)["persons"][0]
    without = keyframe_record(result([[0.5] * 3]), "v", LABELS, keypoints=True)["persons"][0]
    assert without["keypoints"] is None
    assert parse_record("f", 1, json.dumps(keyframe_record(item, "v", LABELS, keypoints=True)))


def test_records_of_live_sources_tell_when_and_how_old():
    persons = Detections(np.zeros((1, 4)), np.ones(1), np.array([1]))
    frame = Frame(np.zeros((4, 4, 3), np.uint8), 3, 2.0, arrival=100.0)
    actions = ActionDetections(2.0, persons, np.ones((1, 1)), 1.9)
    live = LiveResult(frame, persons, actions, True, utc=1795931472.7774, shown=100.25, detected_pts=1.75)
    record = keyframe_record(live, "cam", ["walk"])
    assert record["utc"] == "2026-11-29T05:51:12.777Z"
    assert (record["frame_age"], record["boxes_age"], record["labels_age"]) == (0.25, 0.5, 0.35)
    assert json.loads(json.dumps(record)) == record
    unknown = keyframe_record(LiveResult(frame, Detections.empty(), None, True), "cam", ["walk"])
    assert (unknown["boxes_age"], unknown["labels_age"]) == (None, None)
    assert "utc" not in keyframe_record(FrameResult(frame, persons, actions, True), "cam", ["walk"])
