"""Memory for pictures that is used again once nobody holds it.

A video is a stream of arrays of one size, made in one thread and let go in another. The C library keeps such blocks
apart by thread and fills the gaps between them badly: over ten minutes the process grows by a quarter, and memory that
it gives back to the system in between comes again page by page. Blocks that circulate do neither.
"""

from __future__ import annotations

import sys

import numpy as np

from sf_detect.structures import UInt8Array

MOST_BYTES = 256_000_000
"""Most bytes that one object keeps for further pictures."""


class PictureBuffers:
    """Arrays for pictures, used again once nobody else refers to them, not even through a view.

    Who holds an array may keep it as long as they like. One thread at a time may ask for arrays; any may let them go.
    Where the interpreter does not count references exactly (PyPy, free-threaded builds), every array is new.

    Args:
        most_bytes: Most bytes of arrays that are kept; beyond them arrays are new and not kept.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._arrays: list[UInt8Array] = []

    def empty(self, shape: tuple[int, ...]) -> UInt8Array:
        """An array of that shape whose values are arbitrary."""
        if self._arrays and self._arrays[0].shape != shape:
            self._arrays = []
        for i in range(len(self._arrays) if _UNSHARED else 0):
            if sys.getrefcount(self._arrays[i]) == _UNSHARED:
                return self._arrays[i]
        array: UInt8Array = np.empty(shape, np.uint8)
        if _UNSHARED and (len(self._arrays) + 1) * array.nbytes <= self._most_bytes:
            self._arrays.append(array)
        return array

    def copy(self, picture: UInt8Array) -> UInt8Array:
        """A copy of a picture, (H, W, 3) or any other shape."""
        array = self.empty(picture.shape)
        np.copyto(array, picture)
        return array


def _count_when_unshared() -> int:
    """What `sys.getrefcount` says of an array that only a list refers to; 0 where it can't be relied on."""
    if not hasattr(sys, "getrefcount") or not getattr(sys, "_is_gil_enabled", lambda: True)():
        return 0
    arrays = [np.empty(0, np.uint8)]
    return sys.getrefcount(arrays[0])


_UNSHARED = _count_when_unshared()
