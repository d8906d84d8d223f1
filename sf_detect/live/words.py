"""How a stream is, in a line."""

from __future__ import annotations

from sf_detect.live.counts import StreamStats
from sf_detect.structures import LiveResult


def status_line(stats: StreamStats) -> str:
    """State, rates and ages of a stream, for a terminal."""
    parts = [f"{stats.name}: {state_text(stats)}"]
    if stats.shown:
        parts.append(f"{stats.fps:.1f} frames/s")
    if stats.frame_age is not None:
        parts.append(f"picture {_age(stats.frame_age.median)}")
    if stats.boxes_age is not None:
        parts.append(f"boxes {_age(stats.boxes_age.median)}")
    if stats.labels_age is not None:
        parts.append(f"labels {_age(stats.labels_age.median)}")
    if stats.predictions:
        parts.append(f"{stats.predictions_per_second:.1f} predictions/s by {stats.form}")
    if stats.approximation is not None:
        parts.append("approximate")
    if stats.shown:
        parts.append(f"{stats.persons} person{'' if stats.persons == 1 else 's'}")
    drops = ", ".join(f"{cause} {count}" for cause, count in sorted(stats.drops.items()))
    if drops:
        parts.append(f"left out: {drops}")
    if stats.source.reconnects:
        parts.append(f"{stats.source.reconnects} reconnection(s)")
    return "  ".join(parts)


def state_text(stats: StreamStats) -> str:
    """The state of the source, and why it is none of live."""
    status = stats.source
    if status.state == "live":
        return "live"
    parts = [status.state, status.detail]
    if status.state not in ("connecting", "ended") and not status.detail.startswith("no picture"):
        parts.append(f"no picture for {stats.no_picture_for:.0f} s")
    return ", ".join(part for part in parts if part)


def picture_line(result: LiveResult) -> str:
    """For the picture itself: time, persons, and how old boxes and labels are."""
    tenths = int(max(result.frame.pts, 0) * 10 + 1e-6)
    minutes, rest = divmod(tenths, 600)
    count = len(result.persons)
    parts = [f"{minutes:02d}:{rest // 10:02d}.{rest % 10}", f"{count} person{'' if count == 1 else 's'}"]
    if result.boxes_age is not None and count:
        parts.append(f"boxes {_age(result.boxes_age)}")
    if result.labels_age is not None:
        parts.append(f"labels {_age(result.labels_age)}")
    return "  ".join(parts)


def _age(seconds: float) -> str:
    return f"{1000 * seconds:.0f} ms" if seconds < 1 else f"{seconds:.1f} s"
