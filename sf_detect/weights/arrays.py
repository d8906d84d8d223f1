"""Weights as NumPy arrays, for whoever does without torch: safetensors alone, which is what ships with the package."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from sf_detect.errors import WeightsFormatError
from sf_detect.weights.safetensors_file import read_safetensors

SCALE = ".int8_scale"
"""Ending of the name under which a tensor of eight bits keeps its scales; see `quantised`."""


def read_arrays(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[np.float32]]:
    """All tensors of a safetensors file in float32; those stored in eight bits (`quantised`) are spread out.

    Raises:
        WeightsFormatError: The file can't be read, or holds numbers of a type that NumPy does not have.
    """
    try:
        stored, _ = read_safetensors(path, "np")
        return {
            name: _spread(name, array, stored.get(name + SCALE))
            for name, array in stored.items()
            if not _is_scale(name, stored)
        }
    except WeightsFormatError as error:
        raise WeightsFormatError(
            f"{error}. Expected the file that ships with the package; install sf_detect again, or use the backend "
            "torch."
        ) from error


def _is_scale(name: str, stored: dict[str, npt.NDArray]) -> bool:
    return name.endswith(SCALE) and name.removesuffix(SCALE) in stored


def _spread(name: str, array: npt.NDArray, scale: npt.NDArray | None) -> npt.NDArray[np.float32]:
    if array.dtype.kind not in ("f" if scale is None else "i"):
        raise WeightsFormatError(f"{name} holds {array.dtype}, expected floating point or eight bits with their scale")
    values = array.astype(np.float32)
    if scale is None:
        return values
    if scale.shape != array.shape[:1] or scale.dtype.kind != "f" or not np.isfinite(scale).all():
        raise WeightsFormatError(
            f"the scale {name + SCALE} {scale.shape} of {scale.dtype} does not fit {name} {array.shape}: expected one "
            "finite number for each row"
        )
    return values * scale.astype(np.float32).reshape(-1, *[1] * (array.ndim - 1))
