import cv2
import numpy as np
import pytest

from sf_detect.errors import DecodeError, SourceOpenError
from sf_detect.video import CameraSource


class Capture:
    opens = True
    pictures = 3
    rate = 30.0
    released = 0

    def __init__(self, index: int) -> None:
        self.left = self.pictures

    def isOpened(self) -> bool:
        return self.opens

    def get(self, what: int) -> float:
        return self.rate

    def read(self) -> tuple[bool, np.ndarray | None]:
        self.left -= 1
        return (True, np.zeros((48, 64, 3), np.uint8)) if self.left >= 0 else (False, None)

    def release(self) -> None:
        type(self).released += 1


@pytest.fixture
def capture(monkeypatch: pytest.MonkeyPatch) -> type[Capture]:
    kind = type("Fresh", (Capture,), {})
    monkeypatch.setattr(cv2, "VideoCapture", kind)
    return kind


def test_an_absent_camera_is_a_quiet_error(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SourceOpenError, match=r"camera 97 cannot be opened\. Expected .*try another number"):
        CameraSource(97)
    assert capfd.readouterr() == ("", "")


def test_a_camera_in_use(capture: type[Capture]) -> None:
    capture.opens = False
    with pytest.raises(SourceOpenError, match="no other program uses"):
        CameraSource(0)
    assert capture.released == 1


def test_a_camera_without_a_picture(capture: type[Capture]) -> None:
    capture.pictures = 0
    with pytest.raises(DecodeError, match="camera 0 opened but gave no picture in 30 tries"):
        CameraSource(0)
    assert capture.released == 1


def test_live_and_released_once_after_iteration(capture: type[Capture]) -> None:
    source = CameraSource(2)
    assert source.info.is_live
    assert (source.info.name, source.info.num_frames, source.info.duration) == ("camera2", None, None)
    assert len(list(source)) == 3
    assert capture.released == 1
    source.close()
    assert capture.released == 1


def test_released_by_close_without_iteration(capture: type[Capture]) -> None:
    with CameraSource(0):
        pass
    assert capture.released == 1


def test_an_unknown_rate(capture: type[Capture]) -> None:
    capture.rate = 0.0
    with CameraSource(0) as source:
        assert source.info.fps is None
