"""The default networks, from names to scores, in a process that never imports torch."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from sf_detect.weights.appearance_table import EFFICIENTNET_LITE0
from sf_detect.weights.cache import CACHE_VARIABLE, cache_directory
from sf_detect.weights.keypoint_table import BLAZEPOSE, BLAZEPOSE_DETECTION
from tests.detection.test_ssdlite import published_weights

pytestmark = pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs ONNX Runtime, which the install brings")

CODE = """
import sys
import numpy as np
from sf_detect import build
from sf_detect.config import PipelineConfig, RunConfig
from sf_detect.structures import Clip, Detections, Frame

persons = Detections(np.array([[10, 10, 60, 90]], np.float32), np.ones(1, np.float32))
config = RunConfig(backend="onnxruntime", pipeline=PipelineConfig(inference="streaming"))
model = build.build_predictor(config)
image = np.random.default_rng(0).integers(0, 256, (160, 200, 3), np.uint8)
(clip,) = model([Clip(np.stack([image] * 12), np.arange(12) / 12.5, 0.5, persons, (160, 200))])
stream = model.open_stream()
stream.push(Frame(image, 0, 0.0))  # before its first frame a video stands still
streamed = stream.score(persons, 1.0, (160, 200))
np.testing.assert_allclose(streamed.scores, clip.scores, atol=1e-4)
print(clip.scores.shape, model.spec.backend, sorted({"torch", "torchvision"} & set(sys.modules)))
"""


def run(*arguments: str, cache: Path) -> str:
    environment = {**os.environ, CACHE_VARIABLE: str(cache)}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, timeout=100)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_action_model(tmp_path: Path) -> None:
    for _ in range(2):  # converting, and with what was kept
        assert run("-c", CODE, cache=tmp_path) == "(1, 21) onnxruntime []\n"


def test_a_whole_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sf_detect.assets import DEMO_VIDEO

    shutil.copy(published_weights(monkeypatch), tmp_path)
    landmarks = cache_directory() / BLAZEPOSE.cache_name
    if landmarks.is_file():
        shutil.copy(landmarks, tmp_path)
    postures = "auto" if landmarks.is_file() else "off"
    pictures = cache_directory() / EFFICIENTNET_LITE0.cache_name
    if pictures.is_file():
        shutil.copy(pictures, tmp_path)
    people = cache_directory() / BLAZEPOSE_DETECTION.cache_name
    if people.is_file():
        shutil.copy(people, tmp_path)
    code = (
        "import sys; from sf_detect import annotate_video; "
        "from sf_detect.config import KeypointsConfig, PostureConfig, RunConfig; "
        f"summary = annotate_video({str(DEMO_VIDEO)!r}, out_jsonl={str(tmp_path / 'out.jsonl')!r}, "
        f"config=RunConfig(backend='onnxruntime', max_seconds=0.6, posture=PostureConfig({postures!r}, "
        f"appearance={pictures.is_file()}), keypoints=KeypointsConfig(find={people.is_file()}))); "
        "print(summary.keyframes, summary.backend, sorted({'torch', 'torchvision'} & set(sys.modules)))"
    )
    run("-c", code, cache=tmp_path)  # torch reads the weights of the network for pictures, which are kept converted
    assert run("-c", code, cache=tmp_path) == "2 onnxruntime []\n"
    assert len((tmp_path / "out.jsonl").read_text().splitlines()) == 2
