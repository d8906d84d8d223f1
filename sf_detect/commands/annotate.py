"""`sf-detect annotate`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sf_detect.commands import options as shared
from sf_detect.errors import ConfigError
from sf_detect.file_names import printable_name
from sf_detect.redaction import redacted

if TYPE_CHECKING:
    from sf_detect.batch.estimate import Estimate
    from sf_detect.batch.summary import BatchSummary

ANNOTATE_HELP = """Annotate many videos into one folder, unattended.

INPUT is a video, a folder (searched through), a glob in quotes, a list of paths (.txt), or - for a list on the
standard input. Give the same command again to go on after whatever stopped it: what is done stays done, and only
videos that changed, or whose settings changed, are done again.

Examples:

    sf-detect annotate videos/ --out-dir archive

    sf-detect annotate 'cameras/**/*.mp4' --out-dir archive --format jsonl,video,sheet --anonymise head

    find /data -name '*.avi' | sf-detect annotate - --out-dir archive --workers 4

    sf-detect annotate videos/ --out-dir archive --dry-run

    sf-detect annotate videos/ --out-dir archive --retry-failed

    sf-detect annotate videos/ --out-dir archive --shard 3/10
"""
_INCOMPLETE, _STOPPED, _INTERRUPTED = 3, 1, 130
_SHOWN = 10

Format = Annotated[
    str | None,
    typer.Option(
        help="jsonl, csv, events, video, sheet, parquet, separated by commas [jsonl,events,parquet].", metavar="F,F"
    ),
]
Features = Annotated[
    bool, typer.Option("--features", help="Keep the model's features of each person, for `query --like`.")
]
RayAddress = Annotated[
    str | None, typer.Option(help="Of a Ray cluster, such as auto or HOST:PORT [start one here].", metavar="A")
]
StallTimeout = Annotated[float, typer.Option(help="Give a video up that yields no result for so long.", metavar="S")]
Timeout = Annotated[float | None, typer.Option(help="Give a video up that takes longer than this in all.", metavar="S")]
Shard = Annotated[
    str | None, typer.Option(help="Only the I-th of N parts; the others may run elsewhere.", metavar="I/N")
]
Compare = Annotated[str, typer.Option(help="Tell a changed video by 'time' (and size) or 'hash' (reads every file).")]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what would be done and about how long it takes; write nothing.")
]


def annotate(
    ctx: typer.Context,
    inputs: Annotated[list[str], typer.Argument(help="Videos, folders, globs, lists (.txt) or -.", metavar="INPUT...")],
    out_dir: Annotated[Path, typer.Option(help="The archive: results, manifest and summary.", metavar="DIR")],
    format: Format = None,
    model: shared.Model = None,
    weights: shared.Weights = None,
    detector: shared.Detector = None,
    device: shared.Device = None,
    backend: shared.Backend = None,
    config: shared.Config = None,
    set_: shared.Set = None,
    postures: shared.Postures = None,
    keypoints: shared.Keypoints = False,
    stride: Annotated[float | None, typer.Option(help="Seconds between keyframes [0.5].")] = None,
    threshold: shared.Threshold = None,
    anonymise: Annotated[str | None, typer.Option(help="Blur 'head' or whole 'person' in videos and sheets.")] = None,
    features: Features = False,
    workers: Annotated[int | None, typer.Option(help="Processes [one a core, as far as memory goes].")] = None,
    engine: Annotated[str, typer.Option(help="local, or ray: a cluster that shares DIR and inputs.")] = "local",
    ray_address: RayAddress = None,
    stall_timeout: StallTimeout = 120.0,
    timeout: Timeout = None,
    retry_failed: Annotated[bool, typer.Option("--retry-failed", help="Try again what failed before.")] = False,
    redo: Annotated[bool, typer.Option("--redo", help="Do again what is done.")] = False,
    limit: Annotated[int | None, typer.Option(help="Annotate so many videos at most.", metavar="N")] = None,
    shard: Shard = None,
    compare: Compare = "time",
    dry_run: DryRun = False,
    progress: Annotated[str, typer.Option(help="auto, bar, lines, json (on stdout) or none.")] = "auto",
) -> None:
    """Annotate many videos."""
    from sf_detect.batch.jobs import Limits
    from sf_detect.batch.listing import Selection
    from sf_detect.batch.progress import observer
    from sf_detect.build_batch import DEFAULT_FORMATS, BatchOptions, annotate_videos, estimate_videos

    settings = shared.settings_of(ctx.params)
    if features:
        settings.model.features = True
    _check(compare, stall_timeout, timeout)
    options = BatchOptions(
        formats=DEFAULT_FORMATS if format is None else tuple(part.strip() for part in format.split(",")),
        selection=Selection(retry_failed, redo, None if shard is None else _shard(shard), limit),
        limits=Limits(stall_timeout, timeout),
        workers=workers,
        engine=engine,
        ray_address=ray_address,
        by_hash=compare == "hash",
    )
    if dry_run:
        _print_estimate(estimate_videos(inputs, out_dir, settings, options, _lines()))
        return
    summary = annotate_videos(inputs, out_dir, settings, options, observer(progress), _lines())
    if progress not in ("json", "none"):
        _print_summary(summary, out_dir)
    _print_problems(summary)
    raise typer.Exit(_exit_code(summary))


def _check(compare: str, stall_timeout: float, timeout: float | None) -> None:
    if compare not in ("time", "hash"):
        raise ConfigError(f"--compare {compare}: expected time or hash.")
    for name, seconds in (("--stall-timeout", stall_timeout), ("--timeout", timeout)):
        if seconds is not None and not seconds > 0:
            raise ConfigError(f"{name} is {seconds}; expected a number of seconds above 0.")


def _print_estimate(found: Estimate) -> None:
    from sf_detect.batch.progress import duration

    listed = found.listed
    changed = f", {listed.changed} of them because they or the settings changed" if listed.changed else ""
    failed = f"; {listed.failed} failed before (--retry-failed)" if listed.failed else ""
    beyond = f"; {listed.beyond} more than --limit" if listed.beyond else ""
    print(f"{listed.videos} video(s): {listed.waiting} to annotate{changed}; {listed.done} done before{failed}{beyond}")
    if found.video_seconds is not None:
        print(f"about {duration(found.video_seconds)} of video, from {found.sample} that were looked at")
    if found.unreadable:
        print(f"{found.unreadable} of {found.sample} that were looked at can't be opened")
    if found.wall_seconds is not None:
        print(f"about {duration(found.wall_seconds)} to annotate, from {printable_name(found.basis)}")


def _shard(text: str) -> tuple[int, int]:
    part, _, count = text.partition("/")
    if not (part.isdecimal() and count.isdecimal()):
        raise ConfigError(f"--shard {text}: expected I/N, such as 3/10 for the third of ten parts.")
    return int(part), int(count)


def _lines() -> Iterator[str]:
    """Of the standard input, which is not touched before."""
    if hasattr(sys.stdin, "reconfigure"):
        sys.stdin.reconfigure(errors="surrogateescape")
    yield from sys.stdin


def _exit_code(summary: BatchSummary) -> int:
    if summary.interrupted:
        return _INTERRUPTED
    if summary.stopped:
        return _STOPPED
    incomplete = summary.failed or summary.damaged or summary.listed.failed or summary.problems
    return _INCOMPLETE if incomplete else 0


def _print_summary(summary: BatchSummary, out_dir: Path) -> None:
    from sf_detect.batch.progress import duration
    from sf_detect.batch.summary import seconds_of_labels

    listed, wall = summary.listed, max(summary.wall_seconds, 1e-9)
    _say(
        f"{summary.done} video(s) annotated, {summary.failed} failed; {listed.done} done before"
        + (f", {listed.failed} failed before (--retry-failed)" if listed.failed else "")
        + (f"; {left} left" if (left := listed.waiting + listed.beyond - summary.finished) > 0 else "")
    )
    if summary.done:
        _say(
            f"{duration(summary.seconds)} of video in {duration(summary.wall_seconds)}: "
            f"{summary.seconds / wall:.1f} x real time, {summary.frames / wall:.0f} frames/s, "
            f"{summary.workers} worker(s)"
        )
    for line in seconds_of_labels(summary.labels):
        _say(f"  {line}")
    for name, reason in [*summary.failures.items(), *summary.damages.items()][:_SHOWN]:
        _say(f"  {name}: {reason}")
    if (more := len(summary.failures) + len(summary.damages) - _SHOWN) > 0:
        _say(f"  and {more} more, in {out_dir / 'manifest.csv'}")
    for warning, count in summary.warnings.most_common(_SHOWN):
        _say(f"  {count} video(s): {warning}")
    _say(f"results, manifest and summary in {out_dir}")


def _print_problems(summary: BatchSummary) -> None:
    for problem in summary.problems:
        _say(problem)
    if summary.interrupted:
        _say("interrupted: give the same command again to go on")
    if summary.stopped:
        _say(f"stopped: {summary.stopped} Free some space and give the same command again: finished videos stay.")


def _say(text: str) -> None:
    print(f"sf-detect: {printable_name(redacted(text))}", file=sys.stderr)
