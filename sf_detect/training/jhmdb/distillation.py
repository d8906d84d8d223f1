"""Distillation from a frozen Inception-I3D: its feature maps, stored once, supervise every cell of every view.

The teacher sees each training clip once, whole.  A student's view (crop, flip, window) is supervised with the same
region of the teacher's map, cut out with RoIAlign and averaged over the cells of time that the window touches.

Inception-I3D's "SAME" padding makes everything appear at a clip's first frame and vanish at its last; of a short clip
that is a good part of what stage 5c says.  Where the first and last picture are held instead, the maps are about the
clip alone: easier to learn, and as good for telling actions apart.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torchvision.ops import roi_align

from sf_detect.data.jhmdb import JHMDBClip, read_frames
from sf_detect.models.inception_folded import fold_inception
from sf_detect.models.inception_i3d import InceptionI3D, block_channels
from sf_detect.models.slowfast_tiny import pool_boxes, trend
from sf_detect.training.jhmdb.views import Batch, open_stored

#: Stage -> frames per cell of time, pixels per cell of space.
TEACHER_STAGES = {"mixed_4f": (4, 16), "mixed_5c": (8, 32)}
TEACHER_SIZE = (192, 256)
LONGEST = 40


def teacher_file(folder: Path, stage: str, hold: int) -> Path:
    """Where the maps of one stage lie: (clips, time, height, width, channels) float16, all zero where still missing."""
    return folder / f"teacher_{stage}_hold{hold}.npy"


@torch.inference_mode()
def prepare_teacher(
    teacher: InceptionI3D,
    clips: Sequence[JHMDBClip],
    folder: Path,
    progress: Callable[[int, int], None],
    rows: Sequence[int] | None = None,
    *,
    hold: int,
) -> None:
    """Stores the teacher's maps of clips; continues where an interrupted run stopped.

    Args:
        teacher: With its Kinetics weights.
        clips: All clips of the data set; each has a row in the files.
        folder: Where the files lie.
        progress: Told how many of how many rows are done.
        rows: Which clips are computed; None computes all.
        hold: Frames for which each clip's first and last picture are held; whole cells of the last stage.
    """
    teacher = fold_inception(copy.deepcopy(teacher).eval())
    files = {}
    for stage, (frames, pixels) in TEACHER_STAGES.items():
        height, width = TEACHER_SIZE
        shape = (len(clips), LONGEST // frames, height // pixels, width // pixels, block_channels(stage))
        path = teacher_file(folder, stage, hold)
        mode = "r+" if path.exists() else "w+"
        files[stage] = np.lib.format.open_memmap(path, mode=mode, dtype=np.float16, shape=shape)
    wanted = range(len(clips)) if rows is None else rows
    for done, row in enumerate(wanted):
        if not files["mixed_5c"][row].any():
            maps = teacher.features(teacher_input(clips[row], hold), tuple(TEACHER_STAGES))
            for stage, found in maps.items():
                held = hold // TEACHER_STAGES[stage][0]
                inside = found[0].permute(1, 2, 3, 0)[held : found.shape[2] - held]
                files[stage][row, : len(inside)] = inside.numpy()
        progress(done + 1, len(wanted))
    for file in files.values():
        file.flush()


def whole_cells(frames: int) -> int:
    """The number of frames, rounded up to whole cells of the last stage."""
    return -(-frames // 8) * 8


def teacher_input(clip: JHMDBClip, hold: int) -> Tensor:
    """(1, 3, T, H, W) in [-1, 1]: the whole clip, its last frame repeated up to whole cells, and the held pictures."""
    height, width = TEACHER_SIZE
    frames = read_frames(clip, width, height)
    shown = np.arange(-hold, whole_cells(len(frames)) + hold).clip(0, len(frames) - 1)
    return torch.from_numpy(frames[shown]).permute(3, 0, 1, 2)[None].float().div_(127.5).sub_(1)


class TeacherMaps:
    """The stored maps, cut to a batch's views.

    Args:
        folder: Where `prepare_teacher` stored them.
        rows: The row of each training clip in the files; None where they are the same.
        hold: As for `prepare_teacher`.
    """

    def __init__(self, folder: Path, rows: Sequence[int] | None = None, *, hold: int) -> None:
        self.rows = rows
        self.maps = {stage: open_stored(teacher_file(folder, stage, hold)) for stage in TEACHER_STAGES}

    def __call__(self, batch: Batch, stage: str, resolution: int, stride: int, weights: Tensor) -> Tensor:
        """(B, K, C, resolution, resolution): weighted sums over time of the teacher's maps, cut to each view's region.

        Args:
            batch: Whose views.
            stage: Of `TEACHER_STAGES`.
            resolution, stride: the student's cells, and their size in pixels of its input.
            weights: (K, T) of the window's frames in each sum.
        """
        period, pixels = TEACHER_STAGES[stage]
        pooled = []
        for number, indices in zip(batch.clips.tolist(), batch.indices.numpy(), strict=True):
            cells, places = np.unique(indices // period, return_inverse=True)
            shares = weights.numpy() @ np.eye(len(cells), dtype=np.float32)[places]
            row = number if self.rows is None else self.rows[number]
            pooled.append(np.tensordot(shares, self.maps[stage][row][cells].astype(np.float32), 1))
        maps = torch.from_numpy(np.stack(pooled)).movedim(-1, 2).flatten(1, 2)
        height, width = TEACHER_SIZE
        regions = _cell_regions(batch, resolution * stride) * torch.tensor([width, height, width, height])
        rois = torch.cat([torch.arange(len(regions))[:, None], regions], 1)
        cut = roi_align(maps, rois, resolution, 1 / pixels, sampling_ratio=2, aligned=True)
        return torch.where(batch.flips[:, None, None, None], cut.flip(3), cut).unflatten(1, (len(weights), -1))


def _cell_regions(batch: Batch, covered: int) -> Tensor:
    """Regions (B, 4), shares of the frame, that the cells cover: the last column may reach beyond the view."""
    x1, y1, x2, y2 = batch.crops.unbind(1)
    beyond = covered / batch.fast.shape[-1] - 1
    width, height = (x2 - x1) * beyond, (y2 - y1) * beyond
    left, right = torch.where(batch.flips, width, 0), torch.where(batch.flips, 0, width)
    return torch.stack([x1 - left, y1, x2 + right, y2 + height], 1)


def relative_error(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared error as a share of the teacher's energy, averaged over the cells of (B, C, H, W) maps."""
    energy = teacher.square().sum(1)
    return ((student - teacher).square().sum(1) / (energy + 0.1 * energy.mean())).mean()


class DistillationLoss(nn.Module):
    """Pulls the student's maps towards the teacher's.

    The inner map has the teacher's channels already; the last one passes a learnt 1x1 convolution that is thrown away.
    Of the inner map the trend is compared too: what differs by its direction in time only shows there.

    Args:
        channels: of the student's last maps, all pathways together.
        trend: weight of the trend's error; the two means weigh 1 each.
        pooled: weight of the same errors of the boxes' pooled features, which is what the head sees of a map.
    """

    def __init__(self, channels: int, trend: float = 0.0, pooled: float = 0.0) -> None:
        super().__init__()
        self.adapter = nn.Conv2d(channels, block_channels("mixed_5c"), 1)
        self.trend, self.pooled = trend, pooled

    def forward(self, maps: dict[str, Tensor], teacher: TeacherMaps, batch: Batch) -> Tensor:
        loss = torch.zeros(())
        for student, goal, stride, weight in self._pairs(maps, teacher, batch):
            loss = loss + weight * relative_error(student, goal)
            if self.pooled:
                seen, wanted = (pool_boxes(x, batch.boxes, stride)[..., None, None] for x in (student, goal))
                loss = loss + self.pooled * weight * relative_error(seen, wanted)
        return loss

    def _pairs(
        self, maps: dict[str, Tensor], teacher: TeacherMaps, batch: Batch
    ) -> list[tuple[Tensor, Tensor, int, float]]:
        """The student's map, the teacher's (B, C, H, W), their pixels per cell and what their error weighs."""
        middle = maps["middle"]
        last = torch.cat([maps["slow"], maps["fast"]], 2).mean(1)
        steps, frames = middle.shape[1], batch.indices.shape[1]
        mean = torch.full((1, frames), 1 / frames)
        slopes = trend(torch.eye(steps).view(1, steps, steps, 1, 1)).flatten().repeat_interleave(frames // steps)
        weights = torch.cat([mean, slopes[None] * (steps / frames)])
        goals = teacher(batch, "mixed_4f", middle.shape[-1], 16, weights if self.trend else mean)
        goal_last = teacher(batch, "mixed_5c", last.shape[-1], 32, mean)[:, 0]
        pairs = [(middle.mean(1), goals[:, 0], 16, 1.0), (self.adapter(last).relu(), goal_last, 32, 1.0)]
        if self.trend:
            pairs.append((trend(middle), goals[:, 1], 16, self.trend))
        return pairs
