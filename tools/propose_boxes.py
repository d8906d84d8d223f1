"""Finds the persons in one's own videos and writes the csv files that training reads; people then check the actions.

    python tools/propose_boxes.py my_actions                  # reads my_actions/videos/ACTION/*.mp4
    python tools/propose_boxes.py my_actions --every 0.5      # a labelled moment every half second

Writes train.csv, val.csv (every 5th video of each folder) and, where there is none yet, labels.csv with the folders'
names. Everyone in a video of the folder `wave` is presumed to wave; in videos that lie in no such folder the action is
left empty. Run it again after adding videos: rows that are there stay as they are. docs/train_your_own.md goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from sf_detect import build
from sf_detect.config import DetectorConfig, RunConfig
from sf_detect.data import custom_csv
from sf_detect.data.custom_csv import OwnVideo
from sf_detect.data.decoding import probe
from sf_detect.data.samples import ClipSample
from sf_detect.detection import track_score
from sf_detect.errors import ConfigError, SFDetectError
from sf_detect.interfaces import PersonDetector, TimedDetector, Tracker
from sf_detect.pipeline import Schedule
from sf_detect.threads import LimitedDetector
from sf_detect.tracking import ByteTrack

_DETECTION_INTERVAL_S = 0.25

Say = Callable[[str], None]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder with videos/")
    parser.add_argument("--every", type=float, default=1.0, metavar="S", help="seconds between labelled moments")
    parser.add_argument("--val-every", type=int, default=5, metavar="N", help="each N-th video validates; 0 for none")
    parser.add_argument("--detector", default=DetectorConfig().name, help="see `sf-detect run --help`")
    parser.add_argument("--threshold", type=float, default=0.4, help="lowest person score (default: 0.4)")
    arguments = parser.parse_args()
    if arguments.every <= 0 or arguments.val_every < 0:
        parser.error("--every is positive, --val-every is not negative")
    return arguments


def _rows(video: OwnVideo, every: float, detector: PersonDetector, tracker: Tracker) -> Iterator[tuple[str, ...]]:
    """Rows of all persons at the labelled moments; persons keep their number through the video."""
    duration = probe(ClipSample(video.path.stem, video.path)).duration or every
    times = custom_csv.keyframe_times(duration, every).tolist()
    detection = Schedule(_DETECTION_INTERVAL_S)
    tracker.reset()
    with build.open_source(video.path) as source:
        for frame in source:
            is_keyframe = bool(times) and frame.pts >= times[0] - 1e-3
            if not (detection.due(frame.pts) or is_keyframe):
                continue
            persons = tracker.update(detector([frame.image])[0], frame.pts)
            if is_keyframe:
                times = [time for time in times if time > frame.pts]
                assert persons.track_ids is not None
                yield from custom_csv.rows_of(video, frame.pts, persons.boxes, persons.track_ids.tolist(), frame.size)


def propose(root: Path, every: float, val_every: int, detector: PersonDetector, tracker: Tracker, say: Say) -> int:
    """Appends the rows of every video that has none yet; returns how many videos could not be read.

    Raises:
        DataError: There are no videos, or two have the same name.
    """
    videos = custom_csv.own_videos(root, val_every)
    known = custom_csv.videos_listed(root)
    failed = 0
    for number, video in enumerate(videos, start=1):
        if video.path.stem in known:
            continue
        try:
            rows = list(_rows(video, every, detector, tracker))
        except SFDetectError as error:
            failed += 1
            say(f"[{number}/{len(videos)}] left out: {error}")
            continue
        custom_csv.append_rows(root / video.split, rows)
        persons = len(Counter(row[-1] for row in rows))
        say(f"[{number}/{len(videos)}] {video.path.name}: {len(rows)} boxes of {persons} persons -> {video.split}")
    actions = sorted({video.action for video in videos} - {""})
    if actions:
        custom_csv.write_labels(root / "labels.csv", actions)
    return failed


def main() -> int:
    """Runs; exits with the error's code and message where it fails, with 3 where some videos can't be read."""
    arguments = _parse()
    try:
        config = RunConfig(detector=DetectorConfig(arguments.detector, score_threshold=arguments.threshold))
        detector = build.build_detector(config)
        if isinstance(detector, TimedDetector):
            raise ConfigError("precomputed boxes are no detector; name one of `sf-detect weights list`")
        tracker = ByteTrack(new_track_score=max(arguments.threshold, track_score(arguments.detector)))
        failed = propose(
            arguments.root,
            arguments.every,
            arguments.val_every,
            LimitedDetector(detector),  # decoding goes on beside it
            tracker,
            lambda t: print(t, flush=True),
        )
    except SFDetectError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 3 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
