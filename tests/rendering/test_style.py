import numpy as np
import pytest

from sf_detect.rendering.plates import CACHE_BYTES, PlatePainter, Row
from sf_detect.rendering.raster import Plate, paste
from sf_detect.rendering.style import TRACK_COLORS, font_size, track_color
from sf_detect.rendering.text import TextPainter

# Simulated dichromacy in linear RGB (Machado et al. 2009, severity 1).
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]],
}
LMS = [[0.4122214708, 0.5363325363, 0.0514459929], [0.2119034982, 0.6806995451, 0.1073969566]]
LMS += [[0.0883024619, 0.2817188376, 0.6299787005]]
LAB = [[0.2104542553, 0.7936177850, -0.0040720468], [1.9779984951, -2.4285922050, 0.4505937099]]
LAB += [[0.0259040371, 0.7827717662, -0.8086757660]]


def oklab(linear):
    return np.cbrt(linear @ np.transpose(LMS)) @ np.transpose(LAB)


def linear_colors():
    srgb = np.array(TRACK_COLORS) / 255
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def test_track_colours_can_be_told_apart_by_everyone():
    for name, matrix in VISION.items():
        lab = oklab(np.clip(linear_colors() @ np.transpose(matrix), 0, 1))
        distance = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 9 * np.eye(len(lab))
        assert distance.min() > (0.15 if name == "normal" else 0.075), name


def test_track_colours_stand_out_from_the_dark_plate():
    assert oklab(linear_colors())[:, 0].min() > 0.6


def test_track_colour_depends_on_the_id_alone():
    assert track_color(3) == track_color(3 + len(TRACK_COLORS)) != track_color(4)
    assert track_color(None) == TRACK_COLORS[0]


def test_text_grows_with_the_frame_and_never_gets_unreadable():
    sizes = [font_size((h, w)) for w, h in ((176, 144), (320, 240), (640, 480), (1920, 1080), (3840, 2160))]
    assert sizes == [10, 10, 13, 26, 43]
    assert font_size((480, 640), 0.2) == 10


def test_text_is_shortened_to_fit():
    painter = TextPainter()
    text = "talk to (e.g., self, a person, a group)"
    short = painter.fit(text, 13, 100)
    assert short.endswith("…")
    assert text.startswith(short[:-1])
    assert painter.width(short, 13) <= 100
    assert painter.fit("run", 13, 100) == "run"
    assert painter.fit("run", 13, 1) == "…"


def test_text_that_the_font_lacks():
    painter = TextPainter()
    assert painter.printable("carry_hold\n") == "carry hold "
    assert painter.printable("Größe ändern") == "Grosse andern"
    assert painter.printable("走る") == "??"
    assert painter.mask("", 13).shape == (16, 0)


@pytest.mark.parametrize("text", ["", "walk 12", "ligature fi: 00:12.4", "ß_é\u0301", "7", "²"])
@pytest.mark.parametrize("size", [9, 16, 40])
def test_text_is_as_wide_as_it_is_measured(text, size):
    painter = TextPainter()
    assert painter.width(text, size) == painter.mask(text, size).shape[1]


def test_digits_have_one_width():
    painter = TextPainter()
    assert len({painter.width(text, 13) for text in ("00:11.1", "00:48.8", "47:00.0")}) == 1


def test_plates_of_one_label_have_one_size_whatever_the_score():
    plates = PlatePainter(TextPainter(), 13, 300)
    sizes = {plates.actions((Row("run", p),), "3", (255, 0, 0)).size for p in (0, 7, 55, 100)}
    assert len(sizes) == 1
    assert plates.actions((Row("run", 7),), "3", (255, 0, 0), compact=True).size < sizes.pop()


def test_plates_are_kept_and_forgotten():
    plates = PlatePainter(TextPainter(), 60, 3000)
    row = (Row("a very long label " * 3, 50),)
    assert plates.actions(row, "1", (255, 0, 0)) is plates.actions(row, "1", (255, 0, 0))
    assert plates.actions(row, "1", (255, 0, 0)) is not plates.actions(row, "1", (0, 255, 0))
    for track in range(60):
        plates.actions(row, str(track), (255, 0, 0))
    assert plates._bytes == sum(plate.nbytes for plate in plates._cache.values()) <= CACHE_BYTES


def test_blending_is_exact_and_cut_to_the_image():
    opaque = Plate.compose(np.ones((4, 6), np.float32), (10, 20, 30), [])
    half = Plate.compose(np.full((4, 6), 0.5, np.float32), (200, 200, 200), [])
    image = np.full((10, 10, 3), 100, np.uint8)
    paste(image, opaque, -3, -2)
    assert (image[:2, :3] == (10, 20, 30)).all()
    assert (image[2:] == 100).all()
    paste(image, half, 7, 8)
    assert np.abs(image[8:, 7:].astype(int) - 150).max() <= 1
    paste(image, half, 50, 50)
    assert (image[2:8] == 100).all()
