"""`sf-detect evaluate`: score detections against ground truth, without a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Score detections against ground truth.", no_args_is_help=True)


@app.callback()
def _evaluate() -> None:
    """Score detections against ground truth."""


@app.command("ava")
def ava(
    groundtruth: Annotated[Path, typer.Option(help="Ground truth csv, plain or gzip.", metavar="G.csv")],
    detections: Annotated[Path, typer.Option(help="Detections csv, plain or gzip.", metavar="D.csv")],
    exclude: Annotated[
        Path | None, typer.Option(help="Csv of `video,timestamp` rows to leave out.", metavar="E.csv")
    ] = None,
    label_map: Annotated[
        str, typer.Option(help="ava60, ava80, another built-in set, or a .pbtxt, .csv or .txt file.")
    ] = "ava60",
    protocol: Annotated[str, typer.Option(help="activitynet or pyslowfast.")] = "activitynet",
    json_path: Annotated[
        str | None, typer.Option("--json", help="Write the result here; '-' is stdout.", metavar="OUT")
    ] = None,
    plots: Annotated[Path | None, typer.Option(help="Write AP bars and precision-recall plots here.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Do not print the table.")] = False,
) -> None:
    """Frame-mAP at IoU 0.5, the AVA protocol.

    Examples:

        sf-detect evaluate ava --groundtruth ava_val_v2.2.csv --detections actions.csv

        sf-detect evaluate ava --groundtruth g.csv --detections d.csv --exclude e.csv --json result.json --plots plots/
    """
    from sf_detect.evaluation.command import evaluate_ava

    result = evaluate_ava(groundtruth, detections, exclude, label_map, protocol)
    if not quiet and json_path != "-":
        typer.echo(result.table())
    if json_path is not None:
        _write_json(json_path, result.to_json())
    if plots is not None:
        from sf_detect.evaluation.plots import write_plots

        for path in write_plots(result, plots):
            typer.echo(f"wrote {path}", err=True)


def _write_json(path: str, content: dict[str, object]) -> None:
    from sf_detect.sinks.text_output import TextOutput

    output = TextOutput(path, "the result of the evaluation")
    try:
        output.write(json.dumps(content) + "\n")
    finally:
        output.close()
