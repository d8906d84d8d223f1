"""Label sets and label files."""

from pathlib import Path

import pytest

from sf_detect.errors import ConfigError, DataError, UnknownNameError
from sf_detect.labels import LABEL_SETS, LabelMap, label_set, load_labels, read_label_map, shown_names

SHARED = Path(__file__).parents[2] / "shared"


@pytest.mark.parametrize(
    ("name", "count", "first_id", "last_id", "first", "last"),
    [
        ("ava80", 80, 1, 80, "bend/bow (at the waist)", "watch (a person)"),
        ("ava60", 60, 1, 80, "bend/bow (at the waist)", "watch (a person)"),
        ("jhmdb21", 21, 1, 21, "brush_hair", "wave"),
        ("ucf24", 24, 1, 24, "Basketball", "WalkingWithDog"),
        ("kinetics400", 400, 1, 400, "abseiling", "zumba"),
        ("kinetics600", 600, 1, 600, "abseiling", "zumba"),
        ("charades157", 157, 1, 157, "Holding some clothes", "Someone is eating something"),
        ("ssv2_174", 174, 1, 174, "Approaching something with your camera", "Wiping something off of something"),
        ("sports1m487", 487, 1, 487, "boomerang", "model aircraft"),
        ("ucf101", 101, 1, 101, "ApplyEyeMakeup", "YoYo"),
    ],
)
def test_built_in_sets(name: str, count: int, first_id: int, last_id: int, first: str, last: str) -> None:
    labels = label_set(name)
    assert (len(labels), labels.ids[0], labels.ids[-1]) == (count, first_id, last_id)
    assert (labels.names[0], labels.names[-1]) == (first, last)
    assert name in LABEL_SETS


@pytest.mark.parametrize(
    ("name", "label_id", "label"),
    [
        ("charades157", 66, "Eating a sandwich"),
        ("charades157", 98, "Walking through a doorway"),
        ("kinetics600", 24, "bathing dog"),
        ("ssv2_174", 87, "Pulling something from left to right"),
        ("ssv2_174", 121, "Putting something, something and something on the table"),
        ("ucf101", 35, "Hammering"),
    ],
)
def test_places_in_between(name: str, label_id: int, label: str) -> None:
    assert label_set(name).name_of(label_id) == label


def test_lookups() -> None:
    labels = label_set("ava60")
    assert labels.name_of(12) == "stand"
    assert labels.name_of(12) == "stand"
    assert list(labels)[labels.index("stand")] == "stand"
    assert repr(labels) == "LabelMap(60 classes, ids 1-80)"
    with pytest.raises(UnknownNameError, match="unknown label id '2'"):
        labels.name_of(2)
    with pytest.raises(UnknownNameError, match="Did you mean 'stand'"):
        labels.index("stant")


def test_unknown_set() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown label set 'ava61'\. Did you mean 'ava60'"):
        label_set("ava61")
    with pytest.raises(UnknownNameError, match=r"label set or label file 'nowhere\.txt'"):
        load_labels("nowhere.txt")


@pytest.mark.skipif(not SHARED.exists(), reason="no shared data")
def test_published_lists_equal_the_built_in() -> None:
    assert read_label_map(SHARED / "ava/ava_action_list_v2.2.pbtxt") == label_set("ava80")
    assert read_label_map(SHARED / "ava/ava_action_list_v2.2_for_activitynet_2019.pbtxt") == label_set("ava60")
    rows = [line.split(",") for line in (SHARED / "data/jhmdb/videos.csv").read_text().splitlines()[1:]]
    own = {int(r[2]) + 1: r[1] for r in rows}  # the data set's own list counts from 0
    assert dict(zip(label_set("jhmdb21").ids, label_set("jhmdb21"), strict=True)) == own


@pytest.mark.parametrize(
    ("file", "text", "names", "ids"),
    [
        ("a.txt", "walk\nrun fast\n\n", ("walk", "run fast"), (1, 2)),
        ("a.txt", "3: walk\n\n7:run: fast\n", ("walk", "run: fast"), (3, 7)),
        ("a.txt", "0: walk\n1: run\n", ("walk", "run"), (1, 2)),
        ("a.txt", "1 walk\n2 run fast\n", ("walk", "run fast"), (1, 2)),
        ("a.txt", "c000 walk\nc001 run fast\n", ("walk", "run fast"), (1, 2)),
        ("a.txt", "100 m sprint\n200 m sprint\n", ("100 m sprint", "200 m sprint"), (1, 2)),
        ("a.txt", "id,name\n3,walk\n5,run\n", ("walk", "run"), (3, 5)),
        ("a.txt", "open (a door, a box)\n3 pointer\n", ("open (a door, a box)", "3 pointer"), (1, 2)),
        ("a.pbtxt.txt", "item {\n  name: 'walk'\n  id: 4\n}\n", ("walk",), (4,)),
        ("a.TXT", "# AVA\n\nlabel { name: 'walk' label_id: 4 }\n", ("walk",), (4,)),
        ("a.csv", "label { name: 'walk' label_id: 4 }\n", ("walk",), (4,)),
        ("a.csv", "4: walk\n", ("walk",), (4,)),
        ("a.csv", "0,walk\n1,run\n", ("walk", "run"), (1, 2)),
        ("a.pbtxt", "item { name: 'a' id: 0 } item { name: 'b' id: 5 }", ("a", "b"), (1, 6)),
        ("a.csv", 'id,name\n3,walk\n5,"open (a door, a box)"\n', ("walk", "open (a door, a box)"), (3, 5)),
        ("a.csv", "walk,7\nrun,8\n", ("walk", "run"), (7, 8)),
        ("a.pbtxt", 'item {\n  name: "walk"\n  id: 4\n}\n', ("walk",), (4,)),
        ("a.pbtxt", "# AVA\nlabel { name: 'a \\'b\\'' label_id: 2 label_type: X }", ("a 'b'",), (2,)),
    ],
)
def test_own_file(tmp_path: Path, file: str, text: str, names: tuple[str, ...], ids: tuple[int, ...]) -> None:
    (tmp_path / file).write_text(text)
    assert load_labels(tmp_path / file) == LabelMap(names, ids)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("a.json", "{}", "a label file ends in .txt, .csv, .pbtxt"),
        ("a.txt", "", "holds no label"),
        ("a.txt", "walk\n\nrun\n", ":2: an empty line inside the list"),
        ("a.txt", "walk\nwalk\n", ":2: label name 'walk' occurs a second time"),
        ("a.csv", "1,walk\n2,run,fast\n", ":2: expected two columns"),
        ("a.txt", "1: walk\nrun\n", ":2: expected 'id: name' such as '12: stand', as in other lines, got 'run'"),
        ("a.csv", "1,walk\n-3,run\n", ":2: label ids count from 1, got -3 for 'run'"),
        ("a.csv", "1,walk\n" + 200000 * "x", ":2: is not comma-separated text: field larger"),
        ("a.csv", "1,walk\nx,run\n", ":2: neither column is an integer id"),
        ("a.csv", "1,walk\n1,run\n", ":2: label id 1 occurs a second time"),
        ("a.pbtxt", "item { name: 'a' }", ":1: a label block needs 'name' and an integer 'id'"),
        ("a.pbtxt", "item { name: 'a'\nid 3 }", ":2: expected 'field: value'"),
        ("a.pbtxt", "item { name: 'a' id: 3", ":1: a label block is not closed"),
        ("a.pbtxt", "walk\nrun", ":1: expected a block such as"),
        ("a.pbtxt", "item { name: 'a' id: 3 }\n\n<html>", ":3: not a label map: cannot read '<html>'"),
    ],
)
def test_malformed_file(tmp_path: Path, file: str, text: str, message: str) -> None:
    (tmp_path / file).write_text(text)
    with pytest.raises(DataError) as error:
        read_label_map(tmp_path / file)
    assert message in str(error.value)
    assert str(tmp_path / file) in str(error.value)


def test_unreadable_file(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\xff")
    with pytest.raises(DataError, match="cannot be read as UTF-8 text"):
        read_label_map(tmp_path / "a.txt")


def test_a_list_of_names_is_not_endless(tmp_path: Path) -> None:
    with (tmp_path / "a.txt").open("wb") as file:
        file.truncate(1 << 25)
    with pytest.raises(DataError, match="is larger than 16 MiB; expected a list of class names"):
        read_label_map(tmp_path / "a.txt")


def test_a_file_that_counts_from_zero_is_raised_by_one(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("0,walk\n2,run\n")
    labels = read_label_map(tmp_path / "a.csv")
    assert (labels.ids, labels.from_zero) == ((1, 3), True)
    assert labels == LabelMap(("walk", "run"), (1, 3))
    assert not label_set("jhmdb21").from_zero
    assert LabelMap.of(["walk", "run"]).ids == (1, 2)


def test_inconsistent_map() -> None:
    with pytest.raises(ConfigError, match="got 1 names and 2 ids"):
        LabelMap(("a",), (1, 2))
    with pytest.raises(ConfigError, match="label ids count from 1, got 0 for 'b'"):
        LabelMap(("a", "b"), (1, 0))
    with pytest.raises(ConfigError, match="label name 'a' occurs twice"):
        LabelMap.of(["a", "a"])


def test_names_that_people_read_tell_movements_from_postures():
    names = label_set("jhmdb21").names
    shown = shown_names(names)
    assert [(a, b) for a, b in zip(names, shown, strict=True) if a != b] == [("sit", "sit down"), ("stand", "stand up")]
    assert shown_names(("sit", "stand")) == ("sit", "stand")  # of another set, where they may be postures
