"""What gives way when the machine is too slow: the detection interval first, then the size or rate of the actions.

The display never does. All streams of a session share one `Load`, so that they give way together.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

TOO_MUCH = 0.9
"""Share of the time that action threads may compute before something gives way."""
TARGET = 0.7
"""Share that a smaller input is chosen for."""
LITTLE = 0.5
"""Share below which the detection interval recovers."""
LEAST_SHOWN = 0.9
"""Share of the frames that the display must have shown."""
LONGEST_INTERVAL = 1.0
"""Seconds between detections that an overload may lead to."""
GROSS = 1.3
"""Share of the time that needs no second look at the start."""
GROSS_BEGINNING = 2.5
"""Of the time there is: what a beginning may take without being an overload."""
GROWTH = 1.6
SETTLE_SECONDS = 3.0
"""After a change, before its effect is judged."""
RECOVERY_SECONDS, LONGEST_RECOVERY = 15.0, 240.0
"""Without overload, before more is tried again; twice as long after each try that failed."""
WINDOW_SECONDS = 6.0
"""Over which load is measured."""
_LEAST_VIDEO = 0.6  # seconds of video that a judgement needs


@dataclass(frozen=True)
class ActionForm:
    """One way to compute actions; `LiveParts.actions` holds what computes them so.

    Attributes:
        stride: Seconds between keyframes.
        streaming: Whether every frame is computed once; else clips are.
        text: For people, such as "streaming 256x344".
        cost: Of a second of video, relative to the other forms.
        begin_seconds: Seconds of video that are computed where a stream begins.
        approximation: What a user should know of its scores, or None where they are those the model was made for.
    """

    stride: float
    streaming: bool
    text: str
    cost: float = 1.0
    begin_seconds: float = 1.0
    approximation: str | None = None


@dataclass
class _Window:
    computing: float = 0.0
    video: float = 0.0
    came: int = 0
    shown: int = 0


class Load:
    """Decides how often persons are detected, and in which form actions are computed.

    Args:
        forms: The first is what is wanted, each later one is cheaper.
        detection_interval: Seconds between detections that are wanted.
        on_change: Told in words what gives way, and what comes back.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        forms: Sequence[ActionForm],
        detection_interval: float,
        on_change: Callable[[str], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.forms = tuple(forms)
        self.detection_interval = self._wanted_interval = detection_interval
        self.form = 0
        self._on_change, self._clock = on_change, clock
        self._lock = threading.Lock()
        self._windows: dict[str, _Window] = {}
        self._skips = 0
        self._has_changed = False
        self._recovery, self._recovered = RECOVERY_SECONDS, False
        self._changed_at = self._calm_since = self._window_began = clock()

    @property
    def current(self) -> ActionForm:
        """The form in force."""
        return self.forms[self.form]

    def computed(self, stream: str, computing: float, video: float) -> None:
        """A stream's actions took `computing` seconds for so many seconds of video."""
        with self._lock:
            window = self._window(stream)
            window.computing += computing
            window.video += video
        self._judge()

    def skipped(self, stream: str) -> None:
        """A stream was too far behind and left frames out."""
        with self._lock:
            self._window(stream)
            self._skips += 1
        self._judge()

    def displayed(self, stream: str, came: int, shown: int) -> None:
        """Of so many new frames so many were shown."""
        with self._lock:
            window = self._window(stream)
            window.came += came
            window.shown += shown
        self._judge()

    def begun(self, stream: str, computing: float = 0.0, video: float = 0.0) -> None:
        """A stream's actions began anew, which cost so much for so many seconds of video.

        It says little of what comes, as models load what they need then, unless it took very long.
        """
        with self._lock:
            window = self._window(stream)
            window.computing, window.video = 0.0, 0.0
            if computing > GROSS_BEGINNING * max(video, _LEAST_VIDEO):
                window.computing, window.video = computing, max(video, _LEAST_VIDEO)
        self._judge()

    def expect(self, share: float) -> None:
        """The form in force would take that share of the time, by a measurement before the start: choose by it."""
        if share > TOO_MUCH and len(self.forms) > 1:
            self.form = self._form_for(share)
            if self._on_change is not None:
                self._on_change(
                    f"actions need {share:.1f} times the time there is by {self.forms[0].text}: they are computed by "
                    f"{self.current.text} (approximate)"
                )

    def _window(self, stream: str) -> _Window:
        return self._windows.setdefault(stream, _Window())

    def _judge(self) -> None:
        with self._lock:
            text = self._change(self._clock())
        if text is not None and self._on_change is not None:
            self._on_change(text)

    def _change(self, now: float) -> str | None:
        share = self._share()
        at_once = share > GROSS and not self._has_changed
        if now - self._changed_at < (SETTLE_SECONDS / 3 if at_once else SETTLE_SECONDS):
            return None
        if share > TOO_MUCH or self._skips > 1 or self._display_starves():
            if self._recovered:
                self._recovery, self._recovered = min(LONGEST_RECOVERY, 2 * self._recovery), False
            text = self._give_way(share)
            self._settle(now)
            return text
        if share > LITTLE or self._skips:
            self._calm_since = now
        if share and now - self._calm_since > self._recovery and (text := self._recover(share)) is not None:
            self._recovered = True
            self._settle(now)
            return text
        if now - self._window_began > WINDOW_SECONDS:
            self._measure_anew(now)
        return None

    def _share(self) -> float:
        """Of the busiest stream; 0 while there is too little to tell."""
        return max((w.computing / w.video for w in self._windows.values() if w.video >= _LEAST_VIDEO), default=0.0)

    def _display_starves(self) -> bool:
        return any(w.came >= 30 and w.shown < LEAST_SHOWN * w.came for w in self._windows.values())

    def _give_way(self, share: float) -> str | None:
        longest = max(LONGEST_INTERVAL, self._wanted_interval)
        grossly = share > GROSS
        said = []
        if self.detection_interval < longest:
            growth = longest if grossly else max(self.detection_interval, 0.1) * GROWTH
            self.detection_interval = min(longest, growth)
            said.append(f"persons are looked for every {self.detection_interval:.2f} s")
            if not grossly:
                return f"the machine is too slow: {said[0]}"
        if self.form + 1 < len(self.forms) and (share > LITTLE or self._skips > 1):
            self.form = self._form_for(share)
            said.append(f"actions by {self.current.text}" + (" (approximate)" if self.current.approximation else ""))
        return f"the machine is too slow: {', '.join(said)}" if said else None

    def _recover(self, share: float) -> str | None:
        """What gave way last comes back first."""
        if self.form > 0:
            before = self.forms[self.form - 1]
            # Clips and streams can't be compared by their costs.
            if before.streaming != self.current.streaming or share * before.cost / self.current.cost <= TARGET:
                self.form -= 1
                return f"actions by {self.current.text} again"
        if self.detection_interval > self._wanted_interval:
            self.detection_interval = max(self._wanted_interval, self.detection_interval / GROWTH)
            return f"persons are looked for every {self.detection_interval:.2f} s again"
        return None

    def _form_for(self, share: float) -> int:
        """The first later form that should keep up, or the last one."""
        now = self.current.cost
        for index in range(self.form + 1, len(self.forms)):
            if share * self.forms[index].cost / now <= TARGET:
                return index
        return len(self.forms) - 1

    def _settle(self, now: float) -> None:
        self._has_changed = True
        self._changed_at = self._calm_since = now
        self._measure_anew(now)

    def _measure_anew(self, now: float) -> None:
        self._window_began, self._windows, self._skips = now, {}, 0
