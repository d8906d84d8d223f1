"""Clips and contact sheets of what a question found."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from sf_detect.archive.clips import Cutting, Part, cut
from sf_detect.archive.database import Database
from sf_detect.archive.hiding import PersonBoxes
from sf_detect.archive.sheets import MOST_CELLS, write_sheet
from sf_detect.errors import ConfigError


@dataclass
class Made:
    """What became of the parts.

    Attributes:
        clips: Files that were written.
        on_sheet: Parts on the sheet; None where none was asked for.
        problems: How many clips and pictures could not be made.
    """

    clips: int = 0
    on_sheet: int | None = None
    problems: int = 0


def make_pictures(
    parts: Sequence[Part],
    database: Database,
    how: Cutting,
    *,
    clips: bool,
    sheet: Path | None,
    title: str,
    tell: Callable[[str], None],
) -> Made:
    """Cuts clips of parts and writes a sheet of them.

    Args:
        parts: Of videos of the archive.
        database: Of the archive.
        how: How clips are cut; root and hiding hold for the sheet too.
        clips: Whether clips are cut.
        sheet: Where the sheet goes; None: none.
        title: Of the sheet.
        tell: Receives what went wrong, and what is to be known.

    Raises:
        ConfigError: Persons are to be hidden that the archive has no boxes of.
        SinkError: The sheet can't be written.
    """
    made = Made()
    if not parts:
        return made
    names = sorted({part.video for part in parts})
    known = database.facts(names)
    boxes = PersonBoxes.of_videos(database, names) if how.hide is not None or sheet is not None else {}
    unseen = [name for name in names if name in known and name not in boxes]
    if how.hide is not None and unseen:
        raise ConfigError(
            f"nobody can be hidden in {unseen[0]}: the archive has no boxes of its persons. Annotate it again."
        )
    if clips:
        made.clips = sum(1 for _ in cut(parts, known, how, boxes, tell))
        made.problems += len(parts) - made.clips
    if sheet is not None:
        made.on_sheet = write_sheet(sheet, title, parts, known, boxes, how, tell)
        made.problems += min(len(parts), MOST_CELLS) - made.on_sheet
    return made
