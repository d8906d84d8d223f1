"""Writes a trained network as the file that ships: batch normalisation merged, eight bits, described by metadata."""

from __future__ import annotations

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sf_detect.models.slowfast_tiny import ALPHA, SlowFastTiny, slowfast_tiny
from sf_detect.weights.checkpoint import load_into, write_safetensors
from sf_detect.weights.quantised import dequantise, quantise

#: What a predictor needs to know; the file's metadata states it once more for readers of the file alone.
INPUT = {
    "num_frames": 12,
    "sampling_rate": 2,
    "fps": 25,
    "alpha": ALPHA,
    "slow_index_rule": "last",
    "short_side": 160,
    "mean": [0.5, 0.5, 0.5],
    "std": [0.5, 0.5, 0.5],
    "channel_order": "rgb",
    "activation": "softmax_or_none",
    "causal": True,
    "roi_align_aligned": True,
}


def export(network: SlowFastTiny, path: Path, labels: list[str], facts: Mapping[str, Any]) -> SlowFastTiny:
    """Writes `path` and returns the folded network that a reader of the file gets.

    Args:
        network: with batch normalisation or folded; left as it is.
        labels: one per class.
        facts: further metadata, anything JSON can hold.
    """
    folded = copy.deepcopy(network).fold_batch_norm()
    stored = quantise(folded.state_dict())
    stated = {**INPUT, "causal": network.causal}
    metadata = {"format": "pt", "labels": json.dumps(labels), "input": json.dumps(stated)}
    metadata |= {name: value if isinstance(value, str) else json.dumps(value) for name, value in facts.items()}
    write_safetensors(stored, path, metadata)
    folded.load_state_dict({name: tensor.float() for name, tensor in dequantise(stored).items()})
    return folded


def load_shipped(path: Path, num_classes: int = 21) -> SlowFastTiny:
    """The network of a file written by `export`, in eval mode and float32.

    Raises:
        WeightsError: The file cannot be read, or holds another network.
    """
    network = slowfast_tiny(num_classes)
    load_into(network, path)
    return network.eval()
