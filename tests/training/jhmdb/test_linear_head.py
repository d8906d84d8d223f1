import torch

from sf_detect.models.classification_head import activate
from sf_detect.training.jhmdb.linear_head import NONE, fit_linear


def points(*centres, count=20):
    generator = torch.Generator().manual_seed(0)
    return torch.cat([torch.tensor(c) + 0.1 * torch.randn(count, 2, generator=generator) for c in centres])


def test_what_is_none_of_the_classes_scores_low_for_all():
    features = points([4.0, 0.0], [0.0, 4.0], [0.0, 0.0])
    targets = torch.tensor([0, 1, NONE]).repeat_interleave(20)
    scores = activate(fit_linear(features, targets, 0.001)(features), "softmax_or_none")
    assert torch.equal(scores[:40].argmax(1), targets[:40])
    assert scores[:40].amax(1).min() > 0.6
    assert scores[40:].amax(1).max() < 0.3


def test_weights_decide_where_examples_disagree():
    features, targets = points([1.0, 0.0], [1.0, 0.0]), torch.tensor([0, 1]).repeat_interleave(20)
    weights = torch.tensor([1.0, 9.0]).repeat_interleave(20)
    assert (fit_linear(features, targets, 0.001, weights)(torch.tensor([[1.0, 0.0]])).argmax() == 1).all()
