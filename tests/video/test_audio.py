"""Sound in step with the pictures, converted where MP4 does not take it, and never at the cost of the video."""

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from flash_and_beep import MOMENT, moments, tone, write_flash_and_beep
from sf_detect.structures import VideoInfo
from sf_detect.video import FileSource, VideoWriter
from sf_detect.video import audio as audio_module
from sf_detect.video.audio_selection import AudioChoice, choose_audio
from synthetic_video import index_image, read_index, write_video

ONE_PICTURE = 1 / 25


def copy(source: Path, path: Path) -> VideoWriter:
    with FileSource(source) as frames, VideoWriter(path, frames.info, audio_from=source) as writer:
        for frame in frames:
            writer.write(frame.image, frame.pts)
        assert frames.decode_errors == 0
    return writer


def lengths(path: Path) -> dict[str, tuple[str, float]]:
    with av.open(str(path)) as container:
        return {s.type: (s.codec_context.name, float(s.duration * s.time_base)) for s in container.streams}


@pytest.mark.parametrize(
    ("name", "options", "kept"),
    [
        ("a.mkv", {"audio_codec": "aac", "layout": "5.1"}, "aac"),
        ("a.mkv", {"audio_codec": "libopus"}, "opus"),
        ("a.mkv", {"audio_codec": "flac", "layout": "5.1", "rate": 96000}, "flac"),
        ("a.mkv", {"audio_codec": "flac", "layout": "7.1"}, "flac"),
        ("a.mkv", {"audio_codec": "libmp3lame", "layout": "mono", "rate": 16000}, "mp3float"),
        ("a.mkv", {"audio_codec": "libmp3lame", "layout": "mono", "rate": 8000}, "aac"),
        ("a.mkv", {"audio_codec": "pcm_s24le", "layout": "5.1"}, "aac"),
        ("a.mov", {"audio_codec": "pcm_s16le", "layout": "7.1"}, "aac"),
        ("a.mov", {"audio_codec": "pcm_s16be", "layout": "mono", "rate": 8000}, "aac"),
        ("a.mov", {"audio_codec": "alac", "rate": 44100}, "aac"),
        ("a.avi", {"audio_codec": "pcm_mulaw", "layout": "mono", "rate": 8000}, "aac"),
        ("a.avi", {"audio_codec": "adpcm_ima_wav", "rate": 44100}, "aac"),
        ("a.ts", {"audio_codec": "aac", "rate": 44100}, "aac"),
        ("a.ts", {"audio_codec": "ac3", "layout": "5.1(side)"}, "aac"),
        ("a.mpg", {"audio_codec": "mp2", "codec": "mpeg2video"}, "aac"),
        ("a.webm", {"audio_codec": "libopus", "codec": "libvpx"}, "opus"),
        ("a.flv", {"audio_codec": "libmp3lame", "rate": 44100}, "mp3float"),
    ],
)
def test_flash_and_beep_stay_together(tmp_path: Path, name: str, options: dict[str, Any], kept: str) -> None:
    source = write_flash_and_beep(tmp_path / name, **options)
    writer = copy(source, tmp_path / "out.mp4")
    assert writer.audio_problem is None
    found = lengths(tmp_path / "out.mp4")
    assert found["video"][1] == pytest.approx(2.0, abs=ONE_PICTURE + 1e-3)
    assert found["audio"] == (kept, pytest.approx(2.0, abs=0.15))
    flash, beep = moments(tmp_path / "out.mp4")
    assert flash == pytest.approx(MOMENT, abs=1e-3)
    assert beep == pytest.approx(MOMENT, abs=0.08)  # the delay of an MP3 decoder at a low rate is 0.07 s


@pytest.mark.parametrize("codec", ["aac", "ac3"])
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts"])
@pytest.mark.parametrize(("video", "audio"), [(0.0, 0.5), (0.0, -0.5), (0.8, -0.8), (100.0, -2.0)])
def test_starts_that_differ(tmp_path: Path, codec: str, name: str, video: float, audio: float) -> None:
    source = write_flash_and_beep(
        tmp_path / name, audio_codec=codec, video_offset=video, audio_offset=audio, audio_seconds=4.0
    )
    writer = copy(source, tmp_path / "out.mp4")
    assert writer.audio_problem is None
    flash, beep = moments(tmp_path / "out.mp4")
    assert flash == pytest.approx(MOMENT, abs=1e-3)
    assert beep == pytest.approx(MOMENT, abs=ONE_PICTURE)
    assert lengths(tmp_path / "out.mp4")["video"][1] == pytest.approx(2.0, abs=1e-3)


def test_the_start_is_that_of_the_decoded_stream(tmp_path: Path) -> None:
    """Two video streams, of which the second and later one is the default."""
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        small, large = container.add_stream("libx264", rate=25), container.add_stream("libx264", rate=25)
        (small.width, small.height), (large.width, large.height) = (32, 32), (64, 48)
        sound = container.add_stream("aac", rate=48000)
        sound.codec_context.layout = "mono"
        small.disposition, large.disposition = 0, 1
        for stream in (small, large):
            stream.pix_fmt, stream.codec_context.time_base = "yuv420p", Fraction(1, 1000)
        for index in range(50):
            for stream, start in ((small, 0), (large, 800)):
                image = index_image(index, (stream.width, stream.height))
                frame = av.VideoFrame.from_ndarray(image, format="rgb24")
                frame.pts, frame.time_base = start + index * 40, Fraction(1, 1000)
                container.mux(stream.encode(frame))
        for stream in (small, large):
            container.mux(stream.encode(None))
        tone(container, sound, "mono", 48000, 1.8, 1.0)
    with av.open(str(tmp_path / "a.mkv")) as container:
        assert container.streams.best("video").index == 1
    assert copy(tmp_path / "a.mkv", tmp_path / "out.mp4").audio_problem is None
    with av.open(str(tmp_path / "out.mp4")) as container:
        first = next(container.decode(audio=0))
        assert float(first.pts * first.time_base) == pytest.approx(1.0, abs=0.03)


def write_joined(path: Path, parts: list[tuple[str, str, int]]) -> Path:
    """MPEG-TS of one second per part, the sound of each in a codec, a layout and a rate of its own, put end to end."""
    data = b""
    for index, (codec, layout, rate) in enumerate(parts):
        part = path.with_name(f"part{index}.ts")
        with av.open(str(part), "w", options={"mpegts_flags": "resend_headers", "muxdelay": "0"}) as container:
            video = container.add_stream("libx264", rate=25, options={"g": "25", "bf": "0"})
            video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
            sound = container.add_stream(codec, rate=rate)
            sound.codec_context.layout = layout
            for number in range(25):
                frame = av.VideoFrame.from_ndarray(index_image(number + 25 * index), format="rgb24")
                frame.pts, frame.time_base = number + 25 * index, Fraction(1, 25)
                container.mux(video.encode(frame))
            container.mux(video.encode(None))
            tone(container, sound, layout, rate, float(index), 1.0)
        data += part.read_bytes()
    path.write_bytes(data)
    return path


@pytest.mark.parametrize("codec", ["aac", "mp2", "ac3"])
def test_sound_that_changes_its_format_goes_on(tmp_path: Path, codec: str) -> None:
    parts = [(codec, "stereo", 48000), (codec, "mono", 32000), (codec, "stereo", 48000)]
    source = write_joined(tmp_path / "a.ts", parts)
    with av.open(str(source)) as container:
        rates = {frame.sample_rate for frame in container.decode(audio=0)}
    assert rates == {48000, 32000}
    with FileSource(source) as frames, VideoWriter(tmp_path / "out.mp4", frames.info, audio_from=source) as writer:
        for frame in frames:
            writer.write(frame.image, frame.pts)
    assert writer.audio_problem is None
    with av.open(str(tmp_path / "out.mp4")) as container:
        heard = [
            (float(frame.pts * frame.time_base), np.abs(frame.to_ndarray()).max())
            for frame in container.decode(audio=0)
        ]
    assert heard[-1][0] == pytest.approx(3.0, abs=0.1)
    loud = np.array([time for time, level in heard if level > 0.1])
    assert np.diff(loud).max() < 0.15


def test_a_copied_format_that_changes_ends_the_sound_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats = iter([b"a"] * 10 + [b"b"] * 100)
    monkeypatch.setattr(audio_module, "_mp3_format", lambda packet: next(formats))
    source = write_flash_and_beep(tmp_path / "a.mkv", audio_codec="libmp3lame", rate=44100)
    writer = copy(source, tmp_path / "out.mp4")
    assert writer.audio_problem == "the audio could not be read to its end (its format changes on the way)"
    assert lengths(tmp_path / "out.mp4")["video"][1] == pytest.approx(2.0, abs=1e-3)
    assert lengths(tmp_path / "out.mp4")["audio"][1] == pytest.approx(10 * 1152 / 44100, abs=0.03)


def test_time_stamps_of_the_sound_that_jump_with_those_of_the_pictures(tmp_path: Path) -> None:
    """Two recordings joined: both count from the same time."""
    for name in ("a.ts", "b.ts"):
        write_flash_and_beep(tmp_path / name, video_offset=5.0)
    joined = tmp_path / "joined.ts"
    joined.write_bytes((tmp_path / "a.ts").read_bytes() + (tmp_path / "b.ts").read_bytes())
    with FileSource(joined) as frames, VideoWriter(tmp_path / "out.mp4", frames.info, audio_from=joined) as writer:
        for frame in frames:
            writer.write(frame.image, frame.pts)
        assert frames.decode_errors == 0
    with av.open(str(tmp_path / "out.mp4")) as container:
        loud = [
            float(frame.pts * frame.time_base)
            for frame in container.decode(audio=0)
            if np.abs(frame.to_ndarray()).max() > 0.1
        ]
    assert loud[0] == pytest.approx(MOMENT, abs=0.05)
    assert loud[-1] == pytest.approx(2.0 + MOMENT + 0.2, abs=0.1)


def test_the_first_track_that_decodes_is_taken(shared: Path, tmp_path: Path) -> None:
    source = shared / "cases" / "a21_apac_first.mp4"
    assert choose_audio(source) == AudioChoice(index=2, copied=True)
    assert copy(source, tmp_path / "out.mp4").audio_problem is None
    assert lengths(tmp_path / "out.mp4")["audio"] == ("aac", pytest.approx(2.0, abs=0.05))


def unknown_codec(path: Path) -> Path:
    """Overwrites the sound's codec with one that nobody knows."""
    data = path.read_bytes()
    assert data.count(b"A_AAC") == 1
    path.write_bytes(data.replace(b"A_AAC", b"A_XYZ"))
    return path


def test_no_track_that_decodes_leaves_a_silent_video(tmp_path: Path) -> None:
    source = unknown_codec(write_flash_and_beep(tmp_path / "a.mkv"))
    writer = copy(source, tmp_path / "out.mp4")
    assert writer.audio_problem == "the sound was left out (no decoder for its codec)"
    assert list(lengths(tmp_path / "out.mp4")) == ["video"]


def test_channels_in_an_order_of_their_own_are_never_decoded(shared: Path, tmp_path: Path) -> None:
    """PyAV frees such a layout twice, which ends the process."""
    source = shared / "cases" / "pcm7.mov"
    writer = copy(source, tmp_path / "out.mp4")
    assert writer.audio_problem == "the sound was left out (pcm_s16le with its channels in an order of its own)"
    assert list(lengths(tmp_path / "out.mp4")) == ["video"]


def test_sound_that_does_not_decode_is_named(tmp_path: Path) -> None:
    source = write_flash_and_beep(tmp_path / "a.mkv", audio_codec="ac3")
    data = bytearray(source.read_bytes())
    for match in re.finditer(re.escape(b"\x0b\x77"), data):  # the sync words of AC-3
        data[match.start() : match.start() + 2] = b"\0\0"
    source.write_bytes(bytes(data))
    writer = copy(source, tmp_path / "out.mp4")
    assert writer.audio_problem is not None
    assert writer.audio_problem.startswith("the sound was left out (ac3 that does not decode: ")
    assert lengths(tmp_path / "out.mp4")["video"][1] == pytest.approx(2.0, abs=1e-3)


def test_a_part_has_the_sound_of_the_part(tmp_path: Path) -> None:
    source = write_flash_and_beep(tmp_path / "a.mp4")
    with FileSource(source) as frames, VideoWriter(tmp_path / "out.mp4", frames.info, audio_from=source) as writer:
        for frame in frames:
            if frame.pts >= 0.8:
                writer.write(frame.image, frame.pts)
    with av.open(str(tmp_path / "out.mp4")) as container:
        starts = [float(stream.start_time * stream.time_base) for stream in container.streams]
    assert starts == [pytest.approx(0.8, abs=1e-3), pytest.approx(0.8, abs=0.03)]
    assert moments(tmp_path / "out.mp4") == (pytest.approx(MOMENT, abs=1e-3), pytest.approx(MOMENT, abs=ONE_PICTURE))


def test_whatever_goes_wrong_with_the_sound_the_pictures_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_video(tmp_path / "a.mp4", 30, audio=True)

    def broken(*_: object) -> AudioChoice:
        raise TypeError("a defect")

    monkeypatch.setattr(audio_module, "choose_audio", broken)
    writer = copy(source, tmp_path / "out.mp4")
    assert writer.audio_problem == "the audio could not be read to its end (a defect)"
    with FileSource(tmp_path / "out.mp4") as frames:
        assert [read_index(frame.image) for frame in frames] == list(range(30))


def test_a_header_that_refuses_the_sound_is_written_without_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_flash_and_beep(tmp_path / "a.mkv", audio_codec="libmp3lame", layout="mono", rate=8000)
    with av.open(str(source)) as container:
        index = container.streams.audio[0].index
    monkeypatch.setattr(audio_module, "choose_audio", lambda _: AudioChoice(index, copied=True))
    writer = copy(source, tmp_path / "out.mp4")
    assert writer.audio_problem == "the sound was left out (Invalid argument)"
    assert lengths(tmp_path / "out.mp4") == {"video": ("h264", pytest.approx(2.0, abs=1e-3))}


def test_packets_that_the_output_refuses_end_the_sound_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = write_flash_and_beep(tmp_path / "a.mp4")

    def refuse(track: Any) -> Any:
        def mux(packet: Any) -> None:
            if packet.stream.type == "audio":
                raise av.error.InvalidDataError(1, "Invalid data found when processing input")
            real.mux(packet)

        real = track._output
        track._output = type("Output", (), {"mux": staticmethod(mux)})
        return track

    made = audio_module.AudioTrack
    monkeypatch.setattr("sf_detect.video.writer.AudioTrack", lambda *given: refuse(made(*given)))
    writer = copy(source, tmp_path / "out.mp4")
    assert writer.audio_problem is not None
    assert "Invalid data" in writer.audio_problem
    assert lengths(tmp_path / "out.mp4")["video"][1] == pytest.approx(2.0, abs=1e-3)


def test_no_file_to_take_sound_from(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "a.mp4", VideoInfo(64, 48), audio_from=tmp_path / "none.mp4") as writer:
        writer.write(index_image(0), 0.0)
    assert writer.audio_problem == "the audio could not be read to its end (No such file or directory)"
