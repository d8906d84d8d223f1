"""The shapes of multigrid training, by epoch and step; those of SlowFast 8 x 8 are the published ones."""

import pytest

from sf_detect.errors import ConfigError
from sf_detect.training.clips_recipe import MultigridRecipe
from sf_detect.training.multigrid import Multigrid, Phase, SamplingGrid, plan_multigrid

BASE = SamplingGrid(32, (2, 2), 224)
BOTH = MultigridRecipe(short_cycle=True, long_cycle=True)


def shapes(cycle):
    return [(grid.frames, grid.crop, grid.batch) for grid in cycle]


def test_without_cycles_every_step_has_the_shape_of_the_recipe():
    plan = plan_multigrid(MultigridRecipe(), BASE, 4, 100)
    assert plan == Multigrid((Phase(100, (BASE,)),))
    assert plan.grids == [BASE]
    assert {plan(epoch, step) for epoch in (0, 99) for step in range(5)} == {BASE}
    assert plan.steps(3, 17) == 17


def test_the_short_cycle_trades_pixels_for_clips():
    plan = plan_multigrid(MultigridRecipe(short_cycle=True), BASE, 4, 10)
    assert shapes(plan.cycle(0)) == [(32, 112, 4), (32, 158, 2), (32, 224, 1)]
    assert [plan(7, step).crop for step in range(4)] == [112, 158, 224, 112]
    assert {grid.rate for grid in plan.grids} == {1.0}  # the learning rate does not follow it
    assert {grid.sampling_rates for grid in plan.grids} == {(2, 2)}


def test_the_long_cycle_goes_from_coarse_to_fine():
    plan = plan_multigrid(MultigridRecipe(long_cycle=True, fine_tune=0.0), BASE, 4, 150)
    assert [phase.end for phase in plan.phases] == [80, 120, 140, 150]  # 8 : 4 : 2 : 1, as many steps each
    assert shapes(plan.grids) == [(8, 158, 8), (16, 158, 4), (16, 224, 2), (32, 224, 1)]
    assert [grid.rate for grid in plan.grids] == [8, 4, 2, 1]
    assert [grid.sampling_rates for grid in plan.grids] == [(2, 8), (2, 4), (2, 4), (2, 2)]


def test_both_cycles_have_the_published_batches():
    cycles = [phase.cycle for phase in plan_multigrid(BOTH, BASE, 4, 1000).phases]
    assert [[grid.batch for grid in cycle] for cycle in cycles] == [[16, 8, 8], [8, 4, 4], [8, 4, 2], [4, 2, 1]]
    assert [{grid.rate for grid in cycle} for cycle in cycles] == [{8}, {4}, {2}, {1}]


@pytest.mark.parametrize("grid", plan_multigrid(BOTH, BASE, 4, 1000).grids)
def test_a_step_costs_what_it_always_does(grid):
    cost = grid.batch * grid.frames * grid.crop**2
    assert cost == pytest.approx(32 * 224**2, rel=0.01)


def test_a_cycle_between_any_two_falls_and_the_shape_of_the_recipe_at_the_end():
    plan = plan_multigrid(MultigridRecipe(long_cycle=True, fine_tune=0.25), BASE, 4, 200, falls=[75, 175, 0, 300])
    assert [phase.end for phase in plan.phases] == [40, 60, 70, 75, 115, 135, 145, 200]
    assert [phase.cycle[-1].frames for phase in plan.phases] == [8, 16, 16, 32] * 2
    assert plan(199, 0) == BASE
    assert plan(500, 0) == BASE  # a run that is over


def test_a_shape_without_a_whole_epoch_is_left_out():
    plan = plan_multigrid(MultigridRecipe(long_cycle=True), BASE, 4, 2)
    assert [(phase.end, phase.cycle[0].frames) for phase in plan.phases] == [(1, 8), (2, 32)]
    assert [phase.end for phase in plan_multigrid(BOTH, BASE, 4, 1).phases] == [1]
    assert plan_multigrid(BOTH, BASE, 4, 0)(0, 0).frames == 32


def test_steps_of_an_epoch():
    plan = plan_multigrid(MultigridRecipe(short_cycle=True), BASE, 4, 1)
    assert [plan.steps(0, count) for count in (3, 4, 6, 7, 10, 11, 14)] == [0, 1, 2, 3, 3, 4, 6]


def test_an_epoch_holds_every_shape():
    plan = plan_multigrid(BOTH, BASE, 4, 100)
    plan.require_whole_cycles(32)
    with pytest.raises(ConfigError, match=r"31 steps' worth of clips.* takes 32. Lower batch"):
        plan.require_whole_cycles(31)


def test_the_plan_in_words():
    first, *_, last = plan_multigrid(BOTH, BASE, 4, 100).describe(320, 64)
    assert first == (
        "  epoch 1 to 42: 8 frames at rate 2 to 8, crops 112, 158, 158, steps of 1024, 512, 512 clips, 30 an epoch, "
        "learning rate x8"
    )
    assert last.startswith("  epoch 82 to 100: 32 frames at rate 2, crops 112, 158, 224, steps of 256, 128, 64 clips")


@pytest.mark.parametrize(
    ("settings", "alpha", "message"),
    [
        ({}, 16, "0.25 of 32 frames is 8, expected a multiple of alpha=16 frames"),
        ({"long_shapes": [[0.3, 1.0], [1.0, 1.0]]}, None, "is 9.6, expected a whole number of frames"),
        ({"long_shapes": [[0.01, 1.0], [1.0, 1.0]]}, None, "whole number"),
        ({"long_shapes": [[0.5, 1.0]]}, 4, r"ends with the recipe's own shape, \[1, 1\], got"),
        ({"long_shapes": []}, 4, "ends with the recipe's own shape"),
        ({"long_shapes": [[0.5], [1.0, 1.0]]}, 4, "pairs"),
        ({"long_shapes": [[0.5, 2.0], [1.0, 1.0]]}, 4, "above 0 and up to 1"),
        ({"short_crops": [0.0]}, 4, r"short_crops holds shares of the crop.*got \[0.0\]"),
        ({"short_crops": []}, 4, "short_crops"),
        ({"fine_tune": 1.0}, 4, "fine_tune is a share of the epochs from 0 to below 1, got 1.0"),
    ],
)
def test_settings_that_make_no_shape(settings, alpha, message):
    with pytest.raises(ConfigError, match=message):
        plan_multigrid(MultigridRecipe(long_cycle=True, **settings), BASE, alpha, 10)
