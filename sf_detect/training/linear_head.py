"""A linear classifier on Inception-I3D's features of boxes: the head of `i3d_jhmdb`, and a teacher of labels.

Kinetics features need no more than that on J-HMDB. What such a head says about clips that it was not fitted on (out of
fold) is a better target for a small network than the bare label: it knows which actions resemble each other.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import roi_align

from sf_detect.data.jhmdb import JHMDBClip, grouped_folds
from sf_detect.models.i3d_detection import ROI_OPTIONS
from sf_detect.training.distillation import TEACHER_SIZE, TEACHER_STAGES, whole_cells

STAGE = "mixed_5c"
FOLDS = 6


def box_features(maps: npt.NDArray[np.floating], num_frames: int, boxes: npt.NDArray[np.floating]) -> Tensor:
    """Features (N, C) of boxes: the mean over time, RoIAlign, the mean over the region, as in `InceptionI3DDetector`.

    Args:
        maps: (t, h, w, C) of one clip, as `prepare_teacher` stored them; cells after the clip's end are not looked at.
        num_frames: Of the clip.
        boxes: (N, 4) xyxy, pixels of the teacher's input.
    """
    period, pixels = TEACHER_STAGES[STAGE]
    cells = whole_cells(num_frames) // period
    mean = torch.from_numpy(maps[:cells].astype(np.float32).mean(0)).permute(2, 0, 1)[None]
    rois = torch.from_numpy(np.concatenate([np.zeros((len(boxes), 1)), boxes], 1).astype(np.float32))
    return roi_align(mean, rois, spatial_scale=1 / pixels, **ROI_OPTIONS).mean((2, 3))


def scaled_boxes(clip: JHMDBClip) -> npt.NDArray[np.float64]:
    """The clip's boxes (num_frames, 4) in pixels of the teacher's input."""
    height, width = TEACHER_SIZE
    return clip.boxes * np.array([width / clip.width, height / clip.height] * 2)


def fit_linear(features: Tensor, targets: Tensor, decay: float = 0.03, negatives: Tensor | None = None) -> nn.Linear:
    """A linear layer by softmax cross-entropy, or by one sigmoid per class where there are negatives.

    Args:
        features: (N, C).
        targets: (N,) classes.
        decay: Weight of the squared norm, for features scaled to unit deviation.
        negatives: (M, C) features of boxes that show none of the classes.
    """
    classes = int(targets.max()) + 1
    everything = features if negatives is None else torch.cat([features, negatives])
    mean, scale = everything.mean(0), everything.std()
    x = (everything - mean) / scale
    hot = functional.pad(functional.one_hot(targets, classes).float(), (0, 0, 0, len(x) - len(features)))
    layer = nn.Linear(features.shape[1], classes)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    optimiser = torch.optim.LBFGS(layer.parameters(), max_iter=100, line_search_fn="strong_wolfe")

    def step() -> Tensor:
        optimiser.zero_grad()
        logits = layer(x)
        loss = functional.cross_entropy(logits[: len(features)], targets)
        if negatives is not None:
            loss = loss + functional.binary_cross_entropy_with_logits(logits, hot, reduction="none").sum(1).mean()
        loss = loss + decay / 2 * layer.weight.square().sum()
        loss.backward()
        return loss

    optimiser.step(step)  # type: ignore[no-untyped-call]
    with torch.no_grad():  # fold the scaling into the layer
        layer.weight.div_(scale)
        layer.bias.sub_(layer.weight @ mean)
    return layer.requires_grad_(False)


def soft_labels(maps: npt.NDArray[np.floating], clips: Sequence[JHMDBClip], rows: Sequence[int]) -> Tensor:
    """Probabilities (clips, classes) that heads give which were fitted on clips of other sources.

    Args:
        maps: (all clips, t, h, w, C) of `STAGE`.
        clips: The training clips.
        rows: Their rows in `maps`.
    """
    found = []
    for clip, row in zip(clips, rows, strict=True):
        middle = scaled_boxes(clip)[clip.num_frames // 2][None]
        found.append(box_features(maps[row], clip.num_frames, middle))
    features, targets = torch.cat(found), torch.tensor([clip.label for clip in clips])
    folds = torch.from_numpy(grouped_folds(list(clips), FOLDS))
    probabilities = torch.zeros(len(clips), int(targets.max()) + 1)
    for fold in folds.unique():
        mine = folds == fold
        head = fit_linear(features[~mine], targets[~mine])
        logits = head(features[mine])
        probabilities[mine, : logits.shape[1]] = logits.softmax(1)
    return probabilities
