"""From settings to a session, with fakes in place of detector and model."""

from __future__ import annotations

import json

import av
import numpy as np
import pytest
from live_parts import FakeStreamModel, until_true

from fakes import FakeActionModel, FakeDetector, FakeLiveSource
from sf_detect import build, open_live
from sf_detect.build_live import open_sources
from sf_detect.build_live.forms import action_forms, expected_share
from sf_detect.build_live.outputs import LiveOutputs
from sf_detect.config import DetectorConfig, LiveConfig, RenderConfig, RunConfig
from sf_detect.errors import ConfigError, SinkError, SourceOpenError
from sf_detect.model_spec import ModelSpec
from sf_detect.structures import ClipSpec
from synthetic_video import write_video


@pytest.fixture(autouse=True)
def detector(monkeypatch):
    monkeypatch.setattr(build, "build_detector", lambda *_: FakeDetector())


class Sized(FakeStreamModel):
    """A streaming model that takes any size."""

    def __init__(self, short_side=256, warning=None):
        super().__init__(step_seconds=0.25)
        self.spec = ModelSpec("sized", ("score",), ClipSpec(8, 2), short_side)
        self.warning = warning

    def resized(self, short_side):
        return Sized(short_side, self.warning)


class Stream(FakeStreamModel):
    """Clips and streams alike."""

    def __call__(self, clips):
        return FakeActionModel(labels=("score",))(clips)


@pytest.fixture
def video(tmp_path):
    return write_video(tmp_path / "in.mp4", num_frames=20, fps=20)


def test_a_file_is_played_and_everything_is_written(video, tmp_path):
    warnings = []
    session = open_live(
        video,
        model=Stream(lambda image: 0.9),
        config=RunConfig(live=LiveConfig(stride=0.1)),
        record=tmp_path / "out.mp4",
        out_jsonl=tmp_path / "out.jsonl",
        out_events=tmp_path / "out.csv",
        on_warning=warnings.append,
    )
    results = list(session)
    session.raise_failures()
    assert (session.names, session.spec.labels) == (("in",), ("score",))
    assert all(result.picture.shape == result.frame.image.shape for result in results)
    with av.open(str(tmp_path / "out.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert times[-1] == pytest.approx(0.95, abs=0.02)
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert records
    assert {"utc", "frame_age", "boxes_age", "labels_age"} <= set(records[0])
    assert records[0]["utc"].endswith("Z")
    assert (tmp_path / "out.csv").read_text().startswith("video,track_id,label,start,end,score")


def test_sources_have_names_of_their_own(video, tmp_path):
    sources = open_sources([video, f"door={video}", str(video), FakeLiveSource("in")], RunConfig())
    assert [source.name for source in sources] == ["in", "door", "in-2", "in-3"]
    for source in sources:
        source.close()


def test_a_file_with_an_equals_sign_is_a_file(tmp_path):
    video = write_video(tmp_path / "a=b.mp4", num_frames=2)
    (source,) = open_sources([str(video)], RunConfig())
    assert source.name == "a=b"
    source.close()


@pytest.mark.parametrize("missing", ["none.mp4", "door=none.mp4", "gopher://camera/1"])
def test_what_no_try_can_mend_is_an_error_at_once(missing, video):
    first = FakeLiveSource("first")
    with pytest.raises(SourceOpenError):
        open_live(first, missing)
    assert first.closed.is_set()


def test_no_source_is_an_error():
    with pytest.raises(ConfigError, match="got no source"):
        open_live()


def test_outputs_of_several_sources_hold_their_names(tmp_path):
    outputs = LiveOutputs(jsonl=tmp_path / "out.jsonl")
    outputs.check(["a"], [""])
    with pytest.raises(ConfigError, match=r"--out-jsonl .* is one file for 2 sources. Put \{source\} into its name"):
        outputs.check(["a", "b"], ["", ""])
    named = LiveOutputs(record=tmp_path / "{source}.mp4")
    named.check(["a", "b"], ["", ""])
    assert named.of("rtsp://cam/1") == {"video": str(tmp_path / "rtsp___cam_1.mp4")}


def test_an_output_must_not_be_the_input(video):
    with pytest.raises(ConfigError, match="is the input, which it would overwrite"):
        open_live(f"door={video}", record=video, model=Stream())


def test_a_recording_that_cannot_be_written_is_known_at_the_start(video, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="is no folder with write permission"):
        open_live(video, record=tmp_path / "file" / "out.mp4", model=Stream())


def test_people_are_hidden_in_all_that_is_shown(video):
    hidden = RenderConfig(anonymise="person")
    session = open_live(video, model=Stream(), config=RunConfig(render=hidden), pictures=True)
    shown = 0
    for result in session:
        assert result.detected_pts == result.frame.pts, "a frame that nobody looked at"
        assert len(result.persons) == 2
        shown += 1
    assert shown > 0


def test_forms_from_the_wanted_one_to_the_cheapest():
    forms = [one.form for one in action_forms(RunConfig(), Sized(144), print)]
    assert [form.text for form in forms] == [
        "streaming, short side 144",
        "streaming, short side 128",
        "streaming, short side 112",
        "streaming, short side 96",
        "clips, short side 96",
    ]
    assert [form.streaming for form in forms] == [True] * 4 + [False]
    assert [form.stride for form in forms] == [0.25] * 4 + [0.5]
    assert forms[0].approximation is None
    assert forms[1].approximation == "pictures of short side 128 instead of 144"
    assert np.all(np.diff([form.cost for form in forms]) <= 0)


def test_forms_follow_the_settings():
    said = []
    fixed = RunConfig(live=LiveConfig(adapt=False, stride=1.0))
    (only,) = action_forms(fixed, Sized(256, "approximate here"), said.append)
    assert (only.form.text, only.form.stride, only.form.approximation) == (
        "streaming, short side 256",
        1.0,
        "approximate here",
    )
    assert said == ["approximate here"]
    clips = action_forms(RunConfig(live=LiveConfig(inference="clip")), Sized(112), said.append)
    assert [one.form.text for one in clips] == ["clips, short side 112", "clips, short side 96"]
    (without,) = action_forms(RunConfig(), FakeActionModel(), said.append)
    assert without.form.text == "clips, short side 48"
    assert "no streaming form Clips are computed instead." in said[-1]
    (tracks,) = action_forms(RunConfig(), None, said.append)
    assert tracks.form.text == "tracks alone"


def test_models_of_torch_are_tried_by_their_smallest_form():
    forms = action_forms(RunConfig(), Sized(256), print)
    assert expected_share(forms) >= 0
    assert expected_share(action_forms(RunConfig(), None, print)) == 0
    assert expected_share(action_forms(RunConfig(live=LiveConfig(adapt=False)), Sized(256), print)) == 0


def test_streams_share_models_and_workers_end_with_the_session():
    one, two = FakeLiveSource("one"), FakeLiveSource("two")
    config = RunConfig(detector=DetectorConfig(name="whole_frame"))
    with open_live(one, two, model=Stream(), config=config) as session:
        for i in range(100):
            one.give(i / 10)
            two.give(i / 10)
            stats = session.stats().values()
            if all(stream.predictions for stream in stats):
                break
            until_true(lambda i=i: all(s.source.frames > i for s in session.stats().values()))
        else:
            until_true(lambda: all(s.predictions for s in session.stats().values()))
    assert not session.left_behind


@pytest.mark.parametrize(("name", "value"), [("start", 5.0), ("end", 9.0), ("every", 2)])
def test_parts_of_a_live_source_are_refused(name, value):
    with pytest.raises(ConfigError, match=f"{name} is {value}: a live source has no parts"):
        open_live("0", config=RunConfig(**{name: value}))


@pytest.mark.parametrize("name", ["out.avi", "-", "out"])
def test_a_recording_is_mp4(video, name):
    with pytest.raises(ConfigError, match="recordings are MP4"):
        open_live(video, record=name, model=Stream())


def test_outputs_that_were_opened_are_closed_where_another_fails(video, tmp_path):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(SinkError):
        open_live(video, out_jsonl=tmp_path / "a.jsonl", out_events=tmp_path / "folder.csv", model=Stream())
    assert not list(tmp_path.glob("*.part"))


def test_an_output_that_fails_is_told_at_once(video, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise SinkError("no room on the disk.")

    monkeypatch.setattr("sf_detect.sinks.VideoSink", refuse)
    warnings = []
    session = open_live(video, record=tmp_path / "a.mp4", model=Stream(), on_warning=warnings.append)
    with pytest.raises(SinkError, match="no room"):
        session.run()
    assert warnings == ["in: no room on the disk."]
