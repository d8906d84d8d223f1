import socket
from fractions import Fraction
from pathlib import Path

import cv2
import pytest

from sf_detect.errors import SourceOpenError
from sf_detect.video import FileSource, ImageFolderSource, StreamSource, open_source
from synthetic_video import index_image, write_video


def test_a_file_as_path_text_or_url(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a b.mp4", 1)
    for spec in (path, str(path), path.as_uri()):
        with open_source(spec) as source:
            assert isinstance(source, FileSource)


def test_a_folder_with_its_rate(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), index_image(0))
    with open_source(tmp_path, Fraction(5)) as source:
        assert isinstance(source, ImageFolderSource)
        assert source.info.fps == 5


@pytest.mark.parametrize("spec", ["97", "/dev/video97"])
def test_a_camera(spec: str) -> None:
    with pytest.raises(SourceOpenError, match="camera 97 cannot be opened"):
        open_source(spec)


def test_a_folder_whose_name_is_a_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0").mkdir()
    cv2.imwrite(str(tmp_path / "0" / "a.png"), index_image(0))
    monkeypatch.chdir(tmp_path)
    with open_source("0") as source:
        assert isinstance(source, ImageFolderSource)


def test_a_stream_nobody_serves_hides_the_password() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"rtsp://user:secret@127.0.0.1:{taken.getsockname()[1]}/live"
        with pytest.raises(SourceOpenError, match=r"rtsp://\*\*\*@127\.0\.0\.1:\d+/live cannot be opened") as caught:
            open_source(url)
    assert "secret" not in str(caught.value)


def test_an_unknown_protocol() -> None:
    with pytest.raises(SourceOpenError, match=r"the protocol 'nosuch' is not known\. Expected a URL that starts with"):
        open_source("nosuch://example.invalid/a")


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_server_that_says_nothing_is_given_up(scheme: str) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/a.mp4"
        with pytest.raises(SourceOpenError, match=r"no answer within 0\.2 s"):
            StreamSource(url, open_timeout=0.2)
