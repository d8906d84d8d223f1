"""One job: all of its files, or none and the reason."""

import errno
from contextlib import contextmanager

import pytest

from batch_fakes import STATS, FakeAnnotator
from sf_detect.batch.jobs import DONE, FAILED, Job
from sf_detect.batch.layout import KINDS, ArchiveFolder, kinds_of
from sf_detect.batch.worker import ArchiveWorker, full_disk, reason_of
from sf_detect.errors import SinkError, SourceError, UnknownNameError


@contextmanager
def here(source, folder, report):
    yield source, source


@pytest.fixture
def folder(tmp_path):
    return ArchiveFolder(tmp_path / "out")


def run(folder, name="cam/a.mp4", annotate=None, kinds=("jsonl", "events"), fetch=here):
    worker = ArchiveWorker(annotate or FakeAnnotator(), folder, kinds, fetch)
    return worker(Job(name, f"/in/{name}"), lambda seconds, total: None)


def files(folder):
    return sorted(str(path.relative_to(folder.path)) for path in folder.path.rglob("*") if path.is_file())


def test_outputs_take_their_places_when_all_are_complete(folder):
    outcome = run(folder)
    assert (outcome.state, outcome.stats, outcome.outputs) == (DONE, STATS, {"jsonl": 9, "events": 9})
    assert files(folder) == ["events/cam/a.mp4.csv", "jsonl/cam/a.mp4.jsonl"]
    assert folder.complete("cam/a.mp4", outcome.outputs)
    assert not (folder.path / ".staging").exists()


def test_a_failure_leaves_nothing_also_of_before(folder):
    run(folder, "bad-later.mp4", annotate=lambda path, name, source, outputs, report: _write(outputs))
    assert files(folder)
    outcome = run(folder, "bad-later.mp4")
    assert (outcome.state, outcome.stop) == (FAILED, False)
    assert outcome.reason == "/in/bad-later.mp4 is bad. Expected a good one."
    assert files(folder) == []


def _write(outputs):
    for place in outputs.values():
        place.write_text("x")
    return STATS


def test_outputs_of_other_settings_go(folder):
    run(folder, kinds=("jsonl", "csv"))
    run(folder, kinds=("events",))
    assert files(folder) == ["events/cam/a.mp4.csv"]


def test_damage_is_told_and_counts_as_done(folder):
    damaged = STATS.__class__(**{**STATS.__dict__, "decode_errors": 3})

    def annotate(path, name, source, outputs, report):
        _write(outputs)
        return damaged

    outcome = run(folder, annotate=annotate)
    assert (outcome.state, outcome.reason) == (
        DONE,
        "damaged: 3 decoding error(s); the part that decodes was annotated",
    )


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_full_disk_stops_all_and_removes_nothing(folder, number):
    run(folder)

    def annotate(path, name, source, outputs, report):
        try:
            raise OSError(number, "No space left on device")
        except OSError as error:
            raise SinkError("writing failed: the disk is full.") from error

    outcome = run(folder, annotate=annotate)
    assert outcome.stop
    assert outcome.reason == f"{folder.path}: No space left on device, while cam/a.mp4 was written."
    assert len(files(folder)) == 2


def test_other_errors_stop_nothing():
    assert full_disk(SourceError("x")) is None
    assert full_disk(OSError(errno.ENOENT, "x")) is None


def test_an_unexpected_error_fails_the_video_alone(folder):
    def annotate(path, name, source, outputs, report):
        raise ZeroDivisionError("of rtsp://user:secret@host/x\nline")

    outcome = run(folder, annotate=annotate)
    assert outcome.state == FAILED
    assert outcome.reason.startswith("unexpected ZeroDivisionError: of rtsp://")
    assert "secret" not in outcome.reason
    assert "\n" not in outcome.reason


def test_an_output_that_is_missing_fails_the_video(folder):
    outcome = run(folder, annotate=lambda path, name, source, outputs, report: STATS)
    assert outcome.state == FAILED
    assert files(folder) == []


def test_what_is_fetched_is_annotated_and_let_go(folder):
    events = []

    @contextmanager
    def fetch(source, folder, report):
        events.append(f"fetch {source}")
        yield "/tmp/local.mp4", "https://host/a.mp4"
        events.append("let go")

    annotate = FakeAnnotator()
    run(folder, annotate=annotate, fetch=fetch)
    assert annotate.calls == [("/tmp/local.mp4", "cam/a.mp4", "https://host/a.mp4")]
    assert events == ["fetch /in/cam/a.mp4", "let go"]


def test_every_kind_has_a_place_of_its_own(folder):
    places = {folder.place(kind, name) for kind in KINDS for name in ("a", "a.mp4", "b/a", "a.mp4.mp4")}
    assert len(places) == 4 * len(KINDS)


def test_long_names_have_places_that_differ(folder):
    names = ["x" * 250 + end for end in ("1.mp4", "2.mp4")] + ["é" * 120 + end for end in ("1.mp4", "2.mp4")]
    places = {folder.place("jsonl", name) for name in names}
    assert len(places) == 4
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("x")


def test_formats():
    assert kinds_of(["parquet", "jsonl"]) == ("jsonl", "persons", "segments")
    with pytest.raises(UnknownNameError, match=r"unknown format 'jsnol'. Did you mean 'jsonl'"):
        kinds_of(["jsnol"])


def test_leftovers_are_cleared(folder):
    with folder.staging() as staging:
        (staging / "x.part").write_text("x")
        folder.clear_staging()
    assert not (folder.path / ".staging").exists()


def test_reasons_are_one_line():
    assert reason_of(SourceError("a\n  b\tc")) == "a b c"
