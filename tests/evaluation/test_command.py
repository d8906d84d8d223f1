"""What the command line calls for data sets other than AVA."""

from pathlib import Path

import numpy as np
import pytest

from sf_detect.errors import ConfigError, DataError
from sf_detect.evaluation.clip_files import read_charades_csv, read_kinetics_csv, read_view_scores
from sf_detect.evaluation.command import evaluate_charades, evaluate_kinetics
from sf_detect.labels import LabelMap, label_set


def _scores(path: Path, videos: list[str], scores: np.ndarray) -> Path:
    np.savez(path, videos=np.array(videos), scores=scores)
    return path


def test_kinetics(tmp_path: Path) -> None:
    (tmp_path / "gt.csv").write_text("val/a.mp4 0\nval/b c.mp4,1\n")
    scores = _scores(tmp_path / "s.npz", ["a", "b c"] * 2, np.array([[0.9, 0.1], [0.6, 0.4], [0.3, 0.7], [0, 1]]))
    result = evaluate_kinetics(tmp_path / "gt.csv", scores, views=2, ks=(1, 2))
    assert result.to_json() == {"top1": 1.0, "top2": 1.0, "videos": 2, "missing": 0}
    assert result.table().splitlines() == ["top-1  100.00", "top-2  100.00", "videos 2"]
    with pytest.raises(ConfigError, match="2 of 2 videos do not have 30 views"):
        evaluate_kinetics(tmp_path / "gt.csv", scores)


@pytest.mark.parametrize("names", [["a_b_000001_000011", "c_000002_000012"], ["a_b", "c"]])
def test_published_kinetics_list(tmp_path: Path, names: list[str]) -> None:
    rows = ["archery,a_b,1,11,val", "zumba,c,2,12,val", "yoga,gone,0,10,val"]
    (tmp_path / "val.csv").write_text("\n".join(["label,youtube_id,time_start,time_end,split", *rows]))
    scores = np.zeros((2, 400))
    scores[0, 5] = scores[1, 7] = 1
    result = evaluate_kinetics(tmp_path / "val.csv", _scores(tmp_path / "s.npz", names, scores), 1)
    assert result.to_json() == {"top1": 0.5, "top5": 0.5, "videos": 2, "missing": 1}
    assert result.table().endswith("videos 2, 1 of the list have no scores and are left out")
    with pytest.raises(DataError, match="has, but the ground truth lacks, 1 videos"):
        evaluate_kinetics(tmp_path / "val.csv", _scores(tmp_path / "s.npz", [names[0], "d"], scores), 1)


@pytest.mark.parametrize(
    ("row", "options", "message"),
    [
        ("jumping rope,a,1,2", {}, "'jumping rope', which is neither Kinetics-400's nor -600's"),
        ("arcery,a,1,2", {"labels": label_set("kinetics400")}, r":2: unknown label 'arcery'\. Did you mean 'archery'"),
        ("archery,a,one,2", {}, ":2: time_start and time_end are seconds"),
        ("archery,a,1,2\narchery,a,1,2", {}, ":3: video 'a_000001_000002' occurs a second time"),
    ],
)
def test_bad_published_lists(tmp_path: Path, row: str, options: dict[str, LabelMap], message: str) -> None:
    (tmp_path / "val.csv").write_text(f"label,youtube_id,time_start,time_end\n{row}\n")
    with pytest.raises((ConfigError, DataError), match=message):
        read_kinetics_csv(tmp_path / "val.csv", **options)


def test_videos_must_agree(tmp_path: Path) -> None:
    (tmp_path / "gt.csv").write_text("a.mp4 0\n")
    with pytest.raises(DataError, match=r"s\.npz: lacks 1 videos, among them \['a'\]"):
        evaluate_kinetics(tmp_path / "gt.csv", _scores(tmp_path / "s.npz", ["b"], np.zeros((1, 5))), 1)
    with pytest.raises(DataError, match="has, but the ground truth lacks, 1 videos"):
        evaluate_kinetics(tmp_path / "gt.csv", _scores(tmp_path / "s.npz", ["a", "b"], np.zeros((2, 5))), 1)


def test_scores_may_be_named_by_paths(tmp_path: Path) -> None:
    (tmp_path / "gt.csv").write_text("val/a.mp4 0\nb.c.mp4 1\n")
    names = ["/data/air drumming/a.mp4", "/data/x/b.c.mp4"]
    scores = np.eye(2)
    assert evaluate_kinetics(tmp_path / "gt.csv", _scores(tmp_path / "s.npz", names, scores), 1, (1,)).accuracy == {
        1: 1
    }
    (tmp_path / "s.txt").write_text("".join(f"{name} {a} {b}\n" for name, (a, b) in zip(names, scores, strict=True)))
    assert evaluate_kinetics(tmp_path / "gt.csv", tmp_path / "s.txt", 1, (1,)).accuracy == {1: 1}
    twice = _scores(tmp_path / "s.npz", ["x/a.mp4", "y/a.mp4", "b.c"], np.eye(3)[:, :2])
    with pytest.raises(DataError, match=r"'x/a\.mp4' and 'y/a\.mp4' are both the video 'a'"):
        evaluate_kinetics(tmp_path / "gt.csv", twice, 1, (1,))
    (tmp_path / "gt.csv").write_text("id,actions\na,c000 0 1\n")
    found = _scores(tmp_path / "s.npz", ["Charades_v1/a.mp4"], np.eye(157)[:1])
    assert evaluate_charades(tmp_path / "gt.csv", found, 1).mean_ap == 1


def test_an_id_of_several_clips_is_ambiguous(tmp_path: Path) -> None:
    rows = ["archery,a,1,11,val", "zumba,a,20,30,val"]
    (tmp_path / "val.csv").write_text("\n".join(["label,youtube_id,time_start,time_end,split", *rows]))
    scores = np.zeros((1, 400))
    with pytest.raises(DataError, match="'a_000001_000011' and 'a_000020_000030' are both clips of 'a'"):
        evaluate_kinetics(tmp_path / "val.csv", _scores(tmp_path / "s.npz", ["x/a.mp4"], scores), 1)


def test_nothing_right_gives_a_note(tmp_path: Path) -> None:
    (tmp_path / "gt.csv").write_text("a 0\nb 0\n")
    scores = np.tile(np.arange(6.0), (2, 1))
    result = evaluate_kinetics(tmp_path / "gt.csv", _scores(tmp_path / "s.npz", ["a", "b"], scores), 1)
    assert result.accuracy == {1: 0, 5: 0}
    assert "count from 0, in the order of the columns" in result.to_json()["notes"][0]


CASES = Path(__file__).parents[3] / "shared/cases"


@pytest.mark.skipif(not CASES.exists(), reason="no shared data")
def test_shared_case_of_paths() -> None:
    assert evaluate_kinetics(CASES / "list.csv", CASES / "path.npz", 1).to_json()["top1"] == 1


def test_charades(tmp_path: Path) -> None:
    (tmp_path / "gt.csv").write_text('id,subject,actions\na,X,c000 1.0 2.0;c156 0.0 3.5\nb,"Y, Z",c001 1.0 2.0\nc,Z,\n')
    scores = np.zeros((3, 157))
    scores[0, [0, 156]] = scores[1, 1] = 1
    result = evaluate_charades(tmp_path / "gt.csv", _scores(tmp_path / "s.npz", ["a", "b", "c"], scores), 1)
    assert result.mean_ap == 1
    assert sum(result.truths.values()) == 3
    assert result.truths["Holding some clothes"] == 1  # c000
    with pytest.raises(DataError, match=r"t\.npz: 5 scores a video, expected 157"):
        evaluate_charades(tmp_path / "gt.csv", _scores(tmp_path / "t.npz", ["a", "b", "c"], scores[:, :5]), 1)


def test_kinetics_csv_errors(tmp_path: Path) -> None:
    (tmp_path / "gt.csv").write_text("a.mp4 0\nb.mp4 dancing\n")
    with pytest.raises(DataError, match=r":2: expected 'path label' with an integer label"):
        read_kinetics_csv(tmp_path / "gt.csv")
    (tmp_path / "gt.csv").write_text("x/a.mp4 0\ny/a.mp4 1\n")
    with pytest.raises(DataError, match=r":2: video 'a' occurs a second time"):
        read_kinetics_csv(tmp_path / "gt.csv")
    (tmp_path / "gt.csv").write_text("")
    with pytest.raises(DataError, match="is empty; expected rows of 'path label'"):
        read_kinetics_csv(tmp_path / "gt.csv")
    with pytest.raises(DataError, match="cannot be read"):
        read_kinetics_csv(tmp_path / "missing.csv")


def test_charades_csv_errors(tmp_path: Path) -> None:
    (tmp_path / "gt.csv").write_text("video,label\n")
    with pytest.raises(DataError, match=r":1: expected the columns id and actions"):
        read_charades_csv(tmp_path / "gt.csv")
    (tmp_path / "gt.csv").write_text("id,actions\na,c157 0 1\n")
    with pytest.raises(DataError, match=r":2: expected actions such as 'c092 11\.90 21\.20', got 'c157 0 1'"):
        read_charades_csv(tmp_path / "gt.csv")


def test_scores_as_text(tmp_path: Path) -> None:
    for text in ("a 0.5 1e-1\nb 1 2\n", "a,0.5, 0.1\nb,1,2\n"):
        (tmp_path / "s.txt").write_text(text)
        videos, scores = read_view_scores(tmp_path / "s.txt")
        assert (videos, scores.tolist()) == (["a", "b"], [[0.5, 0.1], [1, 2]])
    for text, message in (
        ("video s0 s1\n", ":1: expected a video and its scores, without a header"),
        ("a 1 2\nb 1\n", ":2: 1 scores behind the video, expected 2, as in line 1"),
        ("a 1\n\n", ":2: 0 scores behind the video"),
        ("a\n", ":1: 0 scores behind the video, expected at least 1"),
        ("a nan\n", "scores are finite numbers"),
    ):
        (tmp_path / "s.txt").write_text(text)
        with pytest.raises(DataError, match=message):
            read_view_scores(tmp_path / "s.txt")


def test_scores_errors(tmp_path: Path) -> None:
    (tmp_path / "s.npz").write_bytes(b"PK not a zip")
    with pytest.raises(DataError, match=r"expected an \.npz with the arrays 'videos' and 'scores'"):
        read_view_scores(tmp_path / "s.npz")
    with pytest.raises(DataError, match=r"videos are text \(V,\) and scores numbers \(V, C\)"):
        read_view_scores(_scores(tmp_path / "t.npz", ["a"], np.zeros(3)))
    with pytest.raises(DataError, match="scores are finite numbers"):
        read_view_scores(_scores(tmp_path / "u.npz", ["a"], np.full((1, 3), np.nan)))
