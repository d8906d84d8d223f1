import json

import numpy as np
import pytest

from sf_detect.errors import WeightsFormatError
from sf_detect.keypoints.features import BACKGROUND, COLUMNS, GRID, MOVED, VERTICAL
from sf_detect.keypoints.network import (
    HEAVES,
    LEVEL,
    NO_STEPS,
    POSTURES,
    STEPS,
    PostureNetwork,
    Sizes,
    with_movement,
)

SIZES = Sizes(networks=2, features=COLUMNS, width=4, actions=3)


def arrays(seed=0, sizes=SIZES):
    rng = np.random.default_rng(seed)
    return {name: rng.normal(0, 0.1, shape).astype(np.float32) for name, shape in sizes.shapes().items()}


def metadata(**changes):
    return {"network": json.dumps({"networks": 2, "features": COLUMNS, "width": 4, "actions": 3, **changes})}


def some_features(seed=1):
    found = np.random.default_rng(seed).normal(0, 1, (len(GRID), COLUMNS)).astype(np.float32)
    found[:, MOVED[0] : MOVED[1] + 2], found[0] = 0.2, found[0] * 0.01  # neither still nor leaving
    found[:, VERTICAL] = 0.0
    found[:, BACKGROUND + 2] = 0.0
    return found


def plain(w, features):
    """The forward pass of one network, number by number."""
    grid, width = len(GRID), len(w["embed.bias"])
    x = np.clip((features - w["mean"]) / np.maximum(w["std"], 1e-3), -4, 4)
    h = [[max(0, w["embed.weight"][c] @ x[t] + w["embed.bias"][c]) for c in range(width)] for t in range(grid)]
    g = np.array(h)
    for t in range(grid):
        for c in range(width):
            total = w["conv.bias"][c]
            for k in range(3):
                if 0 <= t + k - 1 < grid:
                    total += w["conv.weight"][c, :, k] @ h[t + k - 1]
            g[t, c] += max(0, total)
    pooled = np.concatenate([g[-1], g.mean(0), g.max(0)])
    mixed = np.maximum(w["mix.weight"] @ pooled + w["mix.bias"], 0)
    return w["head.weight"] @ mixed + w["head.bias"]


def test_the_forward_pass_agrees_with_loops():
    given, x = arrays(), some_features()
    given["std"][:, :5] = 0  # constant features
    expected = np.mean([plain({k: v[i] for k, v in given.items()}, x) for i in range(2)], axis=0)
    np.testing.assert_allclose(PostureNetwork.from_arrays(given, metadata()).logits(x), expected, rtol=0, atol=1e-5)


def test_probabilities_of_postures_and_actions_leave_room_for_none():
    network = PostureNetwork.from_arrays(arrays(), metadata())
    logits = network.logits(some_features())
    assert logits.shape == (len(POSTURES) + 1 + 3 + 1,)
    for scores, count in ((network.postures(logits), len(POSTURES)), (network.actions(logits), 3)):
        assert scores.shape == (count,)
        assert (scores >= 0).all()
        assert scores.sum() < 1
    certain = np.zeros_like(logits)
    certain[2], certain[-1] = 50, 50
    assert network.postures(certain)[2] == pytest.approx(1)
    assert network.actions(certain).sum() == pytest.approx(0, abs=1e-6)


def test_who_does_not_move_does_not_walk_and_who_leaves_does_not_stand():
    network, x = PostureNetwork.from_arrays(arrays(), metadata()), some_features()
    between = network.logits(x)
    # what the networks see is the same each time: only what they are told of the movement differs
    still, leaving = with_movement(between, 0.1), with_movement(between, 0.3)
    changed = {name: (still - between)[i] for i, name in enumerate(POSTURES) if still[i] != between[i]}
    assert set(changed) == {"walk", "run"}
    assert max(changed.values()) < -2
    assert (leaving - between)[POSTURES.index("walk")] > 0 > (leaving - between)[POSTURES.index("stand")]
    np.testing.assert_array_equal(still[len(POSTURES) :], between[len(POSTURES) :])
    x[-1, MOVED[0] : MOVED[1] + 2] = 0.0
    assert network.logits(x)[1] < between[1]


def test_who_steps_may_walk_though_the_camera_hides_it():
    logits, walk = np.zeros(len(POSTURES) + 5, np.float32), POSTURES.index("walk")
    still, some, steps = (with_movement(logits, 0.0, 0.0, swing)[walk] for swing in (NO_STEPS, 0.45, STEPS))
    assert still < some < steps == 0


def test_whose_hips_go_up_and_down_neither_stands_nor_sits():
    network, x = PostureNetwork.from_arrays(arrays(), metadata()), some_features()
    level, still, none = network.logits(x), [POSTURES.index("stand"), POSTURES.index("sit")], len(POSTURES)
    np.testing.assert_array_equal(with_movement(level, 0.2, LEVEL), level)
    some, much = (with_movement(level, 0.2, vertical) for vertical in ((LEVEL + HEAVES) / 2, HEAVES))
    assert ((much < some) & (some < level))[still].all()
    assert much[none] > some[none] > level[none]
    others = [i for i in range(len(level)) if i not in (*still, none)]
    np.testing.assert_array_equal(much[others], level[others])
    # what the two lose goes to none: nothing becomes likelier by it
    np.testing.assert_allclose(network.postures(much)[others[:6]], network.postures(level)[others[:6]], rtol=1e-5)
    np.testing.assert_array_equal(with_movement(level, 0.2, 9.0), much)
    x[-1, VERTICAL] = 0.3
    assert network.postures(network.logits(x))[still].sum() < network.postures(level)[still].sum()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("head.bias"), "head.bias"),
        (lambda a: a.update(more=np.zeros(1, np.float32)), "more"),
        (lambda a: a.update({"mix.bias": np.zeros((2, 5), np.float32)}), "mix.bias"),
        (lambda a: a.update({"std": np.ones((2, COLUMNS), np.int64)}), "std"),
        (lambda a: a["mean"].fill(np.nan), "mean"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change, message):
    given = arrays()
    change(given)
    with pytest.raises(WeightsFormatError, match=message):
        PostureNetwork.from_arrays(given, metadata())


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"network": "[1]"},
        {"network": "{"},
        {"network": "[" * 10_000},
        metadata(width=0),
        metadata(width=10**9),
        metadata(networks=True),
        metadata(actions="3"),
        metadata(features=2.5),
        metadata(features=COLUMNS - 1),
    ],
    ids=lambda given: str(given)[:40],
)
def test_metadata_that_do_not_describe_a_network_are_refused(given):
    with pytest.raises(WeightsFormatError, match="posture classifier"):
        PostureNetwork.from_arrays(arrays(), given)


def test_features_of_another_version_are_refused():
    with pytest.raises(WeightsFormatError, match=r"\(5, 7\)"):
        PostureNetwork.from_arrays(arrays(), metadata()).logits(np.zeros((5, 7), np.float32))
