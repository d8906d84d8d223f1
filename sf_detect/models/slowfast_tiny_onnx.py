"""The default action model as ONNX graphs; `models.slowfast_tiny.SlowFastTiny` is the same network in torch.

Two forms: `clip_model` scores the boxes of one clip; `step_model` and `head_model` are the streaming form, of which the
step takes the frames of one slow step and the state of every layer that looks back, and returns the maps of the step
and the new state. What is known of the network besides its weights is read from their shapes.

Widths and heights are free.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sf_detect.engines.onnx_graph import OnnxGraph, OnnxModel, TensorSpec, integers, real
from sf_detect.models.temporal_onnx import ClipTime, OverTime, StreamTime, convolution, spatial_weight

ALPHA = 4
"""Fast frames of a slow step."""
MAPS: Mapping[str, int] = {"slow": 32, "fast": 32, "middle": 16}
"""What the head sees, and the pixels per cell of each map."""
_LATERAL_BEFORE = {"mixed_3b": 0, "mixed_4b": 1, "mixed_5b": 2}
_POOL_BEFORE = {"mixed_4b": (3, 2), "mixed_5b": (2, 2)}
_MIDDLE = "mixed_4f"
_ROI_EXTENT = 128  # cells of RoIAlign along an axis, times the stride
_ROI_SAMPLES = 2  # per cell and axis
_MULTIPLE = 16  # pictures are padded to it, so that maps halve evenly

State = Mapping[str, npt.NDArray[np.float32]]
"""Parameters by name, batch normalisation folded in."""


def clip_model(
    state: State,
    num_frames: int,
    slow_index: tuple[int, ...],
    scale: npt.ArrayLike,
    offset: npt.ArrayLike,
    causal: bool,
    features: bool = False,
) -> OnnxModel:
    """The graph that scores the boxes of one clip.

    Args:
        state: The parameters.
        num_frames: T, frames of the clip, `ALPHA` for each slow frame.
        slow_index: Which of them the Slow pathway takes.
        scale, offset: The network's input is `pixel * scale - offset`, one number for each channel.
        causal: Whether convolutions over time look back only.
        features: Whether what the classifier sees is an output too.

    Returns:
        A graph from `frames` (1, T, height, width, 3) uint8 RGB and `boxes` (persons, 5) float32, the index into the
        batch, which is 0, and xyxy in pixels of the frames, to `logits` (persons, classes) float32 and, where asked
        for, `features` (persons, D) float32.
    """
    graph = OnnxGraph("slowfast_tiny_clip")
    frames = graph.input("frames", "uint8", (1, num_frames, "height", "width", 3))
    boxes = graph.slice(graph.input("boxes", "float32", ("persons", 5)), 1, 5, axis=1)
    x = _padded(graph, graph.normalised(graph.add("Squeeze", frames, integers(0)), *_pixel_range(scale, offset)))
    trunk = _Trunk(graph, state, ClipTime(graph, causal, ALPHA))
    maps = trunk.maps(graph.add("Gather", x, integers(*slow_index), axis=0), x, len(slow_index))
    _add_head(graph, state, maps, boxes, len(slow_index), num_frames, features)
    return graph.model()


def step_model(state: State, scale: npt.ArrayLike, offset: npt.ArrayLike) -> OnnxModel:
    """The graph of one slow step of a stream; every convolution over time looks back only.

    Args:
        state: The parameters.
        scale, offset: As for `clip_model`.

    Returns:
        A graph from `frames` (ALPHA, height, width, 3) uint8 RGB and `past.NAME` of every layer that looks back to
        `slow` (1, C, h, w), `fast` (1, C', h, w) and `middle` (1, C'', 2h, 2w) float32, the maps of the step, and
        `next.NAME`, which is `past.NAME` of the next step. A stream begins with zeros. The heights and widths of
        `past.NAME` are as in `past_layers`.
    """
    graph = OnnxGraph("slowfast_tiny_step")
    frames = graph.input("frames", "uint8", (ALPHA, "height", "width", 3))
    x = _padded(graph, graph.normalised(frames, *_pixel_range(scale, offset)))
    time = StreamTime(graph, ALPHA)
    slow, fast, middle = _Trunk(graph, state, time).maps(graph.slice(x, ALPHA - 1, ALPHA), x, 1)
    fast = graph.add("ReduceMean", fast, axes=[0], keepdims=1)
    for name, x in zip(MAPS, (slow, fast, middle), strict=True):
        graph.output(name, x, "float32", (1, map_channels(state)[name], f"{name}_height", f"{name}_width"))
    time.add_outputs()
    return graph.model()


def head_model(state: State, window: int) -> OnnxModel:
    """The graph that scores the boxes of a stream, from the maps of its last slow steps.

    Args:
        state: The parameters.
        window: Slow steps.

    Returns:
        A graph from `slow`, `fast` and `middle` (window, C, h, w), as `step_model` returns them, and `boxes`
        (persons, 5) float32 to `logits` (persons, classes) float32.
    """
    graph = OnnxGraph("slowfast_tiny_head")
    channels = map_channels(state)
    maps = [graph.input(name, "float32", (window, channels[name], f"{name}_height", f"{name}_width")) for name in MAPS]
    boxes = graph.slice(graph.input("boxes", "float32", ("persons", 5)), 1, 5, axis=1)
    _add_head(graph, state, maps, boxes, window, window)
    return graph.model()


@dataclass(frozen=True)
class PastLayer:
    """What a convolution over time keeps from one slow step to the next.

    Attributes:
        history: Frames.
        channels: Of each.
        stride: Pixels per cell, of pictures that are padded to multiples of 16.
    """

    history: int
    channels: int
    stride: int

    def zeros(self, size: tuple[int, int]) -> npt.NDArray[np.float32]:
        """What a stream of pictures of that height and width begins with."""
        padded = (-(-side // _MULTIPLE) * _MULTIPLE for side in size)
        return np.zeros((self.history, self.channels, *(-(-side // self.stride) for side in padded)), np.float32)


def past_layers(state: State) -> dict[str, PastLayer]:
    """What the streaming form keeps, by name."""
    layers = {}
    for key, weight in state.items():
        name, ending = key.rpartition(".")[::2]
        if ending != "weight" or weight.ndim != 5 or weight.shape[1] == 1:
            continue
        history = weight.shape[1] - (ALPHA if name.startswith("laterals.") else 1)
        if history > 0:
            layers[name] = PastLayer(history, weight.shape[2], _stride(name))
    return layers


def first_state(inputs: Mapping[str, TensorSpec], size: tuple[int, int]) -> dict[str, npt.NDArray[np.float32]]:
    """The state that a stream of pictures of that (height, width) begins with, of an engine's inputs."""
    state = {}
    for name, spec in inputs.items():
        if name.startswith("past."):
            history, channels = spec.shape[:2]
            state[name] = PastLayer(int(history), int(channels), _stride(name.removeprefix("past."))).zeros(size)
    return state


def _stride(name: str) -> int:
    """Pixels per cell of the maps that a convolution over time sees."""
    first, _, rest = name.partition(".")
    if first in ("fast", "laterals"):
        return 8 << int(rest.partition(".")[0])
    return 4 if first == "fast_time" else 2 ** int(rest.removeprefix("mixed_")[0])


def map_channels(state: State) -> dict[str, int]:
    """Channels of the maps that the head sees."""
    last = max(_blocks(state))
    counts = (_block_channels(state, last), len(state["fast.2.down.weight"]), _block_channels(state, _MIDDLE))
    return dict(zip(MAPS, counts, strict=True))


def _blocks(state: State) -> list[str]:
    """Names of the Inception blocks, in order."""
    return sorted({name.split(".")[1] for name in state if name.startswith("slow.")})


def _spatial_weights(state: State, name: str) -> tuple[npt.NDArray, npt.NDArray]:
    """First and last weight of a 3x3 convolution, which are one unless it is of low rank."""
    first = state.get(f"{name}.reduce.weight", state.get(f"{name}.weight"))
    last = state.get(f"{name}.expand.weight", state.get(f"{name}.weight"))
    assert first is not None
    assert last is not None
    return first, last


def _splits(state: State, block: str) -> tuple[int, int, int]:
    """Channels of the three branches that a block's entry computes at once."""
    b1, b2 = (_spatial_weights(state, f"slow.{block}.{branch}")[0].shape[2] for branch in ("branch1", "branch2"))
    return len(state[f"slow.{block}.entry.weight"]) - b1 - b2, b1, b2


def _block_channels(state: State, block: str) -> int:
    branches = (_spatial_weights(state, f"slow.{block}.branch{i}")[1] for i in (1, 2, 3))
    return _splits(state, block)[0] + sum(map(len, branches))


def _pixel_range(scale: npt.ArrayLike, offset: npt.ArrayLike) -> tuple[npt.NDArray, npt.NDArray]:
    return tuple(np.asarray(value, np.float32).reshape(3, 1, 1) for value in (scale, offset))  # type: ignore[return-value]


def _padded(graph: OnnxGraph, x: str) -> str:
    """(N, C, H, W) with zeros below and to the right, up to multiples of 16."""
    size = graph.slice(graph.add("Shape", x), 2, 4)
    missing = graph.add("Mod", graph.add("Sub", integers(0), size), integers(_MULTIPLE))
    return graph.add("Pad", x, graph.add("Concat", integers(0, 0, 0, 0, 0, 0), missing, axis=0))


class _Trunk:
    """Both pathways, as `SlowFastTiny.features` computes them."""

    def __init__(self, graph: OnnxGraph, state: State, time: OverTime) -> None:
        self._graph, self._state, self._time = graph, state, time

    def maps(self, slow: str, fast: str, steps: int) -> list[str]:
        """Maps (steps, C, h, w), (ALPHA * steps, C', h, w) and (steps, C'', 2h, 2w) of normalised frames."""
        frames = ALPHA * steps
        y = self._conv("fast_time", self._conv("fast_space", fast, frames, stride=4, rectify=False), frames)
        x = self._pool(self._conv("slow_1a", slow, steps, stride=2), 3, 2)
        x = self._pool(self._spatial("slow_2c", self._conv("slow_2b", x, steps), steps), 3, 2)
        middle = x
        for name in _blocks(self._state):
            if name in _POOL_BEFORE:
                x = self._pool(x, *_POOL_BEFORE[name])
            if (level := _LATERAL_BEFORE.get(name)) is not None:
                y = self._conv(f"fast.{level}.down", y, frames, stride=2)
                y = self._graph.add("Add", y, self._conv(f"fast.{level}.temporal", y, frames))
                lateral = self._conv(f"laterals.{level}", y, frames, step=ALPHA)
                x = self._graph.add("Concat", x, lateral, axis=1)
            x = self._block(name, x, steps)
            middle = x if name == _MIDDLE else middle
        return [x, y, middle]

    def _block(self, name: str, x: str, frames: int) -> str:
        """One Inception module."""
        # One by one: what one convolution would compute at once would have to be taken apart again.
        ends = np.cumsum((0, *_splits(self._state, name))).tolist()
        b0, b1, b2 = (
            self._conv(f"slow.{name}.entry", x, frames, channels=slice(*pair)) for pair in itertools.pairwise(ends)
        )
        b1 = self._spatial(f"slow.{name}.branch1", b1, frames)
        b2 = self._spatial(f"slow.{name}.branch2", b2, frames)
        b3 = self._conv(f"slow.{name}.branch3", self._pool(x, 3, 1), frames)
        return self._graph.add("Concat", b0, b1, b2, b3, axis=1)

    def _spatial(self, name: str, x: str, frames: int) -> str:
        """A 3x3 convolution, of low rank where the weights are."""
        if f"{name}.reduce.weight" not in self._state:
            return self._conv(name, x, frames)
        return self._conv(f"{name}.expand", self._conv(f"{name}.reduce", x, frames, rectify=False), frames)

    def _conv(
        self,
        name: str,
        x: str,
        frames: int,
        stride: int = 1,
        step: int = 1,
        rectify: bool = True,
        channels: slice = slice(None),
    ) -> str:
        """A layer's output, or some of its channels."""
        weight, bias = self._state[f"{name}.weight"][channels], self._state[f"{name}.bias"][channels]
        if weight.shape[1] > 1:
            x = self._time.convolve(x, name, weight, bias, frames, step)
        else:
            x = convolution(self._graph, x, spatial_weight(weight), bias, weight.shape[-1], stride)
        return self._graph.add("Relu", x) if rectify else x

    def _pool(self, x: str, kernel: int, stride: int) -> str:
        shape = {"kernel_shape": [kernel, kernel], "strides": [stride, stride]}
        return self._graph.add("MaxPool", x, auto_pad="SAME_UPPER", **shape)


def _add_head(
    graph: OnnxGraph,
    state: State,
    maps: list[str],
    boxes: str,
    steps: int,
    fast_frames: int,
    features: bool = False,
) -> None:
    """RoIAlign averaged over its cells of each map's mean and trend over time, and the classifier."""
    channels, pooled = map_channels(state), []
    for (name, stride), x in zip(MAPS.items(), maps, strict=True):
        frames = fast_frames if name == "fast" else steps
        over_time = graph.add("MatMul", _time_weights(steps, frames), graph.add("Reshape", x, integers(frames, -1)))
        over_time = graph.add("Reshape", over_time, integers(2 * channels[name], -1))
        size = graph.add("Shape", x)
        samples = _ROI_EXTENT // stride * _ROI_SAMPLES
        rows, columns = (_axis_weights(graph, boxes, axis, size, samples, stride) for axis in (1, 0))
        weights = graph.add(
            "Mul", graph.add("Unsqueeze", rows, integers(2)), graph.add("Unsqueeze", columns, integers(1))
        )
        weights = graph.add("Flatten", weights, axis=1)
        pooled.append(graph.add("MatMul", weights, graph.add("Transpose", over_time, perm=[1, 0])))
    classifier = np.ascontiguousarray(state["classifier.weight"].T)
    seen = graph.add("Concat", *pooled, axis=1)
    logits = graph.add("Add", graph.add("MatMul", seen, classifier), state["classifier.bias"])
    graph.output("logits", logits, "float32", ("persons", classifier.shape[1]))
    if features:
        graph.output("features", seen, "float32", ("persons", len(classifier)))


def _time_weights(steps: int, frames: int) -> npt.NDArray[np.float32]:
    """(2, frames) weights of the mean and of the trend (`slowfast_tiny.trend`) of maps, several of them a step."""
    trend = np.linspace(-1, 1, steps) if steps > 1 else np.zeros(1)
    weights = np.stack([np.full(steps, 1 / steps), trend * (2 / (steps + 1))])
    group = frames // steps
    return np.repeat(weights / group, group, axis=1).astype(np.float32)


def _axis_weights(graph: OnnxGraph, boxes: str, axis: int, size: str, samples: int, stride: int) -> str:
    """How much each pixel along an axis of a map counts in the mean over a box: (persons, pixels).

    See `models.roi_mean`.

    Args:
        axis: 0 for x, 1 for y.
        size: The map's shape (T, C, H, W).
    """
    last = graph.slice(size, 3 - axis, 4 - axis)
    low, high = (
        graph.add("Sub", graph.add("Mul", graph.slice(boxes, i, i + 1, axis=1), real(1 / stride)), real(0.5))
        for i in (axis, axis + 2)
    )
    shares = ((np.arange(samples, dtype=np.float32) + np.float32(0.5)) / np.float32(samples))[None]
    points = graph.add("Add", low, graph.add("Mul", graph.add("Sub", high, low), shares))
    length = graph.as_float(last)
    inside = graph.add("And", graph.add("GreaterOrEqual", points, real(-1)), graph.add("LessOrEqual", points, length))
    points = graph.add("Min", graph.add("Max", points, real(0)), graph.add("Sub", length, real(1)))
    scalar = graph.add("Squeeze", last, integers(0))
    pixels = graph.as_float(graph.add("Range", np.array(0), scalar, np.array(1)))
    distance = graph.add("Abs", graph.add("Sub", graph.add("Unsqueeze", points, integers(2)), pixels))
    near = graph.add("Relu", graph.add("Sub", real(1), distance))
    near = graph.add("Mul", near, graph.add("Unsqueeze", graph.as_float(inside), integers(2)))
    return graph.add("ReduceMean", near, axes=[1], keepdims=0)
