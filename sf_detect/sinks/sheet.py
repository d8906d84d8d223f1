"""Keyframes of a video on one picture."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from sf_detect.atomic_file import AtomicFile
from sf_detect.errors import SinkError
from sf_detect.file_names import printable_name
from sf_detect.rendering.contact_sheet import SheetCell, contact_sheet
from sf_detect.structures import FrameResult, UInt8Array

CELLS = 12
_WIDTH = 384


class SheetSink:
    """Draws up to `CELLS` keyframes, evenly spaced over the video, with their times.

    While it is not known how long the video is, every second keyframe is dropped whenever there are twice too many, so
    memory is bounded by so many small pictures.

    Args:
        path: The file, written when the sink is closed: PNG where it ends in .png, else JPEG.
        title: Name of the video.
        renderer: Makes the picture of a result; it hides who is to be hidden.
        cells: Pictures at most.

    Raises:
        SinkError: The file can't be made.
    """

    def __init__(
        self, path: Path | str, title: str, renderer: Callable[[FrameResult], UInt8Array], cells: int = CELLS
    ) -> None:
        self.path, self._title, self._renderer, self._most = Path(path), title, renderer, cells
        self._cells: list[SheetCell] = []
        self._every, self._seen = 1, 0
        self._closed = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._output = AtomicFile(self.path)
        except OSError as error:
            raise SinkError(f"sheet: cannot write {str(self.path)!r}: {error.strerror}.") from error

    def write(self, result: FrameResult) -> None:
        """Takes a result; frames between keyframes are passed over.

        Raises:
            SinkError: The sink is closed.
        """
        if self._closed:
            raise SinkError(f"sheet: {str(self.path)!r} is closed and takes no more results.")
        if not result.is_keyframe:
            return
        if self._seen % self._every == 0:
            self._cells.append(self._cell(result))
        self._seen += 1
        if len(self._cells) >= 2 * self._most:
            self._cells = self._cells[::2]
            self._every *= 2

    def close(self) -> None:
        """Draws and writes the sheet. Idempotent.

        Raises:
            SinkError: It can't be written.
        """
        if self._closed:
            return
        self._closed = True
        try:
            self._write(self._page())
        except OSError as error:
            raise SinkError(f"sheet: writing {str(self.path)!r} failed: {error.strerror}.") from error
        finally:
            self._output.discard()

    def _write(self, page: UInt8Array) -> None:
        data = io.BytesIO()
        Image.fromarray(page).save(data, "PNG" if self.path.suffix.lower() == ".png" else "JPEG", quality=90)
        view = data.getbuffer()
        while view:
            view = view[self._output.file.write(view) :]
        self._output.commit()

    def _page(self) -> UInt8Array:
        count = min(self._most, len(self._cells))
        if not count:
            return np.zeros((_WIDTH * 3 // 4, _WIDTH, 3), np.uint8)
        chosen = np.linspace(0, len(self._cells) - 1, count).round().astype(int)
        return contact_sheet(printable_name(self._title), [self._cells[i] for i in chosen], width=_WIDTH)

    def _cell(self, result: FrameResult) -> SheetCell:
        small = Image.fromarray(self._renderer(result))
        small.thumbnail((_WIDTH, _WIDTH * 3 // 4))
        persons = len(result.persons)
        return SheetCell(np.asarray(small), (), f"{result.frame.pts:.2f} s", f"{persons} person{'s' * (persons != 1)}")
