"""`sf-detect convert`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sf_detect.file_names import printable

CONVERT_HELP = """Results in the formats of other tools, and annotations of other tools as data to train on.

INPUT is a .jsonl of `run`, a folder of such files, an archive of `annotate`, an .xml of CVAT ("CVAT for video 1.1") or
a .json of Label Studio.

Formats: archive (for `query`), coco, cvat, fiftyone, label-studio, supervision, training (csv of own actions).

Examples:

    sf-detect convert results.jsonl --to coco --out results.json

    sf-detect convert archive/ --to cvat --out cvat/

    sf-detect convert jsonl_files/ --to archive --out archive/

    sf-detect convert annotations.xml --fps 25 --to training --out my_actions/train.csv
"""


def convert(
    source: Annotated[Path, typer.Argument(help="Results or annotations.", metavar="INPUT")],
    to: Annotated[str, typer.Option("--to", help="Format.", metavar="FORMAT")],
    out: Annotated[Path, typer.Option(help="File or folder, by the format.")],
    kind: Annotated[
        str | None,
        typer.Option("--from", help="jsonl, archive, cvat or label-studio [by ending].", metavar="FORMAT"),
    ] = None,
    min_score: Annotated[
        float | None, typer.Option(help="Score from which a label counts [its decision threshold].")
    ] = None,
    fps: Annotated[float | None, typer.Option(help="Frame rate of the video, which CVAT does not tell.")] = None,
    video: Annotated[str | None, typer.Option(help="Name of the video of a CVAT file.")] = None,
    every: Annotated[float, typer.Option(help="Seconds between keyframes of annotations.", metavar="S")] = 0.5,
) -> None:
    """Convert results or annotations."""
    from sf_detect.convert import convert as convert_file
    from sf_detect.convert.formats import Reading

    written = convert_file(source, to, out, kind=kind, min_score=min_score, how=Reading(fps, video, every))
    shown = (
        f"{written[0]}" if len(written) == 1 else f"{len(written)} files below {out if out.is_dir() else out.parent}"
    )
    print(printable(f"sf-detect: wrote {shown}" if written else "sf-detect: nothing to write"), file=sys.stderr)
