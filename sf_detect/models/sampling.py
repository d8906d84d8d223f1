"""From one dense clip to the pathways of a network: which frames the slow pathway sees, what the fast one sees.

Rules for the slow pathway, out of T frames, every `alpha`-th:

- "linspace": T // alpha points from the first to the last frame, truncated. The published rule, which every public
  checkpoint was trained with; 32 frames at alpha 4 give 0 4 8 13 17 22 26 31, which is not a stride of 4.
- "first": the first of each group of `alpha` frames, 0 4 8 12 ...
- "last": the last of each group, 3 7 11 15 ...; the only one under which a causal network needs no later frame, and
  the one that streaming uses.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sf_detect.errors import ConfigError, UnknownNameError

SLOW_INDEX_RULES = ("linspace", "first", "last")
FAST_INPUTS = ("rgb", "grey", "time_difference")
#: Luma weights of ITU-R BT.601, for RGB.
_LUMA = (0.299, 0.587, 0.114)


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


def fast_view(clip: Tensor, kind: str = "rgb", scale: float = 1.0) -> Tensor:
    """The weaker inputs of the fast pathway (paper, table 5c); optical flow is computed elsewhere.

    Args:
        clip: (B, 3, T, H, W) RGB.
        kind: "rgb"; "grey" (one channel); "time_difference" (grey, each frame minus the one before it, the first
            one zero: one channel, as the published cost implies).
        scale: Spatial scale, 0.5 for half resolution.

    Returns:
        (B, 3 or 1, T, H * scale, W * scale).
    """
    if kind not in FAST_INPUTS:
        raise UnknownNameError("fast input", kind, FAST_INPUTS)
    if kind != "rgb":
        luma = torch.tensor(_LUMA, dtype=clip.dtype, device=clip.device).reshape(1, 3, 1, 1, 1)
        clip = (clip * luma).sum(1, keepdim=True)
    if kind == "time_difference":
        clip = torch.cat([torch.zeros_like(clip[:, :, :1]), clip[:, :, 1:] - clip[:, :, :-1]], 2)
    if scale != 1.0:
        clip = F.interpolate(clip, scale_factor=(1.0, scale, scale), mode="trilinear", align_corners=False)
    return clip


def pack_pathways(
    clip: Tensor, alpha: int | None, rule: str = "linspace", *, fast_input: str = "rgb", fast_scale: float = 1.0
) -> list[Tensor]:
    """Splits a dense clip into the inputs of a network.

    Args:
        clip: (B, C, T, H, W), normalised.
        alpha: Frame-rate ratio; None for a network of one pathway, which sees every frame.
        rule: See `slow_index`.
        fast_input, fast_scale: See `fast_view`.

    Returns:
        `[slow, fast]`, or `[clip]` without `alpha`.
    """
    if alpha is None:
        return [clip]
    index = torch.tensor(slow_index(clip.shape[2], alpha, rule), device=clip.device)
    return [clip.index_select(2, index), fast_view(clip, fast_input, fast_scale)]
