"""The AVA benchmark: published semantics, one by one, and the results of the official evaluator."""

import importlib.util
import json
import math
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from sf_detect.errors import ConfigError, DataError, UnknownNameError
from sf_detect.evaluation.ava import AvaResult
from sf_detect.evaluation.command import evaluate_ava
from sf_detect.labels import LabelMap, label_set

ROOT = Path(__file__).parents[2]
SHARED = ROOT.parent / "shared/ava"
EXPECTED = json.loads((SHARED / "expected.json").read_text()) if SHARED.exists() else {}

BOX, HALF, FAR = "0.1,0.1,0.5,0.5", "0.1,0.1,0.5,0.4", "0.6,0.6,0.9,0.9"
needs_shared = pytest.mark.skipif(not EXPECTED, reason="no shared data")


@pytest.fixture
def evaluated(tmp_path: Path):
    """Writes rows given without `video,`, evaluates, returns the result."""

    def run(truth: list[str], found: list[str], exclude: list[str] | None = None, **options: object) -> AvaResult:
        paths = []
        for name, rows in (("gt", truth), ("det", found), ("exclude", exclude or [])):
            paths.append(tmp_path / f"{name}.csv")
            paths[-1].write_text("".join(f"v,{row}\n" for row in rows))
        return evaluate_ava(paths[0], paths[1], paths[2] if exclude else None, **options)  # type: ignore[arg-type]

    return run


@needs_shared
@pytest.mark.parametrize("case", EXPECTED)
def test_official_results(case: str) -> None:
    expected = EXPECTED[case]
    result = evaluate_ava(SHARED / case / "gt.csv.gz", SHARED / case / "det.csv.gz", tie_bounds=True)
    got = result.to_json()
    assert got["mAP"] == pytest.approx(expected["official"], abs=1e-9)
    assert got["per_class"].keys() == expected["official_AP"].keys()
    for name, ap in expected["official_AP"].items():
        value = got["per_class"][name]
        assert (value is None) == (ap is None)
        assert ap is None or abs(value - ap) < 1e-9
    for order in expected.get("official_tie_orders", {}).values():
        low, high = result.mean_ap_bounds or (math.nan, math.nan)
        assert low - 1e-9 <= order <= high + 1e-9


@needs_shared
@pytest.mark.parametrize("case", EXPECTED)
def test_pyslowfast_results(case: str) -> None:
    expected = EXPECTED[case]["pyslowfast"]
    files = (SHARED / case / "gt.csv.gz", SHARED / case / "det.csv.gz")
    if isinstance(expected, str):  # the reference raises
        with pytest.raises(DataError):
            evaluate_ava(*files, protocol="pyslowfast")
    else:
        assert evaluate_ava(*files, protocol="pyslowfast").mean_ap == pytest.approx(expected, abs=1e-9)


@needs_shared
def test_published_label_file_and_exclusions() -> None:
    files = (SHARED / "base/gt.csv.gz", SHARED / "base/det.csv.gz")
    by_file = evaluate_ava(*files, label_map=SHARED / "ava_action_list_v2.2_for_activitynet_2019.pbtxt")
    assert by_file.to_json() == evaluate_ava(*files).to_json()
    excluded = evaluate_ava(*files, exclude=SHARED / "ava_val_excluded_timestamps_v2.2.csv")
    assert excluded.to_json() == by_file.to_json()  # published ground truth has no rows there
    assert len(evaluate_ava(*files, label_map="ava80").classes) == 80


def test_interpolation(evaluated) -> None:
    truth = [f"{second},{BOX},12" for second in (1, 2, 3, 4)]
    result = evaluated(truth, [f"1,{BOX},12,.9", f"2,{FAR},12,.8", f"3,{BOX},12,.7"])
    assert result.classes["stand"].ap == pytest.approx(0.25 + 0.25 * 2 / 3)
    assert result.mean_ap == result.classes["stand"].ap
    assert result.classes["stand"].curve.recall.tolist() == [0.25, 0.5]
    assert result.classes["stand"].curve.precision.tolist() == pytest.approx([1, 2 / 3])


def test_score_order_and_file_order(evaluated) -> None:
    found = [f"1,{HALF},12,.7", f"1,{BOX},12,.9"]
    assert evaluated([f"0001,{BOX},12"], found).mean_ap == 1
    assert evaluated([f"0001,{BOX},12,0"], found, protocol="pyslowfast").mean_ap == 0.5


def test_taken_groundtruth_gives_no_second_choice(evaluated) -> None:
    truth = [f"1,{BOX},12", "1,0.1,0.1,0.5,0.45,12"]  # both overlap the detections by more than half
    result = evaluated(truth, [f"1,{BOX},12,.9", f"1,{BOX},12,.8"])
    assert result.mean_ap == 0.5


def test_equal_overlaps_go_to_the_first_groundtruth(evaluated) -> None:
    left, right, between = "0,0,0.4,0.4,12", "0.1,0,0.5,0.4,12", "0.05,0,0.45,0.4,12"
    for truth in ([f"1,{left},3", f"1,{right},2"], [f"1,{right},2", f"1,{left},3"]):  # the greater id comes first
        result = evaluated(truth, [f"1,{between},.9", f"1,{right},.8", f"1,{left},.7"])
        assert result.mean_ap == pytest.approx(1)
        taken = evaluated(truth, [f"1,{between},.9", f"1,{left},.8", f"1,{right},.7"])
        assert taken.mean_ap == pytest.approx(0.5 + 0.5 * 2 / 3)


def test_threshold_is_inclusive(evaluated) -> None:
    result = evaluated(["1,0,0,0.5,0.5,12"], ["1,0,0,0.25,0.5,12,.9"])
    assert result.mean_ap == 1
    assert evaluated(["1,0,0,0.5,0.5,12"], ["1,0,0,0.2499,0.5,12,.9"]).mean_ap == 0


def test_classes(evaluated) -> None:
    truth = [f"1,{BOX},12", f"1,{BOX},11", f"1,{BOX},2"]  # 2 is not among the 60
    result = evaluated(truth, [f"1,{BOX},12,.9", f"1,{BOX},80,.9", f"1,{BOX},2,.9", f"1,{BOX},999,.9"])
    assert (result.classes["stand"].ap, result.classes["sit"].ap) == (1, 0)
    assert math.isnan(result.classes["watch (a person)"].ap)
    assert "crawl" not in result.classes
    assert result.mean_ap == 0.5
    assert result.to_json()["per_class"]["watch (a person)"] is None
    assert (result.counts.unscored_class, result.counts.scored) == (2, 2)


def test_nothing_to_find(evaluated) -> None:
    result = evaluated([], [f"1,{BOX},12,.9"])
    assert math.isnan(result.mean_ap)
    assert result.to_json()["mAP"] is None
    assert evaluated([f"1,{BOX},12"], []).mean_ap == 0


def test_keyframes(evaluated) -> None:
    truth = [f"0001,{BOX},12", "2"]
    hit = f"1.0,{BOX},12,.5"
    assert evaluated(truth, [hit]).mean_ap == 1
    assert evaluated(truth, [hit, f"3,{BOX},12,.9"]).mean_ap == 1  # not scored
    assert evaluated(truth, [hit, f"1.000001,{BOX},12,.9"]).mean_ap == 1  # another keyframe
    assert evaluated(truth, [hit, f"2,{BOX},12,.9"]).mean_ap == 0.5  # scored, though empty
    assert evaluated(truth, [hit, f"2,{BOX},12,.9"], ["0002"]).mean_ap == 1  # taken out


def test_pyslowfast_counts_frames_without_groundtruth(evaluated) -> None:
    found = [f"1,{BOX},12,.5", f"3,{BOX},12,.9"]
    assert evaluated([f"1,{BOX},12"], found, protocol="pyslowfast").mean_ap == 0.5
    assert evaluated([f"1,{BOX},12"], found, ["3"], protocol="pyslowfast").mean_ap == 1


def test_capacity_counts_rows(evaluated) -> None:
    rows = [f"1,{FAR},11,{0.5 + i / 1000}" for i in range(50)]
    result = evaluated([f"1,{BOX},12"], [f"1,{BOX},12,.4", *rows])
    assert (result.mean_ap, result.counts.over_capacity) == (0, 1)
    assert evaluated([f"1,{BOX},12"], [f"1,{BOX},12,.51", *rows]).mean_ap == 1


def test_capacity_with_equal_scores(evaluated) -> None:
    others = [f"1,{FAR},13,.5" for _ in range(50)]
    late = [*others, f"1,{BOX},12,.5"]  # a tie with the least does not enter
    assert evaluated([f"1,{BOX},12"], late).mean_ap == 0
    evicted = [f"1,{BOX},12,.5", *others[:49], f"1,{FAR},14,.9"]  # of the equal, the lowest class id leaves
    assert evaluated([f"1,{BOX},12"], evicted).mean_ap == 0
    stays = [f"1,{BOX},12,.5", *(row.replace(",13,", ",11,") for row in others[:49]), f"1,{FAR},14,.9"]
    assert evaluated([f"1,{BOX},12"], stays).mean_ap == 1


def test_boxes_without_area(evaluated) -> None:
    found = ["1,0.3,0.1,0.3,0.5,12,.9", "1,0.5,0.1,0.3,0.5,12,.8", f"1,{BOX},12,.7"]
    result = evaluated([f"1,{BOX},12"], found)
    assert (result.mean_ap, result.counts.without_area) == (1, 2)
    flat = evaluated([f"1,{BOX},12", "1,0.7,0.7,0.7,0.9,12"], [f"1,{BOX},12,.7"])
    assert flat.mean_ap == 0.5  # counted, cannot be hit


def test_order_of_equal_scores(evaluated) -> None:
    result = evaluated([f"1,{BOX},12"], [f"1,{FAR},12,.5", f"1,{BOX},12,.5"], tie_bounds=True)
    assert result.mean_ap_bounds == (0.5, 1)
    assert result.classes["stand"].ap_bounds == (0.5, 1)
    assert result.mean_ap == 0.5  # as they came
    assert evaluated([f"1,{BOX},12"], []).mean_ap_bounds is None


def test_table(evaluated) -> None:
    table = evaluated([f"1,{BOX},12"], [f"1,{BOX},12,.5"]).table().splitlines()
    assert len(table) == 62
    assert table[0].split() == ["class", "AP", "truths", "detections"]
    assert next(line for line in table if line.startswith("stand")).split() == ["stand", "100.00", "1", "1"]
    assert next(line for line in table if line.startswith("sit")).split() == ["sit", "-", "0", "0"]
    assert table[-1].split() == ["mean", "100.00", "1", "1"]


@pytest.mark.parametrize(
    ("options", "truth", "found", "message"),
    [
        ({}, "1,0.5,0.1,0.1,0.5,12", f"1,{BOX},12", r"gt.csv:1: a ground-truth box has x1 <= x2"),
        ({"protocol": "pyslowfast"}, "1", f"1,{BOX},12,1", r"gt.csv:1: 2 columns, expected 7 or 8"),
        ({"protocol": "pyslowfast"}, f"1,{BOX},12", f"1,{BOX},12", r"det.csv:1: 7 columns, expected 8"),
        ({"protocol": "pyslowfast"}, f"1.0,{BOX},12", f"1,{BOX},12,1", r"gt.csv:1: the protocol 'pyslowfast' takes"),
    ],
)
def test_bad_rows(evaluated, options: dict[str, str], truth: str, found: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        evaluated([truth], [found], **options)


def test_bad_options(evaluated) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown AVA protocol 'activitynet2'\. Did you mean 'activitynet'"):
        evaluated([], [], protocol="activitynet2")
    with pytest.raises(UnknownNameError, match="label set or label file 'ava'"):
        evaluated([], [], label_map="ava")
    with pytest.raises(ConfigError, match="label ids of AVA files lie in"):
        evaluated([], [], label_map=LabelMap(("a",), (10**7,)))
    with pytest.raises(ConfigError, match="label ids of AVA files lie in"):
        evaluated([], [], label_map=LabelMap((), ()))
    with pytest.raises(DataError, match=r"exclude.csv:1: 3 columns, expected 2"):
        evaluated([], [], ["1,2"])


@pytest.mark.parametrize("person", ["", "bob", "person 7", "nan", "inf"])
def test_a_person_id_is_any_text(evaluated, person: str) -> None:
    truth = [f"1,{BOX},12,{person}", f"1,{FAR},12,3"]
    assert evaluated(truth, [f"1,{BOX},12,.9", f"1,{FAR},12,.8"]).mean_ap == 1
    assert evaluated(truth, [f"1,{BOX},12,.9"], protocol="pyslowfast").mean_ap == 0.5
    with pytest.raises(DataError, match=r"det\.csv:1: score is a (finite )?number, got"):
        evaluated(truth, [f"1,{BOX},12,{person}"])


def test_label_ids_that_count_from_zero(evaluated, tmp_path: Path) -> None:
    result = evaluated([f"1,{BOX},1"], [f"1,{BOX},1,.9", f"1,{BOX},0,.9"])
    assert (result.mean_ap, result.counts.scored) == (1, 1)
    (note,) = result.notes
    assert "det.csv: 1 rows have the label id 0, but ids count from 1 in every set" in note
    (tmp_path / "labels.csv").write_text("0,walk\n1,run\n")
    assert evaluated([f"1,{BOX},2"], [f"1,{BOX},2,.9"], label_map=tmp_path / "labels.csv").classes["run"].ap == 1
    with pytest.raises(DataError, match=r"gt\.csv: 1 rows have the label id 0.*here and in the label map"):
        evaluated([f"1,{BOX},0"], [f"1,{BOX},0,.9"], label_map=tmp_path / "labels.csv")


def _moved(box: str, change) -> str:
    return ",".join(f"{v:g}" for v in change(*map(float, box.split(","))))


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda *box: [640 * v for v in box], "reach beyond the frame, up to 320, but those of the ground truth are"),
        (lambda *box: [100 * v for v in box], "all of the boxes of the detections reach beyond the frame, up to 50"),
        (lambda x, y, x2, y2: (x2, y2, x, y), "1 of 1 boxes of the detections have no area"),
        (lambda x, y, x2, y2: (x, y, x2 - x, 0.15), "no detection overlaps a ground-truth box of its class enough"),
    ],
)
def test_boxes_in_another_form_give_a_note(evaluated, change, note: str) -> None:
    result = evaluated([f"1,{BOX},12"], [f"1,{_moved(BOX, change)},12,.9"])
    assert result.mean_ap == 0
    assert len(result.notes) == 1
    assert note in result.notes[0]
    assert result.to_json()["notes"] == list(result.notes)


def test_notes_where_something_is_right_and_where_nothing_is_there(evaluated) -> None:
    mixed = evaluated([f"1,{BOX},12"], [f"1,{BOX},12,.9", "1,64,64,320,320,12,.8"])
    assert mixed.mean_ap == 1
    assert mixed.notes[0].startswith("1 of 2 of the boxes")
    pixels = "1,64,64,320,320,12"
    assert evaluated([pixels], [f"{pixels},.9"]).notes == ()
    assert "at most 0.5, like shares of the frame" in evaluated([pixels], [f"1,{BOX},12,.9"]).notes[0]
    assert evaluated([f"1,{BOX},12"], []).notes == ("the file of detections has no rows",)
    assert "notes" not in evaluated([f"1,{BOX},12"], [f"1,{BOX},12,.9"]).to_json()


CASES = ROOT.parent / "shared/cases"


@pytest.mark.skipif(not CASES.exists(), reason="no shared data")
def test_label_maps_of_other_layouts(tmp_path: Path) -> None:
    files = (CASES / "g.csv", CASES / "d.csv")
    published = tmp_path / "list.pbtxt.txt"
    published.write_text((SHARED / "ava_action_list_v2.2_for_activitynet_2019.pbtxt").read_text())
    for label_map in ("ava60", CASES / "label_map_numbered.txt", published):
        assert evaluate_ava(*files, label_map=label_map).mean_ap == pytest.approx(0.8361, abs=5e-5)
    (note,) = evaluate_ava(CASES / "g.csv", CASES / "d_pix.csv").notes
    assert "all of the boxes of the detections reach beyond the frame" in note


@pytest.fixture(scope="module")
def reference() -> ModuleType:
    """The plain evaluator of tools/."""
    spec = importlib.util.spec_from_file_location("ava_reference", ROOT / "tools/ava_reference_evaluator.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("decimals", [17, 1])
def test_plain_evaluator_agrees(tmp_path: Path, reference: ModuleType, seed: int, decimals: int) -> None:
    random = np.random.default_rng(seed)

    def rows(count: int, scored: bool) -> list[str]:
        lines = []
        for _ in range(count):
            corner, size = random.integers(0, 4, 2) / 10, random.integers(1, 5, 2) / 10
            box = ",".join(f"{v:.2f}" for v in (*corner, *(corner + size)))
            last = f"{random.random():.{decimals}f}" if scored else str(random.integers(0, 3))
            lines.append(f"v{random.integers(0, 2)},{random.integers(900, 905)},{box},{random.integers(1, 6)},{last}\n")
        return lines

    (tmp_path / "gt.csv").write_text("".join(rows(60, False)))
    (tmp_path / "det.csv").write_text("".join(rows(900, True)))
    files = (str(tmp_path / "gt.csv"), str(tmp_path / "det.csv"))
    expected = reference.evaluate(*files, label_set("ava60"))
    result = evaluate_ava(*files, tie_bounds=True)
    assert result.counts.over_capacity > 50
    for name, ap in expected["per_class"].items():
        if ap is None:
            assert math.isnan(result.classes[name].ap)
        elif decimals > 2:
            assert result.classes[name].ap == pytest.approx(ap, abs=1e-9)
        else:
            low, high = result.classes[name].ap_bounds
            assert low - 1e-9 <= ap <= high + 1e-9
            assert low <= result.classes[name].ap <= high
