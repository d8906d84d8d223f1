"""Which frames the slow pathway sees."""

from __future__ import annotations

import json

import pytest
import torch

from sf_detect.errors import ConfigError, UnknownNameError
from sf_detect.models.sampling import fast_view, pack_pathways, slow_index

PUBLISHED = {
    (32, 4): [0, 4, 8, 13, 17, 22, 26, 31],
    (32, 8): [0, 10, 20, 31],
    (64, 4): [0, 4, 8, 12, 16, 21, 25, 29, 33, 37, 42, 46, 50, 54, 58, 63],
}


@pytest.mark.parametrize(("frames", "alpha"), PUBLISHED)
def test_the_published_rule_is_a_truncated_linspace(frames, alpha):
    assert slow_index(frames, alpha) == PUBLISHED[frames, alpha]


def test_the_published_rule_equals_the_recorded_facts(shared):
    facts = json.loads((shared / "facts" / "pyslowfast_contracts.json").read_text())["slow_index"]
    for frames, alpha in PUBLISHED:
        assert slow_index(frames, alpha) == facts[f"T{frames}_a{alpha}"]


def test_the_other_rules_take_one_frame_of_each_group():
    assert slow_index(16, 4, "first") == [0, 4, 8, 12]
    assert slow_index(16, 4, "last") == [3, 7, 11, 15]


def test_one_slow_frame_is_the_first():
    assert slow_index(4, 4) == [0]


@pytest.mark.parametrize(("frames", "alpha"), [(30, 4), (0, 4), (8, 0)])
def test_frames_are_a_multiple_of_alpha(frames, alpha):
    with pytest.raises(ConfigError, match="positive multiple of alpha"):
        slow_index(frames, alpha)


def test_unknown_rules_and_inputs_are_refused():
    with pytest.raises(UnknownNameError, match="linspace"):
        slow_index(8, 4, "random")
    with pytest.raises(UnknownNameError, match="grey"):
        fast_view(torch.zeros(1, 3, 4, 2, 2), "flow")


def test_pathways_of_one_clip():
    clip = torch.arange(32.0).reshape(1, 1, 32, 1, 1).expand(1, 3, 32, 4, 4)
    slow, fast = pack_pathways(clip, 4)
    assert slow[0, 0, :, 0, 0].tolist() == PUBLISHED[32, 4]
    assert fast.shape == clip.shape
    assert [x.shape for x in pack_pathways(clip, None)] == [clip.shape]


def test_weaker_fast_inputs():
    clip = torch.rand(2, 3, 8, 6, 6)
    _, grey = pack_pathways(clip, 4, fast_input="grey")
    _, moving = pack_pathways(clip, 4, fast_input="time_difference", fast_scale=0.5)
    assert grey.shape == (2, 1, 8, 6, 6)
    assert moving.shape == (2, 1, 8, 3, 3)
    still = fast_view(torch.ones(1, 3, 4, 2, 2), "time_difference")
    assert torch.count_nonzero(still) == 0
