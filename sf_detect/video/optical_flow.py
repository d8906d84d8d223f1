"""Dense optical flow with OpenCV, and the same with the camera's own motion removed.

"Warped" flow (Wang and Schmid, "Action Recognition with Improved Trajectories", ICCV 2013) estimates the homography
between two frames from tracked corners and undoes it first, so that what remains is the motion of people.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError, UnknownNameError

FlowArray = npt.NDArray[np.float32]
METHODS = ("dis", "farneback")
#: Flow is cut at this many pixels and scaled to [-1, 1] for networks (Quo Vadis, section 2; TSN, section 4.1).
FLOW_BOUND = 20.0
#: Fewer tracked corners than this say nothing reliable about the camera.
_MIN_CORNERS = 12


def _grey(image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8:
        raise ConfigError(f"optical flow takes RGB images (H, W, 3) uint8, got {image.shape} {image.dtype}")
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def optical_flow(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8], method: str = "dis") -> FlowArray:
    """Where each pixel of one frame went in the next.

    Args:
        first, second: (H, W, 3) uint8 RGB, of one size, at least 12 pixels a side.
        method: "dis" (fast) or "farneback".

    Returns:
        (H, W, 2) float32, x and y displacement in pixels.

    Raises:
        ConfigError: The images are of another kind, or of different or too small sizes.
        UnknownNameError: No such method.
    """
    a, b = _pair(first, second)
    if method not in METHODS:
        raise UnknownNameError("optical flow method", method, METHODS)
    return _dense(a, b, method)


def scaled(flow: FlowArray) -> FlowArray:
    """Flow in pixels, cut at `FLOW_BOUND` and scaled to [-1, 1]: what networks are shown."""
    return np.clip(flow / np.float32(FLOW_BOUND), -1, 1)


def flow_clip(frames: npt.NDArray[np.uint8], method: str = "dis", *, warped: bool = False) -> FlowArray:
    """The flow stream's view of a clip: the flow from each frame to the next, scaled.

    Args:
        frames: (T, H, W, 3) uint8 RGB, two frames or more, in the size that the network sees.
        method: See `optical_flow`.
        warped: Remove the camera's motion, see `warped_flow`.

    Returns:
        (T, H, W, 2) float32 in [-1, 1], x and y; the last frame, which has no next one, repeats the flow before it.

    Raises:
        ConfigError: Fewer than two frames, or frames of another kind.
        UnknownNameError: No such method.
    """
    if len(frames) < 2:
        raise ConfigError(f"optical flow needs a clip of two frames or more, got {len(frames)}")
    between = warped_flow if warped else optical_flow
    flows = [scaled(between(a, b, method)) for a, b in pairwise(frames)]
    return np.stack([*flows, flows[-1]])


def camera_homography(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    """The 3 x 3 homography that takes pixels of the first frame to the second by the camera's motion.

    The identity where too few corners agree on one.
    """
    return _homography(*_pair(first, second))


def warped_flow(first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8], method: str = "dis") -> FlowArray:
    """`optical_flow` with the camera's motion removed.

    The second frame is warped back by the camera's homography; pixels that it does not cover show no motion.
    """
    a, b = _pair(first, second)
    if method not in METHODS:
        raise UnknownNameError("optical flow method", method, METHODS)
    homography = _homography(a, b)
    height, width = a.shape
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    steady = a.copy()
    cv2.warpPerspective(b, homography, (width, height), steady, flags, cv2.BORDER_TRANSPARENT)
    return _dense(a, np.asarray(steady, np.uint8), method)


def _pair(
    first: npt.NDArray[np.uint8], second: npt.NDArray[np.uint8]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    a, b = _grey(first), _grey(second)
    if a.shape != b.shape or min(a.shape) < 12:
        raise ConfigError(f"optical flow needs two frames of one size, 12 pixels at least, got {a.shape} and {b.shape}")
    return a, b


def _dense(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], method: str) -> FlowArray:
    start = np.zeros((*a.shape, 2), np.float32)
    if method == "dis":
        return np.asarray(cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM).calc(a, b, start), np.float32)
    return np.asarray(cv2.calcOpticalFlowFarneback(a, b, start, 0.5, 3, 15, 3, 5, 1.2, 0), np.float32)


def _homography(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8]) -> npt.NDArray[np.float64]:
    identity = np.eye(3)
    corners = cv2.goodFeaturesToTrack(a, 400, 0.01, 5)
    if corners is None or len(corners) < _MIN_CORNERS:
        return identity
    moved, found, _ = cv2.calcOpticalFlowPyrLK(a, b, corners, np.zeros_like(corners))
    kept = found.ravel() == 1
    if kept.sum() < _MIN_CORNERS:
        return identity
    homography, inliers = cv2.findHomography(corners[kept], moved[kept], cv2.RANSAC, 1.0)
    if homography is None or inliers.sum() < max(_MIN_CORNERS, 0.3 * kept.sum()):
        return identity
    return np.asarray(homography, np.float64)
