"""Fits how landmarks and pictures are joined, on people whom neither network was trained on.

    python tools/calibrate_postures.py CLIPS data/footage --weights work/postures/posture.safetensors --out OUT

CLIPS is a folder with the clips of the yardstick, of which the splits choose, measure, fresh and unseen count;
data/footage is what `assemble_footage.py` makes, of which the people count that are not trained on (rights
"third-party"), three tenths as much. Clips are run once, as `sf-detect run` does. The networks of the file and its
thresholds stay as they are.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from yardstick import labels as labelled
from yardstick.measures import SAME_PERSON_IOU, TIME_TOLERANCE_S

from sf_detect import RunConfig, boxes
from sf_detect.build import build_action_model, build_pipeline, open_source
from sf_detect.build_keypoints import landmark_network, picture_network
from sf_detect.errors import ConfigError, SFDetectError
from sf_detect.keypoints.appearance import AppearanceHead, TrackPictures, normalised
from sf_detect.keypoints.features import features
from sf_detect.keypoints.network import POSTURES, PostureNetwork
from sf_detect.keypoints.posture_file import read_posture_file
from sf_detect.keypoints.stage import PostureModel
from sf_detect.pipeline import Pipeline
from sf_detect.structures import Detections
from sf_detect.training.postures.appearance import Opinions, calibrated, footage_features
from sf_detect.training.postures.footage import footage_looks, person_windows, read_people
from sf_detect.weights.checkpoint import write_safetensors
from sf_detect.weights.safetensors_file import read_safetensors

SPLITS = ("choose", "measure", "fresh", "unseen")
PEOPLE_SHARE, WINDOWS = 0.3, 4
SECONDS_AFTER = 2.0
"""Of a clip after its last label; no label looks farther ahead."""
ANSWERS = (*POSTURES, "none")


@dataclass
class Opinion:
    """What is said of one person, what is true, and what scene it is from."""

    body: np.ndarray
    picture: np.ndarray
    posture: str
    scene: str


def main() -> int:
    """Parses, gathers, fits, writes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path)
    parser.add_argument("footage", type=Path)
    parser.add_argument("--weights", type=Path, required=True, help="a file of the posture classifier with a head")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("work/calibration"), help="folder for looks and features")
    arguments = parser.parse_args()
    try:
        file = read_posture_file(arguments.weights)
        if (head := file.appearance) is None:
            raise ConfigError(f"{arguments.weights} does not score pictures; expected a file of `sf-detect train`.")
        clips = list(opinions_of_clips(arguments.clips, arguments.weights, head))
        people = list(opinions_of_people(arguments.footage, arguments.work, file.network, head))
        head = calibrated(head, weighted(clips, people))
    except SFDetectError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    arrays, metadata = read_safetensors(arguments.weights, "np")
    arrays |= {name: array.astype(np.float16) for name, array in head.arrays().items()}
    write_safetensors(
        {n: torch.from_numpy(np.ascontiguousarray(a)) for n, a in arrays.items()}, arguments.out, metadata
    )
    print(f"{len(clips)} people of clips and {len(people)} windows of others; wrote {arguments.out}")
    return 0


class Observed(TrackPictures):
    """Notes both opinions on each keyframe, by time and track."""

    def __init__(self, notes: dict[tuple[float, int], tuple[np.ndarray, np.ndarray]], *arguments: object) -> None:
        super().__init__(*arguments)  # type: ignore[arg-type]
        self.notes = notes

    def joined(self, time, tracks, bodies, pictures):  # type: ignore[no-untyped-def]
        for track, body, said in zip(tracks, bodies, pictures, strict=True):
            if track is not None and body is not None and said:
                self.notes[round(time, 4), track] = normalised(body[: len(ANSWERS)]), np.mean(said, axis=0)
        return super().joined(time, tracks, bodies, pictures)


def opinions_of_clips(folder: Path, weights: Path, head: AppearanceHead) -> Iterator[Opinion]:
    """Of the labelled people of the yardstick, matched as `measure_yardstick.py` does."""
    clips = labelled.read_clips(labelled.HERE / "clips.csv")
    windows = labelled.read_windows(labelled.HERE / "labels.csv", clips)
    config = RunConfig()
    config.posture.weights = str(weights)
    model = build_action_model(config)
    assert isinstance(model, PostureModel)
    network = picture_network(config)
    for clip in clips:
        path = labelled.find_clip(clip, folder) if clip.split in SPLITS else None
        if path is None:
            continue
        mine = [w for w in windows if w.clip == clip.clip and w.posture in ANSWERS]
        last = max((w.time for w in mine), default=-np.inf) + SECONDS_AFTER
        notes: dict[tuple[float, int], tuple[np.ndarray, np.ndarray]] = {}
        model.new_pictures = partial(Observed, notes, network, head, config.keypoints.max_persons)
        seen = list(keyframes(build_pipeline(config, model), path, last))
        for window in mine:
            pts, persons = min(seen, key=lambda moment: abs(moment[0] - window.time), default=(np.inf, None))
            if persons is None or persons.track_ids is None or abs(pts - window.time) > TIME_TOLERANCE_S:
                continue
            if not len(persons):
                continue
            overlap = boxes.iou(np.array([window.box]), persons.boxes)[0]
            note = notes.get((round(pts, 4), int(persons.track_ids[overlap.argmax()])))
            if overlap.max() >= SAME_PERSON_IOU and note is not None:
                yield Opinion(*note, window.posture, clip.clip)


def keyframes(pipeline: Pipeline, path: Path, last: float) -> Iterator[tuple[float, Detections]]:
    """Time and persons of each keyframe up to `last` seconds."""
    with open_source(str(path)) as source:
        for result in pipeline.run(source):
            if result.frame.pts > last:
                return
            if result.is_keyframe:
                yield result.frame.pts, result.persons


def opinions_of_people(root: Path, work: Path, classifier: PostureNetwork, head: AppearanceHead) -> Iterator[Opinion]:
    """Of the people of a folder of footage who are not trained on, a few windows each."""
    people = [p for p in read_people(root / "labels.csv", ["third-party"]) if p.posture in ANSWERS]
    looks = footage_looks(people, root, work, lambda: landmark_network(RunConfig()), print)
    pictures = footage_features(people, root, work, picture_network(RunConfig()))
    for person in people:
        said = np.mean([head(f.astype(np.float32)) for f in pictures[person.name][:, 0]], axis=0)
        for window in person_windows(person, looks[person.name], WINDOWS, np.random.default_rng(0)):
            body = normalised(classifier.logits(features(window))[: len(ANSWERS)])
            yield Opinion(body, said, person.posture, person.file)


def weighted(clips: Sequence[Opinion], people: Sequence[Opinion]) -> Opinions:
    """All of them; those of one scene count less the more they are."""
    weights = [_weights(clips, 0.5), PEOPLE_SHARE * _weights(people, 0.7)]
    both = [*clips, *people]
    return Opinions(
        np.stack([o.body for o in both]),
        np.stack([o.picture for o in both]),
        np.array([ANSWERS.index(o.posture) for o in both]),
        np.concatenate(weights),
    )


def _weights(opinions: Sequence[Opinion], power: float) -> np.ndarray:
    count = Counter(o.scene for o in opinions)
    weights = np.array([count[o.scene] ** -power for o in opinions])
    return np.asarray(weights / max(weights.sum(), 1e-9))


if __name__ == "__main__":
    sys.exit(main())
