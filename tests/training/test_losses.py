import pytest
import torch

from sf_detect.models.preprocessing import Preprocessing
from sf_detect.training.clip_dataset import ClipBatch
from sf_detect.training.losses import ActionLoss, scores_of


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


@pytest.mark.parametrize("kind", ["softmax", "sigmoid"])
def test_the_loss_at_every_position_is_their_mean(kind):
    logits = torch.tensor([[[2.0, -1.0], [0.0, 1.0]], [[0.5, 9.0], [3.0, 1.0]]])
    targets = batch([[1.0, 0.0], [0.0, 1.0]], [0, 1])
    loss, figures = ActionLoss(kind)(logits, targets)
    steps = [ActionLoss(kind)(logits[:, step], targets)[0].item() for step in (0, 1)]
    assert loss.item() == pytest.approx(sum(steps) / 2)
    assert figures["accuracy"] == 1  # of the mean logits


@pytest.mark.parametrize(("every", "shape"), [(True, (2, 5, 3)), (False, (2, 3))])
def test_positions_are_averaged_unless_the_network_wants_the_loss_at_each(every, shape):
    class Network(torch.nn.Linear):
        loss_at_every_position = every

        def forward(self, pathways):
            return torch.zeros(2, 5, 1, 1, 3)

    network = Network(1, 1)
    wrapped = torch.nn.DataParallel(network)  # holds it as `module`, as the distributed one does
    preprocessing = Preprocessing(8, (0.5,) * 3, (0.5,) * 3)
    none = torch.zeros(0)
    clips = ClipBatch(torch.zeros(2, 4, 8, 8, 3, dtype=torch.uint8), none, none, none, none)
    assert scores_of(network, preprocessing, clips, False).shape == shape
    assert scores_of(wrapped, preprocessing, clips, False).shape == shape


def test_the_recurrent_network_is_trained_at_every_step():
    from sf_detect.models.convnet_lstm import ConvNetLSTM

    assert ConvNetLSTM.loss_at_every_position
