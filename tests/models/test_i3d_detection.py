import pytest
import torch

from sf_detect.errors import ConfigError
from sf_detect.models.i3d_detection import NUM_FEATURES, backbone_state, i3d_detector, pool_boxes
from sf_detect.models.inception_i3d import InceptionI3D
from sf_detect.weights.checkpoint import read_checkpoint, write_safetensors
from sf_detect.zoo import table as zoo


@torch.inference_mode()
def test_scores_boxes_and_whole_frames():
    torch.manual_seed(0)
    network = i3d_detector(3).eval()
    clip = torch.randn(2, 3, 8, 64, 96)
    boxes = torch.tensor([[0, 0, 0, 40, 60], [1, 10, 5, 90, 60], [1, 0, 0, 96, 64.0]])
    assert network([clip], boxes).shape == (3, 3)
    assert network([clip]).shape == (2, 3)
    assert network([clip], boxes[:0]).shape == (0, 3)


def test_takes_one_pathway():
    with pytest.raises(ConfigError, match="one pathway"):
        i3d_detector(2)([torch.zeros(1, 3, 8, 32, 32)] * 2)


def test_trend_tells_an_action_from_its_reverse():
    torch.manual_seed(0)
    maps = {"mixed_4f": torch.rand(1, 832, 4, 4, 4), "mixed_5c": torch.rand(1, 1024, 2, 2, 2)}
    forth, back = pool_boxes(maps, None), pool_boxes({k: v.flip(2) for k, v in maps.items()}, None)
    assert forth.shape == (1, NUM_FEATURES)
    torch.testing.assert_close(forth[:, :832], back[:, :832])
    torch.testing.assert_close(forth[:, 832:1664], -back[:, 832:1664])


def test_it_trains():
    network = i3d_detector(2)
    network([torch.randn(2, 3, 16, 64, 64)], torch.tensor([[0, 0, 0, 32, 32.0]])).sum().backward()
    assert network.projection.weight.grad.abs().sum() > 0
    assert network.backbone.stages["conv_1a"].conv.weight.grad.abs().sum() > 0


def test_a_head_is_completed_by_its_backbone(tmp_path):
    torch.manual_seed(0)
    classifier, detector = InceptionI3D(4), i3d_detector(21)
    head = {k: v for k, v in detector.state_dict().items() if k.startswith("projection.")}
    write_safetensors(head, tmp_path / "head.safetensors", {"format": "pt"})
    write_safetensors(classifier.state_dict(), tmp_path / "backbone.safetensors", {"format": "pt"})
    network = zoo.load_network("i3d_jhmdb", tmp_path / "head.safetensors", backbone=tmp_path / "backbone.safetensors")
    for name, tensor in backbone_state(classifier.state_dict()).items():
        assert torch.equal(network.state_dict()[name], tensor)
    assert torch.equal(network.projection.weight, detector.projection.weight)
    complete = tmp_path / "complete.safetensors"
    write_safetensors(detector.state_dict(), complete, {"format": "pt"})
    assert zoo.with_backbone(complete, tmp_path / "none").state.keys() == read_checkpoint(complete).state.keys()


def test_features_of_nothing_have_a_finite_gradient():
    maps = {"mixed_4f": torch.zeros(1, 832, 4, 4, 4), "mixed_5c": torch.zeros(1, 1024, 2, 2, 2)}
    for tensor in maps.values():
        tensor.requires_grad_()
    pool_boxes(maps, None).sum().backward()
    assert all(tensor.grad.isfinite().all() for tensor in maps.values())
