"""The streaming twin of the action predictor: from frames with times to action scores of boxes, at any time.

Frames come at any rate; the network wants them `ClipSpec.interval` seconds apart. The stream lays a grid of times from
its first frame on and feeds, for each time, the frame nearest to it (a tie goes to the earlier one, as when clips are
cut). Before its first frame a video is taken to stand still, as a clip cut there repeats its first frame: for a causal
network with the keyframe last in its clip, the first scores are those of clip inference.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from sf_detect import boxes as box_ops
from sf_detect.model_spec import ModelSpec
from sf_detect.models.action_engines import NetworkStream
from sf_detect.models.predictor import PredictorOutputs, Resize, model_spec
from sf_detect.models.preprocessing import Preprocessing, resized_frames
from sf_detect.models.slow_index import slow_index
from sf_detect.structures import ActionDetections, Clip, ClipSpec, Detections, Frame, UInt8Array

if TYPE_CHECKING:
    import torch
    from torch import nn

APPROXIMATION = (
    "streaming is an approximation for this model: its temporal convolutions were trained with centred padding and see "
    "no future frame here. Compare with --inference clip, or use a model trained with causal=True."
)
# A grid time that a frame misses by less counts as met: container time bases are that coarse (1/1000 in Matroska).
_TIME_TOLERANCE = 1e-3
# A video of one frame a second is slow, not cut, even where a clip is shorter than that.
_SHORTEST_CUT = 1.5


class TimeGrid:
    """Chooses, for every multiple of `interval` seconds after the first frame, the frame nearest in time.

    Args:
        interval: Seconds between two grid times.
        longest_gap: Seconds between two frames from which on the video counts as cut: the grid begins anew.
    """

    def __init__(self, interval: float, longest_gap: float) -> None:
        self._interval, self._longest_gap = interval, longest_gap
        self.reset()

    def reset(self) -> None:
        """Forget the past; the next frame begins a grid."""
        self._last: Frame | None = None
        self._origin, self._count = 0.0, 0

    def begins(self, frame: Frame) -> bool:
        """Whether `frame` begins a grid: the first one, after a long gap or a step back, or of another size."""
        last = self._last
        return last is None or not 0 < frame.pts - last.pts <= self._longest_gap or frame.size != last.size

    def push(self, frame: Frame) -> Iterator[Frame]:
        """The frames for the grid times that `frame` decides, oldest first; a frame may come more than once."""
        if self.begins(frame):
            self._last, self._origin, self._count = frame, frame.pts, 0
        last, self._last = self._last, frame
        assert last is not None
        # From the count, not by adding up: hours of 1/25 s must not drift.
        while (time := self._origin + self._count * self._interval) <= frame.pts + _TIME_TOLERANCE:
            self._count += 1
            yield last if time - last.pts <= frame.pts - time + 1e-6 else frame


class EngineStream(PredictorOutputs):
    """An action network as an `ActionStream`.

    Args:
        network: Computes slow steps out of pictures.
        spec: All that others need to know of the model; `clip_spec` has the grid's interval.
        activation: See `classification_head.activate`.
        resize: `(image, short_side) -> image`, the resizing that clip inference uses.
        slow_index: Which clip frames the Slow pathway takes; None for a single-pathway network.

    Attributes:
        exact: True if the scores are those of the network run over the whole video.
        warning: What a user must know about the scores; None where they are exact.
        step_seconds: Seconds of video of one slow step.
        resets: How often a stream has begun, the first time included.

    Raises:
        UnknownNameError: No such activation.
    """

    def __init__(
        self,
        network: NetworkStream,
        spec: ModelSpec,
        activation: str,
        resize: Resize,
        slow_index: Sequence[int] | None = None,
    ) -> None:
        super().__init__(spec, activation)
        self._network, self._resize = network, resize
        self._grid = TimeGrid(spec.clip_spec.interval, longest_gap=max(spec.clip_spec.duration, _SHORTEST_CUT))
        self.exact = network.exact and _slow_frames_are_last(spec.clip_spec, slow_index)
        self.warning = None if self.exact else f"{spec.name or 'the model'}: {APPROXIMATION}"
        self.step_seconds = network.step_frames * spec.clip_spec.interval
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a video."""
        self._network.reset()
        self._grid.reset()
        self._input_size = (1, 1)
        self._seen_until: float | None = None
        self.resets = 0

    def push(self, frame: Frame) -> None:
        """Take the next frame and compute the slow steps that it completes.

        A gap longer than a clip (and 1.5 s), a step back in time and another picture size begin a new stream.
        """
        begins = self._grid.begins(frame)
        chosen = list(self._grid.push(frame))
        if begins:
            self._network.reset()
            self.resets += 1
            # The frame itself is the last of the window: the video stands still before it.
            chosen = chosen * (self._network.window * self._network.step_frames)
        if chosen:
            self._network.push(self._pictures(chosen))
            self._seen_until = chosen[-1].pts

    def score(self, persons: Detections, pts: float, image_size: tuple[int, int]) -> ActionDetections:
        """Actions of `persons` as of the newest complete slow step.

        Args:
            persons: Boxes in pixels of the source frame.
            pts: Seconds; the time that the result carries.
            image_size: (height, width) of the source frame.

        Raises:
            ConfigError: No frame was pushed yet.
        """
        if not len(persons):
            return ActionDetections(pts, persons, np.zeros((0, len(self.labels)), np.float32), self._seen_until)
        scaled = box_ops.scale(box_ops.clip(persons.boxes, image_size), image_size, self._input_size)
        return ActionDetections(pts, persons, self._activated(self._network.scores(scaled)), self._seen_until)

    def _pictures(self, frames: Sequence[Frame]) -> UInt8Array:
        """(n, h, w, 3) frames of the network's size; equal frames in a row are resized once."""
        small: list[UInt8Array] = []
        for i, frame in enumerate(frames):
            repeated = i > 0 and frame is frames[i - 1]
            small.append(small[-1] if repeated else self._resize(frame.image, self.spec.short_side))
        stacked = np.stack(small)
        clip = Clip(stacked, np.array([f.pts for f in frames]), frames[-1].pts, Detections.empty(), frames[-1].size)
        pictures = resized_frames(clip, self.spec.short_side)
        self._input_size = (pictures.shape[1], pictures.shape[2])
        return pictures


class StreamingPredictor(EngineStream):
    """A network of torch as an `ActionStream`.

    Args:
        network: See `StreamingModel`; put into eval mode here.
        clip_spec: How its clips are sampled: the grid's interval and, over the frames of a slow step, the window.
        labels: C class names.
        preprocessing: What it expects of its input.
        resize: `(image, short_side) -> image`, the resizing that clip inference uses.
        activation: See `activate`.
        device: Where it runs.
        **about: What else the `ModelSpec` says: name, label_ids, thresholds, box_regression.

    Raises:
        ConfigError: A network that has no streaming form.
        UnknownNameError: No such activation.
    """

    def __init__(
        self,
        network: nn.Module,
        clip_spec: ClipSpec,
        labels: Sequence[str],
        preprocessing: Preprocessing,
        resize: Resize,
        *,
        activation: str = "sigmoid",
        device: torch.device | str = "cpu",
        **about: Any,
    ) -> None:
        from sf_detect.models.torch_action_engines import TorchActionEngines

        engines = TorchActionEngines(network, preprocessing, clip_spec.num_frames, device)
        spec = model_spec(labels, clip_spec, preprocessing, **about)
        super().__init__(engines.open_stream(), spec, activation, resize, preprocessing.slow_index)


def _slow_frames_are_last(clip_spec: ClipSpec, chosen: Sequence[int] | None) -> bool:
    """Whether the slow pathway was trained on the last frame of each group, the one that streaming takes."""
    if chosen is None:
        return True
    return list(chosen) == slow_index(clip_spec.num_frames, clip_spec.num_frames // len(chosen), "last")
