"""RGB pictures in the form that encoders of SD video take: Y'CbCr 4:2:0 by BT.601, limited range.

FFmpeg's converter has no fast path for it: it takes as long as half of the encoding.
"""

from __future__ import annotations

import av
import cv2
import numpy as np

from sf_detect.structures import UInt8Array
from sf_detect.threads import limited_threads

_CHROMA_SCALE = 224 / 255
_CHROMA_OFFSET = 128 * (1 - _CHROMA_SCALE)


class Yuv420Converter:
    """Converts pictures, one after the other; what is needed in between is kept for the next of the same size."""

    def __init__(self) -> None:
        self._planes: UInt8Array = np.empty((0, 0), np.uint8)

    def __call__(self, image: UInt8Array) -> av.VideoFrame:
        """A frame of the format yuv420p.

        Args:
            image: (H, W, 3) uint8 RGB, H and W even.

        Returns:
            A frame with memory of its own. Its colours are the mean of four pixels each.
        """
        height, width = image.shape[:2]
        if self._planes.shape != (height * 3 // 2, width):
            self._planes = np.empty((height * 3 // 2, width), np.uint8)
        with limited_threads(1):
            cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420, dst=self._planes)
            self._mean_colours(image)
        return av.VideoFrame.from_ndarray(self._planes, format="yuv420p")

    def _mean_colours(self, image: UInt8Array) -> None:
        """Replaces the colours, which OpenCV takes from one pixel of four: thin lines would change theirs."""
        height, width = image.shape[0] // 2, image.shape[1] // 2
        small = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
        _, red, blue = cv2.split(cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb))
        cb, cr = self._planes.reshape(-1)[4 * height * width :].reshape(2, height, width)
        for full, limited in ((blue, cb), (red, cr)):
            cv2.convertScaleAbs(full, dst=limited, alpha=_CHROMA_SCALE, beta=_CHROMA_OFFSET)
