"""Frame-mAP and video-mAP of files."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from sf_detect.errors import ConfigError, DataError, UnknownNameError
from sf_detect.evaluation.tube_evaluation import evaluate_tubes
from sf_detect.labels import LabelMap, label_set

LABELS = LabelMap.of(["walk", "run"])
SHARED = Path(__file__).parents[3] / "shared/data/jhmdb"


def _csv(path: Path, videos: dict[str, tuple[int, float]], label: str = "walk", track: bool = False) -> Path:
    """A moving box on frames first..first+19 of every video, with a score."""
    rows = ["video,frame,x1,y1,x2,y2,label,score" + (",track" if track else "")]
    for video, (first, score) in videos.items():
        for frame in range(first, first + 20):
            rows.append(f"{video},{frame},{frame},0,{frame + 30},40,{label},{score}" + (",p" if track else ""))
    path.write_text("\n".join(rows) + "\n")
    return path


def _pickle(path: Path, first: int) -> Path:
    frames = np.arange(first, first + 20)
    tube = np.stack([frames, frames, 0 * frames, frames + 30, 0 * frames + 40], axis=1).astype(np.float32)
    data = {"labels": ["walk", "run"], "gttubes": {v: {0: [tube]} for v in "ab"}, "test_videos": [["a"], ["b"]]}
    path.write_bytes(pickle.dumps(data))
    return path


@pytest.mark.parametrize("linking", [None, "greedy", "viterbi", "tracks"])
@pytest.mark.parametrize("how", ["act", "yowo", "multisports"])
def test_tubes_from_csv(tmp_path: Path, how: str, linking: str) -> None:
    truth = _csv(tmp_path / "gt.csv", {"a": (0, 1), "b": (0, 1)})
    found = _csv(tmp_path / "det.csv", {"a": (0, 0.9), "b": (0, 0.8)}, track=True)
    result = evaluate_tubes(truth, found, LABELS, how, linking=linking)
    json = result.to_json()
    assert json["frame_mAP"] == pytest.approx(1)
    assert json["video_mAP"] == pytest.approx({"0.2": 1, "0.5": 1, "0.75": 1, "0.5:0.95": 1})
    assert json["frame_per_class"]["run"] is None
    assert f"frame-mAP@0.5 ({how})" in result.table()
    assert "video-mAP@0.5:0.95  100.00" in result.table()


def test_tubes_from_pickle_with_splits(tmp_path: Path) -> None:
    truth = _pickle(tmp_path / "gt.pkl", 1)
    found = _csv(tmp_path / "det.csv", {"a": (1, 0.9)})
    assert evaluate_tubes(truth, found).frame.mean_ap == pytest.approx(0.5)
    assert evaluate_tubes(truth, found, split=1).to_json()["video_mAP"]["0.5"] == pytest.approx(1)
    assert evaluate_tubes(truth, found, split=2).frame.mean_ap == 0
    with pytest.raises(DataError, match=r"counts frames from 0, .*gt\.pkl from 1; count alike"):
        evaluate_tubes(truth, _csv(tmp_path / "det.csv", {"a": (0, 0.9)}))
    with pytest.raises(UnknownNameError, match="unknown split '3'"):
        evaluate_tubes(truth, found, split=3)


def test_tube_options(tmp_path: Path) -> None:
    found = _csv(tmp_path / "det.csv", {"a": (0, 0.9)})
    with pytest.raises(UnknownNameError, match="unknown linking 'nearest'"):
        evaluate_tubes(found, found, LABELS, linking="nearest")
    with pytest.raises(UnknownNameError, match="unknown convention"):
        evaluate_tubes(found, found, LABELS, "voc")
    with pytest.raises(ConfigError, match="a split needs a list of its videos"):
        evaluate_tubes(found, found, LABELS, split=1)


def _jsonl(path: Path, frames: range, video: str = "a", label: str = "walk") -> Path:
    person = {"score": 0.9, "track_id": 1, "actions": [{"label": label, "score": 0.8}]}
    records = [
        {"schema": "sf-detect/1", "video": video, "frame": f, "time": f / 25, "width": 99, "height": 99, "persons": p}
        for f in frames
        for p in [[{"box": [f, 0, f + 30, 40], **person}]]
    ]
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_json_lines_are_scored_on_their_keyframes(tmp_path: Path) -> None:
    truth = _csv(tmp_path / "gt.csv", {"a": (0, 1)})
    found = _jsonl(tmp_path / "d.jsonl", range(0, 20, 5))
    result = evaluate_tubes(truth, found, LABELS)
    assert result.to_json() == {
        "truth_frames": 20,
        "scored_frames": 4,
        "frame_mAP": pytest.approx(1),
        "frame_per_class": {"walk": pytest.approx(1), "run": None},
    }
    assert result.table().endswith(
        "scored on 4 of 20 frames with ground truth: those that have a line in the detections"
    )
    everywhere = evaluate_tubes(truth, found, LABELS, all_frames=True)
    assert everywhere.to_json()["frame_mAP"] == pytest.approx(0.2)
    assert "video_mAP" in everywhere.to_json()


def test_json_lines_with_pickled_ground_truth_of_folders(tmp_path: Path) -> None:
    frames = np.arange(1, 21)  # counted from 1
    tube = np.stack([frames, frames - 1, 0 * frames, frames + 29, 0 * frames + 40], axis=1).astype(np.float32)
    data = {"labels": ["walk", "run"], "gttubes": {"Walk/a": {0: [tube]}}, "test_videos": [["Walk/a"]]}
    (tmp_path / "gt.pkl").write_bytes(pickle.dumps(data))
    found = _jsonl(tmp_path / "d.jsonl", range(20))
    result = evaluate_tubes(tmp_path / "gt.pkl", found, all_frames=True)
    assert result.to_json()["frame_mAP"] == pytest.approx(1)
    assert result.to_json()["video_mAP"] == pytest.approx({"0.2": 1, "0.5": 1, "0.75": 1, "0.5:0.95": 1})


def test_malformed_json_lines(tmp_path: Path) -> None:
    truth = _csv(tmp_path / "gt.csv", {"a": (0, 1)})
    with pytest.raises(DataError, match=r"d\.jsonl:1: .*unknown label 'rum'\. Did you mean 'run'"):
        evaluate_tubes(truth, _jsonl(tmp_path / "d.jsonl", range(2), label="rum"), LABELS)
    found = _jsonl(tmp_path / "d.jsonl", range(2))
    found.write_text(found.read_text().replace("[1, 0, 31, 40]", "[1, 0, 31]"))
    with pytest.raises(DataError, match=r"d\.jsonl:2: not a record of `sf-detect run`"):
        evaluate_tubes(truth, found, LABELS)


def test_lists_of_videos(tmp_path: Path) -> None:
    truth = _csv(tmp_path / "gt.csv", {"a": (0, 1), "b": (0, 1)})
    found = _csv(tmp_path / "det.csv", {"a": (0, 0.9), "c": (0, 0.95)})
    (tmp_path / "list.txt").write_text("a\n\n")
    (tmp_path / "list.csv").write_text("video_id,split1,split2\na,test,train\nb,train,test\nc,test,test\n")
    assert evaluate_tubes(truth, found, LABELS, videos=tmp_path / "list.txt").frame.mean_ap == pytest.approx(1)
    (tmp_path / "files.txt").write_text("a.avi 7\n")  # as UCF101's lists
    assert evaluate_tubes(truth, found, LABELS, videos=tmp_path / "files.txt").frame.mean_ap == pytest.approx(1)
    assert evaluate_tubes(truth, found, LABELS, videos=tmp_path / "list.csv", split=1).frame.mean_ap == pytest.approx(1)
    assert evaluate_tubes(truth, found, LABELS, videos=tmp_path / "list.csv", split=2).frame.mean_ap == 0
    assert evaluate_tubes(truth, found, LABELS, videos=tmp_path / "list.csv").frame.mean_ap == pytest.approx(0.5)
    with pytest.raises(ConfigError, match="a split needs a csv with the columns video and split1"):
        evaluate_tubes(truth, found, LABELS, videos=tmp_path / "list.txt", split=1)
    with pytest.raises(DataError, match=r"list\.csv:1: the header lacks split3; got video_id,split1,split2"):
        evaluate_tubes(truth, found, LABELS, videos=tmp_path / "list.csv", split=3)
    (tmp_path / "list.txt").write_text("z\n")
    with pytest.raises(DataError, match="none of its 1 videos has ground truth"):
        evaluate_tubes(truth, found, LABELS, videos=tmp_path / "list.txt")


def test_nothing_in_common(tmp_path: Path) -> None:
    truth = _csv(tmp_path / "gt.csv", {"a": (0, 1)})
    with pytest.raises(DataError, match=r"none of its 1 videos \(such as 'c'\) is in the ground truth \(such as 'a'\)"):
        evaluate_tubes(truth, _csv(tmp_path / "det.csv", {"c": (0, 0.9)}), LABELS)
    empty = _csv(tmp_path / "empty.csv", {})
    assert evaluate_tubes(truth, empty, LABELS).to_json()["frame_mAP"] == 0
    with pytest.raises(DataError, match=r"empty\.csv: holds no ground truth"):
        evaluate_tubes(empty, truth, LABELS)


def test_ucf101_annotations(tmp_path: Path) -> None:
    boxes = np.stack([np.arange(20), np.zeros(20), np.full(20, 30), np.full(20, 40)], axis=1).astype(np.int16)
    one = {"label": np.int64(2), "sf": 3, "ef": 23, "boxes": boxes}
    data = {"Biking/v_Biking_g01_c01": {"annotations": [one], "numf": 30, "label": 2}}
    (tmp_path / "pyannot.pkl").write_bytes(pickle.dumps(data, protocol=2))
    rows = ["video,frame,x1,y1,x2,y2,label,score"]
    rows += [f"Biking/v_Biking_g01_c01,{3 + i},{i},0,{i + 30},40,Biking,0.9" for i in range(20)]
    (tmp_path / "d.csv").write_text("\n".join(rows) + "\n")
    result = evaluate_tubes(tmp_path / "pyannot.pkl", tmp_path / "d.csv", how="yowo")
    assert result.frame.name == "frame-mAP@0.5 (yowo)"
    assert result.frame.mean_ap == pytest.approx(1)
    assert result.video_means["0.75"] == pytest.approx(1, abs=1e-4)
    with pytest.raises(ConfigError, match="a split needs a list of its videos"):
        evaluate_tubes(tmp_path / "pyannot.pkl", tmp_path / "d.csv", split=1)
    (tmp_path / "pyannot.pkl").write_bytes(pickle.dumps({"v": {"annotations": []}}))
    with pytest.raises(DataError, match="no annotations in it"):
        evaluate_tubes(tmp_path / "pyannot.pkl", tmp_path / "d.csv")


def test_multisports_detections(tmp_path: Path) -> None:
    truth = _pickle(tmp_path / "gt.pkl", 1)
    frames = np.arange(1, 21)
    boxes = np.stack([frames, 0 * frames, frames + 30, 0 * frames + 40], axis=1)
    rows = np.concatenate([np.stack([0 * frames, frames, 0 * frames, 0 * frames + 0.9], axis=1), boxes], axis=1)
    (tmp_path / "frames.pkl").write_bytes(pickle.dumps(rows))
    result = evaluate_tubes(truth, tmp_path / "frames.pkl", how="multisports", split=1)
    assert result.frame.mean_ap == pytest.approx(1)
    assert result.video_means["0.5:0.95"] == pytest.approx(1)
    (tmp_path / "tubes.pkl").write_bytes(pickle.dumps({0: [("a", 0.9, np.concatenate([frames[:, None], boxes], 1))]}))
    tubes = evaluate_tubes(truth, tmp_path / "tubes.pkl", how="multisports", split=1)
    assert "frame_mAP" not in tubes.to_json()
    assert tubes.video_means["0.5"] == pytest.approx(1)
    rows[:, 0] = 7
    (tmp_path / "frames.pkl").write_bytes(pickle.dumps(rows))
    with pytest.raises(DataError, match=r"video numbers lie in 0\.\.0, got 7"):
        evaluate_tubes(truth, tmp_path / "frames.pkl", split=1)
    with pytest.raises(ConfigError, match="numbers videos by the test list of a ground-truth pickle"):
        evaluate_tubes(_csv(tmp_path / "gt.csv", {"a": (0, 1)}), tmp_path / "frames.pkl", LABELS)


@pytest.mark.skipif(not SHARED.exists(), reason="no shared data")
def test_jhmdb_against_itself() -> None:
    boxes, videos = SHARED / "boxes.csv", SHARED / "videos.csv"
    result = evaluate_tubes(boxes, boxes, label_set("jhmdb21"), videos=videos, split=1)
    assert result.frame.mean_ap == pytest.approx(1)
    assert result.video_means["0.5"] > 0.99
    assert 250 < sum(result.video.truths.values()) < 300


def _of_folders(path: Path, *folders: str) -> Path:
    """Ground truth in which every folder has a video `a`."""
    frames = np.arange(1, 21)
    tube = np.stack([frames, frames, 0 * frames, frames + 30, 0 * frames + 40], axis=1).astype(np.float32)
    names = [f"{folder}/a" for folder in folders]
    data = {"labels": ["walk", "run"], "gttubes": {v: {0: [tube]} for v in names}, "test_videos": [names]}
    path.write_bytes(pickle.dumps(data))
    return path


def test_a_name_that_several_videos_have_is_refused(tmp_path: Path) -> None:
    truth, found = _of_folders(tmp_path / "gt.pkl", "walk", "run"), tmp_path / "det.csv"
    with pytest.raises(DataError, match=r"det\.csv: video 'a' could be any of 2 in the ground truth"):
        evaluate_tubes(truth, _csv(found, {"a": (1, 0.9)}))
    tubes = {0: [("a", 0.9, np.stack([np.arange(1, 21)] * 5, axis=1))]}
    (tmp_path / "det.pkl").write_bytes(pickle.dumps(tubes))
    with pytest.raises(DataError, match=r"det\.pkl: video 'a' could be any of 2"):
        evaluate_tubes(truth, tmp_path / "det.pkl", how="multisports")
    result = evaluate_tubes(truth, _csv(found, {"walk/a": (1, 0.9), "run/a": (1, 0.8), "sit/a": (1, 0.9)}))
    assert result.video.mean_ap > 0.6


def test_tubes_of_a_pickle_are_named_as_the_truth_is(tmp_path: Path) -> None:
    frames = np.arange(1, 21)
    tube = np.stack([frames, frames, 0 * frames, frames + 30, 0 * frames + 40], axis=1)
    (tmp_path / "det.pkl").write_bytes(pickle.dumps({0: [("a", 0.9, tube)]}))
    result = evaluate_tubes(_of_folders(tmp_path / "gt.pkl", "walk"), tmp_path / "det.pkl", how="multisports")
    assert result.video.mean_ap == 1


def _scaled(path: Path, change) -> Path:
    header, *rows = path.read_text().splitlines()
    cells = [row.split(",") for row in rows]
    changed = [[*c[:2], *(f"{v:g}" for v in change(*map(float, c[2:6]))), *c[6:]] for c in cells]
    (path.parent / "changed.csv").write_text("\n".join([header, *(",".join(c) for c in changed)]) + "\n")
    return path.parent / "changed.csv"


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda *box: [v / 100 for v in box], "boxes of the detections are at most 0.49, like shares of the frame"),
        (lambda x, y, x2, y2: (x2, y2, x, y), "20 of 20 boxes of the detections have no area"),
        (lambda *box: [v + 100 for v in box], "no detection overlaps a ground-truth box of its class enough"),
    ],
)
def test_boxes_in_another_form_give_a_note(tmp_path: Path, change, note: str) -> None:
    truth = _csv(tmp_path / "gt.csv", {"a": (0, 1)})
    result = evaluate_tubes(truth, _scaled(truth, change), LABELS, "yowo")
    assert result.frame.mean_ap == 0
    assert note in result.notes[0]
    assert result.to_json()["notes"] == list(result.notes)
    assert evaluate_tubes(truth, truth, LABELS, "yowo").notes == ()


def test_notes_on_labels_and_on_what_is_not_there(tmp_path: Path) -> None:
    truth = _of_folders(tmp_path / "gt.pkl", "walk")
    rows = np.array([[0, f, label, 0.9, f, 0, f + 30, 40] for f in range(1, 21) for label in (0, 7)], float)
    (tmp_path / "det.pkl").write_bytes(pickle.dumps(rows))
    result = evaluate_tubes(truth, tmp_path / "det.pkl", how="multisports")
    assert result.frame.mean_ap == 1
    assert result.notes == ("20 detections have a label outside the 2 classes and do not count",)
    (tmp_path / "det.pkl").write_bytes(pickle.dumps(rows[:6]))
    assert "no tube is left" in evaluate_tubes(truth, tmp_path / "det.pkl", how="multisports").notes[-1]
    (tmp_path / "det.pkl").write_bytes(pickle.dumps(rows[:0]))
    assert evaluate_tubes(truth, tmp_path / "det.pkl", how="multisports").notes == (
        "the detections hold no box of a video that is evaluated",
    )


CASES = Path(__file__).parents[3] / "shared/cases"


@pytest.mark.skipif(not CASES.exists(), reason="no shared data")
def test_shared_case_of_short_names() -> None:
    with pytest.raises(
        DataError, match="video 'v0' could be any of 3 in the ground truth: 'brush_hair/v0', 'catch/v0'"
    ):
        evaluate_tubes(CASES / "gt_p3.pkl", CASES / "d_short.csv")
