import pytest
import torch
from torchvision.ops import roi_align

from sf_detect.models.roi_mean import mean_roi_align


def some_boxes(count=40, batch=2):
    """Boxes of all sizes, many of them partly outside a map of 224 x 160 input pixels, some of no width."""
    corners = torch.rand(count, 2, 2) * 400 - 100
    corners[:3, 1, 0] = corners[:3, 0, 0]
    low, high = corners.amin(1), corners.amax(1)
    return torch.cat([torch.randint(batch, (count, 1)).float(), low, high], 1)


@pytest.mark.parametrize(("cells", "scale", "size"), [(4, 1 / 32, (5, 7)), (8, 1 / 16, (10, 14))])
def test_equals_the_mean_of_roi_align(cells, scale, size):
    torch.manual_seed(0)
    maps, boxes = torch.randn(2, 6, *size), some_boxes()
    expected = roi_align(maps, boxes, cells, scale, sampling_ratio=2, aligned=True).mean((2, 3))
    torch.testing.assert_close(mean_roi_align(maps, boxes, cells, scale), expected, atol=2e-6, rtol=1e-5)


def test_gradients_are_those_of_roi_align():
    torch.manual_seed(0)
    maps, boxes = torch.randn(2, 3, 5, 7, requires_grad=True), some_boxes(9)
    (expected,) = torch.autograd.grad(roi_align(maps, boxes, 4, 1 / 32, 2, True).mean((2, 3)).square().sum(), maps)
    (got,) = torch.autograd.grad(mean_roi_align(maps, boxes, 4, 1 / 32).square().sum(), maps)
    torch.testing.assert_close(got, expected, atol=2e-6, rtol=1e-5)


def test_no_boxes_give_no_rows():
    assert mean_roi_align(torch.rand(2, 3, 5, 7), torch.zeros(0, 5), 4, 1 / 32).shape == (0, 3)
