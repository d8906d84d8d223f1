"""Clips and sheets of what was found: the right pictures, nobody lost who failed, nobody seen who is to be hidden."""

from __future__ import annotations

import av
import numpy as np
import pytest
from PIL import Image

from sf_detect.archive.clips import Cutting, Part, cut, parts_of
from sf_detect.archive.database import Answer, Database
from sf_detect.archive.files import ArchiveFiles
from sf_detect.archive.hiding import PersonBoxes
from sf_detect.archive.pictures import make_pictures
from sf_detect.archive.places import locate
from sf_detect.archive.schema import VideoFacts
from sf_detect.archive.sheets import write_sheet
from sf_detect.errors import ConfigError, SinkError, SourceOpenError
from synthetic_video import index_image, read_index, write_video
from tests.archive.archives import doing, write_archive

FPS = 10


def pictures(path):
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


@pytest.fixture(scope="module")
def videos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    (folder / "cam1").mkdir()
    write_video(folder / "cam1" / "door.mp4", num_frames=60, fps=FPS, audio=True)
    write_video(folder / "hall.mp4", num_frames=60, fps=FPS)
    return folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory, videos):
    folder = tmp_path_factory.mktemp("archive")
    for name, what in {"cam1/door.mp4": doing("wave", 1, 3, track=7), "hall.mp4": doing("walk", 2, 4)}.items():
        write_archive(folder, {name: what}, source=str(videos / name))
    write_archive(folder, {"gone.mp4": doing("wave", 0, 2)}, source="/nowhere/gone.mp4")
    return folder


@pytest.fixture(scope="module")
def files(archive):
    return ArchiveFiles.find(archive)


@pytest.fixture(scope="module")
def database(files):
    with Database(files) as opened:
        yield opened


@pytest.fixture(scope="module")
def known(database):
    return database.facts(["cam1/door.mp4", "hall.mp4", "gone.mp4", "nobody knows"])


DOOR = Part("cam1/door.mp4", 1.0, 2.0, 7, "wave")
HALL = Part("hall.mp4", 2.0, 2.5, 1, "walk")
GONE = Part("gone.mp4", 0.0, 1.0, 1, "wave")


def test_clips_hold_the_part_and_a_margin(known, tmp_path):
    told = []
    paths = list(cut([HALL, DOOR], known, Cutting(tmp_path, margin=0.3), {}, told.append))
    assert [str(p.relative_to(tmp_path)) for p in paths] == [
        "cam1/door_00001.000-00002.000_wave_7.mp4",
        "hall_00002.000-00002.500_walk_1.mp4",
    ]
    assert [read_index(image) for image in pictures(paths[0])] == list(range(7, 23))
    assert [read_index(image) for image in pictures(paths[1])] == list(range(17, 28))
    with av.open(str(paths[0])) as container:
        assert len(container.streams.audio) == 1
    assert told == []


def test_a_clip_does_not_begin_before_the_video(known, tmp_path):
    (path,) = cut([Part("hall.mp4", 0.2, 0.5)], known, Cutting(tmp_path, margin=1.0), {}, print)
    assert path.name == "hall_00000.200-00000.500.mp4"
    assert read_index(pictures(path)[0]) == 0


def test_what_fails_is_told_and_the_rest_is_cut(known, tmp_path):
    told = []
    late = Part("hall.mp4", 50.0, 51.0)
    paths = list(cut([GONE, late, HALL, Part("unknown", 0, 1)], known, Cutting(tmp_path), {}, told.append))
    assert len(paths) == 1
    assert "gone.mp4: the video was /nowhere/gone.mp4 when it was annotated" in told[0]
    assert "--videos-root" in told[0]
    assert "no picture between 49.50 and 51.50 s. The clip was not cut." in told[1]
    assert "the archive has no video 'unknown'" in told[2]


def test_two_parts_of_one_name_have_two_files(known, tmp_path):
    paths = list(cut([HALL, HALL], known, Cutting(tmp_path), {}, print))
    assert [path.name for path in paths] == [
        "hall_00002.000-00002.500_walk_1.mp4",
        "hall_00002.000-00002.500_walk_1_2.mp4",
    ]


@pytest.mark.parametrize(
    ("part", "name"),
    [
        (Part("a/b.c.mp4", 1, 2, 3, "pick / throw"), "a/b.c_00001.000-00002.000_pick-throw_3"),
        (Part("noending", 1, 3601.5), "noending_00001.000-03601.500"),
        (Part("/../../a/../b.mp4", 1, 2), "a/b_00001.000-00002.000"),
        (Part("..", 1, 2), "video_00001.000-00002.000"),
        (Part("a.mp4", 1, 2, None, "../../etc"), "a_00001.000-00002.000_..-..-etc"),
    ],
)
def test_names_of_clips(part, name):
    assert part.file_name == name


def test_long_names_fit_the_file_system():
    name = Part("x" * 250 + ".mp4", 1, 2, 1, "y" * 30).file_name
    assert len(name) <= 200
    assert name.endswith("_1")


def test_copies(known, tmp_path):
    told = []
    (path,) = cut([HALL], known, Cutting(tmp_path, margin=0.0, copy=True), {}, told.append)
    assert read_index(pictures(path)[0]) == 0  # its only key picture
    assert told == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"margin": -1}, "--margin is a number of seconds"),
        ({"margin": float("nan")}, "--margin"),
        ({"copy": True, "hide": "head"}, "--copy takes pictures as they are"),
        ({"hide": "face"}, "--anonymise is head or person, got 'face'"),
    ],
)
def test_settings_that_make_no_sense(tmp_path, options, message):
    with pytest.raises(ConfigError, match=message):
        Cutting(tmp_path, **options)


def test_answers_become_parts():
    columns = ("label", "end_time", "video", "start_time", "track_id", "other")
    assert parts_of(Answer(columns, iter([("wave", 2.0, "a", 1, None, 0)]))) == [Part("a", 1.0, 2.0, None, "wave")]
    assert parts_of(Answer(columns[1:4], iter([(2.0, "a", 1)]))) == [Part("a", 1.0, 2.0)]
    with pytest.raises(ConfigError, match="the answer lacks end_time"):
        parts_of(Answer(("video", "start_time"), iter([])))
    with pytest.raises(ConfigError, match="are numbers"):
        parts_of(Answer(("video", "start_time", "end_time"), iter([("a", "x", 1)])))
    with pytest.raises(ConfigError, match="are numbers"):
        parts_of(Answer(("video", "start_time", "end_time"), iter([("a", float("nan"), 1.0)])))


def covered(boxes, time):
    """The x range that is hidden, in pixels of a 100 pixel wide frame."""
    found = boxes.at(time, (100, 100))
    return None if not len(found) else (round(found[:, 0].min()), round(found[:, 2].max()))


def test_between_keyframes_the_box_around_both_is_hidden():
    boxes = PersonBoxes([(1, 1.0, 0.1, 0, 0.2, 1), (1, 1.5, 0.3, 0, 0.4, 1), (2, 1.5, 0.8, 0, 0.9, 1)])
    assert covered(boxes, 1.2) == (10, 90)  # the second is taken to be there a little before it is first seen
    assert covered(boxes, 0.4) == (10, 20)
    assert covered(boxes, -0.1) is None
    assert covered(boxes, 2.4) == (30, 90)
    assert covered(boxes, 2.6) is None


def test_who_is_away_for_long_is_hidden_at_both_ends():
    boxes = PersonBoxes([(1, 0.0, 0.1, 0, 0.2, 1), (1, 0.5, 0.1, 0, 0.2, 1), (1, 60.0, 0.3, 0, 0.4, 1)])
    assert covered(boxes, 1.4) == (10, 20)
    assert covered(boxes, 30.0) is None
    assert covered(boxes, 59.1) == (30, 40)
    far_apart = PersonBoxes([(1, 0.0, 0.1, 0, 0.2, 1), (1, 60.0, 0.3, 0, 0.4, 1)])  # keyframes may be a minute apart
    assert covered(far_apart, 30.0) == (10, 40)


def test_persons_who_were_not_tracked_are_hidden_too():
    boxes = PersonBoxes([(None, 1.0, 0.1, 0, 0.2, 1), (None, 1.5, 0.8, 0, 0.9, 1)])
    assert covered(boxes, 1.25) == (10, 90)


def test_hidden_persons_cannot_be_seen_in_clips(known, database, tmp_path):
    boxes = PersonBoxes.of_videos(database, ["cam1/door.mp4"])
    how = Cutting(tmp_path, margin=0.0, hide="person")
    (path,) = cut([DOOR], known, how, boxes, print)
    for index, image in zip(range(10, 20), pictures(path), strict=True):
        original = index_image(index)
        assert np.abs(image[:, 30:].astype(int) - original[:, 30:]).mean() < 6  # nobody stands there
    with pytest.raises(StopIteration):
        next(iter(cut([HALL], known, how, {}, lambda text: None)))


def test_without_boxes_nothing_is_written_that_shows_persons(known, database, tmp_path):
    told = []
    assert list(cut([HALL], known, Cutting(tmp_path, hide="head"), {}, told.append)) == []
    assert "nobody can be hidden" in told[0]
    assert not list(tmp_path.iterdir())


def facts(source, video="cam1/door.mp4"):
    return VideoFacts(video, source, 1, 1)


def test_where_videos_are_now(tmp_path, videos):
    assert locate(facts(str(videos / "hall.mp4"))) == str(videos / "hall.mp4")
    assert locate(facts("https://host/a.mp4")) == "https://host/a.mp4"
    assert locate(facts("/old/place/cam1/door.mp4", "x"), videos) == str(videos / "cam1/door.mp4")
    assert locate(facts("C:\\old\\cam1\\door.mp4", "x"), videos) == str(videos / "cam1/door.mp4")
    assert locate(facts("/old/elsewhere.mp4", "hall.mp4"), videos) == str(videos / "hall.mp4")
    with pytest.raises(SourceOpenError, match=r"neither y\.mp4 nor x\.mp4 is below"):
        locate(facts("/old/x.mp4", "y.mp4"), videos)


def test_names_do_not_lead_out_of_the_root(tmp_path, videos):
    (tmp_path / "secret.mp4").write_text("x")
    inner = tmp_path / "inner"
    inner.mkdir()
    for source in ("../secret.mp4", "/a/../../secret.mp4"):
        with pytest.raises(SourceOpenError):
            locate(facts(source, "../secret.mp4"), inner)


def test_whom_the_detector_finds_in_the_frames_is_hidden_too(known, database, tmp_path):
    boxes = PersonBoxes.of_videos(database, ["cam1/door.mp4"])
    asked = []

    def find(image):
        asked.append(read_index(image))
        return np.array([[32.0, 0, 64, 48]]) if asked[-1] == 12 else np.zeros((0, 4))

    how = Cutting(tmp_path, margin=0.0, hide="person", find_persons=find)
    (path,) = cut([DOOR], known, how, boxes, print)
    assert asked == list(range(10, 20))
    hidden = [
        np.abs(image[:, 34:].astype(int) - index_image(index)[:, 34:]).mean() > 6
        for index, image in zip(range(10, 20), pictures(path), strict=True)
    ]
    assert hidden == [index in (12, 13, 14, 15) for index in range(10, 20)]  # a moment longer, as it may miss somebody


def sheet(known, database, path, parts, tell=print, hide=None):
    boxes = PersonBoxes.of_videos(database, [part.video for part in parts])
    return write_sheet(path, "title", parts, known, boxes, Cutting(path.parent, hide=hide), tell)


@pytest.mark.parametrize("name", ["s.jpg", "new/s.png"])
def test_a_sheet_shows_each_part(known, database, tmp_path, name):
    assert sheet(known, database, tmp_path / name, [DOOR, HALL]) == 2
    with Image.open(tmp_path / name) as image:
        assert image.width > 2 * 320
        assert image.format == {"jpg": "JPEG", "png": "PNG"}[name[-3:]]


def test_a_sheet_of_what_is_gone(known, database, tmp_path):
    told = []
    assert sheet(known, database, tmp_path / "s.jpg", [GONE], tell=told.append) == 0
    assert "It is not on the sheet" in told[0]
    assert not (tmp_path / "s.jpg").exists()
    assert sheet(known, database, tmp_path / "s.jpg", [GONE, HALL], tell=told.append) == 1


def test_sheets_that_cannot_be_written(known, database, tmp_path):
    with pytest.raises(ConfigError, match=r"ends in '\.gif'; expected \.jpg"):
        sheet(known, database, tmp_path / "s.gif", [HALL])
    (tmp_path / "f").write_text("")
    with pytest.raises(SinkError, match="can't be written"):
        sheet(known, database, tmp_path / "f" / "s.jpg", [HALL])


def test_long_parts_are_entered_for_each_picture(known, database, tmp_path, monkeypatch):
    monkeypatch.setattr("sf_detect.archive.sheets._ONE_PASS", 0.5)
    assert sheet(known, database, tmp_path / "s.jpg", [Part("hall.mp4", 0, 5.5)], hide="head") == 1


def test_everything_at_once(known, database, tmp_path):
    told = []
    how = Cutting(tmp_path / "clips", videos_root=None)
    options = {"clips": True, "sheet": tmp_path / "s.jpg", "title": "t", "tell": told.append}
    made = make_pictures([DOOR, GONE, HALL], database, how, **options)
    assert (made.clips, made.on_sheet, made.problems) == (2, 2, 2)
    assert len(told) == 2
    made = make_pictures([], database, how, **options)
    assert (made.clips, made.on_sheet, made.problems) == (0, None, 0)


def test_hiding_needs_the_persons_of_the_archive(tmp_path, videos):
    write_archive(tmp_path / "a", {"hall.mp4": {}}, source=str(videos / "hall.mp4"))
    found = ArchiveFiles.find(tmp_path / "a")
    with Database(found) as database, pytest.raises(ConfigError, match=r"nobody can be hidden in hall\.mp4"):
        options = {"clips": True, "sheet": None, "title": "", "tell": print}
        make_pictures([HALL], database, Cutting(tmp_path / "c", hide="head"), **options)
    assert not (tmp_path / "c").exists()
