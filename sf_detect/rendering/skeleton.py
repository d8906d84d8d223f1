"""Body landmarks as lines and dots."""

from __future__ import annotations

import cv2
import numpy as np

from sf_detect.landmarks import BONES
from sf_detect.rendering.style import Color
from sf_detect.structures import Keypoints, UInt8Array

LEAST_PRESENCE, LEAST_CONFIDENCE = 0.5, 0.5
"""Of a person, and of a landmark, to be drawn."""
PERSON_PER_LINE = 80
"""Extent of a person over the thickness of a line."""
_DARK: Color = (16, 18, 22)


def draw_skeleton(image: UInt8Array, keypoints: Keypoints, person: int, color: Color, thickness: int) -> None:
    """Draws what is certain of one person's landmarks.

    Args:
        image: (H, W, 3) uint8 RGB, changed in place.
        keypoints: Of all persons, in pixels of the image.
        person: Which of them.
        color: Of the track.
        thickness: Pixels of a line; lines of small persons are thinner.
    """
    if keypoints.presence[person] < LEAST_PRESENCE:
        return
    points = keypoints.points[person]
    reach = 4 * max(image.shape)  # OpenCV counts in 32 bits
    places = [(round(float(x)), round(float(y))) for x, y in np.clip(points[:, :2], -reach, reach)]
    sure = points[:, 2] >= LEAST_CONFIDENCE
    extent = float(np.ptp(points[sure, :2], axis=0).max(initial=0)) if sure.any() else 0.0
    thickness = max(1, min(thickness, round(min(extent, reach) / PERSON_PER_LINE)))
    joined = [(places[a], places[b]) for a, b in BONES if sure[a] and sure[b]]
    for width, shade in ((thickness + min(thickness, 2), _DARK), (thickness, color)):
        for start, end in joined:
            cv2.line(image, start, end, shade, width, cv2.LINE_AA)
    if thickness > 1:  # on small persons dots would hide the lines
        for i in sorted({i for bone in BONES for i in bone if sure[i]}):
            cv2.circle(image, places[i], thickness + 1, _DARK, -1, cv2.LINE_AA)
            cv2.circle(image, places[i], thickness, color, -1, cv2.LINE_AA)
