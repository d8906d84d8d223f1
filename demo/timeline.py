"""Print what each person does, and when, as the video is read.

    python demo/timeline.py video.mp4

Shows the loop in the caller's hands: quitting is a `break`, and nothing has to be written.
"""

from __future__ import annotations

import argparse

import sf_detect


def main() -> None:
    """Run the pipeline over one source and print a line where a person's best action changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="video file, folder of images, camera index or URL")
    parser.add_argument("--threshold", type=float, help="score from which an action counts [the model's]")
    arguments = parser.parse_args()
    annotator = sf_detect.Annotator()
    spec = annotator.spec
    thresholds = spec.thresholds if arguments.threshold is None else [arguments.threshold] * len(spec.labels)
    current: dict[int, str] = {}
    for result in annotator.results(arguments.source):
        if not result.is_keyframe or result.actions is None or result.persons.track_ids is None:
            continue
        for track_id, scores in zip(result.persons.track_ids.tolist(), result.actions.scores, strict=True):
            reached = [i for i in scores.argsort()[::-1] if scores[i] >= thresholds[i]]
            reached.sort(key=lambda i: spec.groups[i] == "posture")  # what somebody does, before how they stand
            action = spec.labels[reached[0]] if reached else "no known action"
            if current.get(track_id) != action:
                current[track_id] = action
                score = f" ({scores[reached[0]]:.0%})" if reached else ""
                print(f"{result.frame.pts:7.2f} s  person {track_id}: {action}{score}", flush=True)


if __name__ == "__main__":
    main()
