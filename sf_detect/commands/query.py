"""`sf-detect query`."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sf_detect.errors import ConfigError

if TYPE_CHECKING:
    from sf_detect.archive.database import Answer, Database
    from sf_detect.archive.search import Search

QUERY_HELP = """Find things in an archive of annotated videos: who did what, where and when.

DIR is the --out-dir of `sf-detect annotate`. Without options all segments are listed.

Examples:

    sf-detect query archive/ --label wave --min-score 0.6 --min-duration 1

    sf-detect query archive/ --label fall --video 'door*' --format csv --out falls.csv

    sf-detect query archive/ --stats

    sf-detect query archive/ --sql "SELECT video, count(*) FROM segments WHERE label = 'run' GROUP BY video"
"""
_GRACE_SECONDS = 5.0
_DEFAULT_SECONDS = 60.0


def query(
    folder: Annotated[Path, typer.Argument(help="Folder of the archive.", metavar="DIR")],
    label: Annotated[list[str] | None, typer.Option(help="Segments of this label, repeatable.")] = None,
    group: Annotated[str | None, typer.Option(help="Segments of this group of labels: action or posture.")] = None,
    min_score: Annotated[float | None, typer.Option(help="Least mean score of a segment.")] = None,
    min_duration: Annotated[float | None, typer.Option(help="Shortest segment, in seconds.", metavar="S")] = None,
    video: Annotated[
        list[str] | None, typer.Option(help="Videos with such a name, repeatable; * is any text.", metavar="PATTERN")
    ] = None,
    track: Annotated[list[int] | None, typer.Option(help="Persons with this track id, repeatable.")] = None,
    after: Annotated[float | None, typer.Option(help="Segments that end after this second.", metavar="S")] = None,
    before: Annotated[float | None, typer.Option(help="Segments that begin before this second.", metavar="S")] = None,
    sql: Annotated[
        str | None, typer.Option(help="A SELECT over the tables segments, persons, labels and videos.")
    ] = None,
    stats: Annotated[bool, typer.Option("--stats", help="Seconds of each label in each video.")] = False,
    format: Annotated[str | None, typer.Option(help="table, csv or json [table].")] = None,
    out: Annotated[str | None, typer.Option(help="Write the answer here instead of standard output.")] = None,
    limit: Annotated[int | None, typer.Option(help="Most rows [100 of a table, else all].", min=0)] = None,
    timeout: Annotated[float, typer.Option(help="Longest that a question may take, in seconds.")] = _DEFAULT_SECONDS,
) -> None:
    """Ask an archive."""
    from sf_detect.archive.search import Search

    search = Search(
        labels=tuple(label or ()),
        videos=tuple(video or ()),
        min_score=min_score,
        min_duration=min_duration,
        tracks=tuple(track or ()),
        after=after,
        before=before,
        group=group,
    )
    _check(search, sql, stats, timeout)
    with _ended_in_time(timeout), _opened(folder, timeout) as database:
        _write(_answer(database, search, sql, stats), _format(format, out), out, limit)


def _check(search: Search, sql: str | None, stats: bool, timeout: float) -> None:
    if not timeout > 0:
        raise ConfigError(f"--timeout is a number of seconds above 0, got {timeout:g}.")
    if sql is not None and (stats or search.condition()[0] != "true"):
        raise ConfigError("--sql is the whole question: put conditions into it, and leave the other options out.")


@contextmanager
def _opened(folder: Path, seconds: float) -> Iterator[Database]:
    from sf_detect.archive.database import Database
    from sf_detect.archive.files import ArchiveFiles

    with Database(ArchiveFiles.find(folder), seconds) as database:
        yield database


def _answer(database: Database, search: Search, sql: str | None, stats: bool) -> Answer:
    from sf_detect.archive.search import find, seconds_per_label

    if sql is not None:
        return database.ask_user(sql)
    return seconds_per_label(database, search) if stats else find(database, search)


def _format(format: str | None, out: str | None) -> str:
    """What was asked for; else by the ending of the output."""
    if format is not None:
        return format
    return {".csv": "csv", ".json": "json"}.get(Path(out or "").suffix.lower(), "table")


def _write(answer: Answer, format: str, out: str | None, limit: int | None) -> None:
    from sf_detect.archive.tables import as_text
    from sf_detect.sinks.text_output import STDOUT, TextOutput

    output = TextOutput(STDOUT if out is None else out, "the answer")
    try:
        for text in as_text(answer, format, limit):
            output.write(text, text.count("\n"))
    finally:
        output.close()


@contextmanager
def _ended_in_time(seconds: float) -> Iterator[threading.Timer]:
    """Ends the process where DuckDB does not notice that it is to stop, as in the middle of one huge value."""

    def end() -> None:
        print(f"sf-detect: the question took longer than {seconds:g} s and was ended. Ask for less.", file=sys.stderr)
        sys.stderr.flush()
        os._exit(ConfigError.exit_code)

    timer = threading.Timer(seconds + _GRACE_SECONDS, end)
    timer.daemon = True
    timer.start()
    try:
        yield timer
    finally:
        timer.cancel()
