"""The action model's scores and those of the body's movement as one score for each action.

Both are probabilities over the same actions and "none" (a softmax on both sides), so they are fused as a product of
experts: weighted logarithms add up, and what only one of the two believes in keeps little (Hinton, Training Products of
Experts, Neural Computation 2002, without retraining the experts). Some actions, of which the action model is often sure
where nobody does them, are left to the body alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sf_detect.errors import WeightsFormatError
from sf_detect.keypoints.network import POSTURES

Floats = npt.NDArray[np.float32]

_LEAST = 1e-4  # of a probability: an expert may doubt an action, not rule it out
_MOST_WEIGHT = 100.0


@dataclass(frozen=True, eq=False)
class Fusion:
    """How scores of one action model are fused; made by `from_metadata`.

    Attributes:
        action_weight: Exponent of the action model's probabilities.
        body_weight: Exponent of the classifier's.
        none_bias: Added to the logit of "none".
        thresholds: (C,) float32 decision thresholds of the fused scores.
        alone: Columns of the actions whose score is that of the body.
    """

    action_weight: float
    body_weight: float
    none_bias: float
    thresholds: Floats
    alone: tuple[int, ...] = ()

    @classmethod
    def from_metadata(cls, metadata: Mapping[str, str], model: str, actions: Sequence[str]) -> Fusion | None:
        """The fusion of a file of the posture classifier with an action model.

        Args:
            metadata: Of the file; the key `fusion` holds a JSON object by the names of action models.
            model: The action model's name.
            actions: The C labels of that model, in its order; those of the classifier's actions.

        Returns:
            None where the file knows no such model.

        Raises:
            WeightsFormatError: The entry is not one of a fusion with these actions.
        """
        try:
            entries = json.loads(metadata.get("fusion", "{}"))
            entry = entries.get(model) if isinstance(entries, dict) else None
            if entry is None:
                return None
            weights = [float(entry[key]) for key in ("action_weight", "body_weight", "none_bias")]
            thresholds = np.array([float(entry["thresholds"][name]) for name in actions], np.float32)
            alone = tuple(list(actions).index(name) for name in entry.get("alone", []))
        except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
            raise WeightsFormatError(
                f"posture classifier: the metadata do not describe how its scores are fused with those of {model} "
                f"({type(error).__name__}: {error}); expected action_weight, body_weight, none_bias, a threshold for "
                "each action, and actions under alone. Take the file that ships."
            ) from error
        if not (np.abs(weights) <= _MOST_WEIGHT).all() or not ((thresholds >= 0) & (thresholds <= 1)).all():
            raise WeightsFormatError(
                f"posture classifier: fusion with {model} has weights {weights} and thresholds {thresholds.tolist()}; "
                f"expected weights up to {_MOST_WEIGHT:g} and thresholds from 0 to 1. Take the file that ships."
            )
        return cls(weights[0], weights[1], weights[2], thresholds, alone)

    def __call__(self, action_scores: Floats, logits: Floats) -> Floats:
        """Fused scores of one person.

        Args:
            action_scores: (C,) probabilities of the action model; what is missing to 1 is "none".
            logits: (L,) of the classifier, for the looks up to the same time.

        Returns:
            (C,) float32 probabilities.
        """
        body = np.asarray(logits, np.float64)[len(POSTURES) + 1 :]
        body -= np.logaddexp.reduce(body)
        found, mine = self._fused(action_scores, body), list(self.alone)
        found[mine] = np.exp(body[mine])
        return found

    def without_body(self, action_scores: Floats) -> Floats:
        """(C,) for a person whose body was not looked at: the classifier has no opinion, and decides on nothing."""
        found = self._fused(action_scores, np.full(len(action_scores) + 1, -np.log(len(action_scores) + 1)))
        found[list(self.alone)] = 0.0
        return found

    def _fused(self, action_scores: Floats, body: npt.NDArray[np.float64]) -> Floats:
        scores = np.asarray(action_scores, np.float64)
        known = np.log(np.append(scores, 1 - scores.sum()).clip(_LEAST, 1))
        total = self.action_weight * known + self.body_weight * np.maximum(body, np.log(_LEAST))
        total[-1] += self.none_bias
        return np.asarray(np.exp(total - np.logaddexp.reduce(total))[:-1], np.float32)
