"""The weights file of the posture classifier: what is read, what is refused."""

from __future__ import annotations

import contextlib
import json
import random
from pathlib import Path

import numpy as np
import pytest

from sf_detect.errors import WeightsError, WeightsFormatError
from sf_detect.keypoints import posture_file
from sf_detect.keypoints.posture_file import SHIPPED, read_posture_file
from sf_detect.keypoints.postures import NAMES
from sf_detect.model_spec import ModelSpec
from sf_detect.structures import ClipSpec
from tests.keypoints.posture_weights import ACTIONS, THRESHOLDS, sitting_pictures, window_of, write_posture_file


def test_a_file_becomes_scores_of_labels(tmp_path):
    found = read_posture_file(write_posture_file(tmp_path / "p.safetensors"))
    assert found.thresholds == THRESHOLDS
    scores = found.scores_for(ModelSpec("m", ACTIONS, ClipSpec(8, 2)))
    assert scores.spec.labels[21:] == ("stand", "sit", "bend", "crouch", "lie")
    assert {"sit down", "stand up"} <= set(scores.spec.labels)
    logits = [scores.logits(window_of(standing)) for standing in (True, False)]
    labelled = scores.labelled(scores.joined(np.zeros((2, 21), np.float32), logits))
    assert [scores.spec.labels[i] for i in labelled.argmax(axis=1)] == ["stand", "sit"]
    assert (labelled.max(axis=1) > 0.9).all()


def test_the_file_says_how_actions_are_joined(tmp_path):
    entry = {"action_weight": 1, "body_weight": 0, "none_bias": 0, "thresholds": dict.fromkeys(ACTIONS, 0.125)}
    found = read_posture_file(write_posture_file(tmp_path / "p.safetensors", {"m": entry}))
    assert found.scores_for(ModelSpec("m", ACTIONS, ClipSpec(8, 2))).spec.thresholds[:21] == (0.125,) * 21
    assert found.scores_for(ModelSpec("other", ACTIONS, ClipSpec(8, 2))).spec.thresholds[:21] == (0.25,) * 21


def test_a_file_for_other_features_is_refused_when_it_is_read(tmp_path, monkeypatch):
    file = write_posture_file(tmp_path / "p.safetensors")
    monkeypatch.setattr(posture_file, "features", lambda window: np.zeros((5, 7), np.float32))
    with pytest.raises(WeightsError, match=r"features have shape \(5, 7\)"):
        read_posture_file(file)


def test_which_movements_the_classifier_decides_alone(tmp_path):
    assert read_posture_file(write_posture_file(tmp_path / "a.safetensors")).alone == ()
    every = labels(alone=True)
    assert read_posture_file(write_posture_file(tmp_path / "b.safetensors", labels=every)).alone == NAMES


def test_what_scores_pictures_is_read_where_it_is_there(tmp_path):
    assert read_posture_file(write_posture_file(tmp_path / "a.safetensors")).appearance is None
    found = read_posture_file(write_posture_file(tmp_path / "b.safetensors", pictures=sitting_pictures())).appearance
    np.testing.assert_array_equal(found.picture, 0.75 * np.eye(9))
    assert found.weight.shape == (9, 3072)
    assert found(np.zeros(3072, np.float32)).argmax() == NAMES.index("sit")


def test_what_cannot_score_pictures_is_refused(tmp_path):
    file = write_posture_file(tmp_path / "p.safetensors", pictures={"appearance.bias": np.zeros(9, np.float32)})
    with pytest.raises(WeightsFormatError, match=r"does not fit: body, offset, picture, weight\. Expected"):
        read_posture_file(file)


def labels(**changes: object) -> str:
    return json.dumps([{"name": n, "group": "posture", "threshold": 0.5, **changes} for n in NAMES])


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        ({"format": "sf-detect-posture/2"}, "its format is 'sf-detect-posture/2'"),
        ({"format": None}, "its format is None"),
        ({"labels": None}, r"its labels can't be used \(KeyError: 'labels'\)"),
        ({"labels": "[1]"}, "TypeError"),
        ({"labels": "{"}, "JSONDecodeError"),
        ({"labels": "[]"}, r"the postures are \[\]"),
        ({"labels": labels(name="stand")}, "the postures are"),
        ({"labels": labels(threshold=1.5)}, r"the thresholds are \(1.5, "),
        ({"labels": labels(threshold=None)}, "TypeError"),
        ({"labels": labels().replace("0.5", "NaN", 1)}, "NaN where a finite number is expected"),
    ],
)
def test_other_files_are_refused(tmp_path, metadata, problem):
    file = write_posture_file(tmp_path / "p.safetensors", **metadata)
    with pytest.raises(
        WeightsFormatError, match=rf"is no file of posture weights: .*{problem}.*leave posture.weights out"
    ):
        read_posture_file(file)


def test_files_that_are_none(tmp_path, monkeypatch):
    with pytest.raises(WeightsFormatError, match=r"posture weights .*Check the path"):
        read_posture_file(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"12345678")
    with pytest.raises(WeightsError, match="not readable as safetensors"):
        read_posture_file(tmp_path / "bad.safetensors")
    monkeypatch.setattr(posture_file, "_MAX_BYTES", 10)
    with pytest.raises(WeightsFormatError, match="longer than 10 bytes"):
        read_posture_file(write_posture_file(tmp_path / "p.safetensors"))


@pytest.mark.skipif(not SHIPPED.is_file(), reason="no classifier ships yet")
def test_the_file_that_ships_is_read():
    found = read_posture_file()
    scores = found.scores_for(ModelSpec("slowfast_tiny_jhmdb", ACTIONS, ClipSpec(8, 2)))
    assert scores.logits(window_of(True)).shape == (31,)
    assert Path(SHIPPED).stat().st_size < 3_000_000


def test_damaged_files_are_read_or_refused(tmp_path):
    file = write_posture_file(tmp_path / "p.safetensors", pictures=sitting_pictures())
    good, chance = file.read_bytes(), random.Random(4)
    header = int.from_bytes(good[:8], "little")
    for number in range(150):
        content = bytearray(good)
        for _ in range(chance.randint(1, 3)):
            place = chance.randrange(8 + header)  # beyond it lie numbers, of which any may be
            content[place : place + 1] = chance.choice([b"9", b"-", b'"', b"[", b"", b"\xff", b"e9", b"null"])
        file = tmp_path / f"{number}.safetensors"
        file.write_bytes(content)
        with contextlib.suppress(WeightsError):
            scores = read_posture_file(file).scores_for(ModelSpec("m", ACTIONS, ClipSpec(8, 2)))
            scores.labelled(scores.joined(np.zeros((1, 21), np.float32), [scores.logits(window_of(True))]))
