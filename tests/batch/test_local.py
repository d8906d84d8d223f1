"""Worker processes: every job ends once, whatever happens to the worker."""

import os
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import pytest

import batch_fakes
from sf_detect.batch.jobs import DONE, FAILED, Job, Limits, Outcome, Progress
from sf_detect.batch.local import LocalPool
from sf_detect.errors import SFDetectError


def outcomes(pool, *sources):
    try:
        groups = list(pool.run(Job(f"v{i}", source) for i, source in enumerate(sources)))
    finally:
        assert pool.close() == []
    return [event for event in chain(*groups) if isinstance(event, Outcome)]


def test_all_jobs_end_once_and_workers_are_kept():
    pool = LocalPool(batch_fakes.make_runner, 2)
    ended = outcomes(pool, *["pid"] * 12)
    assert sorted(outcome.job.name for outcome in ended) == sorted(f"v{i}" for i in range(12))
    assert 1 <= len({outcome.reason for outcome in ended}) <= 2, "two workers do all of them"


def test_progress_is_handed_on():
    pool = LocalPool(batch_fakes.make_runner, 1)
    groups = list(pool.run(iter([Job("v", "x")])))
    pool.close()
    assert Progress("v", 0.5, 1.0) in list(chain(*groups))


def test_dead_workers_and_hanging_jobs_are_replaced():
    pool = LocalPool(batch_fakes.make_runner, 2, Limits(stall_seconds=0.3))
    ended = {o.job.source: o for o in outcomes(pool, "die-always", "a", "die-once", "hang", "b")}
    assert {source: o.state for source, o in ended.items()} == {
        "die-always": FAILED,
        "a": DONE,
        "die-once": DONE,
        "hang": FAILED,
        "b": DONE,
    }
    assert ended["die-once"].job.attempt == 2
    assert "its worker ended 2 time(s)" in ended["die-always"].reason
    assert "exit status 9" in ended["die-always"].reason
    assert "gave no result for 0.3 s" in ended["hang"].reason


def test_a_job_that_takes_too_long_in_all_is_given_up():
    pool = LocalPool(batch_fakes.make_runner, 1, Limits(stall_seconds=60, video_seconds=0.2))
    (ended,) = outcomes(pool, "hang")
    assert "took more than 0.2 s" in ended.reason
    assert "--timeout" in ended.reason


def test_models_that_can_not_be_loaded_end_the_run():
    pool = LocalPool(batch_fakes.make_nothing, 2)
    with pytest.raises(SFDetectError, match="these weights can't be read"):
        outcomes(pool, "a", "b", "c")


def test_workers_that_end_while_they_load_end_the_run():
    pool = LocalPool(batch_fakes.make_and_die, 1)
    with pytest.raises(SFDetectError, match=r"3 workers.*exit status 7.*--workers"):
        outcomes(pool, "a")


def test_what_can_not_be_sent_is_refused():
    with pytest.raises(TypeError, match="workers are other processes"):
        LocalPool(lambda: batch_fakes.run_by_name, 1)


def test_close_gives_what_was_not_handed_over():
    pool = LocalPool(batch_fakes.make_runner, 1)
    groups = pool.run(iter([Job("v", "x"), Job("w", "hang")]))
    got: list[Outcome] = []
    while not got:
        got = [event for event in next(groups) if isinstance(event, Outcome)]
    groups.close()  # as when Ctrl-C strikes while the group is dealt with
    assert [outcome.job.name for outcome in pool.close()] == ["v"]
    assert pool.close() == []


_ORPHAN = """
import sys, os, signal
from sf_detect.batch.jobs import Job, Outcome
from sf_detect.batch.local import LocalPool
import batch_fakes
if __name__ == "__main__":
    pool = LocalPool(batch_fakes.make_runner, 1)
    for group in pool.run(iter([Job("v", "pid"), Job("w", "hang")])):
        for event in group:
            if isinstance(event, Outcome):
                print(event.reason, flush=True)
"""


@pytest.mark.skipif(os.name == "nt", reason="asks by signal 0 whether a process lives")
def test_workers_die_with_a_killed_parent(tmp_path):
    script = tmp_path / "orphan.py"
    script.write_text(_ORPHAN)
    path = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    parent = subprocess.Popen(
        [sys.executable, script], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": path}
    )
    with parent:
        worker = int(parent.stdout.readline())
        parent.kill()
        # Its end of the output closes with the last process that holds it: the worker.
        assert parent.stdout.read() == ""
    deadline = time.monotonic() + 10
    while _alive(worker):
        assert time.monotonic() < deadline, "the worker outlives the process that started it"
        time.sleep(0.01)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    state = Path(f"/proc/{process}/stat")
    return not state.exists() or state.read_text().rpartition(")")[2].split()[0] != "Z"
