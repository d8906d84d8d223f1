"""Arrays out of an `.npz`."""

from pathlib import Path

import numpy as np
import pytest

from sf_detect.evaluation.npz_files import read_npz


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
def test_arrays_are_what_they_were(tmp_path: Path, save) -> None:
    arrays = {
        "text": np.array(["a", "\xe9\u4e2d"]),
        "big": np.arange(4, dtype=">f4"),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "empty": np.zeros((0, 5), np.float16),
        "scalar": np.array(3),
    }
    save(tmp_path / "a.npz", **arrays)
    for got, expected in zip(read_npz(tmp_path / "a.npz", arrays), arrays.values(), strict=True):
        assert (got.dtype, got.shape) == (expected.dtype, expected.shape)
        np.testing.assert_array_equal(got, expected)


def test_refusals_say_why(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", objects=np.array([{}], object), dates=np.zeros(2, "M8[s]"))
    refused = {"none": r"lacks its member none\.npy", "objects": "holds object", "dates": "datetime64"}
    for name, message in refused.items():
        with pytest.raises(ValueError, match=message):
            read_npz(tmp_path / "a.npz", [name])
    for path, message in ((tmp_path, "is no file"), (tmp_path / "gone.npz", "No such file")):
        with pytest.raises(ValueError, match=message):
            read_npz(path, ["a"])
