"""The port gives what detectron2 gives, in double precision, on weights that both can make up.

The expected values are detectron2's own (0.6, commit 02b5c4e2, its modules on PyTorch 2.15), run with the casts to
single precision taken out of its `Boxes`, `Box2BoxTransform` and NMS. With them, detectron2 rounds boxes to 3e-5 px.
"""

from __future__ import annotations

import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_detectron2 import TINY, detectron2_names, shapes
from torch import Tensor
from torchvision.models.detection import FasterRCNN

from sf_detect.detection import detectron2_zoo as zoo
from sf_detect.detection.detectron2_weights import from_detectron2
from sf_detect.structures import UInt8Array

RESNEXT = replace(TINY, groups=2, stride_in_1x1=False, std=zoo.ARCHITECTURES["faster_rcnn_X_101_32x8d_FPN_3x"].std)
# x1, y1, x2, y2, score, label of the best six of a hundred.
EXPECTED = {
    "R": (
        (77.924635159, 0.000000000, 89.590547447, 25.014754383, 0.999997785536, 71),
        (23.977601172, 28.683876924, 60.073740924, 34.398338316, 0.999978342519, 66),
        (1.319628028, 31.663174197, 9.316762025, 52.356514554, 0.999946728262, 71),
        (34.222231477, 29.166913882, 43.997767686, 49.247557305, 0.999935173864, 71),
        (0.000000000, 5.914004962, 30.890542496, 42.861490673, 0.999879946014, 50),
        (2.669528194, 1.291215049, 13.624898444, 8.631821491, 0.999802599061, 71),
    ),
    "X": (
        (17.059586776, 0.000000000, 82.160150972, 42.638689423, 0.787397083971, 50),
        (10.914415986, 13.382928975, 75.533887661, 58.508393361, 0.711754891187, 50),
        (0.000000000, 4.368537097, 26.350396407, 20.839889956, 0.339126434618, 39),
        (0.000000000, 30.517480276, 27.024186059, 47.125722366, 0.321766275103, 39),
        (0.000000000, 37.235054726, 20.617239359, 49.516956464, 0.313665726675, 39),
        (0.000000000, 3.708114720, 18.988437561, 15.810033735, 0.313093295588, 39),
    ),
}


def values(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Weights that depend on the name alone, of a size that gives many confident boxes."""
    x = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)
    if name.endswith("running_var"):
        return 1 + 0.2 * np.abs(x)
    if name.endswith("norm.weight"):
        return 1 + 0.1 * x
    if len(shape) == 1:
        return 0.1 * x
    scales = {"stem": 1 / 30, "anchor_deltas": 0.3, "objectness": 3.0, "cls_score": 12.0, "bbox_pred": 2.0}
    return x / np.sqrt(np.prod(shape[1:])) * next((s for part, s in scales.items() if part in name), 1.0)


def image() -> UInt8Array:
    y, x = np.mgrid[:60, :90]
    channels = [127 + 120 * np.sin(x / (5 + c) + c) * np.cos(y / (7 - c)) for c in range(3)]
    return np.stack(channels, axis=-1).round().astype(np.uint8)


def network(architecture: zoo.Architecture) -> FasterRCNN:
    expected = shapes(architecture)
    state = {
        name: torch.from_numpy(values(name, expected[name]).astype(np.float32))
        for name in detectron2_names(architecture.layers)
    }
    built = zoo.build_network(architecture)
    built.load_state_dict(from_detectron2(state), strict=True)
    return built.double().eval()


@pytest.mark.parametrize(("kind", "architecture"), [("R", TINY), ("X", RESNEXT)])
def test_boxes_are_detectron2s(kind: str, architecture: zoo.Architecture) -> None:
    detector = zoo.Detectron2ZooDetector(network(architecture), min_size=128)
    seen: list[dict[str, Tensor]] = []
    detector.network.register_forward_hook(lambda module, inputs, outputs: seen.extend(outputs))
    detector([image()])
    (found,) = seen
    expected = torch.tensor(EXPECTED[kind], dtype=torch.float64)
    assert len(found["scores"]) == 100
    scale = torch.tensor([90 / 192, 60 / 128] * 2, dtype=torch.float64)
    torch.testing.assert_close(found["boxes"][:6] * scale, expected[:, :4], rtol=0, atol=1e-6)
    torch.testing.assert_close(found["scores"][:6], expected[:, 4], rtol=0, atol=1e-9)
    assert found["labels"][:6].tolist() == expected[:, 5].tolist()
