"""Measure speed and memory; report medians of several runs and ratios within one run.

    python tools/benchmark.py run                      # end to end, 60 s of the demo clip
    python tools/benchmark.py run --video v.mp4 --seconds 1800 --repeat 1
    python tools/benchmark.py stages                   # share of each stage, in CPU seconds of its thread
    python tools/benchmark.py routes                   # the command beside Python loops, one core busy with other work
    python tools/benchmark.py streaming --threads 2    # clip and streaming inference side by side, a slow step each
    python tools/benchmark.py live                     # lag and rates of a live session, see benchmark_live.py
    python tools/benchmark.py query --case FOLDER      # questions to an archive of 10 million rows
    python tools/benchmark.py ava                      # AVA evaluation beside a plain evaluator, which takes minutes
    python tools/benchmark.py ava --keyframes 2000     # a smaller case (--case FOLDER: your gt.csv, det.csv)
    python tools/benchmark.py batch --videos FOLDER    # many videos; see tools/benchmark_batch.py

Timings depend on the machine and on what else runs there: compare numbers of one run only.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import av
import benchmark_ava
import benchmark_batch
import benchmark_live
import benchmark_query
import benchmark_routes
import benchmark_stages
import benchmark_streaming

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


def measure_run(video: Path, folder: Path) -> dict[str, float]:
    """One `sf-detect run` as a user starts it: a process of its own, video and JSON Lines written."""
    command = [sys.executable, "-m", "sf_detect.cli", "run", str(video), "--quiet"]
    command += ["--out-video", str(folder / "out.mp4"), "--out-jsonl", "-"]
    start, used = time.perf_counter(), child_seconds()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    first, peak, last = 0.0, 0.0, {}
    for line in process.stdout:
        first = first or time.perf_counter() - start
        peak = max(peak, benchmark_ava.peak_megabytes(process.pid))
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
        "core_s_per_video_s": (child_seconds() - used) / max(last.get("time", 0.0), 1e-9),
    }


def child_seconds() -> float:
    """Processor seconds of the processes that this one started and that have ended."""
    times = os.times()
    return times.children_user + times.children_system


def count_frames(video: Path) -> int:
    """Packets of the video stream, one a frame."""
    with av.open(str(video)) as container:
        return sum(1 for packet in container.demux(video=0) if packet.size)


def main() -> None:
    """Parse the command line and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("run", "stages", "routes", "streaming", "live", "query", "ava", "batch"))
    parser.add_argument("--video", type=Path, default=DEMO_VIDEO)
    parser.add_argument("--seconds", type=float, default=60.0, help="the video is looped to this length")
    parser.add_argument("--repeat", type=int, default=3)
    parser.add_argument("--keyframes", type=int, default=benchmark_ava.FULL, help="of the made AVA case")
    parser.add_argument(
        "--case",
        help="ava: folder with a case in place of a made one; batch: folder that keeps everything; "
        f"live: {', '.join(benchmark_live.CASES)}",
    )
    parser.add_argument("--warm-up", type=float, default=10.0, help="live: seconds that are not measured")
    parser.add_argument("--model", help="streaming: of `sf-detect weights list` [the default model and the AVA R50]")
    parser.add_argument("--size", default="256x344", help="streaming: HEIGHTxWIDTH of the input, with --model")
    parser.add_argument("--threads", type=int, help="streaming: of torch; default: its own choice")
    parser.add_argument("--videos", type=Path, default=DEMO_VIDEO.parent, help="batch: folder of short clips")
    parser.add_argument("--clips", type=int, default=300, help="batch: how many of them")
    parser.add_argument(
        "--parts", default="speed,costs,workers,worker,ray,kills,bad,disk,hangs,names", help="batch: what to do"
    )
    parser.add_argument("--before", default="", help="batch: put before commands that are not timed, as 'nice -n 10'")
    parser.add_argument("--most", type=float, default=float("inf"), help="batch: seconds of a call for the part kills")
    arguments = parser.parse_args()
    if arguments.what == "streaming":
        chosen = benchmark_streaming.chosen_models(arguments.model, arguments.size)
        benchmark_streaming.measure_time(chosen, arguments.repeat, arguments.threads)
        return
    if arguments.what == "query":
        folder = Path(arguments.case or Path(tempfile.gettempdir()) / "sf_detect_query")
        benchmark_query.run(folder, files=10_000, rows=10_000_000, features=100_000, repeat=arguments.repeat)
        return
    if arguments.what == "live":
        benchmark_live.measure(arguments.case or benchmark_live.CASES[0], arguments.seconds, arguments.warm_up)
        return
    if arguments.what == "ava":
        case = None if arguments.case is None else Path(arguments.case)
        benchmark_ava.measure(case, arguments.keyframes, arguments.repeat)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if arguments.what == "batch":
            folder = Path(arguments.case or folder)
            folder.mkdir(parents=True, exist_ok=True)
            count = 3 if arguments.seconds else 0
            long = [folder / f"long{i}.mp4" for i in range(count)]
            for path in long:
                if not path.exists():  # of an earlier call
                    looped(arguments.video, arguments.seconds, path)
            parts, before = arguments.parts.split(","), shlex.split(arguments.before)
            if not benchmark_batch.measure(
                arguments.videos, arguments.clips, long, parts, folder, before, arguments.most
            ):
                raise SystemExit("results were lost, or names took too long; see above.")
            return
        video = looped(arguments.video, arguments.seconds, folder / "looped.mp4")
        print(f"{arguments.video.name} looped to {arguments.seconds:.0f} s; {os.cpu_count()} cores")
        if arguments.what == "stages":
            benchmark_stages.measure(video, folder)
            return
        if arguments.what == "routes":
            if not benchmark_routes.measure(video, arguments.repeat):
                raise SystemExit(f"a loop takes more than {benchmark_routes.LIMIT} times the command's processor time.")
            return
        runs = [measure_run(video, folder) for _ in range(arguments.repeat)]
        for key in runs[0]:
            values = sorted(run[key] for run in runs)
            print(f"{key:<26}median {statistics.median(values):>9.2f}   min {values[0]:>9.2f}   max {values[-1]:>9.2f}")


if __name__ == "__main__":
    main()
