"""`sf-detect live` and `sf-detect cameras`."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from sf_detect.commands import options
from sf_detect.errors import ConfigError
from sf_detect.file_names import printable

if TYPE_CHECKING:
    from sf_detect.commands.live_status import StatusLine
    from sf_detect.live import LiveSession
    from sf_detect.rendering.window import Window
    from sf_detect.structures import UInt8Array

LIVE_HELP = """Watch cameras and streams: who does what, now.

SOURCE is a camera number (0), a URL (rtsp, http, hls, rtmp, udp), or a file, which is played at its own speed.
`name=SOURCE` names one; with several sources the names of outputs hold {source}. Ctrl-C ends it, with all outputs
complete. A source that is offline is waited for, and connected to again.

Examples:

    sf-detect live 0

    sf-detect live rtsp://user:password@camera/stream --record out.mp4 --out-jsonl actions.jsonl

    sf-detect live door=rtsp://10.0.0.8/a yard=rtsp://10.0.0.9/a --record '{source}.mp4' --no-window

    sf-detect live 0 --anonymise head --max-seconds 60 --out-events events.csv

    sf-detect live video.mp4 --set live.stride=1
"""
CAMERAS_HELP = """List the cameras of this machine."""
PROGRESS = ("auto", "line", "lines", "json", "none")
_WINDOW_SECONDS, _STATUS_SECONDS = 0.02, 0.5


def live(
    ctx: typer.Context,
    sources: Annotated[list[str], typer.Argument(help="Camera number, URL or file, or name=SOURCE.", metavar="SOURCE")],
    window: Annotated[bool | None, typer.Option(help="Show it on the screen [where there is one].")] = None,
    record: Annotated[str | None, typer.Option(help="Annotated MP4, readable up to its end.", metavar="F.mp4")] = None,
    out_jsonl: options.OutJsonl = None,
    out_events: options.OutEvents = None,
    max_seconds: Annotated[float | None, typer.Option(help="Stop after so long.", metavar="S")] = None,
    model: options.Model = None,
    weights: options.Weights = None,
    detector: options.Detector = None,
    device: options.Device = None,
    backend: options.Backend = None,
    config: options.Config = None,
    set_: options.Set = None,
    postures: options.Postures = None,
    keypoints: options.Keypoints = False,
    stride: Annotated[
        float | None, typer.Option(help="Seconds between keyframes [as often as the scores change].")
    ] = None,
    inference: Annotated[str | None, typer.Option(help="streaming, or clip [streaming].")] = None,
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
    progress: Annotated[
        str, typer.Option(help="auto, line, lines (as states change), json (every second, on stdout) or none.")
    ] = "auto",
    quiet: options.Quiet = False,
) -> None:
    """Watch live sources."""
    settings = options.settings_of(ctx.params, {"stride": "live.stride", "inference": "live.inference"})
    seconds = settings.max_seconds if max_seconds is None else max_seconds
    _check(progress, seconds, out_jsonl, out_events)
    shown = _window(window)
    from sf_detect.build_live import open_live
    from sf_detect.commands.live_status import StatusLine

    status = StatusLine("none" if quiet else progress)
    session = open_live(
        *sources,
        config=settings,
        record=record,
        out_jsonl=out_jsonl,
        out_events=out_events,
        max_seconds=seconds,
        pictures=shown is not None,
        on_warning=status.warn,
    )
    _run(session, shown, status)


def cameras() -> None:
    """List cameras."""
    from sf_detect.video.cameras import list_cameras

    found = list_cameras()
    for camera in found:
        print(printable(str(camera)))
    if not found:
        print("sf-detect: no camera found. Check the cable and the permission to use cameras.", file=sys.stderr)


def _check(progress: str, seconds: float | None, *data: str | None) -> None:
    if progress not in PROGRESS:
        raise ConfigError(f"--progress {progress}: expected {', '.join(PROGRESS[:-1])} or {PROGRESS[-1]}.")
    if progress == "json" and "-" in data:
        raise ConfigError(
            "--progress json and an output '-' both write to the standard output. Give the output a file."
        )
    if seconds is not None and not 0 < seconds < float("inf"):
        raise ConfigError(f"--max-seconds {seconds}: expected a number of seconds above 0.")


def _window(wanted: bool | None) -> Window | None:
    """The window, where it is wanted and there is a display; else a line says why not."""
    if wanted is False:
        return None
    from sf_detect.rendering.window import Window, missing_display

    reason = missing_display()
    if reason is None:
        os.environ.setdefault("QT_LOGGING_RULES", "default.warning=false")  # Qt's words about fonts it does not need
        return Window("sf-detect")
    print(f"sf-detect: no window: {reason}; everything else goes on.", file=sys.stderr)
    return None


def _run(session: LiveSession, window: Window | None, status: StatusLine) -> None:
    """Watches until the end, whatever it is, and completes everything."""
    try:
        _watch(session, window, status)
    finally:
        session.stop()
        status.end(session.stats())
        if window is not None:
            window.close()
    session.raise_failures()


def _watch(session: LiveSession, window: Window | None, status: StatusLine) -> None:
    """The loop of the main thread: shows pictures and status until the session ends or the window is closed."""
    pictures: dict[str, UInt8Array] = {}
    session.start()
    while True:
        try:
            result = session.next(_STATUS_SECONDS if window is None else _WINDOW_SECONDS)
        except TimeoutError:
            pass
        else:
            if result is None:
                return
            if window is not None and result.picture is not None:
                pictures[result.source] = result.picture
                window.show(dict(sorted(pictures.items())))
        if window is not None and not window.poll():
            return
        status.update(session.stats)
