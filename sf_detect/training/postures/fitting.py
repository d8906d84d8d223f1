"""How the classifier's scores are fused with an action model's, and from which score on a label is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from sf_detect.keypoints.fusion import Fusion

Floats = npt.NDArray[np.float64]


@dataclass
class FusionRecipe:
    """What is tried; the best cross-entropy on clips that neither model was trained on is taken.

    Attributes:
        action_weights: Exponents of the action model's probabilities.
        body_weights: Exponents of the classifier's.
        none_biases: Added to the logit of "none".
        bystander: Weight of all persons who do none of the actions, together, beside all who do one.
        alone: Actions by J-HMDB's names that are left to the body.
    """

    action_weights: list[float] = field(default_factory=lambda: [1.0])
    body_weights: list[float] = field(default_factory=lambda: [0.6])
    none_biases: list[float] = field(default_factory=lambda: [0.0])
    bystander: float = 0.3
    alone: list[str] = field(default_factory=lambda: ["clap", "wave"])


def fused(fusion: Fusion, scores: npt.NDArray, logits: npt.NDArray) -> npt.NDArray[np.float32]:
    """Fused scores (N, C) of N persons."""
    return np.stack([fusion(s, z) for s, z in zip(scores, logits, strict=True)])


def fit_fusion(
    scores: npt.NDArray, logits: npt.NDArray, actions: npt.NDArray, recipe: FusionRecipe, names: Sequence[str] = ()
) -> Fusion:
    """The weights with the least cross-entropy.

    Args:
        scores: (N, C) of the action model.
        logits: (N, L) of the classifier.
        actions: (N,) true column, C for none.
        recipe: What is tried; of nobody, the first of it is taken.
        names: Of the C actions, J-HMDB's; those of the recipe that are not among them are nobody's.
    """
    count = scores.shape[1]
    alone = tuple(i for i, name in enumerate(names) if name in recipe.alone)
    if not len(scores):
        return Fusion(
            recipe.action_weights[0], recipe.body_weights[0], recipe.none_biases[0], np.zeros(count, np.float32), alone
        )
    acting = actions < count
    weight = np.where(acting, 1 / max(acting.sum(), 1), recipe.bystander / max((~acting).sum(), 1))
    best: tuple[float, Fusion] | None = None
    for action_weight in recipe.action_weights:
        for body_weight in recipe.body_weights:
            for bias in recipe.none_biases:
                fusion = Fusion(action_weight, body_weight, bias, np.zeros(count, np.float32), alone)
                found = fused(fusion, scores, logits).astype(np.float64)
                right = np.append(found, 1 - found.sum(1, keepdims=True), axis=1)[np.arange(len(found)), actions]
                loss = float(-(weight * np.log(right.clip(1e-6))).sum())
                if best is None or loss < best[0]:
                    best = loss, fusion
    assert best is not None
    return best[1]


def cross_fitted(
    scores: npt.NDArray,
    logits: npt.NDArray,
    actions: npt.NDArray,
    folds: npt.NDArray,
    recipe: FusionRecipe,
    names: Sequence[str] = (),
) -> npt.NDArray[np.float32]:
    """(N, C) scores of each fold, fused with weights that were fitted on the other folds."""
    found = np.zeros(scores.shape, np.float32)
    for fold in np.unique(folds):
        mine = folds == fold
        fusion = fit_fusion(scores[~mine], logits[~mine], actions[~mine], recipe, names)
        found[mine] = fused(fusion, scores[mine], logits[mine])
    return found
