"""From settings to a batch: fingerprints tell what matters, workers fit the machine."""

import os

import numpy as np
import pytest
from PIL import Image

from sf_detect import build_batch
from sf_detect.batch.jobs import Limits
from sf_detect.batch.listing import Listed, Selection
from sf_detect.build import open_source
from sf_detect.build_batch import BatchOptions, build_pool, default_workers, fingerprints, stamp_by_hash
from sf_detect.build_worker import ConfiguredAnnotator
from sf_detect.config import DetectorConfig, ModelConfig, RunConfig
from sf_detect.errors import ConfigError, UnknownNameError
from synthetic_video import index_image, write_video


def changed(key, value):
    config = RunConfig()
    *parents, last = key.split(".")
    section = config
    for parent in parents:
        section = getattr(section, parent)
    setattr(section, last, value)
    return fingerprints(config)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("pipeline.stride", 0.25),
        ("model.name", "none"),
        ("detector.score_threshold", 0.3),
        ("render.threshold", 0.4),
        ("render.thresholds", {"wave": 0.3}),
        ("events.max_gap", 2.0),
        ("start", 1.0),
    ],
)
def test_settings_that_change_results(key, value):
    base, other = fingerprints(RunConfig()), changed(key, value)
    assert (other.settings != base.settings, other.drawing == base.drawing) == (True, True)


@pytest.mark.parametrize(("key", "value"), [("render.anonymise", "head"), ("render.top_k", 1)])
def test_settings_that_change_only_what_is_drawn(key, value):
    base, other = fingerprints(RunConfig()), changed(key, value)
    assert (other.settings == base.settings, other.drawing != base.drawing) == (True, True)


def test_the_seed_changes_nothing():
    assert changed("seed", 5) == fingerprints(RunConfig())


def test_the_content_of_files_counts_not_their_names(tmp_path):
    for name, content in (("a.pth", "1"), ("b.pth", "1"), ("c.pth", "2")):
        (tmp_path / name).write_text(content)
    a, b, c = (changed("model.weights", str(tmp_path / name)) for name in ("a.pth", "b.pth", "c.pth"))
    assert a == b != c
    (tmp_path / "a.csv").write_text("x")
    first = changed("detector.name", f"precomputed:{tmp_path / 'a.csv'}")
    (tmp_path / "a.csv").write_text("y")
    assert first != changed("detector.name", f"precomputed:{tmp_path / 'a.csv'}")


def test_other_shipped_weights_count(tmp_path, monkeypatch):
    base = fingerprints(RunConfig())
    (tmp_path / "w.safetensors").write_text("other")
    monkeypatch.setattr(build_batch, "_shipped_folder", lambda: tmp_path)
    assert fingerprints(RunConfig()).settings != base.settings


def test_stamp_by_hash(tmp_path):
    file = tmp_path / "a.mp4"
    file.write_text("1")
    size, stamp = stamp_by_hash(str(file))
    os.utime(file, (1, 1))
    assert (size, stamp_by_hash(str(file))) == (1, (1, stamp))
    file.write_text("2")
    assert stamp_by_hash(str(file))[1] != stamp
    assert stamp_by_hash(str(tmp_path / "none")) == (0, "")
    (tmp_path / "folder").mkdir()
    assert stamp_by_hash(str(tmp_path / "folder"))[1] == "", "what can't be read is told when it is annotated"


@pytest.mark.parametrize(
    ("cores", "memory", "device", "workers"),
    [(2, 16e9, "cpu", 2), (64, 16e9, "cpu", 14), (64, 512e9, "cuda", 4), (1, 1e9, "cpu", 1), (8, 0.1e9, "cpu", 1)],
)
def test_workers_fit_the_machine(monkeypatch, cores, memory, device, workers):
    monkeypatch.setattr(build_batch, "cores", lambda: cores)
    monkeypatch.setattr(build_batch, "memory_bytes", lambda: int(memory))
    assert default_workers(device) == workers


def test_workers_of_a_machine_that_does_not_tell_its_memory(monkeypatch):
    monkeypatch.setattr(build_batch, "cores", lambda: 3)
    monkeypatch.setattr(build_batch, "memory_bytes", lambda: 0)
    assert default_workers("cpu") == 3


def test_no_more_workers_than_videos():
    pool = build_pool(RunConfig(), BatchOptions(workers=8), print, Listed(waiting=3))
    assert pool.workers == 3


def test_an_unknown_engine(tmp_path):
    with pytest.raises(UnknownNameError, match=r"unknown engine 'rya'. Did you mean 'ray'"):
        build_batch.build(tmp_path, RunConfig(), BatchOptions(engine="rya"))


def test_parts_have_manifests_of_their_own(tmp_path):
    options = BatchOptions(selection=Selection(shard=(2, 5)), limits=Limits())
    assert build_batch.build(tmp_path, RunConfig(), options).folder.part == ".2-of-5"


def test_features_are_kept_beside_tables(tmp_path):
    config = RunConfig(model=ModelConfig(features=True))
    kinds = build_batch.build(tmp_path, config, BatchOptions()).kinds
    assert kinds == ("jsonl", "events", "persons", "segments", "features")
    with pytest.raises(ConfigError, match="add parquet to --format"):
        build_batch.build(tmp_path, config, BatchOptions(formats=("jsonl",)))


def test_features_change_no_result():
    assert changed("model.features", True) == fingerprints(RunConfig())


def test_an_address_without_the_engine(tmp_path):
    with pytest.raises(ConfigError, match=r"--ray-address goes with --engine ray"):
        build_batch.build(tmp_path, RunConfig(), BatchOptions(ray_address="auto"))


def test_a_dry_run_of_videos(tmp_path):
    write_video(tmp_path / "in.mp4", 60)
    (tmp_path / "bad.mp4").write_text("text")
    config = RunConfig(model=ModelConfig("none"), detector=DetectorConfig("whole_frame"))
    arguments = [str(tmp_path / "in.mp4"), str(tmp_path / "bad.mp4")]
    found = build_batch.estimate_videos(arguments, tmp_path / "out", config, BatchOptions())
    assert (found.listed.waiting, found.unreadable, found.sample) == (2, 1, 2)
    assert found.video_seconds == pytest.approx(2.0, abs=0.1)
    assert found.wall_seconds > 0
    assert found.basis == "2.0 s of in.mp4, annotated to measure"
    assert not (tmp_path / "out").exists()


def test_persons_are_hidden_in_videos_and_sheets(tmp_path):
    """The whole frame is a person here: hidden, the contrast of its pattern is gone from both pictures."""
    write_video(tmp_path / "in.mp4", 12, image=lambda index: index_image(0b0101101001011010))
    plain, hidden = (contrasts(tmp_path, anonymise) for anonymise in (None, "person"))
    assert hidden["video"] < 0.5 * plain["video"]
    assert hidden["sheet"] < 0.7 * plain["sheet"], "black bars around the picture stay"


def contrasts(folder, anonymise):
    config = RunConfig(model=ModelConfig("none"), detector=DetectorConfig("whole_frame"))
    config.render.anonymise, config.render.show_status = anonymise, False
    outputs = {"video": folder / "out.mp4", "sheet": folder / "out.png"}
    ConfiguredAnnotator(config)(str(folder / "in.mp4"), "in.mp4", "in.mp4", outputs, lambda *state: None)
    with open_source(folder / "out.mp4") as video:
        frame = next(iter(video)).image[8:40, 8:56]
    return {"video": frame.std(), "sheet": np.asarray(Image.open(folder / "out.png"))[80:300, 100:300].std()}
