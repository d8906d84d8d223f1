"""Weights as NumPy arrays, for whoever does without torch: safetensors alone, which is what ships with the package."""

from __future__ import annotations

import os

import numpy as np
import numpy.typing as npt

from sf_detect.errors import WeightsFormatError

SCALE = ".int8_scale"
"""Ending of the name under which a tensor of eight bits keeps its scales; see `quantised`."""


def read_arrays(path: str | os.PathLike[str]) -> dict[str, npt.NDArray[np.float32]]:
    """All tensors of a safetensors file in float32; those stored in eight bits (`quantised`) are spread out.

    Raises:
        WeightsFormatError: The file can't be read, or holds numbers of a type that NumPy does not have.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(os.fspath(path), "np") as file:
            stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise WeightsFormatError(
            f"{path} is not readable as safetensors: {error}. Expected the file that ships with the package; install "
            "sf_detect again, or use the backend torch."
        ) from error
    return {
        name: _spread(array, stored.get(name + SCALE)) for name, array in stored.items() if not _is_scale(name, stored)
    }


def _is_scale(name: str, stored: dict[str, npt.NDArray]) -> bool:
    return name.endswith(SCALE) and name.removesuffix(SCALE) in stored


def _spread(array: npt.NDArray, scale: npt.NDArray | None) -> npt.NDArray[np.float32]:
    values = array.astype(np.float32)
    return values if scale is None else values * scale.astype(np.float32).reshape(-1, *[1] * (array.ndim - 1))
