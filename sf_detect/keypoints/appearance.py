"""What the picture of a person says of their posture, beside their landmarks.

Landmarks tell how limbs stand to each other, not what a person sits on or leans against, and they are guesses where
furniture hides the body. A network trained on ImageNet sees a square around the person; a linear layer on its features
scores the postures. A second linear layer joins the log-probabilities of both, which a product of experts would add up.
"""

from __future__ import annotations

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
APART = 1.4
"""Seconds from one look at a track to the next: postures hardly change within."""
_BACK = 1.55  # seconds for which a look counts
_GREY = (114, 114, 114)  # where there is no picture
_OUTPUTS = len(POSTURES) + 1
PREFIX = "appearance."
"""Of the arrays of a file."""


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
        image = image[from_y : max(to_y, 0), from_x : max(to_x, 0)]
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
    """The layer of a file of the posture classifier that scores pictures, and how its opinion joins the landmarks'.

    Attributes:
        weight: (9, D) float32.
        bias: (9,) float32.
        body: (9, 9) what each log-probability from landmarks adds to each joined logit.
        picture: (9, 9) the same of the mean log-probabilities from pictures.
        offset: (9,) added to the joined logits.
    """

    weight: Floats
    bias: Floats
    body: Floats
    picture: Floats
    offset: Floats

    @classmethod
    def product(cls, weight: Floats, bias: Floats, share: float) -> AppearanceHead:
        """A head that multiplies both opinions, that of pictures to the power of `share`."""
        one = np.eye(_OUTPUTS, dtype=np.float32)
        return cls(weight, bias, one, np.float32(share) * one, np.zeros(_OUTPUTS, np.float32))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]]) -> AppearanceHead | None:
        """The head of a file; None where it has none.

        Args:
            arrays: By name; those of the attributes begin with `appearance.`.

        Raises:
            WeightsFormatError: It is not such a head.
        """
        mine = {name.removeprefix(PREFIX): array for name, array in arrays.items() if name.startswith(PREFIX)}
        if not mine:
            return None
        square = (_OUTPUTS, _OUTPUTS)
        shapes = {"weight": (_OUTPUTS, FEATURES), "bias": (_OUTPUTS,), "body": square, "picture": square}
        shapes |= {"offset": (_OUTPUTS,)}
        wrong = sorted(set(mine) ^ set(shapes))
        for name in sorted(set(mine) & set(shapes)):
            if mine[name].shape != shapes[name] or mine[name].dtype.kind != "f" or not np.isfinite(mine[name]).all():
                wrong.append(f"{name} {mine[name].dtype} {mine[name].shape}")
        if wrong:
            raise WeightsFormatError(
                f"posture classifier: what scores persons' pictures does not fit: {', '.join(wrong)}. Expected "
                f"{shapes}, each behind {PREFIX!r}, finite floating point. Take the file that ships."
            )
        return cls(**{name: np.asarray(mine[name], np.float32) for name in shapes})

    def arrays(self) -> dict[str, Floats]:
        """What `from_arrays` reads."""
        names = ("weight", "bias", "body", "picture", "offset")
        return {PREFIX + name: getattr(self, name) for name in names}

    def __call__(self, features: Floats) -> Floats:
        """(9,) log-probabilities of the postures and of none of them, from features (D,)."""
        return normalised(self.weight @ features + self.bias)

    def joined(self, logits: Floats, pictures: Sequence[Floats]) -> Floats:
        """The classifier's logits (L,), those of postures joined with what pictures say.

        Args:
            logits: Of one person's landmarks: postures, none of them, and whatever follows.
            pictures: Log-probabilities (9,) of several looks; without any, the logits stay as they are.
        """
        if not pictures:
            return logits
        both = logits.copy()
        said = np.mean(pictures, axis=0)
        both[:_OUTPUTS] = self.body @ normalised(logits[:_OUTPUTS]) + self.picture @ said + self.offset
        return both


def normalised(logits: Floats) -> Floats:
    """Log-probabilities of logits along the last axis."""
    return np.asarray(logits - np.logaddexp.reduce(logits, axis=-1, keepdims=True), np.float32)


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
            for row in box_math.largest(persons.boxes, frame.size, self._max_persons):
                known = self._tracks.setdefault(int(persons.track_ids[row]), [])
                if not known or frame.pts - known[-1][0] >= APART:
                    known.append((frame.pts, self.head(self._features(frame.image, persons.boxes[row]))))
        recent = {t: [k for k in known if frame.pts - k[0] <= _BACK] for t, known in self._tracks.items()}
        self._tracks = {track: known for track, known in recent.items() if known}

    def joined(
        self,
        time: float,
        tracks: Sequence[int | None],
        bodies: Sequence[Floats | None],
        pictures: Sequence[list[Floats]],
    ) -> list[Floats | None]:
        """The logits (L,) of the persons of a keyframe, with what pictures say.

        Args:
            time, tracks: Of the keyframe, in seconds, and the persons' ids: for whoever notes what was said of whom.
            bodies: Logits of their landmarks; None where these are not known.
            pictures: Log-probabilities (9,) of the looks at each that count for the keyframe.
        """
        pairs = zip(bodies, pictures, strict=True)
        return [None if body is None else self.head.joined(body, said) for body, said in pairs]

    def since(self, track: int | None, time: float) -> list[Floats]:
        """Log-probabilities (9,) of the looks at a track from `time` on that are remembered."""
        return [] if track is None else [said for when, said in self._tracks.get(track, []) if when >= time]
