"""SlowFast networks (Feichtenhofer et al., ICCV 2019) and the networks that are a part of them.

One constructor spans the paper's space: Slow-only, Fast-only, SlowFast with each lateral connection, R50 and R101,
non-local blocks, the I3D- and C2D-ResNets, classification and detection. Named builders below give the published
configurations; `sf_detect.zoo.table` binds them to checkpoints.

Parameter names are those of the public PySlowFast checkpoints. A network takes a list of pathways, slow first, each
(B, channels, T, H, W), and returns logits: `(N, classes)` for the boxes of a detection network,
`(B, 1, H', W', classes)` for a classifier (one position for the training crop, more for larger inputs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.models.classification_head import ClassificationHead
from sf_detect.models.resnet3d import STAGE_BLOCKS, PathwayStage, PathwayStems, TemporalConv3d, initialise
from sf_detect.models.roi_head import RoIHead

#: Temporal kernels of stem, res2, res3, res4 and res5; within a stage they repeat over the blocks.
Kernels = tuple[tuple[int, ...], ...]
SLOW_KERNELS: Kernels = ((1,), (1,), (1,), (3,), (3,))
FAST_KERNELS: Kernels = ((5,), (3,), (3,), (3,), (3,))
I3D_KERNELS: Kernels = ((5,), (3,), (3, 1), (3, 1), (1, 3))
C2D_KERNELS: Kernels = ((1,), (1,), (1,), (1,), (1,))

PATHWAYS = ("slowfast", "slow", "fast")
LATERALS = ("t_conv", "t_sample", "time_to_channel_concat", "time_to_channel_sum")
HEADS = ("classification", "roi")


class LateralConnection(nn.Module):
    """Fuses the fast pathway into the slow one (paper, section 3.4).

    Args:
        kind: "t_conv": a convolution over time, `kernel` x 1 x 1, stride alpha, `ratio` times the channels, then
            normalisation and ReLU; concatenated. "t_sample": every alpha-th frame; concatenated.
            "time_to_channel_concat" / "time_to_channel_sum": the alpha frames of a slow frame become its channels.
        slow_channels, fast_channels: Channels of the pathways.
        alpha: Frame-rate ratio.
        kernel, ratio: Of "t_conv".
        causal: "t_conv" and "t_sample" then use no frame after the slow frame's own group.
    """

    def __init__(
        self,
        kind: str,
        slow_channels: int,
        fast_channels: int,
        alpha: int,
        *,
        kernel: int = 5,
        ratio: int = 2,
        causal: bool = False,
    ) -> None:
        super().__init__()
        if kind not in LATERALS:
            raise UnknownNameError("lateral connection", kind, LATERALS)
        self.kind, self.alpha, self.causal = kind, alpha, causal
        self.added_channels = {"t_conv": ratio * fast_channels, "t_sample": fast_channels}.get(
            kind, alpha * fast_channels
        )
        if kind == "time_to_channel_sum":
            if self.added_channels != slow_channels:
                raise ConfigError(
                    f"time_to_channel_sum adds alpha * fast = {self.added_channels} channels onto {slow_channels} slow "
                    "ones; they are equal only for beta = 1 / alpha"
                )
            self.added_channels = 0
        if kind == "t_conv":
            self.conv_f2s = TemporalConv3d(
                fast_channels, ratio * fast_channels, (kernel, 1, 1), (alpha, 1, 1), causal=causal
            )
            self.bn = nn.BatchNorm3d(ratio * fast_channels)

    def lateral(self, fast: Tensor) -> Tensor:
        """(B, added, T, H, W) out of the fast pathway's (B, C, alpha * T, H, W)."""
        if self.kind == "t_conv":
            return F.relu(self.bn(self.conv_f2s(fast)), inplace=True)
        if self.kind == "t_sample":
            return fast[:, :, self.alpha - 1 if self.causal else 0 :: self.alpha]
        return fast.unflatten(2, (-1, self.alpha)).transpose(2, 3).flatten(1, 2)

    def forward(self, pathways: Sequence[Tensor]) -> list[Tensor]:
        slow, fast = pathways
        lateral = self.lateral(fast)
        if lateral.shape[3:] != slow.shape[3:]:  # a fast pathway of lower resolution
            lateral = F.interpolate(lateral, size=slow.shape[2:], mode="nearest")
        fused = slow + lateral if self.kind == "time_to_channel_sum" else torch.cat([slow, lateral], 1)
        return [fused, fast]


class SlowFast(nn.Module):
    """A video ResNet of one or two pathways.

    Args:
        num_classes: Classes of the head.
        pathways: "slowfast", "slow" (also I3D- and C2D-ResNets, by their temporal kernels) or "fast".
        depth: 50, 101, or the number of blocks of res2 to res5.
        slow_frames: T, the frames of the slow pathway in training. The convolutions take any number; causal
            non-local blocks attend to this many, and streaming averages over them.
        alpha: Frame-rate ratio of the pathways.
        beta: Channel ratio of the fast pathway.
        width: Channels of the slow pathway's stem.
        lateral: One of `LATERALS`, or None for two pathways that meet in the head only.
        lateral_kernel, lateral_ratio: Of the "t_conv" lateral.
        slow_input_channels, fast_input_channels: 3 for RGB, 1 grey or its time difference, 2 flow.
        slow_kernels, fast_kernels: Temporal kernels, see `SLOW_KERNELS`.
        temporal_blocks: Blocks of each stage that have temporal kernels; None means all. The public R101 networks
            have (3, 4, 6, 3).
        temporal_pool: Max pooling over time after res2 (2 in the I3D- and C2D-ResNets), one-pathway networks only.
        nonlocal_blocks: Blocks (0-based) of the slow pathway that a non-local block follows, by stage (2 to 5).
        nonlocal_instantiation, nonlocal_pool: See `NonLocalBlock`.
        head: "classification" or "roi". A detection network's res5 keeps the resolution and dilates instead.
        window: Spatial pooling window of the classification head.
        aligned: Of the RoI head.
        dropout: In front of the classifier.
        causal: Temporal padding in front only, everywhere; see `TemporalConv3d`.
    """

    def __init__(
        self,
        num_classes: int,
        *,
        pathways: str = "slowfast",
        depth: int | tuple[int, int, int, int] = 50,
        slow_frames: int = 8,
        alpha: int = 4,
        beta: float = 1 / 8,
        width: int = 64,
        lateral: str | None = "t_conv",
        lateral_kernel: int = 5,
        lateral_ratio: int = 2,
        slow_input_channels: int = 3,
        fast_input_channels: int = 3,
        slow_kernels: Kernels = SLOW_KERNELS,
        fast_kernels: Kernels = FAST_KERNELS,
        temporal_blocks: tuple[int, int, int, int] | None = None,
        temporal_pool: int = 1,
        nonlocal_blocks: Mapping[int, Sequence[int]] | None = None,
        nonlocal_instantiation: str = "dot_product",
        nonlocal_pool: tuple[int, int, int] = (1, 2, 2),
        head: str = "classification",
        window: int = 7,
        aligned: bool = False,
        dropout: float = 0.5,
        causal: bool = False,
    ) -> None:
        super().__init__()
        _check_choices(pathways, head, depth, temporal_pool)
        two = pathways == "slowfast"
        used = {"slowfast": (0, 1), "slow": (0,), "fast": (1,)}[pathways]
        widths = [(width, max(1, round(width * beta)))[p] for p in used]
        kernels = [(slow_kernels, fast_kernels)[p] for p in used]
        inputs = [(slow_input_channels, fast_input_channels)[p] for p in used]
        blocks = depth if isinstance(depth, tuple) else STAGE_BLOCKS[depth]

        self.alpha: int | None = alpha if two else None
        self.slow_frames, self.causal, self.temporal_pool = slow_frames, causal, temporal_pool
        self.s1 = PathwayStems(inputs, widths, [k[0][0] for k in kernels], causal)
        limits = temporal_blocks or blocks
        block_kernels = [[_block_kernels(k[i + 1], blocks[i], limits[i]) for k in kernels] for i in range(4)]
        fuse = None
        if two and lateral is not None:
            fuse = partial(
                LateralConnection, lateral, alpha=alpha, kernel=lateral_kernel, ratio=lateral_ratio, causal=causal
            )
        attention = {"instantiation": nonlocal_instantiation, "pool": nonlocal_pool}
        channels = self._add_stages(widths, block_kernels, fuse, head == "roi", nonlocal_blocks or {}, attention)
        self.head: RoIHead | ClassificationHead
        if head == "roi":
            self.head = RoIHead(channels, num_classes, aligned=aligned, dropout=dropout)
        else:
            self.head = ClassificationHead(channels, num_classes, window=window, dropout=dropout)
        initialise(self)

    def _add_stages(
        self,
        widths: Sequence[int],
        kernels: Sequence[Sequence[Sequence[int]]],
        fuse: Callable[..., LateralConnection] | None,
        dilate: bool,
        nonlocal_blocks: Mapping[int, Sequence[int]],
        attention: Mapping[str, Any],
    ) -> list[int]:
        """Adds the lateral connections and res2 to res5; returns the channels of the last stage."""
        channels = list(widths)
        for stage in range(2, 6):
            entering = list(channels)
            if fuse is not None:
                connection = fuse(slow_channels=channels[0], fast_channels=channels[1])
                self.add_module(f"s{stage - 1}_fuse", connection)
                entering[0] += connection.added_channels
            dilated = dilate and stage == 5
            inner = [w * 2 ** (stage - 2) for w in widths]
            channels = [4 * c for c in inner]
            window = self.slow_frames // (self.temporal_pool if stage > 2 else 1)
            module = PathwayStage(
                entering,
                inner,
                channels,
                kernels[stage - 2],
                stride=1 if stage == 2 or dilated else 2,
                dilation=2 if dilated else 1,
                nonlocal_blocks=tuple(nonlocal_blocks.get(stage, ())),
                nonlocal_options={**attention, "window": window},
                causal=self.causal,
            )
            self.add_module(f"s{stage}", module)
        return channels

    def features(self, pathways: Sequence[Tensor]) -> list[Tensor]:
        """The last stage of each pathway, (B, C, T, H, W)."""
        self._check(pathways)
        x = self.s1(pathways)
        for stage in range(2, 6):
            if hasattr(self, f"s{stage - 1}_fuse"):
                x = self.get_submodule(f"s{stage - 1}_fuse")(x)
            x = self.get_submodule(f"s{stage}")(x)
            if stage == 2 and self.temporal_pool > 1:
                x = [F.max_pool3d(y, (self.temporal_pool, 1, 1)) for y in x]
        return x

    def forward(self, pathways: Sequence[Tensor], boxes: Tensor | None = None) -> Tensor:
        """Logits, before the activation.

        Args:
            pathways: One tensor (B, channels, T, H, W) per pathway, slow first.
            boxes: For a detection network, (N, 5): batch index and xyxy in pixels of the pathways. Not used otherwise.

        Returns:
            (N, classes), or (B, 1, H', W', classes) for a classifier.

        Raises:
            ConfigError: The number of pathways or their frames do not fit, or a detection network got no boxes.
        """
        return self.head(self.features(pathways), boxes)

    def _check(self, pathways: Sequence[Tensor]) -> None:
        expected = 1 if self.alpha is None else 2
        shapes = [tuple(x.shape) for x in pathways]
        if len(shapes) != expected or any(len(s) != 5 for s in shapes):
            raise ConfigError(f"this network takes {expected} pathway(s) of shape (B, C, T, H, W), got {shapes}")
        if self.alpha is not None and shapes[1][2] != self.alpha * shapes[0][2]:
            raise ConfigError(
                f"the fast pathway has alpha={self.alpha} times the slow one's frames, got {shapes[0][2]} slow and "
                f"{shapes[1][2]} fast ones; `sampling.pack_pathways` makes both from one clip"
            )


def _check_choices(pathways: str, head: str, depth: int | tuple[int, ...], temporal_pool: int) -> None:
    if pathways not in PATHWAYS:
        raise UnknownNameError("kind of network", pathways, PATHWAYS)
    if head not in HEADS:
        raise UnknownNameError("head", head, HEADS)
    if not isinstance(depth, tuple) and depth not in STAGE_BLOCKS:
        raise ConfigError(f"depth is one of {', '.join(map(str, STAGE_BLOCKS))} or four block counts, got {depth}")
    if pathways == "slowfast" and temporal_pool != 1:
        raise ConfigError(f"two pathways are never pooled over time, got temporal_pool={temporal_pool}")


def _block_kernels(pattern: tuple[int, ...], blocks: int, temporal: int) -> list[int]:
    """The pattern repeated over the first `temporal` of `blocks` blocks, 1 in the others."""
    return [pattern[i % len(pattern)] if i < temporal else 1 for i in range(blocks)]


#: Non-local blocks of the published networks.
NONLOCAL_R50: Mapping[int, tuple[int, ...]] = {3: (1, 3), 4: (1, 3, 5)}
NONLOCAL_R101: Mapping[int, tuple[int, ...]] = {4: (6, 13, 20)}


def slowfast_r50(num_classes: int, *, slow_frames: int = 8, alpha: int = 4, **options: Any) -> SlowFast:
    """SlowFast R50. The published lateral kernel is 7, but 5 for 4 x 16 (alpha 8)."""
    options.setdefault("lateral_kernel", 7 if alpha == 4 else 5)
    return SlowFast(num_classes, slow_frames=slow_frames, alpha=alpha, **{"depth": 50, **options})


def slowfast_r101(num_classes: int, *, slow_frames: int = 8, **options: Any) -> SlowFast:
    """SlowFast R101 with temporal kernels in the blocks that R50 has too ("R101_50_50"), lateral kernel 5."""
    options.setdefault("temporal_blocks", STAGE_BLOCKS[50])
    return SlowFast(num_classes, slow_frames=slow_frames, **{"depth": 101, **options})


def slow_r50(num_classes: int, *, slow_frames: int = 8, **options: Any) -> SlowFast:
    """The slow pathway alone, temporal kernels in res4 and res5 (paper, table 1)."""
    return SlowFast(num_classes, pathways="slow", slow_frames=slow_frames, **{"depth": 50, **options})


def fast_r50(num_classes: int, *, slow_frames: int = 32, **options: Any) -> SlowFast:
    """The fast pathway alone, beta times the channels (paper, table 5a)."""
    return SlowFast(num_classes, pathways="fast", slow_frames=slow_frames, **{"depth": 50, **options})


def i3d_r50(num_classes: int, *, slow_frames: int = 8, **options: Any) -> SlowFast:
    """The inflated ResNet of the non-local paper: temporal kernels in every other block, time pooled after res2."""
    return slow_r50(num_classes, slow_frames=slow_frames, slow_kernels=I3D_KERNELS, temporal_pool=2, **options)


def c2d_r50(num_classes: int, *, slow_frames: int = 8, temporal_pool: int = 2, **options: Any) -> SlowFast:
    """The ResNet without temporal convolutions; `temporal_pool=1` is its "nopool" variant."""
    return slow_r50(
        num_classes, slow_frames=slow_frames, slow_kernels=C2D_KERNELS, temporal_pool=temporal_pool, **options
    )
