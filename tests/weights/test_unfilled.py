import subprocess
import sys

import pytest
import torch

from sf_detect.weights.unfilled import unfilled
from sf_detect.zoo.table import ZOO


@pytest.mark.parametrize("name", ["slowfast_tiny_jhmdb", "i3d_jhmdb", "ava_slowfast_8x8_r101_nl", "k400_x3d_s"])
def test_has_names_and_shapes_but_no_values(name):
    with unfilled():
        network = ZOO[name].builder()
    assert all(value.is_meta for value in network.state_dict().values())


def test_networks_built_afterwards_have_random_values():
    with unfilled():
        torch.nn.Linear(2, 2)
    assert torch.nn.init.normal_(torch.zeros(4)).abs().sum() > 0
    assert torch.nn.Linear(2, 2).weight.abs().sum() > 0


def test_a_run_starts_without_what_takes_long_to_import():
    code = (
        "import sys, torch, sf_detect\n"
        "network = sf_detect.load_model('slowfast_tiny_jhmdb')\n"
        "with torch.inference_mode():\n"
        "    network([torch.zeros(1, 3, 1, 32, 32), torch.zeros(1, 3, 4, 32, 32)], torch.tensor([[0., 0, 0, 9, 9]]))\n"
        "print(sorted({'torchvision', 'torch._dynamo', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
