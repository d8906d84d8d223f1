"""What is in a checkpoint file: which models it fits and what is odd about it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from sf_detect.errors import WeightsFormatError, WeightsMismatchError
from sf_detect.weights.cache import sha256_of
from sf_detect.weights.checkpoint import Checkpoint, check_fit, read_checkpoint
from sf_detect.weights.unfilled import unfilled
from sf_detect.zoo import table as zoo
from sf_detect.zoo.trained import read_box_regression, read_thresholds, read_trained


@dataclass(frozen=True)
class Inspection:
    """What a checkpoint file holds.

    Attributes:
        file: Its path.
        bytes: Its size.
        sha256: Its hash, hexadecimal.
        format: See `Checkpoint.format`.
        fits: Names of the zoo's models whose parameters it has exactly; clip length and pooling leave no trace in
            the parameters, so there can be several.
        same_clip: Those of them whose clips are sampled as the file states; empty where it does not.
        nearest: Where none fits, how the nearest differs.
        parameters: Values, without the buffers of batch normalisation.
        tensors: Number of tensors.
        dtypes: Tensors by type of number.
        epoch: Training epoch, where the file says.
        metadata: Free text of a safetensors header.
        notes: What is odd: ignored blobs, values that are not finite, negative variances, tensors of zeros.
    """

    file: str
    bytes: int
    sha256: str
    format: str
    fits: list[str]
    same_clip: list[str]
    nearest: str | None
    parameters: int
    tensors: int
    dtypes: dict[str, int]
    epoch: int | None
    metadata: dict[str, str]
    notes: list[str]


def inspect_checkpoint(path: str | os.PathLike[str]) -> Inspection:
    """Looks into a checkpoint of any readable format.

    Raises:
        WeightsFormatError: The file cannot be read, or is no checkpoint.
    """
    checkpoint = read_checkpoint(path)
    differences = {name: _difference(checkpoint, name) for name in zoo.ZOO}
    fits = [name for name, difference in differences.items() if difference is None]
    dtypes = Counter(str(v.dtype).removeprefix("torch.") for v in checkpoint.state.values())
    return Inspection(
        file=str(path),
        bytes=Path(path).stat().st_size,
        sha256=sha256_of(Path(path)),
        format=checkpoint.format,
        fits=fits,
        nearest=None if fits else _nearest(differences),
        parameters=checkpoint.num_parameters,
        tensors=len(checkpoint.state),
        dtypes=dict(dtypes),
        epoch=checkpoint.epoch,
        metadata=checkpoint.metadata,
        same_clip=[name for name in fits if _clip(name) == checkpoint.metadata.get("clip")],
        notes=[*checkpoint.notes, *_odd(checkpoint, dtypes), *_misstated(path)],
    )


def _clip(name: str) -> str:
    spec = zoo.ZOO[name].clip_spec
    return f"{spec.num_frames}x{spec.sampling_rate}"


def _difference(checkpoint: Checkpoint, name: str) -> WeightsMismatchError | None:
    with unfilled():
        network = zoo.ZOO[name].builder()
    try:
        check_fit(checkpoint.state, network, name)
    except WeightsMismatchError as error:
        return error
    return None


def _nearest(differences: dict[str, WeightsMismatchError | None]) -> str | None:
    found = [(_distance(e), n, e) for n, e in differences.items() if e]
    if not found:
        return None
    _, name, error = min(found, key=lambda item: item[0])
    kinds = {
        "missing": error.missing,
        "unexpected": error.unexpected,
        "of another shape": error.wrong_shape,
        "of another type": error.wrong_type,
    }
    return f"{name}: " + "; ".join(
        f"{len(names)} {kind} ({', '.join(names[:3])}{', ...' if len(names) > 3 else ''})"
        for kind, names in kinds.items()
        if names
    )


def _misstated(path: str | os.PathLike[str]) -> list[str]:
    """Why a file cannot be used, in spite of its weights, for what its metadata says."""
    notes = []
    for read in (read_trained, read_thresholds, read_box_regression):
        try:
            read(path)
        except WeightsFormatError as error:
            notes.append(str(error))
    return notes


def _distance(error: WeightsMismatchError) -> int:
    return len(error.missing) + len(error.unexpected) + len(error.wrong_shape) + len(error.wrong_type)


def _odd(checkpoint: Checkpoint, dtypes: dict[str, int]) -> list[str]:
    notes = []
    low = {name: count for name, count in dtypes.items() if name in ("float16", "bfloat16", "float64")}
    if low:
        notes.append(f"not single precision: {', '.join(f'{count} tensors {name}' for name, count in low.items())}")
    zero = [k for k, v in checkpoint.state.items() if k.endswith(".weight") and v.ndim > 1 and not bool(v.any())]
    if zero:
        notes.append(f"{len(zero)} weights are all zero: {', '.join(zero[:5])}{', ...' if len(zero) > 5 else ''}")
    return notes
