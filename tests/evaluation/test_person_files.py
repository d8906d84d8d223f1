"""COCO AP of files."""

import json
from pathlib import Path

import pytest

from sf_detect.errors import ConfigError, DataError
from sf_detect.evaluation.person_files import evaluate_persons

pytest.importorskip("pycocotools")

COCO = {
    "images": [{"id": 7, "file_name": "7.jpg"}, {"id": 9, "file_name": "nine.jpg"}],
    "categories": [{"id": 1, "name": "person"}, {"id": 2, "name": "dog"}],
    "annotations": [
        {"id": 1, "image_id": 7, "category_id": 1, "bbox": [10, 10, 50, 100], "area": 900.0, "iscrowd": 0},
        {"id": 2, "image_id": 7, "category_id": 2, "bbox": [0, 0, 5, 5], "area": 25.0, "iscrowd": 0},
        {"id": 3, "image_id": 9, "category_id": 1, "bbox": [100, 100, 90, 90], "area": 8100.0, "iscrowd": 1},
        {"id": 4, "image_id": 9, "category_id": 1, "bbox": [10, 10, 50, 100], "area": 5000.0, "iscrowd": 0},
    ],
}
BOX = "10,10,60,110"


@pytest.fixture
def evaluated(tmp_path: Path):
    """Writes ground truth and detections (text, or what becomes JSON) and evaluates them."""

    def run(truth: object, found: object, kind: str = ".csv"):
        paths = [tmp_path / ("gt.csv" if isinstance(truth, str) else "gt.json"), tmp_path / f"det{kind}"]
        for path, content in zip(paths, (truth, found), strict=True):
            path.write_text(content if isinstance(content, str) else json.dumps(content))
        return evaluate_persons(*paths)

    return run


def test_coco_results(evaluated) -> None:
    rows = [
        {"image_id": 7, "category_id": 1, "bbox": [10, 10, 50, 100], "score": 0.9},
        {"image_id": 7, "category_id": 2, "bbox": [0, 0, 5, 5], "score": 0.9},  # a dog
        {"image_id": 9, "category_id": 1, "bbox": [110, 110, 20, 20], "score": 0.8},  # in the crowd
        {"image_id": 8, "category_id": 1, "bbox": [110, 110, 20, 20], "score": 0.8},  # no such image
    ]
    result = evaluated(COCO, rows, ".json")
    assert (result.images, result.persons, result.detections) == (2, 2, 2)
    assert result.measures["AR100"] == pytest.approx(0.5)
    assert result.measures["APs"] == pytest.approx(1)  # by the annotation's own area
    assert result.to_json()["APl"] is None
    assert result.table().splitlines()[-1] == "2 images, 2 persons, 2 detections"


def test_csv_against_coco(evaluated) -> None:
    result = evaluated(COCO, f"image_id,x1,y1,x2,y2,score\n7,{BOX},0.9\nnine.jpg,{BOX},0.8\n")
    assert result.measures["AP"] == pytest.approx(1)
    with pytest.raises(DataError, match=r"det\.csv:2: image '8' is neither an id nor a file name"):
        evaluated(COCO, f"image_id,x1,y1,x2,y2,score\n8,{BOX},0.9\n")


def test_csv_against_csv(evaluated) -> None:
    truth = f"video_id,frame,x1,y1,x2,y2,action\nv,1,{BOX},walk\nv,1,{BOX},wave\nv,2,{BOX},walk\n"
    found = f"video,frame,x1,y1,x2,y2,score\nv,1,{BOX},0.9\nv,01,{BOX},0.5\nv,3,{BOX},1\n"
    result = evaluated(truth, found)
    assert (result.images, result.persons, result.detections) == (2, 2, 1)  # equal boxes are one
    assert result.measures["AP50"] == pytest.approx(51 / 101)
    assert evaluated(truth, "video,frame,x1,y1,x2,y2,score\n").measures["AP"] == 0


@pytest.mark.parametrize(
    ("truth", "found", "kind", "message"),
    [
        (COCO, "[", ".json", r"det\.json:1: not JSON"),
        (COCO, {}, ".json", r"det\.json: expected a list of image_id, category_id, bbox, score, got dict"),
        (COCO, [{"image_id": 7}], ".json", r"det\.json: entry 0: expected .*KeyError"),
        (COCO, [{"image_id": 7, "category_id": 1, "bbox": [1, 2], "score": 1}], ".json", "bbox is 4 finite numbers"),
        ({"images": []}, [], ".json", r"gt\.json: expected COCO's images"),
        ({"categories": []}, [], ".json", "the categories have no 'person'"),
        ("video,frame,x1,y1,x2,y2\n", "", ".csv", r"gt\.csv: holds no ground truth"),
        ("video,frame\n", "", ".csv", r"gt\.csv:1: the header lacks x1, y1, x2, y2"),
        ("video,frame,x1,y1,x2,y2\nv,1,1,1,2\n", "", ".csv", r"gt\.csv:2: 5 columns, the header has 6"),
        ("video,frame,x1,y1,x2,y2\nv,one,1,1,2,2\n", "", ".csv", r"gt\.csv:2: expected video,frame.*'one'"),
        ("video,frame,x1,y1,x2,y2\nv,1,1,1,2,inf\n", "", ".csv", r"gt\.csv:2: .*finite numbers"),
    ],
)
def test_malformed_files(evaluated, truth, found, kind, message) -> None:
    with pytest.raises(DataError, match=message):
        evaluated(truth, found, kind)


def test_kinds_that_do_not_go_together(evaluated) -> None:
    with pytest.raises(ConfigError, match=r"detections as \.json are evaluated against COCO annotations"):
        evaluated("video,frame,x1,y1,x2,y2\n", [], ".json")
    with pytest.raises(ConfigError, match=r"detections as \.jsonl are evaluated against a csv"):
        evaluated(COCO, "", ".jsonl")


@pytest.mark.parametrize(
    ("box", "note"),
    [
        ("0.1,0.1,0.6,0.9", "boxes of the detections are at most 0.9, like shares of the frame"),
        ("60,110,10,10", "1 of 1 boxes of the detections have no area"),
        ("300,300,400,400", "no detection overlaps a ground-truth box"),
    ],
)
def test_suspicious_boxes_give_a_note(evaluated, box: str, note: str) -> None:
    result = evaluated(f"video,frame,x1,y1,x2,y2\nv,1,{BOX}\n", f"video,frame,x1,y1,x2,y2,score\nv,1,{box},0.9\n")
    assert result.measures["AP50"] == 0
    assert note in result.notes[0]
    assert result.to_json()["notes"] == list(result.notes)
