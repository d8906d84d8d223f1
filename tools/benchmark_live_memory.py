"""Memory of a live session: 20,000 frames and 200 reconnections, with models that compute nothing.

python tools/benchmark.py live --case memory
"""

from __future__ import annotations

import gc
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sf_detect.build_live import open_live
from sf_detect.config import DetectorConfig, RunConfig
from sf_detect.interfaces import ActionStream
from sf_detect.model_spec import ModelSpec
from sf_detect.structures import ActionDetections, ClipSpec, Detections, Frame, LazyFrame, SourceStatus

FRAMES, RECONNECTIONS, WARM_UP, LIMIT = 20_000, 200, 2_000, 10.0
SIZE, RATE = (480, 640), 200.0


class StubModel:
    """A streaming model that computes nothing."""

    spec = ModelSpec("stub", ("score",), ClipSpec(8, 2))
    warning, step_seconds = None, 0.3

    def open_stream(self) -> ActionStream:
        """Itself."""
        return self

    def __call__(self, clips: object) -> list[ActionDetections]:
        """It has no clip form."""
        raise NotImplementedError

    def push(self, frame: Frame) -> None:
        """Looks at the picture."""
        assert frame.image.shape == (*SIZE, 3)
        self._seen = frame.pts

    def score(self, persons: Detections, pts: float, image_size: tuple[int, int]) -> ActionDetections:
        """A half for everybody."""
        return ActionDetections(pts, persons, np.full((len(persons), 1), 0.5), self._seen)

    def reset(self) -> None:
        """Nothing to forget."""


class MadeSource:
    """Frames faster than any camera's, with a reconnection every hundredth."""

    name = "made"

    def __init__(self) -> None:
        self._closed = threading.Event()
        self.frames = 0

    def __iter__(self) -> Iterator[Frame]:
        while self.frames < WARM_UP + FRAMES and not self._closed.wait(1 / RATE):
            number, self.frames = self.frames, self.frames + 1
            anew = number % (FRAMES // RECONNECTIONS) == 0

            def picture(number: int = number) -> np.ndarray:
                return np.full((*SIZE, 3), number % 256, np.uint8)

            yield LazyFrame(picture, SIZE, number, number / 30, time.monotonic(), starts_anew=anew)

    def status(self) -> SourceStatus:
        """Always live."""
        return SourceStatus("live", 0.0, frames=self.frames, size=SIZE)

    def close(self) -> None:
        """Ends it."""
        self._closed.set()


def measure() -> None:
    """Prints by how much the process has grown after the warm-up; fails beyond the limit."""
    source, before = MadeSource(), 0.0
    config = RunConfig(detector=DetectorConfig(name="whole_frame"))
    with tempfile.TemporaryDirectory() as folder:
        session = open_live(
            source,
            model=StubModel(),
            config=config,
            record=Path(folder) / "out.mp4",
            out_jsonl=Path(folder) / "out.jsonl",
            on_warning=print,
        )
        for _ in session:
            if not before and source.frames >= WARM_UP:
                gc.collect()
                before = resident()
        gc.collect()
        grown = resident() - before
    (stats,) = session.stats().values()
    print(
        f"{FRAMES} frames, {RECONNECTIONS} reconnections, {stats.predictions} predictions, {stats.shown} shown and "
        f"recorded: {grown:+.1f} MB on {before:.0f} MB"
    )
    if grown > LIMIT:
        raise SystemExit(f"more than {LIMIT:g} MB")


def resident() -> float:
    """Megabytes of memory of this process."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 1e6
