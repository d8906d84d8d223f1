"""The default action model as engines: a clip at once, or a stream step by step (see `slowfast_tiny_onnx`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sf_detect.engines import Engine, EngineOptions, Network, OnnxModel, open_engine
from sf_detect.engines import onnx_graph as graphs
from sf_detect.engines.references import expected_outputs
from sf_detect.errors import ConfigError
from sf_detect.models import slowfast_tiny_onnx as onnx
from sf_detect.models import temporal_onnx
from sf_detect.models.action_engines import StepStream
from sf_detect.models.preprocessing import Preprocessing
from sf_detect.models.slowfast_tiny_onnx import ALPHA, State
from sf_detect.weights.arrays import read_arrays
from sf_detect.weights.cache import sha256_of
from sf_detect.zoo.entry import ZooEntry

if TYPE_CHECKING:
    from sf_detect.models.slowfast_tiny import SlowFastTiny

FORMS = ("clip", "clip_features", "step", "head")
_EXAMPLE_SIZE = (160, 213)


@dataclass(frozen=True)
class TinyNetwork:
    """A small SlowFast and what it expects of its input, ready to be opened as engines.

    Attributes:
        name: For files and people.
        digest: SHA-256 of the file of its weights.
        state: Reads the parameters, batch normalisation folded in.
        network: Loads it in torch.
        num_frames: T, of a clip.
        slow_index: Which frames of a clip the Slow pathway takes.
        mean, std: Per channel, for pixels scaled to [0, 1].
        causal: Whether its convolutions over time look back only.
    """

    name: str
    digest: str
    state: Callable[[], State]
    network: Callable[[], SlowFastTiny]
    num_frames: int
    slow_index: tuple[int, ...]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    causal: bool

    @classmethod
    def of(cls, entry: ZooEntry, weights: Path, load: Callable[[], SlowFastTiny], causal: bool = True) -> TinyNetwork:
        """The network of an entry of the zoo.

        Args:
            entry: What the network expects of its input.
            weights: Its file.
            load: Loads it in torch.
            causal: Whether its convolutions over time look back only.

        Raises:
            ConfigError: The entry's network is not a small SlowFast over RGB.
        """
        if (
            entry.alpha != ALPHA
            or entry.slow_index is None
            or entry.channel_order != "rgb"
            or entry.fast_input != "rgb"
        ):
            raise ConfigError(f"{entry.name} is computed by torch only. Use the backend torch or auto.")
        return cls(
            entry.name,
            sha256_of(weights),
            # Of the file that ships everything is known; whatever else is to be checked against the network is torch's.
            partial(read_arrays, weights) if weights == entry.shipped else partial(_state, load),
            load,
            entry.clip_spec.num_frames,
            entry.slow_index,
            entry.mean,
            entry.std,
            causal,
        )

    @property
    def window(self) -> int:
        """Slow steps that the head looks at."""
        return max(1, self.num_frames // ALPHA)

    def open_clip(self, options: EngineOptions, features: bool = False) -> Engine:
        """`frames` (1, T, h, w, 3) uint8 RGB and `boxes` (N, 5) to `logits` (N, C); see `open_engine` for errors.

        Args:
            options: The backend, and how it is opened.
            features: Whether `features` (N, D), what the classifier sees, come with them.
        """
        return open_engine(self.form("clip_features" if features else "clip"), options)

    def open_step(self, options: EngineOptions) -> Engine:
        """One slow step with its state, see `slowfast_tiny_onnx.step_model`; see `open_engine` for errors."""
        return open_engine(self.form("step"), options)

    def open_head(self, options: EngineOptions) -> Engine:
        """Maps of the window's steps and `boxes` (N, 5) to `logits` (N, C); see `open_engine` for errors."""
        return open_engine(self.form("head"), options)

    def form(self, form: str) -> Network:
        """One of `FORMS`, ready to be converted."""
        torch: dict[str, Callable[[], Engine]] = {
            "clip": self._torch_clip,
            "clip_features": partial(self._torch_clip, features=True),
            "step": self._torch_step,
            "head": self._torch_head,
        }
        stated = {key: getattr(self, key) for key in ("num_frames", "slow_index", "mean", "std", "causal")}
        settings = {key: str(value) for key, value in stated.items()}
        name = f"{self.name}_{form}"
        return Network(
            name,
            self.digest,
            settings,
            convert=partial(self._convert, form),
            torch=torch[form],
            example=partial(self._example, form),
            sources=[str(module.__file__) for module in (graphs, onnx, temporal_onnx)],
            expected=expected_outputs(name, self.digest, settings),
        )

    def _convert(self, form: str) -> OnnxModel:
        state = self.state()
        if form == "head":
            return onnx.head_model(state, self.window)
        scale, offset = self._pixel_range()
        if form == "step":
            return onnx.step_model(state, scale, offset)
        features = form == "clip_features"
        return onnx.clip_model(state, self.num_frames, self.slow_index, scale, offset, self.causal, features)

    def _pixel_range(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Scale and offset of `pixel * scale - offset`, rounded as `Preprocessing.pack` does."""
        mean, std = np.array(self.mean, np.float32), np.array(self.std, np.float32)
        return np.float32(1) / (np.float32(255) * std), mean / std

    def _example(self, form: str) -> dict[str, npt.NDArray]:
        """Inputs to compare backends on."""
        boxes = np.array([[0, 10, 10, 100, 150], [0, 50, -5, 200, 160], [0, 0, 0, 213, 160]], np.float32)
        if form in ("clip", "clip_features"):
            return {"frames": _pictures(self.num_frames)[None], "boxes": boxes}
        if form == "step":
            pasts = ((name, layer.zeros(_EXAMPLE_SIZE)) for name, layer in onnx.past_layers(self.state()).items())
            return {"frames": _pictures(ALPHA), **{f"past.{name}": _values(zeros.shape) for name, zeros in pasts}}
        height, width = (-(-size // 16) for size in _EXAMPLE_SIZE)
        maps = {}
        for name, channels in onnx.map_channels(self.state()).items():
            shape = (height, width) if name == "middle" else (-(-height // 2), -(-width // 2))
            maps[name] = _values((self.window, channels, *shape))
        return {**maps, "boxes": boxes}

    def _torch_clip(self, features: bool = False) -> Engine:
        from sf_detect.models.torch_action_engines import TorchActionEngines

        preprocessing = Preprocessing(min(_EXAMPLE_SIZE), self.mean, self.std, slow_index=self.slow_index)
        return TorchActionEngines(self.network(), preprocessing, self.num_frames, features=features).clip

    def _torch_step(self) -> Engine:
        from sf_detect.models.torch_stream_engine import torch_step_engine

        return torch_step_engine(self.network(), *self._pixel_range())

    def _torch_head(self) -> Engine:
        from sf_detect.models.torch_stream_engine import torch_head_engine

        return torch_head_engine(self.network())


class TinyEngines:
    """A small SlowFast as `action_engines.ActionEngines`.

    Args:
        network: What is opened.
        options: The backend, and how it is opened.
        features: Whether clips give the features too.
    """

    def __init__(self, network: TinyNetwork, options: EngineOptions, features: bool = False) -> None:
        self._network, self._options, self._features = network, options, features
        self._prepared: list[tuple[Engine, Engine]] = []

    @cached_property
    def clip(self) -> Engine:
        """See `ActionEngines`; opened when it is first asked for. B is 1 but for torch."""
        return self._network.open_clip(self._options, self._features)

    def prepare_stream(self) -> str:
        """Opens the engines of the next stream now; returns their backend."""
        self._prepared.append(self._open_stream())
        return self._prepared[-1][0].backend

    def open_stream(self) -> StepStream:
        """See `ActionEngines`; every stream has engines of its own, which are opened with its first frame."""
        return StepStream(
            lambda: self._prepared.pop() if self._prepared else self._open_stream(),
            onnx.first_state,
            ALPHA,
            self._network.window,
            self._network.causal,
        )

    def _open_stream(self) -> tuple[Engine, Engine]:
        return self._network.open_step(self._options), self._network.open_head(self._options)


def _state(load: Callable[[], SlowFastTiny]) -> State:
    return {name: value.numpy() for name, value in load().fold_batch_norm().state_dict().items()}


def _pictures(count: int) -> npt.NDArray[np.uint8]:
    """(count, h, w, 3) stripes of every frequency that move."""
    height, width = _EXAMPLE_SIZE
    t, y, x, c = np.ogrid[:count, :height, :width, :3]
    return ((x * x * (c + 1) // 97 + y * y * (3 - c) // 89 + (5 * c + t) * (x + 2 * y)) % 256).astype(np.uint8)


def _values(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Numbers from 0 to 1 that repeat seldom."""
    return (np.arange(np.prod(shape)) * 7919 % 1009 / 1009).astype(np.float32).reshape(shape)
