"""The adapter of the real detectron2: with a stand-in, and with the library itself where it is installed."""

from __future__ import annotations

import sys
import types
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sf_detect.detection import build_detector
from sf_detect.errors import ConfigError, UnknownNameError, WeightsError

CONFIG = "COCO-Detection/faster_rcnn_R_50_FPN_3x.yaml"


class Instances(SimpleNamespace):
    def to(self, device: str) -> Instances:
        assert device == "cpu"
        return self


@pytest.fixture
def detectron2(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """A stand-in with the few names that the adapter uses; returns what they were given."""
    seen = SimpleNamespace(settings=None, images=[], fail=None)

    class Settings(SimpleNamespace):
        def merge_from_file(self, path: str) -> None:
            if "missing" in path:
                raise RuntimeError(f"{path} not available in Model Zoo!")
            self.merged = path

    def get_cfg() -> Settings:
        model = SimpleNamespace(WEIGHTS="of-the-file", ROI_HEADS=SimpleNamespace(), RETINANET=SimpleNamespace())
        return Settings(MODEL=model, DATASETS=SimpleNamespace(TRAIN=("coco",)))

    class DefaultPredictor:
        def __init__(self, settings: Settings) -> None:
            if seen.fail:
                raise AssertionError(seen.fail)
            seen.settings = settings

        def __call__(self, image: np.ndarray) -> dict[str, Instances]:
            seen.images.append(image)
            boxes = SimpleNamespace(tensor=torch.tensor([[0.0, 0, 5, 9], [1, 1, 4, 4], [5, 0, 9, 9]]))
            scores, classes = torch.tensor([0.9, 0.2, 0.8]), torch.tensor([0, 0, 1])
            return {"instances": Instances(pred_boxes=boxes, scores=scores, pred_classes=classes)}

    modules = {
        "detectron2": {},
        "detectron2.model_zoo": {
            "get_config_file": lambda name: f"zoo/{name}",
            "get_checkpoint_url": lambda name: f"https://zoo/{name}.pkl",
        },
        "detectron2.config": {"get_cfg": get_cfg},
        "detectron2.data": {"MetadataCatalog": {"coco": {"thing_classes": ["person", "dog"]}}},
        "detectron2.engine": {"DefaultPredictor": DefaultPredictor},
    }
    for name, content in modules.items():
        module = types.ModuleType(name)
        module.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, module)
    sys.modules["detectron2"].model_zoo = sys.modules["detectron2.model_zoo"]
    return seen


def test_a_configuration_of_its_zoo(detectron2: SimpleNamespace) -> None:
    detector = build_detector(f"detectron2:{CONFIG}", score_threshold=0.3)
    assert detectron2.settings.merged == f"zoo/{CONFIG}"
    assert detectron2.settings.MODEL.WEIGHTS == "https://zoo/COCO-Detection/faster_rcnn_R_50_FPN_3x.yaml.pkl"
    assert detectron2.settings.MODEL.DEVICE == "cpu"
    assert detectron2.settings.MODEL.ROI_HEADS.SCORE_THRESH_TEST == 0.3
    image = np.random.default_rng(0).integers(0, 256, (9, 9, 3), np.uint8)
    (persons,) = detector([image])
    assert persons.boxes.tolist() == [[0, 0, 5, 9]]
    np.testing.assert_array_equal(detectron2.images[0], image[:, :, ::-1])
    (both,) = build_detector(f"detectron2:{CONFIG}", classes=("person", "dog"))([image])
    assert len(both) == 2


def test_a_configuration_and_weights_of_ones_own(detectron2: SimpleNamespace, tmp_path: Path) -> None:
    file = tmp_path / "own.yaml"
    file.touch()
    build_detector(f"detectron2:{file}")
    assert (detectron2.settings.merged, detectron2.settings.MODEL.WEIGHTS) == (str(file), "of-the-file")
    build_detector(f"detectron2:{file}", weights="own.pth")
    assert detectron2.settings.MODEL.WEIGHTS == "own.pth"


def test_what_detectron2_refuses(detectron2: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match=r"does not accept the configuration missing: .*not available in Model Zoo"):
        build_detector("detectron2:missing")
    with pytest.raises(UnknownNameError, match="unknown detector class 'cat'"):
        build_detector(f"detectron2:{CONFIG}", classes=("cat",))
    detectron2.fail = "Checkpoint x.pkl not found!"
    with pytest.raises(WeightsError, match=r"cannot build .*: Checkpoint x\.pkl not found"):
        build_detector(f"detectron2:{CONFIG}")


def test_without_detectron2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "detectron2", None)
    message = r"needs detectron2, which cannot be imported .*detectron2\.readthedocs\.io/.*faster_rcnn_R_50_FPN_3x"
    with pytest.raises(ConfigError, match=message):
        build_detector(f"detectron2:{CONFIG}")


def test_the_real_one_refuses_unknown_configurations() -> None:
    pytest.importorskip("detectron2")
    with pytest.raises(ConfigError, match="does not accept"):
        build_detector("detectron2:COCO-Detection/none.yaml")


def test_selection_is_checked_first(detectron2: SimpleNamespace) -> None:
    with pytest.raises(ConfigError, match="score threshold"):
        build_detector(f"detectron2:{CONFIG}", score_threshold=3)
    assert detectron2.settings is None
