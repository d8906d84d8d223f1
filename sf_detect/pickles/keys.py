"""Keys of dicts and items of sets in a pickle: plain values of bounded size.

Python hashes a tuple by hashing what is in it, without looking at the depth: one that is nested often enough overflows
the C stack, one that refers to itself twice on each level takes for ever, and integers can be chosen to collide.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable
from typing import Any

import numpy as np

_MAX_KEY_VALUES = 1000
_KEY_INTEGERS = (-(1 << 63), 1 << 64)


def set_items(target: dict[Any, Any], items: list[Any]) -> None:
    """Puts keys and values, one after the other, into a dict.

    Raises:
        pickle.UnpicklingError: A key is no plain value, or occurs twice.
    """
    if len(items) % 2:
        raise pickle.UnpicklingError("a key without a value")
    for key, value in zip(items[::2], items[1::2], strict=True):
        if checked_key(key) in target:
            raise pickle.UnpicklingError(f"the key {str(key)[:80]!r} occurs twice in one dict")
        target[key] = value


def checked_key(key: Any) -> Any:
    """A key of a dict or an item of a set, if it is a plain value.

    Raises:
        pickle.UnpicklingError: It is something else.
    """
    if type(key) is not str:
        _check_key([key])
    return key


def _check_key(pending: list[Any]) -> None:
    seen = 0
    while pending:
        item = pending.pop()
        seen += 1
        if isinstance(item, tuple):
            pending.extend(item)
        elif isinstance(item, int):
            if not _KEY_INTEGERS[0] <= item < _KEY_INTEGERS[1]:
                raise pickle.UnpicklingError("an integer of more than 64 bits as a key")
        elif not isinstance(item, (str, bytes, float, complex, np.generic, type(None))):
            raise pickle.UnpicklingError(f"{type(item).__name__} as a key")
        if seen + len(pending) > _MAX_KEY_VALUES:
            raise pickle.UnpicklingError(f"a key of more than {_MAX_KEY_VALUES} values")


def pairs_of(items: Iterable[Any] = ()) -> dict[Any, Any]:
    """A dict of pairs, as old pickles give them to `OrderedDict`."""
    flat = list(items.items() if isinstance(items, dict) else items)
    if not all(isinstance(pair, (tuple, list)) and len(pair) == 2 for pair in flat):
        raise pickle.UnpicklingError("a dict of other things than pairs")
    found: dict[Any, Any] = {}
    set_items(found, [part for pair in flat for part in pair])
    return found
