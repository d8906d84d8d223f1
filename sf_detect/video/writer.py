"""Video out: MP4 with H.264 that browsers play, complete whatever happens on the way."""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import av
import av.error
import cv2
import numpy as np
from av.video.frame import PictureType
from av.video.reformatter import Colorspace, VideoReformatter

from sf_detect.errors import SinkError
from sf_detect.structures import UInt8Array, VideoInfo
from sf_detect.video.audio import AudioTrack
from sf_detect.video.decoding import ONE_THREAD
from sf_detect.video.outfile import ReservedFile
from sf_detect.video.yuv import Yuv420Converter

_SUFFIXES = (".mp4", ".m4v")
_TICKS_PER_SECOND = 90_000
_DEFAULT_FPS = Fraction(30)
_RESERVE_BYTES = 2 << 20
_INDEX_BYTES_PER_FRAME = 128  # generous: pictures and audio of one frame's time in the sample tables
_RESERVE_STEP = 1000
_MAX_CRF = 51
_MAX_TICKS = (1 << 31) - 1  # longest time that MP4 can show one picture
# Colour description of SD and HD: swscale's name of the matrix, then primaries, transfer and matrix by H.273.
_SD_COLOUR, _HD_COLOUR = (Colorspace.ITU601, 6, 6, 6), (Colorspace.ITU709, 1, 1, 1)
_HD_HEIGHT = 720
_LIMITED_RANGE = 1
# Pictures and sound arrive interleaved; where the sound has ended, waiting for more of it would only fill memory.
_MUXER_OPTIONS = {"movflags": "faststart", "max_interleave_delta": "500000"}
# The index of each second stands with its pictures, and reaches the file at once.
_FRAGMENT_SECONDS = 1.0
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov+default_base_moof", "flush_packets": "1"}
# The encoder holds no picture back. One thread: those that share a picture would cost more than they save.
_NO_DELAY = {"tune": "zerolatency", "forced-idr": "1", "threads": "1"}


class VideoWriter:
    """Writes RGB pictures as MP4: H.264, 4:2:0, index in front, times kept, original audio kept.

    The file gets its name when it is complete: it is written beside it under a temporary name. If the work ends early
    (an exception, Ctrl-C, `abort`, a full disk) what was written so far becomes a complete, playable file.

    An odd width or height is padded to an even one by repeating the last column or row, as 4:2:0 needs even sizes.
    SD is written with the BT.601 matrix, from 720 lines on with BT.709, both tagged, so that players show the same
    colours. There are no B-frames: every picture's time is exact, also at a variable rate. The last picture is shown
    until `info.duration` if all of `info.num_frames` were written, else for one nominal interval. Pixels keep the shape
    that `info.sample_aspect_ratio` tells. A gap that MP4 cannot express (3 h or more, by the rate) is closed.

    Args:
        path: The output, ending in .mp4 or .m4v; missing folders are created, an existing file is replaced at the end.
        info: Size of the pictures, nominal rate, duration.
        audio_from: File whose audio is kept, cut to the pictures: copied where browsers play it in MP4, else as AAC.
        crf: Constant rate factor of x264, 0 (lossless) to 51; lower is better and larger.
        preset: Speed of x264, "ultrafast" to "placebo".
        key_interval: At most so many frames from one key picture to the next, so that a reader can enter the file
            quickly anywhere; None leaves it to x264 (250).
        begin: Second of the pictures' and the sound's time line at which the video begins: its own times count from it.
        fragmented: Write a recording that plays up to its last second whatever happens: in fragments of a second, each
            with its own index, under a temporary name that is easy to find (`PATH.RANDOM.part`).

    Attributes:
        num_frames: Pictures written.
        audio_problem: Why audio is missing or incomplete, or None.
        time_problem: What became of times that MP4 cannot express, or None.

    Raises:
        SinkError: The output cannot be created.
    """

    def __init__(
        self,
        path: str | Path,
        info: VideoInfo,
        audio_from: Path | None = None,
        crf: int = 23,
        preset: str = "veryfast",
        key_interval: int | None = None,
        begin: float = 0.0,
        fragmented: bool = False,
    ) -> None:
        self.path, self._fragmented = Path(path), fragmented
        self._begin = begin
        self.info = info
        self.num_frames = 0
        self.audio_problem: str | None = None
        self.time_problem: str | None = None
        self._closed = False
        fps = info.fps or _DEFAULT_FPS
        self._time_base = _fine_time_base(fps)
        self._interval = min(max(1, round(1 / (fps * self._time_base))), _MAX_TICKS)
        self._last_ticks: int | None = None
        self._last_key: int | None = None
        self._closed_ticks = 0
        self._held: av.Packet | None = None
        self._audio: AudioTrack | None = None
        self._end = 0.0
        self._convert, self._convert_sd = VideoReformatter(), Yuv420Converter()
        _check_output(self.path, audio_from)
        if not 0 <= crf <= _MAX_CRF:  # x264 would clamp it in silence
            raise SinkError(f"{self.path}: got crf {crf}. Expected 0 (lossless) to {_MAX_CRF}; 23 is usual.")
        self._file = self._create()
        try:
            options = {"crf": str(crf), "preset": preset, "bf": "0"} | (_NO_DELAY if fragmented else {})
            self._start(fps, audio_from, options if key_interval is None else {**options, "g": str(key_interval)})
        except BaseException as error:
            self._file.discard()
            if isinstance(error, (av.error.FFmpegError, ValueError)):
                raise SinkError(_encoder_message(self.path, info, preset, error)) from error
            raise

    def _create(self) -> ReservedFile:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return ReservedFile(self.path, self._reserve_bytes(), hidden=not self._fragmented)
        except OSError as error:
            raise SinkError(
                f"{self.path} cannot be written ({error.strerror}). Expected a folder with write permission and at "
                f"least {self._reserve_bytes() / 1e6:.0f} MB of free space; choose another place for the output."
            ) from error

    def _reserve_bytes(self) -> int:
        # Also room for what is on its way when the disk fills: a few pictures, larger for large ones.
        return _RESERVE_BYTES + self.info.width * self.info.height // 2 + self.num_frames * _INDEX_BYTES_PER_FRAME

    def _start(self, fps: Fraction, audio_from: Path | None, options: dict[str, str]) -> None:
        """Opens the output; where that fails with the sound, without it."""
        try:
            self._open(fps, audio_from, options)
        except (av.error.FFmpegError, ValueError) as error:
            if self._audio is None:
                raise
            self._audio.close()
            self._file.seek(0)
            self._open(fps, None, options)
            self.audio_problem = f"the sound was left out ({_reason(error)})"

    def _open(self, fps: Fraction, audio_from: Path | None, options: dict[str, str]) -> None:
        muxing = _MUXER_OPTIONS | (_FRAGMENTS if self._fragmented else {})
        container: Any = av.open(self._file, "w", format="mp4", options=muxing, buffer_size=1 << 18)
        self._container = container
        stream: Any = container.add_stream("libx264", rate=fps, options=options)
        stream.width, stream.height = self.info.width + self.info.width % 2, self.info.height + self.info.height % 2
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = self._time_base
        self._matrix, context.color_primaries, context.color_trc, context.colorspace = (
            _HD_COLOUR if self.info.height >= _HD_HEIGHT else _SD_COLOUR
        )
        context.color_range = _LIMITED_RANGE
        if self.info.sample_aspect_ratio != 1:
            context.sample_aspect_ratio = self.info.sample_aspect_ratio
        self._stream = stream
        self._audio = AudioTrack(container, audio_from, self._begin) if audio_from is not None else None
        container.start_encoding()

    def write(self, image: UInt8Array, pts: float) -> None:
        """Adds a picture.

        Args:
            image: (H, W, 3) uint8 RGB of the size in `info`.
            pts: Its time in seconds, more than that of the picture before.

        Raises:
            SinkError: Closed, wrong size, or the output failed; then what was written so far has been completed, and
                the message tells what was kept.
        """
        if self._closed:
            raise SinkError(f"{self.path} is closed. Expected pictures before close(); open another output.")
        if image.shape != (self.info.height, self.info.width, 3) or image.dtype != np.uint8:
            raise SinkError(
                f"{self.path}: got a picture of shape {image.shape} and type {image.dtype}. Expected "
                f"({self.info.height}, {self.info.width}, 3) and uint8, as announced when the output was opened."
            )
        ticks = self._ticks(pts)
        try:
            self._mux(self._stream.encode(self._picture(image, ticks)))
            if self._audio is not None:
                self._audio.mux_until(float(ticks * self._time_base))
        except (av.error.FFmpegError, OSError) as error:
            self._stop(error)
        self._last_ticks = ticks
        self.num_frames += 1
        if self.num_frames % _RESERVE_STEP == 0:
            self._file.reserve(self._reserve_bytes())
        if self._file.full:
            self._stop(self._file.full)

    def _ticks(self, pts: float) -> int:
        last = -self._interval if self._last_ticks is None else self._last_ticks
        ticks = round((pts - self._begin) / self._time_base) - self._closed_ticks
        if ticks - last > _MAX_TICKS:
            self._closed_ticks += ticks - last - self._interval
            ticks = last + self._interval
            self.time_problem = (
                f"{self.path}: the pictures' times jump to {pts:.0f} s. MP4 cannot show a picture for so long, so the "
                "rest follows at once."
            )
        return ticks if self._last_ticks is None else max(ticks, last + 1)

    def _picture(self, image: UInt8Array, ticks: int) -> av.VideoFrame:
        height, width = image.shape[:2]
        if height % 2 or width % 2:
            image = np.asarray(
                cv2.copyMakeBorder(image, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE), dtype=np.uint8
            )
        image = np.ascontiguousarray(image)
        if self._matrix == Colorspace.ITU601:
            picture = self._convert_sd(image)
        else:
            picture = self._convert.reformat(
                _as_frame(image),
                format="yuv420p",
                dst_colorspace=self._matrix,
                dst_color_range=_LIMITED_RANGE,
                **ONE_THREAD,
            )
        picture.pts, picture.time_base = ticks, self._time_base
        if self._fragmented and (
            self._last_key is None or (ticks - self._last_key) * self._time_base >= _FRAGMENT_SECONDS
        ):
            picture.pict_type, self._last_key = PictureType.I, ticks
        return picture

    def _mux(self, packets: list[av.Packet]) -> None:
        """Muxes with one packet held back, whose duration only the next one tells."""
        for packet in packets:
            if self._held is not None and packet.pts is not None and self._held.pts is not None:
                self._held.duration = packet.pts - self._held.pts
                self._container.mux(self._held)
            self._held = packet

    def close(self) -> None:
        """Completes the file and gives it its name; calling it again does nothing. Without pictures no file is made.

        Raises:
            SinkError: The file could not be completed; the message tells what was kept.
        """
        if not self._closed:
            self._complete(flush=True)
            if self._file.full:
                raise SinkError(self._full_message(self._file.full)) from self._file.full

    def abort(self) -> None:
        """Completes the file with what was written so far, like `close`, but never raises a `SinkError`."""
        try:
            self.close()
        except SinkError:
            return

    def _stop(self, error: Exception) -> None:
        """Completes what is there, then reports why no more can be written."""
        self._complete(flush=False)
        raise SinkError(self._full_message(error)) from error

    def _complete(self, flush: bool) -> None:
        self._closed = True
        kept = False
        try:
            if flush:
                self._mux(self._stream.encode(None))
            self._mux_last(flush)
            if self._audio is not None:
                self._audio.mux_until(self._end)
            kept = self._held is not None
        except (av.error.FFmpegError, OSError) as error:
            raise SinkError(self._lost_message(error)) from error
        finally:
            self._seal(kept)

    def _mux_last(self, flushed: bool) -> None:
        """Muxes the packet held back; its end is the end of the video."""
        last = self._held
        if last is None or last.pts is None:
            return
        last.duration = self._last_duration() if flushed else self._interval
        self._end = float((last.pts + last.duration) * self._time_base)
        self._container.mux(last)

    def _last_duration(self) -> int:
        if self.info.duration and self._last_ticks is not None:
            rest = round(self.info.duration / self._time_base) - self._closed_ticks - self._last_ticks
            whole = self.num_frames == self.info.num_frames
            if 0 < rest <= _MAX_TICKS and (whole or rest < 2 * self._interval):
                return rest
        return self._interval

    def _seal(self, kept: bool) -> None:
        """Writes the index and names the file, or removes it."""
        if self._audio is not None:
            self.audio_problem = self._audio.problem or self.audio_problem
            self._audio.close()
        try:
            self._container.close()
            if kept:
                self._file.keep()
        except (av.error.FFmpegError, OSError) as error:
            kept = False
            raise SinkError(self._lost_message(error)) from error
        finally:
            if not kept:
                self._file.discard()

    def _full_message(self, error: Exception) -> str:
        return (
            f"{self.path}: writing stopped after {self.num_frames} frames ({_reason(self._file.full or error)}). "
            f"The first {self._end:.1f} s were kept there as a complete video. Free some space or choose another "
            "place, and run again for the rest."
        )

    def _lost_message(self, error: Exception) -> str:
        return (
            f"{self.path}: the video could not be completed ({_reason(self._file.full or error)}), and nothing of it "
            "was kept. Expected a writable folder with free space; choose another place and run again."
        )

    def __enter__(self) -> VideoWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abort()


def _fine_time_base(fps: Fraction) -> Fraction:
    """A tick of at most 1/90000 s in which a frame of the nominal rate lasts a whole number of ticks."""
    if fps.numerator > _TICKS_PER_SECOND * 10:
        return Fraction(1, _TICKS_PER_SECOND)
    return Fraction(1, fps.numerator * math.ceil(_TICKS_PER_SECOND / fps.numerator))


def _check_output(path: Path, audio_from: Path | None) -> None:
    if path.is_dir():
        raise SinkError(f"{path} is a folder. Expected the name of a video file, such as {path / 'annotated.mp4'}.")
    if path.suffix.lower() not in _SUFFIXES:
        raise SinkError(f"{path}: videos are written as MP4. Expected a name ending in {' or '.join(_SUFFIXES)}.")
    if audio_from is not None and path.exists() and Path(audio_from).exists() and path.samefile(audio_from):
        raise SinkError(f"{path} is the input itself. Expected another name for the output, so that the input is kept.")


def _as_frame(image: UInt8Array) -> av.VideoFrame:
    """The picture as a frame of the encoder, without a copy where its memory allows."""
    if image.flags.writeable:
        return av.VideoFrame.from_numpy_buffer(image, "rgb24")
    return av.VideoFrame.from_ndarray(image, format="rgb24")


def _encoder_message(path: Path, info: VideoInfo, preset: str, error: Exception) -> str:
    if "libx264" not in av.codecs_available:
        return (
            f"{path}: this build of PyAV has no H.264 encoder (libx264). Expected PyAV as PyPI has it; install it "
            "with: pip install --force-reinstall av"
        )
    return (
        f"{path}: the encoder does not accept {info.width}x{info.height} with preset {preset!r} "
        f"({_reason(error)}). Expected a preset of x264 such as 'veryfast', and a size up to 16384."
    )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
