import numpy as np
import pytest

from sf_detect.rendering.contact_sheet import SheetCell, contact_sheet


def cell(size=(60, 80), strip=3, caption="wave"):
    image = np.full((*size, 3), 200, np.uint8)
    return SheetCell(image, (image,) * strip, caption, "hall at 1 s")


def test_cells_lie_in_rows():
    one = contact_sheet("mine", [cell()], columns=3, width=120)
    four = contact_sheet("mine", [cell()] * 4, columns=3, width=120)
    assert one.dtype == np.uint8
    assert four.shape[1] == one.shape[1] + 2 * 140
    np.testing.assert_array_equal(four[: one.shape[0], : one.shape[1]][60:], one[60:])


def test_pictures_of_any_shape_are_shown_whole():
    for size in ((60, 80), (200, 50), (20, 300)):
        page = contact_sheet("", [cell(size, strip=0)], width=120)
        picture = page[64:154, 20:140]
        height, width = (picture == 200).all(2).any(1).sum(), (picture == 200).all(2).any(0).sum()
        assert max(height / 90, width / 120) == pytest.approx(1, abs=0.02)
        assert width / height == pytest.approx(size[1] / size[0], rel=0.2)


def test_long_text_stays_inside_its_cell():
    short = contact_sheet("t", [cell(caption="x")] * 2, width=120)
    long = contact_sheet("t", [cell(caption="a very long name of an action " * 5), cell(caption="x")], width=120)
    np.testing.assert_array_equal(short[:, 150:], long[:, 150:])


def test_no_cells():
    with pytest.raises(ValueError, match="at least one cell"):
        contact_sheet("t", [])
