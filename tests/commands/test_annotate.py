"""`sf-detect annotate` as a user meets it."""

from __future__ import annotations

import io
import json
import sys
from functools import partial

import pytest

from sf_detect import build_batch
from sf_detect.batch.estimate import Estimate
from sf_detect.batch.listing import Listed
from sf_detect.batch.summary import BatchSummary
from synthetic_video import write_video


@pytest.fixture
def run(sf_detect):
    return partial(sf_detect, "annotate")


@pytest.fixture
def asked(monkeypatch):
    """What the command asks for, in place of doing it; `asked.summary` is what comes back."""

    class Asked:
        summary = BatchSummary()

        def __call__(self, arguments, out_dir, config, options, observer, lines):
            self.arguments, self.out_dir, self.config, self.options = arguments, out_dir, config, options
            self.lines = list(lines) if arguments == ["-"] else []
            return self.summary

    asked = Asked()
    monkeypatch.setattr(build_batch, "annotate_videos", asked)
    return asked


def test_a_folder_with_a_bad_video_and_again(run, tmp_path, capsys):
    (tmp_path / "in" / "cam").mkdir(parents=True)
    write_video(tmp_path / "in" / "cam" / "a.mp4", 10)
    write_video(tmp_path / "in" / "b.mkv", 10)
    (tmp_path / "in" / "bad.mp4").write_text("this is text")
    options = ["--out-dir", tmp_path / "out", "--model", "none", "--detector", "whole_frame", "--workers", "1"]
    options += ["--format", "jsonl,csv,events,video,sheet,parquet"]
    assert run(tmp_path / "in", *options) == 3
    told = capsys.readouterr()
    assert "2 video(s) annotated, 1 failed" in told.err
    assert "bad.mp4 failed: " in told.err
    assert told.out == ""
    files = {str(path.relative_to(tmp_path / "out")) for path in (tmp_path / "out").rglob("*") if path.is_file()}
    reports = {"manifest.sqlite", "manifest.csv", "summary.json"}
    folders = {"jsonl": ".jsonl", "csv": ".csv", "events": ".csv", "video": ".mp4", "sheet": ".jpg"}
    folders |= {"parquet/persons": ".parquet", "parquet/segments": ".parquet"}
    assert files - reports == {
        f"{folder}/{name}{ending}" for folder, ending in folders.items() for name in ("cam/a.mp4", "b.mkv")
    }
    records = (tmp_path / "out" / "jsonl" / "cam" / "a.mp4.jsonl").read_text().splitlines()
    assert {json.loads(line)["video"] for line in records} == {"cam/a.mp4"}
    assert run(tmp_path / "in", *options) == 3
    assert "0 video(s) annotated, 0 failed; 2 done before, 1 failed before (--retry-failed)" in capsys.readouterr().err


def test_progress_as_json_has_the_standard_output(run, tmp_path, capsys):
    (tmp_path / "bad.mp4").write_text("this is text")
    options = ["--out-dir", tmp_path / "out", "--model", "none", "--detector", "whole_frame", "--progress", "json"]
    assert run(tmp_path / "bad.mp4", *options) == 3
    told = capsys.readouterr()
    events = [json.loads(line)["event"] for line in told.out.splitlines()]
    assert (events[0], events[-1]) == ("start", "end")
    assert told.err == ""


def test_settings_and_options(run, asked, tmp_path):
    code = run(
        *("a.mp4", "--out-dir", tmp_path, "--format", "jsonl, video", "--anonymise", "head", "--stride", "0.25"),
        *("--threshold", "0.3", "--model", "none", "--set", "events.max_gap=2", "--workers", "3", "--shard", "2/5"),
        *("--limit", "7", "--retry-failed", "--redo", "--compare", "hash", "--timeout", "60", "--stall-timeout", "9"),
    )
    assert code == 0
    assert asked.options.formats == ("jsonl", "video")
    assert (asked.options.workers, asked.options.by_hash) == (3, True)
    selection, limits = asked.options.selection, asked.options.limits
    assert (selection.shard, selection.limit, selection.retry_failed, selection.redo) == ((2, 5), 7, True, True)
    assert (limits.stall_seconds, limits.video_seconds) == (9, 60)
    config = asked.config
    assert (config.render.anonymise, config.pipeline.stride, config.model.name) == ("head", 0.25, "none")
    assert (config.render.threshold, config.events.max_gap) == (0.3, 2)


def test_a_list_on_the_standard_input(run, monkeypatch, asked, tmp_path):
    monkeypatch.setattr(sys, "stdin", io.StringIO("a.mp4\nb.mp4\n"))
    assert run("-", "--out-dir", tmp_path) == 0
    assert asked.lines == ["a.mp4\n", "b.mp4\n"]


@pytest.mark.parametrize(
    ("summary", "code", "message"),
    [
        (BatchSummary(done=2), 0, "2 video(s) annotated, 0 failed"),
        (BatchSummary(failed=1, failures={"a": "it is bad"}), 3, "a: it is bad"),
        (BatchSummary(done=1, damaged=1, damages={"a": "damaged: 2"}), 3, "a: damaged: 2"),
        (BatchSummary(problems=["folder x can't be read"]), 3, "folder x can't be read"),
        (BatchSummary(stopped="the disk is full."), 1, "stopped: the disk is full. Free some space"),
        (BatchSummary(interrupted=True, listed=Listed(waiting=3)), 130, "3 left"),
        (BatchSummary(interrupted=True), 130, "interrupted: give the same command again to go on"),
        (BatchSummary(failed=12, failures={f"v{i}": "x" for i in range(12)}), 3, "and 2 more, in"),
    ],
)
def test_what_is_told_at_the_end(run, asked, tmp_path, capsys, summary, code, message):
    asked.summary = summary
    assert run("a.mp4", "--out-dir", tmp_path) == code
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--shard", "3"], "--shard 3: expected I/N, such as 3/10"),
        (["--shard", "4/3"], "shard 4/3: expected I/N with I from 1 to N"),
        (["--limit", "0"], "limit is 0; expected 1 or more"),
        (["--workers", "0"], "workers is 0; expected 1 or more"),
        (["--format", "jsonl,mp3"], "unknown format 'mp3'"),
        (["--compare", "size"], "--compare size: expected time or hash"),
        (["--timeout", "0"], "--timeout is 0.0; expected a number of seconds above 0"),
        (["--stall-timeout", "-1"], "--stall-timeout is -1.0; expected"),
        (["--progress", "bars"], "unknown value of --progress 'bars'"),
        (["--stride", "0"], "pipeline.stride is 0"),
    ],
)
def test_wrong_options(run, tmp_path, capsys, options, message):
    assert run(tmp_path / "a.mp4", "--out-dir", tmp_path / "out", *options) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_dry_run(run, monkeypatch, tmp_path, capsys):
    found = Estimate(Listed(9, 5, 100, 3, 1, 2), 7200.0, 3700.0, 1, 5, "a trial")
    monkeypatch.setattr(build_batch, "estimate_videos", lambda *arguments: found)
    assert run("a.mp4", "--out-dir", tmp_path / "out", "--dry-run") == 0
    assert capsys.readouterr().out.splitlines() == [
        "9 video(s): 5 to annotate, 2 of them because they or the settings changed; 3 done before; "
        "1 failed before (--retry-failed)",
        "about 2:00 h of video, from 5 that were looked at",
        "1 of 5 that were looked at can't be opened",
        "about 1:01 h to annotate, from a trial",
    ]
