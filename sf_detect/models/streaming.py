"""Streaming inference: every slow step of a video is computed once, however often scores are asked for.

A clip network computes all T slow and alpha * T fast frames of a clip for each prediction, though the next clip shares
most of them. A streaming model computes each group of alpha new frames (one slow step) when it is complete:

    push -> [waiting frames] -> stem, res2 .. res5 with remembering layers -> maps of the newest step
                                                                                  |
    scores(boxes) <- head: RoIAlign, linear <- mean <- [maps of the last T steps] <-+

For a causal network this is exact: the scores equal those of the whole network run over the whole video so far, with
the head averaging the last T steps, for any way of cutting the video into pushes.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch
from torch import Tensor, nn

from sf_detect.errors import ConfigError
from sf_detect.models.slowfast import SlowFast
from sf_detect.models.slowfast_tiny import STRIDES, SlowFastTiny
from sf_detect.models.streaming_layers import remembering, streaming_twin

#: Maps (1, C, h, w) that the head sees, each the mean over the frames of one slow step.
StepMaps = list[Tensor]


def step_frames(network: nn.Module) -> int:
    """Fast frames of one slow step of a network: alpha, times its pooling over time.

    Raises:
        ConfigError: A network that has no streaming form.
    """
    if isinstance(network, SlowFast):
        return (network.alpha or 1) * network.temporal_pool
    if isinstance(network, SlowFastTiny):
        return network.alpha
    raise ConfigError(
        f"{type(network).__name__} has no streaming form; SlowFast, Slow-only, Fast-only and slowfast_tiny "
        "networks have one. Use clip inference for this model."
    )


class StreamingModel:
    """A network that takes frames as they come.

    Memory does not grow: each temporal layer keeps its kernel, the head T maps. Persons may come and go as they like,
    since what is kept belongs to the picture and not to persons.

    Args:
        network: `SlowFast` or `SlowFastTiny`. Its weights are shared, not copied; it stays usable.
        window: T, the slow steps that the head averages; None takes the network's own number of slow frames.

    Attributes:
        step_frames: Fast frames of one slow step.
        steps: Slow steps computed since the last reset.
        window: T.
        exact: True for a causal network; else streaming is an approximation.

    Raises:
        ConfigError: A network that has no streaming form.
    """

    def __init__(self, network: nn.Module, window: int | None = None) -> None:
        self.step_frames = step_frames(network)
        if window is None:
            window = network.slow_frames // network.temporal_pool if isinstance(network, SlowFast) else 8
        self.window = window
        if self.window < 1:
            raise ConfigError(f"the head averages at least 1 slow step, got window={self.window}")
        self.exact = bool(network.causal)
        self._network = network
        self._twin = streaming_twin(network)
        self._layers = remembering(self._twin)
        self._compute: Callable[[Tensor], list[StepMaps]] = (
            self._tiny_steps if isinstance(network, SlowFastTiny) else self._slowfast_steps
        )
        self._maps: deque[StepMaps] = deque(maxlen=self.window)
        self.reset()

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a video."""
        self._waiting: Tensor | None = None
        self._size: tuple[int, int] | None = None
        self.steps = 0
        self._maps.clear()
        for layer in self._layers:
            layer.reset()

    @torch.inference_mode()
    def push(self, frames: Tensor) -> int:
        """Take new frames and compute the slow steps that they complete; the rest waits for the next push.

        Args:
            frames: (3, n, H, W), normalised, on the network's device, n from 0 up. H and W stay the same until reset.

        Returns:
            How many slow steps were computed.

        Raises:
            ConfigError: Another shape, or another size than before.
        """
        self._check(frames)
        if self._waiting is not None and self._waiting.shape[1]:
            frames = torch.cat([self._waiting, frames], 1)
        steps = frames.shape[1] // self.step_frames
        # In portions of at most one window, so that a long push needs no more memory than a clip.
        for start in range(0, steps, self.window):
            stop = min(start + self.window, steps)
            portion = frames[:, start * self.step_frames : stop * self.step_frames]
            self._maps.extend(self._compute(portion.unsqueeze(0)))
        self._waiting = frames[:, steps * self.step_frames :].clone()
        self.steps += steps
        return steps

    @torch.inference_mode()
    def scores(self, boxes: Tensor | None) -> Tensor:
        """Logits of boxes, from the last T slow steps (fewer at the start of a video).

        Args:
            boxes: (N, 4), xyxy in pixels of the frames pushed; N may be 0. None for a classifier, and for the whole
                frame of `SlowFastTiny`.

        Returns:
            (N, classes), or what the network returns without boxes.

        Raises:
            ConfigError: No slow step is complete yet, or boxes of another shape.
        """
        if not self._maps:
            raise ConfigError(
                f"there are no scores before the first slow step of {self.step_frames} frames is complete, "
                f"{0 if self._waiting is None else self._waiting.shape[1]} frames are waiting; push more first"
            )
        maps = [torch.stack(list(steps), 1) for steps in zip(*self._maps, strict=True)]
        if boxes is not None:
            if boxes.ndim != 2 or boxes.shape[1] != 4:
                raise ConfigError(f"boxes have shape (N, 4): x1, y1, x2, y2 of one stream; got {tuple(boxes.shape)}")
            boxes = torch.cat([boxes.new_zeros(len(boxes), 1), boxes], 1).to(maps[0])
        network = self._network
        if isinstance(network, SlowFastTiny):
            return network.classifier(network.pool(dict(zip(STRIDES, maps, strict=True)), boxes))
        return self._twin.head([x.mean(1).unsqueeze(2) for x in maps], boxes)  # type: ignore[operator]

    @property
    def state_bytes(self) -> int:
        """Bytes kept between two pushes; constant once a window has been seen."""
        kept = [tensor for layer in self._layers for tensor in layer.kept()]
        kept += [x for step in self._maps for x in step]
        kept += [] if self._waiting is None else [self._waiting]
        return sum(x.numel() * x.element_size() for x in kept)

    def _check(self, frames: Tensor) -> None:
        if frames.ndim != 4 or frames.shape[0] != 3:
            raise ConfigError(f"frames of a stream have shape (3, n, H, W), got {tuple(frames.shape)}")
        size = (frames.shape[2], frames.shape[3])
        if self._size is not None and size != self._size:
            raise ConfigError(
                f"frames of one stream keep their size, got {size[1]}x{size[0]} after "
                f"{self._size[1]}x{self._size[0]}; call reset() to begin a new one"
            )
        self._size = size

    def _slowfast_steps(self, fast: Tensor) -> list[StepMaps]:
        twin = self._twin
        alpha = twin.alpha
        pathways = [fast] if alpha is None else [fast[:, :, alpha - 1 :: alpha], fast]  # type: ignore[operator, misc]
        steps = fast.shape[2] // self.step_frames
        by_step = [x.unflatten(2, (steps, -1)).mean(3).unbind(2) for x in twin.features(pathways)]  # type: ignore[operator]
        return [[x.clone() for x in maps] for maps in zip(*by_step, strict=True)]

    def _tiny_steps(self, fast: Tensor) -> list[StepMaps]:
        slow = fast[:, :, self.step_frames - 1 :: self.step_frames]
        found = self._twin.features([slow, fast])  # type: ignore[operator]
        by_step = [found[name].unbind(1) for name in STRIDES]
        return [[x.clone() for x in maps] for maps in zip(*by_step, strict=True)]
