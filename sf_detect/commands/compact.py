"""`sf-detect compact`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from sf_detect.file_names import printable

COMPACT_HELP = """Join the small files of an archive, so that questions are answered faster.

`annotate` writes small Parquet files for each video. From some thousand videos on, `query` spends most of its time on
opening them. This joins them to a few large ones; the rows stay the same, `annotate` goes on where it was, and `query`
may run meanwhile. Give it again when many videos have been added.

Example:

    sf-detect compact archive/
"""
_PARTLY = 3


def compact(
    folder: Annotated[Path, typer.Argument(help="Folder of the archive.", metavar="DIR")],
) -> None:
    """Join the small files of an archive."""
    from sf_detect.archive.compaction import compact as compact_files
    from sf_detect.archive.files import ArchiveFiles
    from sf_detect.batch.locking import FolderLock

    ArchiveFiles.find(folder)
    with FolderLock(folder, ""):
        done = compact_files(folder)
    for problem in done.problems:
        _tell(problem)
    left = f"; {len(done.problems)} can't be read and were left as they are" if done.problems else ""
    _tell(f"{done.before} Parquet files were joined to {done.after}{left}")
    raise typer.Exit(_PARTLY if done.problems else 0)


def _tell(text: str) -> None:
    print(printable(f"sf-detect: {text}"), file=sys.stderr)
