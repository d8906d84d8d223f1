"""The rows of `complexity.py` for the networks that SlowFast is measured against: Quo Vadis, C3D, TSN."""

from __future__ import annotations

from collections.abc import Iterator

from published_row import Row

from sf_detect.models.c3d import c3d, convnet_3d
from sf_detect.models.convnet_lstm import convnet_lstm
from sf_detect.models.single_pathway import inception_i3d, inception_i3d_flow
from sf_detect.models.tsn import tsn
from sf_detect.models.two_stream import fused_two_stream, two_stream, two_stream_i3d

QUO_VADIS = "Quo Vadis, table 1"
_ONE_STREAM = "half of the table's 25 for the two streams"
_3D = "the text does not say how the last pooling deals with the one moment that is left; it keeps time here"
_FUSED = (
    "the text leaves open how the pooled map (1 x 2 x 2 positions) enters the linear layer: averaged here; flattened "
    "it would be 40.38 (+3.5 %)"
)


def rows() -> Iterator[Row]:
    """At the sizes they were trained at."""
    yield Row(QUO_VADIS, "(a) ConvNet+LSTM, 25 frames", convnet_lstm, 25, params=9, size=224)
    yield Row(QUO_VADIS, "(b) 3D-ConvNet, 16 frames at 112", convnet_3d, 16, params=79, size=112, note=_3D)
    yield Row(QUO_VADIS, "(c) Two-Stream, 1 + 10 frames", two_stream, 1, 10, params=12, size=224, fast_channels=2)
    yield Row(
        QUO_VADIS,
        "(d) 3D-Fused Two-Stream, 5 + 50 frames",
        fused_two_stream,
        5,
        10,
        params=39,
        size=224,
        fast_channels=2,
        note=_FUSED,
    )
    yield Row(QUO_VADIS, "(e) Two-Stream I3D, 64 + 64 frames", two_stream_i3d, 64, 1, None, 25, 224, fast_channels=2)
    yield Row(QUO_VADIS, "Inception-I3D, RGB", inception_i3d, 64, params=12.5, size=224, note=_ONE_STREAM)
    yield Row(QUO_VADIS, "Inception-I3D, flow", inception_i3d_flow, 64, None, None, 12.5, 224, 2, note=_ONE_STREAM)
    yield Row("MMAction2 model zoo", "C3D, 16 frames at 112, 101 classes", lambda: c3d(101), 16, None, 38.5, 78.4, 112)
    yield Row("C3D, figure 3", "C3D, 16 frames at 112, 487 classes", c3d, 16, size=112)
    for classes, published in ((174, 10.7), (400, None)):
        name = f"TSN BN-Inception, 8 frames, {classes} classes"
        yield Row("TSM, table 2", name, lambda c=classes: tsn(c), 8, None, 16, published, 224)  # type: ignore[misc]
