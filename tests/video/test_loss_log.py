import threading

import av.logging
import pytest

from sf_detect.video.loss_log import LossLog


def miss(message: str = "RTP: missed 3 packets\n") -> None:
    av.logging.log(av.logging.WARNING, "rtsp", message)


@pytest.fixture(autouse=True)
def _levels() -> None:
    assert av.logging.get_level() is None


def test_missed_packets_are_told_once() -> None:
    with LossLog() as log:
        assert not log.lost()
        miss()
        assert log.lost()
        assert not log.lost()


def test_the_same_message_again_is_another_loss() -> None:
    with LossLog() as log:
        for _ in range(3):
            miss()
            assert log.lost()


def test_other_warnings_are_none() -> None:
    with LossLog() as log:
        miss("max delay reached. need to consume packet")
        assert not log.lost()


def test_the_losses_of_another_thread_are_its_own() -> None:
    with LossLog() as log:
        thread = threading.Thread(target=miss)
        thread.start()
        thread.join()
        assert not log.lost()


def test_nothing_is_shown_and_all_is_restored(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with LossLog(), LossLog() as inner:
        miss()
        assert inner.lost()
        thread = threading.Thread(target=miss)
        thread.start()
        thread.join()
        assert av.logging.get_level() == av.logging.WARNING
    assert av.logging.get_level() is None
    assert av.logging.get_skip_repeated()
    miss()
    assert (capfd.readouterr(), caplog.text) == (("", ""), "")


def test_a_level_that_somebody_has_set_stays() -> None:
    av.logging.set_level(av.logging.VERBOSE)
    try:
        with LossLog():
            assert av.logging.get_level() == av.logging.VERBOSE
        assert av.logging.get_level() == av.logging.VERBOSE
    finally:
        av.logging.set_level(None)
