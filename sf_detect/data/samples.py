"""What every dataset is made of: labelled moments of videos, before anything is decoded. NumPy only.

A reader (one module per dataset) turns annotation files into an `ActionDataset`; training, testing and the checking
tool see nothing else. Boxes are shares of the frame here, because annotation files know no frame size; they become
pixels when the clip is decoded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt

TASKS = ("detection", "classification")


@dataclass(frozen=True, eq=False)
class ClipSample:
    """One labelled clip: where it lies, and what is to be seen there.

    Attributes:
        video_id: Name of the video in the annotation.
        path: A video file, or a folder of numbered frame images.
        keyframe: Seconds of the labelled moment on the annotation's clock (detection); None where the label is of a
            whole span (classification).
        span: Start and end in seconds of the part that the label is about, or that the clip must stay in; None for the
            whole video.
        boxes: (N, 4) float32 xyxy, shares of the frame in [0, 1]; (0, 4) for classification.
        labels: 0-based classes: one tuple per box (detection), one tuple in all (classification). Empty tuples where
            nothing is labelled.
        scores: (N,) float32 of proposals; None for annotated boxes.
        fps: Rate of a folder of images; None for a video file, whose own timing counts.
        start_time: Time of the first frame of `path` on the annotation's clock, for videos that were cut out of longer
            ones (AVA keeps the clock of the film).
    """

    video_id: str
    path: Path
    keyframe: float | None = None
    span: tuple[float, float] | None = None
    boxes: npt.NDArray[np.float32] = field(default_factory=lambda: np.zeros((0, 4), np.float32))
    labels: tuple[tuple[int, ...], ...] = ()
    scores: npt.NDArray[np.float32] | None = None
    fps: Fraction | None = None
    start_time: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "boxes", np.asarray(self.boxes, np.float32).reshape(-1, 4))
        if self.keyframe is not None and len(self.labels) != len(self.boxes):
            raise ValueError(f"{len(self.boxes)} boxes need as many tuples of labels, got {len(self.labels)}")
        if self.keyframe is None and (len(self.boxes) or len(self.labels) > 1):
            raise ValueError("a sample without a keyframe has no boxes and one tuple of labels")
        if self.scores is not None and len(self.scores) != len(self.boxes):
            raise ValueError(f"{len(self.boxes)} boxes need as many scores, got {len(self.scores)}")

    def targets(self, num_classes: int) -> npt.NDArray[np.float32]:
        """Multi-hot (N, num_classes), or (1, num_classes) for classification."""
        found = np.zeros((len(self.labels), num_classes), np.float32)
        for row, classes in zip(found, self.labels, strict=True):
            row[list(classes)] = 1
        return found


@dataclass(frozen=True, eq=False)
class ActionDataset:
    """A list of samples with its classes.

    Attributes:
        name: For people to read ("AVA 2.2 val").
        task: "detection" (persons at keyframes) or "classification" (whole clips).
        samples: In the order of the annotation.
        class_names: By 0-based class.
        class_ids: What result files call each class: they count from 1 in every set, AVA's with gaps.
        multi_label: Whether a person or clip can have several actions (sigmoid) or has exactly one (softmax).
        missing: Videos that the annotation names and that are not there; their samples are left out.
        sources: The recording (film, person, upload) that each video was cut from, by video; a video that is not here
            is a recording of its own.
    """

    name: str
    task: str
    samples: Sequence[ClipSample]
    class_names: tuple[str, ...]
    class_ids: tuple[int, ...]
    multi_label: bool
    missing: tuple[str, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.task not in TASKS:
            raise ValueError(f"task is one of {TASKS}, got {self.task!r}")
        if len(self.class_ids) != len(self.class_names):
            raise ValueError(f"{len(self.class_names)} class names need as many ids, got {len(self.class_ids)}")

    @property
    def num_classes(self) -> int:
        """C."""
        return len(self.class_names)

    def __len__(self) -> int:
        return len(self.samples)
