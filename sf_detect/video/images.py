"""A folder of images as a video."""

from __future__ import annotations

import re
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from sf_detect.errors import DecodeError, SourceOpenError
from sf_detect.file_names import printable_name
from sf_detect.structures import Frame, UInt8Array, VideoInfo
from sf_detect.video.base import BaseSource
from sf_detect.video.camera import quiet_opencv
from sf_detect.video.diagnosis import missing_message

IMAGE_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
DEFAULT_FPS = Fraction(25)


class ImageFolderSource(BaseSource):
    """Images of a folder in natural order (img2 before img10), at a constant rate. Every iteration starts over.

    EXIF orientation is applied. An image that cannot be read is counted in `decode_errors`; its slot in time stays
    empty, so the ones behind it keep their times. All images must have the first one's size, because boxes are in
    pixels of the source; a different one ends the iteration with an error that names it.

    Args:
        path: The folder; subfolders and other files are ignored.
        fps: Images per second, 25 where None.

    Raises:
        SourceOpenError: Missing, not a folder, or without images.
        DecodeError: No image can be read.
    """

    def __init__(self, path: str | Path, fps: Fraction | None = None) -> None:
        self.path = Path(path)
        rate = DEFAULT_FPS if fps is None else Fraction(fps)
        if rate <= 0:
            raise SourceOpenError(f"{path}: got {rate} images per second. Expected a positive rate, such as 25.")
        self._files = _list_images(self.path)
        first = self._first_image()
        self.info = VideoInfo(
            width=first.shape[1],
            height=first.shape[0],
            fps=rate,
            num_frames=len(self._files),
            name=printable_name(self.path.resolve().name) or "images",
            duration=float(len(self._files) / rate),
        )

    def _first_image(self) -> UInt8Array:
        for file in self._files:
            image = read_image(file)
            if image is not None:
                return image
        raise DecodeError(
            f"{self.path}: none of its {len(self._files)} images can be read, starting with {self._files[0].name}. "
            "Expected intact images; fetch or export them again."
        )

    def _frames(self) -> Generator[Frame, None, None]:
        assert self.info.fps is not None
        self.decode_errors = 0
        for position, file in enumerate(self._files):
            image = read_image(file)
            if image is None:
                self.decode_errors += 1
                continue
            if image.shape[:2] != (self.info.height, self.info.width):
                raise DecodeError(
                    f"{file} is {image.shape[1]}x{image.shape[0]}. Expected {self.info.width}x{self.info.height}, the "
                    "size of the first image; remove it or resize it."
                )
            yield Frame(image, position - self.decode_errors, float(position / self.info.fps))


def read_image(path: Path) -> UInt8Array | None:
    """The image as (H, W, 3) uint8 RGB, or None where it cannot be read."""
    try:
        data = np.fromfile(path, np.uint8)
        with quiet_opencv():
            image = cv2.imdecode(data, cv2.IMREAD_COLOR) if data.size else None
    except (OSError, cv2.error):
        return None
    return None if image is None else np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def natural_key(name: str) -> list[tuple[int, int, str]]:
    """Sorting key under which numbers inside `name` compare by value."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part.casefold()) for part in re.split(r"(\d+)", name)]


def _list_images(path: Path) -> list[Path]:
    if not path.exists():
        raise SourceOpenError(missing_message(path))
    if not path.is_dir():
        raise SourceOpenError(f"{path} is a file. Expected a folder of images; a video file is opened with FileSource.")
    try:
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    except OSError as error:
        raise SourceOpenError(f"{path} cannot be listed ({error.strerror}). Expected a readable folder.") from error
    images = [entry for entry in entries if entry.suffix.lower() in IMAGE_SUFFIXES]
    if not images:
        raise SourceOpenError(
            f"{path} is a folder without images ({len(entries)} other entries). Expected files ending in "
            f"{', '.join(sorted(IMAGE_SUFFIXES))}; for a video, name the file itself."
        )
    return sorted(images, key=lambda file: (natural_key(file.stem), file.name))
