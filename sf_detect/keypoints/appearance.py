"""What the picture of a person says of their posture, beside their landmarks.

Landmarks tell how limbs stand to each other, not what a person sits on or leans against, and they are guesses where
furniture hides the body. A network trained on ImageNet sees a square around the person; a linear layer on its features
scores the postures. Both opinions are joined as a product of experts, as `fusion` joins those on actions.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_math
from sf_detect.engines import Engine
from sf_detect.engines.engine import to_numpy
from sf_detect.errors import WeightsFormatError
from sf_detect.keypoints.efficientnet_lite import FEATURES, SIDE
from sf_detect.keypoints.network import POSTURES
from sf_detect.structures import Detections, Frame, UInt8Array

Floats = npt.NDArray[np.float32]
PictureFeatures = Callable[[UInt8Array, npt.NDArray[np.floating]], Floats]
"""From a picture (H, W, 3) and the box (4,) of a person in it, xyxy pixels, to features (D,)."""

MARGIN = 1.45
"""Side of the square over the longer side of the box."""
APART = 0.9
"""Seconds from one look at a track to the next: postures hardly change within."""
_BACK = 1.05  # seconds for which a look counts
_GREY = (114, 114, 114)  # where there is no picture
_OUTPUTS = len(POSTURES) + 1
_LARGEST_SHARE = 10.0


def square_picture(image: UInt8Array, box: npt.ArrayLike) -> UInt8Array:
    """The square around a person, (SIDE, SIDE, 3) uint8; grey where there is no picture.

    Args:
        image: (H, W, 3) RGB.
        box: (4,) xyxy pixels.
    """
    x1, y1, x2, y2 = (float(value) for value in np.asarray(box))
    side = MARGIN * max(x2 - x1, y2 - y1, 1.0)
    left, top = (x1 + x2 - side) / 2, (y1 + y2 - side) / 2
    # Bilinear sampling of a large square would leave pixels out, so that is averaged to at most twice the size first.
    shrink = int(side / SIDE)
    height, width = image.shape[:2]
    if shrink > 1:
        from_x, from_y = max(int(left), 0), max(int(top), 0)
        to_x, to_y = min(int(left + side) + 2, width), min(int(top + side) + 2, height)
        image = image[from_y:to_y, from_x:to_x]
        if not image.size:
            return np.full((SIDE, SIDE, 3), _GREY[0], np.uint8)
        size = max((to_x - from_x) // shrink, 1), max((to_y - from_y) // shrink, 1)
        scale_x, scale_y = (to_x - from_x) / size[0], (to_y - from_y) / size[1]
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
        left, top = (left - from_x) / scale_x, (top - from_y) / scale_y
        step_x, step_y = side / SIDE / scale_x, side / SIDE / scale_y
    else:
        step_x = step_y = side / SIDE
    # Pixel i of an image covers i to i + 1: its centre lies half a pixel further.
    matrix = np.array([[step_x, 0, left + step_x / 2 - 0.5], [0, step_y, top + step_y / 2 - 0.5]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(image, matrix, (SIDE, SIDE), flags=flags, borderValue=_GREY), np.uint8)


class PictureNetwork:
    """The features of a person's picture, for runs in several threads.

    Args:
        engine: As `efficientnet_lite.efficientnet_engine` gives it; one thread at a time uses it.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine, self._lock = engine, threading.Lock()

    def __call__(self, image: UInt8Array, box: npt.NDArray[np.floating]) -> Floats:
        """See `PictureFeatures`."""
        picture = square_picture(image, box)[None]
        with self._lock:
            return np.asarray(to_numpy(self._engine.run({"images": picture})["features"])[0], np.float32)


@dataclass(frozen=True, eq=False)
class AppearanceHead:
    """The linear layer of a file of the posture classifier, and how much it counts.

    Attributes:
        weight: (9, D) float32.
        bias: (9,) float32.
        share: Exponent of its probabilities, where landmarks have 1.
    """

    weight: Floats
    bias: Floats
    share: float

    @classmethod
    def from_arrays(
        cls, arrays: Mapping[str, npt.NDArray[np.generic]], metadata: Mapping[str, str]
    ) -> AppearanceHead | None:
        """The layer of a file; None where it has none.

        Args:
            arrays: By name; `appearance.weight` and `appearance.bias` are the layer's.
            metadata: Its key `appearance` holds a JSON object with `share`.

        Raises:
            WeightsFormatError: It is not such a layer.
        """
        mine = {name: array for name, array in arrays.items() if name.startswith("appearance.")}
        if not mine:
            return None
        shapes = {"appearance.weight": (_OUTPUTS, FEATURES), "appearance.bias": (_OUTPUTS,)}
        wrong = sorted(set(mine) ^ set(shapes))
        for name in set(mine) & set(shapes):
            if mine[name].shape != shapes[name] or mine[name].dtype.kind != "f" or not np.isfinite(mine[name]).all():
                wrong.append(f"{name} {mine[name].dtype} {mine[name].shape}")
        try:
            share = float(json.loads(metadata["appearance"])["share"])
        except (KeyError, TypeError, ValueError, RecursionError):
            share = np.nan
        if wrong or not 0 <= share <= _LARGEST_SHARE:
            raise WeightsFormatError(
                f"posture classifier: the layer for a person's picture is not one: {', '.join(wrong) or 'arrays fit'}, "
                f"share {share}. Expected {shapes}, finite floating point, and in the metadata a JSON object "
                f"`appearance` with a share from 0 to {_LARGEST_SHARE:g}. Take the file that ships."
            )
        weight, bias = (np.asarray(mine[name], np.float32) for name in shapes)
        return cls(weight, bias, share)

    def __call__(self, features: Floats) -> Floats:
        """(9,) log-probabilities of the postures and of none of them, from features (D,)."""
        return _normalised(self.weight @ features + self.bias)

    def joined(self, logits: Floats, pictures: Sequence[Floats]) -> Floats:
        """The classifier's logits (L,), those of postures joined with what pictures say.

        Args:
            logits: Of one person's landmarks: postures, none of them, and whatever follows.
            pictures: Log-probabilities (9,) of several looks.
        """
        if not pictures:
            return logits
        both = logits.copy()
        both[:_OUTPUTS] = _normalised(logits[:_OUTPUTS]) + self.share * np.mean(pictures, axis=0)
        return both


def _normalised(logits: Floats) -> Floats:
    return np.asarray(logits - np.logaddexp.reduce(logits), np.float32)


class TrackPictures:
    """What the pictures of a run's tracked persons said lately.

    Args:
        features: Of one person's picture.
        head: Scores them.
        max_persons: Most persons of a frame that are looked at, the largest first.
    """

    def __init__(self, features: PictureFeatures, head: AppearanceHead, max_persons: int) -> None:
        self._features, self.head, self._max_persons = features, head, max_persons
        self._tracks: dict[int, list[tuple[float, Floats]]] = {}

    def reset(self) -> None:
        """Forgets everybody."""
        self._tracks.clear()

    def look(self, frame: Frame, persons: Detections) -> None:
        """Looks at the tracked `persons` of `frame` of whom nothing is known for a while."""
        if persons.track_ids is not None:
            area = box_math.area(box_math.clip(np.nan_to_num(persons.boxes), frame.size))
            for row in np.argsort(-area, kind="stable")[: self._max_persons]:
                known = self._tracks.setdefault(int(persons.track_ids[row]), [])
                if area[row] > 0 and (not known or frame.pts - known[-1][0] >= APART):
                    known.append((frame.pts, self.head(self._features(frame.image, persons.boxes[row]))))
        recent = {t: [k for k in known if frame.pts - k[0] <= _BACK] for t, known in self._tracks.items()}
        self._tracks = {track: known for track, known in recent.items() if known}

    def since(self, track: int | None, time: float) -> list[Floats]:
        """Log-probabilities (9,) of the looks at a track from `time` on that are remembered."""
        return [] if track is None else [said for when, said in self._tracks.get(track, []) if when >= time]
