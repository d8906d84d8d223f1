"""Every rule of a source that reconnects, with a clock that stands still."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator

import pytest

from fake_connections import HANG, NO_ANSWER, Burst, FakeTiming, Script, Step, picture
from sf_detect.errors import SourceError, SourceOpenError
from sf_detect.interfaces import LiveSource
from sf_detect.structures import Frame
from sf_detect.video.backoff import Backoff
from sf_detect.video.connection import ConnectionLost, ConnectionRefused
from sf_detect.video.reconnecting import ReconnectingSource

OFFLINE = ConnectionLost("Connection refused")
WRONG_PASSWORD = ConnectionRefused("user name and password were not accepted")


@pytest.fixture
def timing() -> Iterator[FakeTiming]:
    timing = FakeTiming()
    yield timing
    timing.release()


Make = Callable[..., tuple[ReconnectingSource, Script]]


@pytest.fixture
def make(timing: FakeTiming) -> Make:
    """A source whose connections do the given steps."""

    def source(*connections: list[Step], recording: bool = False, **options: object) -> tuple:
        script = Script(timing, *connections, recording=recording)
        return ReconnectingSource("cam", script, timing=timing, jitter=lambda: 0.0, **options), script  # type: ignore[arg-type]

    return source


def take(source: ReconnectingSource, count: int) -> list[Frame]:
    """The first frames; the iteration is closed then."""
    return list(itertools.islice(source, count))


def test_is_a_live_source(make: Make) -> None:
    assert isinstance(make()[0], LiveSource)


def test_frames_of_one_connection(make: Make) -> None:
    source, _ = make([0.5, 0.25, 0.25])
    assert (source.status().state, source.status().frames, source.status().size) == ("connecting", 0, None)
    frames = iter(source)
    first = next(frames)
    status = source.status()
    assert (status.state, status.frames, status.last_arrival, status.fps) == ("live", 1, 0.5, 30)
    assert status.size == first.size == first.image.shape[:2] == (48, 64)
    second, third = next(frames), next(frames)
    assert [frame.index for frame in (first, second, third)] == [0, 1, 2]
    assert [frame.pts for frame in (first, second, third)] == [0.0, 0.25, 0.5]
    assert [frame.arrival for frame in (first, second, third)] == [0.5, 0.75, 1.0]
    assert not any(frame.starts_anew for frame in (first, second, third))


def test_an_end_is_a_loss_and_time_keeps_the_gap(make: Make) -> None:
    source, script = make([0.1, 0.1], [0.1, 0.1])
    frames = take(source, 4)
    assert [frame.starts_anew for frame in frames] == [False, False, True, False]
    assert [frame.pts for frame in frames] == pytest.approx([0.0, 0.1, 0.7, 0.8])
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert source.status().reconnects == 1
    assert script.connections[0].closed


def test_the_wait_doubles_from_half_a_second_to_the_longest(make: Make) -> None:
    source, script = make(*[[OFFLINE]] * 9, [0.1])
    take(source, 1)
    steps = [later - earlier for earlier, later in itertools.pairwise(script.tries)]
    assert steps == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_a_source_that_is_offline_at_the_start_is_waited_for(make: Make) -> None:
    source, _ = make([OFFLINE], [OFFLINE], [0.1])
    states = []
    source._timing.wait = watched(source, states)  # type: ignore[method-assign]
    assert len(take(source, 1)) == 1
    assert ("waiting", "Connection refused", 0.5) in states
    assert source.status().reconnects == 0


def watched(source: ReconnectingSource, states: list) -> Callable:
    """A wait that notes the state at its begin."""
    wait = source._timing.wait

    def waiting(condition: threading.Condition, ready: Callable[[], bool], timeout: float | None) -> bool:
        status = source.status()
        states.append((status.state, status.detail, status.retry_at))
        return wait(condition, ready, timeout)

    return waiting


def test_a_try_that_took_long_has_used_up_its_wait(make: Make, timing: FakeTiming) -> None:
    def slow() -> None:
        timing.time += 5.0
        raise OFFLINE

    source, script = make([slow], [slow], [slow], [slow], [slow], [0.1])
    take(source, 1)
    assert script.tries == [0, 5, 10, 15, 20, 28]  # waits of 0.5, 1, 2, 4 and 8 s, counted from the start of a try


def test_the_wait_is_short_again_after_a_connection_that_held(make: Make) -> None:
    held: list[Step] = [0.1, *[1.0] * 6]
    source, script = make([OFFLINE], [OFFLINE], [0.1], held, [0.1])
    take(source, 9)
    assert [round(time, 3) for time in script.tries] == [0, 0.5, 1.5, 3.6, 10.2]


def test_jitter_only_shortens() -> None:
    shares = iter((0.0, 0.5, 1.0))
    assert [Backoff(jitter=lambda: next(shares)).wait() for _ in range(3)] == [0.5, 0.4375, 0.375]


def test_no_picture_for_three_seconds_is_a_stall(make: Make, timing: FakeTiming) -> None:
    source, script = make([0.1, HANG], [0.1])
    states: list = []
    source._timing.wait = watched(source, states)  # type: ignore[method-assign]
    frames = take(source, 2)
    assert script.tries == pytest.approx([0, 3.6])  # 0.1 + 3 + 0.5
    assert ("stalled", "no picture for 3 s", pytest.approx(3.6)) in states
    assert frames[1].pts == pytest.approx(3.6)
    assert frames[1].starts_anew
    assert script.connections[0].stopped.is_set()
    assert not script.connections[0].closed  # its thread hangs, and closes it when it comes back
    timing.release()


def test_a_connection_left_behind_closes_itself_and_counts_nothing(make: Make, timing: FakeTiming) -> None:
    source, _ = make([0.1, HANG, 0.1], [0.1, HANG])
    frames = iter(source)
    next(frames), next(frames)
    timing.release()
    with timing._turn:
        timing._turn.wait_for(lambda: timing._at_step == timing._running, 10)
    source.close()
    assert list(frames) == []
    assert source.status().frames == 2


def test_the_stall_time_is_a_setting(make: Make, timing: FakeTiming) -> None:
    source, script = make([0.1, HANG], [0.1], stall_seconds=8.0)
    take(source, 2)
    assert script.tries == pytest.approx([0, 8.6])


def test_who_comes_back_in_the_middle_of_a_lost_try_is_found_soon(make: Make) -> None:
    source, script = make(*[[NO_ANSWER]] * 3, [0.1])
    states: list = []
    source._timing.wait = watched(source, states)  # type: ignore[method-assign]
    take(source, 1)
    assert script.tries == [0, 2, 4.5, 8]  # each a second and a half longer than the wait would have been
    assert "no answer" in {detail for _, detail, _ in states}


def test_a_try_never_lasts_longer_than_a_quarter_of_a_minute() -> None:
    backoff = Backoff()
    patience = [(backoff.patience(), backoff.wait())[0] for _ in range(7)]
    assert patience == [2, 2.5, 3.5, 5.5, 9.5, 15, 15]


def test_connected_and_no_picture(make: Make) -> None:
    source, script = make([HANG], [0.1])
    states: list = []
    source._timing.wait = watched(source, states)  # type: ignore[method-assign]
    take(source, 1)
    assert script.tries == [0, 15]
    assert "connected, and no picture within 15 s" in {detail for _, detail, _ in states}


def test_threads_that_hang_do_not_pile_up(make: Make, timing: FakeTiming) -> None:
    source, script = make(*[[NO_ANSWER]] * 4, [0.1])
    wait, hung = timing.wait, []

    def waiting(condition: threading.Condition, ready: Callable[[], bool], timeout: float | None) -> bool:
        if timeout is None:
            hung.append(source.status().detail)
            timing.release()
        return wait(condition, ready, timeout)

    timing.wait = waiting  # type: ignore[method-assign]
    take(source, 1)
    assert hung == ["no answer, and earlier connections still hang"]
    assert len(script.tries) == 5


def test_a_device_is_opened_again_only_when_it_is_free(make: Make, timing: FakeTiming) -> None:
    source, script = make([0.1, HANG], [0.1], exclusive=True)
    wait = timing.wait

    def waiting(condition: threading.Condition, ready: Callable[[], bool], timeout: float | None) -> bool:
        if timeout is None:
            assert source.status().state == "stalled"
            assert len(script.tries) == 1
            timing.release()
        return wait(condition, ready, timeout)

    timing.wait = waiting  # type: ignore[method-assign]
    take(source, 2)
    assert script.connections[0].closed


def test_a_refused_password_is_tried_once_a_minute(make: Make) -> None:
    source, script = make([WRONG_PASSWORD], [WRONG_PASSWORD], [0.1])
    states: list = []
    source._timing.wait = watched(source, states)  # type: ignore[method-assign]
    take(source, 1)
    assert script.tries == [0, 60, 120]
    assert ("refused", "user name and password were not accepted", 60) in states


def test_a_new_size_starts_anew(make: Make) -> None:
    small, large = picture(0.1), picture(0.2, size=(96, 128))
    frames = take(make([small, large, picture(0.3, size=(96, 128))])[0], 3)
    assert [(frame.size, frame.starts_anew) for frame in frames] == [
        ((48, 64), False),
        ((96, 128), True),
        ((96, 128), False),
    ]


def test_what_comes_behind_damage_starts_anew(make: Make) -> None:
    source, _ = make([picture(0.1), picture(0.2, damaged=True), picture(0.3, damaged=True), picture(0.4)])
    frames = take(source, 4)
    assert [frame.damaged for frame in frames] == [False, True, True, False]
    assert [frame.starts_anew for frame in frames] == [False, False, False, True]
    assert source.status().damaged == 2


def test_jumps_of_the_clock_start_anew_and_are_counted(make: Make) -> None:
    steps: list[Step] = [picture(0.1, 5.0), picture(0.2, 5.1), picture(0.3, 37_000.0), picture(0.4, 37_000.1)]
    source, _ = make(steps)
    frames = take(source, 4)
    assert [frame.pts for frame in frames] == pytest.approx([0.0, 0.1, 0.2, 0.3])
    assert [frame.starts_anew for frame in frames] == [False, False, True, False]
    assert source.status().jumps == 1


def test_a_recording_ends_and_may_pause(make: Make, timing: FakeTiming) -> None:
    def pause() -> None:
        timing.time += 60.0

    source, script = make([0.1, pause, 0.1], recording=True)
    assert [frame.pts for frame in source] == pytest.approx([0.0, 60.1])
    assert (source.status().state, len(script.tries)) == ("ended", 1)


def test_what_trying_again_cannot_mend_is_raised(make: Make) -> None:
    with pytest.raises(SourceOpenError, match="no such protocol"):
        list(make([SourceOpenError("no such protocol")])[0])


def test_a_defect_is_no_loss(make: Make) -> None:
    source, _ = make([0.1, ZeroDivisionError("defect")])
    with pytest.raises(ZeroDivisionError):
        list(source)
    assert source.status().state == "ended"


def test_pictures_that_nobody_takes_are_dropped_and_counted(make: Make) -> None:
    source, _ = make(Burst(picture(index / 10) for index in range(20)))
    frames = take(source, 3)
    status = source.status()
    assert status.frames == 20
    assert status.drops == {"not taken": 12}
    assert [frame.arrival for frame in frames] == pytest.approx([1.2, 1.3, 1.4])


def test_close_ends_an_iteration_that_waits(make: Make, timing: FakeTiming) -> None:
    source, _ = make([0.1, HANG])
    frames = iter(source)
    next(frames)
    timing.wait = lambda condition, ready, timeout: (source.close(), ready())[1]  # type: ignore[method-assign]
    assert list(frames) == []
    source.close()
    assert source.status().state == "ended"


def test_close_from_another_thread_wakes_a_real_wait() -> None:
    begun = threading.Event()

    def connect(stopped: threading.Event, patience: float) -> None:
        begun.set()
        raise OFFLINE

    source = ReconnectingSource("cam", connect, longest_wait=3600.0)  # type: ignore[arg-type]
    source._backoff._next = 3600.0
    thread = threading.Thread(target=lambda: list(source))
    thread.start()
    assert begun.wait(10)
    source.close()
    thread.join(10)
    assert not thread.is_alive()


def test_it_is_iterated_once_and_not_after_close(make: Make) -> None:
    source, _ = make([0.1])
    take(source, 1)
    with pytest.raises(SourceError, match=r"'cam' is closed\. Expected a single iteration; open it again"):
        iter(source)
    source, _ = make([0.1])
    iter(source)
    with pytest.raises(SourceError, match=r"'cam' was already iterated"):
        iter(source)


def test_leaving_an_iteration_closes(make: Make) -> None:
    source, _ = make([0.1, 0.1])
    for _ in source:
        break
    assert source.status().state == "ended"
