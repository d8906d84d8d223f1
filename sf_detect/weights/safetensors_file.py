"""Files of safetensors: their tensors, and the text that their header holds beside them."""

from __future__ import annotations

import json
import math
import os
from typing import Any

from sf_detect.errors import WeightsFormatError

_MAX_HEADER = 100_000_000  # the limit of the format


def read_safetensors(path: str | os.PathLike[str], framework: str = "pt") -> tuple[dict[str, Any], dict[str, str]]:
    """Tensors by name, and the metadata.

    Args:
        path: The file.
        framework: "pt" for tensors of torch, "np" for arrays.

    Raises:
        WeightsFormatError: The file is not safetensors, is damaged, or names a tensor twice.
    """
    from safetensors import safe_open

    try:
        _require_distinct(path)
        with safe_open(os.fspath(path), framework=framework) as file:
            metadata = dict(file.metadata() or {})
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 (not a mapping)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # of the Rust library, a panic among them, which is no Exception
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise WeightsFormatError(f"{path} is not readable as safetensors: {reason}") from error


def read_metadata(path: str | os.PathLike[str]) -> dict[str, str]:
    """The text of a header; empty where the file is of another format or not there."""
    from safetensors import safe_open

    try:
        with open(path, "rb") as head:
            if head.read(9)[8:] != b"{":
                return {}
        with safe_open(os.fspath(path), framework="np") as file:
            return dict(file.metadata() or {})
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException:  # whoever loads it says what is wrong
        return {}


def parse_json(text: str) -> Any:
    """JSON without what a header can do harm with: numbers that are not finite, nesting, names that occur twice.

    Raises:
        ValueError: It is malformed, or holds one of these.
    """
    try:
        return json.loads(
            text, parse_constant=_not_finite, parse_float=_finite, object_pairs_hook=_distinct, parse_int=_integer
        )
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _require_distinct(path: str | os.PathLike[str]) -> None:
    """The library takes the last of two tensors of one name."""
    with open(path, "rb") as file:
        size = int.from_bytes(file.read(8), "little")
        if size <= _MAX_HEADER:
            parse_json(file.read(size).decode("utf-8"))


def _not_finite(text: str) -> float:
    raise ValueError(f"{text} where a finite number is expected")


def _finite(text: str) -> float:
    value = float(text)
    return value if math.isfinite(value) else _not_finite(text[:20])


def _integer(text: str) -> int:
    value = int(text) if len(text) < 20 else 1 << 64
    return value if -(1 << 63) <= value < 1 << 63 else int(_not_finite(f"{text[:20]}..."))


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{next(n for n in names if names.count(n) > 1)[:80]!r} occurs twice")
    return found
