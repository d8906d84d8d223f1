"""Rendered training people: labels, boxes, cameras and motions, without rendering anything."""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("numba")
sys.path.append(str(Path(__file__).resolve().parents[2] / "tools"))

from training_people.acts import SHARES
from training_people.clips import Truth, kinds
from training_people.figure import towards
from training_people.view import Framing, Light, Rig, View, Wobble
from training_people.writing import drawn, rows, write_table

from sf_detect.training.postures.footage import read_people

BOX = np.array([10.0, 20.0, 60.0, 120.0])


def truths(*labels):
    return [Truth(BOX, share, posture, actions) for posture, actions, share in labels]


def test_every_stretch_with_the_same_labels_is_a_row():
    stand, sit = ("stand", ("sit down",), 1.0), ("sit", (), 1.0)
    labelled = list(rows(np.arange(8) / 8, truths(*[stand] * 4, *[sit] * 4), [BOX] * 8, 0.6))
    assert [(row["posture"], row["actions"]) for row in labelled] == [("stand", "sit down"), ("sit", "")]
    assert [(row["start"], row["end"]) for row in labelled] == [("0.000", "0.375"), ("0.500", "0.875")]


def test_people_half_out_of_the_picture_and_short_stretches_have_no_row():
    walk, gone, run = ("walk", ("walk",), 1.0), ("walk", ("walk",), 0.3), ("run", ("run",), 1.0)
    labelled = list(rows(np.arange(9) / 8, truths(*[walk] * 4, *[gone] * 3, *[run] * 2), [BOX] * 9, 0.6))
    assert [row["posture"] for row in labelled] == ["walk"]


def test_the_table_is_read_as_footage(tmp_path):
    common = {"file": "rendered1/clap.mp4", "source": "rendered1", "rights": "generated", "kind": "clip"}
    labelled = rows(np.arange(8) / 8, truths(*[("stand", ("clap",), 1.0)] * 8), [BOX] * 8, 0.6)
    write_table(tmp_path / "labels.csv", [common | row for row in labelled])
    (person,) = read_people(tmp_path / "labels.csv", ["generated"])
    assert (person.posture, person.actions, person.track, person.end) == ("stand", ("clap",), 1, 0.875)
    with (tmp_path / "labels.csv").open(newline="") as file:
        assert next(csv.reader(file))[-1] == "sha256"


def test_boxes_are_off_by_a_few_percent_and_stay_in_the_picture():
    found = drawn([BOX, None, BOX], (64, 128), np.random.default_rng(0))
    assert found[1] is None
    for box in (found[0], found[2]):
        assert np.abs(box - BOX).max() < 20
        assert not np.array_equal(box, BOX)
        assert (box >= 0).all()
        assert (box <= [64, 128, 64, 128]).all()


def test_kinds_keep_their_shares_from_the_beginning_on():
    first, all_of_them = kinds(100, seed=3), kinds(400, seed=3)
    assert all_of_them[:100] == first
    for name, share in SHARES.items():
        assert first.count(name) == pytest.approx(100 * share / sum(SHARES.values()), abs=1.5)


def test_a_turned_camera_sees_along_its_rays():
    view = View(32, 24, 40.0, 1.5, 12.0, yaw=20, pitch=15, roll=5)
    points = (view.rays() * 3 + [0, 0, view.eye]).reshape(-1, 3)
    rows_, columns = np.mgrid[:24, :32] + 0.5
    assert view.project(points) == pytest.approx(
        np.stack([columns.ravel(), rows_.ravel(), np.full(columns.size, 1 / 3)], 1)
    )
    assert view.scaled(2).project(points)[:, :2] == pytest.approx(2 * view.project(points)[:, :2])


def test_positive_yaw_and_pitch_look_left_and_down():
    ray = View(2, 2, 1e6, 1.0, 1.0, yaw=10, pitch=10).rays()[0, 0]
    assert ray[0] < -0.1
    assert ray[2] < -0.1


@pytest.mark.parametrize("kind", ["pan", "along"])
def test_a_following_camera_keeps_the_person_in_the_middle(kind):
    rig = Rig(
        Framing(320, 240, 400.0, 80.0, 1.5, 0.9, 0.0),
        kind,
        lambda t: np.array([1.5 * t - 1.5, 0.0]),
        np.random.default_rng(1),
        2.0,
    )
    for t in (0.3, 1.0, 2.0):
        view, place = rig.at(t)
        x, y, near = view.project(np.array([[1.5 * t - 1.5 - place[0], -place[1], 0.9]]))[0]
        assert abs(x - 160) < 45
        assert abs(y - 120) < 15
        assert near == pytest.approx(1 / 5, rel=0.1)


def test_light_is_weaker_by_its_strength():
    lamp, sun = (Light((0.2, -0.3, 1.0), strength) for strength in (0.25, 1.0))
    for light in (lamp, sun):
        light.cast(np.zeros((3, 3)), np.array([[0, 1, 2]]), np.ones(3))
    points = np.array([[0.5, 0.5, 1.0]])
    assert lamp.lit(points, 0.01) == pytest.approx(0.25 * sun.lit(points, 0.01))


def test_directions_and_noise():
    assert towards(0, 0, 1) == pytest.approx([0, 0, -1])
    assert towards(90, 0, 1) == pytest.approx([0, -1, 0])
    assert towards(90, 90, -1) == pytest.approx([-1, 0, 0])
    wobble = Wobble(np.random.default_rng(2), (2, 3), 0.01, (0.2, 1.0))
    assert wobble(0.4).shape == (2, 3)
    assert np.abs(wobble(0.4) - wobble(0.41)).max() < 0.005
