"""How far the scores of streaming agree with those of clip inference, on real video.

    python tools/streaming_agreement.py                                        # default model, demo clip
    python tools/streaming_agreement.py VIDEO_OR_FOLDER --model ava_slowfast_8x8_r50 --weights FILE
    python tools/streaming_agreement.py FOLDER --weights FILE --padding centred  # weights trained with causal=False

At every moment t the whole frame is scored as one box, by streaming from the frames up to t, and by clips at several
alignments: the clip that ends at t, the one whose middle is t, and one half way. The last row compares two of these
clips with each other: what the shift in time alone changes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect import build
from sf_detect.assets import DEMO_VIDEO
from sf_detect.config import ModelConfig, RunConfig
from sf_detect.interfaces import ActionStream
from sf_detect.models.predictor import EnginePredictor
from sf_detect.structures import Detections
from sf_detect.video.clip_buffer import ClipBuffer

SUFFIXES = {".mp4", ".avi", ".mkv", ".mov", ".webm"}
ALIGNMENTS = {"clip ends at t": 0.0, "half way": 0.5, "clip centred at t": 1.0}
"""Shares of the way from the clip that ends at t to the one whose middle is t."""

Scores = npt.NDArray[np.float32]


def videos_of(path: Path) -> list[Path]:
    """The file, or the videos of the folder and its subfolders, sorted."""
    found = [path] if path.is_file() else sorted(p for p in path.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not found:
        raise SystemExit(f"{path}: no such file, or a folder without videos ({', '.join(sorted(SUFFIXES))}).")
    return found


def moments(
    clips: EnginePredictor, streaming: ActionStream, video: Path, stride: float
) -> Iterator[tuple[Scores, list[Scores]]]:
    """Scores (C,) of the whole frame, `stride` seconds apart: by streaming, and by a clip of each alignment."""
    spec = replace(clips.spec.clip_spec, keyframe="last")
    ahead = float(replace(spec, keyframe="centre").offsets()[-1])
    buffer = ClipBuffer(spec, clips.preprocessing.short_side)
    streaming.reset()
    waiting: list[tuple[float, Scores, Detections, tuple[int, int]]] = []
    due = 0.0
    with build.open_source(str(video)) as source:
        for frame in source:
            buffer.push(frame)
            streaming.push(frame)
            if frame.pts >= due:
                due = frame.pts + stride
                for share in ALIGNMENTS.values():
                    buffer.expect(frame.pts + share * ahead)
                height, width = frame.size
                person = Detections(np.array([[0, 0, width, height]], np.float32), np.ones(1, np.float32))
                waiting.append(
                    (frame.pts, streaming.score(person, frame.pts, frame.size).scores[0], person, frame.size)
                )
            while waiting and buffer.ready(waiting[0][0] + ahead):
                pts, scores, person, size = waiting.pop(0)
                cut = [buffer.clip(pts + share * ahead, person, size) for share in ALIGNMENTS.values()]
                yield scores, [found.scores[0] for found in clips(cut)]


def compared(left: Scores, right: Scores) -> str:
    """One row: mean and largest absolute difference, correlation, share of equal best actions; both (moments, C)."""
    difference = np.abs(left - right)
    varied = left.std() > 0 and right.std() > 0
    correlation = float(np.corrcoef(left.ravel(), right.ravel())[0, 1]) if varied else float("nan")
    same = float((left.argmax(1) == right.argmax(1)).mean())
    return f"{difference.mean():10.4f}{difference.max():10.4f}{correlation:13.4f}{same:14.0%}"


def print_agreement(config: RunConfig, videos: list[Path], stride: float) -> None:
    """Print how far both forms agree at the same moments of all videos."""
    clips = build.build_predictor(config)
    streaming = clips.open_stream()
    found = [pair for video in videos for pair in moments(clips, streaming, video, stride)]
    if not found:
        raise SystemExit(f"no video is as long as a clip of {clips.spec.name} and a half; give a longer one.")
    streamed = np.stack([scores for scores, _ in found])
    by_clip = np.stack([scores for _, scores in found], 1)
    exact = "" if streaming.warning is None else ", an approximation: not trained causally"
    print(f"{clips.spec.name}{exact}; {len(found)} moments of {len(videos)} video(s), {stride} s apart")
    print(f"{'streaming at t against':<34}{'mean |d|':>10}{'largest':>10}{'correlation':>13}{'same best':>14}")
    for name, scores in zip(ALIGNMENTS, by_clip, strict=True):
        print(f"  {name:<32}{compared(streamed, scores)}")
    first, *_, last = ALIGNMENTS
    print(f"{first} against {last:<17}{compared(by_clip[0], by_clip[-1])}")


def main() -> None:
    """Parse and call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("video", type=Path, nargs="?", default=Path(str(DEMO_VIDEO)), help="video file, or a folder")
    parser.add_argument("--model", default=build.DEFAULT_MODEL, help="of `sf-detect weights list`, a detection model")
    parser.add_argument("--weights", help="checkpoint of the model [the published one]")
    parser.add_argument("--padding", choices=["causal", "centred"], help="that the weights were trained with [model's]")
    parser.add_argument("--stride", type=float, default=0.5, help="seconds between compared moments")
    parser.add_argument("--limit", type=int, help="at most this many videos of a folder")
    arguments = parser.parse_args()
    causal = None if arguments.padding is None else arguments.padding == "causal"
    model = ModelConfig(name=arguments.model, weights=arguments.weights, causal=causal)
    print_agreement(RunConfig(model=model), videos_of(arguments.video)[: arguments.limit], arguments.stride)


if __name__ == "__main__":
    main()
