"""Plots of an AVA evaluation."""

import sys
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from sf_detect.errors import MissingExtraError, SinkError, UnknownNameError
from sf_detect.evaluation.ava import AvaCounts, AvaResult, ClassResult
from sf_detect.evaluation.average_precision import envelope_ap, precision_recall
from sf_detect.evaluation.plots import write_plots


def _class(hits: list[bool], truths: int) -> ClassResult:
    array = np.array(hits, bool)
    return ClassResult(envelope_ap(array, truths), truths, len(hits), precision_recall(np.flatnonzero(array), truths))


@pytest.fixture
def result() -> AvaResult:
    classes = {"walk": _class([True, False], 2), "a <b> & c": _class([True], 1), "sit": _class([], 0)}
    return AvaResult("activitynet", classes, AvaCounts(3, 3, 2, 0, 0, 0, 3))


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.text: list[str] = []
        self.points: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.points += [value or "" for name, value in attributes if name == "points"]
        assert not any(name in ("src", "href") for name, _ in attributes), "the page needs another file"
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.points += [value or "" for name, value in attributes if name == "points"]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_html(tmp_path: Path, result: AvaResult) -> None:
    assert write_plots(result, tmp_path / "new", ["html"]) == [tmp_path / "new/report.html"]
    page = _Tags()
    page.feed((tmp_path / "new/report.html").read_text())
    assert page.open == []
    assert "AVA, protocol activitynet: mAP@0.5 75.00 %, 2 classes" in page.text
    assert page.text.index("a <b> & c") < page.text.index("walk")  # best first
    assert "sit" not in page.text
    assert len(page.points) == 2
    walk = [tuple(map(float, point.split(","))) for point in page.points[1].split()]
    assert walk[0] == (0, 2)  # recall 0, precision 1
    assert walk[50] == (60, 2)  # recall 0.5
    assert walk[51][1] == 60  # beyond
    assert list((tmp_path / "new").iterdir()) == [tmp_path / "new/report.html"]


def test_png(tmp_path: Path, result: AvaResult) -> None:
    pytest.importorskip("matplotlib")
    bars, curves = write_plots(result, tmp_path, ["png"])
    assert (bars.name, curves.name) == ("ap_bars.png", "precision_recall.png")
    for path in (bars, curves):
        assert path.read_bytes().startswith(b"\x89PNG")
    nothing = AvaResult("activitynet", {"sit": _class([], 0)}, result.counts)
    assert len(write_plots(nothing, tmp_path)) == 3


def test_errors(tmp_path: Path, result: AvaResult, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownNameError, match="unknown plot format 'pdf'"):
        write_plots(result, tmp_path, ["pdf"])
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkError, match="cannot write"):
        write_plots(result, tmp_path / "file", ["html"])
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sf_detect\[plots\]'"):
        write_plots(result, tmp_path, ["png"])
