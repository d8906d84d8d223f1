"""Files of every kind that people have."""

import itertools
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sf_detect.errors import DecodeError, SourceOpenError
from sf_detect.structures import Frame
from sf_detect.video import FileSource
from synthetic_video import cut_short, damage, read_index, write_audio_only, write_video


def read(path: Path) -> tuple[list[int], list[float], FileSource]:
    with FileSource(path) as source:
        frames: list[Frame] = list(source)
    return [read_index(frame.image) for frame in frames], [frame.pts for frame in frames], source


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "libx264"), ("a.mkv", "libx264"), ("a.ts", "libx264"), ("a.avi", "libx264"), ("b.avi", "mpeg4"),
     ("a.mov", "mjpeg"), ("a.webm", "libvpx"), ("a.mkv", "ffv1")],
)  # fmt: skip
def test_every_container_gives_all_frames_at_the_right_times(tmp_path: Path, name: str, codec: str) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else None
    audio = not name.endswith(("webm", "avi"))  # AVI has no way to start the sound earlier, and delays the pictures
    path = write_video(tmp_path / name, 12, fps=25, codec=codec, pix_fmt=pix_fmt, audio=audio)
    indices, times, source = read(path)
    assert indices == list(range(12))
    assert times == pytest.approx([index / 25 for index in range(12)], abs=1e-3)
    assert source.decode_errors == 0
    assert source.info.fps == 25
    assert source.info.num_frames in (None, 12)
    assert source.info.duration == pytest.approx(12 / 25, abs=0.1)


def test_ntsc_rate(tmp_path: Path) -> None:
    _, times, source = read(write_video(tmp_path / "a.mp4", 10, fps=Fraction(30000, 1001)))
    assert source.info.fps == Fraction(30000, 1001)
    assert times == pytest.approx([index * 1001 / 30000 for index in range(10)], abs=1e-9)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_variable_rate(tmp_path: Path, name: str) -> None:
    pts = [0.0, 0.1, 0.15, 0.4, 0.41, 1.0]
    indices, times, _ = read(write_video(tmp_path / name, pts=pts))
    assert indices == list(range(6))
    assert times == pytest.approx(pts, abs=1e-3)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("rotation", [0, 90, 180, 270])
def test_rotation_metadata(tmp_path: Path, rotation: int, mirrored: bool) -> None:
    path = write_video(tmp_path / "a.mp4", 5, size=(96, 48), rotation=rotation, mirrored=mirrored)
    with av.open(str(path)) as container:
        stored = (container.streams.video[0].width, container.streams.video[0].height)
    indices, _, source = read(path)
    assert stored == ((48, 96) if rotation in (90, 270) else (96, 48))
    assert (source.info.width, source.info.height) == (96, 48)
    assert indices == list(range(5))


@pytest.mark.parametrize("size", [(65, 49), (17, 16), (16, 33)])
def test_odd_sizes(tmp_path: Path, size: tuple[int, int]) -> None:
    indices, _, source = read(write_video(tmp_path / "a.mp4", 5, size=size))
    assert (source.info.width, source.info.height) == size
    assert indices == list(range(5))


@pytest.mark.parametrize("pix_fmt", ["yuv420p10le", "yuv444p", "yuv422p", "gray", "yuvj420p"])
def test_pixel_formats(tmp_path: Path, pix_fmt: str) -> None:
    indices, _, _ = read(write_video(tmp_path / "a.mp4", 5, pix_fmt=pix_fmt))
    assert indices == list(range(5))


def test_a_single_frame(tmp_path: Path) -> None:
    indices, times, _ = read(write_video(tmp_path / "a.mp4", 1))
    assert (indices, times) == ([0], [0.0])


def test_names_with_colons_percents_and_accents(tmp_path: Path) -> None:
    indices, _, source = read(write_video(tmp_path / "a.mp4", 3).rename(tmp_path / "http: 50%03d é.mp4"))
    assert indices == [0, 1, 2]
    assert source.info.name == "http: 50%03d é"


def test_a_cover_picture_is_not_the_video(tmp_path: Path) -> None:
    picture = write_video(tmp_path / "cover.mp4", 1, codec="mjpeg", pix_fmt="yuvj420p")
    with av.open(str(picture)) as cover, av.open(str(tmp_path / "song.mp3"), "w") as song:
        sound = song.add_stream("libmp3lame", rate=44100)
        image = song.add_stream_from_template(cover.streams.video[0])
        packet = next(cover.demux(video=0))
        packet.stream = image
        song.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 44100), np.int16), format="s16", layout="mono")
        silence.sample_rate = 44100
        song.mux(sound.encode(silence) + sound.encode(None))
    with pytest.raises(SourceOpenError, match=r"holds no video stream.*cover image"):
        FileSource(tmp_path / "song.mp3")


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_truncated_file_gives_its_good_part_and_counts(tmp_path: Path, name: str) -> None:
    path = write_video(tmp_path / name, 100, faststart=name == "a.mp4", options={"g": "10"}, size=(128, 96))
    indices, _, source = read(cut_short(path, 0.6))
    assert len(indices) > 20
    assert indices[:-3] == list(range(len(indices) - 3))
    assert source.decode_errors > 0


def test_damaged_middle_gives_both_ends_and_counts(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 200, options={"g": "20"}, faststart=True)
    indices, times, source = read(damage(path, 0.6, 0.7))
    assert indices[:40] == list(range(40))
    assert indices[-20:] == list(range(180, 200))
    assert all(later > earlier for earlier, later in itertools.pairwise(times))
    assert source.decode_errors > 0


def test_errors_are_those_of_the_latest_iteration(tmp_path: Path) -> None:
    path = damage(write_video(tmp_path / "a.mp4", 200, options={"g": "20"}, faststart=True), 0.6, 0.7)
    with FileSource(path) as source:
        counts = []
        for _ in range(2):
            list(source)
            counts.append(source.decode_errors)
    assert counts[0] == counts[1] > 0


def test_colours_follow_the_tags(tmp_path: Path) -> None:
    """The same RGB, stored by either matrix and range, comes back the same."""
    colours = np.array([[200, 40, 60], [40, 180, 60], [30, 60, 200], [120, 120, 120]], np.uint8)
    picture = np.repeat(np.repeat(colours.reshape(2, 2, 3), 24, 0), 32, 1)
    for matrix, tag in (("ITU709", 1), ("ITU601", 6)):
        path = tmp_path / f"{matrix}.mp4"
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", rate=30, options={"crf": "1"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv444p"
            stream.codec_context.colorspace, stream.codec_context.color_range = tag, 1
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame.reformat(format="yuv444p", dst_colorspace=matrix, dst_color_range=1)))
            container.mux(stream.encode(None))
        with FileSource(path) as source:
            shown = next(iter(source)).image.astype(int)
        assert np.abs(shown - picture).max() <= 8, matrix


def test_missing_file_suggests_a_similar_name(tmp_path: Path) -> None:
    (tmp_path / "Holiday.mp4").touch()
    with pytest.raises(SourceOpenError, match=r"holidey\.mp4 does not exist\. Did you mean .*Holiday\.mp4'\?"):
        FileSource(tmp_path / "holidey.mp4")


def test_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match=r"does not exist, nor does its folder"):
        FileSource(tmp_path / "no" / "a.mp4")


def test_folder_in_place_of_a_file(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match=r"is a folder\. Expected a video file"):
        FileSource(tmp_path)


def test_empty_file(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").touch()
    with pytest.raises(SourceOpenError, match=r"is empty \(0 bytes\)\. Expected a video file"):
        FileSource(tmp_path / "a.mp4")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"dear diary\n" * 50, "it holds text. Expected video data"),
        (b"<!DOCTYPE html><title>404</title>", "it is a web page"),
        (bytes(5000), "it holds only zeros"),
        (bytes(range(256)) * 20, "its format is not known"),
    ],
)
def test_other_things_under_a_videos_name(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "a.mp4").write_bytes(content)
    with pytest.raises(SourceOpenError, match=f"cannot be opened as a video .*{message}"):
        FileSource(tmp_path / "a.mp4")


@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_mp4_without_its_index(tmp_path: Path, keep: float) -> None:
    path = write_video(tmp_path / "a.mp4", 100, size=(128, 96))
    with pytest.raises(SourceOpenError, match=r"it is an MP4 without its index .*interrupted"):
        FileSource(cut_short(path, keep))


def test_audio_only(tmp_path: Path) -> None:
    with pytest.raises(SourceOpenError, match=r"holds no video stream\. Found: audio \(aac\)\. Expected"):
        FileSource(write_audio_only(tmp_path / "a.mp4"))


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_zero_frames(tmp_path: Path, name: str) -> None:
    with pytest.raises((SourceOpenError, DecodeError), match="Expected at least one"):
        FileSource(write_video(tmp_path / name, 0))


def test_no_frame_decodes(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.mp4", 10, faststart=True)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"mdat") + 4] + bytes(len(data) - data.index(b"mdat") - 4))
    with pytest.raises(DecodeError, match=r"opened \(h264 in mov.*no frame could be decoded: \d+ errors.*again\."):
        FileSource(path)


def test_a_pipe_does_not_hang(tmp_path: Path) -> None:
    os = pytest.importorskip("os")
    if not hasattr(os, "mkfifo"):
        pytest.skip("needs named pipes")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(SourceOpenError, match="is not a regular file"):
        FileSource(tmp_path / "pipe")


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_video(tmp_path / "a.mp4", 1)
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(SourceOpenError, match=r"may not be read by this user\. Expected read permission"):
        FileSource(path)


def test_real_videos(shared: Path) -> None:
    clips = sorted((shared / "data" / "clips").glob("*"))
    assert clips
    for clip in clips:
        with FileSource(clip) as source:
            times = [frame.pts for frame, _ in zip(source, range(60), strict=False)]
            assert source.decode_errors == 0
        assert times[0] == 0.0
        assert np.diff(times) == pytest.approx(float(1 / source.info.fps), rel=0.02), clip.name


@pytest.mark.slow
def test_all_of_jhmdb(shared: Path) -> None:
    import csv

    folder = shared / "data" / "jhmdb"
    files = {path.stem: path for path in (folder / "videos").rglob("*") if path.is_file()}
    with (folder / "videos.csv").open(newline="") as table:
        for row in csv.DictReader(table):
            with FileSource(files[row["video_id"]]) as source:
                assert sum(1 for _ in source) == int(row["decoded_frames"])
                assert source.decode_errors == 0
