"""The thread of a stream that finds persons on the newest frame, as often as the load allows."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from sf_detect.channels import Mailbox
from sf_detect.errors import StageError
from sf_detect.live.counts import Counts
from sf_detect.live.intake import Arrived
from sf_detect.live.load import Load
from sf_detect.live.retries import Retries
from sf_detect.live.view import View
from sf_detect.person_stage import PersonRun
from sf_detect.threads import step_back

BUSY = 0.7
"""Largest share of its time that the thread computes: what takes longer comes less often."""


class PersonFinder:
    """Detects and tracks persons on the newest frame.

    Args:
        mailbox: Frames fit for a network.
        run: Detector, tracker and what follows.
        view: Told what was found.
        load: Says how often to look.
        retries: When to try again after a failure.
        counts: Of the stream.
        looked_at: Called with each frame that was looked at; where it is given, every frame is that can be.
        found: Called with what was found, for the actions.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        mailbox: Mailbox[Arrived],
        run: PersonRun,
        view: View,
        load: Load,
        retries: Retries,
        counts: Counts,
        looked_at: Callable[[Arrived], None] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._mailbox, self._run, self._view, self._load = mailbox, run, view, load
        self._retries, self._counts, self._looked_at, self._clock = retries, counts, looked_at, clock
        self._part, self._next = -1, 0.0

    def __call__(self) -> None:
        """Works until the mailbox is closed.

        Raises:
            StageError: The stage failed and has never worked.
        """
        step_back()
        for arrived in self._mailbox:
            if arrived.part != self._part:
                self._start_anew(arrived)
            if arrived.frame.pts >= self._next - 1e-6 and self._retries.ready:
                self._look(arrived)

    def _start_anew(self, arrived: Arrived) -> None:
        if self._part >= 0:
            self._run.start_anew()
        self._part, self._next = arrived.part, arrived.frame.pts

    def _look(self, arrived: Arrived) -> None:
        frame, begun = arrived.frame, self._clock()
        try:
            persons = self._run(frame)
        except StageError as error:
            self._retries.failed(error)
            self._run.start_anew()
            self._view.forget_persons()
            return
        self._retries.worked()
        busy = self._clock() - begun
        interval = busy if self._looked_at is not None else max(self._load.detection_interval, busy / BUSY)
        self._counts.detected(len(persons), interval)
        self._view.found(arrived.part, persons, frame.pts)
        if self._looked_at is not None:
            # With who is on it: by the time it is shown the view may know of a later one.
            self._looked_at(replace(arrived, persons=self._view.at(arrived.part, frame.pts)[0]))
        else:
            self._next = frame.pts + interval
