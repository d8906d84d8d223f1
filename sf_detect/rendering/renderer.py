"""The renderer: one `FrameResult` in, one annotated picture out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sf_detect import boxes as box_math
from sf_detect.errors import ConfigError
from sf_detect.matching import match_actions
from sf_detect.picture_buffers import PictureBuffers
from sf_detect.rendering.anonymise import anonymise, head_boxes
from sf_detect.rendering.layout import LabelLayout, LabelRequest
from sf_detect.rendering.outlines import draw_outline
from sf_detect.rendering.plates import PlatePainter, Row
from sf_detect.rendering.raster import Rect, paste
from sf_detect.rendering.skeleton import draw_skeleton
from sf_detect.rendering.style import (
    Color,
    RenderStyle,
    class_thresholds,
    font_size,
    label_colors,
    line_thickness,
    track_color,
)
from sf_detect.rendering.text import TextPainter
from sf_detect.structures import FloatArray, FrameResult, UInt8Array
from sf_detect.thresholds import ACTION
from sf_detect.thresholds import shown as shown_labels

MAX_PLATE_WIDTH = 0.45  # of the frame's width
MAX_ROWS_OF_FRAME = 0.3  # of the frame's height
MAX_ROWS_OF_BOX = 0.5  # of the box's height
NARROW = 24  # text sizes; a frame this narrow has no room for percentages


class Renderer:
    """Draws boxes, actions and a status line.

    It remembers where each track's label was, so that labels stay put: use one renderer per video, or `reset` it.

    Args:
        labels: The C action names of the model, in the order of its scores.
        style: What to show.
        thresholds: (C,) per-class thresholds that came with the model, used unless the style sets its own.
        groups: C groups of the labels: of somebody who acts no posture is shown. Empty: all are actions.

    Raises:
        UnknownNameError: The style names a label that is not in `labels`.
        ConfigError: The thresholds do not fit the labels, or the font cannot be read.
    """

    def __init__(
        self,
        labels: Sequence[str],
        style: RenderStyle | None = None,
        thresholds: npt.ArrayLike | None = None,
        groups: Sequence[str] = (),
    ) -> None:
        self.labels, self._groups = list(labels), tuple(groups) or (ACTION,) * len(labels)
        self.style = style or RenderStyle()
        self._thresholds = class_thresholds(self.style, self.labels, thresholds)
        self._colors = label_colors(self.style, self.labels)
        self._text = TextPainter(self.style.font)
        self._layout = LabelLayout()
        self._buffers = PictureBuffers()
        self._plates: PlatePainter | None = None
        self._image_size = (0, 0)

    def reset(self) -> None:
        """Forgets where labels were, before another video."""
        self._layout.reset()

    def __call__(self, result: FrameResult, status: str | None = None) -> UInt8Array:
        """The annotated picture.

        Args:
            result: What is known about the frame; its image is not changed.
            status: Status line; None writes time and number of persons. `RenderStyle.show_status` False
                shows neither.

        Returns:
            (H, W, 3) uint8 RGB, a new array.

        Raises:
            ConfigError: The result's scores do not have one column per label.
        """
        image = self._buffers.copy(result.frame.image)
        plates = self._plates_for(result.frame.size)
        boxes = result.persons.boxes
        boxes = np.where(np.isfinite(boxes).all(axis=1, keepdims=True), boxes, 0)
        if self.style.anonymise is not None:
            anonymise(image, boxes, self.style.anonymise, result.persons.keypoints)
        best = self._best_of(result)
        rows = [tuple(self._row(i, score) for i, score in some) for some in best]
        ids = _ids(result)
        colors = [self._color(track, some) for track, some in zip(ids, best, strict=True)]
        visible = np.flatnonzero(box_math.area(box_math.clip(boxes, result.frame.size)) > 0).tolist()
        acts = [any(self._groups[label] == ACTION for label, _ in some) for some in best]
        shown = [i for i in visible if acts[i] or not self.style.hide_idle]
        thickness = line_thickness(result.frame.size, self.style)
        for i in sorted(shown, key=lambda i: acts[i]):  # persons who act lie on top
            draw_outline(image, boxes[i], colors[i], thickness, active=acts[i])
            if self.style.skeleton and result.persons.keypoints is not None:
                draw_skeleton(image, result.persons.keypoints, i, colors[i], thickness)
        reserved = self._draw_status(image, plates, result, status)
        self._draw_labels(image, plates, boxes, shown, ids, rows, colors, reserved)
        return image

    def _plates_for(self, image_size: tuple[int, int]) -> PlatePainter:
        if self._plates is None or image_size != self._image_size:
            size = font_size(image_size, self.style.font_scale)
            self._plates = PlatePainter(self._text, size, max(4 * size, int(MAX_PLATE_WIDTH * image_size[1])))
            self._image_size = image_size
        return self._plates

    def _best_of(self, result: FrameResult) -> list[list[tuple[int, float]]]:
        """Per person the classes to print and their scores: the best over their threshold, best first."""
        if result.actions is None or not len(result.persons):
            return [[] for _ in range(len(result.persons))]
        scores = result.actions.scores
        if scores.shape[1] != len(self.labels):
            raise ConfigError(
                f"the renderer was given {len(self.labels)} labels, but the result scores {scores.shape[1]} classes. "
                "Give it the labels of the model that made the result."
            )
        return [[] if row < 0 else self._best(scores[row]) for row in match_actions(result)]

    def _best(self, scores: npt.NDArray[np.float32]) -> list[tuple[int, float]]:
        over = np.flatnonzero(shown_labels(scores[None], self._thresholds, self._groups)[0])
        best = over[np.argsort(-scores[over], kind="stable")][: self.style.top_k]
        return [(int(i), float(scores[i])) for i in best]

    def _row(self, label: int, score: float) -> Row:
        return Row(self.labels[label], None if self.style.hide_scores else min(100, round(100 * score)))

    def _color(self, track: int | None, best: Sequence[tuple[int, float]]) -> Color:
        """Of a person's box and label: that of the best action where the style gives it one, else the track's."""
        return self._colors.get(best[0][0], track_color(track)) if best else track_color(track)

    def _draw_status(
        self, image: UInt8Array, plates: PlatePainter, result: FrameResult, status: str | None
    ) -> list[Rect]:
        text = status_line(result) if status is None else status
        if not self.style.show_status or not text:
            return []
        plate = plates.status(text)
        margin = plates.font_size // 2
        x, y = margin, image.shape[0] - plate.size[1] - margin
        paste(image, plate, x, y)
        return [(x, y, x + plate.size[0], y + plate.size[1])]

    def _draw_labels(
        self,
        image: UInt8Array,
        plates: PlatePainter,
        boxes: FloatArray,
        shown: Sequence[int],
        ids: Sequence[int | None],
        rows: Sequence[tuple[Row, ...]],
        colors: Sequence[Color],
        reserved: Sequence[Rect],
    ) -> None:
        versions = {i: self._versions(plates, boxes[i], rows[i]) for i in shown}
        names = ["" if i is None or not self.style.show_track_ids else str(i) for i in ids]
        requests = []
        for i in shown:
            sizes = [plates.actions_size(some, names[i], compact) for some, compact in versions[i]]
            sizes += [plates.tag_size(names[i])] if names[i] else []
            requests += [LabelRequest(i, ids[i], sizes)] if sizes else []
        gap = max(2, plates.font_size // 5)
        size = (image.shape[0], image.shape[1])
        placed = self._layout.place(requests, boxes, head_boxes(boxes), reserved, size, gap)
        for request, place in zip(requests, placed, strict=True):
            if place is None:
                continue
            person = request.person
            if place.level < len(versions[person]):
                some, compact = versions[person][place.level]
                plate = plates.actions(some, names[person], colors[person], compact)
            else:
                plate = plates.tag(names[person], colors[person])
            paste(image, plate, place.x, place.y)

    def _versions(
        self, plates: PlatePainter, box: FloatArray, rows: tuple[Row, ...]
    ) -> list[tuple[tuple[Row, ...], bool]]:
        """The rows of a person's label and whether without percentages, the richest that suits frame and box first."""
        if not rows:
            return []
        height = min(MAX_ROWS_OF_FRAME * self._image_size[0], MAX_ROWS_OF_BOX * float(box[3] - box[1]))
        most = min(len(rows), max(1, int(height / plates.row_height)))
        narrow = self._image_size[1] < NARROW * plates.font_size
        versions = [(rows[:count], narrow) for count in range(most, 0, -1)]
        return versions if narrow or rows[0].percent is None else [*versions, (rows[:1], True)]


def status_line(result: FrameResult) -> str:
    """Time and number of persons: "00:12.4  3 persons"."""
    tenths = int(max(result.frame.pts, 0) * 10 + 1e-6)
    minutes, rest = divmod(tenths, 600)
    clock = f"{minutes // 60}:{minutes % 60:02d}" if minutes >= 60 else f"{minutes:02d}"
    count = len(result.persons)
    return f"{clock}:{rest // 10:02d}.{rest % 10}  {count} person{'' if count == 1 else 's'}"


def _ids(result: FrameResult) -> list[int | None]:
    track_ids = result.persons.track_ids
    return [None] * len(result.persons) if track_ids is None else [int(i) for i in track_ids]
