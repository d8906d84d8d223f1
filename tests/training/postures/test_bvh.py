"""Single motions from BVH: joints where the file puts them, and examples of what the table says is done."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from sf_detect.errors import DataError
from sf_detect.training.postures import bvh
from sf_detect.training.postures.examples import NONE

ACTIONS = ["clap", "wave"]
_CHANNELS = "CHANNELS 3 Zrotation Xrotation Yrotation"


def _joint(name: str, offset: str, *children: str) -> str:
    inner = "\n".join(children) or "End Site\n{\nOFFSET 0 5 0\n}"
    return f"JOINT {name}\n{{\nOFFSET {offset}\n{_CHANNELS}\n{inner}\n}}"


def _limbs(side: str, sign: int) -> tuple[str, str]:
    leg = _joint(f"{side}Foot", "0 -40 0", _joint(f"{side}ToeBase", "0 -5 15"))
    leg = _joint(f"{side}UpLeg", f"{10 * sign} -5 0", _joint(f"{side}Leg", "0 -45 0", leg))
    arm = _joint(f"{side}ForeArm", f"{30 * sign} 0 0", _joint(f"{side}Hand", f"{25 * sign} 0 0"))
    return leg, _joint(f"{side}Arm", f"{18 * sign} 45 0", arm)


def write_bvh(path: Path, frames: int = 60, raised: float = 0.0) -> Path:
    """Somebody whose left forearm is turned by `raised` degrees about z, at 30 frames/s."""
    (left_leg, left_arm), (right_leg, right_arm) = _limbs("Left", 1), _limbs("Right", -1)
    head = _joint("Neck", "0 48 0", _joint("Head", "0 10 0"))
    root = f"HIERARCHY\nROOT Hips\n{{\nOFFSET 0 0 0\nCHANNELS 6 Xposition Yposition Zposition {_CHANNELS[11:]}\n"
    header = root + "\n".join([left_leg, right_leg, head, left_arm, right_arm]) + "\n}\n"
    joints = header.count("CHANNELS")
    names = [words[1] for line in header.splitlines() if (words := line.split())[:1] in (["ROOT"], ["JOINT"])]
    row = np.zeros(3 + 3 * joints)
    row[1] = 95
    row[3 + 3 * names.index("LeftForeArm")] = raised
    lines = "\n".join([" ".join(f"{value:g}" for value in row)] * frames)
    path.write_text(f"{header}MOTION\nFrames: {frames}\nFrame Time: 0.0333333\n{lines}\n", encoding="utf-8")
    return path


def write_index(folder: Path, *rows: str) -> Path:
    folder.joinpath("index.csv").write_text(
        "\n".join(["file,posture,action,start,end", *rows]) + "\n", encoding="utf-8"
    )
    return folder


def test_joints_are_where_the_file_puts_them(tmp_path: Path) -> None:
    landmarks, rate = bvh.motion_landmarks(write_bvh(tmp_path / "a.bvh", raised=90))
    assert rate == pytest.approx(30, rel=1e-4)
    assert landmarks.shape == (60, 33, 3)
    assert landmarks[0, 11] == pytest.approx([0.18, 1.40, 0])  # left shoulder
    assert landmarks[0, 15] == pytest.approx([0.48, 1.65, 0], abs=1e-6)  # the forearm points up
    assert landmarks[0, 16] == pytest.approx([-0.73, 1.40, 0], abs=1e-6)
    assert landmarks[0, 27] == pytest.approx([0.10, 0.05, 0], abs=1e-6)


def test_examples_are_what_the_table_says(tmp_path: Path) -> None:
    write_bvh(tmp_path / "a.bvh")
    write_bvh(tmp_path / "b.bvh", raised=60)
    write_index(
        tmp_path, "a.bvh,stand,none,0,1.9", "b.bvh,stand,wave,0.2,1.5", "b.bvh,none,,0,1", "b.bvh,unclear,clap,0,1"
    )
    found = bvh.capture_examples(tmp_path, ACTIONS, 3, np.random.default_rng(0))
    assert found.actions.tolist() == [2] * 3 + [1] * 3 + [-1] * 3 + [0] * 3
    assert found.postures.argmax(axis=1).tolist() == [0] * 6 + [NONE] * 3 + [0] * 3
    assert not found.postures[9:].any()
    assert found.groups.tolist() == [1] * 3 + [2] * 9
    assert np.isfinite(found.features).all()


@pytest.mark.parametrize("row", ["a.bvh,sleep,none,0,1", "a.bvh,stand,none,1,1", "a.bvh,stand,none,0,x", "a.bvh,stand"])
def test_rows_that_are_no_motions_are_named(tmp_path: Path, row: str) -> None:
    with pytest.raises(DataError, match=r"index\.csv.*no labelled motion"):
        bvh.read_index(write_index(tmp_path, row) / "index.csv")


def test_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"index\.csv.*captures: null"):
        bvh.read_index(tmp_path / "index.csv")


@pytest.mark.parametrize("change", [("MOTION", "NOTION"), ("Frame Time: 0.03", "Frame Time: x"), ("0 95", "0 nan")])
def test_files_that_are_no_motions_are_named(tmp_path: Path, change: tuple[str, str]) -> None:
    path = write_bvh(tmp_path / "a.bvh")
    path.write_text(path.read_text().replace(*change))
    with pytest.raises(DataError, match=r"a\.bvh.*no motion in BVH"):
        bvh.read_bvh(path)


def test_lines_of_another_length_are_an_error(tmp_path: Path) -> None:
    path = write_bvh(tmp_path / "a.bvh")
    path.write_text(
        path.read_text().replace(
            "JOINT Neck\n{\nOFFSET 0 48 0\nCHANNELS 3 Zrotation Xrotation Yrotation", "JOINT Neck\n{\nOFFSET 0 48 0"
        )
    )
    with pytest.raises(DataError, match=r"lines of \d+ numbers, expected \d+ finite"):
        bvh.read_bvh(path)


def test_skeleton_without_a_known_joint_is_named(tmp_path: Path) -> None:
    path = write_bvh(tmp_path / "a.bvh")
    path.write_text(path.read_text().replace("RightLeg", "RightShank"))
    with pytest.raises(DataError, match=r"a\.bvh.*no joint named RightLeg"):
        bvh.motion_landmarks(path)


def test_a_huge_file_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bvh, "_MOST_BYTES", 100)
    with pytest.raises(DataError, match="longer than 100 bytes"):
        bvh.read_bvh(write_bvh(tmp_path / "a.bvh"))
