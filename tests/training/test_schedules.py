import pytest

from sf_detect.training.schedules import Schedule, StepSchedule


def test_cosine_with_a_warm_up_laid_over_its_beginning():
    schedule = Schedule(steps=100, warmup=20, floor=0.0, start=0.1)
    assert schedule(0) == pytest.approx(0.1)
    assert schedule(50) == pytest.approx(0.5)
    assert schedule(19) < schedule(20) < 1  # the cosine has fallen a little by then
    assert schedule(100) == pytest.approx(0)


def test_steps_fall_after_a_warm_up():
    schedule = StepSchedule([10, 15], 0.1, warmup=4, start=0.2)
    assert [schedule(0), schedule(2), schedule(4), schedule(9)] == pytest.approx([0.2, 0.6, 1, 1])
    assert [schedule(10), schedule(14), schedule(15), schedule(99)] == pytest.approx([0.1, 0.1, 0.01, 0.01])


def test_a_warm_up_without_a_start_rises_in_equal_steps():
    assert [StepSchedule([], warmup=4)(step) for step in range(5)] == [0.25, 0.5, 0.75, 1, 1]


@pytest.mark.parametrize("start", [None, 0.1])
@pytest.mark.parametrize("warmup", [1, 4, 7])
def test_a_warm_up_does_not_pass_the_peak_between_steps(warmup, start):
    """Multigrid asks for fractional steps."""
    for schedule in (Schedule(40, warmup, 0.0, start), StepSchedule([30], warmup=warmup, start=start)):
        factors = [schedule(step / 8) for step in range(8 * 30)]
        assert max(factors) <= 1
        rising = factors[: 8 * warmup]
        assert rising == sorted(rising)
    assert Schedule(40, warmup)(warmup - 0.5) == 1
