"""One contract over every person detector, with weights that were made up."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from sf_detect.detection import Selection, WholeFrameDetector
from sf_detect.detection.coco import CocoDetector
from sf_detect.detection.ssdlite_engine import torch_engine
from sf_detect.detection.ssdlite_person import SSDLitePersonDetector
from sf_detect.interfaces import PersonDetector
from sf_detect.structures import UInt8Array

SIZES = {
    "one pixel": (1, 1),
    "small": (144, 176),
    "wide": (90, 320),
    "tall": (320, 60),
    "odd": (101, 67),
    "strip": (8, 2000),
    "pole": (2000, 3),
}


class AnyBoxes(nn.Module):
    """Stands for a torchvision network: boxes anywhere, persons and others, in no order."""

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        results = []
        for image in images:
            height, width = image.shape[1:]
            generator = torch.Generator().manual_seed(height * 1000 + width)
            corners = torch.rand(40, 2, 2, generator=generator).sort(dim=1).values * 1.4 - 0.2
            boxes = (corners * torch.tensor([width, height])).reshape(-1, 4)
            labels = torch.randint(0, 3, (40,), generator=generator)
            results.append({"boxes": boxes, "scores": torch.rand(40, generator=generator), "labels": labels})
        return results


class AnyPersons(nn.Module):
    """Stands for SSDLite: a thousand overlapping boxes, other ones for other pictures."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        assert x.shape[1:] == (3, 300, 300)
        assert -1 <= float(x.min()) <= float(x.max()) <= 1
        boxes, scores = zip(*map(self._one, x), strict=True)
        return torch.stack(boxes), torch.stack(scores)

    @staticmethod
    def _one(image: Tensor) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(round(float(image.double().mean()) * 1e6) + 10**7)
        corners = torch.rand(1000, 2, 2, generator=generator).sort(dim=1).values * 1.4 - 0.2
        return corners.reshape(-1, 4), torch.rand(1000, generator=generator)


def ssdlite(threshold: float) -> PersonDetector:
    return SSDLitePersonDetector(torch_engine(AnyPersons()), Selection(threshold), tile="auto")


def coco(threshold: float) -> PersonDetector:
    return CocoDetector(AnyBoxes(), ["__background__", "person", "bicycle"], Selection(threshold))


DETECTORS: dict[str, Callable[[float], PersonDetector]] = {
    "ssdlite_person": ssdlite,
    "torchvision": coco,
    "whole_frame": lambda threshold: WholeFrameDetector(),
}


@pytest.fixture(scope="module", params=DETECTORS)
def build(request: pytest.FixtureRequest) -> Callable[[float], PersonDetector]:
    return DETECTORS[request.param]


@pytest.fixture(scope="module")
def detector(build: Callable[[float], PersonDetector]) -> PersonDetector:
    return build(0.5)


def picture(size: tuple[int, int], seed: int = 0) -> UInt8Array:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)


def test_is_a_person_detector(detector: PersonDetector) -> None:
    assert isinstance(detector, PersonDetector)


def test_no_images(detector: PersonDetector) -> None:
    assert detector([]) == []


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES.keys())
def test_boxes_are_clipped_sorted_and_typed(detector: PersonDetector, size: tuple[int, int]) -> None:
    (persons,) = detector([picture(size)])
    height, width = size
    assert persons.boxes.dtype == np.float32
    assert persons.scores.dtype == np.float32
    assert persons.track_ids is None
    assert (persons.boxes >= 0).all()
    assert (persons.boxes <= [width, height, width, height]).all()
    assert (persons.boxes[:, 2:] > persons.boxes[:, :2]).all()
    assert (np.diff(persons.scores) <= 0).all()
    assert ((persons.scores >= 0.5) & (persons.scores <= 1)).all()


def test_a_batch_of_differing_sizes_gives_what_single_images_give(detector: PersonDetector) -> None:
    images = [picture(size, i) for i, size in enumerate(SIZES.values())]
    together = detector(images)
    assert len(together) == len(images)
    for image, persons in zip(images, together, strict=True):
        (alone,) = detector([image])
        assert len(persons) == len(alone)
        np.testing.assert_allclose(persons.boxes, alone.boxes, atol=1e-2)
        np.testing.assert_allclose(persons.scores, alone.scores, atol=1e-4)


def test_no_persons(build: Callable[[float], PersonDetector]) -> None:
    detector = build(1.0)
    if isinstance(detector, WholeFrameDetector):
        pytest.skip("always sees one")
    (persons,) = detector([picture((144, 176))])
    assert len(persons) == 0
    assert persons.boxes.shape == (0, 4)


def test_images_are_left_alone_and_may_be_views(detector: PersonDetector) -> None:
    image = picture((144, 176))
    kept = image.copy()
    detector([image[:, ::-1]])
    np.testing.assert_array_equal(image, kept)


def test_images_of_another_kind(detector: PersonDetector) -> None:
    with pytest.raises(ValueError, match=r"\(H, W, 3\) uint8"):
        detector([picture((10, 10)).astype(np.float32)])
