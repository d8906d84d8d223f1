"""Pickles of NumPy arrays, as Caffe2, detectron2 and flax publish weights."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from sf_detect import pickles
from sf_detect.errors import WeightsFormatError


def load_arrays(data: bytes) -> Any:
    """The content of a pickle of NumPy arrays, in latin1 (Python 2 wrote the public ones).

    Raises:
        WeightsFormatError: It is no pickle, is damaged, or asks for anything but arrays.
    """
    try:
        return pickles.read(data)
    except pickles.RefusedNameError as error:
        raise WeightsFormatError(
            f"the pickle asks for {error.name}, which is not a NumPy array and could run code; it was not read"
        ) from error
    except pickle.UnpicklingError as error:
        raise WeightsFormatError(f"not a readable pickle: {error}") from error


def to_tensor(value: object, name: str, path: Path) -> Tensor:
    """A blob of a pickle as a tensor.

    Raises:
        WeightsFormatError: It is not an array of numbers.
    """
    try:
        array = pickles.array_of(value)
    except ValueError as error:
        raise WeightsFormatError(
            f"blob {name!r} of {path} is not an array of numbers: {error}. Expected arrays by name."
        ) from error
    if array.dtype.kind not in "fiu":
        raise WeightsFormatError(
            f"blob {name!r} of {path} is not an array of numbers, got dtype {array.dtype}. Expected arrays by name."
        )
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))
