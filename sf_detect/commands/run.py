"""`sf-detect run` and `sf-detect demo`."""

from __future__ import annotations

import math
import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sf_detect.commands import options
from sf_detect.config import RunConfig
from sf_detect.file_names import printable, shortened
from sf_detect.redaction import MASK, public_url, redacted

if TYPE_CHECKING:
    from sf_detect.processing import BestGuess, RunSummary
    from sf_detect.structures import FrameResult, VideoInfo

RUN_HELP = """Annotate a video: who does what, where and when.

INPUT is a video file, a folder of images, a camera index (0) or a URL.

Examples:

    sf-detect run video.mp4

    sf-detect run video.mp4 --out-video annotated.mp4 --out-jsonl actions.jsonl --out-csv actions.csv

    sf-detect run video.mp4 --out-events events.csv --threshold 0.4

    sf-detect run video.mp4 --stride 0.25 --top-k 1 --threshold 0.5 --anonymise head

    sf-detect run frames/ --fps 25 --set detector.tile=on --out-jsonl - | head

    sf-detect run 0 --max-seconds 10 --out-video webcam.mp4

    sf-detect run film.mp4 --start 60 --end 90 --model none --out-jsonl tracks.jsonl
"""
DEMO_HELP = """Annotate the short clip that comes with the package, as a first look.

Examples:

    sf-detect demo

    sf-detect demo --out-dir /tmp/demo
"""
_PARTLY_DECODED = 3
_INTERRUPTED = 130
_LOWEST_ADVICE = 0.05
"""A threshold below it lets nearly everything count."""


def run(
    ctx: typer.Context,
    input: Annotated[str, typer.Argument(help="Video file, folder of images, camera index or URL.", metavar="INPUT")],
    out_video: Annotated[str | None, typer.Option(help="Annotated MP4.", metavar="F.mp4")] = None,
    out_jsonl: options.OutJsonl = None,
    out_csv: Annotated[str | None, typer.Option(help="AVA csv.", metavar="F.csv")] = None,
    out_events: options.OutEvents = None,
    model: options.Model = None,
    weights: options.Weights = None,
    detector: options.Detector = None,
    device: options.Device = None,
    backend: options.Backend = None,
    config: options.Config = None,
    set_: options.Set = None,
    postures: options.Postures = None,
    keypoints: options.Keypoints = False,
    stride: Annotated[float | None, typer.Option(help="Seconds between keyframes [0.5].")] = None,
    inference: Annotated[
        str | None, typer.Option(help="clip, or streaming: every frame computed once, no look-ahead [clip].")
    ] = None,
    start: Annotated[float | None, typer.Option(help="Begin at this second of the source.", metavar="S")] = None,
    end: Annotated[float | None, typer.Option(help="Stop at this second of the source.", metavar="S")] = None,
    max_seconds: Annotated[float | None, typer.Option(help="Stop after this much video.")] = None,
    every: Annotated[int | None, typer.Option(help="Process every N-th frame only [1].", metavar="N")] = None,
    fps: Annotated[float | None, typer.Option(help="Frame rate of a folder of images [25].")] = None,
    seed: options.Seed = None,
    detector_threshold: options.DetectorThreshold = None,
    tile: options.Tile = None,
    top_k: options.TopK = None,
    threshold: options.Threshold = None,
    show: options.Show = None,
    color: options.Color = None,
    hide_scores: options.HideScores = False,
    font_scale: options.FontScale = None,
    anonymise: options.Anonymise = None,
    quiet: options.Quiet = False,
) -> None:
    """Annotate one video."""
    settings = options.settings_of(ctx.params, {"max_seconds": "max_seconds"})
    if out_video is None and out_jsonl is None and out_csv is None and out_events is None:
        out_video = default_output(input)
    raise typer.Exit(_annotate(input, settings, _Outputs(out_video, out_jsonl, out_csv, out_events), quiet))


def demo(
    out_dir: Annotated[Path, typer.Option(help="Where the results go.")] = Path("sf_detect_demo"),
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
) -> None:
    """Annotate the clip that ships with the package."""
    from sf_detect.assets import DEMO_VIDEO
    from sf_detect.errors import SinkError

    try:
        out_dir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SinkError(f"folder {out_dir} can't be made: {error.strerror}. Choose another with --out-dir.") from error
    names = ("demo.mp4", "demo.jsonl", "demo.csv", "demo_events.csv")
    outputs = _Outputs(*(str(out_dir / name) for name in names))
    raise typer.Exit(_annotate(str(DEMO_VIDEO), RunConfig(device=device), outputs, quiet=False))


def default_output(source: str) -> str:
    """Where `run` writes its video if no output is named: in the current folder, after the input's name."""
    if source.isdigit():
        stem = f"camera{source}"
    elif "://" in source and not source.startswith("file:"):
        stem = _stem_of_address(public_url(source))
    else:
        stem = Path(source.rstrip("/")).stem
    return shortened(stem or "video", "_actions.mp4")


def _stem_of_address(address: str) -> str:
    """Of the last part of an address without credentials; its host where that is all there is."""
    parts = [part for part in re.split("[/?#;]", address.partition("://")[2].rpartition("@")[2]) if part != MASK]
    host = re.sub(r":\d*$", "", parts[0]) if parts else ""
    last = next((part for part in reversed(parts[1:]) if part), "")
    return re.sub(r'[\x00-\x1f<>:"|\\*]', "_", Path(last).stem or host)


@dataclass(frozen=True)
class _Outputs:
    video: str | None
    jsonl: str | None
    csv: str | None
    events: str | None


def _annotate(source: str, settings: RunConfig, outputs: _Outputs, quiet: bool) -> int:
    from sf_detect.annotator import annotate_video

    progress = None if quiet else _Progress(settings)
    _seed(settings.seed)
    try:
        summary = annotate_video(
            source,
            out_video=outputs.video,
            out_jsonl=outputs.jsonl,
            out_csv=outputs.csv,
            out_events=outputs.events,
            config=settings,
            on_start=progress.start if progress else None,
            on_result=progress.advance if progress else None,
            on_warning=_print_warning,
        )
    finally:
        if progress:
            progress.stop()
    if not quiet:
        _print_summary(summary, outputs, settings)
    if summary.decode_errors:
        print(
            f"sf-detect: {printable(public_url(source))} is damaged: {summary.decode_errors} decoding error(s); the "
            "part that decodes was processed and written. Repair or re-download the file for the rest.",
            file=sys.stderr,
        )
    if summary.interrupted:
        return _INTERRUPTED
    return _PARTLY_DECODED if summary.decode_errors else 0


def _seed(seed: int) -> None:
    import random

    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)
    if (torch := sys.modules.get("torch")) is not None:  # whose import takes longer than all else
        torch.manual_seed(seed)


def _print_warning(warning: str) -> None:
    print(printable(f"sf-detect: {redacted(warning)}"), file=sys.stderr)


def _print_summary(summary: RunSummary, outputs: _Outputs, settings: RunConfig) -> None:
    say = lambda text: print(printable(text), file=sys.stderr)  # noqa: E731  standard output may carry data
    if summary.interrupted:
        say("interrupted: the outputs are complete up to here")
    say(
        f"{summary.frames} frames ({summary.seconds:.1f} s of video) in {summary.wall_seconds:.1f} s, "
        f"{summary.fps:.0f} frames/s; {summary.keyframes} keyframes, {len(summary.tracks)} person(s)"
        + (f"; actions by {summary.backend}" if summary.backend else "")
    )
    for label, count in summary.top_actions.most_common(5):
        say(f"  {label.replace('_', ' '):<20} {count} keyframe(s)")
    if summary.best_guess is not None and not summary.top_actions:
        say(_no_action(summary.best_guess, settings))
    for path in (outputs.video, outputs.jsonl, outputs.csv, outputs.events):
        if path is not None and path != "-":
            say(f"wrote {path}")


def _no_action(best: BestGuess, settings: RunConfig) -> str:
    """What to say and to try where no action reached its threshold."""
    who = "" if best.track_id is None else f" of person {best.track_id}"
    lower = math.floor(best.score * 100) / 100
    advice = "another model (--model; `sf-detect weights list` shows which there are)"
    if best.label in settings.render.thresholds:
        advice = f"a threshold of {lower:.2f} or less for it in render.thresholds, or {advice}"
    elif lower >= _LOWEST_ADVICE:
        advice = f"--threshold {lower:.2f}, or {advice}"
    return (
        f"no action reached its threshold. The best guess is {best.label.replace('_', ' ')}{who} at {best.time:.1f} s, "
        f"score {best.score:.2f}. Try {advice}."
    )


class _Progress:
    """A progress bar with speed and remaining time on a terminal; silent when piped."""

    def __init__(self, settings: RunConfig) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self._first, self._last, self._max_seconds = settings.start or 0.0, settings.end, settings.max_seconds
        console = Console(stderr=True)
        self._progress = Progress(
            TextColumn("{task.description}", style="progress.description", markup=False),
            BarColumn(),
            TextColumn("{task.fields[clock]}"),
            TextColumn("{task.fields[rate]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task: Any = None
        self._frames = 0
        self._begun = 0.0
        self._end = ""

    def start(self, info: VideoInfo) -> None:
        total = info.duration
        if total is None and info.num_frames and info.fps:
            total = float(info.num_frames / info.fps)
        ends = [self._last, total, None if self._max_seconds is None else self._first + self._max_seconds]
        known = [end for end in ends if end is not None]
        total = max(0.0, min(known) - self._first) if known else None
        self._progress.start()
        self._task = self._progress.add_task(info.name, total=total, rate="", clock="")
        self._end = "" if total is None else f"/{total:.1f}"  # a live source has no end
        self._begun = time.monotonic()

    def advance(self, result: FrameResult) -> None:
        self._frames += 1
        rate = self._frames / max(time.monotonic() - self._begun, 1e-6)
        done = result.frame.pts - self._first
        clock = f"{done:.1f}{self._end} s"
        self._progress.update(self._task, completed=done, rate=f"{rate:.0f} frames/s", clock=clock)

    def stop(self) -> None:
        self._progress.stop()
