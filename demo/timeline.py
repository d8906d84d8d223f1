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
    parser.add_argument("--threshold", type=float, default=0.5, help="lowest score that counts")
    arguments = parser.parse_args()
    predictor = sf_detect.build_predictor()
    pipeline = sf_detect.build_pipeline(predictor=predictor)
    current: dict[int, str] = {}
    with sf_detect.open_source(arguments.source) as source:
        for result in pipeline.run(source):
            if not result.is_keyframe or result.actions is None or result.persons.track_ids is None:
                continue
            for track_id, scores in zip(result.persons.track_ids.tolist(), result.actions.scores, strict=True):
                best = int(scores.argmax())
                action = predictor.labels[best] if scores[best] >= arguments.threshold else "no known action"
                if current.get(track_id) != action:
                    current[track_id] = action
                    print(f"{result.frame.pts:7.2f} s  person {track_id}: {action} ({scores[best]:.0%})", flush=True)


if __name__ == "__main__":
    main()
