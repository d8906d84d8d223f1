"""Snippets of temporal segment networks."""

from __future__ import annotations

import numpy as np
import pytest

from sf_detect.data.snippets import (
    FRAMES,
    corner_crop,
    cropped,
    flipped,
    segment_clip,
    segment_starts,
    snippet,
)
from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.models.tsn import CHANNELS
from sf_detect.video.optical_flow import FLOW_BOUND


def test_testing_takes_the_middle_of_each_segment():
    assert segment_starts(90, 3, 1).tolist() == [15, 45, 75]


def test_training_takes_one_place_in_each_segment():
    rng = np.random.default_rng(0)
    draws = np.array([segment_starts(90, 3, 1, rng) for _ in range(200)])
    for k in range(3):
        assert draws[:, k].min() >= 30 * k
        assert draws[:, k].max() < 30 * (k + 1)
        assert len(np.unique(draws[:, k])) > 20


@pytest.mark.parametrize("frames", [1, 5, 6, 7, 100])
@pytest.mark.parametrize("rng", [None, np.random.default_rng(1)])
def test_snippets_stay_inside_the_video(frames, rng):
    starts = segment_starts(frames, 7, 6, rng)
    assert (np.diff(starts) >= 0).all()
    assert starts.min() >= 0
    assert starts.max() <= max(frames - 6, 0)


def test_counts_are_positive():
    with pytest.raises(ConfigError, match="positive, got 0, 3 and 1"):
        segment_starts(0, 3, 1)


@pytest.mark.parametrize("modality", FRAMES)
def test_channels_fit_the_network(modality):
    frames = np.random.default_rng(0).integers(0, 256, (FRAMES[modality], 24, 32, 3), np.uint8)
    image = snippet(frames, modality)
    assert image.shape == (24, 32, CHANNELS[modality])
    assert image.dtype == np.float32
    assert np.abs(image).max() <= 1


def test_differences_are_between_neighbours():
    frames = np.arange(6, dtype=np.uint8)[:, None, None, None] ** 2 * np.ones((1, 4, 5, 3), np.uint8)
    image = snippet(frames, "rgb_difference")
    np.testing.assert_allclose(image[0, 0, ::3] * 255, [1, 3, 5, 7, 9], atol=1e-4)


def test_still_frames_show_no_flow():
    frames = np.repeat(np.random.default_rng(0).integers(0, 256, (1, 24, 32, 3), np.uint8), 6, 0)
    assert np.abs(snippet(frames, "flow")).max() * FLOW_BOUND < 0.1


def test_wrong_snippets_are_refused():
    with pytest.raises(ConfigError, match="made of 6 frames"):
        snippet(np.zeros((5, 24, 32, 3), np.uint8), "flow")
    with pytest.raises(UnknownNameError, match="rgb_difference"):
        snippet(np.zeros((1, 24, 32, 3), np.uint8), "depth")


def test_crops_are_corners_and_the_centre_in_jittered_sizes():
    rng = np.random.default_rng(0)
    crops = {corner_crop((256, 340), rng) for _ in range(2000)}
    assert {(w, h) for *_, w, h in crops} == {
        (w, h)
        for i, w in enumerate((256, 224, 192, 168))
        for j, h in enumerate((256, 224, 192, 168))
        if abs(i - j) <= 1
    }
    for x, y, w, h in crops:
        assert (x, y) in {(0, 0), (340 - w, 0), (0, 256 - h), (340 - w, 256 - h), ((340 - w) // 2, (256 - h) // 2)}
    assert len({(x > 0, y > 0) for x, y, *_ in crops}) == 4


def test_crops_scale_with_the_frames():
    x, y, w, h = corner_crop((64, 85), np.random.default_rng(0))
    assert 0 <= x <= 85 - w
    assert 0 <= y <= 64 - h
    assert w in (64, 56, 48, 42)


def test_cropping_and_flipping():
    image = np.random.default_rng(0).random((20, 30, 15), np.float32)
    same = cropped(image, (5, 2, 12, 12), 12)
    np.testing.assert_allclose(same, image[2:14, 5:17], atol=1e-6)
    assert cropped(image, (0, 0, 20, 20), 10).shape == (10, 10, 15)
    flow = image[..., :10]
    mirrored = flipped(flow, "flow")
    np.testing.assert_array_equal(mirrored[..., 0], -flow[:, ::-1, 0])
    np.testing.assert_array_equal(mirrored[..., 1], flow[:, ::-1, 1])
    np.testing.assert_array_equal(flipped(image, "rgb_difference"), image[:, ::-1])


@pytest.mark.parametrize("modality", FRAMES)
def test_a_video_becomes_the_input_of_a_network(modality):
    video = np.random.default_rng(0).integers(0, 256, (20, 24, 32, 3), np.uint8)
    for rng in (None, np.random.default_rng(1)):
        clip = segment_clip(video, modality, 3, rng=rng, output=16)
        assert clip.shape == (CHANNELS[modality], 3, 16, 16)
        assert clip.dtype == np.float32
        assert np.isfinite(clip).all()


def test_testing_looks_at_the_centre_of_the_middle_of_each_segment():
    video = np.zeros((30, 32, 48, 3), np.uint8)
    video[[5, 15, 25], 2:30, 10:38] = np.array([50, 100, 150])[:, None, None, None]
    clip = segment_clip(video, "rgb", 3, output=28)
    for k, value in enumerate((50, 100, 150)):
        np.testing.assert_allclose(clip[:, k], value / 255, atol=1e-6)


def test_training_crops_and_mirrors_all_segments_alike():
    ramp = np.broadcast_to(np.arange(48, dtype=np.uint8)[None, None, :, None], (9, 32, 48, 3))
    rng = np.random.default_rng(0)
    clips = [segment_clip(ramp, "rgb", 3, rng=rng, output=8) for _ in range(20)]
    assert all(np.array_equal(clip[:, 0], clip[:, k]) for clip in clips for k in (1, 2))
    assert {bool(clip[0, 0, 0, 0] > clip[0, 0, 0, -1]) for clip in clips} == {True, False}


def test_a_video_shorter_than_a_snippet_stands_still():
    video = np.random.default_rng(0).integers(0, 256, (2, 24, 32, 3), np.uint8)
    clip = segment_clip(video, "rgb_difference", 2, output=16)
    assert np.abs(clip[:3]).max() > 0
    assert np.abs(clip[3:]).max() == 0
    with pytest.raises(UnknownNameError, match="rgb_difference"):
        segment_clip(video, "depth", 2)
    with pytest.raises(ConfigError, match="positive, got 0, 2 and 1"):
        segment_clip(video[:0], "rgb", 2)


def test_a_video_passes_a_network_of_its_modality():
    import torch

    from sf_detect.models.tsn import tsn

    video = np.random.default_rng(0).integers(0, 256, (12, 40, 40, 3), np.uint8)
    clip = torch.from_numpy(segment_clip(video, "warped_flow", 2, output=32))[None]
    network = tsn(3, modality="warped_flow", consensus="max").eval()
    with torch.no_grad():
        assert network([clip]).shape == (1, 1, 1, 1, 3)
