"""What a user can choose about the picture, checked against the label set."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.errors import ConfigError
from sf_detect.thresholds import check_thresholds, decision_thresholds, label_positions

ANONYMISE = ("head", "person")

Color = tuple[int, int, int]

# Eight colours of medium to high lightness, found by a max-min search in OKLab over normal vision and simulated
# protanopia, deuteranopia and tritanopia; tests/rendering/test_style.py holds the distances. Order: neighbours differ.
TRACK_COLORS: tuple[Color, ...] = (
    (0x55, 0xAE, 0xE8),
    (0xF4, 0x6C, 0x38),
    (0xCF, 0xEF, 0x54),
    (0xC9, 0x6D, 0xAD),
    (0x04, 0xE1, 0xB1),
    (0xF2, 0xB3, 0x66),
    (0xFA, 0xBD, 0xF4),
    (0x63, 0xA4, 0x71),
)


@dataclass(frozen=True)
class RenderStyle:
    """Options of the renderer. Label names are those of the model, underscores as they are there.

    Attributes:
        top_k: Most actions shown per person; 0 shows boxes only.
        threshold: Score from which an action is shown. None: the model's own thresholds per class where it has them,
            else 0.3.
        thresholds: Thresholds of single labels by name; they win over everything else.
        labels: Show only these labels; None shows all.
        hide_labels: Never show these labels.
        colors: Colours of single labels, "#rrggbb": of the box and label of a person whose best action it is.
        hide_idle: Draw no box for persons without an action to show.
        hide_scores: Show label names without percentages and bars.
        show_track_ids: Print the track id beside the labels.
        show_status: Print the status line in the lower left corner.
        anonymise: "head" hides the top part of every person, "person" the whole box; None hides nothing. It applies
            to every person of the result, shown or not.
        skeleton: Draw the body landmarks of persons who have some.
        font_scale: Factor on the text size, which otherwise follows the frame size (never below 10 px).
        box_thickness: Pixels of the box outline; None follows the frame size.
        font: A TrueType file to use instead of the bundled Latin font (labels in other scripts need one).
    """

    top_k: int = 3
    threshold: float | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    labels: Sequence[str] | None = None
    hide_labels: Sequence[str] = ()
    colors: Mapping[str, str] = field(default_factory=dict)
    hide_idle: bool = False
    hide_scores: bool = False
    show_track_ids: bool = True
    show_status: bool = True
    anonymise: str | None = None
    font_scale: float = 1.0
    box_thickness: int | None = None
    font: Path | None = None
    skeleton: bool = False

    def __post_init__(self) -> None:
        _require(self.top_k >= 0, f"top_k is 0 or more, got {self.top_k}")
        _require(0.2 <= self.font_scale <= 5, f"font_scale is between 0.2 and 5, got {self.font_scale}")
        _require(
            self.box_thickness is None or self.box_thickness > 0,
            f"box_thickness is a positive number of pixels or None, got {self.box_thickness}",
        )
        _require(
            self.anonymise is None or self.anonymise in ANONYMISE,
            f"anonymise is one of {', '.join(ANONYMISE)} or None, got {self.anonymise!r}",
        )
        check_thresholds(self.threshold, self.thresholds)
        for label, text in self.colors.items():
            _require(
                re.fullmatch(r"#[0-9a-fA-F]{6}", text) is not None,
                f"the colour of {label} is #rrggbb, such as #ff8800, got {text!r}",
            )


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise ConfigError(f"render style: {message}.")


def class_thresholds(
    style: RenderStyle, labels: Sequence[str], model_thresholds: npt.ArrayLike | None = None
) -> npt.NDArray[np.float32]:
    """The score from which each class is shown, (C,) float32; infinite for classes that never are.

    Args:
        style: The user's choice.
        labels: The C names of the model.
        model_thresholds: (C,) thresholds that came with the model; they lose against `style.threshold`.

    Raises:
        UnknownNameError: The style names a label the model does not have.
        ConfigError: `model_thresholds` does not have C values.
    """
    values = decision_thresholds(labels, model_thresholds, style.threshold, style.thresholds)
    if style.labels is not None:
        hidden = np.ones(len(labels), bool)
        hidden[label_positions(style.labels, labels)] = False
        values[hidden] = np.inf
    values[label_positions(style.hide_labels, labels)] = np.inf
    return values


def label_colors(style: RenderStyle, labels: Sequence[str]) -> dict[int, Color]:
    """The colours that the style gives to single classes, by position.

    Raises:
        UnknownNameError: It names a label the model does not have.
    """
    positions = label_positions(style.colors, labels)
    channels = [bytes.fromhex(text[1:]) for text in style.colors.values()]
    return {i: (c[0], c[1], c[2]) for i, c in zip(positions, channels, strict=True)}


def font_size(image_size: tuple[int, int], scale: float = 1.0) -> int:
    """Text height in pixels for a frame of (height, width): 13 at 640x480, 26 at 1080p, 43 at 4K, at least 10.

    It grows a little slower than the frame's side: larger frames are watched on larger screens.
    """
    height, width = image_size
    unit = (height * width / (640 * 480)) ** 0.5
    return max(10, round(13 * unit**0.73 * scale))


def line_thickness(image_size: tuple[int, int], style: RenderStyle) -> int:
    """Pixels of a box outline in a frame of (height, width)."""
    if style.box_thickness is not None:
        return style.box_thickness
    return max(2, round(font_size(image_size) / 8))


def track_color(track_id: int | None) -> Color:
    """The colour of a track: the same for the same id, wherever and whenever it appears."""
    return TRACK_COLORS[0 if track_id is None else track_id % len(TRACK_COLORS)]
