"""The recipe of the posture classifier, as data, and its jobs: train and test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import numpy.typing as npt

from sf_detect.build import load_predictor
from sf_detect.data.jhmdb import JHMDB, JHMDBClip
from sf_detect.engines import EngineOptions
from sf_detect.keypoints.appearance import AppearanceHead, PictureFeatures, PictureNetwork
from sf_detect.keypoints.blazepose import BlazePose, blazepose_engine
from sf_detect.keypoints.efficientnet_lite import efficientnet_engine
from sf_detect.keypoints.estimator import LandmarkNetwork
from sf_detect.keypoints.looks import Window
from sf_detect.labels import shown_names
from sf_detect.structures import Detections
from sf_detect.training.jhmdb.measuring import WINDOW_STEP
from sf_detect.training.jhmdb.persons import find_persons, track_persons
from sf_detect.training.postures import examples as made
from sf_detect.training.postures.appearance import (
    AppearanceRecipe,
    Features,
    appearance_examples,
    footage_features,
    jhmdb_features,
    train_head,
)
from sf_detect.training.postures.bvh import capture_examples
from sf_detect.training.postures.classifier import ClassifierRecipe, PostureModule, train_classifier
from sf_detect.training.postures.fitting import FusionRecipe
from sf_detect.training.postures.footage import Person, footage_examples, footage_looks, read_people
from sf_detect.training.postures.looks import jhmdb_looks, track_looks
from sf_detect.training.postures.mocap import motion_examples

Say = Callable[[str], None]


@dataclass
class ExamplesRecipe:
    """How many examples are drawn of what, and how often each kind is shown.

    Attributes:
        each: Examples of each kind: of a clip, a track, a person in a picture or a motion.
        shares: Of each kind in training the networks for postures; kinds that are not there are left out.
        action_shares: The same for the networks for actions.
        postures: Shares of the postures, and of none of them, that weights in the loss aim at.
    """

    each: dict[str, int] = field(
        default_factory=lambda: {
            **{"actors": 24, "small": 12, "waist": 8, "tracks": 6, "bystanders": 4, "lying": 8, "hopping": 4},
            **{"frozen": 12, "pictures": 16, "clips": 24, "generated": 16, "motions": 90, "captures": 12},
        }
    )
    shares: dict[str, float] = field(
        default_factory=lambda: {
            **{"actors": 0.10, "small": 0.06, "tracks": 0.05, "lying": 0.03, "hopping": 0.04, "frozen": 0.03},
            **{"pictures": 0.21, "clips": 0.32, "generated": 0.08, "motions": 0.08, "captures": 0.06},
        }
    )
    action_shares: dict[str, float] = field(
        default_factory=lambda: {
            **{"actors": 0.36, "tracks": 0.14, "small": 0.05, "bystanders": 0.06, "pictures": 0.07},
            **{"clips": 0.20, "generated": 0.12, "captures": 0.12},
        }
    )
    postures: list[float] = field(default_factory=lambda: [0.32, 0.22, 0.03, 0.16, 0.06, 0.05, 0.05, 0.05, 0.12])


@dataclass
class ThresholdRecipe:
    """From which smoothed score on a label is shown; chosen on footage outside J-HMDB.

    Attributes:
        postures: In the order of `POSTURES`.
        alone: Movements that are actions too, which the classifier decides without the action model.
        action: Of fused actions that `actions` does not name.
        actions: Of single actions, by J-HMDB's names.
    """

    postures: list[float] = field(default_factory=lambda: [0.45, 0.53, 0.38, 0.55, 0.6, 0.55, 0.5, 0.46])
    alone: list[str] = field(default_factory=lambda: ["walk", "run", "jump"])
    action: float = 0.75
    actions: dict[str, float] = field(
        default_factory=lambda: {
            **{"catch": 0.985, "clap": 0.62, "wave": 0.7, "pour": 0.985, "push": 0.93},
            **{"shoot_gun": 0.85, "kick_ball": 0.8, "pullup": 0.9, "throw": 0.9, "golf": 0.85},
        }
    )


@dataclass
class PostureRecipe:
    """Everything that decides the classifier.

    Attributes:
        data: Folder of J-HMDB: videos.csv, boxes.csv, videos/.
        footage: Folders with labels.csv, people labelled by hand in pictures and clips; null for none.
        rights: Rows of labels.csv with these rights are trained on.
        motions: Folder of motion capture, see `mocap`; null for none.
        captures: Folder of single motions with their labels, see `bvh`; null for none.
        work: Folder for looks, scores and the trained file.
        split: Official split of J-HMDB; only its training side is trained on.
        seed: Of everything drawn at random.
        tile: Mode of the person detector, see `detection.tiling`.
        action_model: Its scores are fused with the classifier's.
        smoothing: Time constant in seconds of each track's running mean scores, as `sf-detect run` has it.
        person_exponent: In frame-mAP action scores are multiplied by this power of the detector's.
    """

    data: str = "data/jhmdb"
    footage: list[str] | None = field(default_factory=list)
    rights: list[str] = field(default_factory=lambda: ["licensed", "unclear", "unlicensed", "generated"])
    motions: str | None = None
    captures: str | None = None
    work: str = "work/postures"
    split: int = 1
    seed: int = 0
    tile: str = "auto"
    action_model: str = "slowfast_tiny_jhmdb"
    smoothing: float = 0.5
    person_exponent: float = 0.5
    examples: ExamplesRecipe = field(default_factory=ExamplesRecipe)
    classifier: ClassifierRecipe = field(default_factory=ClassifierRecipe)
    appearance: AppearanceRecipe = field(default_factory=AppearanceRecipe)
    fusion: FusionRecipe = field(default_factory=FusionRecipe)
    thresholds: ThresholdRecipe = field(default_factory=ThresholdRecipe)


class Work:
    """The data of a recipe, looked at."""

    def __init__(self, recipe: PostureRecipe, say: Say) -> None:
        self.recipe, self.say, self.folder = recipe, say, Path(recipe.work)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.data = JHMDB(recipe.data)
        self.labels = made.read_jhmdb_postures()

    @cached_property
    def network(self) -> LandmarkNetwork:
        """The landmark network; fetched when nobody has looked yet."""
        return BlazePose(blazepose_engine(EngineOptions(), self.say))

    @cached_property
    def pictures(self) -> PictureFeatures:
        """The network that sees persons' pictures; fetched when some are new."""
        return PictureNetwork(efficientnet_engine(EngineOptions(), self.say))

    def clips(self, side: str) -> list[JHMDBClip]:
        """One side of the recipe's split."""
        return self.data.split(self.recipe.split, side)

    def looks(self, clips: list[JHMDBClip], kind: str) -> dict[str, Window]:
        """At the actors; see `jhmdb_looks`."""
        return jhmdb_looks(clips, self.folder / "looks", kind, lambda: self.network, self.say)

    def persons(self, clips: list[JHMDBClip]) -> dict[str, list[Detections]]:
        """Whom the default detector and the tracker see; boxes moved by the action model's regression."""
        detected = find_persons(clips, self.folder, self.recipe.tile, self.say)
        return track_persons(clips, detected, load_predictor(self.recipe.action_model).spec.box_regression)

    def track_looks(self, clips: list[JHMDBClip]) -> dict[str, dict[int, Window]]:
        """At the persons whom the default detector and the tracker see."""
        folder = self.folder / "looks"
        return track_looks(clips, self.persons(clips), WINDOW_STEP, folder, lambda: self.network, self.say)

    def people(self) -> Iterator[tuple[Path, list[Person]]]:
        """Each folder of footage and the people in it who are trained on."""
        for root in map(Path, self.recipe.footage or []):
            yield root, read_people(root / "labels.csv", self.recipe.rights)

    def footage(self) -> tuple[list[Person], dict[str, Window]]:
        """The people labelled by hand outside J-HMDB, and the looks at them by name."""
        everybody, looks = list[Person](), dict[str, Window]()
        for root, people in self.people():
            looks |= footage_looks(people, root, self.folder / "looks", lambda: self.network, self.say)
            everybody += people
        return everybody, looks


def train_appearance(work: Work) -> AppearanceHead | None:
    """The layer that scores persons' pictures; None where the recipe wants none."""
    recipe = work.recipe
    if not recipe.appearance.share:
        return None
    people, seen = list[Person](), dict[str, Features]()
    for root, mine in work.people():
        seen |= footage_features(mine, root, work.folder, work.pictures)
        people += mine
    clips = work.clips("train")
    actors = jhmdb_features(clips, work.folder, work.pictures)
    examples = appearance_examples(people, seen, clips, actors, work.labels, recipe.appearance)
    work.say(f"{len(examples.weights)} pictures of {len(people)} people and {len(clips)} actors")
    return train_head(examples, recipe.appearance, recipe.examples.postures, recipe.seed)


def gather(work: Work) -> dict[str, made.Examples]:
    """All training examples of a recipe, for each task of the classifier."""
    recipe, clips = work.recipe, work.clips("train")
    each, rng = recipe.examples.each, np.random.default_rng(recipe.seed)
    seen, labels = work.looks(clips, "actors"), work.labels
    actors, bystanders = made.track_examples(clips, work.track_looks(clips), labels, each["tracks"], rng)
    parts = {
        "actors": made.jhmdb_examples(clips, seen, labels, each["actors"], rng),
        "small": made.jhmdb_examples(clips, work.looks(clips, "small"), labels, each["small"], rng),
        "waist": made.jhmdb_examples(clips, work.looks(clips, "waist"), labels, each["waist"], rng, waist=True),
        "tracks": actors,
        "bystanders": bystanders,
        "lying": made.lying_examples(clips, seen, labels, each["lying"], rng),
        "hopping": made.hopping_examples(clips, seen, labels, each["hopping"], rng),
    }
    people, footage = work.footage()
    walkers = [footage[p.name] for p in people if p.track is not None and p.posture in ("walk", "run")]
    for kind in ("clips", "pictures", "generated"):
        if some := [person for person in people if _kind(person) == kind]:
            parts[kind] = footage_examples(some, footage, shown_names(work.data.labels), each[kind], rng)
    if recipe.motions is not None:
        parts["motions"] = motion_examples(Path(recipe.motions), each["motions"], rng)
    if recipe.captures is not None:
        names = shown_names(work.data.labels)
        parts["captures"] = capture_examples(Path(recipe.captures), names, each["captures"], rng)
    moving = [seen[c.video_id] for c in clips if labels[c.video_id] in ("WWW", "RRR") and c.video_id in seen]
    moving += walkers
    if moving:
        parts["frozen"] = made.frozen_examples(moving, each["frozen"], rng)
    for name, part in parts.items():
        work.say(f"{len(part.actions)} examples of {name}")
    known = {"postures": lambda part: part.postures.any(axis=1), "actions": lambda part: part.actions >= 0}
    shares = {"postures": recipe.examples.shares, "actions": recipe.examples.action_shares}
    mixtures = {task: _mixture(parts, shares[task], known[task]) for task in shares}
    return mixtures | {"postures": made.forgive_stillness(mixtures["postures"])}


def _kind(person: Person) -> str:
    """Of the examples that a person gives."""
    if person.track is None:
        return "pictures"
    return "generated" if person.rights == "generated" else "clips"


def _mixture(
    parts: dict[str, made.Examples], shares: dict[str, float], known: Callable[[made.Examples], npt.NDArray[np.bool_]]
) -> made.Examples:
    """Those of all kinds whose answer is known, as often as the shares say."""
    useful = {name: part.select(np.flatnonzero(known(part))) for name, part in parts.items() if name in shares}
    return made.weighted([(shares[name], part) for name, part in useful.items() if len(part.actions)])


def train_networks(work: Work) -> list[PostureModule]:
    """The networks of a recipe."""
    recipe = work.recipe
    return train_classifier(
        gather(work), len(work.data.labels), recipe.classifier, recipe.examples.postures, recipe.seed
    )
