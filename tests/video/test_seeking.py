"""A part that starts late is reached without decoding what lies before, and is the same part."""

import av
import pytest

from sf_detect.interfaces import SeekableSource
from sf_detect.processing import Part
from sf_detect.video import FileSource
from sf_detect.video.decoding import DecodePass
from synthetic_video import index_image, read_index

FPS, COUNT = 5, 100


@pytest.fixture(scope="module", params=["mp4", "mkv", "avi"])
def video(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("seek") / f"v.{request.param}"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"bf": "2"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 64, 48, "yuv420p", 12
        for index in range(COUNT):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(index_image(index, (64, 48)), "rgb24")))
        container.mux(stream.encode(None))
    return path


def seen(frames):
    return [(frame.index, round(frame.pts, 6), read_index(frame.image)) for frame in frames]


@pytest.mark.parametrize("start", [0.0, 4.0, 6.0, 9.9, 12.0, 19.8, 25.0])
def test_a_part_is_that_of_the_whole_video(video, start):
    source = FileSource(video)
    assert isinstance(source, SeekableSource)
    whole = [row for row in seen(source) if row[1] >= start]
    assert seen(Part(start=start).of(FileSource(video))) == whole
    assert len(whole) == max(0, COUNT - round(start * FPS))
    assert (source.decode_errors, source.warnings) == (0, [])


def test_what_lies_before_is_not_decoded(video, monkeypatch):
    decoded = []
    plain = DecodePass._seconds

    def counting(self, picture):
        decoded.append(plain(self, picture))
        return decoded[-1]

    monkeypatch.setattr(DecodePass, "_seconds", counting)
    list(Part(start=15.0, end=15.5).of(FileSource(video)))
    assert (len(decoded) < 30) == (video.suffix != ".avi")


def test_the_next_iteration_starts_over(video):
    source = FileSource(video)
    assert seen(Part(start=15.0, end=15.5).of(source))[0][0] == 75
    assert seen(Part(end=0.5).of(source))[0] == (0, 0.0, 0)
