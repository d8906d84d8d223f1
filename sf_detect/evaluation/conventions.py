"""What the field's two code lineages, and MultiSports, mean by "frame-mAP" and "video-mAP".

The same detections get different numbers from different code. A result is comparable with published ones only under
the convention they used, so every result names its own.

    act          ACT, MOC and the work built on them (J-HMDB, UCF101-24). Boxes include their last pixel ("+1"); the
                 area under the raw precision-recall points, by trapezoids; a matched ground truth is deleted, so that
                 a later detection may take its next best.
    yowo         YOWO and relatives. "+1" boxes; precision envelope, all points (PASCAL VOC). Frames: detections scored
                 at most 0.01 are left out, a second detection of a ground truth is a false positive. Videos: matching
                 as in act, recall of n truths is over n + 1e-5, AP is rounded to 0.01 percent points, tubes that share
                 one frame only have no overlap.
    multisports  The evaluator of MultiSports. Continuous boxes; envelope; a second detection of a ground truth is a
                 false positive; the extent of a tube is its last frame minus its first; 60 of the 66 classes count.

A class without ground truth is left out of the mean (YOWO's own code counts it as 0; it has none such).
"""

from __future__ import annotations

from dataclasses import dataclass

from sf_detect.errors import UnknownNameError


@dataclass(frozen=True)
class Convention:
    """How boxes, tubes and curves are measured.

    Attributes:
        name: One of `CONVENTIONS`.
        last_pixel: Added to the right and lower edge of a box: 1 for inclusive pixel indices, 0 for continuous ones.
        envelope: Whether AP is the area under the precision envelope, not under the raw points.
        frame_second_choice, tube_second_choice: Whether a detection may take its next best ground truth.
        least_score: Frame detections must score more.
        extent: Added to last minus first frame of a tube.
        least_common_frames: Tubes that share fewer frames do not overlap.
        recall_epsilon: Added to the number of ground-truth tubes.
        decimals: AP in percent is rounded to so many; None for no rounding.
        unscored: Names of classes that are left out.
    """

    name: str
    last_pixel: float
    envelope: bool
    frame_second_choice: bool
    tube_second_choice: bool
    least_score: float = float("-inf")
    extent: int = 1
    least_common_frames: int = 1
    recall_epsilon: float = 0.0
    decimals: int | None = None
    unscored: frozenset[str] = frozenset()


_MULTISPORTS_UNSCORED = frozenset(
    {
        "aerobic kick jump",
        "aerobic off axis jump",
        "aerobic butterfly jump",
        "aerobic balance turn",
        "basketball save",
        "basketball jump ball",
    }
)

_ALL = (
    Convention("act", 1, False, True, True),
    Convention("yowo", 1, True, False, True, 0.01, least_common_frames=2, recall_epsilon=1e-5, decimals=2),
    Convention("multisports", 0, True, False, False, extent=0, unscored=_MULTISPORTS_UNSCORED),
)

CONVENTIONS = tuple(convention.name for convention in _ALL)
"""Names that `convention` accepts."""


def convention(name: str) -> Convention:
    """A convention by name.

    Raises:
        UnknownNameError: `name` is not in `CONVENTIONS`.
    """
    for one in _ALL:
        if one.name == name:
            return one
    raise UnknownNameError("convention of frame-mAP and video-mAP", name, CONVENTIONS)
