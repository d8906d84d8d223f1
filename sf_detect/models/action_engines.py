"""What a predictor needs of an action network, whichever backend computes it: scores of a clip, or of a stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from sf_detect.engines import Engine, TensorSpec
from sf_detect.errors import ConfigError
from sf_detect.structures import FloatArray, UInt8Array


@runtime_checkable
class NetworkStream(Protocol):
    """A network that takes pictures as they come; see `streaming.StreamingModel`, which is this for tensors.

    Attributes:
        step_frames: Frames of one slow step.
        window: Slow steps that the head looks at.
        exact: True for a causal network; else streaming is an approximation.
    """

    step_frames: int
    window: int
    exact: bool

    def push(self, frames: UInt8Array) -> None:
        """Take new frames (n, h, w, 3) RGB of the network's size; h and w stay the same until reset."""
        ...

    def scores(self, boxes: FloatArray) -> npt.NDArray[np.float32]:
        """Logits (N, C) of boxes (N, 4), xyxy in pixels of the frames, from the last slow steps."""
        ...

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a video."""
        ...


@runtime_checkable
class ActionEngines(Protocol):
    """An action network as engines.

    `clip` goes from `frames` (B, T, h, w, 3) uint8 RGB and `boxes` (N, 5) float32 to `logits` (N, C); where they were
    asked for, `features` (N, D) float32 come with them, what the classifier sees of each box.
    """

    @property
    def clip(self) -> Engine: ...

    def open_stream(self) -> NetworkStream:
        """Raises ConfigError where the network has no streaming form."""
        ...


class StepStream:
    """A `NetworkStream` out of two engines: one computes a slow step, the other scores boxes.

    Args:
        open_engines: Opens step and head; called with the first frame.
        first_state: Makes what `past.NAME` starts from, of the step's inputs and the pictures' (height, width).
        step_frames, window, exact: See `NetworkStream`.
    """

    def __init__(
        self,
        open_engines: Callable[[], tuple[Engine, Engine]],
        first_state: Callable[[Mapping[str, TensorSpec], tuple[int, int]], dict[str, npt.NDArray[np.float32]]],
        step_frames: int,
        window: int,
        exact: bool,
    ) -> None:
        self._open_engines, self._first_state = open_engines, first_state
        self.step_frames, self.window, self.exact = step_frames, window, exact
        self._engines: tuple[Engine, Engine] | None = None
        self._maps: deque[dict[str, npt.NDArray]] = deque(maxlen=window)
        self.reset()

    def reset(self) -> None:
        """See `NetworkStream`."""
        self._maps.clear()
        self._state: dict[str, npt.NDArray[np.float32]] = {}
        self._waiting: UInt8Array | None = None

    def push(self, frames: UInt8Array) -> None:
        """See `NetworkStream`.

        Raises:
            ConfigError: Another size than before.
            EngineError: The backend can't build or run the network.
        """
        if self._engines is None:
            self._engines = self._open_engines()
        if self._waiting is None:
            self._state = self._first_state(self._engines[0].inputs, (frames.shape[1], frames.shape[2]))
        else:
            if frames.shape[1:] != self._waiting.shape[1:]:
                raise ConfigError(
                    f"frames of one stream keep their size, got {frames.shape[2]}x{frames.shape[1]} after "
                    f"{self._waiting.shape[2]}x{self._waiting.shape[1]}; call reset() to begin a new one"
                )
            frames = np.concatenate([self._waiting, frames])
        whole = len(frames) - len(frames) % self.step_frames
        for start in range(0, whole, self.step_frames):
            self._step(self._engines[0], frames[start : start + self.step_frames])
        self._waiting = frames[whole:].copy()

    def scores(self, boxes: FloatArray) -> npt.NDArray[np.float32]:
        """See `NetworkStream`.

        Raises:
            ConfigError: Fewer frames than a window were pushed.
        """
        if self._engines is None or len(self._maps) < self.window:
            raise ConfigError(
                f"there are no scores before a window of {self.window} slow steps of {self.step_frames} frames is "
                f"complete, got {len(self._maps)} steps; push more frames first"
            )
        maps = {name: np.concatenate([step[name] for step in self._maps]) for name in self._maps[0]}
        indexed = np.concatenate([np.zeros((len(boxes), 1)), boxes], 1, dtype=np.float32)
        logits: npt.NDArray[np.float32] = self._engines[1].run({**maps, "boxes": indexed})["logits"]
        return logits

    def _step(self, engine: Engine, frames: UInt8Array) -> None:
        found = engine.run({"frames": frames, **self._state})
        self._state = {f"past.{name[5:]}": found.pop(name) for name in list(found) if name.startswith("next.")}
        self._maps.append(found)
