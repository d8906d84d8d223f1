"""Processor time and bytes of one worker, in this process: see `benchmark_batch`."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

import av
import benchmark_stages

from sf_detect.assets import DEMO_VIDEO
from sf_detect.batch.jobs import Job
from sf_detect.batch.layout import ArchiveFolder, kinds_of
from sf_detect.batch.remote import fetched
from sf_detect.batch.worker import ArchiveWorker
from sf_detect.build_batch import DEFAULT_FORMATS, cores
from sf_detect.build_worker import ConfiguredAnnotator
from sf_detect.config import RunConfig

_SIZES = ((1280, 720), (1920, 1080))
_CLIPS = 20


def row(name: str, frames: float, real_time: float, core: float, note: str = "") -> None:
    """Prints frames a second, seconds of video a second, and core-seconds for a second of video."""
    print(f"{name:<28}{frames:>8.1f} frames/s {real_time:>6.2f} x real time {core:>6.2f} core-s/s  {note}", flush=True)


def worker_in(folder: Path) -> ArchiveWorker:
    """A worker with the defaults."""
    return ArchiveWorker(ConfiguredAnnotator(RunConfig()), ArchiveFolder(folder), kinds_of(DEFAULT_FORMATS), fetched)


@dataclass(frozen=True)
class Share:
    """What one worker needed.

    Attributes:
        frames, seconds: Of video.
        core, networks: Processor seconds, of everything and of the networks (persons, actions, landmarks, postures).
    """

    frames: int
    seconds: float
    core: float
    networks: float


def networks(clips: Sequence[Path], folder: Path) -> float:
    """The share of the processor that the networks need; what they, and all stages, would allow on all cores.

    A process on each core, as networks that compute side by side wait for one memory. Starts are not counted.

    Returns:
        Frames a second that the networks would allow.
    """
    with mock.patch.dict(os.environ, OMP_NUM_THREADS="1"), multiprocessing.get_context("spawn").Pool(cores()) as pool:
        shares = pool.starmap(
            _share, [(clips[place :: cores()], folder / f"share {place}") for place in range(cores())]
        )
    frames, seconds = sum(share.frames for share in shares), sum(share.seconds for share in shares)
    total, needed = sum(share.core for share in shares), sum(share.networks for share in shares)
    row("networks alone, all cores", cores() * frames / needed, cores() * seconds / needed, needed / seconds)
    row("all stages, all cores", cores() * frames / total, cores() * seconds / total, total / seconds)
    print(f"the networks take {needed / total:.1%} of the processor time of a worker", flush=True)
    return cores() * frames / needed


def _share(clips: Sequence[Path], folder: Path) -> Share:
    from sf_detect.detection.ssdlite_person import SSDLitePersonDetector
    from sf_detect.keypoints.blazepose import BlazePose
    from sf_detect.keypoints.network import PostureNetwork
    from sf_detect.models.predictor import EnginePredictor

    timed = benchmark_stages.Timed()
    timed.wrap(SSDLitePersonDetector, "__call__", "detector")
    timed.wrap(EnginePredictor, "__call__", "action model")
    timed.wrap(BlazePose, "__call__", "landmarks")
    timed.wrap(PostureNetwork, "logits", "postures")
    worker = worker_in(folder)
    worker(Job("warm", str(clips[0])), lambda seconds, total: None)
    timed.cpu.clear()
    start, frames, seconds = time.process_time(), 0, 0.0
    for clip in clips:
        outcome = worker(Job(clip.name, str(clip)), lambda seconds, total: None)
        if outcome.stats is not None:
            frames, seconds = frames + outcome.stats.frames, seconds + outcome.stats.seconds
    return Share(frames, seconds, time.process_time() - start, sum(timed.cpu.values()))


def costs(clips: Sequence[Path], folder: Path) -> None:
    """Of clips as they are, and of the demo clip in several sizes; bytes are for an hour of video."""
    worker = worker_in(folder / "costs")
    worker(Job("warm", str(DEMO_VIDEO)), lambda seconds, total: None)
    sets = {"short clips": list(clips[:: max(1, len(clips) // _CLIPS)]), "demo clip": [DEMO_VIDEO] * 2}
    sets |= {f"demo clip {width}x{height}": [scaled(width, height, folder)] for width, height in _SIZES}
    for name, videos in sets.items():
        start, seconds, frames, size = time.process_time(), 0.0, 0, Counter[str]()
        for place, video in enumerate(videos):
            outcome = worker(Job(f"{place} {video.name}", str(video)), lambda seconds, total: None)
            if outcome.stats is not None:
                seconds, frames = seconds + outcome.stats.seconds, frames + outcome.stats.frames
                size.update(outcome.outputs)
        core = time.process_time() - start
        written = ", ".join(f"{kind} {count / seconds * 3600 / 1e6:.0f}" for kind, count in size.items())
        row(f"one core, {name}", frames / core, seconds / core, core / seconds, f"MB an hour: {written}")


def scaled(width: int, height: int, folder: Path) -> Path:
    """The demo clip in another size."""
    import cv2

    target = folder / f"demo {width}x{height}.mp4"
    with av.open(str(DEMO_VIDEO)) as source, av.open(str(target), "w") as output:
        stream = output.add_stream("libx264", rate=30)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for frame in source.decode(video=0):
            image = cv2.resize(frame.to_ndarray(format="rgb24"), (width, height), interpolation=cv2.INTER_CUBIC)
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        output.mux(stream.encode(None))
    return target
