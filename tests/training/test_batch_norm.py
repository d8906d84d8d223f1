import copy

import pytest
import torch
from torch import nn

from sf_detect.training.batch_norm import SplitBatchNorm, recompute_statistics, split_batch_norm


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv3d(2, 3, 1), nn.BatchNorm3d(3), nn.ReLU(), nn.Conv3d(3, 4, 1), nn.BatchNorm3d(4))


def clips(count, seed=1):
    return torch.randn(count, 2, 2, 3, 3, generator=torch.Generator().manual_seed(seed)) * 2 + 1


def test_parts_of_a_batch_are_normalised_each_for_itself():
    plain, split = network(), network()
    norms = split_batch_norm(split)
    assert [isinstance(norm, SplitBatchNorm) and isinstance(norm, nn.BatchNorm3d) for norm in norms] == [True, True]
    for norm in norms:
        norm.parts = 3
    x = clips(6)
    expected = torch.cat([copy.deepcopy(plain)(part) for part in x.chunk(3)])
    y = split(x)
    torch.testing.assert_close(y, expected)
    y.square().sum().backward()
    sum(plain(part).square().sum() for part in x.chunk(3)).backward()
    for mine, theirs in zip(split.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, theirs.grad)


def test_running_statistics_follow_the_mean_of_the_parts():
    norm = nn.BatchNorm1d(2, momentum=0.3)
    parts = torch.randn(8, 2).chunk(4)
    expected = torch.stack([part.mean(0) for part in parts]).mean(0) * 0.3
    spread = torch.stack([part.var(0) for part in parts]).mean(0) * 0.3 + 0.7
    (split,) = split_batch_norm(norm)
    split.parts = 4
    norm(torch.cat(parts))
    torch.testing.assert_close(norm.running_mean, expected)
    torch.testing.assert_close(norm.running_var, spread)
    assert norm.momentum == 0.3


def test_without_parts_in_testing_and_as_weights_a_split_one_is_as_ever():
    plain, split = network(), network()
    for norm in split_batch_norm(split):
        norm.parts = 1
    assert torch.equal(plain(clips(4)), split(clips(4)))
    split.load_state_dict(plain.state_dict())
    for norm in split_batch_norm(network()):
        norm.parts = 2
    assert torch.equal(plain.eval()(clips(3)), split.eval()(clips(3)))


def test_recomputed_statistics_are_those_of_all_batches():
    net = nn.Sequential(nn.BatchNorm3d(2), nn.Dropout(0.5))
    batches = [clips(4, seed) for seed in range(5)]
    count = recompute_statistics(net, {"0"}, batches, lambda n, x: n(x))
    values = torch.cat(batches).transpose(0, 1).flatten(1)
    assert count == 5
    assert not net.training
    assert not net[0].training
    assert net[0].momentum == 0.1
    torch.testing.assert_close(net[0].running_mean, values.mean(1))
    torch.testing.assert_close(net[0].running_var, values.var(1), rtol=0.02, atol=0)


def test_deep_layers_see_normalised_batches_and_others_stay_as_they_are():
    net = network()
    before = copy.deepcopy(net.state_dict())
    recompute_statistics(net, {"4"}, [clips(4)], lambda n, x: n(x))
    changed = [name for name, value in net.state_dict().items() if not torch.equal(value, before[name])]
    assert changed == ["4.running_mean", "4.running_var", "4.num_batches_tracked"]
    whole = network()
    recompute_statistics(whole, {"1", "4"}, [clips(4)], lambda n, x: n(x))
    torch.testing.assert_close(whole(clips(4)), network()(clips(4)), rtol=0.02, atol=0.02)  # biased or not


def test_without_batches_statistics_stay():
    net = network()
    assert recompute_statistics(net, {"1", "4"}, [], lambda n, x: n(x)) == 0
    assert net[1].running_var.tolist() == [1, 1, 1]


@pytest.mark.parametrize("kind", [nn.BatchNorm1d, nn.BatchNorm2d])
def test_every_kind_can_be_split(kind):
    (norm,) = split_batch_norm(kind(2))
    norm.parts = 2
    shape = (4, 2) if kind is nn.BatchNorm1d else (4, 2, 3, 3)
    assert norm(torch.randn(shape)).shape == shape


def test_a_split_that_fails_leaves_the_momentum():
    (norm,) = split_batch_norm(nn.BatchNorm1d(2))
    norm.parts = 3
    with pytest.raises(ValueError, match="more than 1 value"):
        norm(torch.randn(3, 2))
    assert norm.momentum == 0.1
