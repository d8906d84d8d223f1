"""Person detectors by name: see `build_detector`."""

from sf_detect.detection.names import DEFAULT, build_detector, detector_names, fetch_weights, track_score, weak_scores
from sf_detect.detection.precomputed import PrecomputedDetector
from sf_detect.detection.selection import Selection
from sf_detect.detection.whole_frame import WholeFrameDetector

__all__ = [
    "DEFAULT",
    "PrecomputedDetector",
    "Selection",
    "WholeFrameDetector",
    "build_detector",
    "detector_names",
    "fetch_weights",
    "track_score",
    "weak_scores",
]
