"""Files and network streams, decoded by FFmpeg through PyAV."""

from __future__ import annotations

import time
from collections.abc import Generator
from pathlib import Path

import av
import av.error

from sf_detect.errors import DecodeError, SourceError, SourceOpenError
from sf_detect.file_names import printable_name
from sf_detect.redaction import encoded_url, public_host, public_url, redacted
from sf_detect.structures import Frame
from sf_detect.video.base import BaseSource
from sf_detect.video.decoding import DecodePass
from sf_detect.video.diagnosis import content_problem, require_readable_file, unreadable_message

_OPEN_TIMEOUT_S = 10.0
_READ_TIMEOUT_S = 10.0
_TEXT_FORMAT = "tty"  # FFmpeg draws the text of a .txt file as if on a terminal


class FileSource(BaseSource):
    """Any file that FFmpeg opens. Every iteration starts over.

    Rotation and mirroring metadata are applied; sizes may be odd; 10-bit and full-range video is converted to 8-bit
    RGB by its colour tags (HDR is not tone-mapped). Pixels are given as stored; `info.sample_aspect_ratio` tells how
    they are shown. Where the size changes on the way, frames change theirs (`Frame.starts_anew`). Damaged parts are
    skipped and counted in `decode_errors`; pictures that the decoder could patch up still come.

    Args:
        path: The file.
        threads: That decode; None takes FFmpeg's choice, one a core.

    Raises:
        SourceOpenError: Missing, unreadable, empty, not a video, or without a video stream.
        DecodeError: Not a single picture decodes.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        self.path, self._threads = Path(path), threads
        self._pass: DecodePass | None = self._open()
        self._begin = 0.0
        self.info = self._pass.info(printable_name(self.path.stem))

    def _open(self) -> DecodePass:
        container = open_container(self.path)
        try:
            return _start_pass(container, str(self.path), live=False, threads=self._threads)
        except DecodeError as error:
            problem = content_problem(self.path)
            if problem is None:
                raise
            raise SourceOpenError(f"{self.path} cannot be opened as a video: {problem}") from error

    def begin_at(self, seconds: float) -> None:
        """Iterate from the key picture before `seconds` on, where the format can go there without decoding."""
        self._begin = seconds

    def _frames(self) -> Generator[Frame, None, None]:
        current, self._pass = self._pass or self._open(), None
        current.begin_at(self._begin)
        yield from _counted(self, current)

    def _release(self) -> None:
        if self._pass is not None:
            self._pass.close()
            self._pass = None


def open_container(path: Path) -> av.container.InputContainer:
    """Opens a file for decoding; the caller closes it.

    Raises:
        SourceOpenError: Missing, unreadable, empty, or of no format that FFmpeg knows; the message says why.
    """
    require_readable_file(path)
    try:
        # The prefix keeps a colon in a name from being taken for a protocol.
        container = av.open(f"file:{path}", metadata_errors="replace")
        if container.format.name == _TEXT_FORMAT or not any(stream.codec_context for stream in container.streams):
            container.close()
            raise ValueError("no stream of a known kind in it")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise SourceOpenError(unreadable_message(path, error)) from error
    return container


class StreamSource(BaseSource):
    """A network stream by URL (RTSP, HTTP, HTTPS, HLS, RTMP, UDP), in its simplest form: no reconnection.

    A URL with a known duration is a remote file; everything else is live. Iterates once.

    Args:
        url: Address with its scheme, such as `rtsp://host/path`.
        open_timeout, read_timeout: Seconds to wait for the connection and for each packet.

    Raises:
        SourceOpenError: No connection, no such protocol, or no video behind it.
        DecodeError: Not a single picture decodes.
    """

    def __init__(self, url: str, open_timeout: float = _OPEN_TIMEOUT_S, read_timeout: float = _READ_TIMEOUT_S) -> None:
        self.url = url
        # TCP loses no packets; the picture of an RTSP camera over UDP tears.
        options = {"rtsp_transport": "tcp"} if url.startswith("rtsp") else {}
        begun = time.monotonic()
        try:
            timeouts = (open_timeout, read_timeout)
            container = av.open(encoded_url(url), options=options, timeout=timeouts, metadata_errors="replace")
        except (av.error.FFmpegError, OSError, ValueError) as error:
            # Not chained: FFmpeg's error shows the address with its password in every traceback.
            late = time.monotonic() - begun >= open_timeout
            raise SourceOpenError(_connection_message(url, error, open_timeout, late)) from None
        live = not container.duration
        self._pass: DecodePass | None = _start_pass(container, public_url(url), live)
        self.info = self._pass.info(public_host(url) or "stream", is_live=live)

    def _frames(self) -> Generator[Frame, None, None]:
        current, self._pass = self._pass, None
        if current is None:
            raise SourceError(
                f"the stream {public_url(self.url)} was already read. Expected a single iteration; open it again."
            )
        yield from _counted(self, current)

    def _release(self) -> None:
        if self._pass is not None:
            self._pass.close()
            self._pass = None


def _start_pass(
    container: av.container.InputContainer, what: str, live: bool, threads: int | None = None
) -> DecodePass:
    try:
        return DecodePass(container, what, live, threads=threads)
    except BaseException as error:
        container.close()
        if isinstance(error, av.error.FFmpegError):
            raise SourceOpenError(
                f"{what}: the video stream cannot be decoded ({error.strerror}). Expected a codec that FFmpeg "
                "decodes; convert the file to H.264 first."
            ) from error
        raise


def _counted(source: BaseSource, current: DecodePass) -> Generator[Frame, None, None]:
    source.decode_errors, source.warnings = current.errors, ()
    try:
        for frame in current.frames():
            source.decode_errors = current.errors
            yield frame
    finally:
        source.decode_errors, source.warnings = current.errors, current.warnings()
        current.close()


def _connection_message(url: str, error: Exception, timeout: float, late: bool) -> str:
    detail = redacted(getattr(error, "strerror", None) or str(error), url)
    if late or isinstance(error, av.error.ExitError):  # where RTSP has no answer, FFmpeg calls it invalid data
        detail = f"no answer within {timeout:g} s"
    if isinstance(error, av.error.ProtocolNotFoundError):
        return (
            f"{public_url(url)}: the protocol {url.partition('://')[0]!r} is not known. Expected a URL that starts "
            "with rtsp://, http://, https://, rtmp:// or udp://."
        )
    return (
        f"{public_url(url)} cannot be opened ({detail}). Expected a reachable video stream; check the address, the "
        "network, and user name and password."
    )
