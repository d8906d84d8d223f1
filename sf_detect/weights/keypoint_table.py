"""Where the weights of the body landmark network, and of the person detector that belongs to it, come from."""

from __future__ import annotations

from dataclasses import replace

from sf_detect.weights.detector_table import DetectorEntry
from sf_detect.weights.wheel import WheelMember

_LANDMARKS_SHA256 = "e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f"
_DETECTION_SHA256 = "9ba9dd3d42efaaba86b4ff0122b06f29c4122e756b329d89dca1e297fd8f866c"

_DETECTION = WheelMember(
    requirement="mediapipe==0.10.21",
    wheel_sha256="05dc4a9e593655a79558d05d6227d31018c2537a4bd3362b51e230cf22aecfe3",
    member="mediapipe/modules/pose_detection/pose_detection.tflite",
    member_sha256=_DETECTION_SHA256,
    megabytes=35.6,
    platform="manylinux_2_28_x86_64",
    python="3.11",
)
_LANDMARKS = replace(
    _DETECTION,
    member="mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
    member_sha256=_LANDMARKS_SHA256,
    others=(_DETECTION,),
)

BLAZEPOSE = DetectorEntry(
    "blazepose_full",
    "33 (body landmarks)",
    _LANDMARKS,
    sha256=_LANDMARKS_SHA256,
    licence="Apache-2.0, Copyright The MediaPipe Authors",
    task="keypoints",
)
"""BlazePose GHUM (Bazarevsky et al. 2020; Grishchenko et al. 2022), its "full" size."""

BLAZEPOSE_DETECTION = DetectorEntry(
    "blazepose_detection",
    "1 (person)",
    _DETECTION,
    sha256=_DETECTION_SHA256,
    licence="Apache-2.0, Copyright The MediaPipe Authors",
    task="keypoints",
)
"""BlazePose's own person detector: a circle around the hips and the angle of the trunk."""

KEYPOINT_NETWORKS = {entry.name: entry for entry in (BLAZEPOSE, BLAZEPOSE_DETECTION)}
"""Every entry by name."""
