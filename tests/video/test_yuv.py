"""Colours for the encoder, against the formulas of BT.601 and against FFmpeg."""

from __future__ import annotations

import av
import numpy as np
import pytest
from av.video.reformatter import Colorspace, VideoReformatter

from sf_detect.video.yuv import Yuv420Converter

RED, BLUE = 0.299, 0.114


def planes(frame: av.VideoFrame) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    assert frame.format.name == "yuv420p"
    height, width = frame.height, frame.width
    flat = frame.to_ndarray().reshape(-1)
    luma, chroma = flat[: height * width], flat[height * width :].reshape(2, height // 2, width // 2)
    return luma.reshape(height, width), chroma[0], chroma[1]


def by_formula(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """ITU-R BT.601-7, sections 2.5.1 to 2.5.3; colours of the mean of four pixels."""

    def luma_of(rgb: np.ndarray) -> np.ndarray:
        return rgb @ [RED, 1 - RED - BLUE, BLUE]

    height, width = image.shape[:2]
    small = image.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
    luma = luma_of(small)
    cb, cr = (small[..., 2] - luma) / (2 * (1 - BLUE)), (small[..., 0] - luma) / (2 * (1 - RED))
    return 16 + luma_of(image) * 219 / 255, 128 + cb * 224 / 255, 128 + cr * 224 / 255


def pictures() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    smooth = np.linspace(0, 255, 48 * 64 * 3).reshape(48, 64, 3).astype(np.uint8)
    lines = np.zeros((48, 64, 3), np.uint8)
    lines[:, ::2], lines[:, 1::2] = (255, 0, 0), (0, 0, 255)
    return {
        "noise": rng.integers(0, 256, (48, 64, 3), np.uint8),
        "smooth": smooth,
        "lines": lines,
        "lines across": np.ascontiguousarray(lines[:, :48].transpose(1, 0, 2)),
        "black": np.zeros((2, 2, 3), np.uint8),
        "white": np.full((480, 640, 3), 255, np.uint8),
    }


@pytest.mark.parametrize("name", pictures())
def test_planes_are_those_of_the_standard(name: str) -> None:
    image = pictures()[name]
    for found, expected in zip(planes(Yuv420Converter()(image)), by_formula(image), strict=True):
        assert np.abs(found - expected).max() <= 1.6


@pytest.mark.parametrize("name", ["smooth", "black", "white"])  # it filters over more pixels than four
def test_planes_are_those_of_ffmpeg(name: str) -> None:
    image = pictures()[name]
    frame = VideoReformatter().reformat(
        av.VideoFrame.from_ndarray(image, format="rgb24"),
        format="yuv420p",
        dst_colorspace=Colorspace.ITU601,
        dst_color_range=1,
    )
    for found, expected in zip(planes(Yuv420Converter()(image)), planes(frame), strict=True):
        gap = np.abs(found.astype(int) - expected)
        assert gap.max() <= 3
        assert gap.mean() < 1


def test_frames_stay_when_the_next_is_made() -> None:
    convert = Yuv420Converter()
    first = convert(np.zeros((4, 6, 3), np.uint8))
    convert(np.full((4, 6, 3), 255, np.uint8))
    assert planes(first)[0].max() == 16


def test_other_sizes_and_views() -> None:
    convert, rng = Yuv420Converter(), np.random.default_rng(1)
    for size in ((4, 6), (8, 2), (4, 6)):
        image = rng.integers(0, 256, (*size, 6), np.uint8)[..., ::2]
        expected = by_formula(np.ascontiguousarray(image))
        for found, wanted in zip(planes(convert(np.ascontiguousarray(image))), expected, strict=True):
            assert np.abs(found - wanted).max() <= 1.6
