"""Where heads are, and hiding them or whole persons for good."""

from __future__ import annotations

import cv2
import numpy as np

from sf_detect import boxes as box_math
from sf_detect.landmarks import HEAD, SHOULDERS
from sf_detect.structures import FloatArray, Keypoints, UInt8Array

HEAD_BLOCKS, PERSON_BLOCKS = 4, 6
LEAST_CONFIDENCE, LEAST_HEAD_POINTS = 0.5, 5  # of landmarks that are believed
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


def seen_heads(boxes: FloatArray, keypoints: Keypoints) -> FloatArray:
    """Where landmarks show heads, (N, 4) xyxy pixels, generous on purpose; not a number where they are not certain.

    Args:
        boxes: (N, 4) xyxy pixels; a head is in its person's box, or the landmarks are not believed.
        keypoints: Of the same persons.
    """
    points = keypoints.points[:, list(HEAD)].astype(np.float64)
    sure = points[..., 2] >= LEAST_CONFIDENCE
    heads = np.full((len(boxes), 4), np.nan)
    for i in np.flatnonzero((keypoints.presence >= LEAST_CONFIDENCE) & (sure.sum(axis=1) >= LEAST_HEAD_POINTS)):
        face = points[i, sure[i], :2]
        low, high = face.min(axis=0), face.max(axis=0)
        shoulders = np.linalg.norm(np.subtract(*keypoints.points[i, list(SHOULDERS), :2].astype(np.float64)))
        longer = max(boxes[i, 2] - boxes[i, 0], boxes[i, 3] - boxes[i, 1])
        # A face in profile is narrow, and one that looks down low: the shoulders and the person's size bound it below.
        half = 1.2 * max(*(high - low), 0.45 * shoulders, 0.06 * longer)
        x, y = (low + high) / 2
        if boxes[i, 0] <= x <= boxes[i, 2] and boxes[i, 1] - half <= y <= boxes[i, 3]:
            heads[i] = x - half, y - 1.5 * half, x + half, y + half
    return heads


def anonymise(image: UInt8Array, boxes: FloatArray, what: str, keypoints: Keypoints | None = None) -> None:
    """Hides heads or persons in place: averaged into a handful of blocks, which are then smoothed.

    Averaging discards the detail; smoothing only makes the result calm to look at. At most `HEAD_BLOCKS` or
    `PERSON_BLOCKS` values remain along the region's shorter side.

    Args:
        image: (H, W, 3) uint8, changed in place.
        boxes: (N, 4) xyxy pixels of all persons.
        what: "head" or "person".
        keypoints: Of the same persons: heads are hidden where they show them. Where they would be by the box alone is
            hidden too, unless the landmarks put them there.
    """
    blocks = HEAD_BLOCKS if what == "head" else PERSON_BLOCKS
    hidden = hidden_regions(boxes, what)
    if what == "head" and keypoints is not None:
        seen = seen_heads(boxes, keypoints)
        x, y = (seen[:, 0] + seen[:, 2]) / 2, (seen[:, 1] + seen[:, 3]) / 2
        left, top, right, bottom = hidden.T
        agreed = (left <= x) & (x <= right) & (top <= y) & (y <= bottom)  # not where nothing was seen
        hidden = np.concatenate([hidden[~agreed], seen[np.isfinite(seen).all(axis=1)]])
    regions = np.rint(box_math.clip(hidden, (image.shape[0], image.shape[1]))).astype(int)
    for x0, y0, x1, y1 in regions:
        width, height = int(x1 - x0), int(y1 - y0)
        if width > 0 and height > 0:
            side = max(SMALLEST_BLOCK, min(width, height) / blocks)
            few = (max(1, int(width / side)), max(1, int(height / side)))
            region = image[y0:y1, x0:x1]
            small = cv2.resize(region, few, interpolation=cv2.INTER_AREA)
            region[...] = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
