"""Files of tubes and of boxes on frames."""

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from sf_detect.errors import DataError, UnknownNameError
from sf_detect.evaluation.linking import link_greedy
from sf_detect.evaluation.mean_ap import frame_map, video_map
from sf_detect.evaluation.tube_files import (
    read_act_pickle,
    read_frame_csv,
    read_multisports_frames,
    read_multisports_tubes,
)
from sf_detect.labels import LabelMap, label_set

SHARED = Path(__file__).parents[3] / "shared/data/jhmdb/boxes.csv"
LABELS = LabelMap(("walk", "run"), (0, 1))
HEADER = "video_id,frame,x1,y1,x2,y2,action,score\n"


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
    read = read_act_pickle(tmp_path / "gt.pkl")
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
        read_act_pickle(tmp_path / "gt.pkl")


@pytest.mark.parametrize("content", [b"", b"not a pickle", pickle.dumps([1, 2]), pickle.dumps({"labels": ["a"]})])
def test_other_pickles(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "gt.pkl").write_bytes(content)
    with pytest.raises(DataError, match=r"gt\.pkl: (cannot be read as a pickle|expected the keys labels)"):
        read_act_pickle(tmp_path / "gt.pkl")
    with pytest.raises(DataError):
        read_multisports_frames(tmp_path / "gt.pkl")
    with pytest.raises(DataError):
        read_multisports_tubes(tmp_path / "gt.pkl")


def test_multisports_detections(tmp_path: Path) -> None:
    rows = np.array([[0, 1, 1, 0.5, 1, 2, 3, 4], [1, 7, 0, 0.25, 5, 6, 7, 8]])
    (tmp_path / "frames.pkl").write_bytes(pickle.dumps(rows))
    boxes = read_multisports_frames(tmp_path / "frames.pkl")
    assert (boxes.videos.tolist(), boxes.frames.tolist(), boxes.labels.tolist()) == ([0, 1], [1, 7], [1, 0])
    assert (boxes.scores.tolist(), boxes.boxes.tolist()) == ([0.5, 0.25], [[1, 2, 3, 4], [5, 6, 7, 8]])
    stream = io.BytesIO()
    pickle.dump({1: [("v", 0.5, _tube(3, 4))]}, stream, protocol=5)
    (tmp_path / "tubes.pkl").write_bytes(stream.getvalue())
    (tube,) = read_multisports_tubes(tmp_path / "tubes.pkl")
    assert (tube.video, tube.label, tube.score, tube.frames.tolist()) == ("v", 1, 0.5, [3, 4])


def test_frame_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        HEADER + "b,2,1,2,3,4,run,0.5\na,0,1,2,3,4,walk,0.25\nb,1,5,6,7,8.5,1,0.75\nb,1,5,6,7,8,walk,1\n"
    )
    read = read_frame_csv(tmp_path / "a.csv", LABELS)
    assert read.videos == ("b", "a")
    assert read.boxes.labels.tolist() == [1, 0, 1, 0]
    assert read.boxes.scores.tolist() == [0.5, 0.25, 0.75, 1]
    run = next(tube for tube in read.tubes() if tube.label == 1)
    assert (run.frames.tolist(), run.boxes[0].tolist(), run.score) == ([1, 2], [5, 6, 7, 8.5], 0.625)
    assert read.numbered_as(["a", "z"]).videos.tolist() == [2, 0, 2, 2]
    frames = read.by_frame()
    assert list(frames) == [("b", 0), ("b", 1), ("a", 0)]
    assert frames["b", 1][2][1].tolist() == [0.5]


def test_tracks_make_tubes(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "video,frame,x1,y1,x2,y2,label,track\nv,0,0,0,1,1,run,p\nv,0,5,5,6,6,run,q\nv,1,0,0,1,1,run,p\n"
    )
    tubes = read_frame_csv(tmp_path / "a.csv", LABELS).tubes()
    assert [tube.frames.tolist() for tube in tubes] == [[0, 1], [0]]


def test_two_boxes_of_one_class_need_tracks(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + "v,0,0,0,1,1,run,1\nv,0,5,5,6,6,run,1\n")
    with pytest.raises(DataError, match="a column 'track' must tell them apart"):
        read_frame_csv(tmp_path / "a.csv", LABELS).tubes()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("video,frame,x1\n", ":1: the header lacks y1, x2, y2, label"),
        (HEADER + "v,0,0,0,1,1,run\n", ":2: 7 columns, the header has 8"),
        (HEADER + "v,0,0,0,1,1,rum,1\n", ":2: unknown label 'rum'. Did you mean 'run'"),
        (HEADER + "v,0.5,0,0,1,1,run,1\n", ":2: frame is an integer, got '0.5'"),
        (HEADER + "v,1,0,nan,1,1,run,1\n", ":2: y1 is a finite number, got 'nan'"),
        (HEADER + "v,1,0,0,1,1,run,\n", ":2: score is a finite number, got ''"),
    ],
)
def test_malformed_frame_csv(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(DataError) as error:
        read_frame_csv(tmp_path / "a.csv", LABELS)
    assert message in str(error.value)
    with pytest.raises(DataError, match="cannot be read"):
        read_frame_csv(tmp_path / "missing.csv", LABELS)


def test_empty_frame_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER)
    read = read_frame_csv(tmp_path / "a.csv", LABELS)
    assert (len(read.boxes), read.tubes(), read.by_frame()) == (0, [], {})
    assert len(read.numbered_as(["v"])) == 0


@pytest.mark.skipif(not SHARED.exists(), reason="no shared data")
def test_ground_truth_against_itself(tmp_path: Path) -> None:
    labels = label_set("jhmdb21")
    lines = SHARED.read_text().splitlines()
    wanted = [line for line in lines[1:] if line.split("_0")[0] in ("brush_hair", "wave", "clap")]
    (tmp_path / "a.csv").write_text("\n".join([lines[0], *wanted]) + "\n")
    read = read_frame_csv(tmp_path / "a.csv", labels)
    truth = read.tubes()
    assert len(truth) == len(read.videos) > 50
    assert frame_map(read.boxes, read.boxes, labels, "act").mean_ap == pytest.approx(1)
    linked = [t for (v, c), frames in read.by_frame().items() for t in link_greedy(v, c, frames, iou_threshold=0.1)]
    assert video_map(truth, linked, labels, "act", 0.5).mean_ap == pytest.approx(1)
