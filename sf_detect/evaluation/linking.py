"""Linking boxes of successive frames into tubes, by the two algorithms the field uses.

`link_greedy` is that of ACT and MOC for boxes of single frames: a tube takes the best box that overlaps its last one.
`link_viterbi` is that of YOWO (after Gkioxari and Malik, "Finding Action Tubes", CVPR 2015, sec. 4): the path of
greatest sum of overlaps and scores through all frames, then the next one without its boxes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sf_detect.boxes import iou, nms
from sf_detect.evaluation.tubes import Tube

Scored = tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]
"""(N, 4) boxes and (N,) scores of one class on one frame."""


@dataclass
class _Growing:
    frames: list[int] = field(default_factory=list)
    boxes: list[npt.NDArray[np.float64]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)

    def add(self, frame: int, box: npt.NDArray[np.float64], score: float) -> None:
        self.frames.append(frame)
        self.boxes.append(box)
        self.scores.append(score)

    def mean_score(self) -> float:
        return float(np.mean(self.scores))


def link_greedy(
    video: str,
    label: int,
    frames: Mapping[int, Scored],
    iou_threshold: float = 0.5,
    nms_threshold: float = 0.6,
    top: int = 10,
    patience: int = 1,
    min_score: float = 0.005,
    min_length: int = 15,
    last_pixel: float = 1,
) -> list[Tube]:
    """Tubes of one class in one video, growing frame by frame (ACT, MOC with tubelets of one frame).

    On each frame, tubes choose in the order of their mean score: the best-scored box that overlaps the last box of the
    tube by `iou_threshold`. Boxes that nobody chose start tubes.

    Args:
        video, label: Noted in the tubes.
        frames: Boxes and scores by frame number; frames may be missing.
        iou_threshold: Least overlap of a tube's last box with its next.
        nms_threshold: Boxes of a frame that overlap a better one by more are dropped first (MOC 0.6, ACT 0.3).
        top: At most so many boxes of a frame are used.
        patience: A tube that found no box on so many frames ends; gaps are filled by interpolation.
        min_score: Tubes with a lesser mean score are dropped.
        min_length: Shorter tubes are dropped, in frames.
        last_pixel: 1 for boxes of inclusive pixel indices, 0 for continuous ones.
    """
    done: list[_Growing] = []
    growing: list[_Growing] = []
    edge = np.array([0, 0, last_pixel, last_pixel])
    for frame in sorted(frames):
        boxes, scores = frames[frame]
        kept = nms(boxes + edge, scores, nms_threshold)[:top]
        free = list(range(len(kept)))
        boxes, scores = boxes[kept], scores[kept]
        growing.sort(key=lambda tube: -tube.mean_score())
        still: list[_Growing] = []
        for tube in growing:
            overlap = iou(tube.boxes[-1][None] + edge, boxes[free] + edge)[0] if free else np.zeros(0)
            # A tube whose patience ran out before this frame has ended already.
            in_time = frame - tube.frames[-1] <= patience
            fitting = [free[i] for i in np.flatnonzero(overlap >= iou_threshold)] if in_time else []
            if fitting:
                best = max(fitting, key=lambda i: scores[i])
                tube.add(frame, boxes[best], float(scores[best]))
                free.remove(best)
            (still if fitting or frame - tube.frames[-1] < patience else done).append(tube)
        growing = still
        for i in free:
            growing.append(_Growing([frame], [boxes[i]], [float(scores[i])]))
    tubes = [_finished(video, label, tube) for tube in done + growing]
    return [tube for tube in tubes if tube.score >= min_score and len(tube.frames) >= min_length]


def _finished(video: str, label: int, tube: _Growing) -> Tube:
    frames, known = np.arange(tube.frames[0], tube.frames[-1] + 1), np.array(tube.boxes)
    boxes = np.stack([np.interp(frames, tube.frames, known[:, k]) for k in range(4)], axis=1)
    return Tube(video, label, frames, boxes, tube.mean_score())


def link_viterbi(
    video: str, label: int, frames: Mapping[int, Scored], max_tubes: int = 3, product_weight: float = 0.5
) -> list[Tube]:
    """Tubes of one class through all frames of one video (YOWO).

    The strength of a link is the IoU of two boxes, plus the sum of their scores, plus `product_weight` times their
    product. Every tube spans all frames given; a frame without boxes borrows those of the nearest that has some. Tubes
    are taken until a frame has no box left, at most `max_tubes`.

    Args:
        video, label: Noted in the tubes.
        frames: Boxes and scores by frame number.
        max_tubes: Tubes at most.
        product_weight: Weight of the product of scores.
    """
    numbers = sorted(frames)
    filled = [number for number in numbers if len(frames[number][1])]
    if not filled:
        return []
    nearest = [min(filled, key=lambda other: (abs(other - number), other)) for number in numbers]
    boxes = [np.asarray(frames[number][0], np.float64) for number in nearest]
    scores = [np.asarray(frames[number][1], np.float64) for number in nearest]
    links = [
        iou(boxes[i], boxes[i + 1])
        + scores[i][:, None]
        + scores[i + 1][None]
        + product_weight * scores[i][:, None] * scores[i + 1][None]
        for i in range(len(numbers) - 1)
    ]
    tubes: list[Tube] = []
    while len(tubes) < max_tubes and all(len(s) for s in scores):
        path = _best_path(links, scores[0])
        chosen = np.array([boxes[i][j] for i, j in enumerate(path)])
        mean = float(np.mean([scores[i][j] for i, j in enumerate(path)]))
        tubes.append(Tube(video, label, np.array(numbers), chosen, mean))
        for i, j in enumerate(path):
            boxes[i], scores[i] = np.delete(boxes[i], j, 0), np.delete(scores[i], j)
            if i < len(links):
                links[i] = np.delete(links[i], j, 0)
            if i > 0:
                links[i - 1] = np.delete(links[i - 1], j, 1)
    return tubes


def _best_path(links: list[npt.NDArray[np.float64]], first_scores: npt.NDArray[np.float64]) -> list[int]:
    """The vertex of every frame on the path of greatest total strength; of a single frame, the best score."""
    total = np.zeros(links[-1].shape[1]) if links else first_scores
    following: list[npt.NDArray[np.intp]] = []
    for link in reversed(links):
        through = link + total
        following.append(np.argmax(through, axis=1))
        total = np.max(through, axis=1)
    path = [int(np.argmax(total))]
    for step in reversed(following):
        path.append(int(step[path[-1]]))
    return path
