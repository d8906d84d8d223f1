"""Residual blocks of the video ResNets (SlowFast, Slow-only, Fast-only, I3D- and C2D-ResNet).

Every tensor is (B, C, T, H, W). Attribute names follow the public PySlowFast checkpoints (`pathway0_res0.branch2.a`),
so that their weights load without renaming.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from sf_detect.models.nonlocal_block import NonLocalBlock

#: Residual blocks in res2 to res5.
STAGE_BLOCKS: Mapping[int, tuple[int, int, int, int]] = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


class TemporalConv3d(nn.Conv3d):
    """A 3-D convolution whose temporal padding can be causal.

    With `causal=False` time is padded with `kernel // 2` zeros on both sides. With `causal=True` it is padded in front
    only, by `kernel - stride` zeros: output `j` sees the input up to and including the last frame of its own group
    of `stride` frames, never later ones. Where the stride exceeds the kernel, the frames in front that no output
    sees are cut off instead. Both keep T for stride 1. The parameters are those of `nn.Conv3d`.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: tuple[int, int, int],
        stride: tuple[int, int, int] = (1, 1, 1),
        *,
        dilation: int = 1,
        groups: int = 1,
        causal: bool = False,
    ) -> None:
        spatial = [dilation * (k // 2) for k in kernel[1:]]
        time = 0 if causal else kernel[0] // 2
        super().__init__(
            in_channels,
            out_channels,
            kernel,
            stride=stride,
            padding=(time, spatial[0], spatial[1]),
            dilation=(1, dilation, dilation),
            groups=groups,
            bias=False,
        )
        self.causal = causal

    @property
    def history(self) -> int:
        """Frames in front of a group of `stride` new ones that its output still sees (negative: frames it skips)."""
        return self.kernel_size[0] - self.stride[0]

    def forward(self, input: Tensor) -> Tensor:
        if self.causal and self.history:
            input = F.pad(input, (0, 0, 0, 0, self.history, 0))
        return super().forward(input)


class Stem(nn.Module):
    """First convolution, normalisation and spatial max pooling: 1/4 of the resolution, T kept (paper, table 1)."""

    def __init__(self, in_channels: int, out_channels: int, temporal_kernel: int, *, causal: bool = False) -> None:
        super().__init__()
        self.conv = TemporalConv3d(in_channels, out_channels, (temporal_kernel, 7, 7), (1, 2, 2), causal=causal)
        self.bn = nn.BatchNorm3d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn(self.conv(x)), inplace=True)
        return F.max_pool3d(x, (1, 3, 3), (1, 2, 2), (0, 1, 1))


class Bottleneck(nn.Module):
    """The residual branch: T x 1 x 1, then 1 x 3 x 3 (carries stride and dilation), then 1 x 1 x 1."""

    def __init__(
        self,
        in_channels: int,
        inner_channels: int,
        out_channels: int,
        temporal_kernel: int,
        stride: int,
        dilation: int,
        *,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.a = TemporalConv3d(in_channels, inner_channels, (temporal_kernel, 1, 1), causal=causal)
        self.a_bn = nn.BatchNorm3d(inner_channels)
        self.b = TemporalConv3d(inner_channels, inner_channels, (1, 3, 3), (1, stride, stride), dilation=dilation)
        self.b_bn = nn.BatchNorm3d(inner_channels)
        self.c = TemporalConv3d(inner_channels, out_channels, (1, 1, 1))
        self.c_bn = nn.BatchNorm3d(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.a_bn(self.a(x)), inplace=True)
        x = F.relu(self.b_bn(self.b(x)), inplace=True)
        return self.c_bn(self.c(x))


class ResBlock(nn.Module):
    """`relu(shortcut(x) + branch2(x))`; the shortcut is a 1 x 1 x 1 convolution where the shape changes."""

    def __init__(
        self,
        in_channels: int,
        inner_channels: int,
        out_channels: int,
        temporal_kernel: int = 1,
        stride: int = 1,
        dilation: int = 1,
        *,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self.branch1: nn.Module | None = None
        self.branch1_bn: nn.Module | None = None
        if in_channels != out_channels or stride != 1:
            self.branch1 = TemporalConv3d(in_channels, out_channels, (1, 1, 1), (1, stride, stride))
            self.branch1_bn = nn.BatchNorm3d(out_channels)
        self.branch2 = Bottleneck(
            in_channels, inner_channels, out_channels, temporal_kernel, stride, dilation, causal=causal
        )

    def forward(self, x: Tensor) -> Tensor:
        residual = self.branch2(x)
        if self.branch1 is not None and self.branch1_bn is not None:
            x = self.branch1_bn(self.branch1(x))
        return F.relu(x + residual, inplace=True)


class PathwayStems(nn.Module):
    """The stems of all pathways ("s1")."""

    def __init__(
        self, in_channels: Sequence[int], out_channels: Sequence[int], temporal_kernels: Sequence[int], causal: bool
    ) -> None:
        super().__init__()
        for p, (cin, cout, kernel) in enumerate(zip(in_channels, out_channels, temporal_kernels, strict=True)):
            self.add_module(f"pathway{p}_stem", Stem(cin, cout, kernel, causal=causal))

    def forward(self, pathways: Sequence[Tensor]) -> list[Tensor]:
        return [self.get_submodule(f"pathway{p}_stem")(x) for p, x in enumerate(pathways)]


class PathwayStage(nn.Module):
    """One residual stage of all pathways ("s2" to "s5").

    Args:
        in_channels, inner_channels, out_channels: One number per pathway.
        temporal_kernels: Per pathway, the temporal kernel of each block's first convolution.
        stride, dilation: Spatial; the stride is that of the first block.
        nonlocal_blocks: Indices of the first pathway's blocks that a non-local block follows.
        nonlocal_options: Keyword arguments of `NonLocalBlock`.
        causal: Causal temporal convolutions and attention.
    """

    def __init__(
        self,
        in_channels: Sequence[int],
        inner_channels: Sequence[int],
        out_channels: Sequence[int],
        temporal_kernels: Sequence[Sequence[int]],
        *,
        stride: int = 1,
        dilation: int = 1,
        nonlocal_blocks: Sequence[int] = (),
        nonlocal_options: Mapping[str, object] | None = None,
        causal: bool = False,
    ) -> None:
        super().__init__()
        self._order: list[list[str]] = []
        for p, kernels in enumerate(temporal_kernels):
            names: list[str] = []
            for i, kernel in enumerate(kernels):
                cin = in_channels[p] if i == 0 else out_channels[p]
                block = ResBlock(
                    cin, inner_channels[p], out_channels[p], kernel, stride if i == 0 else 1, dilation, causal=causal
                )
                names.append(self._add(f"pathway{p}_res{i}", block))
                if p == 0 and i in nonlocal_blocks:
                    attention = NonLocalBlock(out_channels[p], causal=causal, **(nonlocal_options or {}))  # type: ignore[arg-type]
                    names.append(self._add(f"pathway{p}_nonlocal{i}", attention))
            self._order.append(names)

    def _add(self, name: str, module: nn.Module) -> str:
        self.add_module(name, module)
        return name

    def pathway_modules(self, pathway: int) -> list[nn.Module]:
        """The blocks of one pathway, in the order in which they run."""
        return [self.get_submodule(name) for name in self._order[pathway]]

    def forward(self, pathways: Sequence[Tensor]) -> list[Tensor]:
        outputs = []
        for p, x in enumerate(pathways):
            for module in self.pathway_modules(p):
                x = module(x)
            outputs.append(x)
        return outputs


def initialise(network: nn.Module) -> None:
    """He-normal convolutions; the last scale of every residual branch starts at zero (paper, section 4)."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv3d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm3d):
            last = name.endswith("c_bn") or (".pathway" in name and "nonlocal" in name)
            nn.init.constant_(module.weight, 0.0 if last else 1.0)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
            nn.init.zeros_(module.bias)


def count_parameters(network: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in network.parameters())
