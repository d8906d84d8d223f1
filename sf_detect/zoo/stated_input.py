"""The input that a trained file states: every number is checked before a clip or a network of that size is made."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

from sf_detect.labels import LabelMap
from sf_detect.structures import ClipSpec
from sf_detect.zoo.entry import ZooEntry

_MAX_SIDE, _MAX_VALUES = 4096, 1 << 27
_MAX_OPTION, _MAX_DEPTH, _MAX_OPTION_VALUES = 4096, 64, 256
_LEAST_STD, _MAX_PIXEL = 1e-4, 1e4
_MAX_CLASSES = 100_000


def stated_entry(base: ZooEntry, stated: Mapping[str, Any]) -> ZooEntry:
    """An entry of the zoo with the input that a file states.

    Raises:
        KeyError, TypeError, ValueError, ConfigError: Something is missing, of another kind or out of range.
    """
    spec = ClipSpec(
        whole(stated, "num_frames"),
        whole(stated, "sampling_rate"),
        Fraction(number(stated["fps"], "fps", 1e-3, 1e4)).limit_denominator(1001),
        stated["keyframe"],
    )
    alpha = None if stated["alpha"] is None else whole(stated, "alpha")
    short_side = whole(stated, "short_side")
    if spec.num_frames * short_side**2 > _MAX_VALUES:
        raise ValueError(f"num_frames={spec.num_frames} pictures of short_side={short_side} are too large a clip")
    own = replace(
        base,
        clip_spec=spec,
        alpha=alpha,
        slow_index_rule=stated["slow_index_rule"],
        short_side=short_side,
        mean=_colour(stated["mean"], "mean", -_MAX_PIXEL),
        std=_colour(stated["std"], "std", _LEAST_STD),
        channel_order=_one_of(stated["channel_order"], "channel_order", ("rgb", "bgr")),
        activation=_one_of(stated["activation"], "activation", ("softmax", "sigmoid", "softmax_or_none")),
        crop=_crop(base, stated, short_side),
        whole_video=_truth(stated.get("whole_video", base.whole_video), "whole_video"),
        view_scores=_one_of(stated.get("view_scores", base.view_scores), "view_scores", ("mean", "max")),
    )
    _ = own.slow_index  # a rule that is not known, or clips that the ratio does not divide
    return own


def stated_labels(names: Any, ids: Any) -> LabelMap:
    """The classes.

    Raises:
        ValueError, ConfigError: They are not text and whole numbers, as many and distinct.
    """
    if not isinstance(names, list) or not isinstance(ids, list) or not 0 < len(names) <= _MAX_CLASSES:
        raise ValueError("labels and label_ids are lists of the classes")
    if not all(isinstance(name, str) for name in names) or not all(type(i) is int for i in ids):
        raise ValueError("labels are text and label_ids whole numbers")
    return LabelMap.of_file(tuple(names), tuple(ids))  # earlier versions counted from 0


def stated_options(options: Any) -> dict[str, Any]:
    """Options of a network's builder, none of which asks for a network that no file holds.

    Raises:
        ValueError: They are not an object of plain values, or out of range.
    """
    if not isinstance(options, dict):
        raise ValueError(f"options are an object, got {type(options).__name__}")
    count = 0
    pending: list[tuple[str, Any]] = list(options.items())
    while pending:
        name, value = pending.pop()
        count += 1
        if isinstance(value, (list, dict)):
            pending.extend((name, item) for item in (value.values() if isinstance(value, dict) else value))
        elif isinstance(value, (int, float)):
            number(value, f"option {name}", -_MAX_OPTION, _MAX_DEPTH if name == "depth" else _MAX_OPTION)
        if count + len(pending) > _MAX_OPTION_VALUES:
            raise ValueError(f"options of more than {_MAX_OPTION_VALUES} values")
    return {key: tuple(value) if isinstance(value, list) else value for key, value in options.items()}


def number(value: Any, name: str, least: float, largest: float) -> float:
    """A finite number in a range.

    Raises:
        ValueError: It is none.
    """
    if not isinstance(value, (int, float)) or not math.isfinite(value) or not least <= value <= largest:
        raise ValueError(f"{name} is a number from {least:g} to {largest:g}, got {str(value)[:40]}")
    return float(value)


def whole(stated: Mapping[str, Any], name: str) -> int:
    """A whole number that a size can have.

    Raises:
        ValueError: It is none.
    """
    value = stated[name]
    if number(value, name, 1, _MAX_SIDE) != int(value):
        raise ValueError(f"{name} is a whole number, got {value}")
    return int(value)


def _colour(values: Any, name: str, least: float) -> tuple[float, float, float]:
    if not isinstance(values, Sequence) or isinstance(values, str) or len(values) != 3:
        raise ValueError(f"{name} is one number for each of three channels")
    red, green, blue = (number(value, name, least, _MAX_PIXEL) for value in values)
    return red, green, blue


def _one_of(value: Any, name: str, known: Sequence[str]) -> str:
    if value not in known:
        raise ValueError(f"{name} is one of {', '.join(known)}, got {str(value)[:40]!r}")
    return str(value)


def _truth(value: Any, name: str) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"{name} is true or false, got {str(value)[:40]!r}")
    return value


def _crop(base: ZooEntry, stated: Mapping[str, Any], short_side: int) -> int | None:
    """Side of a classifier's squares, which can't be larger than the pictures that they are cut out of."""
    if "crop" in stated:
        return whole(stated, "crop")
    return None if base.crop is None else min(base.crop, short_side)
