"""Weights of image networks: by name, from a file, and what is said where there are none."""

from urllib.error import URLError

import pytest
import torch
import torchvision

from sf_detect.errors import UnknownNameError, WeightsDownloadError
from sf_detect.zoo.image_networks import image_weights


def test_weights_come_from_a_file_or_by_name(tmp_path, monkeypatch):
    resnet = torchvision.models.resnet50()
    torch.save(resnet.state_dict(), tmp_path / "resnet.pth")
    assert torch.equal(image_weights(tmp_path / "resnet.pth")["conv1.weight"], resnet.conv1.weight)
    with pytest.raises(UnknownNameError, match="Did you mean 'resnet50'"):
        image_weights("resnet5")

    def offline(*_, **__):
        raise URLError("no route")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", offline)
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", offline)
    with pytest.raises(WeightsDownloadError, match=r"ImageNet weights of googlenet cannot be fetched.*no route"):
        image_weights("googlenet")
    monkeypatch.setattr("torchvision.models._api.load_state_dict_from_url", lambda *_, **__: resnet.state_dict())
    assert image_weights("resnet50").keys() == resnet.state_dict().keys()
