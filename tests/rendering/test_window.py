"""The window on a screen that records what is done to it; no screen is needed."""

import socket

import cv2
import numpy as np
import pytest

from sf_detect.rendering import window as module
from sf_detect.rendering.notice import notice_picture
from sf_detect.rendering.window import Window, missing_display, mosaic


class Screen:
    """Stands in for OpenCV's windows."""

    def __init__(self, monkeypatch):
        self.images, self.sizes, self.closed, self.key, self.visible = [], [], 0, -1, 1.0
        monkeypatch.setattr(cv2, "namedWindow", lambda *_: None)
        monkeypatch.setattr(cv2, "resizeWindow", lambda title, width, height: self.sizes.append((width, height)))
        monkeypatch.setattr(cv2, "imshow", lambda title, image: self.images.append(image))
        monkeypatch.setattr(cv2, "waitKey", lambda delay: self.key)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda *_: self.visible)
        monkeypatch.setattr(cv2, "destroyAllWindows", self._close)

    def _close(self):
        self.closed += 1


@pytest.fixture
def screen(monkeypatch):
    return Screen(monkeypatch)


def red(height=4, width=6):
    return np.full((height, width, 3), (255, 0, 0), np.uint8)


def test_pictures_are_shown_in_their_colours(screen):
    window = Window("title")
    assert window.poll()
    window.show({"a": red()})
    assert screen.images[0][0, 0].tolist() == [0, 0, 255]  # OpenCV's order
    window.show({"a": red(), "b": red()})
    assert screen.sizes == [(6, 4), (12, 4)]
    assert window.poll()
    window.close()
    window.close()
    assert screen.closed == 1
    window.show({"a": red()})
    assert len(screen.images) == 2


@pytest.mark.parametrize(("key", "visible"), [(ord("q"), 1.0), (27, 1.0), (-1, 0.0)])
def test_a_key_or_the_cross_closes_it(screen, key, visible):
    window = Window("title")
    window.show({"a": red()})
    screen.key, screen.visible = key, visible
    assert not window.poll()
    assert not window.poll()


def test_other_keys_do_not(screen):
    window = Window("title")
    window.show({"a": red()})
    screen.key = ord("x")
    assert window.poll()


def test_mosaic_fits_pictures_into_cells_of_the_first():
    assert mosaic([red()]).shape == (4, 6, 3)
    image = mosaic([red(), red(8, 6), red(), red(), red()])
    assert image.shape == (8, 18, 3)
    assert image[0, 0].tolist() == [255, 0, 0]
    assert image[0, 6].tolist() == [255, 0, 0]
    assert image[0, 11].tolist() == [0, 0, 0], "beside the narrow one"
    assert not image[4:, 12:].any(), "the cell that is left"


@pytest.fixture
def linux(monkeypatch):
    monkeypatch.setattr(module.sys, "platform", "linux")
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                           QT5\n")


def test_no_display_is_told(linux, monkeypatch):
    monkeypatch.delenv("DISPLAY", raising=False)
    assert missing_display() == "there is no display (DISPLAY is not set)"
    monkeypatch.setenv("DISPLAY", ":4711")
    assert missing_display() == "the display :4711 does not answer"
    monkeypatch.setenv("DISPLAY", "/no/such/path:0")
    assert "does not answer" in missing_display()


def test_a_display_that_answers(linux, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        monkeypatch.setenv("DISPLAY", f"127.0.0.1:{port - 6000}.0")
        assert (missing_display() is None) == (port >= 6000)


def test_a_build_without_windows(monkeypatch):
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:                           NONE\n")
    assert "opencv-python-headless" in missing_display()


def test_other_systems_have_a_display(monkeypatch):
    monkeypatch.setattr(cv2, "getBuildInformation", lambda: "  GUI:  COCOA\n")
    monkeypatch.setattr(module.sys, "platform", "darwin")
    assert missing_display() is None


@pytest.mark.parametrize("size", [(480, 640), (48, 64), (1080, 1920), (2, 2)])
def test_a_notice_fits_its_picture(size):
    image = notice_picture(size, ["door", "No picture for 12 s (waiting: connection refused)"])
    assert image.shape == (*size, 3)
    assert image.dtype == np.uint8
    if size[0] >= 48:
        assert image.max() > 100, "something is written"
        rows = np.flatnonzero((image > 100).any(axis=(1, 2)))
        assert abs((rows[0] + rows[-1]) / 2 - size[0] / 2) < 0.2 * size[0], "in the middle"
