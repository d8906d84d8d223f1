"""The thread of a stream that shows every newest frame at once, with what is known by then. It waits for no model."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from sf_detect.channels import ChannelClosed, Mailbox
from sf_detect.errors import SFDetectError
from sf_detect.interfaces import LiveSource
from sf_detect.live.counts import Counts
from sf_detect.live.intake import Arrived
from sf_detect.live.load import Load
from sf_detect.live.retries import Retries
from sf_detect.live.view import View
from sf_detect.stages import run_stage
from sf_detect.structures import Detections, Frame, LiveResult, UInt8Array

Drawing = Callable[[LiveResult], UInt8Array]
"""The picture of a result as it may leave, in the size of its frame; of a notice, the notice."""

NOTICE_AFTER = 3.0
"""Seconds without a picture after which that is what is shown."""
NOTICE_EVERY = 1.0
EMPTY_SIZE = (480, 640)
"""(height, width) of what is shown before the first frame."""
_LOOK_SECONDS = 0.25
_TELL_FRAMES = 15


class Display:
    """Gives out what is to be shown.

    Args:
        source: Whose status is told.
        mailbox: The newest frame.
        view: What is known of it.
        load: Told how many frames were shown of those that came.
        counts: Of the stream.
        retries: Told of pictures that can't be drawn.
        draw: Makes the pictures; None where nobody looks at any.
        show: Given each result; must not wait.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        source: LiveSource,
        mailbox: Mailbox[Arrived],
        view: View,
        load: Load,
        counts: Counts,
        retries: Retries,
        draw: Drawing | None,
        show: Callable[[LiveResult], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source, self._mailbox, self._view, self._load = source, mailbox, view, load
        self._counts, self._retries, self._draw, self._show, self._clock = counts, retries, draw, show, clock
        self._last: Frame | None = None
        self._last_came = self._last_notice = clock()
        self._told = (0, 0)

    def __call__(self) -> None:
        """Works until the mailbox is closed.

        Raises:
            SFDetectError: No picture can be drawn.
        """
        while True:
            try:
                arrived = self._mailbox.get(_LOOK_SECONDS)
            except TimeoutError:
                self._notice()
            except ChannelClosed:
                return
            else:
                self._frame(arrived)

    @property
    def no_picture_for(self) -> float:
        """Seconds since the newest frame that was shown came."""
        return self._clock() - self._last_came

    def _frame(self, arrived: Arrived) -> None:
        frame = arrived.frame
        persons, detected = self._view.at(arrived.part, frame.pts)
        if arrived.persons is not None:
            persons, detected = arrived.persons, frame.pts
        actions = self._view.actions_of(arrived.part, persons, frame.pts)
        state = self._source.status().state
        self._last, self._last_came = frame, self._clock() if frame.arrival is None else frame.arrival
        self._give(
            LiveResult(
                frame,
                persons,
                actions,
                source=self._source.name,
                shown=self._clock(),
                utc=arrived.utc,
                state=state,
                detected_pts=detected,
            )
        )
        self._tell()

    def _give(self, result: LiveResult) -> None:
        if self._draw is not None:
            try:
                result = replace(result, picture=run_stage("drawing", result.frame, self._draw, result))
            except SFDetectError as error:
                self._retries.failed(error)
                return
            self._retries.worked()
        result = replace(result, shown=self._clock())
        if not result.notice:
            self._counts.showed(result)
        self._show(result)

    def _tell(self) -> None:
        shown, dropped = self._counts.shown, self._mailbox.dropped
        came = shown + dropped - sum(self._told)
        if came >= _TELL_FRAMES:
            self._load.displayed(self._source.name, came, shown - self._told[0])
            self._told = (shown, dropped)

    def _notice(self) -> None:
        now = self._clock()
        if now - self._last_came < NOTICE_AFTER or now - self._last_notice < NOTICE_EVERY:
            return
        self._last_notice = now
        last, status = self._last, self._source.status()
        size = EMPTY_SIZE if last is None else last.size
        index, pts = (0, 0.0) if last is None else (last.index, last.pts + now - self._last_came)
        black = Frame(np.zeros((*size, 3), np.uint8), index, pts, now)
        text = notice_text(now - self._last_came, status.state, status.detail)
        self._give(
            LiveResult(
                black,
                Detections.empty(),
                source=self._source.name,
                shown=now,
                utc=time.time(),
                state=status.state,
                notice=text,
            )
        )


def notice_text(seconds: float, state: str, detail: str) -> str:
    """What is shown in place of a picture."""
    reason = f"{state}: {detail}" if detail else state
    return f"No picture for {seconds:.0f} s ({reason})"
