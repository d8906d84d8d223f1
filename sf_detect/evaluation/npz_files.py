"""Arrays of numbers and text out of an `.npz`, whose claims are compared with its size before memory is taken."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.zip_files import member_named, open_archive

_KINDS = "biufUS"
_LARGEST_CHARACTER = 0x10FFFF


def read_npz(path: Path, names: Iterable[str]) -> list[npt.NDArray]:
    """The arrays of these names.

    Raises:
        ValueError: The file cannot be read or is damaged, lacks one, or holds something else under its name.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")
    try:
        with open_archive(path) as archive:
            return [_member(archive, f"{name}.npy") for name in names]
    except Exception as error:  # damaged archives and headers raise nearly anything
        raise ValueError(f"{error}" or type(error).__name__) from error


def _member(archive: zipfile.ZipFile, name: str) -> npt.NDArray:
    info = member_named(archive, name)
    with archive.open(info) as file:
        version = np.lib.format.read_magic(file)
        if version not in ((1, 0), (2, 0)):
            raise ValueError(f"{name} is of version {version}, expected 1.0 or 2.0")
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        if dtype.kind not in _KINDS or not dtype.itemsize:
            raise ValueError(f"{name} holds {dtype}, expected numbers or text")
        content = file.read()
    if any(n < 0 for n in shape) or len(content) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{name} claims the shape {shape} of {dtype}, but holds {len(content)} bytes")
    if (
        dtype.kind == "U"
        and (np.frombuffer(content, f"{dtype.byteorder.replace('=', '<')}u4") > _LARGEST_CHARACTER).any()
    ):
        raise ValueError(f"{name} holds impossible characters")
    return np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C").copy()
