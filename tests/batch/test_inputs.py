"""Which videos arguments name, and what those ask to be called."""

import os
import sys

import pytest

from sf_detect.batch.content import looks_like_video
from sf_detect.batch.inputs import Input, Inputs, archive_name, stamp_by_time
from sf_detect.errors import ConfigError
from synthetic_video import write_video


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """videos/ with files of many kinds; the current folder is above it."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "B.AVI", "cam1/a.mp4", "cam2/deep/c.mkv", "notes.txt", ".hidden.mp4", ".git/x.mp4"):
        place = tmp_path / "videos" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"x")
    return tmp_path


def names(*arguments, out="out", **options):
    return [found.name for found in Inputs(out, **options).of(arguments)]


def test_folders_are_searched_by_ending(tree):
    inputs = Inputs("out")
    found = list(inputs.of(["videos"]))
    assert [one.name for one in found] == ["B.AVI", "a.mp4", "cam1/a.mp4", "cam2/deep/c.mkv"]
    assert found[1] == Input(str(tree / "videos" / "a.mp4"), "a.mp4", *stamp_by_time(tree / "videos" / "a.mp4"))
    assert inputs.passed_over == 1


def test_folders_are_searched_by_content(tree):
    write_video(tree / "x.mp4", 2).rename(tree / "videos" / "camera-dump")
    write_video(tree / "x.ts", 60).rename(tree / "videos" / "stream.ts")
    (tree / "videos" / "program.ts").write_text("const x: number = 1;\n" * 100)
    (tree / "videos" / "empty").write_bytes(b"")
    assert {"camera-dump", "stream.ts"} <= set(names("videos"))
    assert not {"program.ts", "empty"} & set(names("videos"))


@pytest.mark.parametrize("ending", ["mp4", "mkv", "avi", "mpg", "ts", "m2ts", "flv", "wmv", "webm", "mov", "ogv"])
def test_containers_are_known_by_their_first_bytes(tmp_path, ending):
    codec = {"webm": "libvpx", "ogv": "libtheora", "wmv": "msmpeg4", "mpg": "mpeg2video"}.get(ending, "libx264")
    try:
        path = write_video(tmp_path / f"v.{ending}", 30, codec=codec, audio=False)
    except Exception as error:  # this FFmpeg has no such encoder
        pytest.skip(str(error))
    assert looks_like_video(path.read_bytes()[:1000])


@pytest.mark.parametrize(
    "head", [b"", b"\x89PNG\r\n\x1a\n" + bytes(700), b"G" * 3, b"....ftypheic....", b"RIFF....WAVE"]
)
def test_other_files_are_no_videos(head):
    assert not looks_like_video(head)


def test_several_folders_keep_their_names(tree):
    assert names("videos/cam1", "videos/cam2") == ["cam1/a.mp4", "cam2/deep/c.mkv"]


def test_files_are_named_from_their_common_folder(tree):
    assert names("videos/a.mp4") == ["a.mp4"]
    assert names("videos/a.mp4", str(tree / "videos/cam1/a.mp4")) == ["a.mp4", "cam1/a.mp4"]


def test_a_file_that_is_named_is_taken_whatever_it_is(tree):
    (tree / "thing.dat").write_text("?")
    assert names("thing.dat") == ["thing.dat"]


def test_globs(tree):
    assert names("videos/*/*.mp4") == ["cam1/a.mp4"]
    assert names("videos/**/*.m*") == ["a.mp4", "cam1/a.mp4", "cam2/deep/c.mkv"]
    with pytest.raises(ConfigError, match="matches nothing"):
        names("videos/*.webm")


def test_a_file_whose_name_is_a_glob(tree):
    (tree / "a[1].mp4").write_bytes(b"x")
    assert names("a[1].mp4") == ["a[1].mp4"]


def test_lists(tree):
    (tree / "list.txt").write_text(
        f"\ufeffvideos/a.mp4\r\n\n{tree}/videos/cam1/a.mp4\nvideos/missing.mp4\nvideos/cam2\n"
    )
    expected = ["videos/a.mp4", "videos/cam1/a.mp4", "videos/missing.mp4", "videos/cam2/deep/c.mkv"]
    assert names("list.txt") == expected
    assert names("-", lines=(tree / "list.txt").read_text(encoding="utf-8-sig").splitlines(keepends=True)) == expected


def test_a_missing_file_of_a_list_fails_alone_later(tree):
    (found,) = Inputs("out", lines=["gone.mp4\n"]).of(["-"])
    assert (found.size, found.stamp) == (0, "")


def test_files_outside_the_current_folder_keep_their_whole_path(tree, monkeypatch):
    monkeypatch.chdir(tree / "videos" / "cam1")
    expected = os.path.splitdrive(str(tree / "videos" / "a.mp4"))[1].lstrip("/\\").replace("\\", "/")
    assert names("-", lines=["../a.mp4\n"]) == [expected]


def test_the_archive_is_no_input(tree):
    (tree / "videos" / "out").mkdir()
    (tree / "videos" / "out" / "annotated.mp4").write_bytes(b"x")
    assert "out/annotated.mp4" not in names("videos", out="videos/out")
    assert "out/annotated.mp4" in names("videos", out="elsewhere")


@pytest.mark.skipif(not hasattr(os, "symlink") or sys.platform == "win32", reason="needs symbolic links")
def test_links_are_followed_and_never_round_in_a_circle(tree):
    os.symlink(tree / "videos", tree / "videos" / "cam1" / "loop")
    os.symlink(tree / "videos" / "a.mp4", tree / "videos" / "link.mp4")
    os.symlink(tree / "nothing", tree / "videos" / "broken.mp4")
    os.symlink(tree / "nothing", tree / "videos" / "broken")
    assert {"link.mp4", "broken.mp4"} < set(names("videos"))
    assert len(names("videos")) == 6


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_can_not_be_read_is_told(tree):
    (tree / "videos" / "cam1").chmod(0)
    inputs = Inputs("out")
    assert list(inputs.of(["videos"]))
    assert "can't be read" in inputs.problems[0]


def test_a_folder_that_can_not_be_read_is_told_also_to_root(tree, monkeypatch):
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith("cam1"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    inputs = Inputs("out")
    assert [one.name for one in inputs.of(["videos"])] == ["B.AVI", "a.mp4", "cam2/deep/c.mkv"]
    assert inputs.problems == [f"folder {tree}/videos/cam1 can't be read: Permission denied. Check its permissions."]
    with pytest.raises(ConfigError, match="can't be read: Permission denied"):
        names("videos/cam1")


@pytest.mark.parametrize("argument", ["nothing.mp4", "videos/nothing"])
def test_what_is_not_there(tree, argument):
    with pytest.raises(ConfigError, match=r"no such file or folder. Expected videos, folders, globs"):
        names(argument)


def test_a_list_that_is_no_list(tree):
    (tree / "bad.txt").write_bytes(b"a\0b\n")
    with pytest.raises(ConfigError, match=r"bad.txt, line 1: no path"):
        names("bad.txt")


def test_addresses_where_they_are_not_read(tree):
    with pytest.raises(ConfigError, match="addresses are not read here"):
        names("s3://bucket/a.mp4")


@pytest.mark.parametrize(
    ("path", "name"), [("a/b.mp4", "a/b.mp4"), ("../../etc/b", "etc/b"), ("/", "video"), ("a\nb.mp4", "a\\x0ab.mp4")]
)
def test_names_stay_inside_the_archive(path, name):
    assert archive_name(path) == name
