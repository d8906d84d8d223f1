"""From one dense clip to the pathways of a network: which frames the slow pathway sees, what the fast one sees.

Which frames the slow pathway sees is `slow_index`'s.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from sf_detect.errors import UnknownNameError
from sf_detect.models.slow_index import slow_index

FAST_INPUTS = ("rgb", "grey", "time_difference")
#: Luma weights of ITU-R BT.601, for RGB.
_LUMA = (0.299, 0.587, 0.114)


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
