import json

import pytest
import torch

from fakes import FakeDetector
from sf_detect import build
from sf_detect.config import ModelConfig, RunConfig
from sf_detect.errors import ConfigError, UnknownNameError, WeightsDownloadError, WeightsError


def test_the_default_model_ships_and_runs():
    model = build.load_model(build.DEFAULT_MODEL)
    assert not model.training
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    boxes = torch.tensor([[0, 0.0, 0, 32, 32], [0, 8, 8, 40, 48]])
    with torch.inference_mode():
        logits = model([torch.zeros(1, 3, 8, 48, 64), torch.zeros(1, 3, 32, 48, 64)], boxes)
        nobody = model([torch.zeros(1, 3, 8, 48, 64), torch.zeros(1, 3, 32, 48, 64)], boxes[:0])
    assert logits.shape == (2, 21)
    assert nobody.shape == (0, 21)


def test_the_predictor_knows_labels_ids_and_sampling():
    predictor = build.build_predictor()
    assert predictor.labels[0] == "brush_hair"
    assert predictor.spec.label_ids == tuple(range(1, 22))
    assert predictor.spec.clip_spec.num_frames == 12
    assert predictor.preprocessing.slow_index == (3, 7, 11)


def test_unknown_model_suggests():
    with pytest.raises(UnknownNameError, match="Did you mean 'slowfast_tiny_jhmdb'"):
        build.load_model("slowfast_tiny_jhmbd")


def test_published_weights_are_fetched_from_their_address(monkeypatch):
    from sf_detect.zoo import fetching

    def offline(urls, name, *_):
        raise WeightsDownloadError(f"{urls[0]} as {name}")

    monkeypatch.setattr(fetching, "fetch_url", offline)
    address = r"https://.*/SLOWFAST_8x8_R50_DETECTION\.pyth as ava_slowfast_8x8_r50-SLOWFAST_8x8_R50_DETECTION\.pyth"
    with pytest.raises(WeightsDownloadError, match=address):
        build.load_model("ava_slowfast_8x8_r50")


def test_a_model_without_weights_says_so():
    with pytest.raises(WeightsError, match=r"no weights for k400_slowfast_8x8_r101: none ship .* --weights FILE"):
        build.load_model("k400_slowfast_8x8_r101")


def test_missing_weights_file(tmp_path):
    with pytest.raises(WeightsError, match="no such file"):
        build.load_model(build.DEFAULT_MODEL, tmp_path / "none.pyth")


def test_a_classifier_can_not_run():
    with pytest.raises(ConfigError, match="classifies whole clips"):
        build.build_predictor(RunConfig(model=ModelConfig(name="k400_slow_8x8_r50")))


@pytest.mark.parametrize(
    ("device", "message"), [("cuda:99", "not available"), ("tpu", "unknown"), ("meta", "supported")]
)
def test_devices_that_are_not_there(device, message):
    with pytest.raises(ConfigError, match=message):
        build.check_device(device)
    with pytest.raises(ConfigError, match=message):
        build.build_detector(RunConfig(device=device))


def test_the_pipeline_takes_a_model_of_ones_own(monkeypatch):
    from fakes import FakeActionModel, FakeSource

    monkeypatch.setattr(build, "build_detector", lambda *_: FakeDetector())
    pipeline = build.build_pipeline(predictor=FakeActionModel())
    assert len(list(pipeline.run(FakeSource(num_frames=20)))) == 20


def test_the_zoo_and_the_shipped_file_agree():
    from safetensors import safe_open

    from sf_detect.labels import label_set
    from sf_detect.zoo.table import entry

    zoo = entry(build.DEFAULT_MODEL)
    with safe_open(zoo.shipped, "pt") as file:
        metadata = file.metadata()
    stated = json.loads(metadata["input"])
    assert (stated["num_frames"], stated["sampling_rate"], stated["fps"]) == (12, 2, 25)
    assert (zoo.clip_spec.num_frames, zoo.clip_spec.sampling_rate, zoo.clip_spec.fps) == (12, 2, 25)
    for field in ("alpha", "slow_index_rule", "short_side", "channel_order", "activation"):
        assert stated[field] == getattr(zoo, field)
    assert (tuple(stated["mean"]), tuple(stated["std"])) == (zoo.mean, zoo.std)
    assert tuple(json.loads(metadata["labels"])) == label_set(zoo.labels).names
    assert zoo.shipped.stat().st_size <= 12_000_000


def test_an_unknown_backend():
    for make in (build.build_predictor, build.build_detector):
        with pytest.raises(UnknownNameError, match=r"unknown backend 'tensorrt'.*Known: auto, onnxruntime"):
            make(RunConfig(backend="tensorrt"))


def test_a_backend_that_does_not_compute_the_network():
    config = RunConfig(backend="openvino", model=ModelConfig("ava_slow_4x16_r50"))
    with pytest.raises(ConfigError, match=r"openvino does not compute ava_slow_4x16_r50 on cpu.*--backend auto"):
        build.build_predictor(config)


def test_the_backend_is_stated():
    assert build.build_predictor(RunConfig(backend="torch")).spec.backend == "torch"
    assert build.build_predictor(RunConfig(backend="onnxruntime")).spec.backend == "onnxruntime"
