"""Video networks that start from image networks; a video that stands still shows whether they do."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import Tensor, nn
from torch.nn.functional import pad
from torchvision.models.resnet import Bottleneck, ResNet

from sf_detect.errors import ConfigError, WeightsMismatchError
from sf_detect.models import inflation
from sf_detect.models.bn_inception import BNInception
from sf_detect.models.c3d import C3D
from sf_detect.models.inception_i3d import InceptionI3D, InceptionV1
from sf_detect.models.inflation import across_channels, across_modalities, inflate, initialise_from_image
from sf_detect.models.slowfast import I3D_KERNELS, SLOW_KERNELS, SlowFast
from sf_detect.models.tsn import tsn


def lively(network: nn.Module) -> nn.Module:
    """Statistics and scales other than one and zero, so that a tensor in the wrong place shows."""
    generator = torch.Generator().manual_seed(0)
    for name, value in network.state_dict().items():
        if name.endswith(("bn.running_mean", "bn1.running_mean", "bn.bias", "bn3.bias")):
            value.uniform_(-0.1, 0.1, generator=generator)
        elif name.endswith(("running_var", "bn1.weight", "bn2.weight", "bn.weight")):
            value.uniform_(0.5, 1.5, generator=generator)
    return network.eval()


@pytest.fixture(scope="module")
def googlenet() -> nn.Module:
    torch.manual_seed(0)
    return lively(torchvision.models.googlenet(weights=None, aux_logits=True, init_weights=False))


def test_a_kernel_is_repeated_and_divided():
    kernel = torch.rand(2, 3, 5, 5)
    assert torch.equal(inflate(kernel, 4)[:, :, 1], kernel / 4)
    torch.testing.assert_close(inflate(kernel, 7).sum(2), kernel)


def test_channels_are_averaged_and_repeated():
    kernel = torch.rand(4, 3, 7, 7)
    flow = across_channels(kernel, 2)
    assert flow.shape == (4, 2, 7, 7)
    torch.testing.assert_close(flow[:, 1], kernel.mean(1))


def googlenet_features(network: nn.Module, images: Tensor) -> Tensor:
    """The last Inception block, with TensorFlow's padding of the first convolution: the only thing that differs."""
    padding, network.conv1.conv.padding = network.conv1.conv.padding, (0, 0)
    x = network.maxpool1(network.conv1(pad(images, (2, 3, 2, 3))))
    network.conv1.conv.padding = padding
    x = network.maxpool2(network.conv3(network.conv2(x)))
    for name, module in network.named_children():
        if name.startswith("inception") or name in ("maxpool3", "maxpool4"):
            x = module(x)
    return x


@torch.inference_mode()
def test_a_boring_video_has_the_image_networks_activations(googlenet):
    network = InceptionI3D(3).eval()
    untouched = initialise_from_image(network, googlenet.state_dict())
    assert untouched == ["classifier.weight", "classifier.bias"]
    image = torch.rand(1, 3, 64, 64) * 2 - 1
    video = image[:, :, None].expand(-1, -1, 112, -1, -1)
    features = network.features(video)["mixed_5c"]
    # 99 frames are seen by one moment; the middle one of 112 frames sees no padding.
    expected = googlenet_features(googlenet, image)
    assert expected.abs().max() > 1e-3
    torch.testing.assert_close(features[:, :, 7], expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())
    assert not torch.allclose(features[:, :, 0], features[:, :, 7])


@torch.inference_mode()
def test_the_image_form_treats_every_frame_as_the_image_network(googlenet):
    network = InceptionV1(inflated=False).eval()
    assert initialise_from_image(network, googlenet.state_dict()) == []
    frames = torch.rand(1, 3, 3, 64, 64) * 2 - 1
    features = network.features(frames)["mixed_5c"]
    expected = googlenet_features(googlenet, frames[0].transpose(0, 1)).transpose(0, 1)
    torch.testing.assert_close(features[0], expected, rtol=1e-4, atol=1e-5 * expected.abs().max().item())


def test_the_flow_stream_starts_from_rgb(googlenet):
    network = InceptionI3D(3, in_channels=2)
    initialise_from_image(network, googlenet.state_dict())
    weight = network.stages["conv_1a"].conv.weight
    assert weight.shape == (64, 2, 7, 7, 7)
    torch.testing.assert_close(weight[:, 0, 3], googlenet.conv1.conv.weight.mean(1) / 7)


def test_the_flow_stream_starts_from_a_video_network_of_rgb():
    rgb, flow = InceptionI3D(3), InceptionI3D(3, in_channels=2)
    flow.load_state_dict(across_modalities(rgb.state_dict(), 2))
    first = rgb.stages["conv_1a"].conv.weight
    torch.testing.assert_close(flow.stages["conv_1a"].conv.weight[:, 1], first.mean(1))
    assert torch.equal(flow.classifier.weight, rgb.classifier.weight)


BLOCKS = (1, 1, 2, 1)


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    torch.manual_seed(0)
    return lively(ResNet(Bottleneck, list(BLOCKS)))


def resnet_features(network: nn.Module, images: Tensor) -> Tensor:
    return nn.Sequential(*list(network.children())[:-2])(images)


@pytest.mark.parametrize(("kernels", "pool"), [(SLOW_KERNELS, 1), (I3D_KERNELS, 2)])
@torch.inference_mode()
def test_a_boring_video_in_the_video_resnets(resnet, kernels, pool):
    options = {"slow_kernels": kernels, "temporal_pool": pool, "nonlocal_blocks": {4: (1,)}}
    network = SlowFast(3, pathways="slow", depth=BLOCKS, **options).eval()
    untouched = initialise_from_image(network, resnet.state_dict())
    assert {name.split(".")[0] for name in untouched} == {"s4", "head"}
    assert all("nonlocal" in name or "head" in name for name in untouched)
    images = torch.rand(2, 3, 64, 64)
    (features,) = network.features([images[:, :, None].expand(-1, -1, 24, -1, -1)])
    expected = resnet_features(resnet, images)
    torch.testing.assert_close(features[:, :, features.shape[2] // 2], expected, rtol=1e-4, atol=1e-5)


@torch.inference_mode()
def test_the_slow_pathway_of_slowfast_starts_from_images(resnet):
    network = SlowFast(3, depth=BLOCKS, alpha=2, beta=1 / 8).eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    untouched = initialise_from_image(network, resnet.state_dict())
    assert any("pathway1" in name for name in untouched)
    assert all("pathway0" not in name for name in untouched)
    first = network.s2.pathway0_res0.branch2.a.weight
    assert torch.equal(first[:, 64:], before["s2.pathway0_res0.branch2.a.weight"][:, 64:])
    for name, module in network.named_modules():
        if name.endswith("_fuse"):
            module.bn.weight.zero_()  # without laterals the slow pathway is the image network
    images = torch.rand(1, 3, 64, 64)
    slow = images[:, :, None].expand(-1, -1, 12, -1, -1)
    features = network.features([slow, torch.rand(1, 3, 24, 64, 64)])[0]
    torch.testing.assert_close(features[:, :, 6], resnet_features(resnet, images), rtol=1e-4, atol=1e-5)


def test_torchvisions_depths_fit_ours():
    for name, depth in (("resnet50", 50), ("resnet101", 101)):
        with torch.device("meta"):
            image, video = torchvision.models.get_model(name), SlowFast(3, pathways="slow", depth=depth)
        state = {inflation._from_resnet(n): v for n, v in image.state_dict().items() if "num_batches" not in n}
        own = {n: v for n, v in video.state_dict().items() if "head" not in n and "num_batches" not in n}
        assert state.keys() - {None} == own.keys()
        assert all(state[n].shape == v.shape[:2] + v.shape[3:] for n, v in own.items())


def test_the_backbone_of_tsn_starts_from_a_file_of_bn_inception():
    image = BNInception().state_dict()
    public = {name: value[None] if value.ndim == 1 and "_bn" in name else value for name, value in image.items()}
    public["last_linear.weight"] = torch.zeros(1000, 1024)
    rgb, flow = tsn(3), tsn(3, modality="flow")
    assert initialise_from_image(rgb, public) == ["new_fc.weight", "new_fc.bias"]
    assert torch.equal(rgb.base_model.conv1_7x7_s2.weight, image["conv1_7x7_s2.weight"])
    assert torch.equal(rgb.base_model.inception_5b_pool_proj_bn.bias, image["inception_5b_pool_proj_bn.bias"])
    initialise_from_image(flow, public)
    torch.testing.assert_close(flow.base_model.conv1_7x7_s2.weight[:, 9], image["conv1_7x7_s2.weight"].mean(1))


def test_another_depth_changes_nothing(resnet):
    network = SlowFast(3, pathways="slow", depth=(1, 1, 1, 1))
    before = network.s1.pathway0_stem.conv.weight.clone()
    with pytest.raises(WeightsMismatchError, match=r"unexpected: s4\.pathway0_res1\.branch2\.a\.weight"):
        initialise_from_image(network, resnet.state_dict())
    with pytest.raises(WeightsMismatchError, match=r"s1\.pathway0_stem\.conv\.weight \(64, 3, 7, 7\) for \(32, 3"):
        initialise_from_image(SlowFast(3, pathways="slow", depth=BLOCKS, width=32), resnet.state_dict())
    assert torch.equal(network.s1.pathway0_stem.conv.weight, before)


def test_networks_without_an_image_twin_are_refused(resnet):
    with pytest.raises(ConfigError, match="C3D has nothing that this image network"):
        initialise_from_image(C3D(3, width=32), resnet.state_dict())
    with pytest.raises(ConfigError, match=r"start with \['features.0.weight'\]"):
        initialise_from_image(InceptionI3D(3), {"features.0.weight": torch.zeros(1)})
