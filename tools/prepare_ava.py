"""Makes AVA's training videos or frames out of films, and tells what is missing.

    python tools/prepare_ava.py FILMS ROOT              # ROOT/videos/ID.mp4: 900 to 1801 s, 30 fps, short side 256
    python tools/prepare_ava.py FILMS ROOT --frames     # ROOT/frames/ID/ID_000001.jpg, ... too
    python tools/prepare_ava.py FILMS ROOT --frames --no-videos
    python tools/prepare_ava.py FILMS ROOT --check             # makes nothing, only reports

FILMS is a folder with one video per film, ID.mkv or any other kind, below any folders. The films are those that the csv
files in ROOT/annotations name (or --list, or all there are). Run it again after an interruption: what is complete
stays.
The exit code is 0 where every film is there whole, 1 where one is short, missing or failed, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from sf_detect.data.ava_preparation import Outcome, Preparation, check_film, in_words, prepare_film, read_names
from sf_detect.data.media import Media
from sf_detect.errors import DataError, SFDetectError


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("films", type=Path, help="folder of the films")
    parser.add_argument("root", type=Path, help="folder of the data set")
    parser.add_argument("--list", type=Path, nargs="+", default=[], metavar="FILE", help="csv or text files of ids")
    parser.add_argument("--frames", action="store_true", help="write folders of frames")
    parser.add_argument("--no-videos", action="store_true", help="write no videos")
    parser.add_argument("--short-side", type=int, default=256, metavar="PIXELS", help="default: 256")
    parser.add_argument(
        "--source-start",
        type=float,
        default=0.0,
        metavar="S",
        help="900 where the sources are cut already (default: 0)",
    )
    parser.add_argument("--workers", type=int, default=2, metavar="N", help="films at a time (default: 2)")
    parser.add_argument("--check", action="store_true", help="only report")
    arguments = parser.parse_args()
    if arguments.no_videos and not arguments.frames:
        parser.error("--no-videos without --frames leaves nothing to do")
    if min(arguments.short_side, arguments.workers) < 1:
        parser.error("--short-side and --workers are positive numbers")
    return arguments


def _names(arguments: argparse.Namespace, films: Media) -> list[str]:
    lists = arguments.list or sorted((arguments.root / "annotations").glob("ava_*_v2.[12].csv"))
    lists = [path for path in lists if "excluded" not in path.name]
    names = read_names(lists) if lists else films.names()
    if not names:
        raise DataError(arguments.films, None, "holds no video; expected the films, such as ID.mkv")
    return names


def _prepared(names: list[str], films: Media, wanted: Preparation, workers: int) -> Iterator[Outcome]:
    # Fresh processes: a forked one would share the decoder's locks.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context) as pool:
        jobs = [pool.submit(prepare_film, name, films.find(name), wanted) for name in names]
        try:
            for job in as_completed(jobs):
                yield job.result()
        finally:
            pool.shutdown(cancel_futures=True)


def main() -> int:
    """Prepares or checks all films and reports."""
    arguments = _parse()
    wanted = Preparation(
        arguments.root, not arguments.no_videos, arguments.frames, arguments.short_side, arguments.source_start
    )
    try:
        films = Media([arguments.films])
        names = _names(arguments, films)
        outcomes = []
        found = (
            (check_film(name, wanted) for name in names)
            if arguments.check
            else _prepared(names, films, wanted, arguments.workers)
        )
        for outcome in found:
            outcomes.append(outcome)
            if not arguments.check:
                print(f"[{len(outcomes)}/{len(names)}] {outcome.name} {outcome.state} {outcome.detail}", flush=True)
    except SFDetectError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("interrupted; run the same command again to go on", file=sys.stderr)
        return 130
    print(in_words(sorted(outcomes, key=lambda o: o.name)))
    return 0 if all(outcome.is_good for outcome in outcomes) else 1


if __name__ == "__main__":
    sys.exit(main())
