from fractions import Fraction
from pathlib import Path

import cv2
import pytest

from sf_detect.errors import ConfigError, SourceOpenError, UnknownNameError
from sf_detect.interfaces import LiveSource
from sf_detect.video.live_opening import LiveOptions, open_live_source
from sf_detect.video.paced import PacedSource
from synthetic_video import index_image, write_video


@pytest.mark.parametrize(
    "url", ["rtsp://user:CANARY@camera.invalid/live?token=CANARY", "http://user:CANARY@camera.invalid/x"]
)
def test_a_stream_is_not_waited_for_and_shows_no_credentials(url: str) -> None:
    source = open_live_source(url)
    assert isinstance(source, LiveSource)
    assert source.name == "camera.invalid"
    assert source.status().state == "connecting"
    assert "CANARY" not in f"{source!r} {source.status()!r}"
    source.close()
    assert source.status().state == "ended"


def test_an_unknown_scheme_is_an_error_at_once() -> None:
    with pytest.raises(SourceOpenError, match=r"the protocol 'rstp' is not known\. Expected .*rtsp://") as caught:
        open_live_source("rstp://user:CANARY@camera/live")
    assert "CANARY" not in str(caught.value)


def test_an_address_without_a_host() -> None:
    with pytest.raises(SourceOpenError, match=r"there is no host in this address\. Expected one such as rtsp://"):
        open_live_source("rtsp:///")


@pytest.mark.parametrize("name", ["stall_seconds", "longest_wait"])
@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_times_are_positive(name: str, value: float) -> None:
    with pytest.raises(ConfigError, match=rf"{name} is .*expected a number of seconds above 0"):
        LiveOptions(**{name: value})


def test_an_unknown_transport() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown transport of RTSP 'upd'\. Did you mean 'udp'"):
        LiveOptions(rtsp_transport="upd")


def test_a_missing_file_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match="does not exist"):
        open_live_source(tmp_path / "none.mp4")


@pytest.mark.parametrize("spec", ["7", "/dev/video7"])
def test_a_camera_is_not_opened_before_it_is_read(spec: str) -> None:
    source = open_live_source(spec)
    assert (source.name, source.status().state) == ("camera7", "connecting")
    source.close()


def test_a_file_is_played(tmp_path: Path) -> None:
    path = write_video(tmp_path / "clip.mp4", 2)
    for spec in (str(path), path.as_uri()):
        source = open_live_source(spec)
        assert isinstance(source, PacedSource)
        assert [frame.pts for frame in source] == pytest.approx([0, 1 / 30])


def test_a_folder_has_the_rate_that_is_given(tmp_path: Path) -> None:
    for index in range(2):
        cv2.imwrite(str(tmp_path / f"{index}.png"), index_image(index))
    source = open_live_source(tmp_path, fps=Fraction(100))
    assert [frame.pts for frame in source] == pytest.approx([0, 0.01])


def test_camera_options_are_checked_only_for_cameras() -> None:
    with pytest.raises(ConfigError, match="the camera's width is 0"):
        open_live_source("0", LiveOptions(camera_width=0))
