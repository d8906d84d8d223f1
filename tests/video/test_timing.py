import itertools

import pytest

from sf_detect.video.timing import PtsClock, StampChooser


def times(stamps: list[float | None], start: float | None = None, interval: float = 0.1) -> list[float]:
    clock = PtsClock(start, interval)
    return [clock(stamp) for stamp in stamps]


def test_right_stamps_are_kept_relative_to_the_start() -> None:
    assert times([5.0, 5.1, 5.4]) == pytest.approx([0.0, 0.1, 0.4])
    assert times([5.0, 5.1, 5.4], start=4.8) == pytest.approx([0.2, 0.3, 0.6])


def test_a_first_stamp_before_the_start_becomes_zero() -> None:
    assert times([-0.2, -0.1, 0.0], start=0.0) == pytest.approx([0.0, 0.1, 0.2])


def test_missing_stamps_follow_the_rate() -> None:
    assert times([None, None, None]) == pytest.approx([0.0, 0.1, 0.2])
    assert times([0.0, None, 0.2, None]) == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert times([None, None, 7.0, 7.1]) == pytest.approx([0.0, 0.1, 0.2, 0.3])


def test_a_single_slip_does_not_shift_what_follows() -> None:
    assert times([0.0, 0.1, 0.1, 0.2, 0.3]) == pytest.approx([0.0, 0.1, 0.101, 0.2, 0.3])


def test_stuck_stamps_follow_the_rate() -> None:
    repaired = times([0.0] * 10)
    assert all(later > earlier for earlier, later in itertools.pairwise(repaired))
    assert repaired[-1] == pytest.approx(0.801)


def test_a_counter_that_restarts_continues_where_the_clock_stood() -> None:
    assert times([8.0, 8.1, 8.2, 0.0, 0.1, 0.2], interval=0.1) == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])


def test_pts_are_chosen_while_they_increase() -> None:
    choose = StampChooser()
    assert [choose(pts, pts - 2) for pts in (0, 1, 2)] == [0, 1, 2]


def test_dts_are_chosen_when_pts_go_back_and_dts_do_not() -> None:
    choose = StampChooser()
    assert [choose(pts, dts) for pts, dts in ((1, 2), (4, 3), (3, 4), (5, 5), (2, 6))] == [1, 4, 4, 5, 6]


def test_whatever_stamp_there_is_is_used() -> None:
    choose = StampChooser()
    assert choose(None, 3) == 3
    assert choose(4, None) == 4
    assert choose(None, None) is None
