"""A run: lock, listing, jobs, records, reports."""

import json

import pytest

from batch_fakes import VERSIONS, FakePool, Listener, done, failed, video
from sf_detect.batch.jobs import Job, Outcome
from sf_detect.batch.layout import ArchiveFolder
from sf_detect.batch.listing import Selection
from sf_detect.batch.manifest import Manifest
from sf_detect.batch.run import Batch, manifest_path, opened, run_batch
from sf_detect.errors import SinkError, WeightsError


@pytest.fixture
def folder(tmp_path):
    return ArchiveFolder(tmp_path / "out")


def run(folder, videos, pool=None, listener=None, **selection):
    pool = pool or FakePool(lambda job: write(folder, job))
    batch = Batch(folder, ("jsonl",), VERSIONS, Selection(**selection))
    return run_batch(batch, videos, lambda listed: pool, listener or Listener())


def write(folder, job):
    if "bad" in job.name:
        return failed(job)
    place = folder.place("jsonl", job.name)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("1234")
    return done(job, jsonl=4)


def states(folder):
    manifest = Manifest(manifest_path(folder))
    found = {row["name"]: row["state"] for row in manifest.rows()}
    manifest.close()
    return found


def test_a_run_and_its_reports(folder):
    listener = Listener()
    summary = run(folder, [video("a", 30), video("bad", 20), video("c")], listener=listener)
    assert states(folder) == {"a": "done", "bad": "failed", "c": "done"}
    assert (summary.done, summary.failed, summary.seconds, summary.bytes) == (2, 1, 4.0, 60)
    assert summary.labels == {"wave": 3.0}
    written = json.loads((folder.path / "summary.json").read_text())
    assert (written["done"], written["failed"], written["failures"]) == (2, 1, {"bad": "it is bad"})
    assert written["seconds_per_label"] == {"wave": 3.0}
    assert (folder.path / "manifest.csv").read_text().count("\n") == 4
    assert listener.started[0][0].waiting == 3
    assert (len(listener.events), listener.stopped) == (6, 1)


def test_a_video_that_is_given_up_while_its_files_are_moved_keeps_none(folder):
    def half(job):
        write(folder, job)
        return failed(job, "given up")

    run(folder, [video("a")], FakePool(half))
    assert not folder.place("jsonl", "a").exists()


def test_nothing_to_do_starts_no_worker(folder):
    run(folder, [video("a")])

    def no_pool(listed):
        raise AssertionError("no worker is needed")

    summary = run_batch(Batch(folder, ("jsonl",), VERSIONS, Selection()), [video("a")], no_pool, Listener())
    assert (summary.done, summary.listed.done) == (0, 1)


def test_ctrl_c_records_what_is_finished_and_the_next_run_goes_on(folder):
    pool = FakePool(lambda job: write(folder, job))
    finished = Job("b", "/in/b")

    class Interrupting(Listener):
        def event(self, event, summary):
            super().event(event, summary)
            if isinstance(event, Outcome):
                pool.left = [event, write(folder, finished)]  # one was recorded, one was still in the pool
                raise KeyboardInterrupt

    summary = run(folder, [video("a", 30), video("b", 20), video("c")], pool, Interrupting())
    assert summary.interrupted
    assert (summary.done, pool.closed) == (2, 1)
    assert states(folder) == {"a": "done", "b": "done", "c": "pending"}
    assert run(folder, [video("a", 30), video("b", 20), video("c")]).listed.done == 2
    assert set(states(folder).values()) == {"done"}


def test_a_full_disk_stops_the_run_and_says_so(folder):
    def fill(job):
        return write(folder, job) if job.name == "a" else Outcome(job, "failed", "the disk is full.", stop=True)

    summary = run(folder, [video("a", 30), video("b", 20), video("c")], FakePool(fill))
    assert (summary.stopped, summary.done, summary.failed) == ("the disk is full.", 1, 0)
    assert states(folder) == {"a": "done", "b": "pending", "c": "pending"}
    assert run(folder, [video("a", 30), video("b", 20), video("c")]).done == 2


def test_an_error_of_the_pool_comes_through_with_the_rest_recorded(folder):
    class Breaking(FakePool):
        def run(self, jobs):
            yield [write(folder, next(jobs))]
            raise WeightsError("no weights")

    pool = Breaking(lambda job: done(job))
    with pytest.raises(WeightsError, match="no weights"):
        run(folder, [video("a", 30), video("b")], pool)
    assert pool.closed == 1
    assert states(folder) == {"a": "done", "b": "pending"}


def test_two_runs_exclude_each_other(folder):
    with opened(folder), pytest.raises(SinkError, match="another run of sf-detect annotates into"):
        run(folder, [video("a")])
    run(folder, [video("a")])


def test_shards_run_side_by_side_but_not_beside_the_whole(folder):
    one, two = (ArchiveFolder(folder.path, f".{i}-of-2") for i in (1, 2))
    with opened(one):
        with opened(two), pytest.raises(SinkError, match="another run"):
            run(folder, [video("a")])
        with pytest.raises(SinkError, match="another run"), opened(one):
            pass
    with opened(folder), pytest.raises(SinkError, match="another run"), opened(one):
        pass


def test_the_whole_goes_on_from_its_shards(folder):
    videos = [video(f"v{i}") for i in range(10)]
    for i in (1, 2):
        part = ArchiveFolder(folder.path, f".{i}-of-2")
        run(part, videos, FakePool(lambda job: write(folder, job)), shard=(i, 2))
    assert run(folder, videos).listed.done == 10


def test_the_lock_leaves_no_file(folder):
    run(folder, [video("a")])
    assert sorted(path.name for path in folder.path.iterdir()) == [
        "jsonl",
        "manifest.csv",
        "manifest.sqlite",
        "summary.json",
    ]


def test_what_a_killed_run_left_is_cleared(folder):
    (folder.path / ".staging" / "x").mkdir(parents=True)
    run(folder, [video("a")])
    assert not (folder.path / ".staging").exists()


def test_a_folder_that_can_not_be_made(folder):
    folder.path.write_text("a file")
    with pytest.raises(SinkError, match=r"can't be made.*--out-dir"):
        run(folder, [video("a")])
