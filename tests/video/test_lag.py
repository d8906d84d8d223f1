import pytest

from sf_detect.video.lag import LagGuard

FPS, GOP = 25, 25


def skipped(guard: LagGuard, lags: list[float]) -> list[int]:
    """Which packets are skipped where each comes so many seconds late."""
    return [
        index
        for index, lag in enumerate(lags)
        if guard.skips(5 + index / FPS, 100 + index / FPS + lag, index % GOP == 0)
    ]


def test_a_stream_that_keeps_up_is_decoded_whole() -> None:
    assert skipped(LagGuard(), [0.3 + 0.2 * (index % 2) for index in range(200)]) == []


def test_what_is_behind_catches_up_and_goes_on_at_a_key_picture() -> None:
    lags = [0.1] * 50 + [1.5] * 10 + [0.2] * 90
    assert skipped(LagGuard(), lags) == list(range(50, 75))


def test_the_backlog_of_the_start_is_no_measure() -> None:
    lags = [max(0.0, 3 - index / 10) for index in range(100)]
    assert skipped(LagGuard(), lags) == []


def test_a_clock_that_drifts_is_no_lag() -> None:
    guard = LagGuard()
    assert skipped(guard, [index / FPS * 0.0005 for index in range(FPS * 7200)]) == []
    assert not guard.is_hopeless


def test_a_line_that_is_too_slow_is_hopeless() -> None:
    guard = LagGuard()
    assert skipped(guard, [index * 0.02 for index in range(501)]) == list(range(51, 501))
    assert not guard.is_hopeless
    skipped(guard, [11.0] * 2)
    assert guard.is_hopeless


@pytest.mark.parametrize("jump", [37_600.0, -37_600.0])
def test_a_jump_of_the_clock_is_no_lag(jump: float) -> None:
    guard = LagGuard()
    assert skipped(guard, [0.1] * 50 + [0.1 + jump] * 50) == []
    assert not guard.is_hopeless


def test_without_stamps_nothing_is_known() -> None:
    guard = LagGuard()
    assert not any(guard.skips(None, 100.0 + index, False) for index in range(10))
