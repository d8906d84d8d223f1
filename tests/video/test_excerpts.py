"""Parts of videos as files: the right pictures at the right times, and the sound with them."""

from __future__ import annotations

import av
import numpy as np
import pytest

from flash_and_beep import moments, write_flash_and_beep
from sf_detect.errors import SinkError, SourceError
from sf_detect.video import open_source
from sf_detect.video.excerpts import copy_excerpt, encode_excerpt, frames_between
from synthetic_video import read_index, write_video


def frames_of(path):
    with av.open(str(path)) as container:
        return [(f.to_ndarray(format="rgb24"), float(f.pts * f.time_base)) for f in container.decode(video=0)]


def indices(path):
    return [read_index(image) for image, _ in frames_of(path)]


def times(path):
    return [time for _, time in frames_of(path)]


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("v") / "v.mp4"
    return write_video(path, num_frames=60, fps=10, options={"g": "20", "sc_threshold": "0"})


@pytest.fixture(scope="module")
def long_video(tmp_path_factory):
    """Long enough for the source to be entered at a key picture."""
    path = tmp_path_factory.mktemp("v") / "long.mp4"
    return write_video(path, num_frames=200, fps=10, audio=True, options={"g": "25", "sc_threshold": "0"})


@pytest.mark.parametrize(("start", "end", "first", "last"), [(0, 1, 0, 9), (1.23, 2.0, 13, 19), (5.5, 99, 55, 59)])
def test_encoding_is_exact_to_the_picture(video, tmp_path, start, end, first, last):
    with open_source(str(video)) as source:
        assert encode_excerpt(source, tmp_path / "e.mp4", start, end) is None
    assert indices(tmp_path / "e.mp4") == list(range(first, last + 1))
    assert times(tmp_path / "e.mp4") == pytest.approx([i / 10 for i in range(last - first + 1)], abs=1e-3)


def test_a_source_gives_many_parts_in_any_order(long_video, tmp_path):
    with open_source(str(long_video)) as source:
        for start in (12.0, 3.0, 15.5):
            encode_excerpt(source, tmp_path / "e.mp4", start, start + 0.5, audio_from=long_video)
            assert indices(tmp_path / "e.mp4") == list(range(round(start * 10), round(start * 10) + 5))


def test_the_last_picture_lasts_as_the_others(video, tmp_path):
    with open_source(str(video)) as source:
        encode_excerpt(source, tmp_path / "e.mp4", 1.0, 2.0)
    with av.open(str(tmp_path / "e.mp4")) as container:
        assert container.duration / av.time_base == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("audio_codec", ["aac", "mp3", "pcm_s16le"])
@pytest.mark.parametrize(("seconds", "offset"), [(2.0, 0.0), (2.0, 3.0)])
def test_flash_and_beep_stay_together_when_encoded(tmp_path, audio_codec, seconds, offset):
    suffix = "mkv" if audio_codec == "pcm_s16le" or offset else "mp4"
    options = {"audio_codec": audio_codec, "seconds": seconds, "video_offset": offset}
    path = write_flash_and_beep(tmp_path / f"in.{suffix}", **options)
    with open_source(str(path)) as source:
        assert encode_excerpt(source, tmp_path / "e.mp4", 0.6, 1.4, audio_from=path) is None
    flash, beep = moments(tmp_path / "e.mp4")
    assert flash == pytest.approx(0.4, abs=0.001)
    assert beep == pytest.approx(flash, abs=0.04)


def test_sound_far_into_a_file_is_that_of_the_pictures(tmp_path):
    """The file is entered in its middle: the beep at 1 s is over, and another comes at 21 s."""
    path = write_flash_and_beep(tmp_path / "in.mp4", seconds=24.0, audio_seconds=24.0, options={"g": "25"})
    with open_source(str(path)) as source:
        encode_excerpt(source, tmp_path / "late.mp4", 20.0, 22.0, audio_from=path)
        encode_excerpt(source, tmp_path / "early.mp4", 0.6, 1.5, audio_from=path)
    with av.open(str(tmp_path / "late.mp4")) as container:
        sound = container.streams.audio[0]
        assert float(sound.start_time * sound.time_base) == pytest.approx(0, abs=0.03)
        assert float(sound.duration * sound.time_base) == pytest.approx(2.0, abs=0.06)
    assert moments(tmp_path / "early.mp4") == (pytest.approx(0.4, abs=0.001), pytest.approx(0.4, abs=0.04))


def test_pictures_can_be_changed(video, tmp_path):
    with open_source(str(video)) as source:
        encode_excerpt(source, tmp_path / "e.mp4", 0, 1, change=lambda frame: 255 - frame.image)
    assert indices(tmp_path / "e.mp4")[0] == 0xFFFF


def test_an_interruption_leaves_no_half_clip(video, tmp_path):
    def interrupted(frame):
        if frame.index == 5:
            raise KeyboardInterrupt
        return frame.image

    with open_source(str(video)) as source, pytest.raises(KeyboardInterrupt):
        encode_excerpt(source, tmp_path / "e.mp4", 0, 1, change=interrupted)
    assert not list(tmp_path.iterdir())


def test_nothing_there(video, tmp_path):
    with open_source(str(video)) as source, pytest.raises(SourceError, match=r"no picture between 9\.00 and 10\.00 s"):
        encode_excerpt(source, tmp_path / "e.mp4", 9, 10)
    assert not list(tmp_path.iterdir())
    with open_source(str(video)) as source:
        assert list(frames_between(source, 7.0, 8.0)) == []


def test_copies_begin_with_the_key_picture_before(video, tmp_path):
    path = copy_excerpt(video, tmp_path / "c.mp4", 2.5, 4.0)
    assert path == tmp_path / "c.mp4"
    assert indices(path)[:20] == list(range(20, 40))
    assert len(indices(path)) <= 23  # pictures that those before the end are coded from
    assert times(path)[:20] == pytest.approx([i / 10 for i in range(20)], abs=1e-3)


def test_copies_are_the_packets_themselves(video, tmp_path):
    path = copy_excerpt(video, tmp_path / "c.mp4", 0, 2.0)
    packets = []
    for file in (video, path):
        with av.open(str(file)) as container:
            packets.append([bytes(packet) for packet in container.demux(video=0) if packet.dts is not None])
    assert packets[1] == packets[0][: len(packets[1])]


@pytest.mark.parametrize("suffix", ["mp4", "mkv", "avi"])
def test_flash_and_beep_stay_together_when_copied(tmp_path, suffix):
    codec = "mpeg4" if suffix == "avi" else "libx264"
    options = {"g": "10", "bf": "0"} if suffix == "avi" else {"g": "10"}
    audio = "mp3" if suffix == "avi" else "aac"
    path = write_flash_and_beep(tmp_path / f"in.{suffix}", codec=codec, audio_codec=audio, options=options)
    written = copy_excerpt(path, tmp_path / "c.mp4", 0.8, 1.6)
    flash, beep = moments(written)
    assert flash == pytest.approx(0.6 if suffix == "avi" else 0.2, abs=0.021)  # the muxer of AVI shifts key pictures
    assert beep == pytest.approx(flash, abs=0.04)


def test_streams_that_mp4_cannot_hold_go_into_matroska(tmp_path):
    path = write_flash_and_beep(tmp_path / "in.mkv", audio_codec="pcm_s16le", options={"g": "5"})
    written = copy_excerpt(path, tmp_path / "c.mp4", 0, 1.5)
    assert written == tmp_path / "c.mkv"
    assert moments(written)[1] == pytest.approx(1.0, abs=0.04)


def test_a_turned_video_stays_turned(tmp_path):
    path = write_video(tmp_path / "in.mp4", num_frames=20, fps=10, rotation=90)
    written = copy_excerpt(path, tmp_path / "c.mp4", 0, 1)
    with open_source(str(written)) as source:
        assert [read_index(frame.image) for frame in source][:5] == [0, 1, 2, 3, 4]


def test_nothing_to_copy(video, tmp_path):
    with pytest.raises(SourceError, match="no key picture to copy"):
        copy_excerpt(video, tmp_path / "c.mp4", 0, 0)
    assert not list(tmp_path.iterdir())


def test_a_copy_that_cannot_be_written(video, tmp_path):
    (tmp_path / "c").write_text("a file")
    with pytest.raises(SinkError, match=r"can't be written"):
        copy_excerpt(video, tmp_path / "c" / "c.mp4", 0, 1)


def test_frames_of_another_size_are_fitted_in(tmp_path):
    frame_sizes = write_video(tmp_path / "in.mp4", num_frames=5, fps=10)
    with open_source(str(frame_sizes)) as source:
        encode_excerpt(source, tmp_path / "e.mp4", 0, 1, change=lambda frame: np.zeros((24, 64, 3), np.uint8))
    assert frames_of(tmp_path / "e.mp4")[0][0].shape == (48, 64, 3)
