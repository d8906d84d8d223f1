"""Small archives, made on the spot: what the tests of the archive ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sf_detect.archive.parquet_sink import ParquetSink
from sf_detect.archive.schema import FOLDERS, SUFFIX
from sf_detect.events import EventRules
from sf_detect.model_spec import ModelSpec
from sf_detect.structures import ActionDetections, ClipSpec, Detections, Frame, FrameResult, VideoInfo

LABELS = ("stand", "walk", "wave")
SPEC = ModelSpec("fake", LABELS, ClipSpec(8, 2), thresholds=(0.5, 0.5, 0.5))
STRIDE = 0.5


def keyframe(
    index: int,
    scores: Mapping[int, Sequence[float]],
    features: Mapping[int, Sequence[float]] | None = None,
    size: tuple[int, int] = (64, 48),
    fps: float = 10.0,
) -> FrameResult:
    """A result with persons by track id; a keyframe every fifth frame."""
    frame = Frame(np.zeros((size[1], size[0], 3), np.uint8), index, index / fps)
    ids = np.array(list(scores), np.int64)
    boxes = np.array([[4.0 * i, 8, 4.0 * i + 10, 40] for i in range(len(ids))], np.float32).reshape(-1, 4)
    persons = Detections(boxes, np.full(len(ids), 0.9, np.float32), ids)
    table = np.array(list(scores.values()), np.float32).reshape(len(ids), len(LABELS))
    vectors = None if features is None else np.array([features[i] for i in scores], np.float32).reshape(len(ids), -1)
    return FrameResult(frame, persons, ActionDetections(frame.pts, persons, table, None, vectors), is_keyframe=True)


def sink_for(
    folder: Path, video: str, source: str | None = None, features: bool = False, **options: Any
) -> ParquetSink:
    """Where `sf-detect annotate` puts the tables."""
    files = {table: folder / place / f"{video}{SUFFIX}" for table, place in FOLDERS.items()}
    return ParquetSink(
        persons=files["persons"],
        segments=files["segments"],
        features=files["features"] if features else None,
        video=video,
        source=source or f"/videos/{video}",
        info=options.pop("info", VideoInfo(64, 48, fps=10, name=video, duration=10.0)),  # type: ignore[arg-type]
        spec=options.pop("spec", SPEC),
        thresholds=SPEC.thresholds,
        rules=EventRules(video, LABELS, SPEC.thresholds, stride=STRIDE),
        **options,
    )


def write_archive(
    folder: Path, videos: Mapping[str, Mapping[float, Mapping[int, Sequence[float]]]], **options: Any
) -> Path:
    """An archive of videos: scores by track, by second, of each."""
    for video, keyframes in videos.items():
        sink = sink_for(folder, video, **options)
        for seconds, scores in keyframes.items():
            sink.write(keyframe(round(seconds * 10), scores))
        sink.close()
    return folder


def doing(
    label: str, start: float, end: float, track: int = 1, score: float = 0.8
) -> dict[float, dict[int, list[float]]]:
    """Keyframes of one person who does one thing."""
    row = [score if name == label else 0.1 for name in LABELS]
    return {float(t): {track: row} for t in np.arange(start, end, STRIDE)}
