"""Network streams for a `ReconnectingSource`: RTSP, RTMP, HLS, MJPEG over HTTP and whatever else FFmpeg receives."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from functools import partial
from typing import Any

import av
import av.error
import numpy as np
from av.video.reformatter import VideoReformatter

from sf_detect.errors import SourceError, SourceOpenError
from sf_detect.redaction import encoded_url, public_url, redacted
from sf_detect.structures import UInt8Array
from sf_detect.video import stream_info
from sf_detect.video.addresses import is_web, loses_packets, stream_options
from sf_detect.video.clock import Pacer
from sf_detect.video.connection import ConnectionLost, ConnectionRefused, Picture
from sf_detect.video.damage import DamageGate
from sf_detect.video.decoding import ONE_THREAD, DecodePass
from sf_detect.video.lag import LagGuard
from sf_detect.video.loss_log import LossLog

# FFmpeg waits as long again when it says goodbye to a server that is not there.
_READ_TIMEOUT_S = 3.0
_NO_ANSWER = "no answer"
_LONGEST_LIVE_PAUSE_S = 3.0
_SEGMENTED = frozenset({"hls", "dash"})
# What the receiver misses belongs to the picture that it hands out next, or to the one behind.
_SUSPECT_PACKETS = 2


class SeenPackets:
    """The newest packets of a stream in segments, over its connections.

    Its server hands out the last segments again and again after the camera has gone; they must not pass for new.
    """

    def __init__(self, count: int = 4000) -> None:
        self._packets: OrderedDict[tuple[int | None, int], None] = OrderedDict()
        self._count = count

    def add(self, packet: av.Packet) -> bool:
        """Whether it is new: no other of this time and size was there before."""
        key = (packet.pts, packet.size)
        new = key not in self._packets
        self._packets[key] = None
        if len(self._packets) > self._count:
            self._packets.popitem(last=False)
        return new


class NetworkConnection:
    """One connection to an address, see `Connection`.

    Every packet is decoded as it comes; none is converted here. Pictures that come in bursts (HLS) are released at the
    distances at which they were taken. Streams without time stamps (MJPEG over HTTP) have none.

    Args:
        url: Address with its scheme.
        stopped: Set where nobody wants it any more.
        patience: Seconds that connecting may take.
        rtsp_transport: "tcp" or "udp".
        seen: What earlier connections to the address had, where it comes in segments.

    Raises:
        ConnectionLost: There is no connection or no video.
        ConnectionRefused: User name and password are not accepted.
    """

    note = ""

    def __init__(
        self,
        url: str,
        stopped: threading.Event,
        patience: float,
        rtsp_transport: str = "tcp",
        seen: SeenPackets | None = None,
    ) -> None:
        self._url, self._stopped = url, stopped
        self._seen = seen or SeenPackets()
        self.errors = self.late = 0
        self._container: Any = self._open(patience, stream_options(url, rtsp_transport))
        try:
            self._begin(rtsp_transport)
            if self.is_recording:  # a hasty look at a file misses what is in it
                self._container.close()
                self._container = self._open(patience, {})
        except (av.error.FFmpegError, OSError, ValueError, SourceError) as error:
            self._container.close()
            raise self._loss(error) from None

    def _open(self, patience: float, options: dict[str, str]) -> av.container.InputContainer:
        begun = time.monotonic()
        try:
            return av.open(
                encoded_url(self._url),
                options=options,
                timeout=(patience, _READ_TIMEOUT_S),
                metadata_errors="replace",
            )
        except av.error.ProtocolNotFoundError:
            raise SourceOpenError(
                f"{public_url(self._url)}: this build of FFmpeg does not know the protocol. Expected rtsp, http, "
                "https, rtmp or udp; install PyAV as PyPI has it: pip install --force-reinstall av"
            ) from None
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if time.monotonic() - begun >= patience:  # FFmpeg calls that of RTSP invalid data
                raise ConnectionLost(_NO_ANSWER) from None
            raise self._loss(error) from None  # FFmpeg's error shows the address with its password

    def _begin(self, rtsp_transport: str) -> None:
        container = self._container
        self._stream: Any = stream_info.pick_video_stream(container, public_url(self._url))
        self._stream.thread_type = "SLICE"  # frame threads delay
        segmented = bool(_SEGMENTED & set(container.format.name.split(",")))
        self.is_recording = is_web(self._url) and bool(container.duration or (container.size > 0 and not segmented))
        self._has_stamps = not stream_info.stores_no_times(container)
        self.fps: Fraction | None = None
        if self._has_stamps or self.is_recording:
            self.fps = stream_info.frame_rate(container, self._stream)
        self._lossy = loses_packets(self._url, rtsp_transport)
        if self._lossy:
            self._stream.thread_type = "NONE"  # what the decoder logs stays in this thread, see LossLog
        self._gate, self._lag = DamageGate(self._lossy), LagGuard()
        self._pacer = Pacer(longest_delay=0.0, longest_pause=_LONGEST_LIVE_PAUSE_S) if segmented else None

    def pictures(self) -> Iterator[Picture]:
        """See `Connection`."""
        if self.is_recording:
            yield from self._recorded()
            return
        try:
            with LossLog() if self._lossy else contextlib.nullcontext() as log:
                suspect = 0
                for packet in self._container.demux(self._stream):
                    suspect = _SUSPECT_PACKETS if log is not None and log.lost() else max(0, suspect - 1)
                    yield from self._decoded(packet, suspect > 0)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise self._loss(error) from None

    def _decoded(self, packet: av.Packet, suspect: bool) -> Iterator[Picture]:
        base = packet.time_base or self._stream.time_base
        arrival = time.monotonic()
        if packet.size:
            stamp = _seconds(packet.pts if packet.dts is None else packet.dts, base)
            self._gate.packet(stamp, packet.is_corrupt or suspect)
            self._keep_up(stamp, arrival, packet.is_keyframe)
        try:
            decoded = packet.decode()
        except (av.error.EOFError, av.error.ExitError):
            return
        except av.error.FFmpegError:
            self.errors += 1
            self._gate.lost()
            return
        if self._pacer is not None and packet.size and not self._seen.add(packet):
            return
        for picture in decoded:
            yield self._picture(picture, arrival, base)

    def _keep_up(self, stamp: float | None, arrival: float, is_key: bool) -> None:
        """Leaves out what there is no time for; raises ConnectionLost where that does not help."""
        if self._pacer is not None or not self._has_stamps:
            return
        skips = self._lag.skips(stamp, arrival, is_key)
        self._stream.codec_context.skip_frame = "NONKEY" if skips else "DEFAULT"
        self.late += skips and not is_key
        if self._lag.is_hopeless:
            raise ConnectionLost("it comes slower than it is taken, and was more than 10 s behind")

    def _picture(self, picture: Any, arrival: float, base: Fraction | None) -> Picture:
        stamp = _seconds(picture.pts, picture.time_base or base)
        sent = _seconds(picture.dts, picture.time_base or base)
        damaged = self._gate.picture(stamp if sent is None else sent, bool(picture.key_frame), picture.is_corrupt)
        if self._pacer is not None and stamp is not None:
            due = self._pacer.due(stamp, arrival)
            if due > arrival:
                self._stopped.wait(due - arrival)
                arrival = due
        size = (picture.height, picture.width)
        return Picture(_Conversion(picture), size, stamp if self._has_stamps else None, arrival, damaged)

    def _recorded(self) -> Iterator[Picture]:
        pacer = Pacer()
        current = DecodePass(self._container, public_url(self._url))
        for frame in current.frames():
            self.errors = current.errors
            now = time.monotonic()
            due = pacer.due(frame.pts, now)
            if due > now and self._stopped.wait(due - now):
                return
            yield Picture(partial(_same, frame.image), frame.size, frame.pts, max(now, due))

    def close(self) -> None:
        """Closes it; may take seconds where the server does not answer."""
        self._container.close()

    def _loss(self, error: Exception) -> ConnectionLost:
        detail = redacted(getattr(error, "strerror", None) or str(error), self._url)
        if isinstance(error, av.error.HTTPUnauthorizedError | av.error.HTTPForbiddenError):
            return ConnectionRefused("user name and password were not accepted")
        if isinstance(error, av.error.ExitError):
            return ConnectionLost(_NO_ANSWER)
        return ConnectionLost(detail)


class _Conversion:
    """A decoded picture as RGB, when somebody looks."""

    def __init__(self, picture: Any) -> None:
        self._picture = picture

    def __call__(self) -> UInt8Array:
        rgb = _converter().reformat(self._picture, format="rgb24", **ONE_THREAD)
        return np.asarray(rgb.to_ndarray(), np.uint8)


def _same(image: UInt8Array) -> UInt8Array:
    return image


_LOCAL = threading.local()


def _converter() -> VideoReformatter:
    """This thread's; making one costs more than a conversion."""
    if not hasattr(_LOCAL, "converter"):
        _LOCAL.converter = VideoReformatter()
    converter: VideoReformatter = _LOCAL.converter
    return converter


def _seconds(stamp: int | None, base: Fraction | None) -> float | None:
    return None if stamp is None or not base else float(stamp * base)
