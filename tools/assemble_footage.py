"""Gathers the labelled pictures and clips of tools/posture_data into a folder that the posture recipe trains on.

    python tools/assemble_footage.py CLONES data/footage
    sf-detect train configs/jhmdb/postures.yaml data=JHMDB "footage=[data/footage]"

CLONES holds a clone, bare or not, of each repository of provenance.csv as CLONES/OWNER/NAME. Files are taken at their
commits and checked by hash; each clip's persons are tracked once, and each labelled person of a clip gets the track
whose box is at that place then. What is there already stays. Counts say what is missing and who was left out.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import sf_detect
from sf_detect import RunConfig, boxes
from sf_detect.errors import ConfigError, SFDetectError

HERE = Path(__file__).resolve().parent / "posture_data"
COLUMNS = (
    *("file", "source", "rights", "split", "kind", "time", "start", "end"),
    *("x1", "y1", "x2", "y2", "track", "posture", "actions"),
)
STRIDE = 0.25
OVERLAP = 0.5
"""Least IoU of a labelled box and its track's, at most half a stride apart."""

Row = Mapping[str, str]


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clones", type=Path, help="folder with a clone of each repository, as OWNER/NAME")
    parser.add_argument("out", type=Path, help="folder for labels.csv, tracks/ and the media")
    parser.add_argument("--tables", type=Path, default=HERE, help="folder with labels.csv and provenance.csv")
    return parser.parse_args()


def main() -> int:
    """Fetches, tracks, joins, counts."""
    arguments = _parse()
    try:
        files = {row["file"]: row for row in _read(arguments.tables / "provenance.csv")}
        people = _read(arguments.tables / "labels.csv")
        missing = [row for row in files.values() if not take(row, arguments.clones, arguments.out)]
        there = [person for person in people if files[person["file"]] not in missing]
        clips = sorted({p["file"] for p in there if files[p["file"]]["kind"] == "clip"})
        track(clips, arguments.out)
        rows = [join(person, files[person["file"]], arguments.out) for person in there]
        kept = [row for row in rows if row["kind"] == "still" or row["track"]]
        _write(arguments.out / "labels.csv", kept)
    except SFDetectError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(f"{len(files) - len(missing)} of {len(files)} files, {len(kept)} of {len(people)} labelled people")
    for kind, count in sorted(Counter(row["kind"] for row in kept).items()):
        print(f"  {kind}: {count}")
    for row in missing:
        print(f"missing: {row['file']} ({row['repository']}, {row['path']})")
    for row in rows:
        if row not in kept:
            print(f"no track: {row['file']} at {row['time']} s, {row['posture']}")
    return 0


def take(row: Row, clones: Path, out: Path) -> bool:
    """Whether a file of provenance.csv is in the folder, put there from its clone if need be."""
    target = out / row["file"]
    if target.is_file() and _is_it(target.read_bytes(), row):
        return True
    where = f"{row['commit']}:{row['path']}"
    shown = subprocess.run(["git", "-C", clones / row["repository"], "show", where], capture_output=True, check=False)
    if not _is_it(shown.stdout, row):
        return False
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(shown.stdout)
    return True


def _is_it(content: bytes, row: Row) -> bool:
    return hashlib.sha256(content).hexdigest() == row["sha256"]


def track(clips: Sequence[str], out: Path) -> None:
    """Writes who is where in each clip, unless that is there.

    Raises:
        SFDetectError: The detector cannot be loaded, or a clip cannot be read.
    """
    config = RunConfig()
    config.model.name, config.posture.mode, config.pipeline.stride = "none", "off", STRIDE
    (out / "tracks").mkdir(parents=True, exist_ok=True)
    annotator = None
    for clip in clips:
        if not (tracks := tracks_of(clip, out)).exists():
            annotator = annotator or sf_detect.Annotator(config)
            annotator.annotate(out / clip, out_jsonl=tracks)
            print(f"tracked {clip}", file=sys.stderr)


def tracks_of(clip: str, out: Path) -> Path:
    """Where the recipe looks for a clip's tracks."""
    path = Path(clip)
    return out / "tracks" / f"{path.parent.name}+{path.stem}.jsonl"


def join(person: Row, file: Row, out: Path) -> dict[str, str]:
    """A row of the folder's labels.csv; without a track in a picture, and where nobody is at that place in a clip.

    Raises:
        DataError: The clip's tracks cannot be read.
    """
    row = {**person, "kind": file["kind"], "source": file["repository"], "rights": file["rights"], "track": ""}
    row["split"] = file["split_hint"]
    if file["kind"] == "still":
        return row
    time, box = float(person["time"]), np.array([[float(person[edge]) for edge in ("x1", "y1", "x2", "y2")]])
    records = sf_detect.read_json_lines(tracks_of(person["file"], out))
    record = min(records, key=lambda r: abs(r["time"] - time), default=None)
    if record is None or abs(record["time"] - time) > STRIDE / 2 or not record["persons"]:
        return row
    overlaps = boxes.iou(box, np.array([seen["box"] for seen in record["persons"]]))[0]
    if overlaps.max() >= OVERLAP:
        row["track"] = str(record["persons"][int(overlaps.argmax())]["track_id"])
    return row


def _read(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise ConfigError(f"{path} cannot be read: {error.strerror}.") from error


def _write(path: Path, rows: Sequence[Row]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
