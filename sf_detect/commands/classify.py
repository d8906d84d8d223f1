"""`sf-detect classify`: what a whole video shows."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from sf_detect.file_names import printable_name
from sf_detect.redaction import public_url

if TYPE_CHECKING:
    from sf_detect.models.classifier import Classification, ClipClassifier
    from sf_detect.models.video_views import Views

CLASSIFY_HELP = """Classify a video as a whole: the best actions of several views of it.

VIDEO is a video file, a folder of images or the URL of a file.

Examples:

    sf-detect classify video.mp4

    sf-detect classify video.mp4 --views 10x3 --top-k 10 --json actions.json

    sf-detect classify video.mp4 --model charades_slowfast_16x8_r50 --views published

    sf-detect classify video.mp4 --model k400_slowfast_8x8_r50 --weights SLOWFAST_8x8_R50.pkl

    sf-detect classify video.mp4 --weights work/mine/best.safetensors
"""
SCHEMA = "sf-detect-classify/1"
_STDOUT = "-"
_PARTLY_DECODED = 3
_INTERRUPTED = 130


def classify(
    video: Annotated[str, typer.Argument(help="Video file, folder of images or URL of a file.", metavar="VIDEO")],
    model: Annotated[
        str | None,
        typer.Option(help="Classifier (`sf-detect weights list --task classification`) [k400_inception_i3d]."),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="Checkpoint file for the model; of your own training, it brings the model.")
    ] = None,
    views: Annotated[
        str,
        typer.Option(help="Clips x crops that are looked at, or 'published': those of the figure.", metavar="CxS"),
    ] = "4x1",
    top_k: Annotated[int, typer.Option(min=1, help="Actions told.")] = 5,
    json_path: Annotated[
        str | None, typer.Option("--json", help="Write the result here; '-' is stdout.", metavar="OUT")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Label file (.txt, .csv, .pbtxt) in place of the model's label set.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda or cuda:N.")] = "cpu",
    fps: Annotated[float | None, typer.Option(help="Frame rate of a folder of images [25].")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No progress; no table where --json is given.")] = False,
) -> None:
    """Classify one video."""
    from sf_detect import build
    from sf_detect.build_classifier import DEFAULT_CLASSIFIER, build_classifier, classifier_views
    from sf_detect.config import RunConfig, check_config
    from sf_detect.outputs import check_outputs
    from sf_detect.processing import ReadAhead

    chosen = model or DEFAULT_CLASSIFIER
    wanted = classifier_views(chosen, views, weights)
    settings = RunConfig(device=device, fps=fps)
    check_config(settings)
    if json_path is not None:
        check_outputs(video, {"json": json_path})
    with build.open_source(video, settings) as source:
        classifier = build_classifier(chosen, weights, device, labels)
        result = _classify(classifier, ReadAhead(source), wanted, quiet)
    best = result.top(top_k)
    if json_path != _STDOUT and not (quiet and json_path):
        typer.echo(table(best))
    if json_path is not None:
        from sf_detect.sinks.text_output import write_json

        write_json(json_path, to_json(video, classifier.name, result, top_k), "the result of the classification")
    raise typer.Exit(_exit_code(video, result, source.decode_errors))


def table(best: list[tuple[str, float]]) -> str:
    """The best actions as lines of score and label."""
    return "\n".join(f"{score:6.3f}  {label}" for label, score in best)


def to_json(video: str, model: str, result: Classification, top_k: int) -> dict[str, Any]:
    """The result as written by `--json`."""
    return {
        "schema": SCHEMA,
        "video": printable_name(public_url(video)),
        "model": model,
        "views": {"clips": result.clips, "crops": result.crops},
        "top": [{"label": label, "score": round(score, 6)} for label, score in result.top(top_k)],
    }


def _classify(classifier: ClipClassifier, source: Any, views: Views, quiet: bool) -> Classification:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import Progress

    console = Console(stderr=True)
    with Progress(console=console, disable=quiet or not console.is_terminal, transient=True) as progress:
        task = progress.add_task(escape(source.info.name), total=None)

        def show(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        return classifier(source, views, show)


def _exit_code(video: str, result: Classification, decode_errors: int) -> int:
    if decode_errors:
        print(
            f"sf-detect: {printable_name(public_url(video))} is damaged: {decode_errors} decoding "
            "error(s); the part that decodes was classified. Repair or re-download the file for the rest.",
            file=sys.stderr,
        )
    if result.interrupted:
        print(
            f"sf-detect: interrupted: the result is of the views done so far, {result.clips}x{result.crops} at most.",
            file=sys.stderr,
        )
        return _INTERRUPTED
    return _PARTLY_DECODED if decode_errors else 0
