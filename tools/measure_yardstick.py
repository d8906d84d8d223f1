"""Measures on hand-labelled everyday video how many people are found, given a label, and given a true one.

    python tools/measure_yardstick.py CLIPS --results work/yardstick            # split "choose"
    python tools/measure_yardstick.py CLIPS --results work/yardstick --threshold 0.3 --json

CLIPS is a folder with the clips of tools/yardstick/clips.csv (tools/yardstick/README.md says where they come from);
clips that are not there are left out, and named. Each clip is run once, as `sf-detect run CLIP --out-jsonl` does, into
the folder of results; a second call reads what is there. The splits but "choose" were for a single
measurement each, and are used.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from yardstick import labels as labelled
from yardstick import measures
from yardstick.labels import ClipFile
from yardstick.measures import Judged, Record

import sf_detect
from sf_detect import RunConfig
from sf_detect.errors import ConfigError, SFDetectError


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("clips", type=Path, help="folder with the clips")
    parser.add_argument("--results", type=Path, required=True, help="folder for one JSON Lines file a clip")
    parser.add_argument("--split", default="choose", help="choose (default), measure, fresh, unseen, held or all")
    parser.add_argument("--model", default=RunConfig().model.name, help="a name of `sf-detect weights list`")
    parser.add_argument("--weights", help="a file of weights instead of the shipped or cached one")
    parser.add_argument("--postures", choices=["auto", "on", "off"], default="auto", help="as posture.mode [auto]")
    parser.add_argument("--posture-weights", help="a file of the posture classifier instead of the shipped one")
    parser.add_argument("--threshold", type=float, help="one threshold for all labels instead of the model's own")
    parser.add_argument("--labels", type=Path, default=labelled.HERE, help="folder with labels.csv and clips.csv")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    return parser.parse_args()


def main() -> int:
    """Runs, judges, prints."""
    arguments = _parse()
    try:
        report = measure(arguments)
    except SFDetectError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    print(json.dumps(report, indent=1) if arguments.json else "\n".join(tables(report)))
    return 0


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Everything that is printed, as one object.

    Raises:
        SFDetectError: A file of labels, a clip or a result is not what it should be, or no clip is there.
    """
    config = RunConfig()
    config.model.name, config.model.weights = arguments.model, arguments.weights
    config.posture.mode, config.posture.weights = arguments.postures, arguments.posture_weights
    splits = labelled.check_split(arguments.split)
    all_clips = labelled.read_clips(arguments.labels / "clips.csv")
    windows = labelled.read_windows(arguments.labels / "labels.csv", all_clips)
    wanted = [c for c in all_clips if c.split in splits]
    files = {c: path for c in wanted if (path := labelled.find_clip(c, arguments.clips)) is not None}
    if not files:
        raise ConfigError(
            f"{arguments.clips} holds none of the {len(wanted)} clips of this split. Expected files named as in "
            f"{arguments.labels / 'clips.csv'}."
        )
    names, thresholds = model_labels(config, arguments.threshold)
    by_clip = {}
    for clip, path in files.items():
        records = results_of(clip, path, arguments.results, config)
        mine = [w for w in windows if w.clip == clip.clip]
        by_clip[clip.clip] = measures.judge(mine, records, names, thresholds)
    return {
        "model": arguments.model,
        "split": arguments.split,
        "threshold": arguments.threshold,
        "missing": [c.clip for c in wanted if c not in files],
        **summary(by_clip),
    }


def model_labels(config: RunConfig, threshold: float | None) -> tuple[list[str], list[float]]:
    """The labels of the model, postures included, and from which score on each is shown.

    Raises:
        SFDetectError: The model or its weights cannot be loaded.
    """
    spec = sf_detect.Annotator(config).spec
    own = spec.thresholds if threshold is None else [threshold] * len(spec.labels)
    return list(spec.labels), [float(t) for t in own]


def results_of(clip: ClipFile, path: Path, folder: Path, config: RunConfig) -> list[Record]:
    """The JSON Lines records of a clip, made now unless they are in the folder from an earlier call."""
    model = Path(config.model.weights).stem if config.model.weights else config.model.name
    posture = config.posture
    if posture.mode != "auto" or posture.weights is not None:
        model += f".postures-{posture.mode if posture.weights is None else Path(posture.weights).stem}"
    results = folder / f"{clip.clip}.{model}.jsonl"
    if not results.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        print(f"running {path.name}", file=sys.stderr)
        sf_detect.annotate_video(path, out_jsonl=results, config=config)
    return list(sf_detect.read_json_lines(results))


def summary(by_clip: Mapping[str, Sequence[Judged]]) -> dict[str, Any]:
    """Rates with their intervals, per class and per clip."""
    everyone = [j for judged in by_clip.values() for j in judged]
    rates = {}
    for rate in measures.RATES:
        part, whole = measures.total(rate, everyone)
        share, interval = part / whole if whole else None, measures.interval(rate, by_clip)
        rates[rate] = {"part": part, "whole": whole, "share": share, "interval": interval}
    return {
        "clips": len(by_clip),
        "people": len(everyone),
        "rates": rates,
        "labels of no class here": sum(j.foreign for j in everyone),
        "per class": measures.per_class(everyone),
        "per clip": {c: {r: measures.total(r, js) for r in measures.RATES} for c, js in by_clip.items()},
    }


def tables(report: Mapping[str, Any]) -> list[str]:
    """The report as lines of text."""
    lines = [f"{report['model']}, split {report['split']}: {report['clips']} clips, {report['people']} people", ""]
    for rate, r in report["rates"].items():
        share = "-" if r["share"] is None else f"{r['share']:.3f}"
        interval = "" if r["interval"] is None else f"({r['interval'][0]:.3f} to {r['interval'][1]:.3f})"
        lines.append(f"{rate:<34}{share:>6}  {r['part']:>4} of {r['whole']:<4} {interval}")
    lines += ["", f"{'class':<16}{'people':>7}{'said':>6}{'shown':>7}{'true':>6}  true of shown (95 %, Wilson)"]
    for name, row in report["per class"].items():
        wilson = measures.wilson(row["true"], row["shown"])
        spread = "" if wilson is None else f"{row['true'] / row['shown']:.2f} ({wilson[0]:.2f} to {wilson[1]:.2f})"
        lines.append(f"{name:<16}{row['people']:>7}{row['said']:>6}{row['shown']:>7}{row['true']:>6}  {spread}")
    lines += ["", f"{'clip':<28}{'found':>9}{'labelled':>10}{'true label':>12}{'shown true':>12}"]
    for clip, rows in report["per clip"].items():
        found, _, said, true, shown = (f"{part}/{whole}" for part, whole in rows.values())
        lines.append(f"{clip:<28}{found:>9}{said:>10}{true:>12}{shown:>12}")
    return lines + [f"\nnot measured, not in the folder: {', '.join(report['missing'])}"] * bool(report["missing"])


if __name__ == "__main__":
    sys.exit(main())
