"""detectron2's zoo in torchvision's modules: names, classes, anchors, levels, pooling, resizing; random weights."""

from __future__ import annotations

import dataclasses
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from tiny_detectron2 import TINY, detectron2_names, shapes
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList

from sf_detect.detection import Selection, build_detector, detector_names, fetch_weights
from sf_detect.detection import detectron2_zoo as zoo
from sf_detect.detection.detectron2_weights import from_detectron2, read_detectron2
from sf_detect.detection.detectron2_zoo import ARCHITECTURES, Detectron2ZooDetector, build_network
from sf_detect.errors import UnknownNameError, WeightsDownloadError, WeightsFormatError, WeightsMismatchError
from sf_detect.weights import cache, download, fetching

NAME = "tiny"
BLOCKS = {name: a.layers for name, a in {**ARCHITECTURES, NAME: TINY}.items()}


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> dict[str, np.ndarray]:
    """Random weights of a small network under detectron2's names; the small network is a zoo entry."""
    monkeypatch.setitem(ARCHITECTURES, NAME, TINY)
    torch.manual_seed(0)
    arrays = {}
    for name, shape in shapes(TINY).items():
        values = torch.randn(shape) * (0.05 if len(shape) > 1 else 0.1)
        arrays[name] = (values.abs() + 1 if name.endswith(("norm.weight", "running_var")) else values).numpy()
    return arrays


def write(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    path.write_bytes(pickle.dumps({"model": arrays, "__author__": "Detectron2 Model Zoo"}, protocol=2))
    return path


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_name_of_the_zoo_has_its_place(name: str) -> None:
    with torch.device("meta"):
        wanted = build_network(ARCHITECTURES[name]).state_dict()
    names = detectron2_names(BLOCKS[name])
    assert {next(iter(from_detectron2({n: torch.zeros(4)}))) for n in names} == set(wanted)
    assert len(names) == len(wanted)
    assert wanted["roi_heads.box_predictor.bbox_pred.weight"].shape == (324, 1024)
    assert wanted["backbone.body.layer1.0.conv2.weight"].shape == (
        (256, 8, 3, 3) if "X_101" in name else (64, 64, 3, 3)
    )


def test_strides_and_pixels_differ_between_families() -> None:
    with torch.device("meta"):
        r50, x101 = (
            build_network(ARCHITECTURES[n]) for n in ("faster_rcnn_R_50_FPN_3x", "faster_rcnn_X_101_32x8d_FPN_3x")
        )
    for network, strides in ((r50, ((2, 2), (1, 1))), (x101, ((1, 1), (2, 2)))):
        block = network.backbone.body["layer3"][0]
        assert (block.conv1.stride, block.conv2.stride) == strides
        assert network.backbone.body["layer1"][0].conv2.stride == (1, 1)
    assert tuple(r50.transform.image_mean) == pytest.approx((103.53, 116.28, 123.675))
    assert tuple(r50.transform.image_std) == (1, 1, 1)
    assert tuple(x101.transform.image_std) == pytest.approx((57.375, 57.12, 58.395))


def test_background_comes_first_and_has_no_box() -> None:
    prefix = "roi_heads.box_predictor."
    state = from_detectron2(
        {
            f"{prefix}cls_score.weight": torch.arange(81.0)[:, None].repeat(1, 2),
            f"{prefix}cls_score.bias": torch.arange(81.0),
            f"{prefix}bbox_pred.weight": torch.arange(1.0, 321)[:, None].repeat(1, 2),
            f"{prefix}bbox_pred.bias": torch.arange(1.0, 321),
        }
    )
    for leaf in ("weight", "bias"):
        scores, boxes = (state[f"{prefix}{head}.{leaf}"].reshape(-1, 2 if leaf == "weight" else 1)[:, 0] for head in
                         ("cls_score", "bbox_pred"))  # fmt: skip
        assert scores.tolist() == [80, *range(80)]
        assert boxes.tolist() == [0, 0, 0, 0, *range(1, 321)]


def test_loading_is_strict(tiny: dict[str, np.ndarray], tmp_path: Path) -> None:
    zoo.load_network(NAME, write(tmp_path / "w.pkl", tiny))
    extra = {**tiny, "pixel_mean": np.zeros(3), "proposal_generator.anchor_generator.cell_anchors.0": np.zeros((3, 4))}
    zoo.load_network(NAME, write(tmp_path / "w.pkl", extra))
    with pytest.raises(WeightsMismatchError, match=r"1 unexpected: roi_heads\.mask_head\.x"):
        zoo.load_network(NAME, write(tmp_path / "w.pkl", {**tiny, "roi_heads.mask_head.x": np.zeros(3)}))
    less = {k: v for k, v in tiny.items() if k != "backbone.fpn_lateral3.bias"}
    with pytest.raises(WeightsMismatchError, match=r"1 missing: backbone\.fpn\.inner_blocks\.1\.0\.bias"):
        zoo.load_network(NAME, write(tmp_path / "w.pkl", less))
    fewer = {**tiny, "roi_heads.box_predictor.cls_score.bias": np.zeros(5, np.float32)}
    with pytest.raises(WeightsMismatchError, match=r"cls_score\.bias \(5,\) instead of \(81,\)"):
        zoo.load_network(NAME, write(tmp_path / "w.pkl", fewer))


def test_formats_are_told_by_content(tiny: dict[str, np.ndarray], tmp_path: Path) -> None:
    expected = read_detectron2(write(tmp_path / "a.pth", tiny))
    tensors = {k: torch.from_numpy(v) for k, v in tiny.items()}
    torch.save({"model": tensors, "iteration": 5}, tmp_path / "b.pkl")
    save_file(tensors, tmp_path / "c.pkl")
    for file in ("b.pkl", "c.pkl"):
        torch.testing.assert_close(read_detectron2(tmp_path / file), expected, rtol=0, atol=0)


class Dangerous:
    def __reduce__(self) -> tuple:
        return (exec, ("raise SystemExit('code of the checkpoint was run')",))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickle.dumps({"model": {"a": Dangerous()}}), r"builtins\.exec"),
        (pickle.dumps({"blobs": {"conv1_w": np.zeros(3)}}), "an ImageNet backbone, not a detector"),
        (pickle.dumps([1]), "holds list"),
        (pickle.dumps({"model": {"a": np.array(["text"])}}), "not an array of numbers"),
        (b"<html>", "not a readable pickle"),
        (b"", "not a readable pickle"),
        (None, "No such file"),
    ],
)
def test_files_that_are_no_detector(tmp_path: Path, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / "w.pkl").write_bytes(content)
    with pytest.raises(WeightsFormatError, match=message):
        read_detectron2(tmp_path / "w.pkl")


def test_anchors_are_not_rounded_and_strides_are_fixed() -> None:
    anchors = build_network(TINY).rpn.anchor_generator
    for cell, size in zip(anchors.cell_anchors, (32, 64, 128, 256, 512), strict=True):
        widths, heights = (cell[:, 2] - cell[:, 0]).double(), (cell[:, 3] - cell[:, 1]).double()
        torch.testing.assert_close(heights / widths, torch.tensor([0.5, 1, 2]).double(), rtol=1e-6, atol=0)
        torch.testing.assert_close(widths * heights, torch.full((3,), float(size**2)).double(), rtol=1e-6, atol=0)
        torch.testing.assert_close(cell[:, :2], -cell[:, 2:])
    assert anchors.cell_anchors[0][0].tolist() == pytest.approx([-22.627417, -11.3137085, 22.627417, 11.3137085])
    # A picture of 800 x 800 has 13 rows at P6, which torchvision takes for a stride of 61.
    features = [torch.zeros(1, 8, -(-800 // s), -(-800 // s)) for s in (4, 8, 16, 32, 64)]
    (boxes,) = anchors(ImageList(torch.zeros(1, 3, 800, 800), [(800, 800)]), features)
    p6 = boxes[-3 * 13 * 13 :].reshape(13, 13, 3, 4)
    centres = (p6[..., :2] + p6[..., 2:]) / 2
    torch.testing.assert_close(centres[:, 0, 0, 1], torch.arange(13.0) * 64)
    torch.testing.assert_close(centres[0, :, 2, 0], torch.arange(13.0) * 64)


def test_levels_of_regions() -> None:
    sides = torch.tensor([1.0, 111, 112, 223, 224, 447, 448, 5000])
    boxes = torch.stack([torch.zeros(8), torch.zeros(8), sides, sides], dim=1)
    assert zoo.pyramid_levels(boxes).tolist() == [0, 0, 1, 1, 2, 2, 3, 3]
    assert zoo.pyramid_levels(torch.tensor([[0.0, 0, 448, 112], [5, 5, 5, 9]])).tolist() == [2, 0]
    assert zoo.pyramid_levels(torch.zeros(0, 4)).tolist() == []


def test_regions_are_pooled_with_the_half_pixel_correction() -> None:
    # On a ramp, each bin's mean is the coordinate of its centre; pixel i of stride s covers s * i to s * (i + 1).
    features = {}
    for key, stride in zip("0123", (4, 8, 16, 32), strict=True):
        x = torch.arange(1024 // stride, dtype=torch.float64)
        features[key] = torch.stack([x.expand(len(x), -1), x[:, None].expand(-1, len(x))]).repeat(2, 1, 1, 1)
    boxes = [
        torch.tensor([[40.0, 80, 101, 131], [100, 200, 430, 420]]).double(),
        torch.tensor([[64.0, 64, 700, 800]]).double(),
    ]
    pooled = zoo.RoIAlignV2(["0", "1", "2", "3"], 7, 0)({**features, "pool": torch.zeros(1)}, boxes, [])
    assert pooled.shape == (3, 2, 7, 7)
    for box, level, result in zip(torch.cat(boxes), (4, 16, 32), pooled, strict=True):
        share = (torch.arange(7, dtype=torch.float64) + 0.5) / 7
        x = (box[0] + share * (box[2] - box[0])) / level - 0.5
        y = (box[1] + share * (box[3] - box[1])) / level - 0.5
        torch.testing.assert_close(result[0], x.expand(7, 7), rtol=0, atol=1e-9)
        torch.testing.assert_close(result[1], y[:, None].expand(7, 7), rtol=0, atol=1e-9)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((480, 640), (800, 1067)),
        ((640, 480), (1067, 800)),
        ((1080, 1920), (750, 1333)),
        ((720, 1280), (750, 1333)),
        ((800, 800), (800, 800)),
        ((1, 5000), (1, 1333)),
        ((333, 500), (800, 1201)),
    ],
)
def test_sizes(size: tuple[int, int], expected: tuple[int, int]) -> None:
    assert zoo.resized(size) == expected


class Recorder(nn.Module):
    """Keeps its input and finds one person in the left half, one dog in the right."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[Tensor] = []

    def forward(self, images: list[Tensor]) -> list[dict[str, Tensor]]:
        self.seen += images
        height, width = images[0].shape[1:]
        boxes = torch.tensor([[0.0, 0, width / 2, height], [width / 2, 0, width, height]])
        return [{"boxes": boxes, "scores": torch.tensor([0.9, 0.8]), "labels": torch.tensor([1, 17])}]


def test_pixels_go_in_as_bgr_resized_by_pillow_and_boxes_come_back_in_the_frame() -> None:
    image = np.random.default_rng(0).integers(0, 256, (30, 50, 3), np.uint8)
    network = Recorder()
    (persons,) = Detectron2ZooDetector(network, min_size=60, max_size=90)([image])
    np.testing.assert_allclose(persons.boxes, [[0, 0, 25, 30]], rtol=1e-6)
    (seen,) = network.seen
    expected = np.asarray(Image.fromarray(image).resize((90, 54), Image.Resampling.BILINEAR))[:, :, ::-1]
    assert seen.dtype == torch.float32
    np.testing.assert_array_equal(seen.permute(1, 2, 0).numpy(), expected)
    (both,) = Detectron2ZooDetector(network, classes=("person", "dog"))([image])
    assert len(both) == 2
    with pytest.raises(UnknownNameError, match="unknown detector class 'unicorn'"):
        Detectron2ZooDetector(network, classes=("unicorn",))


def test_the_network_does_not_resize() -> None:
    images, _ = build_network(TINY).eval().transform([torch.full((3, 40, 50), 130.0)])
    assert images.image_sizes == [(40, 50)]
    assert images.tensors.shape == (1, 3, 64, 64)
    torch.testing.assert_close(images.tensors[0, :, 0, 0], torch.tensor([26.47, 13.72, 6.325]))
    assert not images.tensors[0, :, 40:].any()


def test_end_to_end(tiny: dict[str, np.ndarray], tmp_path: Path) -> None:
    tiny["roi_heads.box_predictor.cls_score.bias"] = np.full(81, -3, np.float32)
    tiny["roi_heads.box_predictor.cls_score.bias"][0] = 3  # person; the background is the last of 81
    network = zoo.load_network(NAME, write(tmp_path / "w.pkl", tiny))
    assert not network.training
    image = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)
    detector = Detectron2ZooDetector(network, Selection(0.3), min_size=64)
    (persons,) = detector([image])
    assert len(persons) > 0
    assert (persons.boxes >= 0).all()
    assert (persons.boxes[:, 2] <= 64).all()
    assert (persons.boxes[:, 3] <= 48).all()
    other = np.zeros((80, 40, 3), np.uint8)
    again = detector([other, image])[1]
    np.testing.assert_array_equal(again.boxes, persons.boxes)
    exact = Detectron2ZooDetector(network.double(), Selection(0.3), min_size=64)([image])[0]
    assert len(exact) == len(persons)
    np.testing.assert_allclose(exact.scores, persons.scores, atol=1e-4)
    np.testing.assert_allclose(exact.boxes, persons.boxes, atol=1e-2)


def test_what_does_not_fit_is_not_kept(
    tiny: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(cache.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(download.MIRROR_VARIABLE, raising=False)
    name = "faster_rcnn_R_50_FPN_3x"
    file = str(write(tmp_path / "w.pkl", tiny))  # a smaller network than that of the name
    with pytest.raises(WeightsDownloadError, match=rf"do not fit the detector {name}"):
        fetch_weights(name, urls=(file,))
    assert not [p for p in (tmp_path / "cache").iterdir() if p.suffix != ".lock"]
    monkeypatch.setitem(ARCHITECTURES, name, TINY)
    assert fetch_weights(name, urls=(file,)).is_file()


def test_by_name(tiny: dict[str, np.ndarray], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "faster_rcnn_R_50_FPN_3x"
    assert name in detector_names()
    monkeypatch.setitem(ARCHITECTURES, name, TINY)
    file = write(tmp_path / "w.pkl", tiny)
    detector = build_detector(name, weights=file, score_threshold=0.02, max_persons=3)
    assert isinstance(detector, Detectron2ZooDetector)
    assert detector.selection == dataclasses.replace(zoo.DEFAULT_SELECTION, score_threshold=0.02, max_persons=3)
    assert detector.network.roi_heads.score_thresh == 0.02
    asked: list[tuple] = []

    def fetch(*arguments: object) -> Path:
        asked.append(arguments)
        return file

    monkeypatch.setattr(fetching, "fetch_url", fetch)
    assert build_detector(name).network.roi_heads.score_thresh == 0.05
    ((urls, cached_as, *_),) = asked
    assert urls[0].endswith(f"/{name}/137849458/model_final_280758.pkl")
    assert cached_as == f"{name}-model_final_280758.pkl"
    with pytest.raises(UnknownNameError, match="Did you mean 'faster_rcnn_R_50_FPN_3x'"):
        zoo.load_network("faster_rcnn_R_50_FPN_1x")


def test_two_names_of_one_parameter_are_refused() -> None:
    name = "backbone.fpn_lateral2.bias"
    state = {name: torch.zeros(3), "backbone.fpn.inner_blocks.0.0.bias": torch.ones(3)}
    with pytest.raises(WeightsFormatError, match=f"both '{name}' and .* stand for the parameter"):
        from_detectron2(state)


def test_arrays_that_hide_their_size_are_refused(tmp_path: Path, tiny: dict[str, np.ndarray]) -> None:
    key = "roi_heads.box_predictor.bbox_pred.weight"
    path = write(tmp_path / "w.pkl", {**tiny, key: np.zeros((0, 1 << 40), np.float32)})
    with pytest.raises(WeightsFormatError, match="impossible shape"):
        read_detectron2(path)
    with pytest.raises(WeightsMismatchError, match=f"1 of another type: {key.replace('.', '[.]')}|another shape"):
        zoo.load_network(NAME, write(tmp_path / "w.pkl", {**tiny, key: np.ones((320, 16), np.int8)}))
