"""What every source has in common: opened once, iterated, closed once."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterator, Sequence
from types import TracebackType
from typing import TypeVar

from sf_detect.errors import SourceError
from sf_detect.structures import Frame, VideoInfo

_Source = TypeVar("_Source", bound="BaseSource")


class BaseSource:
    """Closing rules of the `VideoSource` protocol; subclasses give `_frames` and, where needed, `_release`.

    `close` may come from another thread than the one that iterates: it only raises a flag, an iteration under way
    ends at its next frame and frees what it holds itself.

    Attributes:
        info: What is known before the first frame.
        decode_errors: Errors met so far by the latest iteration (reset when a new one starts).
        warnings: What a user should know about the frames of the latest iteration, such as times that were mended.
    """

    info: VideoInfo
    decode_errors: int = 0
    warnings: Sequence[str] = ()
    _closed: bool = False

    def __iter__(self) -> Iterator[Frame]:
        """Frames in presentation order.

        Raises:
            SourceError: The source is closed.
        """
        if self._closed:
            raise SourceError(
                f"the source {self.info.name!r} is closed. Expected iteration before close(); open it again."
            )
        return self._until_closed()

    def _until_closed(self) -> Iterator[Frame]:
        with contextlib.closing(self._frames()) as frames:
            for frame in frames:
                if self._closed:
                    return
                yield frame
                if self._closed:
                    return

    def _frames(self) -> Generator[Frame, None, None]:
        raise NotImplementedError

    def _release(self) -> None:
        """Frees what no iteration owns."""

    def close(self) -> None:
        """Frees the source; calling it again does nothing."""
        if not self._closed:
            self._closed = True
            self._release()

    def __enter__(self: _Source) -> _Source:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.info.name!r}, {self.info.width}x{self.info.height})"
