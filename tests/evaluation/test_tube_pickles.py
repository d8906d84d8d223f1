"""Pickles of tubes and of boxes on frames."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from sf_detect.errors import DataError, UnknownNameError
from sf_detect.evaluation.tube_pickles import read_annotation_pickle, read_detection_pickle
from sf_detect.labels import LabelMap


def _tube(*frames: int) -> np.ndarray:
    return np.array([[frame, 0, 0, 10, 10] for frame in frames], np.float32)


def test_act_pickle(tmp_path: Path) -> None:
    data = {
        "labels": ["walk", "run"],
        "gttubes": {"walk/a": {0: [_tube(1, 2, 3)]}, "run/b": {1: [_tube(4, 5), _tube(7)]}},
        "test_videos": [["walk/a"], ["run/b"]],
        "nframes": {"walk/a": np.int64(3)},
    }
    (tmp_path / "gt.pkl").write_bytes(pickle.dumps(data, protocol=2))
    read = read_annotation_pickle(tmp_path / "gt.pkl")
    assert read.labels == LabelMap.of(["walk", "run"])
    assert [(t.video, t.label, t.frames.tolist()) for t in read.tubes] == [
        ("walk/a", 0, [1, 2, 3]),
        ("run/b", 1, [4, 5]),
        ("run/b", 1, [7]),
    ]
    assert [t.video for t in read.test_split(2)] == ["run/b", "run/b"]
    with pytest.raises(UnknownNameError, match="unknown split '3'"):
        read.test_split(3)


def test_pickle_cannot_run_code(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.system, ("true",)

    (tmp_path / "gt.pkl").write_bytes(pickle.dumps({"labels": Evil()}))
    with pytest.raises(DataError, match=r"it wants to call (posix|nt)\.system, which is refused"):
        read_annotation_pickle(tmp_path / "gt.pkl")


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps({"labels": ["a"]})])
def test_other_pickles(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "gt.pkl").write_bytes(content)
    with pytest.raises(DataError, match=r"gt\.pkl: (cannot be read as a pickle|expected the keys labels)"):
        read_annotation_pickle(tmp_path / "gt.pkl")
    with pytest.raises(DataError):
        read_detection_pickle(tmp_path / "gt.pkl")


def test_multisports_detections(tmp_path: Path) -> None:
    rows = np.array([[0, 1, 1, 0.5, 1, 2, 3, 4], [1, 7, 0, 0.25, 5, 6, 7, 8]])
    (tmp_path / "frames.pkl").write_bytes(pickle.dumps(rows))
    boxes = read_detection_pickle(tmp_path / "frames.pkl")
    assert (boxes.videos.tolist(), boxes.frames.tolist(), boxes.labels.tolist()) == ([0, 1], [1, 7], [1, 0])
    assert (boxes.scores.tolist(), boxes.boxes.tolist()) == ([0.5, 0.25], [[1, 2, 3, 4], [5, 6, 7, 8]])
    stream = io.BytesIO()
    pickle.dump({1: [("v", 0.5, _tube(3, 4))]}, stream, protocol=5)
    (tmp_path / "tubes.pkl").write_bytes(stream.getvalue())
    (tube,) = read_detection_pickle(tmp_path / "tubes.pkl")
    assert (tube.video, tube.label, tube.score, tube.frames.tolist()) == ("v", 1, 0.5, [3, 4])


@pytest.mark.parametrize(
    ("column", "value", "message"), [(3, np.nan, "row 1 holds a number that is not finite"), (2, 0.5, "whole numbers")]
)
def test_detections_that_are_no_numbers(tmp_path: Path, column: int, value: float, message: str) -> None:
    rows = np.array([[0, 1, 1, 0.5, 1, 2, 3, 4], [1, 7, 0, 0.25, 5, 6, 7, 8]])
    rows[1, column] = value
    (tmp_path / "d.pkl").write_bytes(pickle.dumps(rows))
    with pytest.raises(DataError, match=message):
        read_detection_pickle(tmp_path / "d.pkl")


def _write(path: Path, content: object) -> Path:
    path.write_bytes(pickle.dumps(content))
    return path


def _act(**changes: object) -> dict[str, object]:
    return {"labels": ["walk"], "gttubes": {"a": {0: [_tube(1)]}}, "test_videos": [["a"]], **changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"gttubes": {"a": {0: [np.full((1, 5), np.nan, np.float32)]}}}, "row 0 holds a number that is not finite"),
        ({"gttubes": {"a": {0: [np.full((1, 5), 1e30)]}}}, "too large"),
        ({"gttubes": {"a": {float("inf"): [_tube(1)]}}}, "not finite"),
        ({"gttubes": {"a": {0.5: [_tube(1)]}}}, "a whole number, got 0.5"),
        ({"gttubes": {"a": {0: [np.array([[1, 2, 3, 4, "x"]], object)]}}}, "where numbers are expected"),
        ({"gttubes": {"a": {0: [np.ones(5)]}}}, r"an array of shape \(5,\)"),
        ({"gttubes": {("a",): {0: [_tube(1)]}}}, "tuple where a name is expected"),
        ({"labels": [["walk"]]}, "list where a name is expected"),
    ],
)
def test_ground_truth_of_impossible_values(tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_annotation_pickle(_write(tmp_path / "gt.pkl", _act(**changes)))


@pytest.mark.parametrize(("first", "last"), [(0, 10**12), (float("nan"), 4), (0.5, 4)])
def test_frames_of_pyannot_are_those_of_its_boxes(tmp_path: Path, first: float, last: float) -> None:
    one = {"label": 1, "sf": first, "ef": last, "boxes": np.ones((2, 4), np.int16)}
    with pytest.raises(DataError, match=r"2 boxes for frames|not finite|a whole number"):
        read_annotation_pickle(_write(tmp_path / "pyannot.pkl", {"v": {"annotations": [one]}}))


def test_lists_and_arrays_of_objects_are_read(tmp_path: Path) -> None:
    tubes = np.empty(2, object)
    tubes[:] = [_tube(1), _tube(2)]
    content = _act(gttubes={b"a": {np.int64(0): tubes}}, labels=np.array(["walk"]))
    assert len(read_annotation_pickle(_write(tmp_path / "gt.pkl", content)).tubes) == 2
    detections = {0: [["v", np.float32(0.5), [[1, 0, 0, 10, 10]]]]}
    assert read_detection_pickle(_write(tmp_path / "d.pkl", detections))[0].boxes.tolist() == [[0, 0, 10, 10]]


def test_detections_of_impossible_values(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="row 1 holds a number that is not finite"):
        read_detection_pickle(_write(tmp_path / "d.pkl", np.array([[0.0] * 8, [np.inf] * 8])))
    with pytest.raises(DataError, match="is no file"):
        read_detection_pickle(tmp_path)
