"""The protocols of the system; reading this file is reading the architecture.

    source -> frames -> person detector -> tracker -> keypoints -> clip -> action model -> results -> sinks

Everything before the action model exists to build a `Clip`; everything after it consumes `ActionDetections`.
The caller owns the loop (`for result in pipeline.run(source)`), so quitting is a `break`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Protocol, runtime_checkable

from sf_detect.model_spec import ModelSpec
from sf_detect.structures import (
    ActionDetections,
    Clip,
    Detections,
    Frame,
    FrameResult,
    Keypoints,
    SourceStatus,
    UInt8Array,
    VideoInfo,
)


@runtime_checkable
class VideoSource(Protocol):
    """Frames in presentation order, `pts` strictly increasing.

    Iterating twice starts over where the medium allows it (files, folders). `close` is idempotent; iteration after
    it raises `SourceError`. Errors met while decoding are counted in `decode_errors`, and the good part still comes;
    a source of which no frame decodes raises `DecodeError`.
    """

    info: VideoInfo
    decode_errors: int

    def __iter__(self) -> Iterator[Frame]: ...

    def close(self) -> None: ...

    def __enter__(self) -> VideoSource: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@runtime_checkable
class SeekableSource(VideoSource, Protocol):
    """A source that need not be read from its start.

    After `begin_at` an iteration may begin anywhere up to `seconds`; times stay those of the whole source.
    """

    def begin_at(self, seconds: float) -> None: ...


@runtime_checkable
class LiveSource(Protocol):
    """A source whose frames come when they come: a camera, a network stream, a file played at its own speed.

    Iteration (once) yields every decoded frame with its `arrival`, `pts` strictly increasing, in seconds since the
    first frame with gaps kept, usually as `LazyFrame`. It may wait for as long as it likes; lost connections are made
    again. `status` never waits. `close` comes from any thread and returns at once; the iteration ends soon after.

    Attributes:
        name: For outputs and people; holds no credentials.
    """

    name: str

    def __iter__(self) -> Iterator[Frame]:
        """Raises SourceError where trying again can't help."""
        ...

    def status(self) -> SourceStatus: ...

    def close(self) -> None: ...


@runtime_checkable
class PersonDetector(Protocol):
    """Persons in images.

    Called with RGB uint8 images (H, W, 3), possibly of different sizes; returns as many `Detections`, boxes in
    pixels of the respective image, clipped to it, best score first, `track_ids` None.
    """

    def __call__(self, images: Sequence[UInt8Array]) -> list[Detections]: ...


@runtime_checkable
class TimedDetector(Protocol):
    """A person detector that looks boxes up by time instead of looking at pixels (precomputed proposals)."""

    def at(self, video: str, pts: float, image_size: tuple[int, int]) -> Detections: ...


@runtime_checkable
class Tracker(Protocol):
    """Gives persons an identity over time.

    `update` returns the tracked persons at `pts` with `track_ids` set; `reset` forgets everything, including ids.
    """

    def update(self, detections: Detections, pts: float) -> Detections: ...

    def reset(self) -> None: ...


@runtime_checkable
class ResumableTracker(Tracker, Protocol):
    """A tracker that goes on with a track whom the detector missed, when told where they are.

    `lost` gives the tracks that the last `update` did not find, in the boxes where they should be; `sustain` takes
    those of them who were found by other means for seen at that update, in these boxes.
    """

    def lost(self) -> Detections: ...

    def sustain(self, persons: Detections) -> None: ...


@runtime_checkable
class ConfirmableTracker(Tracker, Protocol):
    """A tracker that drops weak detections which continue no track, unless told that they show somebody.

    `doubtful` gives those that the last `update` dropped; `start` continues or begins a track with each of them
    that was confirmed by other means, or with whoever was found so at the time of that update, and gives them with
    their ids.
    """

    def doubtful(self) -> Detections: ...

    def start(self, persons: Detections) -> Detections: ...


@runtime_checkable
class KeypointEstimator(Protocol):
    """Finds the body landmarks of tracked persons; one per run, as it remembers how each track was seen last.

    `update` gives those of all `persons` of `frame`, in their order; `reset` forgets everything.
    """

    def update(self, frame: Frame, persons: Detections) -> Keypoints: ...

    def reset(self) -> None: ...


@runtime_checkable
class TrackHolder(KeypointEstimator, Protocol):
    """A keypoint estimator that finds tracked persons whom the detector missed.

    `held`, after the `update` of each frame, gives those of the tracks `lost` (where they should be by now) who can be
    seen, in the boxes where they are, with keypoints; `persons` are those who were detected, with theirs.
    """

    def held(self, frame: Frame, persons: Detections, lost: Detections) -> Detections: ...


@runtime_checkable
class PersonConfirmer(KeypointEstimator, Protocol):
    """A keypoint estimator that tells people among detections too weak to be believed.

    `confirmed`, before the `update` of a frame, gives those of `doubtful` who are people for certain; `persons` are
    those who are tracked on it.
    """

    def confirmed(self, frame: Frame, persons: Detections, doubtful: Detections) -> Detections: ...


@runtime_checkable
class MissedPersonFinder(KeypointEstimator, Protocol):
    """A keypoint estimator that looks for people whom the detector misses.

    `found`, after the `update` (and `held`) of each frame, gives people who can be seen on it and are none of
    `persons`, who are detected, confirmed or held, with their keypoints; found people have keypoints, and no ids.
    `follow` is told the same people, in the same order, with the ids of the tracks that they start or continue.
    """

    def found(self, frame: Frame, persons: Detections) -> Detections: ...

    def follow(self, frame: Frame, persons: Detections) -> None: ...


@runtime_checkable
class PersonMerger(KeypointEstimator, Protocol):
    """A keypoint estimator that tells who was detected twice.

    `each_once`, after the `update` of each frame, gives `persons`, who have their keypoints, without second boxes.
    """

    def each_once(self, frame: Frame, persons: Detections) -> Detections: ...


@runtime_checkable
class ClipSampler(Protocol):
    """Takes the frames of one run as they come and cuts clips around keyframes.

    `expect` announces a keyframe, right after the `push` of its frame: from then on the frames of its clip are kept,
    and no others, until `clip` hands it out, once. `ready` is True once no later frame can belong to the clip; `clip`
    before that, at the end of a video, clamps to the frames there are.
    """

    def push(self, frame: Frame) -> None: ...

    def expect(self, keyframe_pts: float) -> None: ...

    def ready(self, keyframe_pts: float) -> bool: ...

    def clip(self, keyframe_pts: float, persons: Detections, image_size: tuple[int, int]) -> Clip: ...


@runtime_checkable
class ActionModel(Protocol):
    """Scores the actions of persons.

    Called with clips it returns one `ActionDetections` per clip, persons in the clip's order. `open_stream` gives the
    streaming form, one per run, where the model has one. `spec` is all that others need to know of it.
    """

    @property
    def spec(self) -> ModelSpec: ...

    def __call__(self, clips: Sequence[Clip]) -> list[ActionDetections]: ...

    def open_stream(self) -> ActionStream:
        """Raises ConfigError where the model has no streaming form."""
        ...


@runtime_checkable
class ResizableModel(ActionModel, Protocol):
    """An action model that can be given smaller pictures than it was made for, at less cost and worse scores."""

    def resized(self, short_side: int) -> ActionModel:
        """The same model with pictures of that short side, in pixels."""
        ...


@runtime_checkable
class ActionStream(Protocol):
    """The streaming form of an action model: frames go in once, scores of boxes come out at any time.

    `push` takes every frame of the source in order; `score` gives the actions of persons as of the newest frames, from
    the past alone; `reset` forgets everything. `warning` says where streaming approximates what the model was trained
    for; it is None where it is exact.
    """

    @property
    def warning(self) -> str | None: ...

    @property
    def step_seconds(self) -> float:
        """Seconds of video after which new frames change the scores."""
        ...

    def push(self, frame: Frame) -> None: ...

    def score(self, persons: Detections, pts: float, image_size: tuple[int, int]) -> ActionDetections: ...

    def reset(self) -> None: ...


@runtime_checkable
class Sink(Protocol):
    """Consumes results in order. `close` completes the output and is idempotent; nothing is lost if it comes early."""

    def write(self, result: FrameResult) -> None: ...

    def close(self) -> None: ...
