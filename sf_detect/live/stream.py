"""One source with its threads: the reader, persons, actions, and the display.

    source -> reader -+-> newest frame -> display -> every result: outputs of pictures, the caller
                      |                     ^ boxes and actions by now
                      |                    view
                      |                     ^ boxes, tracks
                      +-> newest frame -> persons
                      |                     ^ newest actions
                      +-> all frames ---> actions -> keyframes: outputs of data

Nothing queues: the display and the persons take the newest frame, the actions begin anew where they are behind.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sf_detect.channels import ChannelClosed, Mailbox
from sf_detect.errors import SFDetectError
from sf_detect.interfaces import LiveSource
from sf_detect.live.actions import ActionScorer
from sf_detect.live.counts import Counts, StreamStats
from sf_detect.live.display import Display, Drawing
from sf_detect.live.intake import Arrived, Intake
from sf_detect.live.load import Load
from sf_detect.live.output import LiveOutput
from sf_detect.live.persons import PersonFinder
from sf_detect.live.retries import Retries
from sf_detect.live.view import View
from sf_detect.person_stage import PersonStage
from sf_detect.stages import ActionStage
from sf_detect.structures import Frame, LiveResult

_READER_SECONDS = 0.3
LINGER = 0.5
"""Seconds for which somebody that the detector has lost is still hidden, where people are to be hidden."""


@dataclass(frozen=True)
class LiveParts:
    """What a stream is made of, but its source.

    Attributes:
        persons: Detector, tracker and what follows.
        actions: What computes actions, a stage for each form of `load`.
        load: Shared by the streams of a session.
        draw: Makes pictures, with a memory of its own; None where nobody looks at any.
        pictures: Outputs that take every result with its picture.
        records: Outputs that take keyframes.
        only_looked_at: Show only frames that the detector has looked at, so that nobody passes it unseen.
    """

    persons: PersonStage
    actions: Sequence[ActionStage]
    load: Load
    draw: Drawing | None = None
    pictures: Sequence[LiveOutput] = ()
    records: Sequence[LiveOutput] = ()
    only_looked_at: bool = False


class LiveStream:
    """Reads, watches and shows one source.

    Args:
        source: Where frames come from; the stream closes it.
        parts: The rest.
        show: Given every result that is to be shown; must not wait.
        on_warning: Told what a user should know.
        on_end: Called once no more frames come, with what failed, or None.
        clock: Monotonic seconds.
    """

    def __init__(
        self,
        source: LiveSource,
        parts: LiveParts,
        show: Callable[[LiveResult], None],
        on_warning: Callable[[str], None],
        on_end: Callable[[str, BaseException | None], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name, self._source, self._parts, self._clock = source.name, source, parts, clock
        self._on_end, self._begun = on_end, clock()
        self._counts, self._view = Counts(clock), View(LINGER if parts.only_looked_at else 0.0)
        self._newest, self._to_look_at = Mailbox[Arrived](), Mailbox[Arrived]()
        self._intake = Intake()
        self._stages = {what: Retries(self._warner(on_warning), clock) for what in ("persons", "actions", "display")}
        self._outputs = (*parts.pictures, *parts.records)
        self._show = show
        self._latest: LiveResult | None = None
        self._part, self._size, self._damaged = -1, (0, 0), 0
        self._stopping = False
        self._error: BaseException | None = None
        self._lock = threading.Lock()
        work: dict[str, Callable[[], None]] = {
            "reader": self._read,
            "persons": self._new_finder(),
            "actions": self._new_scorer(),
            "display": self._new_display(),
        }
        self._working = set(work)
        self._threads = [self._thread(what, function) for what, function in work.items()]

    def start(self) -> None:
        """Begins to read."""
        for one in self._threads:
            one.start()

    @property
    def latest(self) -> LiveResult | None:
        """The newest result that was shown."""
        return self._latest

    def stats(self) -> StreamStats:
        """How the stream is; from any thread, without waiting."""
        status, load = self._source.status(), self._parts.load
        summary = self._counts.summary()
        drops = dict(summary.pop("drops"), **status.drops)  # type: ignore[call-overload]
        unseen = self._to_look_at.dropped if self._parts.only_looked_at else 0
        found = {"display": self._newest.dropped + unseen, "actions": drops.get("actions", 0) + self._intake.dropped}
        found |= {"damaged": self._damaged}
        found |= {f"output {output.name}": output.dropped for output in self._outputs}
        last = self._begun if status.last_arrival is None else status.last_arrival
        problems = [str(stage.error) for stage in self._stages.values() if stage.error is not None]
        problems += [] if self._error is None else [str(self._error)]
        problems += [str(output.failure) for output in self._outputs if output.failure is not None]
        return StreamStats(
            name=self.name,
            source=status,
            no_picture_for=max(0.0, self._clock() - last),
            form=load.current.text,
            approximation=load.current.approximation,
            drops={cause: count for cause, count in (drops | found).items() if count},
            failures={what: stage.failures for what, stage in self._stages.items() if stage.failures},
            problem=" ".join(problems),
            **summary,  # type: ignore[arg-type]
        )

    def stop(self) -> None:
        """Ends reading at once; nothing that waits is looked at any more. Returns without waiting."""
        self._stopping = True
        self._source.close()
        self._end_frames(discard=True)

    @property
    def works(self) -> bool:
        """Whether a thread of it runs."""
        return any(one.is_alive() for one in self._threads)

    def close(self, deadline: float) -> list[SFDetectError]:
        """Completes the outputs, whatever hangs.

        Args:
            deadline: Of the monotonic clock.

        Returns:
            What failed among the outputs.
        """
        half = deadline - max(0.0, deadline - time.monotonic()) / 2
        for one in self._threads[1:]:
            if one.ident is None:  # never started
                continue
            one.join(max(0.0, half - time.monotonic()))
        for output in self._outputs:
            output.finish()
        for output in self._outputs:
            output.close(deadline)
        if self._threads[0].ident is not None:  # a reader that is not stuck ends at once
            self._threads[0].join(min(_READER_SECONDS, max(0.0, deadline - time.monotonic())))
        return [output.failure for output in self._outputs if output.failure is not None]

    def _new_display(self) -> Display:
        parts = self._parts
        return Display(
            self._source,
            self._newest,
            self._view,
            parts.load,
            self._counts,
            self._stages["display"],
            parts.draw,
            self._give_out,
            self._clock,
        )

    def _new_finder(self) -> PersonFinder:
        return PersonFinder(
            self._to_look_at,
            self._parts.persons.begin(self.name),
            self._view,
            self._parts.load,
            self._stages["persons"],
            self._counts,
            self._put_newest if self._parts.only_looked_at else None,
            self._clock,
        )

    def _new_scorer(self) -> ActionScorer:
        return ActionScorer(
            self.name,
            self._intake,
            self._view,
            self._parts.actions,
            self._parts.load,
            self._stages["actions"],
            self._counts,
            self._record,
            lambda: self._source.status().state,
            self._clock,
        )

    def _thread(self, what: str, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except BaseException as error:  # handed to the consumer, whatever it is
                self._fail(error)
            finally:
                self._ended(what)

        return threading.Thread(target=run, name=f"{self.name} {what}", daemon=True)

    def _read(self) -> None:
        for frame in self._source:
            if self._stopping:
                return
            self._hand_on(frame)

    def _hand_on(self, frame: Frame) -> None:
        if self._part < 0 or frame.starts_anew or frame.size != self._size:
            self._part, self._size = self._part + 1, frame.size
        age = 0.0 if frame.arrival is None else self._clock() - frame.arrival
        arrived = Arrived(self._part, frame, time.time() - age)
        if not self._parts.only_looked_at:
            self._put_newest(arrived)
        if frame.damaged:
            self._damaged += 1
            return
        try:
            self._to_look_at.put(arrived)
        except ChannelClosed:
            return
        self._intake.put(arrived)

    def _put_newest(self, arrived: Arrived) -> None:
        try:
            self._newest.put(arrived)
        except ChannelClosed:
            return

    def _give_out(self, result: LiveResult) -> None:
        self._latest = result
        for output in self._parts.pictures:
            output.put(result)
        self._show(result)

    def _record(self, result: LiveResult) -> None:
        for output in self._parts.records:
            output.put(result)

    def _end_frames(self, discard: bool) -> None:
        for mailbox in (self._to_look_at, self._newest):
            mailbox.close() if discard else mailbox.finish()
        self._intake.finish(discard)

    def _ended(self, what: str) -> None:
        """A thread has ended: where the frames end, the others follow; with the last one the stream has ended."""
        if what == "reader":
            if self._parts.only_looked_at and not self._stopping:
                self._to_look_at.finish()
                self._intake.finish()
            else:
                self._end_frames(discard=self._stopping)
        if what == "persons" and self._parts.only_looked_at:
            self._newest.finish()
        with self._lock:
            self._working.discard(what)
            last = not self._working
        if last:
            self._on_end(self.name, self._error)

    def _fail(self, error: BaseException) -> None:
        if self._error is None and not self._stopping:
            self._error = error
        self.stop()

    def _warner(self, on_warning: Callable[[str], None]) -> Callable[[str], None]:
        return lambda text: on_warning(f"{self.name}: {text}")
