from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from sf_detect.data.decoding import probe, read_clip, read_timed_clip
from sf_detect.data.samples import ClipSample
from sf_detect.errors import DataError
from synthetic_video import cut_short, damage, index_image, read_index, write_audio_only, write_video

# Frequent B-frames and rare key pictures, so that a clip lies far behind the picture it is entered by.
LONG_GOP = {"g": "50", "bf": "3", "b_strategy": "0"}


def indices(frames):
    return [read_index(frame) for frame in frames]


def sample_of(path, **settings):
    return ClipSample("video", path, **settings)


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("video") / "a.mp4", 120, 30, options=LONG_GOP)


def test_every_frame_is_reached_by_its_time(video):
    for index in range(0, 120, 7):
        assert indices(read_clip(sample_of(video), np.array([index / 30]))) == [index]


def test_unsorted_repeated_and_far_times(video):
    times = np.array([3.0, 1.0, 1.0, -5.0, 99.0, 2.51])
    frames, pts = read_timed_clip(sample_of(video), times)
    assert indices(frames) == [90, 30, 30, 0, 119, 75]
    np.testing.assert_allclose(pts, [3, 1, 1, 0, 119 / 30, 2.5], atol=1e-3)


def test_a_tie_goes_to_the_earlier_frame(video):
    assert indices(read_clip(sample_of(video), np.array([60.5, 61.5]) / 30)) == [60, 61]


def test_times_stay_in_the_span_and_follow_the_clock_of_the_annotation(video):
    sample = sample_of(video, span=(901.0, 902.0), start_time=900.0)
    frames, pts = read_timed_clip(sample, np.array([900.0, 901.5, 903.0]))
    assert indices(frames) == [30, 45, 60]
    np.testing.assert_allclose(pts, [901, 901.5, 902], atol=1e-3)


def test_short_side(video):
    assert read_clip(sample_of(video), np.array([0.0]), 24).shape == (1, 24, 32, 3)


@pytest.mark.parametrize("suffix", ["mkv", "ts", "avi", "webm", "h264"])
def test_other_containers(tmp_path, suffix):
    codec, options = {"webm": ("libvpx", {"g": "30"}), "avi": ("mpeg4", {"g": "12"})}.get(suffix, ("libx264", LONG_GOP))
    path = write_video(tmp_path / f"a.{suffix}", 90, 25, codec=codec, options=options)
    wanted = [0, 33, 47, 88]
    assert indices(read_clip(sample_of(path), np.array(wanted) / 25)) == wanted


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_rotation_and_odd_sizes(tmp_path, rotation):
    path = write_video(tmp_path / "a.mp4", 70, 30, (49, 65), rotation=rotation, options=LONG_GOP)
    frames = read_clip(sample_of(path), np.array([61, 69]) / 30)
    assert frames.shape == (2, 65, 49, 3)
    assert indices(frames) == [61, 69]
    assert read_clip(sample_of(path), np.array([2.0]), 24).shape == (1, 31, 24, 3)


def test_variable_rate(tmp_path):
    pts = np.cumsum(np.random.default_rng(0).uniform(0.02, 0.2, 60))
    path = write_video(tmp_path / "a.mp4", 60, pts=pts - pts[0], options=LONG_GOP)
    frames, found = read_timed_clip(sample_of(path), pts[[3, 40, 59]] - pts[0])
    assert indices(frames) == [3, 40, 59]
    np.testing.assert_allclose(found, pts[[3, 40, 59]] - pts[0], atol=1e-3)


def test_agrees_with_reading_the_whole_video(tmp_path):
    path = write_video(tmp_path / "a.mp4", 100, Fraction(30000, 1001), options=LONG_GOP)
    with av.open(str(path)) as container:
        whole = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    times = np.arange(40, 72) * 1001 / 30000
    np.testing.assert_array_equal(read_clip(sample_of(path), times), whole[40:72])


def write_folder(folder, numbers=range(1, 61)):
    folder.mkdir()
    for place, number in enumerate(numbers):
        cv2.imwrite(str(folder / f"video_{number:06d}.png"), index_image(place))
    return folder


def test_folder_of_frames_on_avas_clock(tmp_path):
    folder = write_folder(tmp_path / "video")
    sample = sample_of(folder, fps=Fraction(30), start_time=900.0)
    frames, pts = read_timed_clip(sample, 901.0 + np.array([-99, -2, 0, 2, 0.5, 99]) / 30)
    assert indices(frames) == [0, 28, 30, 32, 30, 59]
    np.testing.assert_allclose(pts[2], 901)
    assert read_clip(sample, np.array([900.0]), 24).shape == (1, 24, 32, 3)


def test_folder_with_gaps_counts_images(tmp_path):
    folder = write_folder(tmp_path / "video", [1, 2, 5, 10, 11])
    assert indices(read_clip(sample_of(folder, fps=Fraction(10)), np.array([0.2, 0.4]))) == [2, 4]


def test_frames_of_other_sizes_take_that_of_the_first(tmp_path):
    folder = write_folder(tmp_path / "video", range(3))
    cv2.imwrite(str(folder / "video_000002.png"), index_image(2, (32, 32)))
    frames = read_clip(sample_of(folder), np.array([0, 2 / 30]))
    assert frames.shape == (2, 48, 64, 3)
    assert indices(frames) == [0, 2]


def test_probe(tmp_path, video):
    info = probe(sample_of(video))
    assert (info.width, info.height, info.fps, info.num_frames) == (64, 48, 30, 120)
    info = probe(sample_of(write_folder(tmp_path / "frames"), fps=Fraction(30)))
    assert (info.width, info.height, info.fps, info.duration) == (64, 48, 30, 2.0)


def test_damage_in_the_middle_costs_only_its_frames(tmp_path):
    path = damage(write_video(tmp_path / "a.mp4", 120, 30, (128, 96), options={"g": "10"}), 0.4, 0.45)
    frames = read_clip(sample_of(path), np.array([0, 3.9]))
    assert indices(frames) == [0, 117]


@pytest.mark.parametrize("times", [[], [[0.0]], [np.nan]])
def test_times_must_be_a_list_of_numbers(video, times):
    with pytest.raises(ValueError, match="finite"):
        read_clip(sample_of(video), np.array(times))


def test_missing_file(tmp_path):
    for read in (lambda s: read_clip(s, np.array([0.0])), probe):
        with pytest.raises(DataError, match=r"gone\.mp4: .*does not exist"):
            read(sample_of(tmp_path / "gone.mp4"))


def test_files_that_hold_no_picture(tmp_path):
    (tmp_path / "text.mp4").write_text("no video")
    write_audio_only(tmp_path / "sound.mp4")
    write_video(tmp_path / "empty.mkv", 0)
    cut_short(write_video(tmp_path / "cut.mp4", 30), 0.5)
    for name in ("text.mp4", "sound.mp4", "empty.mkv", "cut.mp4"):
        with pytest.raises(DataError, match=name):
            read_clip(sample_of(tmp_path / name), np.array([0.0]))


def test_folders_that_hold_no_picture(tmp_path):
    with pytest.raises(DataError, match="holds no frame images"):
        read_clip(sample_of(tmp_path), np.array([0.0]))
    (tmp_path / "img_1.jpg").write_text("no image")
    with pytest.raises(DataError, match=r"img_1\.jpg: cannot be read as an image"):
        read_clip(sample_of(tmp_path), np.array([0.0]))
