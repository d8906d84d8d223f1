import os

import pytest

from sf_detect.file_names import MAX_BYTES, inner_path, printable, printable_name, shortened


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("café 語.mp4", "café 語.mp4"),
        ("caf\udce9", "caf\\xe9"),
        ("\ud800", "\\ud800"),
        ("a\x1b[2Jb\x07\x9b", "a\\x1b[2Jb\\x07\\x9b"),
        ("a\nb\tc", "a\nb\tc"),
    ],
)
def test_printable(text, shown):
    assert printable(text) == shown
    printable(text).encode()


def test_names_are_one_line():
    assert printable_name("a\nb\tc\u2028\r") == "a\\x0ab\\x09c\\u2028\\x0d"


@pytest.mark.parametrize("stem", ["n" * 400, "語" * 80 + "x" * 20, "é" * 200, "🙂" * 64, "caf\udce9" * 80])
def test_shortened_names_fit_and_stay_whole_characters(stem):
    name = shortened(stem, "_actions.mp4")
    assert len(os.fsencode(name)) <= MAX_BYTES
    assert name.endswith("_actions.mp4")
    kept = name[: -len("_actions.mp4") - 9]
    assert stem.startswith(kept)
    assert len(os.fsencode(kept)) > MAX_BYTES - 40


def test_short_names_stay_and_long_ones_stay_different():
    assert shortened("a" * 251, ".mp4") == "a" * 251 + ".mp4"
    assert shortened("a" * 260, ".mp4") != shortened("a" * 261, ".mp4")


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("cam1/door.mp4", "cam1/door.mp4"),
        ("/etc/passwd", "etc/passwd"),
        ("../../x", "x"),
        ("a/./b//c/..", "a/b/c"),
        ("C:\\Users\\x", "C:/Users/x"),
        ("..", "video"),
        ("", "video"),
        ("a\nb/c", "a\\x0ab/c"),
    ],
)
def test_inner_paths_stay_below_any_folder(name, path):
    assert inner_path(name) == path
