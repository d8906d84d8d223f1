"""The posture classifier: a small temporal network over `features`, in NumPy.

Each time of the grid is embedded, a temporal convolution of width 3 relates neighbours, and the newest time together
with the mean and the maximum over time is scored. Several networks that were trained alike vote: their logits are
averaged. The training writes the same arrays (`sf_detect/training/postures/classifier.py`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sf_detect.errors import WeightsFormatError
from sf_detect.keypoints.features import COLUMNS, GRID, movement, steps, vertical_range

Floats = npt.NDArray[np.float32]

POSTURES = ("stand", "walk", "run", "sit", "bend", "crouch", "lie", "jump")
"""Postures and movements, in the order of their logits; one logit for none of them follows."""
_LIMIT = 4.0  # standard deviations from which on a feature says no more
STAYS, LEAVES = 0.15, 0.25
"""Heights a second: below the one nobody walks or runs, above the other few stand. Chosen on the yardstick."""
_NOT_WALKING, _NOT_STANDING, _WALKING = 3.0, 1.0, 0.5  # logits
LEVEL, HEAVES = 0.05, 0.1
"""Heights by which hips go up and down within the window: most who stand or sit stay below the one, few are above the
other. Chosen on the yardstick and on footage that was not trained on."""
_NOT_STILL = 2.0  # logits
NO_STEPS, STEPS = 0.3, 0.6
"""Metres by which ankles move against each other within the window: below the one nobody walks on the spot, above the
other somebody may walk whom the camera follows."""
_LARGEST = {"networks": 16, "width": 1024, "actions": 1024}


@dataclass(frozen=True)
class Sizes:
    """How many of what: `networks` of `width`, over `features` numbers at each time, for postures and `actions`."""

    networks: int
    features: int
    width: int
    actions: int

    @property
    def logits(self) -> int:
        """Postures, none of them, actions, none of them."""
        return len(POSTURES) + 1 + self.actions + 1

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of each array of a file."""
        n, f, w = self.networks, self.features, self.width
        return {
            "mean": (n, f),
            "std": (n, f),
            "embed.weight": (n, w, f),
            "embed.bias": (n, w),
            "conv.weight": (n, w, w, 3),
            "conv.bias": (n, w),
            "mix.weight": (n, w, 3 * w),
            "mix.bias": (n, w),
            "head.weight": (n, self.logits, w),
            "head.bias": (n, self.logits),
        }


class PostureNetwork:
    """The classifier.

    Args:
        arrays: By name, as `Sizes.shapes` lists them, finite floating point.
        sizes: What the arrays are for.

    Raises:
        WeightsFormatError: An array is missing, is not known, or has another shape or type.
    """

    def __init__(self, arrays: Mapping[str, npt.NDArray[np.generic]], sizes: Sizes) -> None:
        expected = sizes.shapes()
        if set(arrays) != set(expected):
            raise WeightsFormatError(
                f"posture classifier: arrays {sorted(set(arrays) ^ set(expected))} are missing or not known. "
                "Take the file that ships, or one that `sf-detect train` wrote."
            )
        for name, shape in expected.items():
            given = arrays[name]
            if given.shape != shape or given.dtype.kind != "f" or not np.isfinite(given).all():
                raise WeightsFormatError(
                    f"posture classifier: {name} is {given.dtype} of shape {given.shape}, expected finite floating "
                    f"point of shape {shape}. Take the file that ships, or one that `sf-detect train` wrote."
                )
        self.sizes = sizes
        w: dict[str, Floats] = {name: np.asarray(arrays[name], np.float32) for name in expected}
        n, width = sizes.networks, sizes.width
        # a standard deviation of 0, as a constant feature has it, must not divide
        self._mean, self._std = w["mean"][:, None], np.maximum(w["std"], 1e-3)[:, None]
        # All networks side by side, and what a matrix product wants contiguous so: small products wait for memory.
        self._embed = np.ascontiguousarray(w["embed.weight"].transpose(0, 2, 1)), w["embed.bias"][:, None]
        kernel = np.ascontiguousarray(w["conv.weight"].transpose(0, 3, 2, 1)).reshape(n, 3 * width, width)
        self._conv = kernel, w["conv.bias"][:, None]
        self._mix = w["mix.weight"], w["mix.bias"]
        head = np.ascontiguousarray(w["head.weight"].transpose(1, 0, 2)).reshape(sizes.logits, n * width)
        self._head = head / np.float32(n), w["head.bias"].mean(axis=0, dtype=np.float32)

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, npt.NDArray[np.generic]], metadata: Mapping[str, str]) -> PostureNetwork:
        """The classifier of a file.

        Args:
            arrays: All arrays of the file.
            metadata: Its key `network` holds `Sizes` as JSON.

        Raises:
            WeightsFormatError: The metadata or the arrays are not those of a posture classifier.
        """
        try:
            stated = json.loads(metadata["network"])
            sizes = Sizes(**{name: stated[name] for name in ("networks", "features", "width", "actions")})
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise WeightsFormatError(
                f"posture classifier: the metadata do not describe a network ({error!r}); expected a JSON object "
                "`network` with networks, features, width and actions. Take the file that ships."
            ) from error
        if sizes.features != COLUMNS:
            raise WeightsFormatError(
                f"posture classifier: the file is for {sizes.features!r} features, this version has {COLUMNS}. "
                "Take the file that ships."
            )
        for name, most in _LARGEST.items():
            value = getattr(sizes, name)
            if not (isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= most):
                raise WeightsFormatError(
                    f"posture classifier: {name} is {value!r}, expected a whole number from 1 to {most}."
                )
        return cls(arrays, sizes)

    def logits(self, features: Floats) -> Floats:
        """Scores one person.

        Args:
            features: (len(GRID), D) as `features` returns them.

        Returns:
            (L,) float32: postures, none of them, actions, none of them.
        """
        if features.shape != (len(GRID), self.sizes.features):
            raise WeightsFormatError(
                f"posture classifier: features have shape {features.shape}, the file was trained on "
                f"{(len(GRID), self.sizes.features)}. Take the file that ships with this version."
            )
        return with_movement(self._mean_logits(features), movement(features), vertical_range(features), steps(features))

    def postures(self, logits: Floats) -> Floats:
        """(8,) probabilities of `POSTURES`; what is missing to 1 is none of them."""
        return _softmax(logits[: len(POSTURES) + 1])[:-1]

    def actions(self, logits: Floats) -> Floats:
        """(actions,) probabilities; what is missing to 1 is none of them."""
        return _softmax(logits[len(POSTURES) + 1 :])[:-1]

    def _mean_logits(self, features: Floats) -> Floats:
        """(L,) those of the N networks, each of which has its row of what follows."""
        x = ((features - self._mean) / self._std).clip(-_LIMIT, _LIMIT)
        h = np.maximum(x @ self._embed[0] + self._embed[1], 0)
        times = h.shape[1]
        padded = np.zeros((len(h), times + 2, h.shape[2]), np.float32)
        padded[:, 1:-1] = h
        neighbours = np.concatenate([padded[:, k : k + times] for k in range(3)], axis=2)
        h += np.maximum(neighbours @ self._conv[0] + self._conv[1], 0)
        pooled = np.concatenate([h[:, -1], h.mean(axis=1), h.max(axis=1)], axis=1)
        mixed = np.maximum((self._mix[0] @ pooled[..., None])[..., 0] + self._mix[1], 0)
        return np.asarray(self._head[0] @ mixed.ravel() + self._head[1], np.float32)


def with_movement(logits: Floats, moved: float, vertical: float = 0.0, swing: float = 0.0) -> Floats:
    """Logits of postures that agree with how somebody moved: the networks see steps where there is only unrest.

    A camera that follows a walker hides that it is one; then nothing may be said, or "stand". Whose hips go up and down
    squats, jumps, falls or gets up: they hardly stand or sit, and what they do instead is no more certain for it.

    Args:
        logits: (L,).
        moved: Heights a second, see `movement`.
        vertical: Heights, see `vertical_range`.
        swing: Metres, see `steps`.
    """
    changed = logits.copy()
    if moved < STAYS:
        still = min(max((STEPS - swing) / (STEPS - NO_STEPS), 0.0), 1.0)
        changed[[POSTURES.index("walk"), POSTURES.index("run")]] -= _NOT_WALKING * still
    elif moved > LEAVES:
        changed[POSTURES.index("stand")] -= _NOT_STANDING
        changed[POSTURES.index("walk")] += _WALKING
    doubt = _NOT_STILL * min(max((vertical - LEVEL) / (HEAVES - LEVEL), 0.0), 1.0)
    return _in_doubt(changed, doubt) if doubt else changed


def _in_doubt(logits: Floats, doubt: float) -> Floats:
    """Those of who may not stand or sit after all: what these two lose goes to none of the postures, (L,)."""
    still, none = [POSTURES.index("stand"), POSTURES.index("sit")], len(POSTURES)
    lost = np.logaddexp.reduce(logits[still]) + np.log(-np.expm1(-doubt))
    changed = logits.copy()
    changed[still] -= doubt
    changed[none] = np.logaddexp(logits[none], lost)
    return changed


def _softmax(logits: Floats) -> Floats:
    shifted = np.exp(logits - logits.max())
    return np.asarray(shifted / shifted.sum(), np.float32)
