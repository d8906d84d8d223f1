"""`sf-detect query`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from sf_detect.errors import ConfigError
from sf_detect.file_names import printable
from sf_detect.redaction import redacted

if TYPE_CHECKING:
    from sf_detect.archive.clips import Cutting, Part
    from sf_detect.archive.database import Database
    from sf_detect.archive.files import ArchiveFiles
    from sf_detect.archive.search import Search
    from sf_detect.interfaces import PersonDetector
    from sf_detect.structures import FloatArray, UInt8Array

QUERY_HELP = """Find things in an archive of annotated videos: who did what, where and when.

DIR is the --out-dir of `sf-detect annotate`. Without options all segments are listed.

Examples:

    sf-detect query archive/ --label wave --min-score 0.6 --min-duration 1

    sf-detect query archive/ --label fall --video 'door*' --format csv --out falls.csv

    sf-detect query archive/ --stats

    sf-detect query archive/ --label wave --cut clips/ --sheet waves.jpg --anonymise head

    sf-detect query archive/ --like door.mp4:12.5:3

    sf-detect query archive/ --sql "SELECT video, count(*) FROM segments WHERE label = 'run' GROUP BY video"
"""
_GRACE_SECONDS = 5.0
_PARTLY = 3
_DEFAULT_SECONDS, _DEFAULT_MARGIN = 60.0, 0.5


Label = Annotated[list[str] | None, typer.Option(help="Segments of this label, repeatable.")]
Group = Annotated[str | None, typer.Option(help="Segments of this group of labels: action or posture.")]
MinScore = Annotated[float | None, typer.Option(help="Least mean score of a segment.")]
MinDuration = Annotated[float | None, typer.Option(help="Shortest segment, in seconds.", metavar="S")]
Video = Annotated[
    list[str] | None, typer.Option(help="Videos with such a name, repeatable; * is any text.", metavar="PATTERN")
]
Track = Annotated[list[int] | None, typer.Option(help="Persons with this track id, repeatable.")]
After = Annotated[float | None, typer.Option(help="Segments that end after this second.", metavar="S")]
Before = Annotated[float | None, typer.Option(help="Segments that begin before this second.", metavar="S")]
Sql = Annotated[str | None, typer.Option(help="A SELECT over the tables segments, persons, labels and videos.")]
Like = Annotated[
    str | None,
    typer.Option(help="Persons who move like this one; needs `annotate --features`.", metavar="VIDEO:TIME:TRACK"),
]
Stats = Annotated[bool, typer.Option("--stats", help="Seconds of each label in each video.")]
Format = Annotated[str | None, typer.Option(help="table, csv or json [table].")]
Out = Annotated[str | None, typer.Option(help="Write the answer here instead of standard output.")]
Limit = Annotated[int | None, typer.Option(help="Most rows [100 of a table, 20 of --like, else all].", min=1)]
Timeout = Annotated[float, typer.Option(help="Longest that a question may take, in seconds.")]
Cut = Annotated[Path | None, typer.Option(help="Write a clip of each row into this folder.", metavar="DIR2")]
Sheet = Annotated[Path | None, typer.Option(help="Write a contact sheet of the rows.", metavar="F.jpg")]
Margin = Annotated[float, typer.Option(help="Seconds before and after each clip.", metavar="S")]
Copy = Annotated[
    bool, typer.Option("--copy", help="Copy clips from the key picture before them on, instead of encoding.")
]
VideosRoot = Annotated[
    Path | None, typer.Option(help="Folder that holds the videos now, if they have moved.", metavar="DIR")
]
Anonymise = Annotated[str | None, typer.Option(help="Hide 'head' or 'person' in clips and on sheets.")]


def query(
    ctx: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Folder of the archive.", metavar="DIR")],
    label: Label = None,
    group: Group = None,
    min_score: MinScore = None,
    min_duration: MinDuration = None,
    video: Video = None,
    track: Track = None,
    after: After = None,
    before: Before = None,
    sql: Sql = None,
    like: Like = None,
    stats: Stats = False,
    format: Format = None,
    out: Out = None,
    limit: Limit = None,
    timeout: Timeout = _DEFAULT_SECONDS,
    cut: Cut = None,
    sheet: Sheet = None,
    margin: Margin = _DEFAULT_MARGIN,
    copy: Copy = False,
    videos_root: VideosRoot = None,
    anonymise: Anonymise = None,
) -> None:
    """Ask an archive."""
    from sf_detect.archive.database import Database
    from sf_detect.archive.files import ArchiveFiles
    from sf_detect.archive.questions import Question
    from sf_detect.archive.similar import Moment

    search = _search(ctx.params)
    question = Question(search, sql, None if like is None else Moment.parse(like), stats, limit)
    how = _cutting(ctx.params)
    _check(stats, timeout, cut, sheet)
    files = ArchiveFiles.find(folder)
    with Database(files, timeout) as database:
        with _ended_in_time(timeout):
            answer = question.ask(database, files)
            rows = None if how is None else list(answer.rows)
            _write(answer.columns, answer.rows if rows is None else rows, _format(format, out), out, limit)
        if rows is not None and how is not None:
            parts = _parts(answer.columns, rows)
            raise typer.Exit(_make(parts, database, files, how, cut is not None, sheet))


def _search(given: Mapping[str, Any]) -> Search:
    """What a segment must be like, by the names of the options."""
    from sf_detect.archive.search import Search

    conditions: dict[str, Any] = {
        name: given[name] for name in ("min_score", "min_duration", "after", "before", "group")
    }
    for name, option in {"labels": "label", "videos": "video", "tracks": "track"}.items():
        conditions[name] = tuple(given[option] or ())
    return Search(**conditions)


def _cutting(given: Mapping[str, Any]) -> Cutting | None:
    """How clips and sheets are made; None where none are, which needs no libraries of video."""
    cut, hide = given["cut"], given["anonymise"]
    wanted = cut is not None or given["sheet"] is not None
    if not wanted and hide is None and not given["copy"] and given["margin"] == _DEFAULT_MARGIN:
        return None
    from sf_detect.archive.clips import Cutting

    how = Cutting(cut or Path(), given["margin"], given["copy"], given["videos_root"], hide, _find_persons(hide))
    return how if wanted else None


def _check(stats: bool, timeout: float, cut: Path | None, sheet: Path | None) -> None:
    if not timeout > 0:
        raise ConfigError(f"--timeout is a number of seconds above 0, got {timeout:g}.")
    if stats and (cut is not None or sheet is not None):
        raise ConfigError("--stats counts seconds, of which there are no clips; leave it or --cut and --sheet out.")
    if sheet is not None:
        from sf_detect.archive.sheets import check_ending

        check_ending(sheet)


def _find_persons(anonymise: str | None) -> Callable[[UInt8Array], FloatArray] | None:
    """Looks for persons with the default detector, loaded when it is first needed."""
    if anonymise is None:
        return None
    loaded: list[PersonDetector] = []

    def find(image: UInt8Array) -> FloatArray:
        from sf_detect import build

        if not loaded:
            loaded.append(cast("PersonDetector", build.build_detector()))
        return loaded[0]([image])[0].boxes

    return find


def _format(format: str | None, out: str | None) -> str:
    """What was asked for; else by the ending of the output."""
    if format is not None:
        return format
    return {".csv": "csv", ".json": "json"}.get(Path(out or "").suffix.lower(), "table")


def _write(
    columns: tuple[str, ...], rows: Iterable[tuple[Any, ...]], format: str, out: str | None, limit: int | None
) -> None:
    from sf_detect.archive.database import Answer
    from sf_detect.archive.tables import as_text
    from sf_detect.sinks.text_output import STDOUT, TextOutput

    pieces = as_text(Answer(columns, iter(rows)), format, limit)
    output = TextOutput(STDOUT if out is None else out, "the answer")
    try:
        for text in pieces:
            output.write(text, text.count("\n"))
    finally:
        output.close()


def _parts(columns: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> list[Part]:
    from sf_detect.archive.clips import parts_of
    from sf_detect.archive.database import Answer

    return parts_of(Answer(columns, iter(rows)))


def _make(
    parts: Sequence[Part], database: Database, files: ArchiveFiles, how: Cutting, clips: bool, sheet: Path | None
) -> int:
    """Clips and sheet; returns the exit code."""
    from sf_detect.archive.pictures import make_pictures

    title = f"{len(parts)} found in {files.folder.name or files.folder}"
    made = make_pictures(parts, database, how, clips=clips, sheet=sheet, title=title, tell=_tell)
    if clips:
        _tell(f"wrote {made.clips} clip(s)" + (f" below {how.folder}" if made.clips else ""))
    if made.on_sheet:
        rest = f", the first of {len(parts)}" if made.on_sheet < len(parts) else ""
        _tell(f"wrote {sheet} with {made.on_sheet} part(s){rest}")
    if not made.problems:
        return 0
    return _PARTLY if made.clips or made.on_sheet else 1


def _tell(text: str) -> None:
    print(printable(f"sf-detect: {redacted(text)}"), file=sys.stderr)


@contextmanager
def _ended_in_time(seconds: float) -> Iterator[threading.Timer]:
    """Ends the process where DuckDB does not notice that it is to stop, as in the middle of one huge value."""

    def end() -> None:
        _tell(f"the question took longer than {seconds:g} s and was ended. Ask for less.")
        sys.stderr.flush()
        os._exit(ConfigError.exit_code)

    timer = threading.Timer(seconds + _GRACE_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield timer
    finally:
        timer.cancel()
