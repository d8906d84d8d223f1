import itertools

import pytest

from sf_detect.video.clock import LiveClock, Pacer


def times(clock: LiveClock, pictures: list[tuple[float | None, float]]) -> list[float]:
    return [clock(stamp, arrival)[0] for stamp, arrival in pictures]


def test_stamps_count_and_not_the_unsteady_arrival() -> None:
    arrivals = [100.0, 100.09, 100.10, 100.22]
    pictures = [(7.0 + index / 30, arrival) for index, arrival in enumerate(arrivals)]
    assert times(LiveClock(), pictures) == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30])


def test_without_stamps_arrival_counts() -> None:
    pictures = [(None, 100.0 + index / 5) for index in range(5)]  # FFmpeg would assume 25 pictures a second
    assert times(LiveClock(), pictures) == pytest.approx([0, 0.2, 0.4, 0.6, 0.8])


def test_pictures_that_arrive_at_once_still_have_increasing_times() -> None:
    got = times(LiveClock(), [(None, 100.0), (None, 100.0), (None, 100.0)])
    assert got == pytest.approx([0, 0.001, 0.002])


@pytest.mark.parametrize("jump", [37_600.0, -37_600.0, 3.0, -3.0])
def test_a_jump_in_either_direction_is_closed_and_told(jump: float) -> None:
    clock = LiveClock()
    steps = [clock(50_000 + index / 25 + jump * (index >= 10), 100 + index / 25) for index in range(20)]
    assert [time for time, _ in steps] == pytest.approx([index / 25 for index in range(20)])
    assert [index for index, (_, jumped) in enumerate(steps) if jumped] == [10]
    assert clock.jumps == 1


def test_a_gap_is_kept_where_arrival_confirms_it() -> None:
    clock = LiveClock()
    assert clock(5.0, 100.0) == (0.0, False)
    assert clock(25.0, 120.0) == (20.0, False)


def test_a_jump_during_a_gap_keeps_the_gap() -> None:
    clock = LiveClock()
    clock(5.0, 100.0)
    assert clock(2.0, 102.5) == (2.5, True)


def test_a_new_connection_keeps_the_gap_whatever_its_stamps() -> None:
    clock = LiveClock()
    clock(500.0, 100.0)
    clock.connect()
    assert clock(3.0, 112.0) == (12.0, False)
    assert clock(3.5, 112.6)[0] == pytest.approx(12.5)
    assert clock.jumps == 0


def test_a_slip_of_one_picture_moves_nothing_else() -> None:
    clock = LiveClock()
    stamps = [0.0, 0.04, 0.03, 0.12, 0.16]
    got = [clock(stamp, 100 + index / 25)[0] for index, stamp in enumerate(stamps)]
    assert got == pytest.approx([0, 0.04, 0.041, 0.12, 0.16])
    assert clock.jumps == 0


def test_a_small_jump_back_that_lasts_is_one_jump() -> None:
    clock = LiveClock()
    stamps = [0.0, 0.04, 0.08, 0.12, -0.3, -0.26, -0.22]
    steps = [clock(stamp, 100 + index / 25) for index, stamp in enumerate(stamps)]
    assert [time for time, _ in steps] == pytest.approx([0, 0.04, 0.08, 0.12, 0.121, 0.2, 0.24])
    assert clock.jumps == 1


def test_a_stamp_that_stands_still_is_none() -> None:
    clock = LiveClock()
    got = [clock(3.0, 100 + index / 10) for index in range(10)]
    assert [time for time, _ in got] == pytest.approx([index / 10 for index in range(10)])
    assert clock.jumps == 0


def test_stamps_that_jump_all_the_time_are_given_up() -> None:
    clock = LiveClock()
    steps = [clock(100.0 * (index % 2), 100 + index / 10) for index in range(30)]
    assert [time for time, _ in steps] == pytest.approx([index / 10 for index in range(30)])
    assert clock.jumps == 3


def test_rare_jumps_are_believed_for_ever() -> None:
    clock = LiveClock()
    for index in range(300):
        clock(index + 1000.0 * (index // 30), 100 + index)
    assert clock.jumps == 9


def test_a_clock_that_drifts_is_mended_without_a_jump() -> None:
    clock = LiveClock()
    got = [clock(index / 25 * 0.999, 100 + index / 25)[0] for index in range(25 * 3600)]
    assert 3600 - got[-1] < 0.3
    assert clock.jumps == 0
    steps = [later - earlier for earlier, later in itertools.pairwise(got)]
    assert min(steps) > 0.0395
    assert max(steps) < 0.0405


def test_a_burst_of_what_the_server_kept_is_no_jump() -> None:
    clock = LiveClock()
    got = [clock(index / 25, 100 + index / 1000) for index in range(100)]  # four seconds within a tenth
    assert not any(jumped for _, jumped in got)
    assert [time for time, _ in got] == sorted({time for time, _ in got})


class TestPacer:
    def test_a_burst_is_spread_over_the_time_it_was_taken_in(self) -> None:
        pacer = Pacer()
        assert [pacer.due(7 + index / 30, 100.0) for index in range(4)] == pytest.approx(
            [100 + index / 30 for index in range(4)]
        )

    def test_what_is_late_does_not_move_the_plan(self) -> None:
        pacer = Pacer(longest_delay=1.0)
        pacer.due(0.0, 100.0)
        assert pacer.due(0.5, 101.2) == pytest.approx(100.5)

    def test_beyond_the_longest_delay_the_plan_begins_anew(self) -> None:
        pacer = Pacer(longest_delay=0.0)
        pacer.due(0.0, 100.0)
        assert pacer.due(2.0, 103.0) == pytest.approx(103.0)
        assert pacer.due(2.5, 103.0) == pytest.approx(103.5)

    @pytest.mark.parametrize("jump", [37_600.0, -5.0])
    def test_a_jump_of_the_stamps_is_not_waited_for(self, jump: float) -> None:
        pacer = Pacer()
        pacer.due(10.0, 100.0)
        assert pacer.due(10.04 + jump, 100.04) == pytest.approx(100.04)
