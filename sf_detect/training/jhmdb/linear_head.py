"""A linear classifier on Inception-I3D's features of boxes: the head of `i3d_jhmdb`, and a teacher of labels.

Kinetics features need no more than that on J-HMDB. What such a head says about clips that it was not fitted on (out of
fold) is a better target for a small network than the bare label: it knows which actions resemble each other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from sf_detect.data.jhmdb import JHMDBClip, grouped_folds
from sf_detect.models.classification_head import or_none
from sf_detect.models.i3d_detection import pool_boxes
from sf_detect.training.jhmdb.distillation import TEACHER_SIZE, TEACHER_STAGES, whole_cells

FOLDS = 6


def box_features(maps: Mapping[str, npt.NDArray[np.floating]], num_frames: int, boxes: npt.ArrayLike) -> Tensor:
    """Features (N, C) of boxes, as `InceptionI3DDetector` pools them.

    Args:
        maps: By stage, (t, h, w, C) of one clip, as `prepare_teacher` stored them; cells after the clip's end are not
            looked at.
        num_frames: Of the clip.
        boxes: (N, 4) xyxy, pixels of the teacher's input.
    """
    boxes = torch.as_tensor(np.asarray(boxes, np.float32))
    rois = torch.cat([torch.zeros(len(boxes), 1), boxes], 1)
    found = {}
    for stage, (period, _) in TEACHER_STAGES.items():
        cells = maps[stage][: whole_cells(num_frames) // period].astype(np.float32)
        found[stage] = torch.from_numpy(cells).permute(3, 0, 1, 2)[None]
    return pool_boxes(found, rois)


def scaled_boxes(clip: JHMDBClip) -> npt.NDArray[np.float64]:
    """The clip's boxes (num_frames, 4) in pixels of the teacher's input."""
    height, width = TEACHER_SIZE
    return clip.boxes * np.array([width / clip.width, height / clip.height] * 2)


#: The target of a box that shows none of the classes.
NONE = -1


def fit_linear(features: Tensor, targets: Tensor, decay: float = 0.03, weights: Tensor | None = None) -> nn.Linear:
    """A linear layer by softmax cross-entropy; with the class "none", whose logit is 0, where any target is `NONE`.

    Args:
        features: (N, C).
        targets: (N,) classes, or `NONE`.
        decay: Weight of the squared norm, for features scaled to unit deviation.
        weights: (N,) how much each example counts; all alike where None.
    """
    classes = int(targets.max()) + 1
    nobody = targets == NONE
    weights = torch.ones(len(features)) if weights is None else weights
    mean, scale = features.mean(0), features.std(0) + features.std()
    x, wanted = (features - mean) / scale, targets.where(~nobody, classes)
    layer = nn.Linear(features.shape[1], classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=80, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimiser.zero_grad()
        logits = or_none(layer(x)) if nobody.any() else layer(x)
        losses = functional.cross_entropy(logits, wanted, reduction="none")
        loss = (losses * weights).sum() / weights.sum() + decay / 2 * layer.weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(step)  # type: ignore[no-untyped-call]
    with torch.no_grad():  # fold the scaling into the layer
        layer.weight.div_(scale)
        layer.bias.sub_(layer.weight @ mean)
    return layer.requires_grad_(False)


def soft_labels(
    maps: Mapping[str, npt.NDArray[np.floating]], clips: Sequence[JHMDBClip], rows: Sequence[int]
) -> Tensor:
    """Probabilities (clips, classes) that heads give which were fitted on clips of other sources.

    Args:
        maps: By stage, (all clips, t, h, w, C).
        clips: The training clips.
        rows: Their rows in `maps`.
    """
    found = []
    for clip, row in zip(clips, rows, strict=True):
        middle = scaled_boxes(clip)[clip.num_frames // 2][None]
        found.append(box_features({stage: stored[row] for stage, stored in maps.items()}, clip.num_frames, middle))
    features, targets = torch.cat(found), torch.tensor([clip.label for clip in clips])
    folds = torch.from_numpy(grouped_folds(list(clips), FOLDS))
    probabilities = functional.one_hot(targets).float()
    for fold in folds.unique():
        mine = folds == fold
        if mine.all():  # no other source to learn from: the labels themselves
            break
        head = fit_linear(features[~mine], targets[~mine])
        logits = head(features[mine])
        probabilities[mine] = functional.pad(logits.softmax(1), (0, probabilities.shape[1] - logits.shape[1]))
    return probabilities
