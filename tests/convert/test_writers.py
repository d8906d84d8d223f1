"""What other tools are given, read back: by their own libraries where they are installed."""

from __future__ import annotations

import csv
import json
from xml.etree import ElementTree

import numpy as np
import pytest

from sf_detect.convert import to_supervision
from sf_detect.convert.coco import write_coco
from sf_detect.convert.cvat import write_cvat
from sf_detect.convert.fiftyone import write_fiftyone
from sf_detect.convert.label_studio import write_label_studio
from sf_detect.convert.supervision import write_supervision
from sf_detect.convert.training_csv import write_training
from sf_detect.convert.video_records import VideoRecords, labels_that_count
from sf_detect.errors import ConfigError, DataError, MissingExtraError
from tests.convert.results import FPS, RECORDS, keyframe, person, videos

FIRST = next(videos())


def test_what_is_known_of_a_video():
    assert (FIRST.fps, FIRST.stride, FIRST.size, FIRST.frame_count) == (FPS, 0.5, (200, 100), 16)
    assert VideoRecords("v", [keyframe("v", 0)]).fps == 25
    assert VideoRecords("v", [keyframe("v", 30)]).fps == FPS
    assert VideoRecords("v", [keyframe("v", 0)], duration=2.0, stated_fps=50.0).frame_count == 100
    assert [track for _, track, _ in FIRST.persons()] == [1, 2, 1, 1]
    assert [track for _, track, _ in list(videos())[1].persons()] == [1, 2]  # numbers of their own


def test_labels_count_from_their_thresholds_on():
    someone = person(1, (0, 0, 1, 1), wave=0.8, walk=0.2)
    assert [e["label"] for e in labels_that_count(someone, None)] == ["wave"]
    assert [e["label"] for e in labels_that_count(someone, 0.1)] == ["wave", "walk"]
    for entry in someone["actions"]:
        del entry["above_threshold"]  # of earlier versions
    assert [e["label"] for e in labels_that_count(someone, None)] == ["wave"]


def test_coco(tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    (path,) = write_coco(videos, tmp_path / "c.json", None)
    found = coco.COCO(str(path))
    assert [video["name"] for video in found.dataset["videos"]] == ["cam/a.mp4", "b.mp4"]
    assert len(found.imgs) == 5
    assert len(found.anns) == 5  # nothing of the last person lies in the frame
    first = found.loadAnns(found.getAnnIds(imgIds=[1]))
    assert first[0]["bbox"] == [10, 10, 40, 80]
    assert first[0]["attributes"] == {"track_id": 1, "action": "wave,walk"}
    (second,) = found.loadAnns(found.getAnnIds(imgIds=[2]))
    assert second["track_id"] == first[0]["track_id"] != first[1]["track_id"]
    assert second["attributes"] == {"track_id": 1, "action": "wave", "posture": "stand"}
    (cut,) = found.loadAnns(found.getAnnIds(imgIds=[5]))
    assert cut["bbox"] == [0, 10, 30, 90]
    assert found.imgs[4]["file_name"] == "cam/a.mp4/000015.jpg"


def test_an_empty_coco_file(tmp_path):
    (path,) = write_coco(lambda: iter(()), tmp_path / "c.json", None)
    assert json.loads(path.read_text())["annotations"] == []


def test_cvat(tmp_path):
    root = ElementTree.parse(write_cvat(FIRST, tmp_path / "a.xml", None)).getroot()
    assert root.findtext("meta/task/original_size/width") == "200"
    first, second = root.findall("track")
    boxes = first.findall("box")
    assert [(box.get("frame"), box.get("outside"), box.get("xtl")) for box in boxes] == [
        ("0", "0", "10.00"),
        ("5", "0", "20.00"),
        ("15", "0", "40.00"),
    ]
    names = [attribute.get("name") for attribute in boxes[0]]
    assert names == ["posture:stand", "walk", "wave"]
    assert [attribute.text for attribute in boxes[0]] == ["false", "true", "true"]
    assert [box.get("outside") for box in second.findall("box")] == ["0", "1"]  # gone at the next keyframe


def test_cvat_by_datumaro(tmp_path):
    datumaro = pytest.importorskip("datumaro")
    write_cvat(FIRST, tmp_path / "annotations.xml", None)
    items = list(datumaro.Dataset.import_from(str(tmp_path), "cvat"))
    assert sum(len(item.annotations) for item in items) >= 4


def test_label_studio(tmp_path):
    (path,) = write_label_studio(videos(), tmp_path / "l.json", None)
    first, second = json.loads(path.read_text())
    assert first["data"] == {"video": "/videos/cam/a.mp4"}
    regions = first["predictions"][0]["result"]
    shown = [(r["value"]["labels"], r["meta"]["text"], [s["frame"] for s in r["value"]["sequence"]]) for r in regions]
    assert shown == [
        (["stand"], ["track 1"], [6]),
        (["walk"], ["track 1"], [1]),
        (["walk"], ["track 1"], [16]),
        (["wave"], ["track 1"], [1, 6]),
        (["person"], ["track 2"], [1]),
    ]
    wave = regions[3]["value"]
    assert [s["enabled"] for s in wave["sequence"]] == [True, False]
    assert {k: wave["sequence"][0][k] for k in ("x", "y", "width", "height")} == {
        "x": 5,
        "y": 10,
        "width": 20,
        "height": 80,
    }
    assert (wave["framesCount"], wave["duration"]) == (16, 1.6)
    assert len({region["id"] for region in regions}) == 5
    assert len(second["predictions"][0]["result"]) == 1


def test_label_studio_by_its_sdk(tmp_path):
    interface = pytest.importorskip("label_studio_sdk.label_interface")
    (path,) = write_label_studio(videos(), tmp_path / "l.json", None)
    labels = "".join(f'<Label value="{name}"/>' for name in ("person", "stand", "walk", "wave"))
    config = interface.LabelInterface(
        f'<View><Labels name="label" toName="video">{labels}</Labels><Video name="video" value="$video"/>'
        '<VideoRectangle name="box" toName="video"/></View>'
    )
    for task in json.loads(path.read_text()):
        assert config.validate_prediction(task["predictions"][0], return_errors=True) == []


def test_no_tasks(tmp_path):
    (path,) = write_label_studio(iter(()), tmp_path / "l.json", None)
    assert json.loads(path.read_text()) == []


def test_fiftyone(tmp_path):
    *labels, manifest = write_fiftyone(videos(), tmp_path / "d", None)
    index = json.loads(manifest.read_text())["index"]
    assert [entry["data"] for entry in index] == ["/videos/cam/a.mp4", "/videos/b.mp4"]
    frames = json.loads(labels[0].read_text())["frames"]
    assert sorted(frames) == ["1", "16", "6"]
    first = frames["6"]["objects"]["objects"][0]
    assert first["bounding_box"] == {"top_left": {"x": 0.1, "y": 0.1}, "bottom_right": {"x": 0.3, "y": 0.9}}
    assert [(a["name"], a["value"]) for a in first["attrs"]["attrs"]] == [("posture", "stand"), ("action", "wave")]


def test_fiftyone_by_its_importer(tmp_path):
    importers = pytest.importorskip("fiftyone.utils.data.importers")
    write_fiftyone(videos(), tmp_path, None)
    with importers.FiftyOneVideoLabelsDatasetImporter(str(tmp_path)) as importer:
        found = {path: frames for path, _, _, frames in importer}
    assert sum(len(frame["detections"].detections) for frame in found["/videos/cam/a.mp4"].values()) == 4


@pytest.mark.parametrize("source", ["", "rtsp://camera/1"])
def test_fiftyone_needs_the_videos(tmp_path, source):
    with pytest.raises(ConfigError, match="FiftyOne needs the file of the video"):
        write_fiftyone(iter([VideoRecords("v", RECORDS[:1], source=source)]), tmp_path, None)


def test_supervision_detections():
    supervision = pytest.importorskip("supervision")
    found = to_supervision(RECORDS[0])
    assert isinstance(found, supervision.Detections)
    assert found.xyxy.tolist() == [[10, 10, 50, 90], [100, 10, 140, 90]]
    assert found.tracker_id.tolist() == [1, 2]
    assert found.data["actions"].tolist() == ["wave,walk", ""]
    assert len(found[found.tracker_id == 1]) == 1
    assert to_supervision(RECORDS[4]).tracker_id is None
    assert len(to_supervision(RECORDS[2])) == 0
    assert len(supervision.Detections.merge([found, found])) == 4


def test_supervision_csv_is_that_of_its_sink(tmp_path):
    supervision = pytest.importorskip("supervision")
    (path,) = write_supervision(videos(), tmp_path / "s.csv", None)
    with supervision.CSVSink(str(tmp_path / "own.csv")) as sink:
        sink.append(to_supervision(RECORDS[0]), custom_data={"frame": 0})
    ours, theirs = (list(csv.DictReader(p.read_text().splitlines())) for p in (path, tmp_path / "own.csv"))
    for mine, own in zip(ours, theirs, strict=False):
        assert {k: float(mine[k]) for k in ("x_min", "y_max", "tracker_id", "class_id")} == {
            k: float(own[k]) for k in ("x_min", "y_max", "tracker_id", "class_id")
        }
        assert (mine["actions"], mine["class_name"]) == (own["actions"], own["class_name"])
    assert len(ours) == 6


def test_without_supervision(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "supervision", None)
    with pytest.raises(MissingExtraError, match=r"sf_detect\[convert\]"):
        to_supervision(RECORDS[0])


def test_csv_to_train_on(tmp_path):
    path, labels = write_training(videos(), tmp_path / "train.csv", None)
    rows = list(csv.reader(path.read_text().splitlines()))
    assert rows[0] == ["video_id", "timestamp", "x1", "y1", "x2", "y2", "action", "person"]
    assert rows[1:4] == [
        ["a", "0.000", "0.0500", "0.1000", "0.2500", "0.9000", "wave", "1"],
        ["a", "0.000", "0.0500", "0.1000", "0.2500", "0.9000", "walk", "1"],
        ["a", "0.000", "0.5000", "0.1000", "0.7000", "0.9000", "", "2"],
    ]
    assert labels.read_text() == "id,name\n1,walk\n2,wave\n"
    labels.write_text("mine")
    assert write_training(videos(), path, None) == [path]
    assert labels.read_text() == "mine"


def test_two_videos_of_one_name_are_not_mixed_in_training_data(tmp_path):
    same = (
        VideoRecords(name, [keyframe(name, 0, person(1, (1, 1, 9, 9), wave=0.8))]) for name in ("x/a.mp4", "y/a.mp4")
    )
    with pytest.raises(DataError, match=r"y/a\.mp4.*x/a\.mp4 would both be the video_id 'a'"):
        write_training(same, tmp_path / "train.csv", None)
    assert not (tmp_path / "train.csv").exists()


def test_the_csv_is_read_by_the_training(tmp_path):
    from sf_detect.data.ava_csv import read_boxes
    from sf_detect.labels import read_label_map

    path, labels = write_training(videos(), tmp_path / "train.csv", None)
    known = read_label_map(labels)
    assert known.names == ("walk", "wave")
    keyframes = read_boxes(path, known, "")
    assert [(k.video, k.time, len(k.persons.boxes)) for k in keyframes] == [
        ("a", 0.0, 2),
        ("a", 0.5, 1),
        ("a", 1.5, 1),
        ("b", 0.0, 1),
    ]
    assert np.allclose(keyframes[0].persons.boxes[0], [0.05, 0.1, 0.25, 0.9])
