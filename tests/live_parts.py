"""Live sessions out of fakes: nothing decodes, computes or waits but on what a test gives."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np

from fakes import FakeDetector, FakeLiveSource, FakeTracker
from sf_detect.interfaces import ActionStream
from sf_detect.live import ActionForm, LiveParts, LiveSession, Load
from sf_detect.model_spec import ModelSpec
from sf_detect.person_stage import PersonStage
from sf_detect.stages import ActionStage, NoActions, StreamActions
from sf_detect.structures import ActionDetections, ClipSpec, Detections, Frame, LiveResult

PATIENCE = 20.0


class FakeStreamModel:
    """A streaming model whose one score is what `look` makes of the newest frame's image."""

    def __init__(self, look: Callable[[np.ndarray], float] = lambda image: 0.5, step_seconds: float = 0.1) -> None:
        self.spec = ModelSpec("fake stream", ("score",), ClipSpec(8, 2), short_side=48)
        self.look, self.step_seconds, self.warning = look, step_seconds, None
        self.resets = 0
        self.pushed: list[float] = []

    def __call__(self, clips):
        raise AssertionError("clips are not computed")

    def open_stream(self) -> ActionStream:
        return self

    def push(self, frame: Frame) -> None:
        self.pushed.append(frame.pts)
        self._newest = frame.pts, self.look(frame.image)

    def score(self, persons: Detections, pts: float, image_size: tuple[int, int]) -> ActionDetections:
        seen, score = self._newest
        return ActionDetections(pts, persons, np.full((len(persons), 1), score, np.float32), seen)

    def reset(self) -> None:
        self.resets += 1


def streaming(model) -> list[ActionStage]:
    return [StreamActions(model)]


def parts(actions: Sequence[ActionStage] = (), detector=None, tracker=FakeTracker, **others) -> LiveParts:
    """Detection on every frame that is due, at 10 a second."""
    stage = PersonStage(detector or FakeDetector(), tracker)
    actions = actions or [NoActions()]
    forms = [ActionForm(0.1, streaming=True, text="streaming") for _ in actions]
    return LiveParts(stage, actions, Load(forms, others.pop("interval", 0.1)), **others)


def session(source: FakeLiveSource, some: LiveParts | None = None, **options) -> LiveSession:
    return LiveSession([(source, some or parts())], **options)


def until(session: LiveSession, wanted: Callable[[LiveResult], bool]) -> LiveResult:
    """The first result that is wanted."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            result = session.next(0.5)
        except TimeoutError:
            continue
        assert result is not None, "the session has ended"
        if wanted(result):
            return result
    raise AssertionError(f"no such result came; {session.stats()}")


def until_true(condition: Callable[[], bool]) -> None:
    """Waits for what another thread does."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.002)
