"""Layers that remember: the streaming form of everything in a network that looks at more than one frame.

`streaming_twin` copies the structure of a network, not its weights, and puts a remembering layer in the place of every
layer that looks back. The networks' own forward code then computes any number of new frames, because a remembering
layer takes new frames and returns new frames:

    what it is                          what it keeps
    causal convolution, kernel k        its last k - stride input frames (zeros at first: the causal padding)
    causal non-local block, window w    phi and g of the last w - 1 frames (none at first: nothing to attend to)

A kernel trained with centred padding is applied to the past all the same: its middle tap then meets the frame before
the newest. That is what the same network computes with `causal=True`; an approximation of what it was trained for.
"""

from __future__ import annotations

import copy
import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sf_detect.models.nonlocal_block import NonLocalBlock
from sf_detect.models.resnet3d import TemporalConv3d
from sf_detect.models.slowfast import LateralConnection
from sf_detect.models.slowfast_tiny import FrameConv


class Remembering(nn.Module):
    """Base of the layers that keep frames from one call to the next."""

    def reset(self) -> None:
        """Forget everything: the next frame is the first of a video."""
        raise NotImplementedError

    def kept(self) -> list[Tensor]:
        """The tensors that are kept; for measuring memory."""
        raise NotImplementedError


class StreamedConv3d(Remembering):
    """A convolution over time, (1, C, T, H, W), that keeps its last `kernel - stride` input frames.

    T is a multiple of the stride.
    """

    def __init__(self, conv: TemporalConv3d) -> None:
        super().__init__()
        self.conv = conv
        self._past: Tensor | None = None

    def forward(self, x: Tensor) -> Tensor:
        conv = self.conv
        if conv.history > 0:
            if self._past is None:
                self._past = torch.zeros_like(x[:, :, :1]).repeat_interleave(conv.history, 2)
            x = torch.cat([self._past, x], 2)
            # A copy: a view would keep all of x alive.
            self._past = x[:, :, -conv.history :].clone()
        elif conv.history < 0:  # the stride exceeds the kernel: the first frames of each group are seen by no output
            x = x[:, :, -conv.history :]
        padding = (0, *conv.padding[1:])  # type: ignore[misc]
        return F.conv3d(x, conv.weight, conv.bias, conv.stride, padding, conv.dilation, conv.groups)

    def reset(self) -> None:
        self._past = None

    def kept(self) -> list[Tensor]:
        return [] if self._past is None else [self._past]


class StreamedFrameConv(Remembering):
    """A `FrameConv` over several frames, (T, C, H, W), that keeps its last `taps - step` input frames.

    Delayed frames stacked along the channels turn it into a convolution over space alone, which `FrameConv` computes.

    Attributes:
        past: (taps - step, H, W, C) frames that are kept; None at the start of a video.
    """

    def __init__(self, conv: FrameConv) -> None:
        super().__init__()
        self.taps, self.step = conv.taps, conv.step
        self.conv = copy.copy(conv)  # its own attributes, the same weights
        self.conv.taps = self.conv.step = 1
        self.past: Tensor | None = None

    def forward(self, x: Tensor, frames: int) -> Tensor:
        x = x.permute(0, 2, 3, 1)  # channels innermost in memory
        history = self.taps - self.step
        if history:
            if self.past is None:
                self.past = torch.zeros_like(x[:1]).repeat(history, 1, 1, 1)
            x = torch.cat([self.past, x])
            self.past = x[-history:].clone()
        stacked = torch.cat([x[tap : tap + frames : self.step] for tap in range(self.taps)], 3)
        return self.conv(stacked.permute(0, 3, 1, 2), frames // self.step)

    def reset(self) -> None:
        self.past = None

    def kept(self) -> list[Tensor]:
        return [] if self.past is None else [self.past]


class StreamedNonLocalBlock(Remembering):
    """Causal attention, (1, C, T, H, W), that keeps phi and g of the frames still inside its window."""

    def __init__(self, block: NonLocalBlock) -> None:
        super().__init__()
        self.block = block
        self._past: tuple[Tensor, Tensor] | None = None

    def forward(self, x: Tensor) -> Tensor:
        phi, g = self.block.keys_and_values(x)
        if self._past is not None:
            phi, g = (torch.cat([old, new], 2) for old, new in zip(self._past, (phi, g), strict=True))
        keep = self.block.window - 1
        if keep:
            self._past = phi[:, :, -keep:].clone(), g[:, :, -keep:].clone()
        return self.block.attend(x, phi, g, self._mask(x.shape[2], phi.shape[2], x.device))

    def _mask(self, new: int, known: int, device: torch.device) -> Tensor | None:
        if new == 1:  # what is kept is what the newest frame may see
            return None
        frames = torch.arange(known, device=device)
        age = frames[known - new :, None] - frames[None, :]
        return (age >= 0) & (age < self.block.window)

    def reset(self) -> None:
        self._past = None

    def kept(self) -> list[Tensor]:
        return [] if self._past is None else list(self._past)


def streaming_twin(network: nn.Module) -> nn.Module:
    """A network of the same structure and the same (shared) weights, in evaluation mode, that remembers.

    Every temporal layer of the twin looks back only, whatever the network's own padding is.
    """
    shared = {id(tensor): tensor for tensor in itertools.chain(network.parameters(), network.buffers())}
    twin = copy.deepcopy(network, shared).eval()
    for module in list(twin.modules()):
        if isinstance(module, LateralConnection):
            module.causal = True
        for name, child in list(module.named_children()):
            streamed = _streamed(child)
            if streamed is not None:
                setattr(module, name, streamed)
    return twin


def _streamed(module: nn.Module) -> Remembering | None:
    """What takes the module's place, None where it looks at single frames."""
    if isinstance(module, TemporalConv3d) and module.history:
        return StreamedConv3d(module)
    if isinstance(module, FrameConv) and module.taps > 1:
        return StreamedFrameConv(module)
    if isinstance(module, NonLocalBlock):
        module.causal, module.pool = True, (1, *module.pool[1:])
        return StreamedNonLocalBlock(module)
    return None


def remembering(network: nn.Module) -> list[Remembering]:
    """The layers of a twin that keep frames."""
    return [module for module in network.modules() if isinstance(module, Remembering)]
