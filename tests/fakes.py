"""Deterministic stand-ins for every protocol, with no decoder, network or file behind them.

The fake people walk: person k has the box `person_box(k, t)` at second t, so any part can check what another made of
it. The scores of an action tell the clip's time and person.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from fractions import Fraction
from types import TracebackType

import numpy as np

from sf_detect.channels import Channel
from sf_detect.errors import ConfigError, SourceError
from sf_detect.interfaces import ActionStream
from sf_detect.model_spec import ModelSpec
from sf_detect.structures import (
    ActionDetections,
    Clip,
    ClipSpec,
    Detections,
    Frame,
    FrameResult,
    LazyFrame,
    SourceStatus,
    VideoInfo,
)
from synthetic_video import index_image, read_index

LABELS = ("stand", "walk", "wave")


def person_box(person: int, seconds: float) -> tuple[float, float, float, float]:
    """Box (xyxy pixels of a 64x48 picture) of a fake person: 8x16, walking right at 4 pixels a second."""
    x, y = 2.0 + 20.0 * person + 4.0 * seconds, 10.0 + 2.0 * person
    return x, y, x + 8.0, y + 16.0


class FakeSource:
    """Frames of `index_image` at a constant rate, or at the given times.

    Args:
        num_frames: How many.
        fps: Rate; `pts` overrides the times.
        size: (width, height).
        pts: Times in seconds, one per frame.
        fail_at: Iteration raises SourceError in place of this index.
        is_live: What `info` claims.
    """

    def __init__(
        self,
        num_frames: int = 30,
        fps: int | Fraction = 30,
        size: tuple[int, int] = (64, 48),
        pts: Sequence[float] | None = None,
        fail_at: int | None = None,
        is_live: bool = False,
    ) -> None:
        rate = Fraction(fps)
        self.pts = list(pts) if pts is not None else [float(index / rate) for index in range(num_frames)]
        length = None if is_live else len(self.pts)
        duration = None if is_live or not self.pts else self.pts[-1] + float(1 / rate)
        self.info = VideoInfo(*size, fps=rate, num_frames=length, is_live=is_live, name="fake", duration=duration)
        self.decode_errors = 0
        self.closed = False
        self._fail_at = fail_at

    def __iter__(self) -> Iterator[Frame]:
        if self.closed:
            raise SourceError("the fake source is closed")
        return self._frames()

    def _frames(self) -> Iterator[Frame]:
        for index, pts in enumerate(self.pts):
            if index == self._fail_at:
                raise SourceError(f"the fake source fails at frame {index}")
            yield Frame(index_image(index, (self.info.width, self.info.height)), index, pts)

    def close(self) -> None:
        self.closed = True

    def __enter__(self) -> FakeSource:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class FakeDetector:
    """Sees `persons` fake people in every picture of a `FakeSource`, by the index in its pixels.

    Attributes:
        calls: The frame indices of every call.
    """

    def __init__(
        self, persons: int = 2, fps: int | Fraction = 30, present: Callable[[int, int], bool] | None = None
    ) -> None:
        self.persons, self.fps = persons, Fraction(fps)
        self.present = present or (lambda person, index: True)
        self.calls: list[list[int]] = []

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        self.calls.append([read_index(image) for image in images])
        return [self._look(index) for index in self.calls[-1]]

    def _look(self, index: int) -> Detections:
        seen = [person for person in range(self.persons) if self.present(person, index)]
        boxes = np.array([person_box(person, float(index / self.fps)) for person in seen], np.float32).reshape(-1, 4)
        return Detections(boxes, np.linspace(0.9, 0.8, len(seen), dtype=np.float32))


class FakeTracker:
    """Gives ids from 1 by the row a fake person walks in, so ids are right whoever is missing."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.resets = 0

    def update(self, detections: Detections, pts: float) -> Detections:
        self.times.append(pts)
        ids = np.round((detections.boxes[:, 1] - 10.0) / 2.0).astype(np.int64) + 1
        return Detections(detections.boxes, detections.scores, ids)

    def reset(self) -> None:
        self.resets += 1
        self.times.clear()


class FakeActionModel:
    """Scores that tell what was asked: row n is `(0.1 * (n + 1), keyframe_pts / 100, 0.5)`, clipped to [0, 1].

    Attributes:
        clips: Every clip it was given, in order.
    """

    def __init__(self, clip_spec: ClipSpec | None = None, labels: Sequence[str] = LABELS) -> None:
        self.spec = ModelSpec(
            "fake", tuple(labels), clip_spec or ClipSpec(num_frames=8, sampling_rate=2), short_side=48
        )
        self.clips: list[Clip] = []

    def __call__(self, clips: Sequence[Clip]) -> list[ActionDetections]:
        self.clips.extend(clips)
        return [
            ActionDetections(clip.keyframe_pts, clip.persons, self._scores(clip), float(clip.pts[-1])) for clip in clips
        ]

    def open_stream(self) -> ActionStream:
        raise ConfigError("the fake model has no streaming form")

    def _scores(self, clip: Clip) -> np.ndarray:
        scores = np.full((len(clip.persons), len(self.spec.labels)), 0.5, np.float32)
        scores[:, 0] = 0.1 * (np.arange(len(clip.persons)) + 1)
        scores[:, 1:2] = clip.keyframe_pts / 100
        return scores.clip(0.0, 1.0)


class FakeSink:
    """Keeps what it is given.

    Attributes:
        results: Everything written.
        closes: How often `close` was called.
    """

    def __init__(self, fail_at: int | None = None) -> None:
        self.results: list[FrameResult] = []
        self.closes = 0
        self._fail_at = fail_at

    def write(self, result: FrameResult) -> None:
        if len(self.results) == self._fail_at:
            raise OSError("the fake sink fails")
        self.results.append(result)

    def close(self) -> None:
        self.closes += 1


class FakeLiveSource:
    """A live source whose frames a test gives, one by one or all at once; a `LiveSource`.

    Args:
        name: Of the source.
        clock: Seconds at which a frame arrives; None takes its time.
    """

    def __init__(self, name: str = "fake", clock: Callable[[], float] | None = None) -> None:
        self.name, self._clock = name, clock
        self._frames: Channel[Frame | BaseException] = Channel(100_000)
        self._status = SourceStatus("connecting", 0.0)
        self.closed = threading.Event()
        self.given = 0

    def give(
        self,
        pts: float,
        size: tuple[int, int] = (48, 64),
        starts_anew: bool = False,
        damaged: bool = False,
        image: np.ndarray | None = None,
    ) -> Frame:
        """The next frame: `index_image` unless there is an image."""
        index, self.given = self.given, self.given + 1
        arrival = pts if self._clock is None else self._clock()
        picture = index_image(index, (size[1], size[0])) if image is None else image
        frame = LazyFrame(lambda: picture, picture.shape[:2], index, pts, arrival, starts_anew, damaged)
        self._frames.put(frame)
        return frame

    def fail(self, error: BaseException) -> None:
        """The iteration raises this, after the frames before."""
        self._frames.put(error)

    def end(self) -> None:
        """No frame follows."""
        self._frames.finish()

    def enter(self, state: str, detail: str = "") -> None:
        """What `status` says from now on."""
        self._status = replace(self._status, state=state, detail=detail)

    def __iter__(self) -> Iterator[Frame]:
        for item in self._frames:
            if isinstance(item, BaseException):
                raise item
            frames = self._status.frames + 1
            self._status = replace(self._status, state="live", frames=frames, last_arrival=item.arrival, size=item.size)
            yield item

    def status(self) -> SourceStatus:
        return self._status

    def close(self) -> None:
        self.closed.set()
        self._frames.close()
