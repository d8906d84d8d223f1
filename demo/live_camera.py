"""Watch a camera or a stream, and print what each person does as soon as it is known, with the age of that knowledge.

    python demo/live_camera.py 0
    python demo/live_camera.py rtsp://user:password@camera/stream --record out.mp4 --seconds 60

The loop is in the caller's hands: it gets the newest result of the source and never one that is late. Ctrl-C ends it
with the recording complete.
"""

from __future__ import annotations

import argparse
import sys

import sf_detect


def best_actions(session: sf_detect.LiveSession, result: sf_detect.LiveResult) -> dict[int, str]:
    """The best action of each person that reaches its threshold, by track."""
    if result.actions is None or result.actions.persons.track_ids is None:
        return {}
    spec, found = session.spec, {}
    for track_id, scores in zip(result.actions.persons.track_ids.tolist(), result.actions.scores, strict=True):
        reached = [i for i in scores.argsort()[::-1] if scores[i] >= spec.thresholds[i]]
        found[track_id] = spec.labels[reached[0]] if reached else "no known action"
    return found


def main() -> None:
    """Run over one source and print a line where a person's best action changes."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="camera number, URL, or a file, which is played at its own speed")
    parser.add_argument("--record", help="annotated MP4")
    parser.add_argument("--seconds", type=float, help="stop after so long")
    arguments = parser.parse_args()
    session = sf_detect.open_live(
        arguments.source,
        record=arguments.record,
        max_seconds=arguments.seconds,
        on_warning=lambda text: print(text, file=sys.stderr),
    )
    current: dict[int, str] = {}
    try:
        for result in session:
            for track_id, action in best_actions(session, result).items():
                if current.get(track_id) != action:
                    current[track_id] = action
                    age = "" if result.labels_age is None else f" (seen {result.labels_age:.2f} s ago)"
                    print(f"{result.frame.pts:7.2f} s  person {track_id}: {action}{age}", flush=True)
    except KeyboardInterrupt:
        pass  # the session has completed its outputs on the way out of its loop
    for name, stats in session.stats().items():
        print(f"{name}: {stats.shown} frames shown, {stats.predictions} predictions, {stats.persons} people at the end")


if __name__ == "__main__":
    main()
