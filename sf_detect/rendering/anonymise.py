"""Where heads are, and hiding them or whole persons for good."""

from __future__ import annotations

import cv2
import numpy as np

from sf_detect import boxes as box_math
from sf_detect.structures import FloatArray, UInt8Array

HEAD_BLOCKS, PERSON_BLOCKS = 4, 6
SMALLEST_BLOCK = 5  # pixels; below this a block hides too little


def head_boxes(boxes: FloatArray, margin: float = 0.0) -> FloatArray:
    """A guess of each person's head from its box alone, (N, 4) xyxy pixels.

    Standing people are about 7.5 heads tall; the squarer a box, the more of its height is head (sitting, cut by the
    frame). It guards against covering a face and is no face detector.

    Args:
        boxes: (N, 4) xyxy pixels.
        margin: Share of the head's height to add on all sides.
    """
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    head = np.minimum(height, np.maximum(height / 6, 0.4 * np.minimum(width, height)))
    half = np.minimum(width / 2, 0.5 * head)
    centre = (boxes[:, 0] + boxes[:, 2]) / 2
    m = margin * head
    return np.stack([centre - half - m, boxes[:, 1] - m, centre + half + m, boxes[:, 1] + head + m], axis=1)


def hidden_regions(boxes: FloatArray, what: str) -> FloatArray:
    """What to make unrecognisable, (N, 4) xyxy pixels, generous on purpose.

    Args:
        boxes: (N, 4) xyxy pixels.
        what: "head": the top of the box over its whole width, because heads lean; the whole box where it is wider
            than high, because a lying or bending person's head can be anywhere in it. "person": the box.
            Both with a margin for boxes that lag behind.
    """
    width, height = boxes[:, 2] - boxes[:, 0], boxes[:, 3] - boxes[:, 1]
    deep = height.copy()
    if what == "head":
        upright = width <= 1.1 * height
        deep[upright] = np.maximum(0.28 * height, 0.62 * np.minimum(width, height))[upright]
    margin = 0.06 * np.maximum(width, deep)
    return np.stack(
        [boxes[:, 0] - margin, boxes[:, 1] - 2 * margin, boxes[:, 2] + margin, boxes[:, 1] + deep + margin], axis=1
    )


def anonymise(image: UInt8Array, boxes: FloatArray, what: str) -> None:
    """Hides heads or persons in place: averaged into a handful of blocks, which are then smoothed.

    Averaging discards the detail; smoothing only makes the result calm to look at. At most `HEAD_BLOCKS` or
    `PERSON_BLOCKS` values remain along the region's shorter side.

    Args:
        image: (H, W, 3) uint8, changed in place.
        boxes: (N, 4) xyxy pixels of all persons.
        what: "head" or "person".
    """
    blocks = HEAD_BLOCKS if what == "head" else PERSON_BLOCKS
    regions = np.rint(box_math.clip(hidden_regions(boxes, what), (image.shape[0], image.shape[1]))).astype(int)
    for x0, y0, x1, y1 in regions:
        width, height = int(x1 - x0), int(y1 - y0)
        if width > 0 and height > 0:
            side = max(SMALLEST_BLOCK, min(width, height) / blocks)
            few = (max(1, int(width / side)), max(1, int(height / side)))
            region = image[y0:y1, x0:x1]
            small = cv2.resize(region, few, interpolation=cv2.INTER_AREA)
            region[...] = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
