"""Pickles read without running code: containers, numbers, text and arrays of numbers.

`read` understands the opcodes itself and calls nothing but stand-ins of its own, so that no class of Python or NumPy is
ever within reach of a file.
"""

from sf_detect.pickles.arrays import Unread, array_of, read
from sf_detect.pickles.machine import RefusedNameError

__all__ = ["RefusedNameError", "Unread", "array_of", "read"]
