"""Everything that takes a device, on a GPU: `pytest -m gpu`.

SF_DETECT_TEST_DEVICE names another device. With "cpu" the tests compare the CPU with itself, which tries the tests.
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_actions import tiny, write_custom

from sf_detect import build
from sf_detect.build_classifier import build_classifier
from sf_detect.config import ModelConfig, RunConfig
from sf_detect.config_files import load_config
from sf_detect.detection import detectron2_zoo
from sf_detect.detection.coco import CocoDetector
from sf_detect.detection.ssdlite import SSDLite
from sf_detect.detection.ssdlite_engine import example, torch_engine
from sf_detect.models.torch_action_engines import TorchActionEngines
from sf_detect.structures import Clip, Detections
from sf_detect.training import clips
from sf_detect.training.clips_recipe import ClipsRecipe
from sf_detect.training.report import Report
from sf_detect.zoo.table import entry, load_network
from synthetic_video import write_video

DEVICE = os.environ.get("SF_DETECT_TEST_DEVICE", "cuda")
ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.gpu,
    pytest.mark.timeout(600),
    pytest.mark.skipif(DEVICE != "cpu" and not torch.cuda.is_available(), reason="torch sees no CUDA device"),
]
#: One network of each family, and the side of the pictures it is shown.
SCORE_PERSONS = {
    "slowfast_tiny_jhmdb": 112,
    "i3d_jhmdb": 112,
    "ava_slow_4x16_r50": 96,
    "ava_slowfast_8x8_r50": 96,
    "ava_slowfast_8x8_r101_nl": 96,
}
CLASSIFY = {
    "k400_slowfast_4x16_r50": 224,
    "k400_i3d_nl_8x8_r50": 224,
    "k400_c2d_8x8_r50": 224,
    "k400_x3d_s": 160,
    "k400_inception_i3d": 224,
    "k400_two_stream": 224,
    "k400_convnet_lstm": 224,
    "s1m_c3d": 112,
    "k400_tsn_bninception": 224,
}


@pytest.fixture(autouse=True)
def full_precision() -> Iterator[None]:
    """TF32, torch's default for convolutions on a GPU, keeps 10 bits of each factor: figures agree to 1e-3 then."""
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        yield


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    """Smooth pictures: noise alone is averaged away by the first layers."""
    generator = torch.Generator().manual_seed(seed)
    rough = torch.rand(shape[0] * shape[1], 3, 6, 8, generator=generator) * 255
    smooth = torch.nn.functional.interpolate(rough, shape[2:4], mode="bilinear")
    return smooth.permute(0, 2, 3, 1).reshape(*shape, 3).to(torch.uint8).numpy()


def network(name: str) -> torch.nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        chosen = entry(name)
        return load_network(name, None if chosen.backbone else chosen.shipped)


def close(found: object, expected: object, tolerance: float = 1e-4) -> None:
    found, expected = (x.cpu().numpy() if isinstance(x, torch.Tensor) else x for x in (found, expected))
    assert np.isfinite(found).all()
    np.testing.assert_allclose(found, expected, atol=tolerance * max(1.0, float(np.abs(expected).max())), rtol=0)


@pytest.mark.parametrize("name", SCORE_PERSONS)
def test_networks_that_score_persons(name: str) -> None:
    chosen, side = entry(name), SCORE_PERSONS[name]
    boxes = np.array([[0, 3, 5, 60, 90], [1, 0, 0, side, side], [1, 20, 10, 21, 70]], np.float32)
    inputs = {"frames": pixels(2, chosen.clip_spec.num_frames, side, side), "boxes": boxes}
    preprocessing, found = build.build_preprocessing(chosen), {}
    for device in ("cpu", DEVICE):
        engines = TorchActionEngines(network(name), preprocessing, chosen.clip_spec.num_frames, device, features=True)
        found[device] = engines.clip.run(inputs)
    for output in ("logits", "features"):
        close(found[DEVICE][output], found["cpu"][output])


@pytest.mark.parametrize("name", CLASSIFY)
def test_networks_that_classify(name: str) -> None:
    chosen, side = entry(name), CLASSIFY[name]
    pathways = build.build_preprocessing(chosen).pack(
        torch.from_numpy(pixels(1, chosen.clip_spec.num_frames, side, side))
    )
    with torch.inference_mode():
        expected = network(name)(pathways)
        found = network(name).to(DEVICE)([pathway.to(DEVICE) for pathway in pathways])
    close(found, expected)


def test_streaming() -> None:
    chosen = entry(build.DEFAULT_MODEL)
    streams = [
        TorchActionEngines(
            network(chosen.name), build.build_preprocessing(chosen), chosen.clip_spec.num_frames, device
        ).open_stream()
        for device in ("cpu", DEVICE)
    ]
    boxes = np.array([[3, 5, 60, 90], [0, 0, 112, 112]], np.float32)
    for step in range(5):
        frames = pixels(1, streams[0].step_frames, 112, 112, seed=step)[0]
        for stream in streams:
            stream.push(frames)
        if streams[0].window <= step + 1:
            close(streams[1].scores(boxes), streams[0].scores(boxes))


def test_the_default_predictor() -> None:
    frames = pixels(1, 12, 120, 160)[0]
    persons = Detections(np.array([[10, 10, 60, 110], [70, 5, 150, 119]], np.float32), np.ones(2, np.float32))
    scores = {}
    for device in ("cpu", DEVICE):
        predictor = build.build_predictor(RunConfig(device=device, backend="torch"))
        clip = Clip(frames, np.arange(12) / 12.5, 0.5, persons, (120, 160))
        scores[device] = predictor([clip, clip])[1].scores
    close(scores[DEVICE], scores["cpu"])


def detect(detector: object) -> list[Detections]:
    return detector([pixels(1, 1, 120, 160)[0, 0], pixels(1, 1, 90, 70, seed=1)[0, 0]])  # type: ignore[operator]


@pytest.mark.parametrize("name", ["ssdlite320_mobilenet_v3_large", "fasterrcnn_mobilenet_v3_large_320_fpn"])
def test_detectors_of_torchvision(name: str) -> None:
    import torchvision.models as zoo

    from sf_detect.detection import Selection

    found = {}
    for device in ("cpu", DEVICE):
        torch.manual_seed(0)
        detector = zoo.get_model(name, weights=None, weights_backbone=None, num_classes=3)
        categories = ["__background__", "person", "bicycle"]
        found[device] = detect(CocoDetector(detector, categories, Selection(0.0), device=device))
    for one, other in zip(found[DEVICE], found["cpu"], strict=True):
        assert len(one) == len(other)
        if len(one):
            close(one.scores, other.scores, 1e-3)


def test_a_detector_of_detectron2s_zoo() -> None:
    from sf_detect.detection import Selection

    counts = []
    for device in ("cpu", DEVICE):
        torch.manual_seed(0)
        (architecture, *_) = detectron2_zoo.ARCHITECTURES.values()
        zoo_network = detectron2_zoo.build_network(architecture, 0.0)
        detector = detectron2_zoo.Detectron2ZooDetector(zoo_network, Selection(0.0), device=device, min_size=128)
        counts.append([persons.boxes.dtype for persons in detect(detector)])
    assert counts[0] == counts[1]


def test_the_default_detectors_network() -> None:
    torch.manual_seed(0)
    ssdlite = SSDLite().eval()
    expected = torch_engine(ssdlite).run(example())
    found = torch_engine(ssdlite.to(DEVICE), DEVICE).run(example())
    for output in ("boxes", "scores"):
        close(found[output], expected[output])


def records(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.parametrize("inference", ["clip", "streaming"])
def test_run(sf_detect: Callable[..., int], tmp_path: Path, inference: str) -> None:
    demo = ROOT / "sf_detect" / "assets" / "demo.mp4"
    for device in ("cpu", DEVICE):
        options = ["--detector", "whole_frame", "--device", device, "--backend", "torch", "--end", 4, "--no-postures"]
        options += ["--set", f"pipeline.inference={inference}", "--out-jsonl", tmp_path / f"{device}.jsonl"]
        assert sf_detect("run", demo, *options) == 0
    one, other = (records(tmp_path / f"{device}.jsonl") for device in (DEVICE, "cpu"))
    assert len(one) == len(other) > 5
    assert [len(r["persons"]) for r in one] == [len(r["persons"]) for r in other]  # type: ignore[arg-type]


@pytest.mark.parametrize("workers", [1, 2])
def test_annotate(sf_detect: Callable[..., int], tmp_path: Path, workers: int) -> None:
    (tmp_path / "in").mkdir()
    for name in "abc":
        write_video(tmp_path / "in" / f"{name}.mp4", 40)
    options = ["--detector", "whole_frame", "--device", DEVICE, "--backend", "torch", "--no-postures"]
    options += ["--out-dir", tmp_path / "o", "--workers", workers]
    assert sf_detect("annotate", tmp_path / "in", *options) == 0
    assert len(list((tmp_path / "o").rglob("*.jsonl"))) >= 3


def test_classify(tmp_path: Path) -> None:
    weights = tmp_path / "own.safetensors"
    save_file(network("s1m_c3d").state_dict(), weights)
    write_video(tmp_path / "in.mp4", num_frames=40)
    scores = []
    for device in ("cpu", DEVICE):
        classifier = build_classifier("s1m_c3d", weights, device)
        with contextlib.closing(build.open_source(tmp_path / "in.mp4")) as source:
            scores.append(classifier(source).scores)
    close(scores[1], scores[0])


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_custom(tmp_path_factory.mktemp("actions") / "data")


@pytest.mark.parametrize("precision", ["fp32", "bf16", "fp16"])
def test_training(data: Path, tmp_path: Path, precision: str) -> None:
    if (DEVICE, precision) == ("cpu", "fp16"):
        pytest.skip("fp16 is for GPUs")
    settings = {"device": DEVICE, "precision": precision, "epochs": 3, "workers": 2, "optimiser.average": 0.9}
    recipe = load_config(ClipsRecipe, None, tiny(tmp_path / "work", data, **settings))
    weights = clips.train(recipe, lambda line: None)
    losses = [r["loss"] for r in records(tmp_path / "work" / "log.jsonl") if "loss" in r]
    assert losses[-1] < losses[0]  # type: ignore[operator]
    measured = clips.test(recipe, None, lambda line: None)
    assert set(measured.figures) == {"frame_mAP", "accuracy"}
    config = RunConfig(model=ModelConfig(weights=os.fspath(weights)), device=DEVICE, backend="torch")
    assert build.build_predictor(config).labels == ("stand", "wave")


def test_an_interrupted_run_goes_on(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = {"device": DEVICE, "save_every": 1, "evaluation.every": 0, "precision": "bf16"}
    whole, parted = (load_config(ClipsRecipe, None, tiny(tmp_path / name, data, **settings)) for name in ("a", "b"))
    expected = load_file(clips.train(whole, lambda line: None))
    usual = Report.log

    def interrupt(self: Report, step: int, *arguments: object, **more: object) -> None:
        usual(self, step, *arguments, **more)  # type: ignore[arg-type]
        if step == 2:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Report, "log", interrupt)
        with pytest.raises(KeyboardInterrupt):
            clips.train(parted, lambda line: None)
    for name, value in load_file(clips.train(parted, lambda line: None)).items():
        close(value.float(), expected[name].float(), 2e-2)  # sums on a GPU come in any order


def test_processes_of_torchrun(data: Path, tmp_path: Path) -> None:
    """NCCL with one process; it needs a GPU for each."""
    module = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=1", "-m", "sf_detect"]
    settings = tiny(tmp_path / "work", data, device=DEVICE, epochs=1)
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("recipe: clips\n")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    done = subprocess.run(
        [*module, "train", str(recipe), *settings], capture_output=True, text=True, env=environment, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "work" / "best.safetensors").is_file()
