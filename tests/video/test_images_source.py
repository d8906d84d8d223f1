from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np
import pytest

from sf_detect.errors import DecodeError, SourceOpenError
from sf_detect.video import ImageFolderSource
from synthetic_video import index_image, read_index


def fill(folder: Path, names: list[str]) -> Path:
    for index, name in enumerate(names):
        assert cv2.imwrite(str(folder / name), index_image(index))
    return folder


def test_numbers_sort_by_value(tmp_path: Path) -> None:
    with ImageFolderSource(fill(tmp_path, ["img1.png", "img2.png", "img10.png", "img100.png"])) as source:
        assert [read_index(frame.image) for frame in source] == [0, 1, 2, 3]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".JPEG", ".bmp", ".webp", ".tif", ".tiff"])
def test_formats(tmp_path: Path, suffix: str) -> None:
    with ImageFolderSource(fill(tmp_path, [f"{index:03d}{suffix}" for index in range(3)])) as source:
        assert [read_index(frame.image) for frame in source] == [0, 1, 2]


def test_rate(tmp_path: Path) -> None:
    fill(tmp_path, ["a.png", "b.png", "c.png"])
    with ImageFolderSource(tmp_path, Fraction(10)) as source:
        assert [frame.pts for frame in source] == pytest.approx([0.0, 0.1, 0.2])
        assert (source.info.fps, source.info.num_frames, source.info.duration) == (10, 3, pytest.approx(0.3))
    with ImageFolderSource(tmp_path) as source:
        assert source.info.fps == 25
    with pytest.raises(SourceOpenError, match=r"got 0 images per second\. Expected a positive rate"):
        ImageFolderSource(tmp_path, Fraction(0))


def test_other_files_and_hidden_files_are_ignored(tmp_path: Path) -> None:
    fill(tmp_path, ["a.png", "b.png"])
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "._a.png").write_text("x")
    (tmp_path / "more").mkdir()
    with ImageFolderSource(tmp_path) as source:
        assert source.info.num_frames == 2


def test_unreadable_images_are_counted_and_keep_their_slot(tmp_path: Path) -> None:
    fill(tmp_path, ["a.png", "b.png", "c.png", "d.png"])
    (tmp_path / "b.png").write_bytes(b"not a picture")
    (tmp_path / "c.png").write_bytes(b"")
    with ImageFolderSource(tmp_path, Fraction(10)) as source:
        for _ in range(2):
            frames = list(source)
            assert source.decode_errors == 2
    assert [read_index(frame.image) for frame in frames] == [0, 3]
    assert [frame.index for frame in frames] == [0, 1]
    assert [frame.pts for frame in frames] == pytest.approx([0.0, 0.3])


def test_grey_and_16_bit_images(tmp_path: Path) -> None:
    grey = index_image(5)[:, :, 0]
    cv2.imwrite(str(tmp_path / "a.png"), grey)
    cv2.imwrite(str(tmp_path / "b.png"), grey.astype(np.uint16) * 257)
    with ImageFolderSource(tmp_path) as source:
        assert [read_index(frame.image) for frame in source] == [5, 5]


def test_another_size_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    fill(tmp_path, ["a.png", "b.png"])
    cv2.imwrite(str(tmp_path / "c.png"), index_image(2, (32, 32)))
    with ImageFolderSource(tmp_path) as source:
        frames = iter(source)
        next(frames), next(frames)
        with pytest.raises(DecodeError, match=r"c\.png is 32x32\. Expected 64x48, .* remove it or resize it"):
            next(frames)


def test_no_image_can_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"not a picture")
    with pytest.raises(DecodeError, match=r"none of its 1 images can be read, starting with a\.png\. Expected"):
        ImageFolderSource(tmp_path)


def test_folder_without_images(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    with pytest.raises(SourceOpenError, match=r"is a folder without images \(1 other entries\)\. Expected files"):
        ImageFolderSource(tmp_path)


def test_missing_folder_and_file_in_its_place(tmp_path: Path) -> None:
    (tmp_path / "frames").mkdir()
    with pytest.raises(SourceOpenError, match=r"does not exist\. Did you mean .*frames"):
        ImageFolderSource(tmp_path / "frame")
    (tmp_path / "a.png").touch()
    with pytest.raises(SourceOpenError, match=r"is a file\. Expected a folder of images"):
        ImageFolderSource(tmp_path / "a.png")
