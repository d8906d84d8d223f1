"""`sf-detect live` with fakes behind it: its options, its loop, what it says."""

from __future__ import annotations

import json
import sys
import time
from fractions import Fraction
from typing import ClassVar

import numpy as np
import pytest
from live_parts import parts, session

from fakes import FakeLiveSource
from sf_detect.cli import main
from sf_detect.commands import live as command
from sf_detect.commands.live_status import StatusLine, stats_record
from sf_detect.config import RunConfig
from sf_detect.live.counts import Age, StreamStats
from sf_detect.live.words import picture_line, status_line
from sf_detect.structures import ActionDetections, Detections, Frame, LiveResult, SourceStatus


class Opened:
    """`open_live` that notes what it was asked for, around one source that ends."""

    def __init__(self, monkeypatch, frames=3, source=None):
        self.source = source or FakeLiveSource("cam", clock=time.monotonic)
        for i in range(frames):
            self.source.give(i / 30)
        if source is None:
            self.source.end()
        monkeypatch.setattr("sf_detect.build_live.open_live", self)

    def __call__(self, *sources, on_warning, **options):
        self.sources, self.options = sources, options
        draw = (lambda result: np.zeros((48, 64, 3), np.uint8)) if options["pictures"] else None
        on_warning("rtsp://user:secret@host/cam is approximate")
        return session(self.source, parts(draw=draw), on_warning=on_warning, max_seconds=options["max_seconds"])


def run(monkeypatch, capsys, *arguments):
    monkeypatch.setattr(sys, "argv", ["sf-detect", "live", *arguments])
    with pytest.raises(SystemExit) as end:
        main()
    printed = capsys.readouterr()
    return end.value.code, printed.out, printed.err


def test_options_become_settings(monkeypatch, capsys):
    opened = Opened(monkeypatch)
    code, out, err = run(
        monkeypatch,
        capsys,
        *("0", "door=rtsp://host/cam", "--no-window", "--record", "{source}.mp4", "--out-jsonl", "{source}.jsonl"),
        *("--out-events", "{source}.csv", "--max-seconds", "9", "--model", "none", "--stride", "1.5"),
        *("--inference", "clip", "--threshold", "0.4", "--anonymise", "head", "--set", "live.adapt=false"),
    )
    assert code == 0
    assert out == ""
    assert opened.sources == ("0", "door=rtsp://host/cam")
    settings: RunConfig = opened.options["config"]
    assert (settings.model.name, settings.live.stride, settings.live.inference) == ("none", 1.5, "clip")
    assert (settings.pipeline.stride, settings.pipeline.inference) == (0.5, "clip")
    assert (settings.render.threshold, settings.render.anonymise, settings.live.adapt) == (0.4, "head", False)
    assert (opened.options["record"], opened.options["max_seconds"]) == ("{source}.mp4", 9.0)
    assert opened.options["pictures"] is False
    assert "secret" not in err
    assert "sf-detect: in " in err
    assert "3 frames" in err or "2 frames" in err or "1 frames" in err


def test_one_line_where_there_is_no_display(monkeypatch, capsys):
    Opened(monkeypatch)
    monkeypatch.setattr("sf_detect.rendering.window.missing_display", lambda: "there is no display")
    code, _, err = run(monkeypatch, capsys, "0")
    assert code == 0
    assert err.count("no window") == 1
    assert "sf-detect: no window: there is no display; everything else goes on." in err


class FakeWindow:
    opened: ClassVar[list[FakeWindow]] = []

    def __init__(self, title):
        self.shown, self.closed = [], False
        FakeWindow.opened.append(self)

    def show(self, pictures):
        self.shown.append(dict(pictures))

    def poll(self):
        return len(self.shown) < 2

    def close(self):
        self.closed = True


def test_a_closed_window_ends_the_session(monkeypatch, capsys):
    source = FakeLiveSource("cam", clock=time.monotonic)
    Opened(monkeypatch, 1, source)
    FakeWindow.opened.clear()
    monkeypatch.setattr("sf_detect.rendering.window.missing_display", lambda: None)
    monkeypatch.setattr("sf_detect.rendering.window.Window", FakeWindow)
    show = FakeWindow.show

    def show_and_go_on(window, pictures):
        show(window, pictures)
        source.give(len(window.shown) / 10)

    monkeypatch.setattr(FakeWindow, "show", show_and_go_on)
    code, _, _ = run(monkeypatch, capsys, "0")
    assert code == 0
    (window,) = FakeWindow.opened
    assert window.closed
    assert window.shown[0]["cam"].shape == (48, 64, 3)
    assert source.closed.is_set()


def test_json_progress_is_on_the_standard_output(monkeypatch, capsys):
    Opened(monkeypatch)
    code, out, _ = run(monkeypatch, capsys, "0", "--no-window", "--progress", "json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert lines[-1]["name"] == "cam"
    assert lines[-1]["frames"] == 3
    assert {"state", "fps", "predictions_per_second", "frame_age", "drops", "reconnects"} <= set(lines[-1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--progress", "bar"], "--progress bar: expected auto, line, lines, json or none."),
        (["--progress", "json", "--out-jsonl", "-"], "both write to the standard output"),
        (["--max-seconds", "0"], "--max-seconds 0.0: expected a number of seconds above 0."),
        (["--set", "live.rtsp_transport=http"], "rtsp_transport"),
        (["--set", "live.strid=1"], "live.strid"),
    ],
)
def test_wrong_usage_is_told(monkeypatch, capsys, arguments, message):
    code, _, err = run(monkeypatch, capsys, "/dev/null/none.mp4", "--no-window", *arguments)
    assert code != 0
    assert message in err
    assert "Traceback" not in err


def test_ctrl_c_completes_and_has_its_code(monkeypatch, capsys):
    source = FakeLiveSource("cam", clock=time.monotonic)
    Opened(monkeypatch, 1, source)

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "_watch", interrupt)
    code, _, err = run(monkeypatch, capsys, "0", "--no-window")
    assert code == 130
    assert source.closed.is_set()
    assert "interrupted" in err


def stats(**others):
    status = SourceStatus(**{"state": "live", "since": 0.0, **others.pop("status", {})})
    return StreamStats("cam", status, others.pop("no_picture_for", 0.0), **others)


def test_status_line_tells_state_rates_and_ages():
    age = Age(0.31, 0.5, 0.4)
    line = status_line(
        stats(
            shown=90,
            fps=29.84,
            predictions=9,
            predictions_per_second=3.1,
            form="streaming, short side 160",
            approximation="smaller",
            persons=1,
            frame_age=Age(0.045, 0.1, 0.05),
            boxes_age=age,
            labels_age=Age(1.25, 2, 2),
            drops={"display": 3, "actions": 1},
            status={"reconnects": 2},
        )
    )
    assert line == (
        "cam: live  29.8 frames/s  picture 45 ms  boxes 310 ms  labels 1.2 s  3.1 predictions/s by streaming, short "
        "side 160  approximate  1 person  left out: actions 1, display 3  2 reconnection(s)"
    )


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        ({"state": "connecting"}, "cam: connecting"),
        ({"state": "waiting", "detail": "connection refused"}, "cam: waiting, connection refused, no picture for 12 s"),
        ({"state": "stalled", "detail": "no picture for 12 s"}, "cam: stalled, no picture for 12 s"),
        ({"state": "ended"}, "cam: ended"),
    ],
)
def test_states_in_words(status, expected):
    assert status_line(stats(status=status, no_picture_for=12.0)) == expected


def test_the_picture_tells_the_ages():
    persons = Detections(np.zeros((1, 4)), np.ones(1), np.array([1]))
    frame = Frame(np.zeros((4, 4, 3), np.uint8), 0, 62.35, arrival=10.0)
    actions = ActionDetections(62.0, persons, np.ones((1, 1)), 62.0)
    result = LiveResult(frame, persons, actions, shown=10.05, detected_pts=62.2)
    assert picture_line(result) == "01:02.3  1 person  boxes 200 ms  labels 400 ms"
    assert picture_line(LiveResult(frame, Detections.empty(), shown=10.0)) == "01:02.3  0 persons"


def test_lines_are_said_when_a_state_changes(capsys):
    now = [0.0]
    status = StatusLine("lines", lambda: now[0])
    for second, state in enumerate(["connecting", "live", "live", "stalled"]):
        now[0] = float(second)
        status.update(lambda state=state: {"cam": stats(status={"state": state}, no_picture_for=3.0)})
        status.update(lambda: pytest.fail("too early"))
    assert capsys.readouterr().err.splitlines() == [
        "sf-detect: cam: connecting",
        "sf-detect: cam: live",
        "sf-detect: cam: stalled, no picture for 3 s",
    ]


def test_a_record_of_the_status_is_json():
    status = {"detail": "rtsp://user:secret@host refused", "retry_at": time.monotonic() + 4, "fps": Fraction(30)}
    record = stats_record(stats(status={"state": "waiting", **status}, frame_age=Age(0.1, 0.2, 0.3)))
    text = json.dumps(record)
    assert "secret" not in text
    assert record["retry_in"] == pytest.approx(4, abs=0.5)
    assert record["frame_age"] == {"median": 0.1, "p95": 0.2, "newest": 0.3}


def test_cameras_are_listed(monkeypatch, capsys):
    import types

    module = types.ModuleType("sf_detect.video.cameras")
    module.list_cameras = lambda: ["0: a camera"]
    monkeypatch.setitem(sys.modules, "sf_detect.video.cameras", module)
    command.cameras()
    assert capsys.readouterr().out == "0: a camera\n"
    module.list_cameras = list
    command.cameras()
    assert "no camera found" in capsys.readouterr().err
