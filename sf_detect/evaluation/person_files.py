"""COCO AP of a person detector, of files.

ground truth  COCO's annotations (`instances_val2017.json`), or a csv with the columns `video,frame,x1,y1,x2,y2`
              (`video_id` for `video`), such as the boxes of J-HMDB: equal boxes of a frame are one person.
detections    COCO's results (a list of image_id, category_id, bbox, score), a csv with the columns
              `image_id,x1,y1,x2,y2,score`, or `video,frame,x1,y1,x2,y2,score` where the ground truth is a csv, or,
              there, the JSON Lines of `sf-detect run`, which are scored on their keyframes.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sf_detect.errors import ConfigError, DataError
from sf_detect.evaluation.persons import coco_ap, xywh, xyxy
from sf_detect.evaluation.plausibility import NO_HIT, corner_notes, pixel_notes, with_notes
from sf_detect.evaluation.records import record_at
from sf_detect.evaluation.text_lines import read_lines
from sf_detect.records import read_json_lines

_BOX = ("x1", "y1", "x2", "y2")
_RESULT = ("image_id", "category_id", "bbox", "score")


@dataclass(frozen=True)
class PersonResult:
    """COCO AP of a person detector.

    Attributes:
        measures: By the names of `persons.NAMES`, in [0, 1]; NaN where there is nothing to measure.
        images, persons, detections: How many there are; detections on other images are left out.
        notes: What looks wrong in the files, in words.
    """

    measures: dict[str, float]
    images: int
    persons: int
    detections: int
    notes: tuple[str, ...] = ()

    def to_json(self) -> dict[str, object]:
        """`{"AP": .., "AP50": .., ..., "images": N, "persons": N, "detections": N}`, and `notes` if any."""
        measures = {name: None if math.isnan(value) else value for name, value in self.measures.items()}
        counts = {"images": self.images, "persons": self.persons, "detections": self.detections}
        return with_notes({**measures, **counts}, self.notes)

    def table(self) -> str:
        """Plain text."""
        values = [(name, "-" if math.isnan(v) else f"{100 * v:.2f}") for name, v in self.measures.items()]
        lines = [f"{name:<6}{value:>7}" for name, value in values]
        return "\n".join([*lines, f"{self.images} images, {self.persons} persons, {self.detections} detections"])


def evaluate_persons(groundtruth: str | Path, detections: str | Path) -> PersonResult:
    """COCO AP of persons; the kinds of files are those of this module.

    Args:
        groundtruth: `.json` of COCO, or a csv.
        detections: `.json` of COCO, a csv or `.jsonl`.

    Raises:
        DataError: A malformed file, with its line.
        ConfigError: Kinds of files that do not go together.
        MissingExtraError: pycocotools is not installed.
    """
    truth_path, path = Path(groundtruth), Path(detections)
    _check_kinds(truth_path, path)
    truth = _coco_truth(truth_path) if truth_path.suffix == ".json" else _csv_truth(truth_path)
    rows, seen = _found(path, truth)
    if seen is not None:
        truth = truth.of_images(seen)
    if not truth.images:
        raise DataError(path, None, f"none of its frames is in {truth_path}; name videos and count frames alike")
    rows = [row for row in rows if row["image_id"] in truth.images]
    persons = sum(one["category_id"] == truth.category and not one["iscrowd"] for one in truth.annotations)
    measures = coco_ap(truth.dataset(), rows, truth.category)
    notes = _notes(truth, rows, measures["AP50"])
    return PersonResult(measures, len(truth.images), persons, len(rows), tuple(notes))


def _notes(truth: _Truth, rows: _Rows, ap: float) -> list[str]:
    true_boxes, boxes = (
        np.array([xyxy(one["bbox"]) for one in part], np.float64).reshape(-1, 4) for part in (truth.annotations, rows)
    )
    notes = [*pixel_notes(true_boxes, boxes), *corner_notes("ground truth", true_boxes)]
    notes += corner_notes("detections", boxes)
    if not rows:
        notes.append("the detections hold no box on an image of the ground truth")
    elif not notes and ap == 0:
        notes.append(NO_HIT)
    return notes


def _check_kinds(truth: Path, found: Path) -> None:
    coco = truth.suffix == ".json"
    if found.suffix == (".jsonl" if coco else ".json"):
        needed = "a csv of video and frame" if coco else "COCO annotations (.json)"
        raise ConfigError(f"detections as {found.suffix} are evaluated against {needed}, got {truth}")


@dataclass(frozen=True)
class _Truth:
    images: frozenset[int]
    names: dict[Any, int]  # image ids by file name, or by video and frame
    annotations: list[dict[str, Any]]
    category: int

    def of_images(self, images: frozenset[int]) -> _Truth:
        kept = [one for one in self.annotations if one["image_id"] in images]
        return _Truth(self.images & images, self.names, kept, self.category)

    def dataset(self) -> dict[str, Any]:
        return {
            "images": [{"id": image} for image in sorted(self.images)],
            "annotations": self.annotations,
            "categories": [{"id": self.category, "name": "person"}],
        }


def _read_json(path: Path) -> Any:
    try:
        return json.loads("\n".join(read_lines(path)))
    except (ValueError, RecursionError) as error:
        raise DataError(path, getattr(error, "lineno", None), f"not JSON: {error}") from error


def _coco_truth(path: Path) -> _Truth:
    data = _read_json(path)
    try:
        category = next(int(one["id"]) for one in data["categories"] if one["name"] == "person")
        names = {str(image.get("file_name", image["id"])): int(image["id"]) for image in data["images"]}
        annotations = [
            {
                "id": one["id"],
                "image_id": int(one["image_id"]),
                "category_id": category,
                "bbox": [float(value) for value in one["bbox"]],
                "area": float(one["area"]),
                "iscrowd": int(one.get("iscrowd", 0)),
            }
            for one in data["annotations"]
            if one["category_id"] == category
        ]
    except StopIteration:
        raise DataError(path, None, "the categories have no 'person'") from None
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        expected = "images, annotations (id, image_id, category_id, bbox, area, iscrowd) and categories"
        raise DataError(path, None, f"expected COCO's {expected}; {type(error).__name__}: {error}") from error
    return _Truth(frozenset(names.values()), names, annotations, category)


def _csv_truth(path: Path) -> _Truth:
    names: dict[Any, int] = {}
    boxes: dict[tuple[Any, ...], dict[str, Any]] = {}  # several actions of one person are several rows
    for _, key, box, _ in _csv_rows(path, ("video", "frame"), False):
        image = names.setdefault(key, len(names) + 1)
        x, y, width, height = xywh(box)
        one = {"image_id": image, "category_id": 1, "bbox": [x, y, width, height], "area": width * height, "iscrowd": 0}
        boxes.setdefault((image, *box), {"id": len(boxes) + 1, **one})
    if not boxes:
        raise DataError(path, None, "holds no ground truth")
    return _Truth(frozenset(names.values()), names, list(boxes.values()), 1)


_Rows = list[dict[str, Any]]


def _found(path: Path, truth: _Truth) -> tuple[_Rows, frozenset[int] | None]:
    """Detections on known images in the layout of COCO, and the images that were looked at where the file tells."""
    if path.suffix == ".json":
        return _coco_rows(path, truth.category), None
    seen: set[int] = set()
    best: dict[tuple[Any, ...], float] = {}
    records = path.suffix == ".jsonl"
    boxes = _record_boxes(path, read_json_lines(path), truth, seen) if records else _csv_boxes(path, truth)
    for image, box, score in boxes:
        key = (image, *box)
        best[key] = max(score, best.get(key, score))
    rows: _Rows = [
        {"image_id": image, "category_id": truth.category, "bbox": xywh(box), "score": score}
        for (image, *box), score in best.items()
    ]
    return rows, frozenset(seen) if records else None


def _coco_rows(path: Path, category: int) -> _Rows:
    data = _read_json(path)
    if not isinstance(data, list):
        raise DataError(path, None, f"expected a list of {', '.join(_RESULT)}, got {type(data).__name__}")
    rows = []
    for number, row in enumerate(data):
        try:
            image, kind = int(row["image_id"]), row["category_id"]
            bbox, score = [float(value) for value in row["bbox"]], float(row["score"])
            if len(bbox) != 4 or not all(map(math.isfinite, [*bbox, score])):
                raise ValueError(f"bbox is 4 finite numbers and score is one, got {bbox} and {score}")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            expected = f"expected {', '.join(_RESULT)}"
            raise DataError(path, None, f"entry {number}: {expected}; {type(error).__name__}: {error}") from error
        if kind == category:
            rows.append({"image_id": image, "category_id": category, "bbox": bbox, "score": score})
    return rows


_Boxes = Iterator[tuple[int, list[float], float]]


def _record_boxes(path: Path, records: Iterable[Mapping[str, Any]], truth: _Truth, seen: set[int]) -> _Boxes:
    for line, record in enumerate(records, start=1):
        with record_at(path, line):
            image = truth.names.get((str(record["video"]), int(record["frame"])))
            if image is None:
                continue
            seen.add(image)
            for person in record["persons"]:
                x1, y1, x2, y2 = (float(value) for value in person["box"])
                yield image, [x1, y1, x2, y2], float(person["score"])


def _csv_boxes(path: Path, truth: _Truth) -> _Boxes:
    by_video = isinstance(next(iter(truth.names), None), tuple)
    ids = {str(image): image for image in truth.images}
    for line, key, box, score in _csv_rows(path, ("video", "frame") if by_video else ("image_id",), True):
        image = truth.names.get(key) if by_video else truth.names.get(key[0], ids.get(key[0]))
        if image is not None:
            yield image, box, score
        elif not by_video:
            raise DataError(path, line, f"image {key[0]!r} is neither an id nor a file name of the ground truth")


def _csv_rows(
    path: Path, keys: tuple[str, ...], scored: bool
) -> Iterator[tuple[int, tuple[Any, ...], list[float], float]]:
    """Line, key (frames as numbers), box and score (1 where there is none) of every row."""
    reader = csv.reader(read_lines(path))
    columns = {{"video_id": "video"}.get(name.strip(), name.strip()): i for i, name in enumerate(next(reader, []))}
    needed = (*keys, *_BOX, *(("score",) if scored else ()))
    missing = [name for name in needed if name not in columns]
    if missing:
        raise DataError(path, 1, f"the header lacks {', '.join(missing)}; expected {','.join(needed)}")
    for row in reader:
        line = reader.line_num
        if len(row) != len(columns):
            raise DataError(path, line, f"{len(row)} columns, the header has {len(columns)}")
        try:
            values = [float(row[columns[name]]) for name in needed[len(keys) :]]
            key = tuple(int(row[columns[name]]) if name == "frame" else row[columns[name]] for name in keys)
            if not all(map(math.isfinite, values)):
                raise ValueError(f"a box and a score are finite numbers, got {values}")
        except ValueError as error:
            raise DataError(path, line, f"expected {','.join(needed)}; {error}") from error
        yield line, key, values[:4], values[4] if scored else 1.0
