"""What a dry run says, and that it leaves nothing behind."""

import pytest

from batch_fakes import STATS, VERSIONS, video
from sf_detect.batch.estimate import Cost, estimate
from sf_detect.batch.jobs import DONE, Job, Outcome
from sf_detect.batch.layout import ArchiveFolder
from sf_detect.batch.listing import Listing, Selection
from sf_detect.batch.manifest import Manifest
from sf_detect.batch.run import Batch
from sf_detect.errors import SourceOpenError

COST = Cost(0.5, 0.8, "a trial")


def ask(folder, videos, length=lambda source: 4.0, measure=lambda source: COST, workers=2, cores=4):
    batch = Batch(ArchiveFolder(folder), ("jsonl",), VERSIONS, Selection())
    return estimate(batch, videos, length, measure, workers, cores)


def test_lengths_are_scaled_by_bytes_and_nothing_is_written(tmp_path):
    found = ask(tmp_path / "out", [video(f"v{i}", 10) for i in range(320)])
    assert (found.listed.waiting, found.sample, found.unreadable) == (320, 32, 0)
    assert found.video_seconds == pytest.approx(1280)
    assert found.wall_seconds == pytest.approx(1280 * 0.25)
    assert found.basis == "a trial"
    assert not (tmp_path / "out").exists()


def test_the_processor_is_the_limit_of_many_workers(tmp_path):
    assert ask(tmp_path, [video("v")], workers=8, cores=2).wall_seconds == pytest.approx(4 * 0.4)


def test_videos_without_sizes_are_scaled_by_number(tmp_path):
    assert ask(tmp_path, [video(f"v{i}", 0) for i in range(64)]).video_seconds == pytest.approx(256)


def test_videos_that_do_not_open(tmp_path):
    def length(source):
        if "bad" in source:
            raise SourceOpenError("bad")
        return 2.0

    found = ask(tmp_path, [video("bad"), video("good")], length)
    assert (found.unreadable, found.sample, found.video_seconds) == (1, 2, 2.0)
    assert ask(tmp_path, [video("bad")], length).video_seconds is None


def test_videos_that_do_not_tell_their_length(tmp_path):
    found = ask(tmp_path, [video("v")], lambda source: None)
    assert (found.video_seconds, found.wall_seconds, found.unreadable) == (None, None, 0)


def test_a_trial_that_fails_leaves_the_time_open(tmp_path):
    def measure(source):
        raise SourceOpenError("bad")

    found = ask(tmp_path, [video(f"v{i}") for i in range(9)], measure=measure)
    assert (found.video_seconds, found.wall_seconds) == (36.0, None)


def test_finished_videos_tell_the_speed(tmp_path):
    def no_trial(source):
        raise AssertionError("there is enough to learn from")

    manifest = Manifest(tmp_path / "manifest.sqlite")
    folder = ArchiveFolder(tmp_path)
    Listing(manifest, folder, VERSIONS, ("jsonl",), Selection()).add([video(f"v{i}") for i in range(20)])
    folder.place("jsonl", "x").parent.mkdir()
    for i in range(20):
        folder.place("jsonl", f"v{i}").write_text("1234")
    jobs = [Job(f"v{i}", "") for i in range(20)]
    manifest.record([Outcome(job, DONE, "", STATS, {"jsonl": 4}, 6.0) for job in jobs], VERSIONS)
    manifest.close()
    before = (tmp_path / "manifest.sqlite").read_bytes()
    found = ask(tmp_path, [*[video(f"v{i}") for i in range(20)], video("new")], measure=no_trial)
    assert (found.listed.done, found.listed.waiting) == (20, 1)
    assert found.wall_seconds == pytest.approx(4 * 3 / 2), "three seconds a second of video, by two workers"
    assert found.basis == "20 videos of this archive that are done"
    assert (tmp_path / "manifest.sqlite").read_bytes() == before


def test_what_a_run_of_the_whole_did_counts_for_its_shards(tmp_path):
    whole = Manifest(tmp_path / "manifest.sqlite")
    listing = Listing(whole, ArchiveFolder(tmp_path), VERSIONS, (), Selection())
    listing.add([video("v")])
    whole.record([Outcome(Job("v", video("v").source), DONE, stats=STATS)], VERSIONS)
    whole.close()
    batch = Batch(ArchiveFolder(tmp_path, ".1-of-1"), (), VERSIONS, Selection(shard=(1, 1)))
    found = estimate(batch, [video("v"), video("w")], lambda source: 4.0, lambda source: COST, 1, 1).listed
    assert (found.done, found.waiting) == (1, 1)
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.sqlite"]
