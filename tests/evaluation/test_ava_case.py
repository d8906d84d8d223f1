"""The generator of large AVA cases, and the benchmark that uses it."""

from pathlib import Path

import pytest

from sf_detect.evaluation.command import evaluate_ava

TOOLS = Path(__file__).parents[2] / "tools"


@pytest.fixture
def tools(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(TOOLS))


@pytest.mark.usefixtures("tools")
def test_case_has_the_size_asked_for(tmp_path: Path) -> None:
    from make_ava_case import make_case

    make_case(tmp_path, 20, 2000, 90, 9, seed=1)
    result = evaluate_ava(tmp_path / "gt.csv", tmp_path / "det.csv")
    assert result.counts.detection_rows == 2000
    assert 15 <= result.counts.keyframes <= 20
    assert 50 < result.counts.groundtruth_rows < 130
    assert 0.01 < result.mean_ap < 0.9
    assert result.counts.over_capacity > 0


@pytest.mark.usefixtures("tools")
def test_both_evaluators_of_the_benchmark_agree(tmp_path: Path) -> None:
    from benchmark_ava import evaluate_once
    from make_ava_case import make_case

    make_case(tmp_path, 10, 600, 60, 9, seed=2)
    plain, own = (evaluate_once(name, tmp_path) for name in ("plain", "sf_detect"))
    assert own["result"]["mAP"] == pytest.approx(plain["result"]["mAP"], abs=1e-9)
    assert own["result"]["per_class"] == pytest.approx(plain["result"]["per_class"], abs=1e-9)
    assert min(own["wall"], own["cpu"], own["mb"]) > 0
