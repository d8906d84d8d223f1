"""What a stream has done so far, and how old what it shows is."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sf_detect.structures import LiveResult, SourceStatus

RECENT_SECONDS = 5.0
"""Over which rates are counted."""
RECENT_RESULTS = 300
"""Over which ages are summed up."""


@dataclass(frozen=True)
class Age:
    """Seconds, over the newest results.

    Attributes:
        median, p95: Of them.
        newest: The last one.
    """

    median: float
    p95: float
    newest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Age | None:
        """None without values."""
        if not values:
            return None
        ordered = sorted(values)
        return cls(ordered[len(ordered) // 2], ordered[min(len(ordered) - 1, int(0.95 * len(ordered)))], values[-1])


@dataclass(frozen=True)
class StreamStats:
    """How a stream is.

    Attributes:
        name: Of the source.
        source: Its status.
        no_picture_for: Seconds since the newest frame came, or since the start before the first.
        shown: Frames shown so far.
        fps: Frames shown per second lately.
        predictions: Keyframes whose actions are known so far.
        predictions_per_second: Lately.
        detections: Frames on which persons were looked for so far.
        detection_interval: Seconds between two, as the load and the detector's speed allow now.
        form: How actions are computed, such as "streaming 160x213".
        approximation: Where that is not what the model was made for: in which way.
        persons: On the newest result.
        frame_age, boxes_age, labels_age: See `LiveResult`.
        drops: Frames that were left out, by cause: "display" (a newer one came before it was shown), "actions" (their
            thread was behind and the stream began anew), "damaged" (not shown to a network), "output NAME" (it was
            too slow), and those of the source.
        failures: How often a stage failed and was tried again, by stage.
        problem: What does not work now; else empty.
    """

    name: str
    source: SourceStatus
    no_picture_for: float
    shown: int = 0
    fps: float = 0.0
    predictions: int = 0
    predictions_per_second: float = 0.0
    detections: int = 0
    detection_interval: float = 0.0
    form: str = ""
    approximation: str | None = None
    persons: int = 0
    frame_age: Age | None = None
    boxes_age: Age | None = None
    labels_age: Age | None = None
    drops: Mapping[str, int] = field(default_factory=dict)
    failures: Mapping[str, int] = field(default_factory=dict)
    problem: str = ""


class Rate:
    """How often something happened lately."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._begun = clock, clock()
        self._times: deque[float] = deque(maxlen=2000)

    def add(self) -> None:
        """It happened."""
        self._times.append(self._clock())

    @property
    def per_second(self) -> float:
        """Over the last `RECENT_SECONDS`, or since the start."""
        now = self._clock()
        span = min(RECENT_SECONDS, max(now - self._begun, 1e-3))
        return sum(1 for at in list(self._times) if at > now - span) / span


class Counts:
    """Counters of one stream, written by its threads and read by anyone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._lock = threading.Lock()
        self.shown = self.predictions = self.detections = self.persons = 0
        self.detection_interval = 0.0
        self.drops: Counter[str] = Counter()
        self._shown_rate, self._prediction_rate = Rate(clock), Rate(clock)
        self._ages: dict[str, deque[float]] = {
            name: deque(maxlen=RECENT_RESULTS) for name in ("frame_age", "boxes_age", "labels_age")
        }

    def dropped(self, cause: str, count: int = 1) -> None:
        """Frames were left out."""
        with self._lock:
            self.drops[cause] += count

    def detected(self, persons: int, interval: float) -> None:
        """Persons were looked for, and will be again after so many seconds."""
        with self._lock:
            self.detections += 1
            self.persons, self.detection_interval = persons, interval

    def predicted(self) -> None:
        """The actions of a keyframe became known."""
        with self._lock:
            self.predictions += 1
            self._prediction_rate.add()

    def showed(self, result: LiveResult) -> None:
        """A frame was shown."""
        with self._lock:
            self.shown += 1
            self.persons = len(result.persons)
            self._shown_rate.add()
            for name, values in self._ages.items():
                age = getattr(result, name)
                if age is not None:
                    values.append(age)

    def summary(self) -> dict[str, object]:
        """The fields of `StreamStats` that are counted here."""
        with self._lock:
            return {
                "shown": self.shown,
                "fps": self._shown_rate.per_second,
                "predictions": self.predictions,
                "predictions_per_second": self._prediction_rate.per_second,
                "detections": self.detections,
                "detection_interval": self.detection_interval,
                "persons": self.persons,
                "drops": dict(self.drops),
                **{name: Age.of(values) for name, values in self._ages.items()},
            }
