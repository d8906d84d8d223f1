"""The settings of a recipe of kind `clips`: any network on any dataset. configs/ holds commented examples."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass
class NetworkRecipe:
    """What is trained.

    Attributes:
        name: Of the zoo (`sf-detect weights list`); its preprocessing comes with it.
        num_classes: Classes of the head; None takes the dataset's.
        options: Of the network's builder: dropout, causal, aligned, width, ...
        num_frames, sampling_rate, fps, keyframe: Clip sampling; None takes the network's own. keyframe=last for causal.
        slow_index_rule: None takes the network's own; "last" for causal networks.
    """

    name: str = "k400_slowfast_8x8_r50"
    num_classes: int | None = None
    options: dict[str, Any] = field(default_factory=dict)
    num_frames: int | None = None
    sampling_rate: int | None = None
    fps: float | None = None
    keyframe: str | None = None
    slow_index_rule: str | None = None


@dataclass
class InitialiseRecipe:
    """What the network starts from.

    Attributes:
        weights: A checkpoint file or a name of the zoo, whose weights are fetched; None starts at random.
        part: "all", "backbone" (the head stays fresh) or "image" (inflation); see `initialise`.
    """

    weights: str | None = None
    part: str = "all"


@dataclass
class ViewRecipe:
    """How clips and pictures are cut; see `ClipViews` and `Augmentation`.

    Attributes:
        short_side, test_crop: None takes the network's own.
    """

    sampling: str = "rate"
    crop: int = 224
    scales: list[float] = field(default_factory=lambda: [256.0, 320.0])
    area: list[float] | None = None
    aspect: list[float] = field(default_factory=lambda: [0.75, 4 / 3])
    flip: bool = True
    colour: float = 0.0
    erase: float = 0.0
    background: int = 0
    short_side: int | None = None
    test_crop: int | None = None


@dataclass
class OptimiserRecipe:
    """How weights move.

    Attributes:
        kind: "sgd" or "adamw".
        rate: Peak learning rate.
        reference_batch: The global batch that `rate` is for; it is scaled linearly to the real one. None keeps it.
        momentum, nesterov: Of sgd.
        weight_decay: Of weights.
        norm_decay: Of biases and normalisation.
        layers: Factors on the rate by part of the network.
        clip_norm: Largest norm of the gradient; None does not clip.
        average: Decay of the moving average of the weights, which is then tested and written; 0 keeps none.
    """

    kind: str = "sgd"
    rate: float = 0.1
    reference_batch: int | None = None
    momentum: float = 0.9
    nesterov: bool = True
    weight_decay: float = 1e-4
    norm_decay: float = 0.0
    layers: dict[str, float] = field(default_factory=dict)
    clip_norm: float | None = None
    average: float = 0.0


@dataclass
class ScheduleRecipe:
    """How the learning rate changes, in epochs; fractions are allowed.

    Attributes:
        kind: "cosine" (half a period) or "steps".
        warmup: Epochs of linear warm-up.
        start: Factor on the peak at which the warm-up starts; None starts with its first step.
        floor: Factor at the end of the cosine.
        falls: "steps": epochs from which the rate is `gamma` times lower each.
        gamma: See `falls`.
    """

    kind: str = "cosine"
    warmup: float = 0.0
    start: float | None = None
    floor: float = 0.0
    falls: list[float] = field(default_factory=list)
    gamma: float = 0.1


@dataclass
class MultigridRecipe:
    """Batches of smaller clips, and more of them; see `plan_multigrid`. Off unless one of the cycles is on.

    Attributes:
        short_cycle: The crop changes from step to step.
        long_cycle: Frames and crop grow over the epochs.
        short_crops: Shares of the crop that the short cycle takes before the whole one, or the long cycle's.
        long_shapes: The long cycle's [share of the frames, share of the crop], the last [1, 1].
        fine_tune: Share of the epochs, the last ones, that have the recipe's own shape after the long cycle.
        split_batch_norm: Statistics of batch normalisation over each `batch` clips of a larger batch.
    """

    short_cycle: bool = False
    long_cycle: bool = False
    short_crops: list[float] = field(default_factory=lambda: [0.5, 0.7071])
    long_shapes: list[list[float]] = field(
        default_factory=lambda: [[0.25, 0.7071], [0.5, 0.7071], [0.5, 1.0], [1.0, 1.0]]
    )
    fine_tune: float = 0.1
    split_batch_norm: bool = True


@dataclass
class LossRecipe:
    """What is minimised.

    Attributes:
        kind: "softmax" (one class), "sigmoid" (any number of classes), or "auto": by the dataset.
        smoothing: Label smoothing of softmax.
        background: Weight of background boxes, "sigmoid" only.
    """

    kind: str = "auto"
    smoothing: float = 0.0
    background: float = 1.0


@dataclass
class EvaluationRecipe:
    """How results are measured.

    Attributes:
        every: Epochs between evaluations in training; 0 evaluates never. The best epoch's weights are kept.
        batch: Clips at a time.
        views: Of a classifier in training, CLIPSxCROPS.
        test_views: Of a classifier in `sf-detect test`.
        pooling: Of the views: "mean" or "max".
        protocol: Of frame-mAP: "activitynet" or "pyslowfast"; of multi-label mAP: "charades" or "pyslowfast". None
            takes the first.
    """

    every: int = 1
    batch: int = 8
    views: str = "1x1"
    test_views: str = "10x3"
    pooling: str = "mean"
    protocol: str | None = None


@dataclass
class ClipsRecipe:
    """Everything that decides the result.

    Attributes:
        work: Folder for checkpoints, weights, the log and results. A run continues from the checkpoint it finds there.
        data: Training data: `name` of a dataset and its options, see `sf_detect.data.datasets`.
        held_out: Share of the training videos, whole recordings, that is not trained on and on which the best epoch is
            chosen, for datasets that publish a training and a test side only; 0 holds none out.
        validation: What differs in the data that the best epoch is chosen on, such as `split: val`; with `held_out`,
            such as other keyframes. Empty, and without `held_out`, nothing is chosen: the last epoch's weights are the
            result.
        test: What further differs in the data that `sf-detect test` measures, such as `split: test`; empty measures on
            those of `validation`.
        seed: Of everything random.
        epochs: Passes over the training data.
        batch: Clips of each process at a time.
        accumulate: Batches that make one step.
        workers: Processes that decode, for each training process; 0 decodes in between.
        device: "auto", "cpu", "cuda" or "cuda:N".
        precision: "fp32", "bf16" or "fp16". On a CPU bf16 trains in fp32, and says so.
        sync_batch_norm: Batch statistics over all processes.
        precise_batch_norm: Training batches of each process whose statistics replace the running ones of batch
            normalisation in the weights that are tested and written after each epoch, at most an epoch; 0 keeps those.
        freeze: Parts of the network that stay as they are.
        freeze_batch_norm: Batch normalisation stays as it is.
        save_every: Steps between checkpoints; one is also written at the end of every epoch.
        log_every: Steps between lines of the log.
        tensorboard: Write TensorBoard's files into work/tensorboard.
    """

    work: str = "work/clips"
    data: dict[str, Any] = field(default_factory=dict)
    held_out: float = 0.0
    validation: dict[str, Any] = field(default_factory=dict)
    test: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    epochs: int = 20
    batch: int = 8
    accumulate: int = 1
    workers: int = 2
    device: str = "auto"
    precision: str = "fp32"
    sync_batch_norm: bool = False
    precise_batch_norm: int = 0
    freeze: list[str] = field(default_factory=list)
    freeze_batch_norm: bool = False
    save_every: int = 500
    log_every: int = 10
    tensorboard: bool = False
    network: NetworkRecipe = field(default_factory=NetworkRecipe)
    initialise: InitialiseRecipe = field(default_factory=InitialiseRecipe)
    views: ViewRecipe = field(default_factory=ViewRecipe)
    optimiser: OptimiserRecipe = field(default_factory=OptimiserRecipe)
    schedule: ScheduleRecipe = field(default_factory=ScheduleRecipe)
    multigrid: MultigridRecipe = field(default_factory=MultigridRecipe)
    loss: LossRecipe = field(default_factory=LossRecipe)
    evaluation: EvaluationRecipe = field(default_factory=EvaluationRecipe)
