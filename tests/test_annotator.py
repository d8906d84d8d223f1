"""The whole system behind one object: many videos, parts of them, one's own frames, no action model."""

import csv
import json
import threading

import numpy as np
import pytest

from fakes import FakeActionModel, FakeDetector, FakeSource
from sf_detect import Annotator, annotate_video, build
from sf_detect.config import EventsConfig, ModelConfig, RenderConfig, RunConfig
from sf_detect.errors import ConfigError, SourceError, StageError
from sf_detect.outputs import check_outputs
from sf_detect.video.own_frames import OwnFramesSource
from synthetic_video import index_image, write_video

EVENTS_HEADER = "video,track_id,label,start,end,score\n"


@pytest.fixture(autouse=True)
def detector(monkeypatch):
    monkeypatch.setattr(build, "build_detector", lambda *_: FakeDetector())


def records(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def pictures(count):
    return [index_image(i, (64, 48)) for i in range(count)]


def test_one_annotator_takes_many_videos_and_mixes_nothing(tmp_path):
    annotator = Annotator(model=FakeActionModel())
    videos = [write_video(tmp_path / f"{n}.mp4", num_frames=n) for n in (20, 40, 20)]
    for n, video in enumerate(videos):
        annotator.annotate(video, out_jsonl=tmp_path / f"{n}.jsonl")
    first, last = ([{**r, "video": ""} for r in records(tmp_path / f"{n}.jsonl")] for n in (0, 2))
    assert first == last
    assert [p["track_id"] for p in first[0]["persons"]] == [1, 2]


def test_results_are_the_same_without_threads(tmp_path):
    video = write_video(tmp_path / "v.mp4", num_frames=60)
    before = threading.active_count()
    seen = []
    for overlap in (True, False):
        files = {f"out_{kind}": tmp_path / f"{kind}_{overlap}.{kind}" for kind in ("jsonl", "csv")}
        annotator = Annotator(model=FakeActionModel(), overlap=overlap)
        annotator.annotate(video, **files, on_result=lambda result: seen.append(threading.active_count()))
    for kind in ("jsonl", "csv"):
        assert (tmp_path / f"{kind}_True.{kind}").read_bytes() == (tmp_path / f"{kind}_False.{kind}").read_bytes()
    assert set(seen[60:]) == {before}


def test_a_stage_that_fails_without_threads_leaves_what_came_before(tmp_path, monkeypatch):
    monkeypatch.setattr(build, "build_detector", lambda *_: FakeDetector())
    video = write_video(tmp_path / "v.mp4", num_frames=60)
    model = FakeActionModel()
    monkeypatch.setattr(FakeActionModel, "__call__", lambda self, clips: 1 / 0)
    with pytest.raises(StageError, match="action model failed on frame 0"):
        Annotator(model=model, overlap=False).annotate(video, out_jsonl=tmp_path / "o.jsonl")
    assert (tmp_path / "o.jsonl").read_text() == ""


def test_a_part_keeps_the_times_of_the_source(tmp_path):
    video = write_video(tmp_path / "v.mp4", num_frames=60, fps=30)
    config = RunConfig(start=0.5, end=1.5, every=2)
    summary = Annotator(config, FakeActionModel()).annotate(video, out_jsonl=tmp_path / "o.jsonl")
    assert summary.frames == 15
    assert [r["time"] for r in records(tmp_path / "o.jsonl")] == [0.5, pytest.approx(1.0, abs=0.07)]


def test_a_part_without_frames_is_said(tmp_path):
    video = write_video(tmp_path / "v.mp4", num_frames=10)
    summary = Annotator(RunConfig(start=50.0), FakeActionModel()).annotate(video, out_jsonl=tmp_path / "o.jsonl")
    assert "no frame of the source lies between" in summary.warnings[0]


def test_without_a_model_every_output_is_written(tmp_path):
    video = write_video(tmp_path / "v.mp4", num_frames=20)
    summary = annotate_video(
        video,
        out_video=tmp_path / "o.mp4",
        out_jsonl=tmp_path / "o.jsonl",
        out_csv=tmp_path / "o.csv",
        out_events=tmp_path / "e.csv",
        config=RunConfig(model=ModelConfig(name="none")),
    )
    assert (summary.frames, summary.top_actions, len(summary.tracks)) == (20, {}, 2)
    assert (tmp_path / "o.mp4").stat().st_size > 0
    assert (tmp_path / "o.csv").read_text() == ""
    assert (tmp_path / "e.csv").read_text() == EVENTS_HEADER
    assert all(p["actions"] == [] for r in records(tmp_path / "o.jsonl") for p in r["persons"])


# The fake model gives everybody 0.5 for "wave", and 0.1 and 0.2 for "stand".
@pytest.mark.parametrize(
    ("render", "reached"),
    [
        (RenderConfig(), {"wave"}),
        (RenderConfig(threshold=0.6), set()),
        (RenderConfig(threshold=0.15), {"wave", "stand"}),
        (RenderConfig(thresholds={"wave": 0.9, "stand": 0.1}), {"stand"}),
        (RenderConfig(labels=["stand"], top_k=0), {"wave"}),  # what is drawn is another question
    ],
)
def test_json_lines_events_and_summary_take_the_same_thresholds(tmp_path, render, reached):
    config = RunConfig(render=render)
    summary = Annotator(config, FakeActionModel()).annotate(
        write_video(tmp_path / "v.mp4", num_frames=50, fps=30),
        out_jsonl=tmp_path / "o.jsonl",
        out_events=tmp_path / "e.csv",
    )
    found = [a for r in records(tmp_path / "o.jsonl") for p in r["persons"] for a in p["actions"]]
    assert {a["label"] for a in found if a["above_threshold"]} == reached
    events = list(csv.DictReader((tmp_path / "e.csv").read_text().splitlines()))
    assert {e["label"] for e in events} == reached
    assert all((e["video"], e["start"], e["end"]) == ("v", "0.000", "1.667") for e in events)
    assert bool(summary.top_actions) == bool(reached)
    assert (summary.best_guess.label, summary.best_guess.score) == ("wave", 0.5)


def test_events_of_a_part_have_the_times_of_the_source(tmp_path):
    video = write_video(tmp_path / "v.mp4", num_frames=75, fps=30)
    config = RunConfig(start=0.5, end=2.0, every=2)
    Annotator(config, FakeActionModel()).annotate(video, out_events=tmp_path / "e.csv")
    events = list(csv.DictReader((tmp_path / "e.csv").read_text().splitlines()))
    assert [(e["track_id"], e["start"]) for e in events] == [("1", "0.500"), ("2", "0.500")]
    assert all(float(e["end"]) == pytest.approx(1.75, abs=0.04) for e in events)


def test_an_interrupted_run_writes_the_events_under_way(tmp_path):
    def interrupt(result):
        if result.frame.index == 40:
            raise KeyboardInterrupt

    summary = Annotator(model=FakeActionModel()).annotate(
        FakeSource(num_frames=90), out_events=tmp_path / "e.csv", on_result=interrupt
    )
    assert summary.interrupted
    events = list(csv.DictReader((tmp_path / "e.csv").read_text().splitlines()))
    assert [(e["label"], e["track_id"], e["start"], e["end"]) for e in events] == [
        ("wave", "1", "0.000", "1.250"),
        ("wave", "2", "0.000", "1.250"),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["e.csv"]


def test_own_frames_give_what_a_source_gives(tmp_path):
    annotator = Annotator(model=FakeActionModel())
    expected = [r.actions.scores.tolist() for r in annotator.results(FakeSource(num_frames=40))]
    by_rate = Annotator(RunConfig(fps=30.0), FakeActionModel()).results(pictures(40))
    by_time = annotator.results(iter(pictures(40)), times=[i / 30 for i in range(40)])
    for results in (by_rate, by_time):
        assert [r.actions.scores.tolist() for r in results] == expected


def test_own_frames_one_by_one(tmp_path):
    annotator = Annotator(model=FakeActionModel())
    expected = [r.frame.pts for r in annotator.results(FakeSource(num_frames=40))]
    for times in ([None] * 40, [i / 30 for i in range(40)]):
        with annotator.open(fps=30) as session:
            found = [r for picture, time in zip(pictures(40), times, strict=True) for r in session.push(picture, time)]
            assert 10 < len(found) < 40
            found += list(session.finish())
        assert [r.frame.pts for r in found] == pytest.approx(expected)
    with annotator.open() as session:
        assert list(session.finish()) == []


def test_own_frames_to_files(tmp_path):
    summary = annotate_video(
        pictures(20),
        out_video=tmp_path / "o.mp4",
        out_jsonl=tmp_path / "o.jsonl",
        config=RunConfig(model=ModelConfig(name="none"), fps=10.0),
    )
    assert (summary.frames, summary.seconds) == (20, 1.9)
    assert records(tmp_path / "o.jsonl")[1]["time"] == 0.5


PICTURE = np.zeros((48, 64, 3), np.uint8)


@pytest.mark.parametrize(
    ("picture", "advice"),
    [
        ("a.png", r"got str.*numpy.asarray"),
        (None, r"got NoneType"),
        (PICTURE.astype(np.float32), r"type float32.*astype\(numpy.uint8\)"),
        (PICTURE[:, :, 0], r"shape \(48, 64\).*numpy.repeat"),
        (PICTURE[:, :, :1], r"numpy.repeat"),
        (PICTURE.transpose(2, 0, 1), r"transpose\(1, 2, 0\)"),
        (np.zeros((48, 64, 4), np.uint8), r"alpha channel"),
        (PICTURE[None], r"one by one"),
        (np.zeros((0, 64, 3), np.uint8), r"shape \(0, 64, 3\)"),
    ],
)
def test_what_is_no_picture_is_told_with_a_way_out(picture, advice):
    with pytest.raises(SourceError, match=rf"frame 1 is no picture: .*{advice}"):
        list(OwnFramesSource([PICTURE, picture]))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "there is no frame"),
        (([PICTURE] * 3, [0.0, 1.0]), "2 times for 3 frames"),
        ((iter([PICTURE] * 3), [0.0, 1.0]), "2 times but more frames"),
        (([PICTURE] * 2, [1.0, 1.0]), r"frame 1 is at 1.0 s, the one before at 1.0 s"),
        (([PICTURE] * 2, [0.0, float("nan")]), r"frame 1 is at nan s"),
        (([PICTURE], None, 0), r"the frame rate is 0"),
    ],
)
def test_times_that_make_no_sense(arguments, message):
    with pytest.raises(SourceError, match=message):
        list(OwnFramesSource(*arguments))


def test_what_is_no_source_is_told():
    with pytest.raises(SourceError, match="a int is no source"):
        annotate_video(0)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"start": -1.0}, "start is -1.0; expected a number of seconds from 0 up"),
        ({"end": 0.0}, "end is 0.0; expected"),
        ({"start": 2.0, "end": 1.0}, "end is 1.0, which is not after start, 2.0"),
        ({"every": 0}, "every is 0; expected 1 or more"),
        (
            {"events": EventsConfig(min_duration=-1.0)},
            "events.min_duration is -1.0; expected a number of seconds from 0",
        ),
        ({"events": EventsConfig(max_gap=float("inf"))}, "events.max_gap is inf; expected"),
        ({"events": EventsConfig(hysteresis=0.0)}, "events.hysteresis is 0.0; expected a share above 0 and up to 1"),
        ({"render": RenderConfig(threshold=7.0)}, "render.threshold is 7.0; expected a number from 0 to 1"),
        ({"render": RenderConfig(thresholds={"wav": 0.5})}, "unknown label 'wav'. Did you mean 'wave'"),
    ],
)
def test_parts_that_make_no_sense(settings, message):
    with pytest.raises(ConfigError, match=message):
        Annotator(RunConfig(**settings), FakeActionModel())


def test_outputs_do_not_overwrite_each_other(tmp_path):
    path = str(tmp_path / "a.csv")
    with pytest.raises(ConfigError, match=r"--out-events .*a.csv is also --out-csv, which it would overwrite"):
        check_outputs(None, {"csv": path, "events": path})


@pytest.mark.parametrize("option", ["out_video", "out_jsonl", "out_csv", "out_events"])
@pytest.mark.parametrize("name", ["o.txt", "o"])
def test_a_file_of_the_wrong_ending_is_refused(tmp_path, option, name):
    video = write_video(tmp_path / "v.mp4", num_frames=2)
    with pytest.raises(ConfigError, match=rf"--{option.replace('_', '-')} .*{name} ends in .*; expected \."):
        annotate_video(video, **{option: tmp_path / name})
