"""The 33 body landmarks of BlazePose (Bazarevsky et al. 2020): their names, in order, and how a skeleton joins them.

Left and right are the person's own.
"""

from __future__ import annotations

LANDMARKS = (
    "nose",
    "left_eye_inner",
    "left_eye",
    "left_eye_outer",
    "right_eye_inner",
    "right_eye",
    "right_eye_outer",
    "left_ear",
    "right_ear",
    "mouth_left",
    "mouth_right",
    "left_shoulder",
    "right_shoulder",
    "left_elbow",
    "right_elbow",
    "left_wrist",
    "right_wrist",
    "left_pinky",
    "right_pinky",
    "left_index",
    "right_index",
    "left_thumb",
    "right_thumb",
    "left_hip",
    "right_hip",
    "left_knee",
    "right_knee",
    "left_ankle",
    "right_ankle",
    "left_heel",
    "right_heel",
    "left_foot_index",
    "right_foot_index",
)
"""MediaPipe's names of the landmarks."""

HEAD = tuple(range(11))
"""Nose, eyes, ears and mouth."""
SHOULDERS, HIPS = (11, 12), (23, 24)

BONES = (
    *((0, 7), (0, 8)),  # the face, as far as it helps to see where it looks
    *((11, 12), (11, 23), (12, 24), (23, 24)),
    *((11, 13), (13, 15), (15, 19)),
    *((12, 14), (14, 16), (16, 20)),
    *((23, 25), (25, 27), (27, 29), (29, 31)),
    *((24, 26), (26, 28), (28, 30), (30, 32)),
)
"""Pairs of landmarks that a drawn skeleton joins."""
