"""The original sound, carried into an output video."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import av.error

from sf_detect.video.audio_conversion import AacConverter, add_aac_stream
from sf_detect.video.audio_selection import choose_audio, open_audio
from sf_detect.video.stream_info import has_index, pick_video_stream, start_time
from sf_detect.video.timing import MAX_GAP_S

_DISCONTINUITY_S = 1.0
_SHORTEST_SEEK_S = 5.0  # reading so far is as quick
_LEAD_S = 1.0  # what decoders need before they are right


class AudioTrack:
    """Audio of the video at `source`, on the time line of that video, muxed piece by piece beside the pictures.

    Audio is second to pictures: whatever is wrong with it ends the track, not the video, and is told in `problem`. Of
    several tracks it is the first that decodes.

    Args:
        output: The container to add the stream to, before its header is written.
        source: The file that has the audio.
        begin: Second of that time line at which the output begins.

    Attributes:
        problem: Why audio is missing or incomplete, or None. A source without audio is no problem.
    """

    def __init__(self, output: av.container.OutputContainer, source: Path, begin: float = 0.0) -> None:
        self.problem: str | None = None
        self._cut = begin
        self._output = output
        self._input: Any = None
        self._packets: Iterator[av.Packet] = iter(())
        self._last_dts: int | None = None
        self._begin: float | None = None
        try:
            self._open(source)
        except Exception as error:  # whatever it is, the pictures must not suffer
            self._fail(error)
        self._next: Any = self._advance()

    def _open(self, source: Path) -> None:
        choice = choose_audio(source)
        self.problem = choice.problem
        if choice.index is None:
            return
        self._input = open_audio(source)
        track = self._input.streams[choice.index]
        origin = start_time(pick_video_stream(self._input, str(source))) or 0.0
        if self._cut > _SHORTEST_SEEK_S and has_index(self._input):
            self._input.seek(int((origin + self._cut - _LEAD_S) * av.time_base))
        line = _TimeLine(origin + self._cut)
        if choice.copied:
            self._packets = self._copied(track, self._output.add_stream_from_template(track), line)
        else:
            self._packets = self._converted(track, add_aac_stream(self._output, track), line)

    def _copied(self, track: Any, copy: Any, line: _TimeLine) -> Iterator[av.Packet]:
        described: bytes | None = None
        for packet in self._input.demux(track):
            if packet.dts is None:
                continue
            header = _mp3_format(packet) if track.codec_context.name.startswith("mp3") else b""
            if described is not None and header != described:
                raise ValueError("its format changes on the way")
            described = header
            shift = line.shift(packet.dts, packet.duration or 0, packet.time_base)
            packet.pts = packet.dts - shift if packet.pts is None else packet.pts - shift
            packet.dts -= shift
            packet.stream = copy
            yield packet

    def _converted(self, track: Any, stream: Any, line: _TimeLine) -> Iterator[av.Packet]:
        converter = AacConverter(stream)
        for packet in self._input.demux(track):
            try:
                frames = packet.decode()
            except av.error.InvalidDataError as error:
                self.problem = f"part of the audio is damaged ({error.strerror})"
                continue
            for frame in frames:
                if frame.pts is not None:
                    length = round(frame.samples / (frame.sample_rate * frame.time_base))
                    frame.pts -= line.shift(frame.pts, length, frame.time_base)
                yield from converter.convert(frame)
        yield from converter.finish()

    def mux_until(self, seconds: float) -> None:
        """Muxes the audio that is heard before `seconds` on the video's time line (half a packet may hang over).

        The first call is that of the first picture; what is heard before it is left out.
        """
        self._begin = seconds if self._begin is None else self._begin
        while self._next is not None:
            middle = float((self._next.pts + (self._next.duration or 0) / 2) * self._next.time_base)
            if middle > seconds:
                return
            heard = middle > self._begin and (not self._cut or self._next.pts >= 0)
            if heard and (self._last_dts is None or self._next.dts > self._last_dts):
                self._last_dts = self._next.dts
                try:
                    self._output.mux(self._next)
                except av.error.FFmpegError as error:  # a failing disk raises an OSError of the file instead
                    self._fail(error)
                    self._next = None
                    return
            self._next = self._advance()

    def _advance(self) -> Any:
        try:
            while True:
                packet = next(self._packets, None)
                if packet is None or (packet.pts is not None and packet.dts is not None):
                    return packet
        except Exception as error:  # whatever it is, the pictures must not suffer
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


class _TimeLine:
    """From the file's clock to the video's. Where the stamps jump, the sound continues as the pictures do.

    Args:
        origin: Start of the video on the file's clock, in seconds: the zero of `Frame.pts`.
    """

    def __init__(self, origin: float) -> None:
        self._offset = origin
        self._end: float | None = None

    def shift(self, stamp: int, duration: int, time_base: Any) -> int:
        """What to subtract from `stamp`, in its own time base."""
        time = float(stamp * time_base) - self._offset
        if self._end is not None and not -_DISCONTINUITY_S < time - self._end < MAX_GAP_S:
            self._offset += time - self._end
            time = self._end
        self._end = time + float(duration * time_base)
        return round(self._offset / time_base)


def _mp3_format(packet: av.Packet) -> bytes:
    """What an MPEG audio header (ISO/IEC 11172-3, 2.4.1.3) says of version, layer, rate, and mono or not."""
    header = bytes(packet)[:4]
    if len(header) < 4:
        return b""
    return bytes((header[1] & 0x1E, header[2] & 0x0C, int(header[3] >> 6 == 3)))
