"""Pictures of an evaluation: AP bars, precision-recall curves and confusion matrices.

PNG takes the extra "plots"; HTML is one file and needs nothing.
"""

from __future__ import annotations

import html
import math
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from sf_detect.atomic_file import atomic_path
from sf_detect.errors import ConfigError, MissingExtraError, SinkError, UnknownNameError
from sf_detect.evaluation.ava import AvaResult, ClassResult

FORMATS = ("png", "html")
"""Names that `write_plots` accepts."""

_BLUE = "#2166ac"
_POINTS = 101


def write_plots(result: AvaResult, folder: str | Path, formats: Sequence[str] = FORMATS) -> list[Path]:
    """Writes `ap_bars.png` and `precision_recall.png`, and `report.html`, which needs no other file.

    Args:
        result: What to show.
        folder: Made if it is missing.
        formats: Some of `FORMATS`.

    Returns:
        The files.

    Raises:
        UnknownNameError: Another format.
        MissingExtraError: "png" without Matplotlib.
        SinkError: A file cannot be written.
    """
    for name in formats:
        if name not in FORMATS:
            raise UnknownNameError("plot format", name, FORMATS)
    folder = Path(folder)
    written = []
    if "png" in formats:
        figures = {"ap_bars.png": _bar_figure(result), "precision_recall.png": _curve_figure(result)}
        written += [_write(folder / name, partial(figure.savefig, format="png")) for name, figure in figures.items()]
    if "html" in formats:
        page = _page(result)
        written.append(_write(folder / "report.html", lambda path: path.write_text(page, encoding="utf-8")))
    return written


def _write(path: Path, write: Callable[[Path], Any]) -> Path:
    """Writes under another name first: a file that has the right name is whole."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as part:
            write(part)
    except OSError as error:
        raise SinkError(f"cannot write {path}: {error}. Choose a folder that can be written to") from error
    return path


def _scored(result: AvaResult) -> list[tuple[str, ClassResult]]:
    """Classes that have ground truth, best AP first."""
    scored = [(name, one) for name, one in result.classes.items() if not math.isnan(one.ap)]
    return sorted(scored, key=lambda item: -item[1].ap)


def _envelope(one: ClassResult) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """The precision envelope at evenly spaced recalls; 0 beyond the last hit."""
    recall = np.linspace(0, 1, _POINTS)
    place = np.searchsorted(one.curve.recall, recall - 1e-12)
    return recall, np.append(one.curve.envelope, 0.0)[place]


def _title(result: AvaResult) -> str:
    mean = "-" if math.isnan(result.mean_ap) else f"{100 * result.mean_ap:.2f}"
    return f"AVA, protocol {result.protocol}: mAP@0.5 {mean} %, {len(_scored(result))} classes"


def _figure(width: float, height: float) -> Any:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plots", "Plotting to PNG") from None
    figure = Figure(figsize=(width, height), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _bar_figure(result: AvaResult) -> Any:
    scored = _scored(result)
    figure = _figure(9, 1.4 + 0.2 * max(len(scored), 1))
    axes = figure.add_subplot()
    values = [100 * one.ap for _, one in scored]
    places = range(len(scored))
    axes.barh(places, values, color=_BLUE)
    axes.set_yticks(places, [name for name, _ in scored], fontsize=8)
    axes.invert_yaxis()
    axes.margins(y=0.01)
    for place, (value, (_, one)) in enumerate(zip(values, scored, strict=True)):
        axes.text(value + 0.6, place, f"{value:.1f}  ({one.groundtruths})", va="center", fontsize=7)
    axes.set_xlim(0, 112)
    axes.set_xticks(range(0, 101, 20))
    axes.set_xlabel("average precision in % (number of ground truths)")
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_title(_title(result), fontsize=10)
    return figure


def _curve_figure(result: AvaResult) -> Any:
    scored = _scored(result)
    columns = min(10, max(1, math.ceil(math.sqrt(1.6 * len(scored)))))
    rows = max(1, math.ceil(len(scored) / columns))
    figure = _figure(1.5 * columns + 0.5, 1.55 * rows + 0.8)
    figure.suptitle(f"{_title(result)}; precision (up) over recall", fontsize=10)
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    for axes in grid.flat[len(scored) :]:
        axes.set_visible(False)
    for place, (axes, (name, one)) in enumerate(zip(grid.flat, scored, strict=False)):
        recall, precision = _envelope(one)
        axes.fill_between(recall, precision, color=_BLUE, alpha=0.25, linewidth=0)
        axes.plot(recall, precision, color=_BLUE, linewidth=1)
        axes.set(xlim=(0, 1), ylim=(0, 1.02), xticks=(0, 0.5, 1), yticks=(0, 0.5, 1))
        axes.tick_params(labelsize=6, labelbottom=place + columns >= len(scored))
        short = name if len(name) <= 22 else f"{name[:21]}…"
        axes.set_title(f"{short}\n{100 * one.ap:.1f}", fontsize=6.5)
    return figure


def plot_confusion(matrix: npt.NDArray[np.integer], names: Sequence[str], path: str | Path) -> Path:
    """Writes a confusion matrix as PNG: colour is the share of a row, text the count.

    Args:
        matrix: (C, C) counts, as `confusion` gives them: the row is the true class.
        names: The C classes.
        path: The file; its folder is made if it is missing.

    Raises:
        ConfigError: Another shape.
        MissingExtraError: Matplotlib is not installed.
        SinkError: The file cannot be written.
    """
    matrix = np.asarray(matrix)
    if matrix.shape != (len(names), len(names)) or not len(names):
        raise ConfigError(f"a confusion matrix of {len(names)} classes is square of that size, got {matrix.shape}")
    figure = _confusion_figure(matrix, list(names))
    return _write(Path(path), partial(figure.savefig, format="png"))


def _confusion_figure(matrix: npt.NDArray[np.integer], names: list[str]) -> Any:
    totals = matrix.sum(axis=1)
    share = matrix / np.maximum(totals, 1)[:, None]
    size = 2.6 + 0.36 * len(names)
    figure = _figure(size + 0.6, size)
    axes = figure.add_subplot()
    image = axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    places = range(len(names))
    axes.set_xticks(places, names, rotation=45, ha="right", rotation_mode="anchor", fontsize=8)
    axes.set_yticks(places, [f"{name}  ({total})" for name, total in zip(names, totals, strict=True)], fontsize=8)
    axes.set(xlabel="predicted", ylabel="true (number of them)")
    for row, column in zip(*np.nonzero(matrix), strict=True):
        colour = "white" if share[row, column] > 0.55 else "#222222"
        axes.text(column, row, str(matrix[row, column]), ha="center", va="center", fontsize=7, color=colour)
    figure.colorbar(image, ax=axes, label="share of the true class", shrink=0.8)
    total = int(totals.sum())
    axes.set_title(f"{int(matrix.trace())} of {total} right, {matrix.trace() / max(total, 1):.1%}", fontsize=10)
    return figure


_STYLE = """
body { font: 14px/1.4 system-ui, sans-serif; margin: 2rem auto; max-width: 64rem; padding: 0 1rem; color: #222 }
table { border-collapse: collapse; width: 100% }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #eee; font-variant-numeric: tabular-nums }
th:first-child, td:first-child, td.bar { text-align: left }
td:first-child { min-width: 14rem } td.bar { width: 30% } td.bar div { background: #2166ac; height: .8rem }
svg { background: #fafafa; border: 1px solid #ddd; display: block }
"""


def _page(result: AvaResult) -> str:
    counts = result.counts
    facts = (
        f"{counts.keyframes} keyframes, {counts.groundtruth_rows} ground-truth rows, {counts.detection_rows} detection "
        f"rows: {counts.scored} scored, {counts.unscored_class} of unscored classes or keyframes, "
        f"{counts.over_capacity} over the capacity of a keyframe, {counts.without_area} boxes without area."
    )
    title = html.escape(_title(result))
    rows = "\n".join(_row(name, one) for name, one in _scored(result))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>{title}</h1>\n<p>{facts}</p>\n<table>\n"
        "<tr><th>class</th><th></th><th>AP in %</th><th>truths</th><th>detections</th><th>precision over recall</th>"
        f"</tr>\n{rows}\n</table></body></html>\n"
    )


def _row(name: str, one: ClassResult) -> str:
    recall, precision = _envelope(one)
    points = " ".join(f"{120 * r:.1f},{60 - 58 * p:.1f}" for r, p in zip(recall, precision, strict=True))
    curve = (
        f'<svg width="120" height="60" role="img" aria-label="precision over recall of {html.escape(name, True)}">'
        f'<polyline points="{points}" fill="none" stroke="{_BLUE}" stroke-width="1.5"/></svg>'
    )
    bar = f'<div style="width:{100 * one.ap:.1f}%"></div>'
    return (
        f'<tr><td>{html.escape(name)}</td><td class="bar">{bar}</td><td>{100 * one.ap:.2f}</td>'
        f"<td>{one.groundtruths}</td><td>{one.detections}</td><td>{curve}</td></tr>"
    )
