"""From any readable checkpoint to safetensors under our names."""

from __future__ import annotations

import os
from dataclasses import replace

import torch

from sf_detect.weights.checkpoint import Checkpoint, check_fit, read_checkpoint, write_safetensors
from sf_detect.weights.unfilled import unfilled
from sf_detect.zoo.table import entry


def convert_checkpoint(
    source: str | os.PathLike[str], destination: str | os.PathLike[str], model: str | None = None
) -> Checkpoint:
    """Writes a checkpoint as safetensors; where it came from, its epoch and its model go into the metadata.

    Args:
        source: A file of any readable format.
        destination: The file to write; it appears when it is complete.
        model: A name of the zoo, whose parameters the checkpoint must have exactly; None takes all that there is.

    Returns:
        What was written, with the notes of reading.

    Raises:
        UnknownNameError: No such model.
        WeightsFormatError: The source is no checkpoint, or the destination cannot be written.
        WeightsMismatchError: The weights do not fit the model; nothing is written.
    """
    shapes = None if model is None else _shapes(model)
    checkpoint = read_checkpoint(source)
    metadata = {**checkpoint.metadata, "converted_from": checkpoint.format}
    if checkpoint.epoch is not None:
        metadata["epoch"] = str(checkpoint.epoch)
    state = checkpoint.state
    if model is not None and shapes is not None:
        check_fit(state, shapes, f"{model} (from {checkpoint.source})")
        like = shapes.state_dict()
        state = {k: v.reshape(like[k].shape) for k, v in state.items()}
        metadata["model"] = model
    # Tensors that share memory, or are views of others, cannot be written as safetensors.
    state = {k: v.clone(memory_format=torch.contiguous_format) for k, v in state.items()}
    write_safetensors(state, destination, metadata)
    return replace(checkpoint, state=state, metadata=metadata)


def _shapes(model: str) -> torch.nn.Module:
    builder = entry(model).builder
    with unfilled():
        return builder()
