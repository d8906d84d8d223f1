"""Parts of videos on one picture, to see at a glance what a question found."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import groupby
from pathlib import Path

import numpy as np

from sf_detect.archive.clips import Cutting, Hiding, Part, facts_of
from sf_detect.archive.hiding import PersonBoxes
from sf_detect.archive.places import locate
from sf_detect.archive.schema import VideoFacts
from sf_detect.atomic_file import atomic_file
from sf_detect.errors import ConfigError, SFDetectError, SinkError, SourceError
from sf_detect.interfaces import VideoSource
from sf_detect.rendering.contact_sheet import SheetCell, contact_sheet
from sf_detect.structures import ActionDetections, Detections, Frame, FrameResult, UInt8Array

MOST_CELLS = 60
"""Parts on one sheet."""
ENDINGS = (".jpg", ".jpeg", ".png")
_STRIP = 5
_WIDTH = 320
_ONE_PASS = 10.0  # seconds; over longer parts the video is entered anew for each picture


def write_sheet(
    path: Path,
    title: str,
    parts: Sequence[Part],
    videos: Mapping[str, VideoFacts],
    boxes: Mapping[str, PersonBoxes],
    how: Cutting,
    on_problem: Callable[[str], None],
) -> int:
    """Writes a contact sheet: of each part the person in the middle of it, and a strip from its start to its end.

    Args:
        path: A .jpg or .png file.
        title: One line.
        parts: The first `MOST_CELLS` are shown.
        videos: What is known of the videos, by name.
        boxes: Of all persons, by video.
        how: Where the videos are, and whether persons are hidden.
        on_problem: Receives what went wrong with a part, which is left out.

    Returns:
        How many parts are on it; without any, nothing is written.

    Raises:
        ConfigError: The ending of the path.
        SinkError: It can't be written.
    """
    check_ending(path)
    shown = list(parts[:MOST_CELLS])
    order = sorted(range(len(shown)), key=lambda i: (shown[i].video, shown[i].start))
    cells: dict[int, SheetCell] = {}
    for video, indices in groupby(order, key=lambda i: shown[i].video):
        some = list(indices)
        try:
            source = locate(facts_of(video, videos), how.videos_root)
            of_video = _cells_of(source, [shown[i] for i in some], boxes.get(video), how, on_problem)
            cells.update((i, cell) for i, cell in zip(some, of_video, strict=True) if cell is not None)
        except SFDetectError as error:
            on_problem(f"{error} It is not on the sheet.")
    if cells:
        _write(path, contact_sheet(title, [cells[i] for i in sorted(cells)], width=_WIDTH))
    return len(cells)


def check_ending(path: Path) -> None:
    """Refuses a path of another kind of file.

    Raises:
        ConfigError: It ends in none of `ENDINGS`.
    """
    if path.suffix.lower() not in ENDINGS:
        raise ConfigError(f"--sheet {path} ends in {path.suffix or 'nothing'!r}; expected {', '.join(ENDINGS)}.")


def _cells_of(
    source: str, parts: Sequence[Part], boxes: PersonBoxes | None, how: Cutting, on_problem: Callable[[str], None]
) -> Iterator[SheetCell | None]:
    """A cell for each part of one video, None where it failed."""
    from sf_detect.video import open_source

    if how.hide is not None and boxes is None:
        raise ConfigError(f"nobody can be hidden in {source}: the archive has no boxes of its persons.")
    with closing(open_source(source)) as opened:
        for part in parts:
            try:
                yield _cell(opened, part, boxes, how)
            except SFDetectError as error:
                on_problem(f"{error} It is not on the sheet.")
                yield None


def _cell(opened: VideoSource, part: Part, boxes: PersonBoxes | None, how: Cutting) -> SheetCell:
    middle = (part.start + part.end) / 2
    look = None if boxes is None or part.track is None else boxes.look(part.track, middle)
    if look is not None and not part.start <= look[0] <= part.end:
        look = None
    chosen = middle if look is None else look[0]
    times = np.append(np.linspace(part.start, part.end, _STRIP), chosen)
    frames = _nearest(opened, times)
    pictures = [
        frame.image if how.hide is None or boxes is None else Hiding(boxes, how.hide, how.find_persons)(frame)
        for frame in frames
    ]
    shown = pictures[-1] if look is None else _with_box(pictures[-1], look[1], part)
    label = part.label.replace("_", " ")
    who = "" if part.track is None else f"person {part.track}"
    detail = f"{part.video}  {part.start:.1f}-{part.end:.1f} s"
    return SheetCell(shown, tuple(pictures[:-1]), "  ".join(text for text in (label, who) if text), detail)


def _nearest(opened: VideoSource, times: Sequence[float] | np.ndarray) -> list[Frame]:
    """The frame nearest to each time.

    Raises:
        SourceError: There is none.
    """
    from sf_detect.video.excerpts import frames_between

    interval = 1.0 if opened.info.fps is None else float(1 / opened.info.fps)
    together = max(times) - min(times) <= _ONE_PASS
    found: list[Frame | None] = [None] * len(times)
    for wanted in [range(len(times))] if together else [[i] for i in range(len(times))]:
        some = [times[i] for i in wanted]
        for frame in frames_between(opened, max(0.0, min(some) - interval), max(some) + interval):
            for i in wanted:
                best = found[i]
                if best is None or abs(frame.pts - times[i]) < abs(best.pts - times[i]):
                    found[i] = frame
    frames = [frame for frame in found if frame is not None]
    if len(frames) < len(found):
        raise SourceError(f"{opened.info.name}: no picture between {min(times):.2f} and {max(times):.2f} s.")
    return frames


def _with_box(image: UInt8Array, box: np.ndarray, part: Part) -> UInt8Array:
    """The picture with the box of the person and the label."""
    from sf_detect.rendering import Renderer, RenderStyle

    height, width = image.shape[:2]
    scaled = (box * np.array([width, height, width, height]))[None].astype(np.float32)
    persons = Detections(scaled, np.ones(1, np.float32), np.array([part.track]))
    labels = [part.label or "person"]
    actions = ActionDetections(0.0, persons, np.ones((1, 1), np.float32))
    style = RenderStyle(top_k=int(bool(part.label)), threshold=0.5, hide_scores=True, show_status=False)
    return Renderer(labels, style)(FrameResult(Frame(image, 0, 0.0), persons, actions, is_keyframe=True))


def _write(path: Path, page: UInt8Array) -> None:
    from PIL import Image

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            kind = "PNG" if path.suffix.lower() == ".png" else "JPEG"
            Image.fromarray(page).save(file, kind, quality=90)
    except (OSError, ValueError) as error:
        raise SinkError.unwritable(f"the sheet {path}", error) from error
