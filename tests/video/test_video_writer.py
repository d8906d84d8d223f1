import errno
import os
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from sf_detect.errors import SinkError
from sf_detect.structures import VideoInfo
from sf_detect.video import FileSource, VideoWriter
from sf_detect.video.outfile import ReservedFile
from synthetic_video import damage, index_image, read_index, write_audio_only, write_video

INFO = VideoInfo(64, 48, Fraction(30))


def write(path: Path, times: list[float], info: VideoInfo = INFO, **options: object) -> VideoWriter:
    with VideoWriter(path, info, **options) as writer:
        for index, pts in enumerate(times):
            writer.write(index_image(index, (info.width, info.height)), pts)
    return writer


def copy(source: Path, path: Path, limit: int | None = None) -> VideoWriter:
    with FileSource(source) as frames, VideoWriter(path, frames.info, audio_from=source) as writer:
        for frame in frames:
            if frame.index == limit:
                break
            writer.write(frame.image, frame.pts)
    return writer


def read(path: Path) -> tuple[list[int], list[float]]:
    with FileSource(path) as source:
        frames = list(source)
        assert source.decode_errors == 0
    return [read_index(frame.image) for frame in frames], [frame.pts for frame in frames]


def durations(path: Path) -> dict[str, tuple[str, float]]:
    with av.open(str(path)) as container:
        return {s.type: (s.codec_context.name, float(s.duration * s.time_base)) for s in container.streams}


@pytest.mark.parametrize("fps", [Fraction(30), Fraction(25), Fraction(30000, 1001), Fraction(24000, 1001), Fraction(7)])
def test_constant_rate_is_kept_exactly(tmp_path: Path, fps: Fraction) -> None:
    times = [float(index / fps) for index in range(20)]
    write(tmp_path / "a.mp4", times, VideoInfo(64, 48, fps))
    assert read(tmp_path / "a.mp4") == (list(range(20)), pytest.approx(times, abs=1e-9))
    assert durations(tmp_path / "a.mp4")["video"][1] == pytest.approx(float(20 / fps), abs=1e-4)
    with FileSource(tmp_path / "a.mp4") as source:
        assert source.info.fps == fps


def test_variable_rate_is_kept(tmp_path: Path) -> None:
    times = [0.0, 0.1, 0.15, 0.4, 0.41, 1.0, 3.0, 3.01]
    write(tmp_path / "a.mp4", times)
    assert read(tmp_path / "a.mp4") == (list(range(8)), pytest.approx(times, abs=1e-4))
    assert durations(tmp_path / "a.mp4")["video"][1] == pytest.approx(3.01 + 1 / 30, abs=1e-3)


def test_last_frame_lasts_as_long_as_the_source_says(tmp_path: Path) -> None:
    info = VideoInfo(64, 48, Fraction(2), num_frames=3, duration=4.0)
    write(tmp_path / "a.mp4", [0.0, 0.5, 1.0], info)
    assert durations(tmp_path / "a.mp4")["video"][1] == pytest.approx(4.0, abs=1e-3)
    write(tmp_path / "b.mp4", [0.0, 0.5], info)
    assert durations(tmp_path / "b.mp4")["video"][1] == pytest.approx(1.0, abs=1e-3)


def test_times_that_do_not_increase_are_pushed_apart(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [0.0, 0.5, 0.5, 0.4, 1.0])
    indices, times = read(tmp_path / "a.mp4")
    assert indices == [0, 1, 2, 3, 4]
    assert times == pytest.approx([0.0, 0.5, 0.5, 0.5, 1.0], abs=1e-3)


@pytest.mark.parametrize("fps", [None, Fraction(30), Fraction(89_999)])
@pytest.mark.parametrize("jump", [25_000.0, 1e6, 1e9])
def test_a_gap_that_mp4_cannot_express_is_closed_and_told(tmp_path: Path, fps: Fraction | None, jump: float) -> None:
    info = VideoInfo(64, 48, fps)
    writer = write(tmp_path / "a.mp4", [0.0, 0.1, jump, jump + 0.5, 2 * jump], info)
    step = float(1 / (fps or 30))
    assert read(tmp_path / "a.mp4")[0] == list(range(5))
    assert read(tmp_path / "a.mp4")[1] == pytest.approx([0.0, 0.1, 0.1 + step, 0.6 + step, 0.6 + 2 * step], abs=1e-3)
    assert writer.time_problem is not None
    assert f"times jump to {2 * jump:.0f} s. MP4 cannot show a picture for so long" in writer.time_problem


def test_a_start_that_mp4_cannot_express_becomes_zero(tmp_path: Path) -> None:
    assert write(tmp_path / "a.mp4", [40_000.0, 40_000.5]).time_problem is not None
    assert read(tmp_path / "a.mp4")[1] == pytest.approx([0.0, 0.5], abs=1e-3)


def test_gaps_of_hours_are_kept(tmp_path: Path) -> None:
    assert write(tmp_path / "a.mp4", [0.0, 7200.0, 14_400.0]).time_problem is None
    assert read(tmp_path / "a.mp4")[1] == pytest.approx([0.0, 7200.0, 14_400.0], abs=1e-3)


def test_pictures_of_one_in_hours(tmp_path: Path) -> None:
    """A folder of images, one in eight hours: each is shown as long as MP4 can."""
    write(tmp_path / "a.mp4", [0.0, 30_000.0, 60_000.0], VideoInfo(64, 48, Fraction(1, 30_000), 3, duration=90_000.0))
    assert read(tmp_path / "a.mp4")[0] == [0, 1, 2]


def test_browsers_play_it(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [0.0, 0.1])
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    with av.open(str(tmp_path / "a.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.codec_context.pix_fmt) == ("h264", "yuv420p")


@pytest.mark.parametrize("size", [(64, 48), (1280, 720)])
def test_colours_survive_and_are_tagged(tmp_path: Path, size: tuple[int, int]) -> None:
    colours = np.array([[200, 40, 60], [40, 180, 60], [30, 60, 200], [120, 120, 120]], np.uint8)
    image = np.repeat(np.repeat(colours.reshape(2, 2, 3), size[1] // 2, 0), size[0] // 2, 1)
    with VideoWriter(tmp_path / "a.mp4", VideoInfo(*size), crf=5) as writer:
        writer.write(image, 0.0)
    with FileSource(tmp_path / "a.mp4") as source:
        shown = next(iter(source)).image.astype(int)
    middle = np.ix_([size[1] // 4, size[1] * 3 // 4], [size[0] // 4, size[0] * 3 // 4])
    assert np.abs(shown[middle] - image[middle]).max() <= 6
    with av.open(str(tmp_path / "a.mp4")) as container:
        context = container.streams.video[0].codec_context
        tag = 1 if size[1] >= 720 else 6
        tags = context.color_primaries, context.color_trc, context.colorspace, context.color_range
        assert tuple(int(value) for value in tags) == (tag, tag, tag, 1)


@pytest.mark.parametrize(("size", "stored"), [((65, 49), (66, 50)), ((33, 16), (34, 16)), ((16, 17), (16, 18))])
def test_odd_sizes_are_padded(tmp_path: Path, size: tuple[int, int], stored: tuple[int, int]) -> None:
    write(tmp_path / "a.mp4", [0.0, 0.1, 0.2], VideoInfo(*size))
    with FileSource(tmp_path / "a.mp4") as source:
        assert (source.info.width, source.info.height) == stored
        indices = [read_index(frame.image[: size[1], : size[0]]) for frame in source]
    assert indices == [0, 1, 2]


def test_a_single_frame(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [0.0])
    assert read(tmp_path / "a.mp4") == ([0], [0.0])


def test_no_frame_makes_no_file(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4", [])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "codec", "kept"),
    [
        ("a.mp4", "aac", "aac"),
        ("a.ts", "aac", "aac"),
        ("a.mkv", "libmp3lame", "mp3float"),
        ("a.mkv", "libopus", "opus"),
        ("a.mkv", "flac", "flac"),
        ("a.avi", "pcm_s16le", "aac"),
        ("a.mkv", "ac3", "aac"),
    ],
)
def test_audio_is_copied_or_converted(tmp_path: Path, name: str, codec: str, kept: str) -> None:
    rate = {"libopus": 48000}.get(codec, 44100)
    source = write_video(tmp_path / name, 30, audio=True, audio_codec=codec, sample_rate=rate)
    writer = copy(source, tmp_path / "out.mp4")
    assert writer.audio_problem is None
    found = durations(tmp_path / "out.mp4")
    assert found["audio"] == (kept, pytest.approx(1.0, abs=0.06))
    assert read(tmp_path / "out.mp4")[0] == list(range(30))
    with av.open(str(tmp_path / "out.mp4")) as container:
        sound = np.concatenate([f.to_ndarray().astype(float).mean(0) for f in container.decode(audio=0)])
    assert np.abs(sound).max() > 0


def test_audio_is_cut_to_the_pictures(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", 30, audio=True, audio_seconds=3.0)
    copy(source, tmp_path / "whole.mp4")
    assert durations(tmp_path / "whole.mp4")["audio"][1] == pytest.approx(1.0, abs=0.03)
    copy(source, tmp_path / "part.mp4", limit=12)
    found = durations(tmp_path / "part.mp4")
    assert found["video"][1] == pytest.approx(0.4, abs=1e-3)
    assert found["audio"][1] == pytest.approx(0.4, abs=0.03)


def test_sound_ending_early_does_not_hold_the_pictures(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", 60, audio=True, audio_seconds=0.2)
    copy(source, tmp_path / "out.mp4")
    assert read(tmp_path / "out.mp4")[0] == list(range(60))
    assert durations(tmp_path / "out.mp4")["audio"][1] == pytest.approx(0.2, abs=0.03)


def test_a_source_without_audio_is_no_problem(tmp_path: Path) -> None:
    writer = copy(write_video(tmp_path / "a.mp4", 5), tmp_path / "out.mp4")
    assert writer.audio_problem is None
    assert list(durations(tmp_path / "out.mp4")) == ["video"]


def test_missing_and_damaged_audio_is_told_and_loses_no_picture(tmp_path: Path) -> None:
    writer = write(tmp_path / "a.mp4", [0.0, 0.1], audio_from=tmp_path / "missing.mp4")
    assert writer.audio_problem == "the audio could not be read to its end (No such file or directory)"
    assert read(tmp_path / "a.mp4")[0] == [0, 1]
    damaged = damage(write_audio_only(tmp_path / "tone.mp4", 3.0), 0.2, 0.7)
    write(tmp_path / "b.mp4", [index / 30 for index in range(60)], audio_from=damaged)
    assert read(tmp_path / "b.mp4")[0] == list(range(60))


def test_an_exception_leaves_a_playable_part(tmp_path: Path) -> None:
    def interrupted() -> None:
        with VideoWriter(tmp_path / "a.mp4", INFO) as writer:
            for index in range(100):
                if index == 20:
                    raise KeyboardInterrupt
                writer.write(index_image(index), index / 30)

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert read(tmp_path / "a.mp4")[0] == list(range(20))
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_abort_completes_and_is_idempotent(tmp_path: Path) -> None:
    writer = VideoWriter(tmp_path / "a.mp4", INFO)
    writer.write(index_image(0), 0.0)
    writer.abort()
    writer.abort()
    writer.close()
    assert read(tmp_path / "a.mp4")[0] == [0]
    with pytest.raises(SinkError, match=r"is closed\. Expected pictures before close\(\)"):
        writer.write(index_image(1), 0.1)


def test_nothing_shows_under_the_final_name_before_it_is_complete(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("the old one")
    with VideoWriter(tmp_path / "a.mp4", INFO) as writer:
        writer.write(index_image(0), 0.0)
        assert (tmp_path / "a.mp4").read_text() == "the old one"
    assert read(tmp_path / "a.mp4")[0] == [0]
    assert os.listdir(tmp_path) == ["a.mp4"]


def test_missing_folders_are_made(tmp_path: Path) -> None:
    write(tmp_path / "new" / "deep" / "a.mp4", [0.0])
    assert (tmp_path / "new" / "deep" / "a.mp4").exists()


@pytest.mark.parametrize("image", [np.zeros((48, 65, 3), np.uint8), np.zeros((48, 64, 3), np.float32)])
def test_a_wrong_picture(tmp_path: Path, image: np.ndarray) -> None:
    with (
        VideoWriter(tmp_path / "a.mp4", INFO) as writer,
        pytest.raises(SinkError, match=r"got a picture of shape .* Expected \(48, 64, 3\) and uint8"),
    ):
        writer.write(image, 0.0)


def test_output_that_is_a_folder(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"is a folder\. Expected the name of a video file, such as .*annotated\.mp4"):
        VideoWriter(tmp_path, INFO)


def test_output_of_another_kind(tmp_path: Path) -> None:
    with pytest.raises(SinkError, match=r"videos are written as MP4\. Expected a name ending in \.mp4 or \.m4v"):
        VideoWriter(tmp_path / "a.avi", INFO)


def test_output_that_is_the_input(tmp_path: Path) -> None:
    source = write_video(tmp_path / "a.mp4", 1, audio=True)
    with pytest.raises(SinkError, match=r"is the input itself\. Expected another name"):
        VideoWriter(source, INFO, audio_from=source)


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SinkError, match=r"cannot be written \(.+\)\. Expected a folder with write permission"):
        VideoWriter(tmp_path / "file" / "a.mp4", INFO)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"preset": "warp"},
            r"the encoder does not accept 64x48 with preset 'warp' \(.+\)\. Expected a preset of x264",
        ),
        ({"crf": 99}, r"got crf 99\. Expected 0 \(lossless\) to 51"),
    ],
)
def test_settings_the_encoder_refuses(tmp_path: Path, options: dict[str, object], message: str) -> None:
    with pytest.raises(SinkError, match=message):
        write(tmp_path / "a.mp4", [0.0], **options)
    assert os.listdir(tmp_path) == []


class FullDisk:
    """Lets a `ReservedFile` write so many bytes, then fails until its reserve is given up (or for good)."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capacity: int, for_good: bool = False) -> None:
        real = ReservedFile._write_some

        def write_some(file: ReservedFile, data: memoryview) -> int:
            if file.tell() > capacity and (for_good or file._reserve_path.exists()):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(file, data)

        monkeypatch.setattr(ReservedFile, "_write_some", write_some)


def noise(index: int) -> np.ndarray:
    return np.random.default_rng(index).integers(0, 256, (48, 64, 3), dtype=np.uint8)


def test_a_disk_that_fills_up_keeps_the_first_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FullDisk(monkeypatch, 300_000)
    with (
        pytest.raises(
            SinkError, match=r"writing stopped after \d+ frames \(No space left.*The first \d+\.\d s were kept"
        ),
        VideoWriter(tmp_path / "a.mp4", INFO) as writer,
    ):
        for index in range(2000):
            writer.write(noise(index), index / 30)
    assert os.listdir(tmp_path) == ["a.mp4"]
    assert 20 < len(read(tmp_path / "a.mp4")[0]) < 2000


def test_a_disk_that_is_full_at_the_end_has_the_system_s_error_behind_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By it a batch knows that other videos would fail too."""
    FullDisk(monkeypatch, 100)
    writer = VideoWriter(tmp_path / "a.mp4", INFO)
    for index in range(3):
        writer.write(noise(index), index / 30)
    with pytest.raises(SinkError, match="No space left") as caught:
        writer.close()
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENOSPC


def test_a_disk_with_no_room_at_all_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    FullDisk(monkeypatch, 300_000, for_good=True)
    with (
        pytest.raises(SinkError, match=r"could not be completed \(No space left.*nothing of it was kept"),
        VideoWriter(tmp_path / "a.mp4", INFO) as writer,
    ):
        for index in range(2000):
            writer.write(noise(index), index / 30)
    assert os.listdir(tmp_path) == []


def test_a_disk_that_is_full_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(self: ReservedFile, size: int) -> None:
        self.full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(ReservedFile, "reserve", no_room)
    with pytest.raises(SinkError, match=r"cannot be written \(No space left on device\).*MB of free space"):
        VideoWriter(tmp_path / "a.mp4", INFO)
    assert os.listdir(tmp_path) == []


def test_a_recording_plays_up_to_its_last_second_at_any_moment(tmp_path):
    path = tmp_path / "live.mp4"
    writer = VideoWriter(path, VideoInfo(64, 48, fps=Fraction(30)), fragmented=True)
    for index in range(100):
        # Fewer frames than the nominal rate: a fragment is a second of time, not a number of frames.
        writer.write(index_image(index, (64, 48)), index / 5)
        if index == 57:
            (part,) = tmp_path.glob("live.mp4.*.part")
            assert decoded_times(part)[-1] >= 57 / 5 - 1.3
    writer.close()
    assert [round(time * 5) for time in decoded_times(path)] == list(range(100))
    assert [entry.name for entry in tmp_path.iterdir()] == ["live.mp4"]


def decoded_times(path):
    with av.open(str(path)) as container:
        return [frame.time for frame in container.decode(video=0)]
