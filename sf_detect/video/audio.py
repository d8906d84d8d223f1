"""The original audio, carried into an output video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error

# What browsers play inside MP4; anything else is converted to AAC.
COPIED_CODECS = frozenset({"aac", "mp3", "mp3float", "opus", "flac"})
_AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})


class AudioTrack:
    """Audio of the video at `source`, on the time line of that video, muxed piece by piece beside the pictures.

    Audio is second to pictures: whatever is wrong with it ends the track, not the video, and is told in `problem`.

    Args:
        output: The container to add the stream to, before its header is written.
        source: The file that has the audio.

    Attributes:
        problem: Why audio is missing or incomplete, or None. A source without audio is no problem.
    """

    def __init__(self, output: av.container.OutputContainer, source: Path) -> None:
        self.problem: str | None = None
        self._output = output
        self._input: Any = None
        self._packets: Iterator[av.Packet] = iter(())
        self._last_dts: int | None = None
        try:
            self._open(source)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._fail(error)
        self._next: Any = self._advance()

    def _open(self, source: Path) -> None:
        self._input = av.open(f"file:{source}", metadata_errors="replace")
        if not self._input.streams.audio:
            return
        track = self._input.streams.audio[0]
        origin = self._origin()
        if track.codec_context.name in COPIED_CODECS:
            try:
                copy = self._output.add_stream_from_template(track)
            except ValueError:
                pass
            else:
                self._packets = self._copied(track, copy, origin)
                return
        self._packets = self._converted(track, self._add_aac(track), origin)

    def _origin(self) -> float:
        """Start of the video on the file's clock, in seconds: the zero of `Frame.pts`."""
        for stream in self._input.streams.video:
            if stream.start_time is not None and stream.time_base:
                return float(stream.start_time * stream.time_base)
        return 0.0

    def _add_aac(self, track: Any) -> Any:
        rate = track.codec_context.sample_rate
        stream: Any = self._output.add_stream("aac", rate=rate if rate in _AAC_RATES else 48000)
        stream.codec_context.layout = "mono" if track.codec_context.channels == 1 else "stereo"
        stream.codec_context.bit_rate = 128_000
        return stream

    def _copied(self, track: Any, copy: Any, origin: float) -> Iterator[av.Packet]:
        for packet in self._input.demux(track):
            if packet.dts is None:
                continue
            shift = round(origin / packet.time_base)
            packet.pts = packet.dts - shift if packet.pts is None else packet.pts - shift
            packet.dts -= shift
            packet.stream = copy
            yield packet

    def _converted(self, track: Any, stream: Any, origin: float) -> Iterator[av.Packet]:
        context = stream.codec_context
        resampler = av.AudioResampler(format="fltp", layout=context.layout, rate=context.sample_rate)
        for packet in self._input.demux(track):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError as error:
                self.problem = f"part of the audio is damaged ({error.strerror})"
                continue
            for frame in frames:
                if frame.pts is not None:
                    frame.pts -= round(origin / frame.time_base)
                for piece in resampler.resample(frame):
                    yield from stream.encode(piece)
        for piece in resampler.resample(None):
            yield from stream.encode(piece)
        yield from stream.encode(None)

    def mux_until(self, seconds: float) -> None:
        """Muxes the audio that is heard before `seconds` on the video's time line (half a packet may hang over)."""
        while self._next is not None:
            middle = float((self._next.pts + (self._next.duration or 0) / 2) * self._next.time_base)
            if middle > seconds:
                return
            if middle > 0 and (self._last_dts is None or self._next.dts > self._last_dts):
                self._last_dts = self._next.dts
                self._output.mux(self._next)
            self._next = self._advance()

    def _advance(self) -> Any:
        try:
            while True:
                packet = next(self._packets, None)
                if packet is None or (packet.pts is not None and packet.dts is not None):
                    return packet
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._fail(error)
            return None

    def _fail(self, error: Exception) -> None:
        detail = getattr(error, "strerror", None) or str(error)
        self.problem = f"the audio could not be read to its end ({detail})"
        self._packets = iter(())

    def close(self) -> None:
        """Closes the input."""
        self._next = None
        close = getattr(self._packets, "close", None)
        if close is not None:
            close()
        if self._input is not None:
            self._input.close()
