"""A small SlowFast for two CPU cores: the default action model.

SlowFast (Feichtenhofer et al., ICCV 2019) leaves the backbone of its pathways open (section 3).  Here the Slow pathway
is an Inception network, so that it can start from the public Kinetics weights of Inception-I3D, and the Fast pathway is
a thin stack of convolutions at alpha times the frame rate, tied to the Slow pathway by time-strided convolutions that
are concatenated before stages 3, 4 and 5.  No pathway downsamples time.  The head is the paper's (RoIAlign, one linear
layer) with two additions: it sees the Slow pathway's stage 4 beside the last maps, and beside
their mean over time their trend, newer minus older, which tells standing up from sitting down.

Time.  Slow frame k is Fast frame alpha * k + alpha - 1: the newest of its group.  With `causal` every temporal
convolution looks back only, so what the network says about a frame never changes when later frames arrive.

Speed.  A convolution over space and time is computed as a 2D convolution over delayed frames that are stacked along the
channels, one over time alone as a 2D convolution over (time, place): on a CPU about twice as fast as the same in 3D.
The outputs of the large 3x3 convolutions nearly lie in a subspace, so these compute a point of it (`LowRankConv`): a
third less work in all.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sf_detect.errors import ConfigError
from sf_detect.models.inception_i3d import INCEPTION_BLOCKS, InceptionI3D, block_channels, same_padding
from sf_detect.models.roi_mean import mean_roi_align

ALPHA = 4
#: Temporal extent of the 3x3 convolutions by Inception block; every block not named looks at single frames.
TEMPORAL_BLOCKS: Mapping[str, int] = {"mixed_4b": 3, "mixed_4c": 3, "mixed_4d": 3}
#: Channels through which the large 3x3 convolutions pass, by Inception block (its first branch) or layer.
RANKS: Mapping[str, int] = {
    "slow_2c": 64,
    "mixed_3b": 64,
    "mixed_3c": 80,
    "mixed_4b": 88,
    "mixed_4c": 96,
    "mixed_4d": 104,
    "mixed_4e": 104,
    "mixed_4f": 88,
}
SLOW_BLOCKS = tuple(name for name in INCEPTION_BLOCKS if name != "mixed_5c")
FAST_WIDTHS = (24, 32, 48, 64)
LATERAL_WIDTHS = (64, 96, 88)
LATERAL_BEFORE = ("mixed_3b", "mixed_4b", "mixed_5b")
MIDDLE = "mixed_4f"
#: Pixels per cell of the maps that the head sees.
STRIDES: Mapping[str, int] = {"slow": 32, "fast": 32, "middle": 16}


def stack_delayed(x: Tensor, frames: int, taps: int, causal: bool) -> Tensor:
    """Stacks each frame's neighbours in time along the channels.

    Args:
        x: (B * frames, C, H, W).
        frames: T.
        taps: how many neighbours, oldest first; beyond the clip they are zero.
        causal: the last tap is the frame itself, else the middle one is.

    Returns:
        (B * T, taps * C, H, W) in channels-last memory.
    """
    x = x.permute(0, 2, 3, 1)
    x = x.reshape(-1, frames, *x.shape[1:])
    ahead = 0 if causal else taps // 2
    x = F.pad(x, (0, 0, 0, 0, 0, 0, taps - 1 - ahead, ahead))
    x = torch.cat([x[:, tap : tap + frames] for tap in range(taps)], -1)
    return x.flatten(0, 1).permute(0, 3, 1, 2)


class FrameConv(nn.Module):
    """Convolution over `taps` frames, batch normalisation, ReLU, on frames folded into the batch.

    Args:
        kernel: spatial extent; padding follows TensorFlow's "SAME" rule as in `inception_i3d`.
        taps: temporal extent.
        step: temporal stride, of convolutions with a spatial extent of one: frames step - 1, 2 * step - 1, ... remain.
        folded: no batch normalisation, a bias instead: the form that ships.
        rectify: ends in a ReLU.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        stride: int = 1,
        *,
        taps: int = 1,
        step: int = 1,
        causal: bool = True,
        folded: bool = False,
        rectify: bool = True,
    ) -> None:
        super().__init__()
        self.kernel, self.stride, self.taps, self.step, self.causal = kernel, stride, taps, step, causal
        self.rectify = rectify
        # (out, taps, in, k, k): stacked frames meet it without a copy
        self.weight = nn.Parameter(torch.empty(out_channels, taps, in_channels, kernel, kernel))
        nn.init.kaiming_normal_(self.weight, mode="fan_in", nonlinearity="relu")
        self.bias = nn.Parameter(torch.zeros(out_channels)) if folded else None
        self.bn = None if folded else nn.BatchNorm2d(out_channels, eps=1e-3)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(B * T, C, H, W) -> (B * T // step, C', H', W')."""
        x = self._convolve(x, frames)
        x = x if self.bn is None else self.bn(x)
        return F.relu(x, inplace=True) if self.rectify else x

    def _convolve(self, x: Tensor, frames: int) -> Tensor:
        if self.kernel == 1 and self.taps == 1:  # a matrix product over channels-last memory
            return F.linear(x.permute(0, 2, 3, 1), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)
        if self.kernel == 1:
            return self._convolve_time(x, frames)
        if self.taps > 1:
            x = stack_delayed(x, frames, self.taps, self.causal)
        if self.stride == 1:
            return F.conv2d(x, self.weight.flatten(1, 2), self.bias, 1, self.kernel // 2)
        return F.conv2d(_pad_same(x, self.kernel, self.stride), self.weight.flatten(1, 2), self.bias, self.stride)

    def _convolve_time(self, x: Tensor, frames: int) -> Tensor:
        height, width = x.shape[2:]
        ahead = 0 if self.causal else self.taps // 2
        x = x.permute(0, 2, 3, 1).reshape(-1, frames, height * width, x.shape[1])
        # output k ends its look back at frame step * k + step - 1
        x = F.pad(x, (0, 0, 0, 0, self.taps - self.step - ahead, ahead)).permute(0, 3, 1, 2)
        weight = self.weight.flatten(2).transpose(1, 2).unsqueeze(3)
        x = F.conv2d(x, weight, self.bias, (self.step, 1)).permute(0, 2, 3, 1)
        return x.reshape(-1, height, width, x.shape[3]).permute(0, 3, 1, 2)

    @torch.no_grad()
    def fold(self) -> None:
        """Merges the batch normalisation into the weights."""
        if self.bn is None:
            return
        assert self.bn.running_var is not None
        assert self.bn.running_mean is not None
        scale = self.bn.weight / torch.sqrt(self.bn.running_var + self.bn.eps)
        self.bias = nn.Parameter(self.bn.bias - self.bn.running_mean * scale)
        self.weight.mul_(scale.view(-1, 1, 1, 1, 1))
        self.bn = None


class LowRankConv(nn.Module):
    """A 3x3 `FrameConv` whose outputs lie in a subspace: it finds `rank` coordinates, a 1x1 convolution the outputs.

    Args:
        rank: dimension of the subspace, before batch normalisation and ReLU.
        taps, causal, folded: as for `FrameConv`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        rank: int,
        *,
        taps: int = 1,
        causal: bool = True,
        folded: bool = False,
    ) -> None:
        super().__init__()
        self.reduce = FrameConv(in_channels, rank, 3, taps=taps, causal=causal, folded=True, rectify=False)
        self.expand = FrameConv(rank, out_channels, folded=folded)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        """(B * T, C, H, W) -> (B * T, C', H, W)."""
        return self.expand(self.reduce(x, frames), frames)


def spatial_conv(
    in_channels: int, out_channels: int, rank: int | None, *, taps: int = 1, causal: bool = True, folded: bool = False
) -> FrameConv | LowRankConv:
    """A 3x3 convolution over `taps` frames, of low rank unless `rank` is None."""
    if rank is None:
        return FrameConv(in_channels, out_channels, 3, taps=taps, causal=causal, folded=folded)
    return LowRankConv(in_channels, out_channels, rank, taps=taps, causal=causal, folded=folded)


def _pad_same(x: Tensor, kernel: int, stride: int) -> Tensor:
    across, down = (same_padding(size, kernel, stride) for size in (x.shape[3], x.shape[2]))
    return F.pad(x, (*across, *down)) if any((*across, *down)) else x


def pool_boxes(x: Tensor, boxes: Tensor, stride: int) -> Tensor:
    """What the head sees of a map (B, C, H, W) of `stride` pixels a cell: (N, C), the mean over each box's region."""
    return mean_roi_align(x, boxes, 128 // stride, 1 / stride)


def pool_frames(x: Tensor, kernel: int, stride: int) -> Tensor:
    """Max pooling with "SAME" padding of maps (B * T, C, H, W) that are nowhere negative."""
    if stride == 1:
        return F.max_pool2d(x, kernel, 1, kernel // 2)
    if kernel == 2 or (x.shape[2] % 2 == 0 and x.shape[3] % 2 == 0):
        return F.max_pool2d(x, kernel, stride, ceil_mode=True)  # the same, without a padded copy
    return F.max_pool2d(_pad_same(x, kernel, stride), kernel, stride)


class InceptionBlock(nn.Module):
    """One Inception module on folded frames; its 3x3 convolutions look at `taps` frames, the larger has `rank`."""

    def __init__(
        self, in_channels: int, widths: Sequence[int], rank: int | None, taps: int, causal: bool, folded: bool
    ) -> None:
        super().__init__()
        b0, b1a, b1b, b2a, b2b, b3 = widths
        self.splits = (b0, b1a, b2a)
        self.entry = FrameConv(in_channels, b0 + b1a + b2a, folded=folded)  # the first 1x1 of three branches at once
        self.branch1 = spatial_conv(b1a, b1b, rank, taps=taps, causal=causal, folded=folded)
        self.branch2 = FrameConv(b2a, b2b, 3, taps=taps, causal=causal, folded=folded)
        self.branch3 = FrameConv(in_channels, b3, folded=folded)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        b0, b1, b2 = self.entry(x, frames).split(self.splits, 1)
        b3 = self.branch3(pool_frames(x, 3, 1), frames)
        return torch.cat([b0, self.branch1(b1, frames), self.branch2(b2, frames), b3], 1)


class FastStage(nn.Module):
    """A downsampling 3x3 convolution, then a residual temporal one."""

    def __init__(self, in_channels: int, out_channels: int, causal: bool, folded: bool) -> None:
        super().__init__()
        self.down = FrameConv(in_channels, out_channels, 3, 2, causal=causal, folded=folded)
        self.temporal = FrameConv(out_channels, out_channels, 1, taps=5, causal=causal, folded=folded)

    def forward(self, x: Tensor, frames: int) -> Tensor:
        x = self.down(x, frames)
        return x + self.temporal(x, frames)


class SlowFastTiny(nn.Module):
    """SlowFast with an Inception Slow pathway.

    Args:
        num_classes: C.
        causal: temporal convolutions look back only.
        folded: built without batch normalisation, for weights that have it merged.
        dropout: probability of dropping a pooled feature before the classifier, in training.
        ranks: of the large 3x3 convolutions, see `RANKS`; those not named have full rank.
    """

    alpha = ALPHA

    def __init__(
        self, num_classes: int, causal: bool, folded: bool, dropout: float, ranks: Mapping[str, int] = RANKS
    ) -> None:
        super().__init__()
        options = {"causal": causal, "folded": folded}
        self.causal = causal
        self.slow_1a = FrameConv(3, 64, 7, 2, **options)
        self.slow_2b = FrameConv(64, 64, **options)
        self.slow_2c = spatial_conv(64, 192, ranks.get("slow_2c"), **options)
        laterals = dict(zip(LATERAL_BEFORE, LATERAL_WIDTHS, strict=True))
        channels, blocks = 192, {}
        for name in SLOW_BLOCKS:
            entering, taps = channels + laterals.get(name, 0), TEMPORAL_BLOCKS.get(name, 1)
            blocks[name] = InceptionBlock(entering, INCEPTION_BLOCKS[name], ranks.get(name), taps, causal, folded)
            channels = block_channels(name)
        self.slow = nn.ModuleDict(blocks)
        # in space first, at a quarter of the size, then in time: stacking full frames costs more than the convolution
        self.fast_space = FrameConv(3, FAST_WIDTHS[0], 7, 4, rectify=False, **options)
        self.fast_time = FrameConv(FAST_WIDTHS[0], FAST_WIDTHS[0], taps=5, **options)
        pairs = itertools.pairwise(FAST_WIDTHS)
        self.fast = nn.ModuleList([FastStage(a, b, causal, folded) for a, b in pairs])
        self.laterals = nn.ModuleList(
            [
                FrameConv(a, b, taps=ALPHA + 1, step=ALPHA, **options)
                for a, b in zip(FAST_WIDTHS[1:], LATERAL_WIDTHS, strict=True)
            ]
        )
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(2 * (channels + FAST_WIDTHS[-1] + block_channels(MIDDLE)), num_classes)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.constant_(self.classifier.bias, -3.0)

    def features(self, pathways: Sequence[Tensor]) -> dict[str, Tensor]:
        """What the head sees, one map for each slow frame.

        Args:
            pathways: slow (B, 3, Ts, H, W) and fast (B, 3, alpha * Ts, H, W), float in [-1, 1].

        Returns:
            `slow` (B, Ts, C, h, w), and `fast` (B, Ts, C', h, w), the mean over a slow frame's group, at a 32nd of the
            input; `middle` (B, Ts, C'', 2h, 2w), the Slow pathway's stage 4.

        Raises:
            ConfigError: The pathways' frame counts do not fit together.
        """
        slow, fast = pathways
        ts, tf = slow.shape[2], fast.shape[2]
        if tf != ALPHA * ts:
            raise ConfigError(
                f"the fast pathway has {ALPHA} frames for each slow frame, so {ALPHA * ts} here; got {tf}"
            )
        x, y = _fold_time(slow), self.fast_time(self.fast_space(_fold_time(fast), tf), tf)
        x = pool_frames(self.slow_1a(x, ts), 3, 2)
        x = pool_frames(self.slow_2c(self.slow_2b(x, ts), ts), 3, 2)
        middle, level = x, 0
        for name, block in self.slow.items():
            if name in LATERAL_BEFORE:
                if level:
                    x = pool_frames(x, *((3, 2) if level == 1 else (2, 2)))
                y = self.fast[level](y, tf)
                x = torch.cat([x, self.laterals[level](y, tf)], 1)
                level += 1
            x = block(x, ts)
            if name == MIDDLE:
                middle = x
        y = y.unflatten(0, (-1, ALPHA)).mean(1)
        return {name: maps.unflatten(0, (-1, ts)) for name, maps in (("slow", x), ("fast", y), ("middle", middle))}

    def pool(self, maps: Mapping[str, Tensor], boxes: Tensor | None) -> Tensor:
        """Features (N, C) of boxes, averaged over the region; of the whole map (B, C) without boxes.

        Args:
            maps: As `features` returns them, of any number of slow frames.
            boxes: (N, 5) index into the batch and xyxy in input pixels.
        """
        pooled = []
        for name, stride in STRIDES.items():
            x = torch.cat([maps[name].mean(1), trend(maps[name])], 1)
            pooled.append(x.mean((2, 3)) if boxes is None else pool_boxes(x, boxes, stride))
        return torch.cat(pooled, 1)

    def forward(self, pathways: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """Logits, before the activation (`softmax_or_none` as shipped).

        Args:
            pathways: slow (B, 3, Ts, H, W) and fast (B, 3, alpha * Ts, H, W), float in [-1, 1].
            boxes: (N, 5) index into the batch and xyxy in input pixels, or None for the whole frame.

        Returns:
            (N, num_classes), or (B, num_classes) without boxes.
        """
        maps = self.features(pathways)
        return self.classifier(self.dropout(self.pool(maps, boxes)))

    def fold_batch_norm(self) -> SlowFastTiny:
        """Merges every batch normalisation into its convolution, in place: same output, fewer operations."""
        for module in self.modules():
            if isinstance(module, FrameConv):
                module.fold()
        return self.eval()


def trend(maps: Tensor) -> Tensor:
    """How maps (B, T, C, h, w) change over time: their sum, weighted from -1 for the oldest to 1 for the newest."""
    frames = maps.shape[1]
    weights = torch.linspace(-1, 1, frames, device=maps.device, dtype=maps.dtype) if frames > 1 else maps.new_zeros(1)
    return torch.einsum("t,btchw->bchw", weights, maps) * (2 / (frames + 1))


def _fold_time(clip: Tensor) -> Tensor:
    """(B, C, T, H, W) -> (B * T, C, H', W') channels-last, padded to multiples of 16 so that maps halve evenly."""
    frames = clip.permute(0, 2, 3, 4, 1).flatten(0, 1)
    down, across = (-clip.shape[3]) % 16, (-clip.shape[4]) % 16
    frames = F.pad(frames, (0, 0, 0, across, 0, down)) if down or across else frames.contiguous()
    return frames.permute(0, 3, 1, 2)


def slowfast_tiny(
    num_classes: int = 21,
    *,
    causal: bool = True,
    folded: bool = True,
    dropout: float = 0.0,
    ranks: Mapping[str, int] = RANKS,
) -> SlowFastTiny:
    """The small SlowFast; 3 slow and 12 fast frames, 12.5 a second, short side 160 pixels; other sizes work."""
    return SlowFastTiny(num_classes, causal, folded, dropout, ranks)


@torch.no_grad()
def deflate(state: Mapping[str, Tensor], units: Sequence[str], conv: FrameConv) -> None:
    """Copies units of Inception-I3D, their outputs side by side; kernels are summed over time that is not looked at.

    On a clip that stands still the deflated units compute what the originals do.
    Input channels that the originals lack (laterals) start at zero.
    """
    weight = torch.cat([state[f"{unit}.conv.weight"] for unit in units])
    weight = weight if conv.taps == weight.shape[2] else weight.sum(2, keepdim=True)
    conv.weight.zero_()
    conv.weight[:, :, : weight.shape[1]] = weight.transpose(1, 2)
    assert conv.bn is not None, "weights are copied before batch normalisation is merged"
    for leaf in ("weight", "bias", "running_mean", "running_var"):
        getattr(conv.bn, leaf).copy_(torch.cat([state[f"{unit}.bn.{leaf}"] for unit in units]))


_BRANCHES = {
    "entry": ("branch0", "branch1.0", "branch2.0"),
    "branch1": ("branch1.1",),
    "branch2": ("branch2.1",),
    "branch3": ("branch3.1",),
}


def initialise_from_i3d(model: SlowFastTiny, teacher: InceptionI3D) -> None:
    """Starts the Slow pathway from Inception-I3D; lateral connections start at zero."""
    state = teacher.state_dict()
    for name in ("1a", "2b", "2c"):
        deflate(state, [f"stages.conv_{name}"], getattr(model, f"slow_{name}"))
    for name, block in model.slow.items():
        for target, sources in _BRANCHES.items():
            deflate(state, [f"stages.{name}.{source}" for source in sources], getattr(block, target))
