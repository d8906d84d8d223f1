"""What a container says of its video stream."""

from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import pytest

from sf_detect.video import FileSource
from sf_detect.video.stream_info import frame_rate, plausible_aspect, stated_end
from synthetic_video import read_index, write_video


def rate_of(path: Path) -> Fraction | None:
    with av.open(str(path)) as container:
        return frame_rate(container, container.streams.video[0])


@pytest.mark.parametrize(("codec", "fps"), [("libx264", 25), ("mpeg4", 12), ("mjpeg", Fraction(30000, 1001))])
def test_rate_of_an_avi(tmp_path: Path, codec: str, fps: Fraction) -> None:
    pix_fmt = "yuvj420p" if codec == "mjpeg" else None
    assert rate_of(write_video(tmp_path / "a.avi", 20, fps=fps, codec=codec, pix_fmt=pix_fmt)) == fps


def test_rate_of_an_avi_with_fine_slots(tmp_path: Path) -> None:
    path = write_video(tmp_path / "a.avi", pts=[index / 25 for index in range(20)])
    with av.open(str(path)) as container:
        assert container.streams.video[0].average_rate > 100
    assert rate_of(path) == 25


def test_rate_of_an_avi_without_an_index() -> None:
    stream: Any = SimpleNamespace(average_rate=Fraction(50), guessed_rate=Fraction(25), time_base=Fraction(1, 50))
    container: Any = SimpleNamespace(format=SimpleNamespace(name="avi"))
    assert frame_rate(container, stream) == 25


def test_rates_beyond_belief_are_unknown() -> None:
    stream: Any = SimpleNamespace(average_rate=Fraction(90000), guessed_rate=None)
    assert frame_rate(SimpleNamespace(format=SimpleNamespace(name="mpegts")), stream) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(("options", "codec"), [({"bf": "3"}, "libx264"), ({"bf": "2"}, "mpeg4"), ({}, "mpeg2video")])
def test_avi_with_b_frames_has_all_its_pictures_in_time(tmp_path: Path, options: dict[str, str], codec: str) -> None:
    path = write_video(tmp_path / "a.avi", 30, fps=25, codec=codec, options=options)
    with FileSource(path) as source:
        frames = list(source)
    assert [read_index(frame.image) for frame in frames] == list(range(30))
    assert [frame.pts for frame in frames] == pytest.approx([index / 25 for index in range(30)])
    assert (source.info.fps, source.decode_errors) == (25, 0)


def test_avi_whose_slots_are_fields(shared: Path) -> None:
    with FileSource(shared / "cases" / "a11_h264b.avi") as source:
        times = [frame.pts for frame in source]
    assert times == pytest.approx([index / 25 for index in range(50)])
    assert (source.info.fps, source.info.duration, source.decode_errors) == (25, 2.0, 0)


def tagged(tags: dict[str, str], start: int = 821) -> Any:
    return SimpleNamespace(duration=None, metadata=tags, start_time=start, time_base=Fraction(1, 1000))


def test_the_duration_tag_counts_from_zero_or_from_the_start() -> None:
    container: Any = SimpleNamespace(duration=None, streams=[1, 2])
    assert stated_end(container, tagged({"DURATION": "00:00:02.821000000"})) == pytest.approx(2.821)
    mkvmerge = {"DURATION": "00:00:02.000000000", "_STATISTICS_TAGS": "DURATION"}
    assert stated_end(container, tagged(mkvmerge)) == pytest.approx(2.821)
    assert stated_end(container, tagged({"DURATION": "soon"})) is None


def test_the_duration_of_a_container_is_not_that_of_one_of_its_streams() -> None:
    container: Any = SimpleNamespace(
        duration=3_000_000, start_time=500_000, streams=[1, 2], format=SimpleNamespace(name="mpegts")
    )
    assert stated_end(container, tagged({}), own=True) is None
    assert stated_end(container, tagged({})) == pytest.approx(3.5)


@pytest.mark.parametrize("name", ["a30_late.mkv", "a13_twostart.mkv"])
def test_a_video_that_starts_late_is_not_damaged(shared: Path, name: str) -> None:
    with FileSource(shared / "cases" / name) as source:
        times = [frame.pts for frame in source]
    assert times == pytest.approx([index / 25 for index in range(50)], abs=2e-3)
    assert (source.info.duration, source.decode_errors) == (pytest.approx(2.0, abs=1e-3), 0)


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts"])
@pytest.mark.parametrize("audio", [False, True])
def test_late_starts_and_starts_below_zero(tmp_path: Path, name: str, audio: bool) -> None:
    for start in (0.8, 1000.0, -0.2):
        times = [start + index / 25 for index in range(40)]
        kept = [index for index, time in enumerate(times) if time >= -1e-6 or name != "a.mp4"]  # an edit list cuts
        with FileSource(write_video(tmp_path / name, pts=times, fps=25, audio=audio, audio_seconds=1.0)) as source:
            frames = list(source)
            assert source.decode_errors == 0, start
        assert [read_index(frame.image) for frame in frames] == kept
        assert [frame.pts - frames[0].pts for frame in frames] == pytest.approx(
            [times[index] - times[kept[0]] for index in kept], abs=2e-3
        )


@pytest.mark.parametrize(
    ("ratio", "believed"),
    [(None, 1), (Fraction(0), 1), (Fraction(16, 11), Fraction(16, 11)), (Fraction(1, 50), 1), (Fraction(10**9), 1)],
)
def test_pixel_shapes_beyond_belief_are_square(ratio: Fraction | None, believed: Fraction) -> None:
    assert plausible_aspect(ratio) == believed
