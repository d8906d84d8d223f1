"""Optical flow and its camera-compensated form, on pictures whose motion is known."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.video.optical_flow import (
    FLOW_BOUND,
    METHODS,
    camera_homography,
    flow_clip,
    optical_flow,
    scaled,
    warped_flow,
)


def texture(height: int = 96, width: int = 128, seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).integers(0, 256, (height // 4, width // 4, 3), np.uint8)
    return cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC)


def moved(image: np.ndarray, dx: float, dy: float) -> np.ndarray:
    matrix = np.array([[1, 0, dx], [0, 1, dy]], float)
    return cv2.warpAffine(image, matrix, image.shape[1::-1], borderMode=cv2.BORDER_REFLECT)


@pytest.mark.parametrize("method", METHODS)
def test_a_shift_is_found(method):
    image = texture()
    flow = optical_flow(image, moved(image, 3, -2), method)
    assert flow.shape == (96, 128, 2)
    assert flow.dtype == np.float32
    np.testing.assert_allclose(np.median(flow[20:-20, 20:-20], (0, 1)), [3, -2], atol=0.3)


def test_nothing_moves_between_equal_frames():
    assert np.abs(optical_flow(texture(), texture())).max() < 0.1


def test_the_camera_is_found():
    image = texture()
    homography = camera_homography(image, moved(image, 4, 2))
    np.testing.assert_allclose(homography, [[1, 0, 4], [0, 1, 2], [0, 0, 1]], atol=0.15)


def test_warped_flow_keeps_the_person_and_drops_the_camera():
    background, person = texture(), texture(32, 32, seed=1)
    first, second = background.copy(), moved(background, 4, 2)
    first[32:64, 48:80] = person
    second[32:64, 42:74] = person  # against the camera
    plain, warped = optical_flow(first, second), warped_flow(first, second)
    border = np.s_[8:24, 8:40]
    np.testing.assert_allclose(np.median(plain[border], (0, 1)), [4, 2], atol=0.5)
    np.testing.assert_allclose(np.median(warped[border], (0, 1)), [0, 0], atol=0.3)
    inside = np.median(warped[42:54, 58:70], (0, 1))
    np.testing.assert_allclose(inside, [-10, -2], atol=1.5)


def test_without_texture_the_camera_stands_still():
    flat = np.full((48, 64, 3), 90, np.uint8)
    assert np.array_equal(camera_homography(flat, flat), np.eye(3))
    assert np.abs(warped_flow(flat, flat)).max() < 0.1


def test_a_clips_flow_is_scaled_and_as_long_as_the_clip():
    image = texture()
    frames = np.stack([image, moved(image, 4, -2), moved(image, 8, -4)])
    flow = flow_clip(frames)
    assert flow.shape == (3, 96, 128, 2)
    assert flow.dtype == np.float32
    np.testing.assert_allclose(np.median(flow[:, 20:-20, 20:-20], (1, 2)) * FLOW_BOUND, [[4, -2]] * 3, atol=0.4)
    np.testing.assert_array_equal(flow[2], flow[1])
    np.testing.assert_allclose(np.median(flow_clip(frames, warped=True), (0, 1, 2)), [0, 0], atol=0.02)


def test_large_motion_is_cut_at_the_bound():
    flow = np.array([[[-50.0, 10.0], [20.0, 0.5]]], np.float32)
    assert scaled(flow).tolist() == [[[-1.0, 0.5], [1.0, pytest.approx(0.025)]]]


def test_a_single_frame_has_no_flow():
    with pytest.raises(ConfigError, match="two frames or more, got 1"):
        flow_clip(texture()[None])


def test_wrong_images_are_refused():
    with pytest.raises(ConfigError, match=r"got \(48, 64\) and \(48, 32\)"):
        optical_flow(np.zeros((48, 64, 3), np.uint8), np.zeros((48, 32, 3), np.uint8))
    with pytest.raises(ConfigError, match=r"uint8, got \(48, 64\)"):
        optical_flow(np.zeros((48, 64), np.uint8), np.zeros((48, 64), np.uint8))
    for function in (optical_flow, warped_flow):
        with pytest.raises(UnknownNameError, match="farneback"):
            function(texture(), texture(), "raft")
