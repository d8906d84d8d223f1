"""RoIAlign followed by the mean over its cells, in one matrix product.

RoIAlign (He et al., "Mask R-CNN", ICCV 2017, section 3) reads a map at points inside a box by bilinear interpolation.
Where only the mean over all cells is wanted, each pixel of the map just counts with a weight, which is the product of
one for its row and one for its column: nothing has to be sampled.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

_SAMPLES = 2


def mean_roi_align(maps: Tensor, boxes: Tensor, cells: int, scale: float) -> Tensor:
    """The mean over the cells of an aligned RoIAlign with 2 x 2 samples a cell.

    Args:
        maps: (B, C, H, W).
        boxes: (N, 5) index into the batch and xyxy in input pixels.
        cells: Of RoIAlign along each axis.
        scale: Pixels of the map per input pixel.

    Returns:
        (N, C).
    """
    x1, y1, x2, y2 = (boxes[:, 1:].to(maps) * scale - 0.5).unbind(1)
    rows = _weights(y1, y2, cells * _SAMPLES, maps.shape[2])
    columns = _weights(x1, x2, cells * _SAMPLES, maps.shape[3])
    batch = F.one_hot(boxes[:, 0].long(), len(maps)).to(maps)
    weights = torch.einsum("nb,nh,nw->nbhw", batch, rows, columns)
    return weights.flatten(1) @ maps.permute(0, 2, 3, 1).flatten(0, 2)


def _weights(low: Tensor, high: Tensor, samples: int, size: int) -> Tensor:
    """How much each of `size` pixels counts in the mean over evenly spaced points from `low` to `high` (N,): (N, size).

    As in RoIAlign, a point within a pixel of the border takes the border's value, one further out is zero.
    """
    steps = (torch.arange(samples, device=low.device, dtype=low.dtype) + 0.5) / samples
    points = low[:, None] + (high - low)[:, None] * steps
    inside = (points >= -1) & (points <= size)
    pixels = torch.arange(size, device=low.device, dtype=low.dtype)
    interpolation = (1 - (points.clamp(0, size - 1)[..., None] - pixels).abs()).clamp(min=0)
    return (interpolation * inside[..., None]).mean(1)
