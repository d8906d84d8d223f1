"""Who is to be seen in the clips of J-HMDB, according to a person detector and the tracker of `sf-detect run`."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.atomic_file import atomic_file
from sf_detect.box_regression import BoxRegression
from sf_detect.boxes import iou
from sf_detect.data.jhmdb import JHMDBClip, read_frames
from sf_detect.errors import DataError
from sf_detect.interfaces import PersonDetector
from sf_detect.structures import Detections

#: Persons are kept from this score on, since average precision asks for recall; and from this one as `run` does.
LEAST_PERSON, USUAL_PERSON = 0.05, 0.4
#: The default detector, and the IoU from which a box of it shows the actor.
DETECTOR, ACTOR = "ssdlite_person", 0.5
#: Frames from one look of the detector to the next: 0.24 s, as `sf-detect run` does it.
DETECTION_STEP = 6
#: Height and width of most clips; all are 4:3.
SHAPE = (240, 320)


def tracked(
    detected: Mapping[int, Detections],
    num_frames: int,
    new_track_score: float,
    move: Callable[[Detections], Detections] = lambda persons: persons,
) -> list[Detections]:
    """Persons on every frame of a clip: detections tracked by ByteTrack, boxes in between interpolated.

    Args:
        detected: By frame number; the first and the last frame are among them.
        num_frames: Of the clip.
        new_track_score: Least score to start a track.
        move: Applied to the persons of a frame once they are tracked.
    """
    from sf_detect.tracking import ByteTrack, interpolate

    tracker, found = ByteTrack(new_track_score=new_track_score), {}
    for frame, persons in sorted(detected.items()):
        found[frame] = move(tracker.update(persons, frame / 25))
    looks = sorted(found)
    frames = []
    for frame in range(num_frames):
        before = max(look for look in looks if look <= frame)
        after = min((look for look in looks if look > frame), default=before)
        if after == before:
            frames.append(found[before])
        else:
            frames.append(interpolate(found[before], before / 25, found[after], after / 25, frame / 25))
    return frames


def track_persons(
    clips: Sequence[JHMDBClip],
    detected: Mapping[str, Mapping[int, Detections]],
    regression: BoxRegression | None = None,
) -> dict[str, list[Detections]]:
    """Persons on every frame of each clip, by video, as average precision wants them; see `tracked`.

    Args:
        clips: The clips.
        detected: As `find_persons` returns it.
        regression: Moves the boxes of tracked persons, if it was fitted for the default detector.
    """

    def move(clip: JHMDBClip, persons: Detections) -> Detections:
        if regression is None or regression.detector != DETECTOR:
            return persons
        return regression(persons, (clip.height, clip.width))

    return {
        clip.video_id: tracked(detected[clip.video_id], clip.num_frames, LEAST_PERSON, partial(move, clip))
        for clip in clips
    }


def fit_box_regression(clips: Sequence[JHMDBClip], detected: Mapping[str, Mapping[int, Detections]]) -> BoxRegression:
    """From the default detector's boxes that show the actor to the true ones."""

    def examples() -> Iterator[tuple[Detections, npt.NDArray[np.float32], tuple[int, int]]]:
        for clip in clips:
            for frame, persons in detected[clip.video_id].items():
                truth = clip.boxes[frame]
                same = persons.select(iou(persons.boxes, truth[None])[:, 0] >= ACTOR)
                yield same, np.tile(truth, (len(same), 1)), (clip.height, clip.width)

    return BoxRegression.fit(DETECTOR, examples())


def find_persons(
    clips: Sequence[JHMDBClip], folder: Path, tile: str, say: Callable[[str], None]
) -> dict[str, dict[int, Detections]]:
    """What the default detector sees in clips, kept in `folder` for the next time.

    Args:
        clips: Where to look.
        folder: Where the file lies, one for each mode.
        tile: The detector's mode, see `detection.tiling`.
        say: Told about progress.
    """
    from sf_detect.detection import build_detector, tiling

    def detector() -> PersonDetector:
        found = build_detector(DETECTOR, score_threshold=LEAST_PERSON, tile=tile)
        return found  # type: ignore[return-value]

    path = folder / f"persons_{tiling.resolve(SHAPE, tile)}.npz"
    return detect_persons(clips, detector, path, say)


def _stored(path: Path) -> dict[str, npt.NDArray[np.float32]]:
    try:
        with np.load(path, allow_pickle=False) as found:
            return dict(found)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(path, None, f"cannot be read: {error}; delete it and it is made again") from error


def detect_persons(
    clips: Sequence[JHMDBClip], build: Callable[[], PersonDetector], path: Path, say: Callable[[str], None]
) -> dict[str, dict[int, Detections]]:
    """Detections on every `DETECTION_STEP`-th and the last frame of each clip, kept in a file for the next time.

    Args:
        clips: Where to look.
        build: Makes the detector, if there is a clip that nobody has looked at.
        path: The file.
        say: Told about progress.
    """
    known = _stored(path) if path.exists() else {}
    detector: PersonDetector | None = None
    for number, clip in enumerate(clips):
        wanted = sorted({*range(0, clip.num_frames, DETECTION_STEP), clip.num_frames - 1})
        if f"{clip.video_id}|{wanted[-1]}" in known:
            continue
        detector = detector or build()
        for frame, image in enumerate(read_frames(clip, clip.width, clip.height)):
            if frame in wanted:
                found = detector([image])[0]
                known[f"{clip.video_id}|{frame}"] = np.concatenate([found.boxes, found.scores[:, None]], 1)
        if number % 50 == 49:
            _store(path, known)
            say(f"persons of {number + 1} of {len(clips)} clips")
    if detector is not None:
        _store(path, known)
    result: dict[str, dict[int, Detections]] = {clip.video_id: {} for clip in clips}
    for key, rows in known.items():
        video, _, frame_number = key.rpartition("|")
        if video in result:
            result[video][int(frame_number)] = Detections(rows[:, :4], rows[:, 4])
    return result


def _store(path: Path, arrays: Mapping[str, npt.NDArray[np.float32]]) -> None:
    with atomic_file(path) as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]
