"""torchvision's detectors: names, loading, class filter; no weights are downloaded."""

from __future__ import annotations

import copy
from pathlib import Path
from urllib.error import URLError

import numpy as np
import pytest
import torch
import torchvision.models as zoo
from safetensors.torch import save_file
from torch import Tensor, nn

from sf_detect.detection import Selection, coco
from sf_detect.detection.coco import CocoDetector, load_coco_network
from sf_detect.errors import UnknownNameError, WeightsDownloadError, WeightsFormatError, WeightsMismatchError

NAME = "ssdlite320_mobilenet_v3_large"  # the smallest


@pytest.fixture(scope="module")
def built() -> nn.Module:
    torch.manual_seed(0)
    return zoo.get_model(NAME, weights=None, weights_backbone=None)


@pytest.fixture
def state(built: nn.Module, monkeypatch: pytest.MonkeyPatch) -> dict[str, Tensor]:
    """A state dict of the right kind; building the network, which takes long, becomes copying it."""
    monkeypatch.setattr(zoo, "get_model", lambda name, **_: copy.deepcopy(built))
    return {key: value + 1 if value.is_floating_point() else value for key, value in built.state_dict().items()}


def test_names_are_torchvisions() -> None:
    assert {"fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2", "retinanet_resnet50_fpn", NAME} <= set(
        coco.names()
    )


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_local_state_dict(tmp_path: Path, state: dict[str, Tensor], suffix: str) -> None:
    file = tmp_path / f"w{suffix}"
    if suffix == ".pth":
        torch.save({"model": state}, file)
    else:
        save_file({key: value.contiguous() for key, value in state.items()}, file)
    network, categories = load_coco_network(NAME, file)
    assert categories[1] == "person"
    torch.testing.assert_close(network.state_dict(), state)
    (persons,) = CocoDetector(network, categories, Selection(0.0, max_persons=5))(
        [torch.zeros(40, 60, 3).byte().numpy()]
    )
    assert len(persons) <= 5


@pytest.mark.parametrize(("size", "taken"), [((3, 5000), (20, 5000)), ((5000, 1), (5000, 20)), ((40, 60), (40, 60))])
def test_a_picture_that_would_shrink_to_nothing_gets_a_border(size: tuple[int, int], taken: tuple[int, int]) -> None:
    class Recorder(nn.Module):
        def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
            self.shapes = [tuple(image.shape) for image in images]
            box = torch.tensor([[0.0, 0.0, size[1], size[0] + 0.5]])
            return [{"boxes": box, "labels": torch.ones(1), "scores": torch.ones(1)}]

    network = Recorder()
    (persons,) = CocoDetector(network, ["__background__", "person"])([torch.zeros(*size, 3).byte().numpy()])
    assert network.shapes == [(3, *taken)]
    assert persons.boxes.tolist() == [[0, 0, size[1], size[0]]]


def test_weights_of_frozen_batch_norms_count_no_batches(tmp_path: Path, state: dict[str, Tensor]) -> None:
    frozen = {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}
    torch.save(frozen, tmp_path / "w.pth")
    load_coco_network(NAME, tmp_path / "w.pth")


def test_another_networks_weights(tmp_path: Path, state: dict[str, Tensor]) -> None:
    key = sorted(state)[0]
    torch.save({**{k: v for k, v in state.items() if k != key}, "extra": torch.zeros(1)}, tmp_path / "w.pth")
    with pytest.raises(WeightsMismatchError, match=f"1 missing: {key}; 1 unexpected: extra"):
        load_coco_network(NAME, tmp_path / "w.pth")
    torch.save({**state, key: torch.zeros(273)}, tmp_path / "w.pth")
    with pytest.raises(WeightsMismatchError, match=r"1 of another shape: .*\(273,\) instead of"):
        load_coco_network(NAME, tmp_path / "w.pth")


class Dangerous:
    """Would run code if it were unpickled."""

    def __reduce__(self) -> tuple:
        return (exec, ("raise SystemExit('code of the checkpoint was run')",))


def test_files_that_are_no_state_dict(tmp_path: Path) -> None:
    file = tmp_path / "w.pth"
    with pytest.raises(WeightsFormatError, match=r"w\.pth cannot be read"):
        load_coco_network(NAME, file)
    file.write_text("not weights")
    with pytest.raises(WeightsFormatError, match=r"w\.pth cannot be read"):
        load_coco_network(NAME, file)
    torch.save(Dangerous(), file)
    with pytest.raises(WeightsFormatError, match=r"w\.pth cannot be read"):
        load_coco_network(NAME, file)
    torch.save([1, 2], file)
    with pytest.raises(WeightsFormatError, match="hold a list"):
        load_coco_network(NAME, file)
    file = tmp_path / "w.safetensors"
    file.write_text("not weights")
    with pytest.raises(WeightsFormatError, match=r"w\.safetensors cannot be read"):
        load_coco_network(NAME, file)


def test_unknown_name() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'fasterrcnn_resnet50_fpn'"):
        load_coco_network("fasterrcnn_resnet50")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """torch.hub's folder of checkpoints, empty, and no network."""
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    folder = tmp_path / "checkpoints"
    folder.mkdir()

    def refuse(*_: object, **__: object) -> None:
        raise URLError("Name or service not known")

    monkeypatch.setattr(torch.hub, "urlopen", refuse)
    return folder


def test_offline_says_what_to_do(hub: Path) -> None:
    notices: list[str] = []
    with pytest.raises(
        WeightsDownloadError, match=r"Name or service not known.*--set detector.weights=FILE.*ssdlite_person"
    ):
        load_coco_network(NAME, notify=notices.append)
    assert notices == [f"fetching the weights of {NAME} (13 MB, once)"]


def test_a_damaged_download_is_removed_and_fetched_again(hub: Path) -> None:
    file = hub / "ssdlite320_mobilenet_v3_large_coco-a79551df.pth"
    file.write_bytes(b"damaged")
    notices: list[str] = []
    with pytest.raises(WeightsDownloadError):
        load_coco_network(NAME, notify=notices.append)
    assert "damaged" in notices[0]
    assert not file.exists()


class TwoClasses(nn.Module):
    """A person and a dog."""

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        boxes = torch.tensor([[0.0, 0, 5, 9], [5, 0, 9, 9]])
        return [{"boxes": boxes, "scores": torch.tensor([0.9, 0.8]), "labels": torch.tensor([2, 1])} for _ in images]


def test_class_filter() -> None:
    categories, image = ["__background__", "person", "dog"], torch.zeros(9, 9, 3).byte().numpy()
    (persons,) = CocoDetector(TwoClasses(), categories)([image])
    assert persons.boxes.tolist() == [[5, 0, 9, 9]]
    (both,) = CocoDetector(TwoClasses(), categories, classes=("person", "dog"))([image])
    assert len(both) == 2
    with pytest.raises(UnknownNameError, match="unknown detector class 'cat'"):
        CocoDetector(TwoClasses(), categories, classes=("cat",))


def test_weights_beside_numpy_and_in_safetensors_of_any_name(tmp_path: Path, state: dict[str, Tensor]) -> None:
    torch.save({"model": state, "best": np.float64(0.5)}, tmp_path / "w.pth")
    load_coco_network(NAME, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.bin")
    load_coco_network(NAME, tmp_path / "w.bin")


def test_weights_that_are_no_floating_point_are_refused(tmp_path: Path, state: dict[str, Tensor]) -> None:
    key = sorted(state)[0]
    torch.save({**state, key: state[key].bool()}, tmp_path / "w.pth")
    with pytest.raises(WeightsMismatchError, match=f"1 of another type: {key} bool instead of float32"):
        load_coco_network(NAME, tmp_path / "w.pth")
