"""The share of each stage of a run: `python tools/benchmark.py stages`."""

from __future__ import annotations

import time
from collections import defaultdict
from pathlib import Path
from typing import Any


class Timed:
    """Adds up CPU and wall time of calls, by stage."""

    def __init__(self) -> None:
        self.cpu: dict[str, float] = defaultdict(float)
        self.wall: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)

    def wrap(self, owner: Any, method: str, stage: str) -> None:
        """Replace `owner.method` by a timed one."""
        original = getattr(owner, method)

        def timed(*args: Any, **kwargs: Any) -> Any:
            cpu, wall = time.thread_time(), time.perf_counter()
            try:
                return original(*args, **kwargs)
            finally:
                self.cpu[stage] += time.thread_time() - cpu
                self.wall[stage] += time.perf_counter() - wall
                self.calls[stage] += 1

        setattr(owner, method, timed)


def measure(video: Path, folder: Path) -> None:
    """Print each stage's share. Stages overlap in threads, so shares of wall time can add up to more than 1."""
    from sf_detect.annotator import annotate_video
    from sf_detect.detection.ssdlite_person import SSDLitePersonDetector
    from sf_detect.models.predictor import EnginePredictor
    from sf_detect.rendering import Renderer
    from sf_detect.tracking import ByteTrack
    from sf_detect.video import FileSource, VideoWriter
    from sf_detect.video.clip_buffer import ClipBuffer

    timed = Timed()
    for owner, method, stage in (
        (SSDLitePersonDetector, "__call__", "detect"),
        (ByteTrack, "update", "track"),
        (ClipBuffer, "push", "resize for clips"),
        (EnginePredictor, "__call__", "act"),
        (Renderer, "__call__", "draw"),
        (VideoWriter, "write", "encode"),
    ):
        timed.wrap(owner, method, stage)
    iterate = FileSource.__iter__

    def timed_iterate(self: FileSource) -> Any:
        frames = iterate(self)
        while True:
            cpu, wall = time.thread_time(), time.perf_counter()
            frame = next(frames, None)
            timed.cpu["decode"] += time.thread_time() - cpu
            timed.wall["decode"] += time.perf_counter() - wall
            if frame is None:
                return
            timed.calls["decode"] += 1
            yield frame

    FileSource.__iter__ = timed_iterate  # type: ignore[method-assign,assignment]
    summary = annotate_video(video, out_video=folder / "out.mp4", out_jsonl=folder / "out.jsonl")
    print(f"{summary.frames} frames in {summary.wall_seconds:.2f} s, {summary.fps:.1f} frames/s")
    print(f"{'stage':<18}{'calls':>7}{'ms a call':>11}{'cpu ms':>9}{'ms a frame':>12}{'of wall':>9}")
    for stage, wall in sorted(timed.wall.items(), key=lambda item: -item[1]):
        calls = timed.calls[stage]
        print(
            f"{stage:<18}{calls:>7}{1e3 * wall / max(calls, 1):>11.2f}{1e3 * timed.cpu[stage] / max(calls, 1):>9.2f}"
            f"{1e3 * wall / summary.frames:>12.2f}"
            f"{wall / summary.wall_seconds:>9.0%}"
        )
