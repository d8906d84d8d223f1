"""How many threads a step of a pipeline computes with: set around the step, restored behind it.

torch and OpenCV each take all cores for every call. In a pipeline, where decoding, detection, actions and drawing take
turns or run side by side, such threads wait for one another at every layer, and burn many times the processor time of
the work itself. Half the cores for each step leave the rest to what runs beside it.

A library that is not loaded has no threads: torch and OpenCV are looked at only where somebody imported them.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from sf_detect.interfaces import ActionModel, ActionStream, PersonDetector
from sf_detect.model_spec import ModelSpec
from sf_detect.structures import ActionDetections, Clip, Detections, Frame, UInt8Array

_BACKGROUND = 5
"""By how much the niceness rises of a thread that others may overtake."""


def share_of_cores() -> int:
    """Half of the cores that this process may use, at least 1."""
    affinity = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
    return max(1, cores // 2)


def step_back() -> None:
    """The calling thread computes behind the process's others, where the system has priorities of threads (Linux).

    For threads that compute for long beside others that must answer at once, such as a live display.
    """
    if sys.platform.startswith("linux"):
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), os.getpriority(os.PRIO_PROCESS, 0) + _BACKGROUND)


@contextmanager
def limited_threads(count: int | None = None) -> Iterator[None]:
    """Within it, torch and OpenCV compute with at most `count` threads; fewer that were set before stay.

    torch's number belongs to the calling thread; OpenCV's to the process, which has it back when the last of several
    threads leaves.

    Args:
        count: None takes `share_of_cores`.
    """
    most = share_of_cores() if count is None else count
    with _torch_threads(most), _OPENCV.limited(most):
        yield


@contextmanager
def _torch_threads(most: int) -> Iterator[None]:
    torch: Any = sys.modules.get("torch")
    # Builds without OpenMP have one pool, whose size can't change once it has worked.
    if torch is None or not hasattr(torch, "get_num_threads") or not torch.backends.openmp.is_available():
        yield
        return
    before = torch.get_num_threads()
    if before <= most:
        yield
        return
    torch.set_num_threads(most)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _OpenCVThreads:
    """OpenCV's number of threads, which is one for the process: the first who comes sets it, the last restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside, self._before = 0, 0

    @contextmanager
    def limited(self, most: int) -> Iterator[None]:
        cv2: Any = sys.modules.get("cv2")
        if cv2 is None or not hasattr(cv2, "setNumThreads"):
            yield
            return
        with self._lock:
            if self._inside == 0:
                self._before = cv2.getNumThreads()
                if self._before > most:
                    cv2.setNumThreads(most)
            self._inside += 1
        try:
            yield
        finally:
            with self._lock:
                self._inside -= 1
                if self._inside == 0 and cv2.getNumThreads() != self._before:
                    cv2.setNumThreads(self._before)


_OPENCV = _OpenCVThreads()


class LimitedDetector:
    """A `PersonDetector` that computes within `limited_threads`."""

    def __init__(self, detector: PersonDetector) -> None:
        self._detector = detector

    def __call__(self, images: Sequence[UInt8Array]) -> list[Detections]:
        """See `PersonDetector`."""
        with limited_threads():
            return self._detector(images)


class LimitedModel:
    """An `ActionModel` that computes within `limited_threads`, its streams included."""

    def __init__(self, model: ActionModel) -> None:
        self._model = model

    @property
    def spec(self) -> ModelSpec:
        """See `ActionModel`."""
        return self._model.spec

    def __call__(self, clips: Sequence[Clip]) -> list[ActionDetections]:
        """See `ActionModel`."""
        with limited_threads():
            return self._model(clips)

    def open_stream(self) -> ActionStream:
        """See `ActionModel`."""
        return LimitedStream(self._model.open_stream())


class LimitedStream:
    """An `ActionStream` that computes within `limited_threads`."""

    def __init__(self, stream: ActionStream) -> None:
        self._stream = stream

    @property
    def warning(self) -> str | None:
        """See `ActionStream`."""
        return self._stream.warning

    @property
    def step_seconds(self) -> float:
        """See `ActionStream`."""
        return self._stream.step_seconds

    def push(self, frame: Frame) -> None:
        """See `ActionStream`."""
        with limited_threads():
            self._stream.push(frame)

    def score(self, persons: Detections, pts: float, image_size: tuple[int, int]) -> ActionDetections:
        """See `ActionStream`."""
        with limited_threads():
            return self._stream.score(persons, pts, image_size)

    def reset(self) -> None:
        """See `ActionStream`."""
        self._stream.reset()
