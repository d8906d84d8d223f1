import pytest
import torch

from sf_detect.training.clip_dataset import ClipBatch
from sf_detect.training.losses import ActionLoss


def batch(targets, kept):
    none = torch.zeros(0)
    return ClipBatch(none, none, torch.tensor(targets), none, torch.tensor(kept))


def test_sigmoid_weighs_background():
    logits = torch.tensor([[2.0, -1.0], [0.5, 0.0]])
    boxes = batch([[1.0, 0.0], [0.0, 0.0]], [0, -1])
    rows = torch.nn.functional.binary_cross_entropy_with_logits(logits, boxes.targets, reduction="none").mean(1)
    loss, figures = ActionLoss("sigmoid", background=0.5)(logits, boxes)
    assert loss.item() == pytest.approx(((rows[0] + 0.5 * rows[1]) / 1.5).item())
    assert figures["accuracy"] == 1


def test_softmax_passes_over_rows_without_a_label():
    logits = torch.tensor([[2.0, -1.0], [0.5, 9.0]])
    loss, _ = ActionLoss("softmax")(logits, batch([[1.0, 0.0], [0.0, 0.0]], [0, 1]))
    assert loss.item() == pytest.approx(torch.nn.functional.cross_entropy(logits[:1], torch.tensor([0])).item())


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_no_rows_cost_nothing(kind):
    logits = torch.zeros(0, 2, requires_grad=True)
    loss, _ = ActionLoss(kind)(logits, ClipBatch(*[torch.zeros(0)] * 2, torch.zeros(0, 2), *[torch.zeros(0)] * 2))
    loss.backward()
    assert loss == 0
