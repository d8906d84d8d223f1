"""The tables that a run leaves behind: every number, whole or not at all."""

from __future__ import annotations

import errno
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

from sf_detect.archive.schema import PERSONS, SEGMENTS, VERSION, VideoFacts
from sf_detect.archive.table_file import TableFile
from sf_detect.errors import ConfigError, SinkError
from sf_detect.interfaces import Sink
from tests.archive.archives import LABELS, SPEC, doing, keyframe, sink_for, write_archive


def rows(path):
    return pq.read_table(path).to_pylist()


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_it_is_a_sink(tmp_path):
    sink = sink_for(tmp_path, "a.mp4")
    assert isinstance(sink, Sink)
    sink.close()


def test_a_row_for_each_person_of_a_keyframe(tmp_path):
    sink = sink_for(tmp_path, "cam/a.mp4", source="/data/a.mp4")
    sink.write(keyframe(0, {3: [0.1, 0.7, 0.005], 5: [0.6, 0.2, 0.1]}))
    sink.write(keyframe(5, {}))
    sink.close()
    table = pq.read_table(tmp_path / "parquet/persons/cam/a.mp4.parquet")
    assert table.schema.equals(PERSONS)
    first, second = table.to_pylist()
    assert {k: first[k] for k in ("video", "frame", "time", "width", "height", "track_id")} == {
        "video": "cam/a.mp4",
        "frame": 0,
        "time": 0.0,
        "width": 64,
        "height": 48,
        "track_id": 3,
    }
    assert [first[k] for k in ("x1", "y1", "x2", "y2")] == [0, 8, 10, 40]
    assert [entry["label"] for entry in first["labels"]] == ["walk", "stand"]  # best first; below 0.01 left out
    assert first["labels"][0] == {
        "label": "walk",
        "label_group": "action",
        "score": pytest.approx(0.7),
        "above_threshold": True,
    }
    assert second["labels"][1]["above_threshold"] is False


def test_a_row_for_each_event(tmp_path):
    write_archive(tmp_path, {"a.mp4": doing("wave", 0, 3, track=7)}, source="/data/a.mp4")
    (row,) = rows(tmp_path / "parquet/segments/a.mp4.parquet")
    assert row == {
        "video": "a.mp4",
        "source": "/data/a.mp4",
        "track_id": 7,
        "label_group": "action",
        "label": "wave",
        "start_time": 0.0,
        "end_time": pytest.approx(2.6),
        "score": pytest.approx(0.8),
    }


def test_labels_of_other_groups_keep_their_group(tmp_path):
    groups = ("posture", "posture", "action")
    write_archive(tmp_path, {"a.mp4": doing("walk", 0, 3) | doing("wave", 3, 6)}, spec=replace(SPEC, groups=groups))
    segments = rows(tmp_path / "parquet/segments/a.mp4.parquet")
    assert [(row["label"], row["label_group"]) for row in segments] == [("walk", "posture"), ("wave", "action")]
    persons = rows(tmp_path / "parquet/persons/a.mp4.parquet")
    assert {(e["label"], e["label_group"]) for e in persons[0]["labels"]} == set(zip(LABELS, groups, strict=True))
    _, _, facts = VideoFacts.from_metadata(pq.read_metadata(tmp_path / "parquet/persons/a.mp4.parquet").metadata)
    assert facts.labels == {"posture": ("stand", "walk"), "action": ("wave",)}


def test_a_video_without_anybody_has_its_files_too(tmp_path):
    sink_for(tmp_path, "empty.mp4").close()
    assert files(tmp_path) == ["parquet/persons/empty.mp4.parquet", "parquet/segments/empty.mp4.parquet"]
    assert pq.read_schema(tmp_path / "parquet/segments/empty.mp4.parquet").equals(SEGMENTS)


def test_the_file_knows_its_video_and_model(tmp_path):
    sink = sink_for(tmp_path, "a.mp4", source="rtsp://user:secret@host/live?key=1", settings="ab12")
    sink.write(keyframe(0, {}))
    sink.close()
    metadata = pq.read_metadata(tmp_path / "parquet/persons/a.mp4.parquet").metadata
    assert b"secret" not in str(metadata).encode()
    version, table, facts = VideoFacts.from_metadata(metadata)
    assert (version, table) == (VERSION, "persons")
    assert facts.source == "rtsp://***@host/live?***"
    assert facts.labels == {"action": LABELS}
    assert (facts.model, facts.settings, facts.fps, facts.duration, facts.keyframes) == ("fake", "ab12", 10.0, 10.0, 1)


@pytest.mark.parametrize("content", [None, b"", b"[]", b"{}", b'{"version": "x", "table": 1}', b"[" * 100_000])
def test_other_files_have_no_facts(content):
    assert VideoFacts.from_metadata(None if content is None else {b"sf_detect.archive": content}) is None


def test_features_are_means_of_stretches_of_time(tmp_path):
    sink = sink_for(tmp_path, "a.mp4", features=True)
    for index in range(0, 30, 5):  # three seconds
        sink.write(keyframe(index, {1: [0.1] * 3}, features={1: [3.0, 0.0] if index < 20 else [0.0, 2.0]}))
    sink.close()
    first, second = rows(tmp_path / "features/a.mp4.parquet")
    assert (first["track_id"], first["start_time"], first["end_time"]) == (1, 0.0, 1.5)
    assert np.frombuffer(first["features"], "<f2").tolist() == [1, 0]
    assert (second["start_time"], second["end_time"]) == (2.0, 2.5)
    assert np.frombuffer(second["features"], "<f2").tolist() == [0, 1]


def test_long_features_are_made_shorter_and_keep_their_angles(tmp_path):
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 3000))
    sink = sink_for(tmp_path, "a.mp4", features=True)
    sink.write(keyframe(0, {1: [0.1] * 3, 2: [0.1] * 3, 3: [0.1] * 3}, features={1: a, 2: a + 0.1 * b, 3: b}))
    sink.close()
    found = [np.frombuffer(row["features"], "<f2") for row in rows(tmp_path / "features/a.mp4.parquet")]
    table = np.array(found, np.float64)
    assert table.shape == (3, 256)
    assert np.allclose(np.linalg.norm(table, axis=1), 1, atol=2e-3)
    assert table[0] @ table[1] == pytest.approx(0.995, abs=0.01)
    assert abs(table[0] @ table[2]) < 0.2


def test_features_that_the_model_does_not_give(tmp_path):
    sink = sink_for(tmp_path, "a.mp4", features=True)
    sink.write(keyframe(0, {}))
    with pytest.raises(ConfigError, match=r"model\.features=true"):
        sink.write(keyframe(5, {1: [0.1] * 3}))
    sink.discard()


@pytest.mark.parametrize("features", [{1: [np.nan, 1.0]}, {1: [np.inf, 1.0]}])
def test_features_that_are_no_numbers(tmp_path, features):
    sink = sink_for(tmp_path, "a.mp4", features=True)
    with pytest.raises(SinkError, match="features: those of frame 0 are not finite"):
        sink.write(keyframe(0, {1: [0.1] * 3}, features))
    sink.discard()


def test_a_score_that_is_no_number(tmp_path):
    sink = sink_for(tmp_path, "a.mp4")
    sink.write(keyframe(0, {1: [0.1] * 3}))
    with pytest.raises(SinkError, match="not a finite number"):
        sink.write(keyframe(5, {1: [np.nan, 0.1, 0.1]}))
    sink.close()
    assert len(rows(tmp_path / "parquet/persons/a.mp4.parquet")) == 1


def test_nothing_lies_there_before_it_is_complete(tmp_path):
    sink = sink_for(tmp_path, "a.mp4")
    sink.write(keyframe(0, {1: [0.1] * 3}))
    assert not list(tmp_path.rglob("*.parquet"))
    sink.discard()
    assert files(tmp_path) == []
    with pytest.raises(SinkError, match="closed"):
        sink.write(keyframe(5, {}))


def test_closing_twice(tmp_path):
    sink = sink_for(tmp_path, "a.mp4")
    sink.close()
    sink.close()
    with pytest.raises(SinkError, match=r"'a\.mp4' are closed"):
        sink.write(keyframe(0, {}))


def test_rows_leave_memory(tmp_path):
    facts = VideoFacts("v", "s", 1, 1)
    table = TableFile(tmp_path / "t.parquet", "segments", SEGMENTS, facts, batch_rows=10)
    row = {"video": "v", "source": "s", "track_id": 1, "label_group": "action", "label": "a"}
    row |= {"start_time": 0.0, "end_time": 1.0, "score": 1}
    for _ in range(35):
        table.write([row])
        assert len(table._rows) < 10
    table.close()
    assert pq.read_metadata(tmp_path / "t.parquet").num_row_groups == 4
    with pytest.raises(SinkError, match="takes no more rows"):
        table.write([row])


def test_a_full_disk_leaves_nothing_and_is_told(tmp_path, monkeypatch):
    sink = sink_for(tmp_path, "a.mp4")

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    sink.write(keyframe(0, {1: [0.1] * 3}))
    monkeypatch.setattr(pq.ParquetWriter, "write_table", full)
    with pytest.raises(SinkError, match="nothing of it was kept: the disk is full; free some space") as caught:
        sink.close()
    assert caught.value.__cause__.errno == errno.ENOSPC
    assert files(tmp_path) == []
    sink.close()


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "parquet").write_text("a file")
    with pytest.raises(SinkError, match=r"can't be written: .*expected a folder"):
        sink_for(tmp_path, "a.mp4")


def test_names_that_no_file_can_hold(tmp_path):
    with pytest.raises(SinkError, match="can't be written"):
        sink_for(tmp_path, "a\0b.mp4")
