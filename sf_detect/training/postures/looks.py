"""What the landmark network sees of people in training videos, kept in files: one track of looks after the other."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from sf_detect.atomic_file import atomic_file
from sf_detect.data.jhmdb import JHMDBClip, read_frames
from sf_detect.errors import DataError
from sf_detect.keypoints.camera_motion import CameraMotion
from sf_detect.keypoints.estimator import LandmarkNetwork, TrackKeypoints
from sf_detect.keypoints.looks import Window
from sf_detect.structures import Detections, Frame, UInt8Array

LOOK_STEP = 2
"""Frames from one look to the next along the true boxes of J-HMDB: denser than in a run, for windows of any phase."""
_ARRAYS = ("times", "points", "metres", "presence", "boxes", "camera")
KINDS = ("actors", "waist", "small")
"""Looks along J-HMDB's true boxes, jittered; the same with the picture ending at the waist; in a reduced picture."""
SMALL = (35.0, 90.0)
"""Heights in pixels that persons of reduced pictures have."""


def look_along(
    network: LandmarkNetwork,
    frames: Sequence[UInt8Array],
    times: npt.NDArray[np.float64],
    boxes: npt.NDArray,
    everybody: Sequence[npt.NDArray] | None = None,
) -> Window:
    """Looks at one person in each frame, as a run looks at a track.

    Args:
        network: Finds landmarks.
        frames: T pictures (H, W, 3).
        times: (T,) seconds, ascending.
        boxes: (T, 4) xyxy pixels.
        everybody: Boxes (N, 4) of all persons of each frame, where no background is; None where nobody else is known.
    """
    estimator, seen, camera, places = TrackKeypoints(network), [], CameraMotion(), []
    for index, (image, time, box) in enumerate(zip(frames, times, boxes, strict=True)):
        one = Detections(np.asarray(box, np.float32)[None], np.ones(1, np.float32), np.zeros(1, np.int64))
        seen.append(estimator.update(Frame(image, index, float(time)), one))
        place = camera.update(image, one.boxes if everybody is None else everybody[index], float(time))
        places.append((place.x, place.y, place.sequence))
    height, width = frames[0].shape[:2]
    return Window(
        np.asarray(times, np.float64),
        np.concatenate([k.points for k in seen]),
        np.concatenate([k.metres for k in seen]),
        np.concatenate([k.presence for k in seen]),
        np.asarray(boxes, np.float32),
        (height, width),
        np.array(places, np.float64).reshape(-1, 3),
    )


def as_window(
    times: npt.ArrayLike,
    points: npt.ArrayLike,
    metres: npt.ArrayLike,
    presence: npt.ArrayLike,
    boxes: npt.ArrayLike,
    image_size: tuple[int, int],
    camera: npt.ArrayLike | None = None,
) -> Window:
    """A window of arrays of any floating type."""
    p, m, r, b = (np.asarray(array, np.float32) for array in (points, metres, presence, boxes))
    window = Window(np.asarray(times, np.float64), p, m, r, b, image_size)
    return window if camera is None else replace(window, camera=np.asarray(camera, np.float64))


def part(window: Window, rows: npt.ArrayLike) -> Window:
    """Some of its looks, in the order of `rows`."""
    index = np.asarray(rows, np.intp)
    arrays = [getattr(window, name)[index] for name in _ARRAYS]
    times, points, metres, presence, boxes, camera = arrays
    return as_window(times, points, metres, presence, boxes, window.image_size, camera)


def save_looks(path: Path, tracks: Mapping[str, Window]) -> None:
    """Writes tracks of looks by name; half precision where pixels are not needed."""
    rows: dict[str, npt.NDArray[np.generic]] = {}
    for name, window in tracks.items():
        for array in _ARRAYS:
            values = getattr(window, array)
            rows[f"{name}|{array}"] = values.astype(np.float16) if array in ("metres", "presence") else values
        rows[f"{name}|size"] = np.array(window.image_size)
    with atomic_file(path) as file:
        np.savez_compressed(file, **rows)  # type: ignore[arg-type]


def load_looks(path: Path) -> dict[str, Window]:
    """What `save_looks` wrote.

    Raises:
        DataError: The file cannot be read.
    """
    rows = load_arrays(path)
    try:
        return {name: _window(rows, name) for name in sorted({key.rpartition("|")[0] for key in rows})}
    except (ValueError, KeyError) as error:
        raise _unreadable(path, error) from error


def load_arrays(path: Path) -> dict[str, npt.NDArray]:
    """The arrays of a file that is kept between calls, by name.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        with np.load(path, allow_pickle=False) as found:
            return {key: found[key] for key in found.files}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    return DataError(path, None, f"cannot be read: {error!r}; delete it and it is made again")


def _window(rows: Mapping[str, npt.NDArray], name: str) -> Window:
    arrays = [rows[f"{name}|{array}"] for array in _ARRAYS]
    height, width = (int(side) for side in rows[f"{name}|size"])
    times, points, metres, presence, boxes, camera = arrays
    return as_window(times, points, metres, presence, boxes, (height, width), camera)


def jittered(boxes: npt.NDArray[np.float32], size: tuple[int, int], rng: np.random.Generator) -> npt.NDArray:
    """Boxes as a detector would draw them: moved together by some 5 %, each by some 1.5 % of its sides."""
    sides = np.concatenate([boxes[:, 2:] - boxes[:, :2]] * 2, axis=1)
    wider = rng.normal(0.02, 0.05) * np.array([-1, -1, 1, 1])
    moved = boxes + sides * (rng.normal(0, 0.05, 4) + wider + rng.normal(0, 0.015, boxes.shape))
    return _inside(moved, size)


def _inside(boxes: npt.NDArray, size: tuple[int, int]) -> npt.NDArray:
    height, width = size
    return np.clip(boxes, 0, [width, height, width, height])


def at_the_waist(
    frames: UInt8Array, boxes: npt.NDArray, seen: Window, rng: np.random.Generator
) -> tuple[UInt8Array, npt.NDArray] | None:
    """Frames that end near the hips of the person seen in them, and the boxes there; None where hips are not below.

    Args:
        frames: (T, H, W, 3).
        boxes: (T, 4) xyxy pixels.
        seen: The looks at the person in whole frames.
        rng: Decides where the frames end.
    """
    hips, shoulders = seen.points[:, 23:25, 1].mean(1), seen.points[:, 11:13, 1].mean(1)
    ends = hips + (hips - shoulders) * rng.uniform(-0.3, 0.35)
    if np.median(hips - shoulders) < 12 or (ends < boxes[:, 1] + 20).any():
        return None
    cut = frames.copy()
    for image, end in zip(cut, ends, strict=True):
        image[max(int(end), 0) :] = 0
    lower = boxes.copy()
    lower[:, 3] = np.minimum(lower[:, 3], ends)
    return cut, lower


def reduced(frames: UInt8Array, boxes: npt.NDArray, rng: np.random.Generator) -> tuple[UInt8Array, npt.NDArray]:
    """Frames (T, H, W, 3) so small that the person in the boxes is as high as those of a street seen from above."""
    height, width = frames.shape[1:3]
    factor = min(rng.uniform(*SMALL) / float(np.median(boxes[:, 3] - boxes[:, 1])), 1.0)
    size = max(int(width * factor), 16), max(int(height * factor), 16)
    small = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])
    return small, boxes * np.tile([size[0] / width, size[1] / height], 2)


def jhmdb_looks(
    clips: Sequence[JHMDBClip],
    folder: Path,
    kind: str,
    network: Callable[[], LandmarkNetwork],
    say: Callable[[str], None],
) -> dict[str, Window]:
    """The looks at the actor of each clip by video; those not yet in `folder` are made.

    Args:
        clips: Where to look.
        folder: Holds a file a clip and kind.
        kind: One of `KINDS`. Clips whose picture can't be cut at the waist are left out.
        network: Makes the landmark network, if there is a clip that nobody has looked at.
        say: Told about progress.
    """
    found, built = {}, None
    (folder / kind).mkdir(parents=True, exist_ok=True)
    for number, clip in enumerate(clips):
        path = folder / kind / f"{clip.video_id}.npz"
        if not path.exists():
            built = built or network()
            save_looks(path, _clip_looks(clip, kind, built, np.random.default_rng([number, KINDS.index(kind)])))
            if number % 50 == 49:
                say(f"looks ({kind}) at {number + 1} of {len(clips)} clips")
        if tracks := load_looks(path):
            found[clip.video_id] = tracks["actor"]
    return found


def _clip_looks(clip: JHMDBClip, kind: str, network: LandmarkNetwork, rng: np.random.Generator) -> dict[str, Window]:
    chosen = np.arange(0, clip.num_frames, LOOK_STEP)
    frames, times = read_frames(clip, clip.width, clip.height)[chosen], chosen / 25
    boxes = jittered(clip.boxes[chosen], (clip.height, clip.width), rng)
    if kind == "small":
        frames, boxes = reduced(frames, boxes, rng)
    seen = look_along(network, list(frames), times, boxes)
    if kind == "waist":
        if (cut := at_the_waist(frames, boxes, seen, rng)) is None:
            return {}
        seen = look_along(network, list(cut[0]), times, cut[1])
    return {"actor": seen}


def keyframes(num_frames: int, step: int) -> list[int]:
    """The middle of every `step` frames, where the action model is measured, and the last frame."""
    firsts = range(0, num_frames, step)
    return sorted({*((first + min(first + step, num_frames)) // 2 for first in firsts), num_frames - 1})


def track_looks(
    clips: Sequence[JHMDBClip],
    persons: Mapping[str, Sequence[Detections]],
    step: int,
    folder: Path,
    network: Callable[[], LandmarkNetwork],
    say: Callable[[str], None],
) -> dict[str, dict[int, Window]]:
    """The looks at tracked persons on the keyframes of each clip, by video and track.

    Args:
        clips: Where to look.
        persons: By video, one `Detections` a frame, with track ids.
        step: See `keyframes`.
        folder: Holds a file a clip.
        network: Makes the landmark network, if there is a clip that nobody has looked at.
        say: Told about progress.
    """
    found: dict[str, dict[int, Window]] = {}
    built = None
    (folder / "tracks").mkdir(parents=True, exist_ok=True)
    for number, clip in enumerate(clips):
        path = folder / "tracks" / f"{clip.video_id}.npz"
        if not path.exists():
            built = built or network()
            save_looks(path, _tracks(clip, persons[clip.video_id], keyframes(clip.num_frames, step), built))
            if number % 50 == 49:
                say(f"looks at the persons of {number + 1} of {len(clips)} clips")
        found[clip.video_id] = {int(name): window for name, window in load_looks(path).items()}
    return found


def _tracks(
    clip: JHMDBClip, persons: Sequence[Detections], looked_at: Sequence[int], network: LandmarkNetwork
) -> dict[str, Window]:
    frames, estimator = read_frames(clip, clip.width, clip.height), TrackKeypoints(network)
    camera, rows = CameraMotion(), dict[int, list[tuple[Any, ...]]]()
    for index in looked_at:
        people = persons[index]
        seen = estimator.update(Frame(frames[index], index, index / 25), people)
        assert people.track_ids is not None
        place = camera.update(frames[index], people.boxes, index / 25)
        where = place.x, place.y, place.sequence
        for i in np.flatnonzero(seen.presence > 0):
            row = (index / 25, seen.points[i], seen.metres[i], seen.presence[i], people.boxes[i], where)
            rows.setdefault(int(people.track_ids[i]), []).append(row)
    return {str(track): _stacked(looks, (clip.height, clip.width)) for track, looks in rows.items()}


def _stacked(looks: Sequence[tuple[Any, ...]], image_size: tuple[int, int]) -> Window:
    times, points, metres, presence, boxes, camera = zip(*looks, strict=True)
    stacked = np.stack(points), np.stack(metres), presence, np.stack(boxes)
    return as_window(times, *stacked, image_size, camera)
