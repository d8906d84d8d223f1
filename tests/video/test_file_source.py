"""Files of every kind that people have."""

import itertools
import struct
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from sf_detect.errors import DecodeError, SourceOpenError
from sf_detect.structures import Frame
from sf_detect.video import FileSource, VideoWriter
from sf_detect.video.decoding import DecodePass
from sf_detect.video.sources import open_container
from synthetic_video import (
    _patch_display_matrix,
    cut_short,
    damage,
    index_image,
    read_index,
    write_audio_only,
    write_video,
)


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


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_link_to_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").symlink_to(tmp_path / "gone.mp4")
    with pytest.raises(SourceOpenError, match=r"a\.mp4 is a link to .*gone\.mp4, which does not exist"):
        FileSource(tmp_path / "a.mp4")


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


def write_sizes(path: Path, sizes: list[tuple[int, int]], aspects: list[Fraction] | None = None) -> Path:
    """MPEG-TS of ten pictures of each size, put end to end."""
    data = b""
    for number, size in enumerate(sizes):
        part = path.with_name(f"part{number}.ts")
        with av.open(str(part), "w") as container:
            stream = container.add_stream("libx264", rate=25, options={"bf": "0"})
            stream.width, stream.height, stream.pix_fmt = *size, "yuv420p"
            if aspects is not None:
                stream.codec_context.sample_aspect_ratio = aspects[number]
            for index in range(10 * number, 10 * number + 10):
                frame = av.VideoFrame.from_ndarray(index_image(index, size), format="rgb24")
                frame.pts, frame.time_base = index, Fraction(1, 25)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
        data += part.read_bytes()
    path.write_bytes(data)
    return path


def test_a_size_that_changes_changes_the_frames(tmp_path: Path) -> None:
    with FileSource(write_sizes(tmp_path / "a.ts", [(64, 48), (96, 96), (64, 48)])) as source:
        frames = list(source)
    assert [read_index(frame.image) for frame in frames] == list(range(30))
    assert [frame.size for frame in frames] == [(48, 64)] * 10 + [(96, 96)] * 10 + [(48, 64)] * 10
    assert [frame.index for frame in frames if frame.starts_anew] == [10, 20]
    assert [frame.pts for frame in frames] == pytest.approx([index / 25 for index in range(30)], abs=2e-3)
    assert len(source.warnings) == 1
    assert source.decode_errors == 0
    assert "the size of the pictures changes 2 times, first at 0.40 s to 96x96. Boxes are in" in source.warnings[0]


def test_lost_packets_of_a_stream_are_counted(tmp_path: Path) -> None:
    """Every second of 188 bytes in the middle of the file is gone, which only the packets' count tells."""
    path = write_video(tmp_path / "a.ts", 100, options={"g": "20", "crf": "5"}, size=(128, 96))
    packets = [path.read_bytes()[at : at + 188] for at in range(0, path.stat().st_size, 188)]
    middle = range(len(packets) * 4 // 10, len(packets) * 6 // 10)
    path.write_bytes(b"".join(packet for at, packet in enumerate(packets) if at not in middle or at % 2))
    assert read(path)[2].decode_errors > 0


def test_pixels_that_change_their_shape_keep_that_of_the_first(tmp_path: Path) -> None:
    path = write_sizes(tmp_path / "a.ts", [(64, 48), (32, 48)], [Fraction(1), Fraction(2)])
    with FileSource(path) as source:
        frames = list(source)
    assert {frame.size for frame in frames} == {(48, 64)}
    assert [read_index(frame.image) for frame in frames] == list(range(20))
    assert list(source.warnings) == []


def test_one_size_for_training(tmp_path: Path) -> None:
    path = write_sizes(tmp_path / "a.ts", [(64, 48), (96, 96)])
    frames = list(DecodePass(open_container(path), "a").frames(one_size=True))
    assert {frame.size for frame in frames} == {(48, 64)}
    assert [read_index(frame.image) for frame in frames] == list(range(20))


@pytest.mark.parametrize(("rotation", "ratio"), [(0, Fraction(2)), (90, Fraction(1, 2)), (180, Fraction(2))])
def test_sample_aspect_ratio_turns_with_the_picture(tmp_path: Path, rotation: int, ratio: Fraction) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = Fraction(2)
        frame = av.VideoFrame.from_ndarray(index_image(5, (32, 48)), format="rgb24")
        container.mux(stream.encode(frame) + stream.encode(None))
    _patch_display_matrix(path, rotation, mirrored=False)
    with FileSource(path) as source:
        assert source.info.sample_aspect_ratio == ratio
        info = source.info
    with VideoWriter(tmp_path / "b.mp4", info) as writer:
        writer.write(np.zeros((info.height, info.width, 3), np.uint8), 0.0)
    with FileSource(tmp_path / "b.mp4") as source:
        assert source.info.sample_aspect_ratio == ratio
        assert (source.info.width, source.info.height) == (info.width, info.height)


def test_sample_aspect_ratio_of_a_file(shared: Path) -> None:
    with FileSource(shared / "cases" / "a17_sar.mp4") as source:
        assert (source.info.width, source.info.height, source.info.sample_aspect_ratio) == (240, 270, 2)


@pytest.mark.parametrize("name", ["a.mkv", "a.ts", "a.nut"])
@pytest.mark.parametrize("jump", [30_000, 37_600, 90_000])
def test_time_stamps_that_jump_ahead(tmp_path: Path, name: str, jump: int) -> None:
    times = [index / 25 + jump * (index >= 12) for index in range(24)]
    with FileSource(write_video(tmp_path / name, pts=times, fps=25)) as source:
        frames = list(source)
    assert [read_index(frame.image) for frame in frames] == list(range(24))
    assert [frame.pts for frame in frames] == pytest.approx([index / 25 for index in range(24)], abs=5e-3)
    assert [frame.index for frame in frames if frame.starts_anew] == [12]
    assert source.decode_errors == 0
    assert len(source.warnings) == 1
    assert "the time stamps jump once, first at 0.44 s by +" in source.warnings[0]


def test_a_gap_of_hours_in_a_file(shared: Path) -> None:
    with FileSource(shared / "cases" / "a31_gap.mkv") as source:
        times = [frame.pts for frame in source]
        assert source.decode_errors == 0
    assert times == pytest.approx([index / 25 for index in range(50)], abs=2e-3)


def save(path: Path, image: np.ndarray, parameters: list[int] | None = None) -> Path:
    assert cv2.imwrite(str(path), image, parameters or [])
    return path


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.webp", "a.tif"])
def test_a_picture_is_a_video_of_one_frame(tmp_path: Path, name: str) -> None:
    indices, times, _ = read(save(tmp_path / name, index_image(5)))
    assert (indices, times) == ([5], [0.0])


@pytest.mark.parametrize(
    "image",
    [
        index_image(5)[:, :, 0],
        index_image(5)[:, :, 0].astype(np.uint16) * 257,
        index_image(5).astype(np.uint16) * 257,
        np.dstack([index_image(5), np.full((48, 64), 255, np.uint8)]),
    ],
    ids=["grey", "grey 16", "rgb 16", "alpha"],
)
@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_kinds_of_pictures(tmp_path: Path, name: str, image: np.ndarray) -> None:
    assert read(save(tmp_path / name, image))[0] == [5]


def test_animated_pictures(tmp_path: Path) -> None:
    for name, codec, pix_fmt in (("a.gif", "gif", "rgb8"), ("a.apng", "apng", "rgb24")):
        indices, times, _ = read(write_video(tmp_path / name, 5, fps=10, codec=codec, pix_fmt=pix_fmt))
        assert indices == list(range(5))
        assert times == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])


def test_an_animated_webp_is_not_called_damaged(tmp_path: Path) -> None:
    if "libwebp_anim" not in av.codecs_available:
        pytest.skip("needs an encoder of animated WebP")
    path = write_video(tmp_path / "a.webp", 5, codec="libwebp_anim")
    with pytest.raises(SourceOpenError, match=r"it is an animated WebP, a format that is not supported\. Convert it"):
        FileSource(path)


def test_a_heif_picture_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.heic").write_bytes(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(200))
    with pytest.raises(SourceOpenError, match=r"it is a HEIF picture \(HEIC\), a format that is not supported"):
        FileSource(tmp_path / "a.heic")


def test_side_data_that_pyav_does_not_know(tmp_path: Path) -> None:
    """A JPEG whose EXIF says that it lies on its side; TIFF always has such data."""
    data = save(tmp_path / "a.jpg", np.rot90(index_image(5)), [cv2.IMWRITE_JPEG_QUALITY, 95]).read_bytes()
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    (tmp_path / "a.jpg").write_bytes(data[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + data[2:])
    indices, _, source = read(tmp_path / "a.jpg")
    assert (source.info.width, source.info.height) == (64, 48)
    assert indices == [5]


@pytest.mark.parametrize("suffix", ["mp4", "txt", "nfo", "png", "gif", "webp", "m4v", "mjpeg", "h264", "m3u8", "ts"])
def test_text_under_any_name(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    path.write_text("dear diary, today\n" * 200)
    with pytest.raises(SourceOpenError, match=r"cannot be opened as a video.*it holds text\. Expected video data"):
        FileSource(path)
