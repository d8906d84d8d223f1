"""A clip classifier on a whole video: the scores of several views, joined."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from sf_detect.errors import ConfigError, DecodeError, SourceError, UnknownNameError
from sf_detect.interfaces import VideoSource
from sf_detect.models.classification_head import activate, clip_scores
from sf_detect.models.preprocessing import Preprocessing
from sf_detect.models.video_views import Cropper, Times, Views, ViewSampler, clip_times, whole_video_times
from sf_detect.structures import Clip, ClipSpec, Detections, UInt8Array

OnView = Callable[[int, int], None]
"""Receives how many views are done, and how many there will be."""

JOINING: dict[str, Callable[..., npt.NDArray[np.float32]]] = {"mean": np.mean, "max": np.max}
"""Ways to make one score of a class of those of the views."""

_DURATION_TOLERANCE = 0.5  # seconds by which a container may be wrong without consequence
_DEFAULT_FPS = 25.0


@dataclass(frozen=True, eq=False)
class Classification:
    """What a video shows.

    Attributes:
        labels: C class names.
        scores: (C,) float32 in [0, 1], the mean or the maximum over the views.
        clips, crops: Views that were joined: so many clips, so many squares of each.
        interrupted: True where Ctrl-C ended the work before the last view.
    """

    labels: tuple[str, ...]
    scores: npt.NDArray[np.float32]
    clips: int
    crops: int
    interrupted: bool = False

    def top(self, count: int = 5) -> list[tuple[str, float]]:
        """The best labels with their scores, best first."""
        order = np.argsort(-self.scores, kind="stable")[:count]
        return [(self.labels[i], float(self.scores[i])) for i in order]

    def __repr__(self) -> str:
        best = ", ".join(f"{label} {score:.2f}" for label, score in self.top(1))
        return f"Classification({best}, views={self.clips}x{self.crops})"


class ClipClassifier:
    """A network that scores clips, applied to videos.

    Args:
        network: `network(pathways)` returns logits (B, C), or (B, T', H', W', C) with positions, which are averaged
            after the activation. Put into eval mode here.
        clip_spec: How its clips are sampled.
        labels: C class names.
        preprocessing: What it expects of its input.
        crop: Side of the square it is shown, in pixels; None for the shorter side of `preprocessing`.
        loop: A video shorter than a clip starts over; else its last frame stands still.
        whole_video: The frames of a clip are spread over the whole video; there is one clip then.
        view_scores: How the scores of the views become those of the video, "mean" or "max".
        activation: "softmax" for exclusive classes, "sigmoid" for independent ones.
        device: Where it runs.
        name: For people to read.
    """

    def __init__(
        self,
        network: nn.Module,
        clip_spec: ClipSpec,
        labels: Sequence[str],
        preprocessing: Preprocessing,
        *,
        crop: int | None = None,
        loop: bool = False,
        whole_video: bool = False,
        view_scores: str = "mean",
        activation: str = "softmax",
        device: torch.device | str = "cpu",
        name: str = "",
    ) -> None:
        activate(torch.zeros(1), activation)  # an unknown name raises here, not after the first clip
        if view_scores not in JOINING:
            raise UnknownNameError("way to join the scores of views", view_scores, JOINING)
        self.clip_spec, self.labels, self.name = clip_spec, tuple(labels), name
        self._crop = crop or preprocessing.short_side
        self._short_side = preprocessing.short_side
        # The squares arrive in the size of the network's input: nothing is left to resize.
        self._preprocessing = replace(preprocessing, short_side=self._crop)
        self.whole_video, self.view_scores = whole_video, view_scores
        self._loop, self._activation = loop, activation
        self._device = torch.device(device)
        self._network = network.eval().to(self._device)

    def __call__(
        self, source: VideoSource, views: Views | None = None, on_view: OnView | None = None
    ) -> Classification:
        """Scores a video.

        Memory does not grow with the length of the video. Ctrl-C ends the work with the views done so far, if any.

        Args:
            source: A video with an end.
            views: Which parts are looked at; a short video has fewer clips than asked for, and a network that is shown
                the whole video at once has one.
            on_view: Told about progress.

        Raises:
            ConfigError: The source is live, or the network has another number of classes than there are labels.
            SourceError: It cannot be read.
        """
        views = views or Views()
        if source.info.is_live:
            raise ConfigError(
                f"{source.info.name} is live and has no end, and a video is classified as a whole. Give a file, or "
                "record some seconds first (`sf-detect run` works on live sources)."
            )
        stated = _stated_duration(source)
        duration = _true_duration(source) if stated is None else stated
        result, end = self._classify(source, views, duration, on_view)
        if result.interrupted or abs(end - duration) <= _DURATION_TOLERANCE:
            return result
        try:  # the container was wrong: the clips were not where they belong
            return self._classify(source, views, end, on_view)[0]
        except SourceError:  # it can be read only once
            return result

    def _classify(
        self, source: VideoSource, views: Views, duration: float, on_view: OnView | None
    ) -> tuple[Classification, float]:
        """The result, and how long the video turned out to be, in seconds."""
        times = self._times(views.clips, duration, _interval(source))
        sampler = ViewSampler(times, Cropper(self._short_side, self._crop, views.crops))
        total, scores, interrupted = len(times) * views.crops, [], False
        try:
            for view in self._views(sampler(source, _interval(source))):
                scores.append(self._score(view))
                if on_view is not None:
                    on_view(len(scores), total)
        except KeyboardInterrupt:
            interrupted = True
            if not scores:
                raise
        if not scores:
            raise DecodeError(f"{source.info.name}: no frame could be decoded. Expected at least one; check the file.")
        clips = -(-len(scores) // views.crops)
        return Classification(
            self.labels, JOINING[self.view_scores](scores, 0), clips, views.crops, interrupted
        ), sampler.end

    def _times(self, clips: int, duration: float, interval: float) -> list[Times]:
        if self.whole_video:
            return whole_video_times(self.clip_spec.num_frames, duration, interval)
        return clip_times(self.clip_spec, clips, duration, self._loop)

    @staticmethod
    def _views(clips: Iterator[UInt8Array]) -> Iterator[UInt8Array]:
        for clip in clips:
            for crop in range(clip.shape[1]):
                yield np.ascontiguousarray(clip[:, crop])

    @torch.inference_mode()
    def _score(self, frames: UInt8Array) -> npt.NDArray[np.float32]:
        """(C,) scores of one view, frames (T, crop, crop, 3)."""
        size = (frames.shape[1], frames.shape[2])
        clip = Clip(frames, np.zeros(len(frames)), 0.0, Detections.empty(), size)
        logits: Tensor = self._network(self._preprocessing.pathways([clip], self._device)).float()
        if logits.shape[-1] != len(self.labels):
            raise ConfigError(
                f"{self.name or 'the network'} scores {logits.shape[-1]} classes, but there are {len(self.labels)} "
                "labels. Give the label set it was trained with."
            )
        scores = clip_scores(logits, self._activation) if logits.ndim > 2 else activate(logits, self._activation)
        return scores[0].cpu().numpy()


def _interval(source: VideoSource) -> float:
    return float(1 / source.info.fps) if source.info.fps else 1 / _DEFAULT_FPS


def _stated_duration(source: VideoSource) -> float | None:
    """Seconds that the container claims; None where it does not."""
    info = source.info
    if info.duration:
        return info.duration
    return info.num_frames * _interval(source) if info.num_frames and info.fps else None


def _true_duration(source: VideoSource) -> float:
    """Seconds, found by decoding everything once."""
    first = last = None
    gap = _interval(source)
    for frame in source:
        first = frame.pts if first is None else first
        gap = frame.pts - last if last is not None else gap
        last = frame.pts
    return gap + (last - first if first is not None and last is not None else 0.0)
