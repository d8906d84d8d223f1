"""Results as an annotated video."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sf_detect.errors import SinkError
from sf_detect.structures import FrameResult, UInt8Array, VideoInfo
from sf_detect.video.letterbox import letterbox
from sf_detect.video.writer import VideoWriter


class VideoSink:
    """Renders every result and encodes it at its time.

    The output keeps one size. A frame of another size is drawn on in its own, then fitted in with black bars.

    Args:
        path: The video file.
        info: The source; size, shape of the pixels and rate of the output follow it.
        renderer: Makes the picture of a result, usually a `Renderer`.
        audio_from: A file whose sound is kept.
        fragmented: As of `VideoWriter`, for what may end at any moment.

    Raises:
        SinkError: The file cannot be opened.
    """

    def __init__(
        self,
        path: Path | str,
        info: VideoInfo,
        renderer: Callable[[FrameResult], UInt8Array],
        audio_from: Path | None = None,
        fragmented: bool = False,
    ) -> None:
        self.path, self._renderer = Path(path), renderer
        self._writer = VideoWriter(self.path, info, audio_from, fragmented=fragmented)
        self._size = (info.height, info.width)
        self._closed = False

    def write(self, result: FrameResult) -> None:
        """Renders and encodes one frame.

        Raises:
            SinkError: The sink is closed, or the frame cannot be encoded.
        """
        if self._closed:
            raise SinkError(f"video: {str(self.path)!r} is closed and takes no more results.")
        image = letterbox(self._renderer(result), self._size)
        self._writer.write(image, result.frame.pts)

    @property
    def audio_problem(self) -> str | None:
        """Why sound is missing or incomplete, or None."""
        return self._writer.audio_problem

    @property
    def problems(self) -> list[str]:
        """What a user should know about the video; complete once the sink is closed."""
        return [problem for problem in (self._writer.audio_problem, self._writer.time_problem) if problem is not None]

    def close(self) -> None:
        """Completes the file with all frames so far. Idempotent.

        Raises:
            SinkError: The file cannot be completed.
        """
        if not self._closed:
            self._closed = True
            self._writer.close()
