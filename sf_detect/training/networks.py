"""Networks that a recipe can name: the zoo, and relatives that are only trained."""

from __future__ import annotations

from fractions import Fraction
from functools import partial

from sf_detect.errors import UnknownNameError
from sf_detect.structures import ClipSpec
from sf_detect.weights.zoo import ZOO, ZooEntry, _build

_RELATIVES = (
    # C3D, ICCV 2015, section 3.1: 16 successive frames, resized to 128 x 171, crops of 112.
    ZooEntry(
        "c3d", partial(_build, "c3d", "C3D", 487), ClipSpec(16, 1, Fraction(30)), 487, "", short_side=128, crop=112
    ),
    # TSN, ECCV 2016: one frame of each of three segments; means of the Caffe model that BN-Inception comes from.
    ZooEntry(
        "tsn_rgb",
        partial(_build, "tsn", "TSN", 400),
        ClipSpec(3, 1, Fraction(25)),
        400,
        "",
        mean=(104 / 255, 117 / 255, 128 / 255),
        std=(1 / 255, 1 / 255, 1 / 255),
        channel_order="bgr",
        crop=224,
    ),
)


def network_entry(name: str) -> ZooEntry:
    """The entry of a network's name.

    Raises:
        UnknownNameError: Neither the zoo nor the relatives have it.
    """
    known = {**ZOO, **{entry.name: entry for entry in _RELATIVES}}
    if name not in known:
        raise UnknownNameError("model", name, known)
    return known[name]
