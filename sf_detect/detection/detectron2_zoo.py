"""Faster R-CNN of detectron2's model zoo in torchvision's modules, without detectron2.

torchvision has the same network with other details: it rounds anchors, derives their strides from the picture, pools
regions with RoIAlign's older convention, and resizes without antialiasing. Each of them moves boxes by up to several
pixels; here they are as detectron2 has them (R50, R101: strides in the 1 x 1 convolutions too).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN, FasterRCNN_ResNet50_FPN_Weights
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.backbone_utils import BackboneWithFPN
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.transform import GeneralizedRCNNTransform
from torchvision.models.resnet import Bottleneck, ResNet
from torchvision.ops import MultiScaleRoIAlign, roi_align
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool
from torchvision.ops.misc import FrozenBatchNorm2d

from sf_detect.detection.coco import CocoDetector
from sf_detect.detection.detectron2_weights import from_detectron2, read_detectron2
from sf_detect.detection.selection import Selection, require_images
from sf_detect.errors import UnknownNameError
from sf_detect.structures import Detections, UInt8Array
from sf_detect.weights.cache import Notify, print_to_terminal
from sf_detect.weights.checkpoint import check_fit
from sf_detect.weights.detector_table import detector_entry
from sf_detect.weights.fetching import fetch_detector
from sf_detect.weights.unfilled import unfilled

DEFAULT_SELECTION = Selection(score_threshold=0.5)
MIN_SIZE, MAX_SIZE = 800, 1333
"""Pixels that the shorter side is resized to, and that the longer one may have at most."""

_STRIDES = (4, 8, 16, 32, 64)
_ANCHOR_SIZES = (32, 64, 128, 256, 512)
_ASPECT_RATIOS = (0.5, 1.0, 2.0)
_MEAN = (103.53, 116.28, 123.675)  # BGR, 0..255
_SCORE_THRESHOLD = 0.05  # of the published figures


@dataclass(frozen=True)
class Architecture:
    """What the zoo's Faster R-CNNs differ in.

    Attributes:
        layers: Residual blocks of res2 to res5.
        groups, width_per_group: Of the 3 x 3 convolutions.
        stride_in_1x1: Whether a stage's stride is in its first 1 x 1 convolution.
        std: Of the pixels, BGR, 0..255.
        pyramid_channels, representation, num_classes: Sizes that all share.
    """

    layers: tuple[int, int, int, int]
    groups: int = 1
    width_per_group: int = 64
    stride_in_1x1: bool = True
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    pyramid_channels: int = 256
    representation: int = 1024
    num_classes: int = 80


ARCHITECTURES = {
    "faster_rcnn_R_50_FPN_3x": Architecture((3, 4, 6, 3)),
    "faster_rcnn_R_101_FPN_3x": Architecture((3, 4, 23, 3)),
    "faster_rcnn_X_101_32x8d_FPN_3x": Architecture(
        (3, 4, 23, 3), groups=32, width_per_group=8, stride_in_1x1=False, std=(57.375, 57.12, 58.395)
    ),
}
"""By detectron2's names of their configurations."""


class Anchors(AnchorGenerator):
    """detectron2's anchors: corners are not rounded, strides do not depend on the picture's size."""

    def generate_anchors(
        self,
        scales: list[int],
        aspect_ratios: list[float],
        dtype: torch.dtype = torch.float32,
        device: torch.device = torch.device("cpu"),  # noqa: B008  torchvision's signature
    ) -> Tensor:
        """(A, 4) xyxy around the origin, in pixels of the network's input."""
        sides = [((s * s / r) ** 0.5, r * (s * s / r) ** 0.5) for s in scales for r in aspect_ratios]
        corners = [[-w / 2, -h / 2, w / 2, h / 2] for w, h in sides]
        return torch.tensor(corners, dtype=dtype, device=device)

    def grid_anchors(self, grid_sizes: list[list[int]], strides: list[list[Tensor]]) -> list[Tensor]:
        """(N, 4) anchors of each level, positions in rows, from the corner (0, 0)."""
        fixed = [[torch.tensor(s, device=level[0].device)] * 2 for s, level in zip(_STRIDES, strides, strict=True)]
        return super().grid_anchors(grid_sizes, fixed)


def pyramid_levels(boxes: Tensor) -> Tensor:
    """(N,) which of P2 to P5 (0 to 3) the regions (N, 4) are pooled from: 224 pixels belong to P4."""
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    level = torch.floor(4 + torch.log2(area.sqrt() / 224 + 1e-8))
    return level.clamp(2, 5).to(torch.int64) - 2


class RoIAlignV2(MultiScaleRoIAlign):
    """RoIAlign with the half-pixel correction and as many samples per bin as it has pixels."""

    def forward(self, x: dict[str, Tensor], boxes: list[Tensor], image_shapes: list[tuple[int, int]]) -> Tensor:
        """(N, channels, 7, 7) features of all boxes of all images."""
        features = [x[name] for name in self.featmap_names]
        joined = torch.cat(boxes)
        index = torch.cat([b.new_full((len(b), 1), i) for i, b in enumerate(boxes)])
        regions, levels = torch.cat([index, joined], dim=1), pyramid_levels(joined)
        size = (int(self.output_size[0]), int(self.output_size[1]))
        pooled = features[0].new_zeros((len(regions), features[0].shape[1], *size))
        for level, (feature, stride) in enumerate(zip(features, _STRIDES, strict=False)):
            here = levels == level
            pooled[here] = roi_align(feature, regions[here], size, 1 / stride, sampling_ratio=0, aligned=True)
        return pooled


class _Normalise(GeneralizedRCNNTransform):
    """Subtracts, divides and pads; torchvision's own would resize once more whatever it is given."""

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        return image, target


def build_network(architecture: Architecture, score_threshold: float = _SCORE_THRESHOLD) -> FasterRCNN:
    """The network, randomly initialised; takes BGR images (3, H, W) of 0..255, which it does not resize."""
    body = ResNet(
        Bottleneck,
        list(architecture.layers),
        groups=architecture.groups,
        width_per_group=architecture.width_per_group,
        norm_layer=FrozenBatchNorm2d,
    )
    if architecture.stride_in_1x1:
        for stage in (body.layer2, body.layer3, body.layer4):
            stage[0].conv1.stride, stage[0].conv2.stride = (2, 2), (1, 1)
    channels = architecture.pyramid_channels
    levels = {f"layer{i + 1}": str(i) for i in range(4)}
    backbone = BackboneWithFPN(body, levels, [256, 512, 1024, 2048], channels, extra_blocks=LastLevelMaxPool())
    with torch.device("cpu"):  # anchors are constants: they stay real when the network is built on "meta"
        anchors = Anchors(tuple((s,) for s in _ANCHOR_SIZES), (_ASPECT_RATIOS,) * len(_ANCHOR_SIZES))
    network = FasterRCNN(
        backbone,
        rpn_anchor_generator=anchors,
        box_roi_pool=RoIAlignV2(["0", "1", "2", "3"], 7, 0),
        box_head=TwoMLPHead(channels * 7 * 7, architecture.representation),
        box_predictor=FastRCNNPredictor(architecture.representation, architecture.num_classes + 1),
        box_score_thresh=score_threshold,
    )
    # detectron2 keeps these in single precision, in a network of doubles too.
    mean, std = (np.asarray(values, np.float32).tolist() for values in (_MEAN, architecture.std))
    network.transform = _Normalise(MIN_SIZE, MAX_SIZE, mean, std)
    network.rpn.min_size = float(np.finfo(np.float32).tiny)  # only boxes without area go
    return network


def load_network(
    name: str,
    weights: str | Path | None = None,
    notify: Notify = print_to_terminal,
    score_threshold: float = _SCORE_THRESHOLD,
) -> nn.Module:
    """A detector of the zoo with its weights, in float32.

    Args:
        name: Of `ARCHITECTURES`.
        weights: A detectron2 checkpoint of this network; None downloads the published one on first use.
        notify: Receives notices and progress while fetching.
        score_threshold: The least that will be asked for; the network itself drops what is below the published 0.05,
            or below this where it is less.

    Raises:
        UnknownNameError: No such detector.
        WeightsDownloadError: The weights cannot be fetched.
        WeightsFormatError: The file is no detectron2 checkpoint.
        WeightsMismatchError: It is one of another network; the error lists how.
    """
    if name not in ARCHITECTURES:
        raise UnknownNameError("detectron2 detector", name, ARCHITECTURES)
    path = Path(weights) if weights is not None else fetch_weights(name, notify)
    network, state = _read_fitting(name, path, min(score_threshold, _SCORE_THRESHOLD))
    network.load_state_dict({k: v.to(torch.float32) for k, v in state.items()}, assign=True)
    return network.eval()


def fetch_weights(name: str, notify: Notify = print_to_terminal, urls: Sequence[str] = ()) -> Path:
    """The file of published weights; downloaded into the cache on first use, if it fits.

    Raises:
        WeightsDownloadError: It cannot be fetched, or what was fetched holds other weights.
    """

    def require_fit(path: Path) -> None:
        _read_fitting(name, path)

    return fetch_detector(detector_entry(name), notify, urls, require_fit)


def _read_fitting(
    name: str, path: Path, score_threshold: float = _SCORE_THRESHOLD
) -> tuple[nn.Module, dict[str, Tensor]]:
    """The network without values, and those of a file."""
    state = from_detectron2(read_detectron2(path))
    with unfilled():
        network = build_network(ARCHITECTURES[name], score_threshold)
    check_fit(state, network, f"the detector {name} (from {path})")
    return network, state


def categories() -> list[str]:
    """Name of each label: the background and COCO's 80 classes in detectron2's order."""
    return [name for name in FasterRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"] if name != "N/A"]


def resized(size: tuple[int, int], min_size: int = MIN_SIZE, max_size: int = MAX_SIZE) -> tuple[int, int]:
    """(height, width) that an image is resized to: the shorter side `min_size`, the longer at most `max_size`."""
    scale = min_size / min(size)
    height, width = (float(min_size) if side == min(size) else scale * side for side in size)
    if max(height, width) > max_size:
        scale = max_size / max(height, width)
        height, width = height * scale, width * scale
    return max(1, int(height + 0.5)), max(1, int(width + 0.5))


class Detectron2ZooDetector(CocoDetector):
    """A detector of detectron2's zoo as a `PersonDetector`.

    Args:
        network: Of `load_network`.
        selection: Which detections to keep; None takes the defaults.
        classes: Names of the categories to keep.
        device: Where the network runs.
        min_size, max_size: See `resized`.

    Raises:
        UnknownNameError: A class is not among the categories.
    """

    def __init__(
        self,
        network: nn.Module,
        selection: Selection | None = None,
        classes: Sequence[str] = ("person",),
        device: torch.device | str = "cpu",
        min_size: int = MIN_SIZE,
        max_size: int = MAX_SIZE,
    ) -> None:
        super().__init__(network, categories(), selection or DEFAULT_SELECTION, classes, device)
        self.min_size, self.max_size = min_size, max_size

    def __call__(self, images: Sequence[UInt8Array]) -> list[Detections]:
        """Persons of each RGB uint8 image (H, W, 3); see `PersonDetector`.

        Raises:
            ValueError: An image has another shape or type.
        """
        require_images(images)
        return [self._detect(image) for image in images]  # together, they would be padded to one size

    def _detect(self, image: UInt8Array) -> Detections:
        height, width = image.shape[:2]
        new = resized((height, width), self.min_size, self.max_size)
        with torch.inference_mode():
            (output,) = self.network([self._resized_input(image, new)])
        boxes = output["boxes"]
        scale = boxes.new_tensor([width / new[1], height / new[0]] * 2)
        return self._select({**output, "boxes": boxes * scale}, (height, width))

    def _resized_input(self, image: UInt8Array, size: tuple[int, int]) -> Tensor:
        """(3, height, width) BGR 0..255, resized with antialiasing in uint8."""
        small = Image.fromarray(image).resize((size[1], size[0]), Image.Resampling.BILINEAR)
        pixels = torch.from_numpy(np.asarray(small)[:, :, ::-1].copy()).to(self.device)
        return pixels.permute(2, 0, 1).to(next(self.network.parameters()).dtype)
