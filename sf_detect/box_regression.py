"""Box regression: a detector's boxes, moved to where a data set's annotators draw theirs.

Detectors are regressed towards the boxes of the data that they were trained on; another data set draws persons
narrower, or only what is in the picture. As the last step of R-CNN does (Girshick et al., CVPR 2014, appendix C), each
edge moves by a share of the box's width or height that is linear in what is known of the box, here its shape, its
score and the picture's edges that it touches. It is fitted with an action model, on the boxes of that model's data, and
travels with its weights.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sf_detect.structures import Detections

FEATURES = 9
_EDGE = 0.02  # share of the picture within which a box touches its edge
_FURTHEST = 0.25  # share of a box by which an edge moves at most: boxes of odd shapes stay boxes


@dataclass(frozen=True, eq=False)
class BoxRegression:
    """Where the edges of a detector's boxes go.

    Attributes:
        detector: Whose boxes it was fitted on, by name.
        weights: (FEATURES, 4) shares of width, height, width and height by which x1, y1, x2 and y2 move.
    """

    detector: str
    weights: npt.NDArray[np.float64]

    def __call__(self, persons: Detections, image_size: tuple[int, int]) -> Detections:
        """The persons with their boxes moved, inside the picture.

        Args:
            persons: Boxes in pixels of the picture.
            image_size: Its height and width.
        """
        if not len(persons):
            return persons
        height, width = image_size
        boxes = persons.boxes.astype(np.float64)
        moves = (_features(persons, image_size) @ self.weights).clip(-_FURTHEST, _FURTHEST)
        moved = (boxes + moves * _sides(boxes)).clip(0, [width, height, width, height])
        return Detections(moved.astype(np.float32), persons.scores, persons.track_ids)

    def fits(self, detector: str) -> bool:
        """Whether it was fitted on this detector's boxes."""
        return self.detector == detector

    @classmethod
    def fit(
        cls, detector: str, examples: Iterable[tuple[Detections, npt.NDArray[np.floating], tuple[int, int]]]
    ) -> BoxRegression:
        """Ridge regression.

        Args:
            detector: Its name.
            examples: Persons of one picture, their true boxes (N, 4), and the picture's height and width.
        """
        features, moves = [np.zeros((0, FEATURES))], [np.zeros((0, 4))]
        for persons, truth, image_size in examples:
            boxes = persons.boxes.astype(np.float64)
            features.append(_features(persons, image_size))
            moves.append((truth - boxes) / _sides(boxes))
        x, y = np.concatenate(features), np.concatenate(moves)
        return cls(detector, np.linalg.solve(x.T @ x + np.eye(FEATURES), x.T @ y))

    def to_json(self) -> str:
        """Text for the metadata of a weights file."""
        return json.dumps({"detector": self.detector, "weights": self.weights.round(5).tolist()})

    @classmethod
    def from_json(cls, text: str) -> BoxRegression:
        """The inverse of `to_json`.

        Raises:
            ValueError: Other text.
        """
        try:
            stated = json.loads(text)
            found = cls(str(stated["detector"]), np.array(stated["weights"], np.float64))
        except (TypeError, KeyError, RecursionError, OverflowError) as error:
            raise ValueError(f"{type(error).__name__}: {error}") from error
        if found.weights.shape != (FEATURES, 4) or not np.isfinite(found.weights).all():
            raise ValueError(f"weights of shape {found.weights.shape}, not all finite numbers of {(FEATURES, 4)}")
        return found


def _sides(boxes: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, 4) width, height, width and height of boxes, at least a pixel."""
    return np.tile((boxes[:, 2:] - boxes[:, :2]).clip(1), 2)


def _features(persons: Detections, image_size: tuple[int, int]) -> npt.NDArray[np.float64]:
    """(N, FEATURES): one, log of width over height and its square, log of the height's share, score, edges touched."""
    height, width = image_size
    boxes = persons.boxes.astype(np.float64)
    x1, y1, x2, y2 = boxes.T
    wide, tall = _sides(boxes)[:, :2].T
    aspect = np.log(wide / tall)
    touched = [x1 < _EDGE * width, x2 > (1 - _EDGE) * width, y1 < _EDGE * height, y2 > (1 - _EDGE) * height]
    columns = [np.ones_like(aspect), aspect, aspect**2, np.log(tall / height), persons.scores, *touched]
    return np.stack(columns, 1).astype(np.float64)
