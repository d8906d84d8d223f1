"""Questions to a large archive that is made up: `python tools/benchmark.py query`.

10 million rows of persons in 10,000 files, two million segments, and 100,000 stretches of features, as 350 hours of
video with four persons would leave. Kept in the folder for the next run.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from sf_detect.archive.features import SIZE
from sf_detect.archive.schema import FOLDERS, PERSONS, SEGMENTS, SUFFIX, VideoFacts, features_schema
from sf_detect.archive.table_file import write_options

LABELS = tuple(f"action_{i:02d}" for i in range(21))
_LABELS_EACH = 4
_PERSONS_EACH = 4
_STRIDE = 0.5

QUESTIONS = {
    "label": ["--label", "action_07", "--min-score", "0.9", "--min-duration", "10", "--format", "csv"],
    "one video": ["--video", "video_00123", "--format", "csv"],
    "seconds per label and video": ["--stats", "--format", "csv"],
    "SQL over segments": ["--sql", "SELECT label, sum(duration) FROM segments GROUP BY label", "--format", "csv"],
    "SQL over persons": ["--sql", "SELECT count(*), avg(score) FROM persons WHERE x1 > 600", "--format", "csv"],
    "SQL over labels of persons": [
        "--sql",
        "SELECT label, count(*) FROM labels WHERE above_threshold GROUP BY label",
        "--format",
        "csv",
    ],
    "who moves alike": ["--like", "video_00001:1:1", "--format", "csv"],
    "a label that never occurs": ["--label", "action_99"],
}
"""Options of each question, by name."""


def make_archive(folder: Path, files: int, rows: int, features: int) -> Path:
    """An archive of `files` videos with `rows` persons on keyframes in all, and so many stretches of features."""
    marker = folder / f"made_{files}_{rows}_{features}"
    if marker.exists():
        return folder
    each, stretches = rows // files, -(-features // min(files, 1000))
    for number in range(files):
        rng = np.random.default_rng(number)
        name = f"camera_{number % 50:02d}/video_{number:05d}.mp4"
        facts = VideoFacts(name, f"/videos/{name}", 1280, 720, 30.0, each * _STRIDE, "made up", {"action": LABELS})
        _write(folder, "persons", name, _persons(rng, name, each), facts)
        _write(folder, "segments", name, _segments(rng, name, each // 5), facts)
        if number < 1000 and stretches * number < features:
            _write(folder, "features", name, _features(rng, name, stretches), facts)
    marker.touch()
    return folder


def _write(folder: Path, table: str, name: str, content: pa.Table, facts: VideoFacts) -> None:
    path = folder / FOLDERS[table] / f"{name}{SUFFIX}"
    path.parent.mkdir(parents=True, exist_ok=True)
    with pq.ParquetWriter(path, content.schema, **write_options(content.schema)) as writer:
        for start in range(0, len(content), 2000):
            writer.write_table(content.slice(start, 2000))
        writer.add_key_value_metadata(facts.to_metadata(table))


def _persons(rng: np.random.Generator, name: str, count: int) -> pa.Table:
    frame = np.arange(count) // _PERSONS_EACH
    x, y = rng.random(count, np.float32) * 1000, rng.random(count, np.float32) * 400
    entries = count * _LABELS_EACH
    score = rng.random(entries, np.float32)
    labels = pa.StructArray.from_arrays(
        [
            pa.array(np.array(LABELS)[rng.integers(0, len(LABELS), entries)]),
            pa.array(["action"] * entries),
            pa.array(score),
            pa.array(score > 0.5),
        ],
        fields=list(PERSONS.field("labels").type.value_type),
    )
    columns = {
        "video": [name] * count,
        "frame": frame * 15,
        "time": frame * _STRIDE,
        "width": np.full(count, 1280, np.int32),
        "height": np.full(count, 720, np.int32),
        "track_id": np.arange(count) % _PERSONS_EACH + 1,
        "x1": x,
        "y1": y,
        "x2": x + 100,
        "y2": y + 250,
        "score": rng.random(count, np.float32),
        "labels": pa.ListArray.from_arrays(np.arange(count + 1, dtype=np.int32) * _LABELS_EACH, labels),
    }
    return pa.table(
        [pa.array(columns[f.name], f.type) if f.name != "labels" else columns["labels"] for f in PERSONS],
        schema=PERSONS,
    )


def _segments(rng: np.random.Generator, name: str, count: int) -> pa.Table:
    start = np.sort(rng.random(count)) * count
    columns = {
        "video": [name] * count,
        "source": [f"/videos/{name}"] * count,
        "track_id": rng.integers(1, _PERSONS_EACH + 1, count),
        "label_group": ["action"] * count,
        "label": np.array(LABELS)[rng.integers(0, len(LABELS), count)],
        "start_time": start,
        "end_time": start + rng.exponential(3.0, count),
        "score": rng.random(count, np.float32),
    }
    return pa.table([pa.array(columns[field.name], field.type) for field in SEGMENTS], schema=SEGMENTS)


def _features(rng: np.random.Generator, name: str, count: int) -> pa.Table:
    vectors = rng.normal(size=(count, SIZE)) + 1
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype("<f2")
    start = np.arange(count) // _PERSONS_EACH * 2.0
    columns = {
        "video": [name] * count,
        "track_id": np.arange(count) % _PERSONS_EACH + 1,
        "start_time": start,
        "end_time": start + 1.5,
        "model": ["made up"] * count,
        "features": [row.tobytes() for row in vectors],
    }
    schema = features_schema(SIZE)
    return pa.table([pa.array(columns[field.name], field.type) for field in schema], schema=schema)


def measure(folder: Path, repeat: int) -> Iterator[dict[str, object]]:
    """Wall and processor seconds of each question as a process of its own, the fastest of a few."""
    for name, options in QUESTIONS.items():
        best: tuple[float, float] = (float("inf"), float("inf"))
        for _ in range(repeat):
            before = os.times()
            command = [sys.executable, "-m", "sf_detect", "query", str(folder), *options]
            done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            after = os.times()
            cpu = after.children_user + after.children_system - before.children_user - before.children_system
            best = min(best, (after.elapsed - before.elapsed, cpu))
        yield {"question": name, "wall_s": round(best[0], 2), "cpu_s": round(best[1], 2), "exit": done.returncode}


def run(folder: Path, files: int, rows: int, features: int, repeat: int) -> None:
    """Makes the archive where it is not there yet, asks, and prints."""
    start = time.perf_counter()
    make_archive(folder, files, rows, features)
    size = sum(path.stat().st_size for path in folder.rglob("*.parquet"))
    made = time.perf_counter() - start
    print(
        f"{files} videos, {rows} persons, {features} stretches of features: {size / 1e6:.0f} MB (made in {made:.0f} s)"
    )
    for row in measure(folder, repeat):
        print(f"  {row['question']:<30} {row['wall_s']:>6} s wall  {row['cpu_s']:>6} s of processors")
    if sys.platform == "linux":
        import resource

        print(f"  most memory of a question: {resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024:.0f} MB")
