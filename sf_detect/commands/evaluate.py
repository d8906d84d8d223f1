"""`sf-detect evaluate`: score detections against ground truth, without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Protocol

import typer

app = typer.Typer(help="Score detections against ground truth.", no_args_is_help=True)

_Json = Annotated[str | None, typer.Option("--json", help="Write the result here; '-' is stdout.", metavar="OUT")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Do not print the table.")]
_Scores = Annotated[
    Path,
    typer.Option(
        help="A row per view: .npz with videos and scores, or text, `video score score ...`.", metavar="S.npz"
    ),
]


class _Result(Protocol):
    @property
    def notes(self) -> tuple[str, ...]: ...
    def table(self) -> str: ...
    def to_json(self) -> dict[str, object]: ...


def _report(result: _Result, json_path: str | None, quiet: bool) -> None:
    if not quiet and json_path != "-":
        typer.echo(result.table())
    for note in result.notes:
        typer.echo(f"note: {note}", err=True)
    if json_path is not None:
        from sf_detect.sinks.text_output import write_json

        write_json(json_path, result.to_json(), "the result of the evaluation")


@app.command("ava")
def ava(
    groundtruth: Annotated[Path, typer.Option(help="Ground truth csv, plain or gzip.", metavar="G.csv")],
    detections: Annotated[
        Path, typer.Option(help="Detections: csv, plain or gzip, or .jsonl of `sf-detect run`.", metavar="D")
    ],
    exclude: Annotated[
        Path | None, typer.Option(help="Csv of `video,timestamp` rows to leave out.", metavar="E.csv")
    ] = None,
    label_map: Annotated[
        str, typer.Option(help="ava60, ava80, another built-in set, or a .pbtxt, .csv or .txt file.")
    ] = "ava60",
    protocol: Annotated[str, typer.Option(help="activitynet or pyslowfast.")] = "activitynet",
    json_path: _Json = None,
    plots: Annotated[Path | None, typer.Option(help="Write AP bars and precision-recall plots here.")] = None,
    quiet: _Quiet = False,
) -> None:
    """Frame-mAP at IoU 0.5, the AVA protocol.

    The csv files have no header: video,timestamp,x1,y1,x2,y2,label_id[,score]. `sf-detect run --out-csv` writes one.
    JSON Lines are turned into such rows; they lack actions below 0.01, which a benchmark counts.

    Examples:

        sf-detect evaluate ava --groundtruth ava_val_v2.2.csv --detections actions.csv

        sf-detect evaluate ava --groundtruth g.csv --detections d.csv --exclude e.csv --json result.json --plots plots/
    """
    from sf_detect.evaluation.command import evaluate_ava

    result = evaluate_ava(groundtruth, detections, exclude, label_map, protocol)
    _report(result, json_path, quiet)
    if plots is not None:
        from sf_detect.evaluation.plots import write_plots

        for path in write_plots(result, plots):
            typer.echo(f"wrote {path}", err=True)


@app.command("tubes")
def tubes(
    groundtruth: Annotated[
        Path, typer.Option(help="Csv of boxes on frames, or a .pkl of ACT's layout or of UCF101-24.", metavar="G")
    ],
    detections: Annotated[
        Path, typer.Option(help="Csv of boxes on frames, .jsonl of `sf-detect run`, or MultiSports' .pkl.", metavar="D")
    ],
    convention: Annotated[str, typer.Option(help="act, yowo or multisports: whose code defines the numbers.")] = "act",
    label_map: Annotated[
        str, typer.Option(help="Labels of csv files: jhmdb21, ucf24, another built-in set, or a label file.")
    ] = "jhmdb21",
    videos: Annotated[
        Path | None, typer.Option(help="The videos to evaluate: .txt, a name a line, or .csv with split1, ...")
    ] = None,
    split: Annotated[int | None, typer.Option(min=1, help="Evaluate the test videos of this split.")] = None,
    linking: Annotated[
        str | None, typer.Option(help="greedy, viterbi or tracks [the convention's own].", show_default=False)
    ] = None,
    all_frames: Annotated[
        bool, typer.Option("--all-frames", help="Count frames without a line in D.jsonl as missed.")
    ] = False,
    json_path: _Json = None,
    quiet: _Quiet = False,
) -> None:
    """Frame-mAP and video-mAP of J-HMDB, UCF101-24 and MultiSports; boxes are linked to tubes here.

    A csv has the header video,frame,x1,y1,x2,y2,label[,score][,track]: pixels, a row per box and class. Ground-truth
    pickles of ACT's layout (JHMDB-GT.pkl, UCF101v2-GT.pkl, multisports_GT.pkl) count frames from 1, pyannot.pkl and
    JSON Lines from 0. Of JSON Lines, only the keyframes are scored, by frame-mAP.

    Examples:

        sf-detect evaluate tubes --groundtruth JHMDB-GT.pkl --split 1 --detections boxes.csv

        sf-detect evaluate tubes --groundtruth pyannot.pkl --videos testlist01.txt --detections d.csv --convention yowo

        sf-detect evaluate tubes --groundtruth multisports_GT.pkl --detections tubes.pkl --convention multisports
    """
    from sf_detect.evaluation.tube_evaluation import evaluate_tubes

    result = evaluate_tubes(groundtruth, detections, label_map, convention, split, linking, videos, all_frames)
    _report(result, json_path, quiet)


@app.command("kinetics")
def kinetics(
    groundtruth: Annotated[
        Path, typer.Option(help="Rows of `path label`, no header, or the published csv.", metavar="G.csv")
    ],
    scores: _Scores,
    views: Annotated[int, typer.Option(min=1, help="Views of every video: 10 clips x 3 crops.")] = 30,
    label_map: Annotated[
        str | None,
        typer.Option(help="Labels of the published csv [Kinetics-400's or -600's].", show_default=False),
    ] = None,
    json_path: _Json = None,
    quiet: _Quiet = False,
) -> None:
    """Top-1 and top-5 accuracy, with the scores of all views of a video averaged.

    Videos are matched by the file name without its folder and ending. The published csv names clips by
    ID_000010_000020 or ID, and its classes by name; clips of it without scores are left out and counted.

    Examples:

        sf-detect evaluate kinetics --groundtruth val.csv --scores scores.npz

        sf-detect evaluate kinetics --groundtruth val.csv --scores scores.txt --views 1 --json result.json
    """
    from sf_detect.evaluation.command import evaluate_kinetics

    _report(evaluate_kinetics(groundtruth, scores, views, label_map=label_map), json_path, quiet)


@app.command("charades")
def charades(
    groundtruth: Annotated[Path, typer.Option(help="Charades_v1_test.csv: columns id and actions.", metavar="G.csv")],
    scores: _Scores,
    views: Annotated[int, typer.Option(min=1, help="Views of every video: 10 clips x 3 crops.")] = 30,
    protocol: Annotated[str, typer.Option(help="charades (the official one) or pyslowfast.")] = "charades",
    json_path: _Json = None,
    quiet: _Quiet = False,
) -> None:
    """Multi-label mAP over the 157 classes of Charades, with the greatest score of all views of a video.

    Examples:

        sf-detect evaluate charades --groundtruth Charades_v1_test.csv --scores scores.npz

        sf-detect evaluate charades --groundtruth Charades_v1_test.csv --scores results.txt --views 1
    """
    from sf_detect.evaluation.command import evaluate_charades

    _report(evaluate_charades(groundtruth, scores, views, protocol), json_path, quiet)


@app.command("persons")
def persons(
    groundtruth: Annotated[
        Path, typer.Option(help="COCO annotations (.json), or csv of video,frame,x1,y1,x2,y2.", metavar="G")
    ],
    detections: Annotated[
        Path, typer.Option(help="COCO results (.json), csv with score, or .jsonl of `sf-detect run`.", metavar="D")
    ],
    json_path: _Json = None,
    quiet: _Quiet = False,
) -> None:
    """COCO AP of the person detector, by pycocotools (extra "coco").

    A csv of detections has the header image_id,x1,y1,x2,y2,score (an id or a file name) for COCO annotations, or
    video,frame,x1,y1,x2,y2,score for a csv; boxes are pixels. Detections on other images are left out.

    Examples:

        sf-detect evaluate persons --groundtruth instances_val2017.json --detections results.json

        sf-detect evaluate persons --groundtruth boxes.csv --detections persons.csv --json result.json
    """
    from sf_detect.evaluation.person_files import evaluate_persons

    _report(evaluate_persons(groundtruth, detections), json_path, quiet)
