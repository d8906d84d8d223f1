"""Lag and rates of a live session, measured by counters burnt into the pictures of a real RTSP server.

    python tools/benchmark.py live                     # the defaults, 60 s after 10 s of warm-up
    python tools/benchmark.py live --case heavy        # ava_slowfast_8x8_r50 with random weights
    python tools/benchmark.py live --case four         # four streams at 15 frames/s
    python tools/benchmark.py live --case dying        # four, of which one hangs from the middle on
    python tools/benchmark.py live --seconds 10        # shorter
    python tools/benchmark.py live --case memory       # 200 reconnections, 20,000 frames, models that compute nothing

The server logs when it hands over each picture; the counter is read from what the session gives out and from the
recording. The server needs the Debian packages of tests/servers/packages.txt; it runs on the same machine, and its
processor time is stated.
"""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import av
import benchmark_live_memory
import cv2
import frame_counter
import numpy as np

from sf_detect.assets import DEMO_VIDEO
from sf_detect.build_live import open_live
from sf_detect.interfaces import ActionModel
from sf_detect.live import LiveSession, StreamStats
from sf_detect.live.words import status_line
from sf_detect.structures import LiveResult

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests" / "servers"))
SIZE = (480, 640)
CASES = ("default", "heavy", "four", "dying", "memory")
HEAVY = "ava_slowfast_8x8_r50"


def counted_pictures(fps: int) -> list[np.ndarray]:
    """The demo clip at that rate, each picture with its number."""
    with av.open(str(DEMO_VIDEO)) as container:
        images = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    images = [cv2.resize(image, SIZE[::-1]) for image in images[:: max(1, round(30 / fps))]]
    for number, image in enumerate(images):
        frame_counter.draw(image, number)
    return images


class Pushes:
    """When the server handed over which picture of its loop."""

    def __init__(self, log: Path, length: int, fps: int) -> None:
        self._log, self._length, self._fps = log, length, fps
        self._read, self._times = 0, list[float]()

    def refresh(self) -> None:
        """Reads what was logged since."""
        with self._log.open() as file:
            file.seek(self._read)
            for line in file:
                if line.endswith("\n"):
                    self._times.append(float(line.split()[1]))
                    self._read += len(line)

    def age(self, number: int, at: float, earlier: float = 0.0) -> float | None:
        """Seconds at time `at` since the newest picture of that number, or one `earlier` seconds before, was pushed."""
        self.refresh()
        newest = next((i for i in range(len(self._times) - 1, -1, -1) if self._times[i] <= at), -1)
        back = (newest - number) % self._length if newest >= 0 else 0
        index = newest - back - round(earlier * self._fps)
        return at - self._times[index] if index >= 0 else None


def random_model(name: str) -> ActionModel:
    """A network of the zoo with random weights: what it costs does not depend on them."""
    from sf_detect.build import build_preprocessing, for_inference
    from sf_detect.labels import label_set
    from sf_detect.models.predictor import ActionPredictor
    from sf_detect.video.clip_buffer import resize_short_side
    from sf_detect.zoo.table import entry

    chosen = entry(name)
    network = for_inference(chosen.builder().eval(), "cpu")
    labels, preprocessing = label_set(chosen.labels).names, build_preprocessing(chosen)
    return ActionPredictor(network, chosen.clip_spec, labels, preprocessing, resize=resize_short_side, name=name)


def measure(case: str, seconds: float, warm_up: float) -> None:
    """Runs one case and prints what came out."""
    import access_units
    from camera_server import CameraServer, why_not

    if case not in CASES:
        raise SystemExit(f"--case {case}: expected {', '.join(CASES)}.")
    if case == "memory":
        return benchmark_live_memory.measure()
    if (reason := why_not()) is not None:
        raise SystemExit(f"no measurement: {reason}")
    count, fps = (4, 15) if case in ("four", "dying") else (1, 30)
    images = counted_pictures(fps)
    with tempfile.TemporaryDirectory() as folder:
        units = access_units.write_units(Path(folder) / "units", access_units.encode(images, fps), fps)
        names = [f"cam{i + 1}" for i in range(count)]
        logs = {name: Path(folder) / f"{name}.log" for name in names}
        servers = {name: CameraServer(units, "--log", str(log)) for name, log in logs.items()}
        pushes = {name: Pushes(log, len(images), fps) for name, log in logs.items()}
        try:
            session = open_live(
                *(f"{name}={server.url}" for name, server in servers.items()),
                model=random_model(HEAVY) if case == "heavy" else None,
                record=Path(folder) / "{source}.mp4",
                on_warning=lambda text: print(f"  {text}"),
            )
            halfway = servers[names[-1]].stop if case == "dying" else None
            watch(session, pushes, [server.pid for server in servers.values()], seconds, warm_up, fps, halfway)
            for name in names:
                print(f"{name} recording: {recorded(Path(folder) / f'{name}.mp4')}")
        finally:
            if case == "dying":
                servers[names[-1]].go_on()
            for server in servers.values():
                server.kill()


def watch(
    session: LiveSession,
    pushes: dict[str, Pushes],
    servers: list[int],
    seconds: float,
    warm_up: float,
    fps: int,
    halfway: Callable[[], None] | None = None,
) -> None:
    """Measures for `seconds` after the warm-up, which counts from the first picture of each stream."""
    ages: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    seen, begun, used = set[str](), None, []
    before: dict[str, StreamStats] = {}
    middle: dict[str, StreamStats] = {}
    for result in session:
        seen.add(result.source)
        now = time.monotonic()
        if begun is None:
            if len(seen) == len(pushes):
                begun = now + warm_up
        elif now >= begun:
            if not before:
                before, used = session.stats(), [cpu(pid) for pid in (os.getpid(), *servers)]
            note(result, pushes[result.source], ages[result.source])
            if halfway is not None and not middle and now >= begun + seconds / 2:
                halfway()
                middle = session.stats()
            if now >= begun + seconds:
                break
    after, elapsed = session.stats(), time.monotonic() - (begun or 0.0)
    spent = [cpu(pid) - was for pid, was in zip((os.getpid(), *servers), used, strict=True)]
    rates = []
    for name, last in after.items():
        first = before[name]
        predictions = (last.predictions - first.predictions) / elapsed
        rates.append(predictions)
        shown = (last.shown - first.shown) / elapsed
        print(f"{name}: {shown:.1f} of {fps} frames/s shown, {predictions:.2f} predictions/s, {last.form}")
        for what, values in ages[name].items():
            print(
                f"  {what}: median {quantile(values, 0.5)}, p95 {quantile(values, 0.95)}, max {quantile(values, 1)} ms"
            )
        drops = {cause: number - first.drops.get(cause, 0) for cause, number in last.drops.items()}
        print(f"  left out: {drops}; persons every {last.detection_interval:.2f} s; approximate: {last.approximation}")
        print(f"  {status_line(last)}")
    for name, stats in middle.items():
        halves = stats.predictions - before[name].predictions, after[name].predictions - stats.predictions
        print(f"{name}: {halves[0]} predictions before the last one hung, {halves[1]} after")
    if len(rates) > 1:
        print(f"fairness of predictions (Jain): {sum(rates) ** 2 / (len(rates) * sum(r * r for r in rates)):.3f}")
    cores = ", ".join(f"{100 * part / elapsed:.0f} %" for part in spent)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(f"of a core: session, then each server: {cores}; load of the machine {load:.1f}; {elapsed:.1f} s measured")


def note(result: LiveResult, pushes: Pushes, ages: dict[str, list[float]]) -> None:
    """How old the picture, its labels and its boxes are as they come out, by the server's log."""
    number = None if result.picture is None or result.notice else frame_counter.read(result.picture)
    if number is None:
        return
    now = time.monotonic()
    sources = {"frame age": 0.0}
    if result.actions is not None and result.actions.seen_until is not None:
        sources["label age"] = result.frame.pts - result.actions.seen_until
    if result.detected_pts is not None:
        sources["box age"] = result.frame.pts - result.detected_pts
    for what, earlier in sources.items():
        if (age := pushes.age(number, now, earlier)) is not None:
            ages[what].append(age)


def recorded(path: Path) -> str:
    """How many different pictures a recording holds, and how long it is."""
    with av.open(str(path)) as container:
        frames = [(frame.time, frame_counter.read(frame.to_ndarray(format="rgb24"))) for frame in container.decode()]
    changes = sum(one[1] != other[1] for one, other in itertools.pairwise(frames)) + 1
    span = frames[-1][0] - frames[0][0]
    unread = sum(number is None for _, number in frames)
    return f"{changes} different pictures in {span:.1f} s, {changes / span:.1f} a second; {unread} without a number"


def cpu(pid: int) -> float:
    """Processor seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def quantile(values: list[float], share: float) -> str:
    """Of the values, in milliseconds."""
    return f"{1000 * float(np.quantile(values, share)):.0f}"
