from fractions import Fraction

import numpy as np
import pytest

from sf_detect.data.ava_preparation import Preparation, check_film, in_words, prepare_film, read_names
from sf_detect.data.decoding import frame_times, read_clip
from sf_detect.data.samples import ClipSample
from sf_detect.errors import DataError
from synthetic_video import cut_short, read_index, write_video


@pytest.fixture
def film(tmp_path):
    """Five seconds at 10 fps."""
    (tmp_path / "films").mkdir()
    return write_video(tmp_path / "films" / "film.mkv", 50, 10, (80, 60))


def preparation(tmp_path, **settings):
    return Preparation(tmp_path / "ava", **{"short_side": 48, "start": 2.0, "end": 4.0, **settings})


def test_cut_as_video_and_as_frames(tmp_path, film):
    wanted = preparation(tmp_path, frames=True)
    assert prepare_film("film", film, wanted).state == "done"
    video, frames = (ClipSample("film", path, start_time=2.0, fps=Fraction(30)) for path in wanted.targets("film"))
    for sample in (video, frames):
        clip = read_clip(sample, np.array([2.0, 2.5, 3.9]))
        assert clip.shape == (3, 48, 64, 3)
        assert [read_index(frame) for frame in clip] == [20, 25, 39]
    assert len(frame_times(video.path)) == 60
    assert sorted(p.name for p in frames.path.iterdir())[::59] == ["film_000001.jpg", "film_000060.jpg"]
    assert sorted(p.name for p in (tmp_path / "ava").rglob("*part*")) == []


def test_what_is_there_stays_and_what_is_not_is_made(tmp_path, film):
    wanted = preparation(tmp_path)
    prepare_film("film", film, wanted)
    before = wanted.targets("film")[0].stat().st_mtime_ns
    (tmp_path / "ava" / "frames" / ".part-film").mkdir(parents=True)  # of a run that was interrupted
    both = preparation(tmp_path, frames=True)
    assert prepare_film("film", film, both).state == "done"
    assert prepare_film("film", film, both).state == "there"
    assert wanted.targets("film")[0].stat().st_mtime_ns == before
    assert not (tmp_path / "ava" / "frames" / ".part-film").exists()


def test_sources_that_are_cut_already(tmp_path, film):
    wanted = preparation(tmp_path, source_start=1.0)
    prepare_film("film", film, wanted)
    frames = read_clip(ClipSample("film", wanted.targets("film")[0]), np.array([0.0]))
    assert read_index(frames[0]) == 10


def test_short_missing_and_broken_films(tmp_path, film):
    wanted = preparation(tmp_path, end=9.0)
    outcome = prepare_film("film", film, wanted)
    assert (outcome.state, outcome.is_good) == ("short", False)
    assert "ends at 5.0 s" in outcome.detail
    assert prepare_film("gone", None, wanted).state == "missing"
    assert prepare_film("late", film, preparation(tmp_path, start=7.0)).detail.endswith("begins (7 s)")
    (tmp_path / "text.mp4").write_text("no video")
    outcome = prepare_film("text", tmp_path / "text.mp4", wanted)
    assert outcome.state == "failed"
    assert "cannot be opened" in outcome.detail
    assert {p.name for p in (tmp_path / "ava").rglob("*")} == {"videos", "film.mp4"}


def test_a_file_that_is_cut_off_ends_where_its_pictures_end(tmp_path):
    path = write_video(tmp_path / "film.mp4", 100, 10, (80, 60), faststart=True, options={"g": "10"})
    outcome = prepare_film("film", cut_short(path, 0.6), preparation(tmp_path, end=9.0))
    assert outcome.state == "short"
    assert len(frame_times(tmp_path / "ava" / "videos" / "film.mp4")) < 150


def test_check_alone(tmp_path, film):
    wanted = preparation(tmp_path)
    assert check_film("film", wanted).state == "missing"
    prepare_film("film", film, wanted)
    assert check_film("film", wanted).state == "there"
    cut_short(wanted.targets("film")[0], 0.5)
    wanted.targets("film")[0].write_bytes(b"x")
    assert check_film("film", wanted).state == "failed"


def test_names_of_films(tmp_path):
    (tmp_path / "a.csv").write_text("one,0902,0.1,0.2,0.5,0.9,12,0\none,0903\n")
    (tmp_path / "b.txt").write_text("two.mkv\n1.5-x\n")
    assert read_names([tmp_path / "a.csv", tmp_path / "b.txt"]) == ["1.5-x", "one", "two"]
    with pytest.raises(DataError, match="does not exist"):
        read_names([tmp_path / "c.csv"])


def test_report(tmp_path, film):
    outcomes = [prepare_film("film", film, preparation(tmp_path)), prepare_film("gone", None, preparation(tmp_path))]
    assert in_words(outcomes) == "2 films: 1 done, 1 missing\n  missing gone  no such film among the sources"
