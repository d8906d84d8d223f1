"""Jobs on a Ray cluster: without Ray here by a stand-in, and on a real one of two nodes (slow)."""

import os
import sys
from itertools import chain

import pytest

import batch_fakes
from batch_fakes import Listener
from sf_detect.batch.jobs import DONE, FAILED, Job, Limits, Outcome, Progress
from sf_detect.batch.ray_pool import RayPool, Resources
from sf_detect.batch.worker_process import Ready
from sf_detect.build_batch import BatchOptions, annotate_videos
from sf_detect.config import DetectorConfig, RunConfig
from sf_detect.errors import MissingExtraError, SFDetectError
from synthetic_video import write_video


def outcomes(pool, *sources):
    try:
        groups = list(pool.run(Job(f"v{i}", source) for i, source in enumerate(sources)))
    finally:
        pool.close()
    return [event for event in chain(*groups) if isinstance(event, Outcome)]


class FakeRay:
    """Does a task when it is asked for its answer; "die" in a source loses the actor, "hang" never answers."""

    class exceptions:  # noqa: N801  as of Ray
        class RayError(Exception):
            pass

    def __init__(self, cpus=2.0, slots=None):
        self.cpus, self.slots, self.actors, self.killed = cpus, slots, [], 0
        self.started = self.stopped = 0

    def is_initialized(self):
        return False

    def init(self, **options):
        self.options = options
        if options["address"] == "nowhere":
            raise ConnectionError("nobody answers")
        self.started += 1

    def shutdown(self):
        self.stopped += 1

    def nodes(self):
        return [{"Alive": True, "Resources": {"CPU": self.cpus}}, {"Alive": False, "Resources": {"CPU": 64.0}}]

    def remote(self, **options):
        return lambda kind: _Class(self, kind, options)

    def wait(self, answers, num_returns, timeout):
        done = [answer for answer in answers if answer.there()]
        return done[:num_returns], [answer for answer in answers if answer not in done]

    def get(self, answer):
        return answer.value()

    def kill(self, actor, no_restart):
        actor.dead = True
        self.killed += 1


class _Class:
    def __init__(self, ray, kind, options):
        self.ray, self.kind, self.options = ray, kind, options

    def remote(self, make):
        actor = _Actor(self.ray, self.kind(make))
        self.ray.actors.append(actor)
        return actor


class _Actor:
    def __init__(self, ray, inner):
        self.ray, self.inner, self.dead = ray, inner, False
        self.job = None

    def __getattr__(self, name):
        return _Method(self, name)


class _Method:
    def __init__(self, actor, name):
        self.actor, self.name = actor, name

    def remote(self, *arguments):
        if self.name == "run" and "hang" in arguments[0].source:
            self.actor.inner._name = arguments[0].name
        return _Answer(self.actor, self.name, arguments)


class _Answer:
    def __init__(self, actor, name, arguments):
        self.actor, self.name, self.arguments = actor, name, arguments

    def there(self):
        hangs = self.name == "run" and "hang" in self.arguments[0].source
        slots = self.actor.ray.slots
        return not hangs and (slots is None or self.actor.ray.actors.index(self.actor) < slots)

    def value(self):
        if self.actor.dead:
            raise FakeRay.exceptions.RayError("the actor is dead. Details follow")
        if self.name == "run":
            job = self.arguments[0]
            if "die-always" in job.source or ("die-once" in job.source and job.attempt == 1):
                self.actor.dead = True
                raise FakeRay.exceptions.RayError("the node is gone. Details follow")
        return getattr(self.actor.inner, self.name)(*self.arguments)


@pytest.fixture
def fake(monkeypatch):
    fake = FakeRay()
    monkeypatch.setattr("sf_detect.batch.ray_pool.import_ray", lambda: fake)
    monkeypatch.setattr("sf_detect.batch.ray_pool._TICK_SECONDS", 0.0)
    return fake


def test_every_job_ends_once(fake):
    ended = outcomes(RayPool(batch_fakes.make_runner, 2), *["x"] * 9)
    assert sorted(outcome.job.name for outcome in ended) == sorted(f"v{i}" for i in range(9))
    assert (len(fake.actors), fake.killed, fake.started, fake.stopped) == (2, 2, 1, 1)


def test_no_more_actors_than_the_nodes_have_room_for(fake):
    assert RayPool(batch_fakes.make_runner, 64).workers == 2
    assert RayPool(batch_fakes.make_runner, 1).workers == 1
    assert RayPool(batch_fakes.make_runner, resources=Resources(cpus=0.5)).workers == 4


def test_lost_actors_are_replaced(fake):
    ended = {o.job.source: o for o in outcomes(RayPool(batch_fakes.make_runner, 2), "die-once", "a", "die-always", "b")}
    states = {source: outcome.state for source, outcome in ended.items()}
    assert states == {"die-once": DONE, "a": DONE, "die-always": FAILED, "b": DONE}
    assert "its worker was lost 2 time(s) while it annotated this video" in ended["die-always"].reason
    assert "(the node is gone)" in ended["die-always"].reason


def test_a_cluster_that_loses_every_actor_ends_the_run(fake):
    with pytest.raises(SFDetectError, match=r"10 workers, one after the other, were lost \(the node is gone\)"):
        outcomes(RayPool(batch_fakes.make_runner, 1), *["die-always"] * 30)


def test_hanging_jobs_are_given_up(fake):
    ended = outcomes(RayPool(batch_fakes.make_runner, 2, Limits(stall_seconds=0.05)), "hang", "a")
    assert {o.job.source: o.state for o in ended} == {"hang": FAILED, "a": DONE}
    (slow,) = outcomes(RayPool(batch_fakes.make_runner, 1, Limits(video_seconds=0.05)), "hang")
    assert "took more than 0.05 s" in slow.reason


def test_progress_of_running_jobs(fake):
    pool = RayPool(batch_fakes.make_runner, 1, Limits(video_seconds=0.2))
    groups = list(pool.run(iter([Job("v", "hang")])))
    assert Progress("v", 0.0, None) in list(chain(*groups))
    pool.close()


def test_models_that_can_not_be_loaded_end_the_run(fake):
    with pytest.raises(SFDetectError, match="these weights can't be read"):
        outcomes(RayPool(batch_fakes.make_nothing, 2), "a")
    assert fake.stopped == 1


def test_a_cluster_that_gives_no_place_ends_the_run(fake):
    fake.slots = 0
    with pytest.raises(SFDetectError, match="no worker was ready within"):
        outcomes(RayPool(batch_fakes.make_runner, 1, resources=Resources(place_seconds=0.05)), "a")


def test_one_actor_that_finds_no_place_holds_nothing_up(fake):
    fake.slots = 1
    assert len(outcomes(RayPool(batch_fakes.make_runner, 2), *"abc")) == 3


def test_a_cluster_without_room(fake):
    with pytest.raises(SFDetectError, match=r"no node of the cluster has 1 CPU\(s\) and 0.25 GPU\(s\)"):
        RayPool(batch_fakes.make_runner, 1, resources=Resources(1.0, 0.25))
    assert fake.stopped == 1


def test_a_cluster_that_does_not_answer(fake):
    with pytest.raises(SFDetectError, match=r"no cluster at nowhere: .*nobody answers. Check --ray-address"):
        RayPool(batch_fakes.make_runner, 1, address="nowhere")


def test_the_environment_names_a_cluster(fake, monkeypatch):
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    RayPool(batch_fakes.make_runner, 1).close()
    assert (fake.options["address"], fake.options["include_dashboard"]) == (None, False)
    monkeypatch.setenv("RAY_ADDRESS", "host:6379")
    RayPool(batch_fakes.make_runner, 1).close()
    assert fake.options["address"] == "host:6379"
    assert "include_dashboard" not in fake.options


def test_no_jobs_need_no_actor(fake):
    pool = RayPool(batch_fakes.make_runner, 2)
    assert list(pool.run(iter([]))) == []
    pool.close()
    assert fake.actors == []


def test_close_gives_what_was_not_handed_over(fake):
    pool = RayPool(batch_fakes.make_runner, 1)
    groups = pool.run(iter([Job("v", "x"), Job("w", "y")]))
    got = [event for event in next(groups) if isinstance(event, Outcome)]
    groups.close()
    assert [outcome.job.name for outcome in got] == ["v"]
    assert [outcome.job.name for outcome in pool.close()] == ["v", "w"]
    assert pool.close() == []


def test_ray_that_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"--engine ray needs 'ray'.*sf_detect\[ray\]"):
        RayPool(batch_fakes.make_runner, 1)


def test_the_fake_answers_as_actors_do():
    from sf_detect.batch.ray_pool import BatchActor

    actor = BatchActor(batch_fakes.make_runner)
    assert actor.ready() == Ready()
    assert actor.run(Job("v", "x")).state == DONE
    assert actor.progress() == Progress("v", 0.5, 1.0)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_cluster_of_two_nodes_of_which_one_is_killed(tmp_path, monkeypatch):
    """Every result is there once, equal byte for byte to the local run's but for times."""
    pytest.importorskip("ray", reason="needs Ray: pip install 'sf_detect[ray]'")
    import ray
    from ray.cluster_utils import Cluster

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    for i in range(8):
        write_video(tmp_path / "in" / f"v{i}.mp4", 20 + 5 * i)
    arguments, config = ["in"], RunConfig(detector=DetectorConfig("whole_frame"), backend="onnxruntime")
    local = annotate_videos(arguments, "local", config, BatchOptions(workers=1), Listener())
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})
    try:
        lost = cluster.add_node(num_cpus=1)
        cluster.wait_for_nodes()
        cluster.connect()  # at the first node: whose own node dies has no cluster any more

        class Killing(Listener):
            def event(self, event, summary):
                super().event(event, summary)
                if lost.all_processes and summary.done == 2:
                    cluster.remove_node(lost, allow_graceful=False)

        options = BatchOptions(engine="ray", workers=2)
        remote = annotate_videos(arguments, "ray", config, options, Killing())
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert remote.failures == {}
    assert (local.done, remote.done, remote.failed, remote.workers) == (8, 8, 0, 2)
    first, second = (contents(tmp_path / name) for name in ("local", "ray"))
    assert first.keys() == second.keys()
    assert {name for name in first if first[name] != second[name]} == set()


def contents(folder):
    """Of all results; the manifest and the summary hold times."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.parent != folder)
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}
