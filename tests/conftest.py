"""Fixtures for all tests: nothing here touches the user's cache or the network."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Read when torch is imported, here and by what tests start. The networks of tests are small: a second thread does not
# make them faster, and on a busy machine the two wait for each other at every layer.
os.environ.setdefault("OMP_NUM_THREADS", "1")

SERVERS = "real servers in real time, some of Debian packages: pytest --servers (README, Development)"
SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """What tests write need not survive a power failure."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


@pytest.fixture
def shared() -> Path:
    """The folder of reference data beside the checkout; the test is skipped where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("needs the reference data beside the checkout")
    return SHARED


@pytest.fixture(autouse=True)
def _no_landmark_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is fetched: the default does without postures, unless a test brings networks of its own."""
    from sf_detect import build_keypoints
    from sf_detect.errors import WeightsDownloadError

    def refuse(*_: object) -> None:
        raise WeightsDownloadError("tests have no network")

    for network in ("landmark_network", "people_network", "picture_network"):
        monkeypatch.setattr(build_keypoints, network, refuse)


@pytest.fixture(autouse=True)
def _commands_leave_this_process_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that runs inside a test and leaves a thread behind must not end the tests with itself."""
    monkeypatch.setattr("sf_detect.commands.ending.must_leave_at_once", lambda before: False)


@pytest.fixture
def sf_detect(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs `sf-detect` with these arguments in this process; returns the exit code."""
    from sf_detect import cli

    def command(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["sf-detect", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            cli.main()
        return int(end.value.code or 0)

    return command


@pytest.fixture
def signals_arrive() -> Iterator[None]:
    """A job in the background of a shell, or under nohup, ignores these, and so would the processes it starts."""
    numbers = [getattr(signal, name) for name in ("SIGINT", "SIGHUP") if hasattr(signal, name)]
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler == signal.SIG_IGN:
            signal.signal(number, lambda *_: None)  # which a process that is started does not inherit
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--servers", action="store_true", help="also run the tests with real servers, which take minutes")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--servers"):
        for item in items:
            if item.get_closest_marker("servers"):
                item.add_marker(pytest.mark.skip(reason=SERVERS))
