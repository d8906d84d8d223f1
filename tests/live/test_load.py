"""What gives way under overload, in which order, and when it comes back; on a clock of the test's own."""

import itertools

import pytest

from sf_detect.errors import StageError
from sf_detect.live.load import LONGEST_INTERVAL, LONGEST_RECOVERY, RECOVERY_SECONDS, SETTLE_SECONDS, ActionForm, Load
from sf_detect.live.retries import Retries


class Clock:
    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def forms():
    sizes = [(256, 1.0), (192, 0.56), (128, 0.25), (96, 0.14)]
    made = [
        ActionForm(0.3, True, f"streaming {side}", cost, approximation="smaller" if cost < 1 else None)
        for side, cost in sizes
    ]
    return [*made, ActionForm(0.5, False, "clips 96", 0.14, approximation="smaller")]


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def load(clock):
    load = Load(forms(), 0.25, lambda text: said.append(text), clock)
    said = load.said = []
    return load


def compute(load, clock, share, seconds, stream="a"):
    """So many seconds in which actions take that share of the time."""
    for _ in range(round(seconds / 0.3)):
        clock.now += 0.3
        load.computed(stream, 0.3 * share, 0.3)


def test_nothing_changes_where_the_machine_keeps_up(load, clock):
    compute(load, clock, 0.8, 60)
    assert (load.detection_interval, load.form, load.said) == (0.25, 0, [])


def test_the_detection_interval_gives_way_first_then_the_size(load, clock):
    compute(load, clock, 1.05, SETTLE_SECONDS + 1)
    assert load.detection_interval == pytest.approx(0.4)
    assert load.form == 0
    compute(load, clock, 1.05, 3 * SETTLE_SECONDS)
    assert load.detection_interval == LONGEST_INTERVAL
    compute(load, clock, 1.05, SETTLE_SECONDS)
    assert load.current.text == "streaming 192"
    assert load.said[0] == "the machine is too slow: persons are looked for every 0.40 s"
    assert load.said[-1] == "the machine is too slow: actions by streaming 192 (approximate)"


def test_a_gross_overload_takes_both_at_once_by_what_was_measured(load, clock):
    compute(load, clock, 2.4, 1.5)
    assert load.detection_interval == LONGEST_INTERVAL
    assert load.current.text == "streaming 128"  # 2.4 * 0.25 = 0.6; 2.4 * 0.56 = 1.3 would be too much


def test_what_nothing_keeps_up_with_ends_in_clips(load, clock):
    compute(load, clock, 20.0, 30)
    assert load.current.text == "clips 96"
    said = len(load.said)
    compute(load, clock, 20.0, 30)
    assert len(load.said) == said, "there is nothing left to give way"


def test_skips_are_an_overload(load, clock):
    clock.now += SETTLE_SECONDS
    load.skipped("a")
    load.skipped("a")
    assert load.detection_interval > 0.25


def test_a_display_that_starves_lets_detection_give_way_but_no_light_model(load, clock):
    for _ in range(20):
        compute(load, clock, 0.2, SETTLE_SECONDS)
        load.displayed("a", 40, 20)
    assert load.detection_interval == LONGEST_INTERVAL
    assert load.form == 0


def test_the_busiest_stream_counts(load, clock):
    compute(load, clock, 0.2, SETTLE_SECONDS, "a")
    compute(load, clock, 1.5, SETTLE_SECONDS, "b")
    assert load.detection_interval > 0.25


def test_what_gave_way_comes_back_the_last_first(load, clock):
    compute(load, clock, 2.4, 1.5)
    assert load.form == 2
    compute(load, clock, 0.25, RECOVERY_SECONDS + 3)
    assert load.current.text == "streaming 192"
    compute(load, clock, 0.25, RECOVERY_SECONDS + 3)
    assert load.form == 0
    compute(load, clock, 0.25, 3 * RECOVERY_SECONDS + 10)
    assert load.detection_interval == 0.25
    assert load.said[-1] == "persons are looked for every 0.25 s again"


def test_each_try_that_fails_waits_longer_for_the_next(load, clock):
    changes = []
    load._on_change = lambda text: changes.append(clock.now)
    for _ in range(2000):
        # The full size is always too much, the next one is a light load.
        compute(load, clock, 2.0 if load.form == 0 else 0.2, 0.3)
    waits = [later - earlier for earlier, later in itertools.pairwise(changes)]
    assert max(waits) >= 100
    assert load._recovery == LONGEST_RECOVERY


def test_a_beginning_that_takes_very_long_counts_and_others_do_not(load, clock):
    clock.now += SETTLE_SECONDS
    load.begun("a", 2.0, 1.0)
    assert load.form == 0
    load.begun("a", 8.0, 2.0)
    assert load.current.text in ("streaming 96", "clips 96")


def test_a_trial_before_the_start_chooses(load):
    load.expect(0.5)
    assert load.form == 0
    load.expect(1.2)
    assert load.current.text == "streaming 192"
    assert load.said == [
        "actions need 1.2 times the time there is by streaming 256: they are computed by streaming 192 (approximate)"
    ]


def test_recovery_needs_a_measurement(load, clock):
    load.expect(1.2)
    clock.now += 100
    load.displayed("a", 40, 40)
    assert load.form == 1


def test_retries_wait_longer_each_time_and_say_it_once(clock):
    said = []
    retries = Retries(said.append, clock)
    with pytest.raises(StageError, match="no kernel"):
        retries.failed(StageError("no kernel."))
    retries.worked()
    waits = []
    for _ in range(8):
        retries.failed(StageError("out of memory."))
        begun = clock.now
        while not retries.ready:
            clock.now += 0.25
        waits.append(clock.now - begun)
    assert waits == [0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0]
    assert said == ["out of memory. It is tried again in 0.5 s."]
    assert retries.failures == 8
    retries.worked()
    assert retries.error is None
