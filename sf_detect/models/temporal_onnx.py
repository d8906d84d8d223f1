"""Convolutions over time in ONNX graphs, of a whole clip or of a stream.

A frame's neighbours in time that are stacked along the channels turn them into convolutions over space. Frames that lie
one behind the other in memory are stacked already: (k, C, H, W) is read as (1, k * C, H, W). So each output frame is
computed on its own, from the frames that exist: nothing is copied, and no product is taken with the zeros beyond a
clip's ends.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from sf_detect.engines.onnx_graph import OnnxGraph, Shape, integers

Weight = npt.NDArray[np.float32]
"""(out, taps, in, k, k)."""


class OverTime(Protocol):
    """Where a convolution over time finds the frames before and after the ones at hand."""

    def convolve(self, x: str, name: str, weight: Weight, bias: npt.NDArray[np.float32], frames: int, step: int) -> str:
        """Convolves maps (T, C, H, W) over time and space.

        Args:
            x: The maps.
            name: Of the layer.
            weight, bias: Its parameters.
            frames: T.
            step: Stride over time; output k has the frames step * k to step * k + step - 1 as its newest, but for the
                frames ahead that a layer sees which does not look back only.

        Returns:
            (T // step, out, H, W).
        """
        ...


class ClipTime:
    """All frames are at hand; beyond the clip there are zeros.

    Args:
        graph: That is written.
        causal: Whether convolutions look back only, else to both sides.
        group: Frames that are computed at once where a convolution has no extent in space.
    """

    def __init__(self, graph: OnnxGraph, causal: bool, group: int) -> None:
        self._graph, self._causal, self._group = graph, causal, group

    def convolve(self, x: str, name: str, weight: Weight, bias: npt.NDArray[np.float32], frames: int, step: int) -> str:
        """See `OverTime`."""
        ahead = 0 if self._causal else weight.shape[1] // 2
        if step == 1 and weight.shape[-1] == 1 and frames % self._group == 0:
            out, channels = weight.shape[0], weight.shape[2]
            x = regrouped(self._graph, x, frames // self._group, channels * self._group)
            weight, ahead = grouped_weight(weight, ahead, self._group)
            x = self._frame_by_frame(x, weight, np.tile(bias, self._group), frames // self._group, 1, ahead)
            return regrouped(self._graph, x, frames, out)
        return self._frame_by_frame(x, weight, bias, frames, step, ahead)

    def _frame_by_frame(
        self, x: str, weight: Weight, bias: npt.NDArray[np.float32], frames: int, step: int, ahead: int
    ) -> str:
        graph, taps = self._graph, weight.shape[1]
        constants: dict[tuple[int, int], str] = {}
        found = []
        for last in range(step - 1 + ahead, frames + ahead, step):
            first = last - taps + 1
            start, stop = max(first, 0), min(last + 1, frames)
            part = start - first, stop - first
            if part not in constants:
                constants[part] = graph.constant(spatial_weight(weight[:, part[0] : part[1]]))
            seen = regrouped(graph, graph.slice(x, start, stop), 1, (stop - start) * weight.shape[2])
            found.append(convolution(graph, seen, constants[part], bias, weight.shape[-1]))
        return graph.add("Concat", *found, axis=0) if len(found) > 1 else found[0]


class StreamTime:
    """The frames at hand are the newest; those before come in as `past.NAME`, and go out as `next.NAME`.

    Args:
        graph: That is written.
        frames: Of the Fast pathway in a slow step.
    """

    def __init__(self, graph: OnnxGraph, frames: int) -> None:
        self._graph, self._frames = graph, frames
        self._next: dict[str, tuple[str, Shape]] = {}

    def convolve(self, x: str, name: str, weight: Weight, bias: npt.NDArray[np.float32], frames: int, step: int) -> str:
        """See `OverTime`; all frames at hand are new, and every layer looks back only."""
        graph, (out, taps, channels) = self._graph, weight.shape[:3]
        past = self._past(x, name, taps - step, channels, frames)
        if frames == step:
            return self._joined(x, past, weight, bias, frames)
        # One product computes the outputs of all frames, with zeros for those that an output does not see.
        weight, _ = grouped_weight(weight, 0, frames)
        single = weight.reshape(len(weight), -1, channels, *weight.shape[3:])
        weight = single[:, single.shape[1] - frames - (taps - step) :]  # without frames that are not kept
        return regrouped(graph, self._joined(x, past, weight, np.tile(bias, frames), frames), frames, out)

    def add_outputs(self) -> None:
        """The state that the next step starts from."""
        for name, (tensor, shape) in self._next.items():
            self._graph.output(f"next.{name}", tensor, "float32", shape)

    def _past(self, x: str, name: str, history: int, channels: int, frames: int) -> str:
        """The frames before, (history, C, H, W)."""
        graph, shape = self._graph, (history, channels, f"{name}.height", f"{name}.width")
        past = graph.input(f"past.{name}", "float32", shape)
        if history == frames:
            newest = x
        elif history < frames:
            newest = graph.slice(x, frames - history, frames)
        else:
            newest = graph.add("Concat", graph.slice(past, frames, history), x, axis=0)
        self._next[name] = newest, shape
        return past

    def _joined(self, x: str, past: str, weight: Weight, bias: npt.NDArray[np.float32], frames: int) -> str:
        """The sum over old frames and new ones, whose shares are computed apart: nothing has to be put together."""
        graph, (taps, channels), kernel = self._graph, weight.shape[1:3], weight.shape[-1]
        old = taps - frames
        new = convolution(
            graph, regrouped(graph, x, 1, frames * channels), spatial_weight(weight[:, old:]), bias, kernel
        )
        before = regrouped(graph, past, 1, old * channels)
        return graph.add("Add", new, convolution(graph, before, spatial_weight(weight[:, :old]), None, kernel))


def convolution(
    graph: OnnxGraph,
    x: str,
    weight: str | npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32] | None,
    kernel: int,
    stride: int = 1,
) -> str:
    """A convolution over space with TensorFlow's "SAME" padding."""
    parameters = [weight] if bias is None else [weight, bias]
    shape = {"kernel_shape": [kernel, kernel], "strides": [stride, stride]}
    return graph.add("Conv", x, *parameters, auto_pad="SAME_UPPER", **shape)


def spatial_weight(weight: Weight) -> npt.NDArray[np.float32]:
    """(out, taps, in, k, k) as (out, taps * in, k, k), for frames stacked along the channels."""
    return weight.reshape(len(weight), -1, *weight.shape[3:])


def regrouped(graph: OnnxGraph, x: str, frames: int, channels: int) -> str:
    """Maps (T, C, H, W) read as (frames, channels, H, W), with T * C = frames * channels."""
    return graph.add("Reshape", x, integers(frames, channels, 0, 0))


def grouped_weight(weight: Weight, ahead: int, group: int) -> tuple[Weight, int]:
    """The weight for groups of frames, each group one frame of all their channels.

    Args:
        weight: (out, taps, in, k, k) for single frames.
        ahead: How many of the taps lie after the frame itself.
        group: Frames of a group.

    Returns:
        (group * out, taps', group * in, k, k) with zeros where a frame is not seen, and how many groups lie ahead.
    """
    out, taps, channels = weight.shape[:3]
    oldest = ahead - taps + 1
    first, last = oldest // group, (group - 1 + ahead) // group
    grouped = np.zeros((group * out, last - first + 1, group * channels, *weight.shape[3:]), np.float32)
    for frame in range(group):
        for tap in range(taps):
            other, place = divmod(frame + oldest + tap, group)
            rows, columns = slice(frame * out, (frame + 1) * out), slice(place * channels, (place + 1) * channels)
            grouped[rows, other - first, columns] = weight[:, tap]
    return grouped, last
