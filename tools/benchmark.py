"""Measure speed and memory; report medians of several runs and ratios within one run.

    python tools/benchmark.py run                      # end to end, 60 s of the demo clip
    python tools/benchmark.py run --video v.mp4 --seconds 1800 --repeat 1
    python tools/benchmark.py stages                   # share of each stage, in CPU seconds of its thread
    python tools/benchmark.py ava                      # AVA evaluation beside a plain evaluator, which takes minutes
    python tools/benchmark.py ava --keyframes 2000     # a smaller case (--case FOLDER: your gt.csv, det.csv)

Timings depend on the machine and on what else runs there: compare numbers of one run only.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import av
import benchmark_ava

from sf_detect.assets import DEMO_VIDEO


def looped(video: Path, seconds: float, target: Path) -> Path:
    """`video` repeated to at least `seconds`, packets copied, so that no encoder changes the picture."""
    with av.open(str(target), "w") as output:
        stream = None
        offset, written = 0, 0.0
        while written < seconds:
            with av.open(str(video)) as source:
                origin = source.streams.video[0]
                stream = stream or output.add_stream_from_template(origin)
                end = 0
                for packet in source.demux(origin):
                    if packet.dts is None or packet.pts is None:
                        continue
                    end = max(end, packet.pts + (packet.duration or 1))
                    packet.pts, packet.dts, packet.stream = packet.pts + offset, packet.dts + offset, stream
                    output.mux(packet)
                offset += end
                written = float(offset * origin.time_base)
    return target


def peak_megabytes(pid: int) -> float:
    """Highest resident size so far of a running process (Linux), in MB; 0 where unknown."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0.0
    lines = [line for line in status.splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) / 1024 if lines else 0.0


def measure_run(video: Path, folder: Path) -> dict[str, float]:
    """One `sf-detect run` as a user starts it: a process of its own, video and JSON Lines written."""
    command = [sys.executable, "-m", "sf_detect.cli", "run", str(video), "--quiet"]
    command += ["--out-video", str(folder / "out.mp4"), "--out-jsonl", "-"]
    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first, peak, last = 0.0, 0.0, {}
    for line in process.stdout:
        first = first or time.perf_counter() - start
        peak = max(peak, peak_megabytes(process.pid))
        last = json.loads(line)
    if process.wait() != 0:
        raise SystemExit(f"{' '.join(command)} exited with {process.returncode}")
    wall = time.perf_counter() - start
    frames = count_frames(folder / "out.mp4")
    return {
        "frames": frames,
        "wall_s": wall,
        "frames_per_s": frames / wall,
        "frames_per_s_after_start": frames / (wall - first),
        "first_result_s": first,
        "peak_mb": peak,
        "video_s": last.get("time", 0.0),
    }


def count_frames(video: Path) -> int:
    """Packets of the video stream, one a frame."""
    with av.open(str(video)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


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


def measure_stages(video: Path, folder: Path) -> None:
    """Print each stage's share. Stages overlap in threads, so shares of wall time can add up to more than 1."""
    from sf_detect.annotate import annotate_video
    from sf_detect.detection.ssdlite_person import SSDLitePersonDetector
    from sf_detect.models.predictor import ActionPredictor
    from sf_detect.rendering import Renderer
    from sf_detect.tracking import ByteTrack
    from sf_detect.video import FileSource, VideoWriter
    from sf_detect.video.clip_buffer import ClipBuffer

    timed = Timed()
    for owner, method, stage in (
        (SSDLitePersonDetector, "__call__", "detect"),
        (ByteTrack, "update", "track"),
        (ClipBuffer, "push", "resize for clips"),
        (ActionPredictor, "__call__", "act"),
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


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "stages", "ava"))
    parser.add_argument("--video", type=Path, default=DEMO_VIDEO)
    parser.add_argument("--seconds", type=float, default=60.0, help="the video is looped to this length")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--keyframes", type=int, default=benchmark_ava.FULL, help="of the made AVA case")
    parser.add_argument("--case", type=Path, help="folder with an AVA case to evaluate in place of a made one")
    arguments = parser.parse_args()
    if arguments.what == "ava":
        benchmark_ava.measure(arguments.case, arguments.keyframes, arguments.repeat)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        video = looped(arguments.video, arguments.seconds, folder / "looped.mp4")
        print(f"{arguments.video.name} looped to {arguments.seconds:.0f} s; {os.cpu_count()} cores")
        if arguments.what == "stages":
            measure_stages(video, folder)
            return
        runs = [measure_run(video, folder) for _ in range(arguments.repeat)]
        for key in runs[0]:
            values = sorted(run[key] for run in runs)
            print(f"{key:<26}median {statistics.median(values):>9.2f}   min {values[0]:>9.2f}   max {values[-1]:>9.2f}")


if __name__ == "__main__":
    main()
