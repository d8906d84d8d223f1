import pytest
import torch

from sf_detect.models.inception_folded import fold_inception
from sf_detect.models.inception_i3d import InceptionI3D, InceptionV1, Unit3D


def randomise(network):
    generator = torch.Generator().manual_seed(3)
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm3d):
            for tensor in (module.running_mean, module.bias.data):
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 0.1)
            module.running_var.copy_(torch.rand(module.running_var.shape, generator=generator) + 0.5)
    return network.eval()


@pytest.mark.parametrize(("inflated", "shape"), [(True, (2, 3, 9, 48, 70)), (False, (1, 3, 2, 64, 64))])
def test_maps_are_the_same(inflated, shape):
    torch.manual_seed(0)
    network = randomise(InceptionV1(inflated=inflated))
    clip = torch.rand(shape, generator=torch.Generator().manual_seed(1)) * 2 - 1
    stages = ("mixed_3c", "mixed_4f", "mixed_5c")
    with torch.inference_mode():
        before = network.features(clip, stages)
        after = fold_inception(network).features(clip, stages)
    for stage in stages:
        assert after[stage].shape == before[stage].shape
        assert torch.allclose(after[stage], before[stage], rtol=1e-3, atol=1e-4 * float(before[stage].abs().max()))


def test_no_unit_is_left_and_other_layers_stay():
    network = InceptionI3D(5).eval()
    classifier = network.classifier
    folded = fold_inception(network)
    assert folded is network
    assert folded.classifier is classifier
    assert not any(isinstance(module, Unit3D) for module in folded.modules())
