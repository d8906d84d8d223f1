"""Memory of pictures circulates, and never while somebody looks at it."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from sf_detect import picture_buffers
from sf_detect.picture_buffers import PictureBuffers

SHAPE = (4, 6, 3)

counted = pytest.mark.skipif(not picture_buffers._UNSHARED, reason="this interpreter does not count references exactly")


def address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


@counted
def test_what_nobody_holds_is_used_again() -> None:
    buffers = PictureBuffers()
    places = set()
    for _ in range(10):
        places.add(address(buffers.empty(SHAPE)))
    assert len(places) == 1


def test_what_somebody_holds_is_not() -> None:
    buffers = PictureBuffers()
    held = [buffers.empty(SHAPE) for _ in range(5)]
    for i, array in enumerate(held):
        array[:] = i
    assert len({address(array) for array in held}) == 5
    buffers.empty(SHAPE)[:] = 99
    assert [int(array.max()) for array in held] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    "look",
    [
        lambda array: array[1:, ::2],
        lambda array: array[1:][:, 2:],
        memoryview,
        lambda array: memoryview(array[2:]),
        lambda array: array.T,
        lambda array: [array],
        lambda array: np.asarray(array).view(np.int8),
    ],
    ids=["part", "part of a part", "buffer", "buffer of a part", "transposed", "list", "other type"],
)
def test_a_view_holds_it_too(look) -> None:
    buffers = PictureBuffers()
    array = buffers.empty(SHAPE)
    place, seen = address(array), look(array)
    del array
    assert address(buffers.empty(SHAPE)) != place
    del seen
    if picture_buffers._UNSHARED:
        assert place in {address(a) for a in [buffers.empty(SHAPE), buffers.empty(SHAPE)]}


def test_a_tensor_of_torch_holds_it_too() -> None:
    torch = pytest.importorskip("torch")
    buffers = PictureBuffers()
    place = address(array := buffers.empty(SHAPE))
    tensor = torch.from_numpy(array)[1:]
    del array
    assert address(buffers.empty(SHAPE)) != place
    assert tensor.shape == (3, 6, 3)


def test_another_size_takes_other_memory() -> None:
    buffers = PictureBuffers()
    first = buffers.empty(SHAPE)
    first[:] = 1
    assert buffers.empty((2, 2, 3)).shape == (2, 2, 3)
    again = buffers.empty(SHAPE)
    again[:] = 2
    assert first.max() == 1


def test_what_is_kept_is_bounded() -> None:
    buffers = PictureBuffers(most_bytes=2 * 4 * 6 * 3)
    held = [buffers.empty(SHAPE) for _ in range(5)]
    assert len(buffers._arrays) <= 2
    assert len({address(array) for array in held}) == 5


def test_a_copy() -> None:
    picture = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    copy = PictureBuffers().copy(picture[:, ::-1])
    np.testing.assert_array_equal(copy, picture[:, ::-1])
    assert copy.flags.c_contiguous
    assert not np.shares_memory(copy, picture)


def test_interpreters_that_count_otherwise_get_new_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    assert picture_buffers._count_when_unshared() == 0
    monkeypatch.delattr(sys, "getrefcount")
    assert picture_buffers._count_when_unshared() == 0
    monkeypatch.setattr(picture_buffers, "_UNSHARED", 0)
    buffers = PictureBuffers()
    buffers.empty(SHAPE)
    assert buffers._arrays == []
