"""Cameras as live sources, and the list of them, with a camera that OpenCV only seems to have."""

from __future__ import annotations

import itertools
import threading
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.video import cameras
from sf_detect.video.cameras import CameraInfo, list_cameras
from sf_detect.video.connection import ConnectionLost
from sf_detect.video.live_camera import CameraConnection, CameraOptions, camera_backends
from sf_detect.video.live_opening import LiveOptions, open_live_source


class Capture:
    """What OpenCV's VideoCapture does for a camera that gives red pictures of 64x48 at 30 a second."""

    present = frozenset({0, 2})
    pictures = 3
    settable = False
    made: list[Capture]

    def __init__(self, index: int, backend: int = cv2.CAP_ANY) -> None:
        self.index, self.backend, self.left, self.releases = index, backend, self.pictures, 0
        self.properties = {cv2.CAP_PROP_FRAME_WIDTH: 64.0, cv2.CAP_PROP_FRAME_HEIGHT: 48.0, cv2.CAP_PROP_FPS: 30.0}
        self.asked: dict[int, float] = {}
        self.made.append(self)

    def isOpened(self) -> bool:
        return self.index in self.present

    def get(self, what: int) -> float:
        return self.properties[what]

    def set(self, what: int, value: float) -> bool:
        self.asked[what] = value
        if self.settable:
            self.properties[what] = value
        return self.settable

    def getBackendName(self) -> str:
        return "FAKE"

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return (True, np.full((48, 64, 3), (20, 30, 230), np.uint8)) if self.left >= 0 else (False, None)

    def release(self) -> None:
        self.releases += 1


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> type[Capture]:
    kind = type("Fresh", (Capture,), {"made": []})
    monkeypatch.setattr(cv2, "VideoCapture", kind)
    return kind


def connect(index: int = 0, options: CameraOptions | None = None) -> CameraConnection:
    return CameraConnection(index, options or CameraOptions(), threading.Event(), 2.0)


def test_pictures_are_rgb_and_have_no_stamps(capture: type[Capture]) -> None:
    connection = connect()
    pictures = list(itertools.islice(connection.pictures(), 3))
    assert connection.fps == 30
    for picture in pictures:
        assert picture.size == (48, 64)
        assert picture.stamp is None
        assert picture.convert()[0, 0].tolist() == [230, 30, 20]
    assert pictures[0].arrival <= pictures[1].arrival <= pictures[2].arrival


def test_an_absent_camera_is_a_loss(capture: type[Capture]) -> None:
    with pytest.raises(ConnectionLost, match="there is no camera 1, or another program uses it"):
        connect(1)
    assert capture.made[0].releases == 1


def test_a_camera_that_is_unplugged_is_a_loss(capture: type[Capture]) -> None:
    connection = connect()
    with pytest.raises(ConnectionLost, match="the camera gives no picture"):
        list(connection.pictures())
    assert connection.errors == 30
    connection.close()
    assert capture.made[0].releases == 1


def test_nobody_waits_for_pictures_that_are_not_wanted(capture: type[Capture]) -> None:
    capture.pictures = 0
    stopped = threading.Event()
    stopped.set()
    with pytest.raises(ConnectionLost):
        list(CameraConnection(0, CameraOptions(), stopped, 2.0).pictures())


def test_it_is_asked_for_size_rate_and_backend(capture: type[Capture], monkeypatch: pytest.MonkeyPatch) -> None:
    capture.settable = True
    name, number = next(iter(camera_backends().items()))
    connection = connect(0, CameraOptions(1280, 720, 15, name))
    assert capture.made[0].backend == number
    asked = capture.made[0].asked
    assert (asked[cv2.CAP_PROP_FRAME_WIDTH], asked[cv2.CAP_PROP_FRAME_HEIGHT]) == (1280, 720)
    assert (asked[cv2.CAP_PROP_FPS], connection.fps, connection.note) == (15, 15, "")


def test_a_size_that_it_does_not_have_is_told(capture: type[Capture]) -> None:
    assert connect(0, CameraOptions(width=1280)).note == "the camera gives 64x48 instead of 1280x48"
    assert connect(0, CameraOptions(width=64, height=48)).note == ""


def test_it_is_opened_again(capture: type[Capture]) -> None:
    source = open_live_source("2", LiveOptions(camera_width=1280, longest_wait=0.01))
    assert source.name == "camera2"
    frames = list(itertools.islice(source, 5))
    assert [frame.starts_anew for frame in frames] == [False, False, False, True, False]
    assert [made.index for made in capture.made] == [2, 2]


def test_what_it_does_not_give_is_in_the_status(capture: type[Capture]) -> None:
    source = open_live_source("0", LiveOptions(camera_width=1280))
    frames = iter(source)
    next(frames)
    assert (source.status().state, source.status().detail) == ("live", "the camera gives 64x48 instead of 1280x48")


def test_settings_that_make_no_sense() -> None:
    with pytest.raises(ConfigError, match=r"the camera's width is 0; expected a number above 0"):
        CameraOptions(width=0)
    with pytest.raises(ConfigError, match=r"the camera's fps is nan"):
        CameraOptions(fps=float("nan"))
    with pytest.raises(UnknownNameError, match="unknown camera backend 'v5l2'"):
        CameraOptions(backend="v5l2")


def test_the_list_of_cameras(capture: type[Capture], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "video2").mkdir()
    (tmp_path / "video2" / "name").write_text("Built-in\n")
    monkeypatch.setattr(cameras, "_NAMES", tmp_path)
    monkeypatch.setattr(cameras, "_numbers", lambda: [0, 1, 2])
    found = list_cameras()
    assert found == [
        CameraInfo(0, "camera 0", (48, 64), Fraction(30), "FAKE"),
        CameraInfo(2, "Built-in", (48, 64), Fraction(30), "FAKE"),
    ]
    assert str(found[1]) == "2: Built-in, 64x48 at 30 pictures/s (FAKE)"
    assert all(made.releases == 1 for made in capture.made)


def test_a_camera_in_use_is_listed(capture: type[Capture], monkeypatch: pytest.MonkeyPatch) -> None:
    capture.pictures = 0
    monkeypatch.setattr(cameras, "_numbers", lambda: [0])
    assert str(list_cameras()[0]) == "0: camera 0, no picture; another program may use it (FAKE)"


@pytest.mark.parametrize(("platform", "numbers"), [("linux", [0, 3]), ("darwin", list(range(10)))])
def test_numbers_worth_a_try(
    platform: str, numbers: list[int], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("video0", "video3", "videoX"):
        (tmp_path / name).touch()
    monkeypatch.setattr(cameras, "_DEVICES", tmp_path)
    monkeypatch.setattr("sys.platform", platform)
    assert cameras._numbers() == numbers
