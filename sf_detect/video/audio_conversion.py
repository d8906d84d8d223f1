"""Any sound to AAC, which all players of MP4 know."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import av
import av.error
from av.filter import Graph

AAC_RATES = frozenset({8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000})
_DEFAULT_RATE = 48000
_BIT_RATE = 128_000
# Gaps in the stamps are filled with silence and overlaps cut, so that what follows stays in step with the pictures.
_IN_STEP = {"async": "1"}


def add_aac_stream(output: av.container.OutputContainer, track: Any) -> Any:
    """A stream in `output` for the sound of `track`, mono or stereo, at its rate where AAC has that."""
    rate = track.codec_context.sample_rate
    stream: Any = output.add_stream("aac", rate=rate if rate in AAC_RATES else _DEFAULT_RATE)
    stream.codec_context.layout = "mono" if track.codec_context.channels == 1 else "stereo"
    stream.codec_context.bit_rate = _BIT_RATE
    return stream


class AacConverter:
    """Encodes decoded sound, whose rate, channels and sample format may change on the way.

    Args:
        stream: From `add_aac_stream`.
    """

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self._graph: Graph | None = None
        self._format: tuple[Any, ...] | None = None

    def convert(self, frame: Any) -> Iterator[av.Packet]:
        """Packets that are complete with `frame`, whose `pts` are on the output's time line."""
        described = (frame.format.name, frame.layout.name, frame.sample_rate, frame.time_base)
        if described != self._format:
            yield from self._encode(self._drain(end=True))
            self._graph, self._format = self._resampler(*described), described
        assert self._graph is not None
        self._graph.push(frame)
        yield from self._encode(self._drain())

    def finish(self) -> Iterator[av.Packet]:
        """The remaining packets."""
        yield from self._encode(self._drain(end=True))
        yield from self._stream.encode(None)

    def _resampler(self, sample_format: str, layout: str, rate: int, time_base: Any) -> Graph:
        context = self._stream.codec_context
        graph = Graph()
        chain = [
            graph.add(
                "abuffer",
                sample_fmt=sample_format,
                channel_layout=layout,
                sample_rate=str(rate),
                time_base=str(time_base or f"1/{rate}"),
            ),
            graph.add("aresample", **_IN_STEP),
            graph.add(
                "aformat",
                sample_fmts=context.format.name,
                channel_layouts=context.layout.name,
                sample_rates=str(context.sample_rate),
            ),
            graph.add("abuffersink"),
        ]
        for first, second in pairwise(chain):
            first.link_to(second)
        graph.configure()
        return graph

    def _drain(self, end: bool = False) -> Iterator[Any]:
        if self._graph is None:
            return
        if end:
            self._graph.push(None)
        while True:
            try:
                yield self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return

    def _encode(self, frames: Iterator[Any]) -> Iterator[av.Packet]:
        for frame in frames:
            yield from self._stream.encode(frame)
