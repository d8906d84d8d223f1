"""A number burnt into a picture that survives video coding, to tell which frame of a source an output shows.

16 blocks of 16 x 16 pixels from the upper left corner to the right, white is 1, most significant first: 12 bits of the
number, 4 bits of a checksum, the sum of its three nibbles modulo 16.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

BLOCK, BITS, MODULUS = 16, 16, 4096
WIDTH = BLOCK * BITS


def draw(image: npt.NDArray[np.uint8], number: int) -> None:
    """Writes `number` modulo 4096 into an image (H, W, 3) or (H, W), at least 256 pixels wide, in place."""
    number %= MODULUS
    word = number << 4 | _checksum(number)
    for bit in range(BITS):
        image[:BLOCK, bit * BLOCK : (bit + 1) * BLOCK] = 255 if word >> (BITS - 1 - bit) & 1 else 0


def read(image: npt.NDArray[np.uint8]) -> int | None:
    """The number in an image (H, W, 3) or (H, W); None where the checksum does not fit."""
    if image.shape[0] < BLOCK or image.shape[1] < WIDTH:
        return None
    grey = image[:BLOCK, :WIDTH].astype(np.float32)
    if grey.ndim == 3:
        grey = grey.mean(axis=2)
    middles = grey.reshape(BLOCK, BITS, BLOCK)[4:12, :, 4:12].mean(axis=(0, 2))
    word = int("".join("1" if value > 127 else "0" for value in middles), 2)
    number = word >> 4
    return number if word & 15 == _checksum(number) else None


def _checksum(number: int) -> int:
    # 5 keeps a black picture from being a number.
    return (5 + (number >> 8) + (number >> 4 & 15) + (number & 15)) & 15
