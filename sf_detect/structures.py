"""The data types that rooms exchange. NumPy only.

Conventions, everywhere: images are RGB; boxes are `xyxy`, absolute pixels of the source frame, continuous coordinates
(the right edge of the frame is `width`); time is in seconds. Everything else is converted at the edge that needs it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from sf_detect.persons import Detections as Detections
from sf_detect.persons import Keypoints as Keypoints
from sf_detect.persons import joined as joined

FloatArray = npt.NDArray[np.floating]
UInt8Array = npt.NDArray[np.uint8]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ValueError(message)


@dataclass(frozen=True)
class VideoInfo:
    """What a source knows before its first frame.

    Attributes:
        width, height: Displayed size in pixels, after rotation metadata is applied.
        fps: Nominal (average) frame rate; None where unknown. Time comes from `Frame.pts`, never from this.
        num_frames: Number of frames the container claims; None where unknown. A hint for progress, often wrong.
        is_live: True for cameras and network streams, which have no end.
        name: Short name for outputs (file stem, camera index, host).
        duration: Seconds, None where unknown.
        sample_aspect_ratio: Width over height of a pixel as it is to be shown; 1 is square. Boxes do not follow it.
    """

    width: int
    height: int
    fps: Fraction | None = None
    num_frames: int | None = None
    is_live: bool = False
    name: str = "video"
    duration: float | None = None
    sample_aspect_ratio: Fraction = Fraction(1)

    def __post_init__(self) -> None:
        _require(self.width > 0 and self.height > 0, f"frame size must be positive, got {self.width}x{self.height}")
        _require(self.fps is None or self.fps > 0, f"fps must be positive or None, got {self.fps}")
        ratio = self.sample_aspect_ratio
        _require(ratio > 0, f"the sample aspect ratio must be positive, got {ratio}")


@dataclass(frozen=True, eq=False)
class Frame:
    """One decoded picture.

    Attributes:
        image: (H, W, 3) uint8, RGB.
        index: 0-based position in the source's decoded frames.
        pts: Presentation time in seconds; strictly increases along a source.
        arrival: Seconds of the monotonic clock at which a live source had it; None for recorded video.
        starts_anew: True where it continues nothing: after a gap, a reconnection or a jump of the clock.
        damaged: True where data it needs was lost on the way: fit to be shown, not for a network.
    """

    image: UInt8Array
    index: int
    pts: float
    arrival: float | None = None
    starts_anew: bool = False
    damaged: bool = False

    def __post_init__(self) -> None:
        shape, dtype = self.image.shape, self.image.dtype
        _require(len(shape) == 3 and shape[2] == 3, f"a frame image has shape (H, W, 3), got {shape}")
        _require(dtype == np.uint8, f"a frame image is uint8, got {dtype}")
        _require(self.index >= 0, f"a frame index is not negative, got {self.index}")

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.image.shape[0], self.image.shape[1]

    def __repr__(self) -> str:
        return f"Frame({self.size[1]}x{self.size[0]}, index={self.index}, pts={self.pts:.3f})"


class LazyFrame(Frame):
    """A decoded picture that becomes RGB when somebody looks at it.

    A live source decodes every picture, and most are replaced by a newer one before anyone needs them. `image` is
    made once, in the thread that asks first; what it is made of is let go then.

    Args:
        convert: Makes the (H, W, 3) uint8 RGB image.
        size: Its (height, width).
        index, pts, arrival, starts_anew, damaged: See `Frame`.
    """

    def __init__(
        self,
        convert: Callable[[], UInt8Array],
        size: tuple[int, int],
        index: int,
        pts: float,
        arrival: float | None = None,
        starts_anew: bool = False,
        damaged: bool = False,
    ) -> None:
        given: dict[str, object] = {"index": index, "pts": pts, "arrival": arrival, "starts_anew": starts_anew}
        given |= {"damaged": damaged, "_convert": convert, "_size": size, "_lock": threading.Lock(), "_image": None}
        for name, value in given.items():
            object.__setattr__(self, name, value)

    @property
    def image(self) -> UInt8Array:  # type: ignore[override]
        """(H, W, 3) uint8, RGB."""
        state = self.__dict__
        with state["_lock"]:
            if state["_image"] is None:
                state["_image"] = state["_convert"]()
                state["_convert"] = None
            image: UInt8Array = state["_image"]
            return image

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        size: tuple[int, int] = self.__dict__["_size"]
        return size


SOURCE_STATES = ("connecting", "live", "stalled", "waiting", "refused", "ended")
"""Of a live source: a first connection is tried; frames come; none has come for a while; it waits to try again; it was
not let in; it has ended."""


@dataclass(frozen=True)
class SourceStatus:
    """How a live source is.

    Attributes:
        state: One of `SOURCE_STATES`.
        since: Seconds of the monotonic clock at which that state began.
        detail: Why, for people; without credentials.
        retry_at: Monotonic time of the next try to connect; None where none is planned.
        last_arrival: Monotonic time at which the newest frame came; None before the first.
        frames: Decoded so far.
        reconnects: Connections after the first that brought frames.
        damaged: Frames that nothing but a display should see, see `Frame.damaged`.
        jumps: Jumps of the source's clock.
        decode_errors: Errors met while decoding.
        drops: Frames that the source itself dropped, by cause.
        size: (height, width) of the newest frame.
        fps: Nominal rate, where it is known.
    """

    state: str
    since: float
    detail: str = ""
    retry_at: float | None = None
    last_arrival: float | None = None
    frames: int = 0
    reconnects: int = 0
    damaged: int = 0
    jumps: int = 0
    decode_errors: int = 0
    drops: Mapping[str, int] = field(default_factory=dict)
    size: tuple[int, int] | None = None
    fps: Fraction | None = None

    def __post_init__(self) -> None:
        _require(self.state in SOURCE_STATES, f"a state is one of {', '.join(SOURCE_STATES)}, got {self.state!r}")


@dataclass(frozen=True)
class ClipSpec:
    """How a network wants its clips sampled. Travels with the weights; it is never a user's setting.

    The clip holds `num_frames` frames (T x alpha of the fast pathway for SlowFast), `sampling_rate` frames of an
    `fps` video apart, that is `sampling_rate / fps` seconds, whatever the rate of the video at hand.

    Attributes:
        num_frames: Frames of the densest pathway.
        sampling_rate: Distance of two clip frames, in frames of a video at `fps`.
        fps: The frame rate that `sampling_rate` refers to.
        keyframe: Where the labelled frame sits: "centre" (the published AVA protocol) or "last" (causal use).
    """

    num_frames: int
    sampling_rate: int
    fps: Fraction = Fraction(30)
    keyframe: str = "centre"

    largest: ClassVar[int] = 4096

    def __post_init__(self) -> None:
        largest = self.largest
        _require(
            0 < self.num_frames <= largest, f"num_frames must be positive, at most {largest}; got {self.num_frames}"
        )
        _require(
            0 < self.sampling_rate <= largest,
            f"sampling_rate must be positive, at most {largest}; got {self.sampling_rate}",
        )
        _require(self.fps > 0, f"fps must be positive, got {self.fps}")
        _require(self.keyframe in ("centre", "last"), f"keyframe is 'centre' or 'last', got {self.keyframe!r}")

    @property
    def interval(self) -> float:
        """Seconds between two clip frames."""
        return float(self.sampling_rate / self.fps)

    @property
    def duration(self) -> float:
        """Seconds the clip covers, `num_frames * interval`."""
        return self.num_frames * self.interval

    def offsets(self) -> npt.NDArray[np.float64]:
        """Times of the clip's frames relative to the keyframe, (num_frames,) float64 seconds.

        With "centre" they equal the published rule `range(c - L // 2, c + L // 2, rate)`, L = num_frames * rate.
        """
        steps = np.arange(self.num_frames)
        if self.keyframe == "last":
            return (steps - (self.num_frames - 1)) * np.float64(self.interval)
        half = (self.num_frames * self.sampling_rate) // 2
        return (steps * self.sampling_rate - half) / float(self.fps)


@dataclass(frozen=True, eq=False)
class Clip:
    """The input of an action model: frames around a keyframe, and the persons on it.

    Attributes:
        frames: (T, h, w, 3) uint8 RGB, possibly smaller than the source frame.
        pts: (T,) float64 seconds; repeats where the clip was clamped at an end of the video.
        keyframe_pts: Time of the keyframe.
        persons: Persons on the keyframe; boxes in pixels of the source frame, not of `frames`.
        image_size: (H, W) of the source frame.
    """

    frames: UInt8Array
    pts: npt.NDArray[np.float64]
    keyframe_pts: float
    persons: Detections
    image_size: tuple[int, int]

    def __post_init__(self) -> None:
        shape = self.frames.shape
        _require(len(shape) == 4 and shape[3] == 3 and shape[0] > 0, f"clip frames are (T, h, w, 3), got {shape}")
        _require(self.frames.dtype == np.uint8, f"clip frames are uint8, got {self.frames.dtype}")
        _require(self.pts.shape == (shape[0],), f"clip pts have shape ({shape[0]},), got {self.pts.shape}")

    def __repr__(self) -> str:
        t, h, w, _ = self.frames.shape
        return f"Clip({t} frames {w}x{h}, keyframe_pts={self.keyframe_pts:.3f}, persons={len(self.persons)})"


@dataclass(frozen=True, eq=False)
class ActionDetections:
    """What each person of a keyframe does.

    Attributes:
        pts: Time of the keyframe in seconds.
        persons: The N persons that were scored.
        scores: (N, C) float32 in [0, 1]; independent sigmoids unless the model says otherwise.
        seen_until: Time in seconds of the newest frame that the network saw; None where it is not known.
        features: (N, D) float32, what the network's classifier sees of each person; None where nobody asked for it.
    """

    pts: float
    persons: Detections
    scores: npt.NDArray[np.float32]
    seen_until: float | None = None
    features: npt.NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "scores", np.asarray(self.scores, np.float32))
        _require(
            self.scores.ndim == 2 and len(self.scores) == len(self.persons),
            f"action scores have shape ({len(self.persons)}, C), got {self.scores.shape}",
        )
        if self.features is not None:
            shape = self.features.shape
            _require(
                len(shape) == 2 and shape[0] == len(self.persons),
                f"features have shape ({len(self.persons)}, D), got {shape}",
            )

    def __repr__(self) -> str:
        return f"ActionDetections(pts={self.pts:.3f}, persons={len(self.persons)}, classes={self.scores.shape[1]})"


@dataclass(frozen=True, eq=False)
class FrameResult:
    """Everything known about one frame.

    Attributes:
        frame: The source frame.
        persons: Tracked persons on this frame (measured on keyframes, interpolated in between).
        actions: The actions that apply to this frame, or None before the first are known. On a keyframe
            `actions.pts == frame.pts`; between keyframes they are those of the nearest keyframe, and behind them those
            of the keyframe on the other side for tracks that the nearest does not have.
        is_keyframe: True where the action model was run on this frame.
    """

    frame: Frame
    persons: Detections
    actions: ActionDetections | None = None
    is_keyframe: bool = False


@dataclass(frozen=True, eq=False)
class LiveResult(FrameResult):
    """What is known about a frame of a live source at the moment it is shown, and how old that is.

    Boxes are those of the newest detection, moved to the frame's time; `actions` holds the newest of each track. On a
    keyframe the frame is an earlier one, on which actions were scored and have become known just now.

    Attributes:
        source: Name of the source.
        shown: Seconds of the monotonic clock at which the result was given out.
        utc: Seconds since 1970, UTC, at which the frame came.
        state: Of the source, see `SOURCE_STATES`.
        detected_pts: Time of the frame whose detection the boxes come from; None before the first.
        picture: (H, W, 3) uint8 RGB: the frame as it may leave, drawn on and anonymised; None where nobody asked for
            it. `frame` is as it came from the source.
        notice: What the picture says in place of a frame, such as "no picture for 12 s"; else empty.
    """

    source: str = ""
    shown: float = 0.0
    utc: float = 0.0
    state: str = "live"
    detected_pts: float | None = None
    picture: UInt8Array | None = None
    notice: str = ""

    @property
    def frame_age(self) -> float:
        """Seconds from the frame's arrival until the result was given out."""
        return 0.0 if self.frame.arrival is None else self.shown - self.frame.arrival

    @property
    def boxes_age(self) -> float | None:
        """Seconds from the arrival of the frame that was looked at for the boxes until now; None without boxes."""
        return None if self.detected_pts is None else self.frame_age + self.frame.pts - self.detected_pts

    @property
    def labels_age(self) -> float | None:
        """Seconds from the arrival of the newest frame that the network saw for these actions until now.

        Of several tracks it is that of the oldest; None where there are no actions, or it is not known.
        """
        if self.actions is None or self.actions.seen_until is None:
            return None
        return self.frame_age + self.frame.pts - self.actions.seen_until
