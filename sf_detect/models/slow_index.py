"""Which frames of a clip the slow pathway sees. Needs no torch.

Rules for the slow pathway, out of T frames, every `alpha`-th:

- "linspace": T // alpha points from the first to the last frame, truncated. The published rule, which every public
  checkpoint was trained with; 32 frames at alpha 4 give 0 4 8 13 17 22 26 31, which is not a stride of 4.
- "first": the first of each group of `alpha` frames, 0 4 8 12 ...
- "last": the last of each group, 3 7 11 15 ...; the only one under which a causal network needs no later frame, and
  the one that streaming uses.
"""

from __future__ import annotations

from sf_detect.errors import ConfigError, UnknownNameError

SLOW_INDEX_RULES = ("linspace", "first", "last")


def slow_index(num_frames: int, alpha: int, rule: str = "linspace") -> list[int]:
    """Indices of the frames that the slow pathway sees.

    Args:
        num_frames: Frames of the fast pathway, a multiple of `alpha`.
        alpha: Frame-rate ratio of the pathways.
        rule: One of `SLOW_INDEX_RULES`.

    Returns:
        `num_frames // alpha` increasing indices.

    Raises:
        UnknownNameError: The rule is not known.
        ConfigError: `num_frames` is not a positive multiple of `alpha`.
    """
    if rule not in SLOW_INDEX_RULES:
        raise UnknownNameError("slow index rule", rule, SLOW_INDEX_RULES)
    if alpha < 1 or num_frames < 1 or num_frames % alpha:
        raise ConfigError(f"a clip has a positive multiple of alpha={alpha} frames, got {num_frames}")
    count = num_frames // alpha
    if rule == "first":
        return list(range(0, num_frames, alpha))
    if rule == "last":
        return list(range(alpha - 1, num_frames, alpha))
    # Whole-number arithmetic: with float32 the exact points (21 and 42 of 64 frames) could truncate to one less.
    return [i * (num_frames - 1) // max(count - 1, 1) for i in range(count)]
