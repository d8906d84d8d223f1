"""What was seen of each track lately: the input of the posture classifier."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sf_detect.keypoints.camera_motion import CameraPlace
from sf_detect.structures import Detections

SECONDS = 1.05
"""How far back a window reaches; a second, and some for detections that come a little late."""
FRESH = 0.6
"""Age in seconds up to which the newest look still tells what a person does now."""
MOST_LOOKS = 64
"""Of one track that are kept, whatever the rate of detections; the newest."""


@dataclass(frozen=True, eq=False)
class Look:
    """One person on one frame; see `Window` for units."""

    time: float
    points: npt.NDArray[np.float32]
    metres: npt.NDArray[np.float32]
    presence: float
    box: npt.NDArray[np.float32]
    image_size: tuple[int, int]
    camera: CameraPlace


@dataclass(frozen=True, eq=False)
class Window:
    """The looks at one track in the last second, oldest first; T is 1 or more.

    Attributes:
        times: (T,) float64 seconds.
        points: (T, 33, 3) float32: x, y in pixels of the source frame, confidence in [0, 1].
        metres: (T, 33, 3) float32: x to the right, y down, z away from the camera; the origin lies between the hips.
        presence: (T,) float32 in [0, 1].
        boxes: (T, 4) float32, xyxy pixels.
        image_size: (H, W) of the source frame.
        camera: (T, 3) float64: where the background has gone, x and y in pixels, and the number of the sequence within
            which that can be compared; see `CameraPlace`. By default nothing is known of it.
    """

    times: npt.NDArray[np.float64]
    points: npt.NDArray[np.float32]
    metres: npt.NDArray[np.float32]
    presence: npt.NDArray[np.float32]
    boxes: npt.NDArray[np.float32]
    image_size: tuple[int, int]
    camera: npt.NDArray[np.float64] = None  # type: ignore[assignment]

    def __post_init__(self) -> None:
        count = len(self.times)
        if self.camera is None:  # each look in a sequence of its own
            object.__setattr__(self, "camera", np.arange(count)[:, None] * np.array([0.0, 0.0, 1.0]))

    def __len__(self) -> int:
        return len(self.times)


class TrackLooks:
    """The looks at all tracks of a run.

    Args:
        seconds: How far back from the newest a window reaches.
    """

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._tracks: dict[int, deque[Look]] = {}
        self._unknown = 0  # sequences of frames of whose camera nothing is known, downwards

    def reset(self) -> None:
        """Forgets everything."""
        self._tracks.clear()

    def add(
        self, persons: Detections, time: float, image_size: tuple[int, int], camera: CameraPlace | None = None
    ) -> None:
        """Takes the persons of a detection whom somebody looked at; those without a track are passed over.

        Args:
            persons: Tracked.
            time: Seconds, later than at the call before.
            image_size: (H, W) of the frame.
            camera: Where the background is on it; None where that is not known.
        """
        if camera is None:
            self._unknown -= 1
            camera = CameraPlace(0.0, 0.0, self._unknown)
        keypoints, ids = persons.keypoints, persons.track_ids
        if keypoints is not None and ids is not None:
            for i in np.flatnonzero(keypoints.looked):
                look = Look(
                    time,
                    keypoints.points[i],
                    keypoints.metres[i],
                    float(keypoints.presence[i]),
                    persons.boxes[i],
                    image_size,
                    camera,
                )
                looks = self._tracks.setdefault(int(ids[i]), deque(maxlen=MOST_LOOKS))
                looks.append(look)
                while looks[0].time < time - self._seconds:
                    looks.popleft()
        self._tracks = {track: looks for track, looks in self._tracks.items() if time - looks[-1].time <= FRESH}

    def newest(self, track: int, time: float) -> float | None:
        """The time of the newest look at a track; None where that is not fresh at `time`."""
        looks = self._tracks.get(track)
        return looks[-1].time if looks and time - looks[-1].time <= FRESH else None

    def window(self, track: int, time: float) -> Window | None:
        """The looks at a track within the last second before its newest; None where that is not fresh at `time`."""
        if self.newest(track, time) is None:
            return None
        looks = self._tracks[track]
        return Window(
            np.array([look.time for look in looks]),
            np.stack([look.points for look in looks]),
            np.stack([look.metres for look in looks]),
            np.array([look.presence for look in looks], np.float32),
            np.stack([look.box for look in looks]),
            looks[-1].image_size,
            np.array([(look.camera.x, look.camera.y, look.camera.sequence) for look in looks], np.float64),
        )
