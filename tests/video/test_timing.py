import itertools

import pytest

from sf_detect.video.timing import DecodingSlots, PtsClock, StampChooser


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


@pytest.mark.parametrize("jump", [7 * 3600.0, 30_000.0, 37_600.0, 30 * 3600.0, 1e12])
def test_a_jump_ahead_beyond_belief_is_closed_and_remembered(jump: float) -> None:
    clock = PtsClock(None, 0.1)
    assert [clock(s) for s in (0.0, 0.1, 0.1 + jump, 0.2 + jump)] == pytest.approx([0.0, 0.1, 0.2, 0.3], abs=1e-3)
    assert clock.jumps == [(0.1, pytest.approx(jump - 0.1))]


def test_a_single_stamp_beyond_belief_is_passed_over() -> None:
    clock = PtsClock(0.0, 0.1)
    assert [clock(s) for s in (0.0, 0.1, 40_000.0, 0.3, 0.4)] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert len(clock.jumps) == 2


def test_a_first_stamp_beyond_belief_becomes_zero() -> None:
    assert times([40_000.0, 40_000.1], start=0.0) == pytest.approx([0.0, 0.1])


def test_long_gaps_of_recorded_video_are_kept() -> None:
    clock = PtsClock(None, 0.1)
    assert [clock(s) for s in (0.0, 60.0, 7200.0)] == [0.0, 60.0, 7200.0]
    assert clock.jumps == []


def test_live_stamps_are_believed_as_far_as_time_went_by() -> None:
    clock = PtsClock(None, 0.1, max_gap=10.0)
    assert clock(5.0) == 0.0
    assert clock(65.0, waited=60.0) == 60.0
    assert clock(37_665.0, waited=0.1) == pytest.approx(60.1)
    assert clock.jumps == [(60.0, pytest.approx(37_599.9))]


def test_jumps_back_are_remembered_and_slips_are_not() -> None:
    clock = PtsClock(None, 0.1)
    assert [clock(s) for s in (0.0, 0.1, 0.1, 0.2)][-1] == pytest.approx(0.2)
    assert clock.jumps == []
    clock(-8.0)
    assert clock.jumps == [(pytest.approx(0.2), pytest.approx(-8.3))]
    stuck = PtsClock(None, 2.0)
    assert [stuck(0.0) for _ in range(4)][-1] > 4
    assert stuck.jumps == []


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


def test_pictures_take_the_slots_of_packets_in_order() -> None:
    slots = DecodingSlots()
    shown = []
    for sent, out in ((0, None), (2, None), (4, 0), (6, 4), (8, 6)):  # I P B B P, with a delay of two
        slots.sent(sent)
        if out is not None:
            shown.append(slots.shown(out, is_key=out == 0))
    shown += [slots.shown(2, is_key=False), slots.shown(8, is_key=False), slots.shown(None, is_key=False)]
    assert shown == [0, 2, 4, 6, 8, None]


def test_slots_of_lost_pictures_are_given_up_at_the_next_key_picture() -> None:
    slots = DecodingSlots()
    for dts in range(6):
        slots.sent(dts)
    assert slots.shown(0, is_key=True) == 0
    assert slots.shown(2, is_key=False) == 1  # the picture of packet 1 is lost
    assert slots.shown(4, is_key=True) == 4
    assert slots.shown(5, is_key=False) == 5
