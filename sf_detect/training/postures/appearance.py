"""Trains the layer that scores postures from a person's picture: logistic regression on a fixed network's features.

A network trained through, of which every layer may change, learns the few thousand people by heart: on footage it was
not trained on it was right less often than this layer.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch

from sf_detect.atomic_file import atomic_file
from sf_detect.data.jhmdb import JHMDBClip, read_frames
from sf_detect.keypoints.appearance import AppearanceHead, PictureFeatures
from sf_detect.structures import UInt8Array
from sf_detect.training.postures.classifier import posture_loss, posture_weights
from sf_detect.training.postures.examples import NONE, Examples, accepted
from sf_detect.training.postures.footage import Person, person_pictures
from sf_detect.training.postures.looks import jittered, load_arrays

Features = npt.NDArray[np.float16]
"""(P, VIEWS, D): of P pictures of a person, each seen differently."""

VIEWS = 4
"""As it is; mirrored; twice from another box, in other light, and at times from fewer pixels."""
MOMENTS = 4
"""Pictures of a person in a clip, at most."""
JHMDB_MOMENTS = (0.02, 0.42, 0.58, 0.98)
"""Where in a clip of J-HMDB its actor is taken."""
_GENERATED = 0.4  # how much a person who is none counts


@dataclass
class AppearanceRecipe:
    """The layer and how it is trained.

    Attributes:
        share: How much it counts beside the landmarks until `calibrated`, see `AppearanceHead.product`; 0 trains none.
        jhmdb: Share of J-HMDB's actors among the examples, the rest being people of `footage`.
        most: People of one source from which on each counts less.
        layers: How many are trained, of which the mean is taken.
        steps, batch, rate, weight_decay: Of AdamW with one cycle.
        dropout: Of features.
        smoothing: Of labels.
    """

    share: float = 0.8
    jhmdb: float = 0.12
    most: int = 40
    layers: int = 3
    steps: int = 1500
    batch: int = 256
    rate: float = 3e-3
    weight_decay: float = 1.0
    dropout: float = 0.5
    smoothing: float = 0.1


def views(image: UInt8Array, box: npt.ArrayLike, features: PictureFeatures, rng: np.random.Generator) -> Features:
    """(VIEWS, D) of one person in a picture.

    Args:
        image: (H, W, 3) RGB.
        box: (4,) xyxy pixels.
        features: The network.
        rng: Decides how the last views differ.
    """
    whole, (height, width) = np.asarray(box, np.float32), image.shape[:2]
    x1, y1, x2, y2 = whole
    found = [features(image, whole), features(image[:, ::-1], np.array([width - x2, y1, width - x1, y2]))]
    for mirrored in (False, True):
        b = jittered(whole[None], (height, width), rng)[0]
        picture, b = _with_fewer_pixels(image, b, rng) if rng.random() < 0.5 else (image, b)
        light = (picture.astype(np.float32) - 127) * rng.uniform(0.7, 1.3) + 127 + rng.normal(0, 15)
        picture = light.clip(0, 255).astype(np.uint8)
        if mirrored:
            b = np.array([picture.shape[1] - b[2], b[1], picture.shape[1] - b[0], b[3]])
            picture = picture[:, ::-1]
        found.append(features(np.ascontiguousarray(picture), b))
    return np.stack(found).astype(np.float16)


def _with_fewer_pixels(
    image: UInt8Array, box: npt.NDArray, rng: np.random.Generator
) -> tuple[UInt8Array, npt.NDArray[np.floating]]:
    """The surroundings of a person, so small that they are 20 to 80 pixels high."""
    x1, y1, x2, y2 = box
    side = max(x2 - x1, y2 - y1, 1.0)
    left, top = max(int(x1 - side), 0), max(int(y1 - side), 0)
    part = image[top : int(y2 + side) + 1, left : int(x2 + side) + 1]
    factor = min(float(rng.uniform(20, 80)) / side, 1.0)
    size = max(int(part.shape[1] * factor), 8), max(int(part.shape[0] * factor), 8)
    scale = np.tile([size[0] / part.shape[1], size[1] / part.shape[0]], 2)
    small = np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)
    return small, (box - np.tile([left, top], 2)) * scale


def footage_features(
    people: Sequence[Person], root: Path, folder: Path, features: PictureFeatures
) -> dict[str, Features]:
    """Of each labelled person by name, kept in `folder`.

    Raises:
        DataError: A picture, a clip, the tracks of one or what is kept cannot be read.
    """
    path = folder / f"appearance-{root.name}.npz"
    known: dict[str, Features] = load_arrays(path) if path.exists() else {}
    missing = [person for person in people if person.name not in known]
    for number, person in enumerate(missing):
        rng = np.random.default_rng(number)
        pictures = person_pictures(person, root, MOMENTS)
        known[person.name] = np.stack([views(image, box, features, rng) for image, box in pictures])
    if missing:
        _save(path, known)
    return {person.name: known[person.name] for person in people}


def jhmdb_features(clips: Sequence[JHMDBClip], folder: Path, features: PictureFeatures) -> dict[str, Features]:
    """Of each clip's actor at `JHMDB_MOMENTS`, by video, kept in `folder`.

    Raises:
        DataError: What is kept cannot be read.
    """
    path = folder / "appearance-jhmdb.npz"
    known: dict[str, Features] = load_arrays(path) if path.exists() else {}
    missing = [clip for clip in clips if clip.video_id not in known]
    for number, clip in enumerate(missing):
        frames, rng = read_frames(clip, clip.width, clip.height), np.random.default_rng(number)
        rows = [min(int(share * clip.num_frames), clip.num_frames - 1) for share in JHMDB_MOMENTS]
        known[clip.video_id] = np.stack([views(frames[i], clip.boxes[i], features, rng) for i in rows])
    if missing:
        _save(path, known)
    return {clip.video_id: known[clip.video_id] for clip in clips}


def _save(path: Path, found: Mapping[str, Features]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        np.savez(file, **found)  # type: ignore[arg-type]


def appearance_examples(
    people: Sequence[Person],
    seen: Mapping[str, Features],
    clips: Sequence[JHMDBClip],
    actors: Mapping[str, Features],
    letters: Mapping[str, str],
    recipe: AppearanceRecipe,
) -> Examples:
    """Examples whose features are those of pictures, (N, D).

    Args:
        people: Of footage.
        seen: As `footage_features` returns them.
        clips: Of J-HMDB.
        actors: As `jhmdb_features` returns them.
        letters: Postures of the actors, see `read_jhmdb_postures`.
        recipe: How much each counts.
    """
    per_source = Counter(person.source for person in people)
    rows: list[tuple[Features, npt.NDArray[np.float32], float]] = []
    for person in people:
        counts = min(1.0, recipe.most / per_source[person.source]) ** 0.5
        counts *= _GENERATED if person.rights == "generated" else 1.0
        rows += [(part, person.answers, counts / len(seen[person.name])) for part in seen[person.name]]
    total = sum(weight for _, _, weight in rows)
    if total and clips:
        rows = [(part, answers, (1 - recipe.jhmdb) * weight / total) for part, answers, weight in rows]
    each = (recipe.jhmdb if total else 1.0) / max(len(JHMDB_MOMENTS) * len(clips), 1)
    for clip in clips:
        for part, share in zip(actors[clip.video_id], JHMDB_MOMENTS, strict=True):
            rows.append((part, accepted(letters[clip.video_id], share), each))
    count = len(rows) * VIEWS
    return Examples(
        np.concatenate([part for part, _, _ in rows]),
        np.repeat(np.stack([answers for _, answers, _ in rows]), VIEWS, axis=0),
        np.full(count, -1),
        np.repeat(np.array([weight for _, _, weight in rows], np.float32) / VIEWS, VIEWS),
        np.zeros(count, np.int64),
    )


def train_head(examples: Examples, recipe: AppearanceRecipe, shares: Sequence[float], seed: int = 0) -> AppearanceHead:
    """The layer, of the features as they are.

    Args:
        examples: See `appearance_examples`; drawn with replacement, by their weights.
        recipe: How.
        shares: See `posture_weights`.
        seed: Of torch, whose state afterwards is the one before.
    """
    x = torch.from_numpy(examples.features.astype(np.float32))
    mean, std = x.mean(0), x.std(0) + 0.05
    x = (x - mean) / std
    with torch.random.fork_rng():
        found = [_train(x, examples, recipe, shares, seed + number) for number in range(recipe.layers)]
    weight = torch.stack([layer.weight for layer in found]).mean(0) / std
    bias = torch.stack([layer.bias for layer in found]).mean(0) - weight @ mean
    return AppearanceHead.product(weight.detach().numpy(), bias.detach().numpy(), recipe.share)


def _train(
    x: torch.Tensor, examples: Examples, recipe: AppearanceRecipe, shares: Sequence[float], seed: int
) -> torch.nn.Linear:
    torch.manual_seed(seed)
    answers, importance = torch.from_numpy(examples.postures), torch.from_numpy(posture_weights(examples, shares))
    chances = torch.from_numpy(examples.weights)
    layer, drop = torch.nn.Linear(x.shape[1], NONE + 1), torch.nn.Dropout(recipe.dropout)
    optimiser = torch.optim.AdamW(layer.parameters(), lr=recipe.rate, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, recipe.rate, total_steps=recipe.steps)
    for _ in range(recipe.steps):
        rows = torch.multinomial(chances, recipe.batch, replacement=True)
        loss = posture_loss(layer(drop(x[rows])), answers[rows], recipe.smoothing) * importance[rows]
        optimiser.zero_grad()
        loss.mean().backward()
        optimiser.step()
        schedule.step()
    return layer


@dataclass(frozen=True, eq=False)
class Opinions:
    """What landmarks and pictures say of N persons with known postures.

    Attributes:
        body, picture: (N, 9) log-probabilities.
        postures: (N,) column of the true one.
        weights: (N,) how much each counts.
    """

    body: npt.NDArray[np.floating]
    picture: npt.NDArray[np.floating]
    postures: npt.NDArray[np.int64]
    weights: npt.NDArray[np.floating]


def calibrated(head: AppearanceHead, opinions: Opinions, penalty: float = 0.03, steps: int = 300) -> AppearanceHead:
    """The head with the way of joining that fits persons whom neither network was trained on.

    Cross-entropy, with a penalty on the squared distance from the product of experts that `head` is; what postures say
    of each other weighs three times as much in it.
    """
    x = torch.from_numpy(np.concatenate([opinions.body, opinions.picture], axis=1).astype(np.float32))
    y, w = torch.from_numpy(opinions.postures), torch.from_numpy(opinions.weights.astype(np.float32))
    start = torch.from_numpy(np.concatenate([head.body, head.picture], axis=1))
    own = torch.cat([torch.eye(len(start))] * 2, dim=1)
    mixing, offset = start.clone().requires_grad_(), torch.from_numpy(head.offset.copy()).requires_grad_()
    optimiser = torch.optim.Adam([mixing, offset], lr=0.02)
    for _ in range(steps):
        loss = (torch.nn.functional.cross_entropy(x @ mixing.T + offset, y, reduction="none") * w).sum() / w.sum()
        away = (mixing - start) ** 2
        loss = loss + penalty * ((away * (own + 3 * (1 - own))).sum() + 0.3 * (offset**2).sum())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    body, picture = np.split(mixing.detach().numpy(), 2, axis=1)
    return replace(head, body=body, picture=picture, offset=offset.detach().numpy())
