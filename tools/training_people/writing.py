"""Clips as training examples: videos, tracks with boxes as a detector would draw them, and a table of labels."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from sf_detect.atomic_file import atomic_path, write_text
from training_people.clips import Clip, Truth

COLUMNS: tuple[str, ...] = (
    "file",
    "source",
    "rights",
    "kind",
    "time",
    "start",
    "end",
    "x1",
    "y1",
    "x2",
    "y2",
    "track",
    "posture",
)
COLUMNS += ("actions", "repo", "commit", "path", "licence", "sha256")
TRACK = 1
SEEN = {"whole": 0.6, "knees": 0.5, "waist": 0.25}
"""Share of the person that has to be in the picture for a label."""
SHORTEST, FEWEST = 0.2, 3  # seconds and frames of a label; fewer are left out


def write_clip(clip: Clip, out: Path, source: str, crf: int) -> list[dict[str, str]]:
    """Renders a clip to ``out/SOURCE/KIND.mp4`` and its track to ``out/tracks``; returns its rows of the table."""
    name = clip.kind.replace(" ", "_")
    path = out / source / f"{name}.mp4"
    path.parent.mkdir(parents=True, exist_ok=True)
    (out / "tracks").mkdir(exist_ok=True)
    truths = []
    with atomic_path(path) as video, av.open(str(video), "w", format="mp4") as container:
        rate = Fraction(clip.rate).limit_denominator(1000)
        stream = container.add_stream("libx264", rate=rate, options={"crf": str(crf), "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = *clip.size, "yuv420p"
        for image, truth in clip.frames():
            truths.append(truth)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())
    boxes = drawn([t.box for t in truths], clip.size, clip.rng)
    lines = [_line(k, t, box) for k, (t, box) in enumerate(zip(clip.times(), boxes, strict=True))]
    write_text(out / "tracks" / f"{source}+{name}.jsonl", "".join(lines))
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    common = {"file": f"{source}/{name}.mp4", "source": source, "rights": "generated", "kind": "clip", "sha256": digest}
    return [common | row for row in rows(clip.times(), truths, boxes, SEEN[clip.cut])]


def _line(index: int, time: float, box: np.ndarray | None) -> str:
    persons = [] if box is None else [{"track_id": TRACK, "box": [round(float(v), 1) for v in box]}]
    return json.dumps({"frame": index, "time": round(float(time), 4), "persons": persons}) + "\n"


def drawn(
    boxes: Sequence[np.ndarray | None], size: tuple[int, int], rng: np.random.Generator
) -> list[np.ndarray | None]:
    """Boxes as a detector draws them: all moved by some 3 % of their sides, each by some 1.5 %."""
    common, found = rng.normal(0, 0.03, 4) + 0.01 * np.array([-1, -1, 1, 1]), []
    for box in boxes:
        if box is not None:
            sides = np.tile(box[2:] - box[:2], 2)
            moved = np.clip(box + sides * (common + rng.normal(0, 0.015, 4)), 0, np.tile(size, 2))
            box = moved if (moved[2:] - moved[:2] >= 8).all() else None
        found.append(box)
    return found


def rows(
    times: np.ndarray, truths: Sequence[Truth], boxes: Sequence[np.ndarray | None], enough: float
) -> Iterator[dict[str, str]]:
    """A row for each stretch with the same labels; actions that begin or end within the stretch cut it."""
    labels = [
        (truth.posture, truth.actions) if box is not None and truth.share >= enough else None
        for truth, box in zip(truths, boxes, strict=True)
    ]
    cuts = [k for k in range(1, len(labels)) if labels[k] != labels[k - 1]]
    for first, stop in zip([0, *cuts], [*cuts, len(labels)], strict=True):
        label = labels[first]
        if label is None or stop - first < FEWEST or times[stop - 1] - times[first] < SHORTEST:
            continue
        middle = (first + stop) // 2
        box = boxes[middle]
        assert box is not None
        edges = {edge: f"{value:.1f}" for edge, value in zip(("x1", "y1", "x2", "y2"), box, strict=True)}
        span = {name: f"{times[k]:.3f}" for name, k in (("time", middle), ("start", first), ("end", stop - 1))}
        yield {**span, **edges, "track": str(TRACK), "posture": label[0], "actions": ";".join(label[1])}


def write_table(path: Path, table: Sequence[dict[str, str]]) -> None:
    """Writes ``labels.csv``."""
    with atomic_path(path) as partial, partial.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(table)
