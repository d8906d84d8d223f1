"""Files of boxes on frames."""

from pathlib import Path

import pytest

from sf_detect.errors import DataError
from sf_detect.evaluation.linking import link_greedy
from sf_detect.evaluation.mean_ap import frame_map, video_map
from sf_detect.evaluation.tube_files import read_frame_csv
from sf_detect.labels import LabelMap, label_set

SHARED = Path(__file__).parents[3] / "shared/data/jhmdb/boxes.csv"
LABELS = LabelMap.of(["walk", "run"])
HEADER = "video_id,frame,x1,y1,x2,y2,action,score\n"


def test_frame_csv(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        HEADER + "b,2,1,2,3,4,run,0.5\na,0,1,2,3,4,walk,0.25\nb,1,5,6,7,8.5,2,0.75\nb,1,5,6,7,8,walk,1\n"
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
        (HEADER + "v,0,0,0,1,1,0,1\n", ":2: label ids count from 1 in every set, got 0; add 1 to every id"),
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
