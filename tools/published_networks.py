"""The published networks of `complexity.py`: how each is built, what it is fed, what was published of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import published_relatives
from published_row import Row

from sf_detect.models import slowfast as sf
from sf_detect.models import x3d
from sf_detect.models.resnet3d import STAGE_BLOCKS
from sf_detect.models.single_pathway import inception_i3d
from sf_detect.models.slowfast import SlowFast

PAPER = "paper, table {}"
PYSLOWFAST = "PySlowFast model zoo"
PYTORCHVIDEO = "PyTorchVideo model zoo"


def _4x16(**options: object) -> Callable[[], SlowFast]:
    return lambda: sf.slowfast_r50(400, slow_frames=4, alpha=8, **options)


def _r101_nonlocal(classes: int) -> SlowFast:
    return sf.slowfast_r101(classes, nonlocal_blocks=sf.NONLOCAL_R101)


def _slow_r101(classes: int) -> SlowFast:
    return SlowFast(classes, pathways="slow", depth=101, slow_frames=16, temporal_blocks=STAGE_BLOCKS[50])


_FAST_ONLY = (
    "the paper's own sum (table 5a: Slow-only 27.3, without laterals 34.2) leaves 6.9 for the fast pathway; "
    "0.51 M of the parameters are in front of the classifier"
)
_HALF = (
    "with a lateral ratio of 1, which keeps the lateral as wide as the default one; with 2 it would be 35.99 (+4.6 %)"
)
_FVCORE = "the publisher counts five more operations per normalised value, which is the difference"


def rows() -> Iterator[Row]:
    """Every network of the paper's tables that the constructor spans, the rest of the zoo, and the relatives."""
    two = PAPER.format("2")
    yield Row(two, "SlowFast 4x16 R50", _4x16(), 4, 8, 36.1)
    yield Row(two, "SlowFast 8x8 R50", lambda: sf.slowfast_r50(400), 8, 4, 65.7)
    yield Row(two, "SlowFast 8x8 R101", lambda: sf.slowfast_r101(400), 8, 4, 106)
    yield Row(two, "SlowFast 16x8 R101", lambda: sf.slowfast_r101(400), 16, 4, 213)
    yield Row(two, "SlowFast 16x8 R101+NL", lambda: _r101_nonlocal(400), 16, 4, 234)
    yield Row(two, "Inception-I3D, 64 frames at 224", inception_i3d, 64, gmacs=108, size=224)
    four = PAPER.format("4")
    yield Row(four, "Slow-only 16x8 R101", lambda: _slow_r101(157), 16, gmacs=187)
    yield Row(four, "SlowFast 16x8 R101", lambda: sf.slowfast_r101(157), 16, 4, 213)
    yield Row(four, "SlowFast 16x8 R101+NL", lambda: _r101_nonlocal(157), 16, 4, 234)
    yield from _ablations()
    six = PAPER.format("6")
    yield Row(six, "3D R50", lambda: sf.i3d_r50(400), 8, gmacs=36.7)
    yield from _zoo()
    yield from published_relatives.rows()


def _ablations() -> Iterator[Row]:
    table = PAPER.format("5a")
    yield Row(table, "Slow-only 4x16 R50", lambda: sf.slow_r50(400, slow_frames=4), 4, gmacs=27.3, params=32.4)
    yield Row(table, "Fast-only", lambda: sf.fast_r50(400), 32, gmacs=6.4, params=0.53, note=_FAST_ONLY)
    for name, lateral, gmacs in (
        ("no lateral", None, 34.2),
        ("TtoC, sum", "time_to_channel_sum", 34.2),
        ("TtoC, concat", "time_to_channel_concat", 39.8),
        ("T-sample", "t_sample", 34.9),
        ("T-conv", "t_conv", 36.1),
    ):
        yield Row(table, f"SlowFast 4x16 R50, {name}", _4x16(lateral=lateral), 4, 8, gmacs)
    for inverse, gmacs in ((4, 54.5), (6, 41.8), (8, 36.1), (12, 32.8), (16, 30.6), (32, 28.6)):
        yield Row(PAPER.format("5b"), f"beta = 1/{inverse}", _4x16(beta=1 / inverse), 4, 8, gmacs)
    table = PAPER.format("5c")
    half = _4x16(beta=1 / 4, lateral_ratio=1)
    yield Row(table, "RGB", _4x16(), 4, 8, 36.1)
    yield Row(table, "RGB, beta = 1/4, half resolution", half, 4, 8, 34.4, fast_size=128, note=_HALF)
    for name, channels, gmacs in (("grey", 1, 34.1), ("time difference (grey)", 1, 34.2), ("optical flow", 2, 35.1)):
        yield Row(table, name, _4x16(fast_input_channels=channels), 4, 8, gmacs, fast_channels=channels)


def _zoo() -> Iterator[Row]:
    yield Row(PYTORCHVIDEO, "C2D 8x8 R50", lambda: sf.c2d_r50(400), 8, None, 25.89, 24.33, note=_FVCORE)
    yield Row(PYTORCHVIDEO, "I3D 8x8 R50", lambda: sf.i3d_r50(400), 8, None, 37.53, 28.04, note=_FVCORE)
    yield Row(PYTORCHVIDEO, "Slow 8x8 R50", lambda: sf.slow_r50(400), 8, None, 54.52, 32.45)
    yield Row(PYTORCHVIDEO, "SlowFast 4x16 R50", _4x16(), 4, 8, 36.69, 34.48, note=_FVCORE)
    yield Row(PYTORCHVIDEO, "SlowFast 8x8 R50", lambda: sf.slowfast_r50(400), 8, 4, 65.71, 34.57)
    yield Row(
        PYTORCHVIDEO,
        "SlowFast 8x8 R101",
        lambda: sf.slowfast_r101(400, temporal_blocks=None),
        8,
        4,
        127.2,
        62.83,
        note=_FVCORE,
    )
    yield Row(PYTORCHVIDEO, "SlowFast 16x8 R101", lambda: sf.slowfast_r101(400), 16, 4, 215.61, 53.77, note=_FVCORE)
    yield Row(PYSLOWFAST, "X3D-S at 160", x3d.x3d_s, 13, None, 1.96, 3.8, size=160)
    yield Row(PYSLOWFAST, "X3D-M at 224", x3d.x3d_m, 16, None, 4.73, 3.8, size=224)
    yield Row(PYSLOWFAST, "X3D-L at 312", x3d.x3d_l, 16, None, 18.37, 6.2, size=312)
