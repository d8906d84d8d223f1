"""What torch computes for the weights that are used by default, so that backends can be checked without it.

`tools/engine_references.py` writes the file, a test compares it with torch.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from sf_detect.engines.selection import Network, sample

REFERENCES = Path(__file__).with_name("references.json")


def expected_outputs(name: str, weights: str, settings: Mapping[str, str]) -> dict[str, list[float]] | None:
    """Sampled outputs (`selection.sample`) of a network's example; None where none are kept.

    Args:
        name, weights, settings: As of `selection.Network`.
    """
    kept = _references().get(name, {})
    if (kept.get("weights"), kept.get("settings")) != (weights, dict(settings)):
        return None
    outputs: dict[str, list[float]] = kept["outputs"]
    return outputs


@lru_cache(maxsize=1)
def _references() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(REFERENCES.read_text(encoding="utf-8")) if REFERENCES.is_file() else {}
    return found


def write_references(networks: Iterable[Network]) -> None:
    """Runs networks in torch and keeps what they compute."""
    found = {}
    for network in networks:
        outputs = sample(network.torch().run(network.example()))
        rounded = {name: [float(f"{value:.7g}") for value in values] for name, values in outputs.items()}
        found[network.name] = {"weights": network.weights, "settings": dict(network.settings), "outputs": rounded}
    REFERENCES.write_text(
        json.dumps(found, sort_keys=True, indent=None, separators=(",", ":")) + "\n", encoding="utf-8"
    )
