"""What body landmarks make of an action model's scores: postures beside the actions, and surer actions.

Labels of the same name in both (walk, run, jump) become one, with the higher score; the other postures are labels of
their own behind the actions. The arithmetic is here; the classifier (`network`) and how its action scores join those
of an action model (`fusion`) come from the weights file.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from sf_detect.keypoints.looks import Window
from sf_detect.model_spec import ModelSpec
from sf_detect.thresholds import POSTURE

Floats = npt.NDArray[np.float32]

NAMES = ("stand", "walk", "run", "sit", "bend", "crouch", "lie", "jump")
"""Postures and movements, in the classifier's order."""


class ScoreFusion(Protocol):
    """Joins the scores that an action model and body landmarks give to the same C actions.

    Attributes:
        thresholds: (C,) decision thresholds of the joined scores.
    """

    @property
    def thresholds(self) -> Floats: ...

    def __call__(self, actions: Floats, logits: Floats, /) -> Floats:
        """(C,) scores of the action model and (L,) logits of the classifier as (C,) joined scores."""
        ...

    def without_body(self, actions: Floats, /) -> Floats:
        """(C,) joined scores of somebody whose landmarks are not known."""
        ...


class PostureScores:
    """Scores of an action model and of the posture classifier, as scores of one set of labels.

    Args:
        spec: Of the action model, with C labels.
        logits: The classifier: a window to (L,) logits.
        postures: Its logits to (8,) scores of `NAMES`.
        thresholds: (8,) decision thresholds of these.
        fusion: Joins its action scores with the model's; None leaves the model's alone.
        alone: Names of actions that are postures too, of which the posture's score alone counts where it is known.

    Attributes:
        spec: With the postures behind the actions, C' labels in all.
    """

    def __init__(
        self,
        spec: ModelSpec,
        logits: Callable[[Window], Floats],
        postures: Callable[[Floats], Floats],
        thresholds: Sequence[float],
        fusion: ScoreFusion | None = None,
        alone: Collection[str] = (),
    ) -> None:
        self.logits, self._postures, self._fusion = logits, postures, fusion
        self._count = len(spec.labels)
        limits = tuple(spec.thresholds if fusion is None else np.asarray(fusion.thresholds, np.float32).tolist())
        self._shared = [(NAMES.index(name), i) for i, name in enumerate(spec.labels) if name in NAMES]
        self._own = [i for i, name in enumerate(NAMES) if name not in spec.labels]
        self._alone = [action for _, action in self._shared if spec.labels[action] in alone]
        self._knees = [(thresholds[posture], limits[action]) for posture, action in self._shared]
        first_id = max(spec.label_ids, default=0) + 1
        self.spec = replace(
            spec,
            labels=(*spec.labels, *(NAMES[i] for i in self._own)),
            label_ids=(*spec.label_ids, *range(first_id, first_id + len(self._own))),
            thresholds=(*limits, *(float(thresholds[i]) for i in self._own)),
            groups=(*spec.groups, *(POSTURE for _ in self._own)),
        )

    def resized(self, short_side: int) -> PostureScores:
        """The same for an action model that sees pictures of another size."""
        changed = copy.copy(self)
        changed.spec = replace(self.spec, short_side=short_side)
        return changed

    def joined(self, actions: Floats, logits: Sequence[Floats | None]) -> Floats:
        """What is averaged over a track.

        Args:
            actions: (N, C) scores of the action model.
            logits: Of the N persons; None where the landmarks are not known.

        Returns:
            (N, C + 8) joined scores of the actions, then scores of all postures; 0 where they are not known.
        """
        rows = np.zeros((len(logits), self._count + len(NAMES)), np.float32)
        for row, scores, known in zip(rows, actions, logits, strict=True):
            row[: self._count] = self._fused(scores, known)
            if known is not None:
                row[self._count :] = self._postures(known)
        return rows

    def labelled(self, joined: Floats) -> Floats:
        """(N, C + 8) as `joined` gives them as (N, C') scores of the labels of `spec`.

        Of the postures only the likeliest of all has a score, so that nobody sits and stands. A score of one that is an
        action too is stretched so that its threshold meets the action's. Where the classifier alone decides on it, it
        does so for people who do none of the other actions: who hangs on a bar does not jump.
        """
        actions, postures = joined[:, : self._count].copy(), joined[:, self._count :].copy()
        postures[postures < postures.max(axis=1, keepdims=True)] = 0
        alone = postures.any(axis=1) & ~self._acts(actions)
        for (posture, action), (own, other) in zip(self._shared, self._knees, strict=True):
            stretched = np.interp(postures[:, posture], [0.0, own, 1.0], [0.0, other, 1.0])
            if action not in self._alone:
                actions[:, action] = np.maximum(actions[:, action], stretched)
            else:
                actions[alone, action] = stretched[alone]
        return np.concatenate([actions, postures[:, self._own]], axis=1).astype(np.float32)

    def _acts(self, actions: Floats) -> npt.NDArray[np.bool_]:
        """Who does an action that is no posture, by the thresholds, (N,)."""
        others = np.ones(self._count, bool)
        others[[action for _, action in self._shared]] = False
        limits = np.array(self.spec.thresholds[: self._count], np.float32)
        return np.asarray((actions >= limits)[:, others].any(axis=1))

    def _fused(self, actions: Floats, logits: Floats | None) -> Floats:
        if self._fusion is None:
            return actions
        return self._fusion.without_body(actions) if logits is None else self._fusion(actions, logits)
