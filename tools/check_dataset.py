"""Checks a dataset and shows some of its clips.

    python tools/check_dataset.py custom root=my_actions --sheet sheet.png
    python tools/check_dataset.py ava root=DIR split=val --videos 50
    python tools/check_dataset.py jhmdb root=DIR number=2 keyframes=every

DATASET and its options are those of a recipe's `data` section (sf_detect/data/datasets.py lists them). The exit code is
0 where nothing is wrong, 1 where something is, 2 for wrong usage.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import cv2
import numpy as np
from omegaconf import OmegaConf

from sf_detect.atomic_file import atomic_file
from sf_detect.data.checking import check_dataset, in_words, spread, times_of, where
from sf_detect.data.datasets import DATASETS, build_dataset
from sf_detect.data.decoding import probe, read_clip
from sf_detect.data.samples import ActionDataset, ClipSample
from sf_detect.errors import ConfigError, DataError, SFDetectError
from sf_detect.rendering import Renderer, RenderStyle
from sf_detect.rendering.contact_sheet import SheetCell, contact_sheet
from sf_detect.structures import ActionDetections, Detections, Frame, FrameResult

_WIDTH = 384  # pixels of a picture on the sheet
_STRIP = np.array([-1.0, -0.5, 0.5, 1.0])  # seconds around the keyframe


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dataset", help=f"one of {', '.join(sorted(DATASETS))}")
    parser.add_argument("options", nargs="*", metavar="KEY=VALUE", help="options of the dataset, such as root=DIR")
    parser.add_argument("--videos", type=int, metavar="N", help="open only N videos, spread evenly (default: all)")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a contact sheet (.png or .jpg)")
    parser.add_argument("--clips", type=int, default=12, metavar="N", help="clips on the sheet (default: 12)")
    arguments = parser.parse_args()
    if arguments.sheet is not None and arguments.sheet.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        parser.error(f"--sheet writes .png or .jpg, got {arguments.sheet.name}")
    if arguments.clips < 1 or (arguments.videos is not None and arguments.videos < 1):
        parser.error("--clips and --videos are positive numbers")
    return arguments


def _options(texts: list[str]) -> dict[str, object]:
    for text in texts:
        if "=" not in text:
            raise ConfigError(f"{text!r} is not of the form key=value, such as root=DIR")
    return dict(OmegaConf.to_container(OmegaConf.from_dotlist(texts)))  # type: ignore[arg-type]


def _cell(dataset: ActionDataset, sample: ClipSample) -> SheetCell:
    """The labelled frame with boxes and actions, and frames around it."""
    if sample.keyframe is not None:
        middle, times = sample.keyframe, sample.keyframe + _STRIP
    else:
        start, end = sample.span or (0.0, probe(sample).duration or 0.0)
        middle, times = (start + end) / 2, np.linspace(start, end, len(_STRIP))
    frames = read_clip(sample, np.append(times, middle), 288)
    names = sorted({dataset.class_names[c] for classes in sample.labels for c in classes})
    caption = ", ".join(names).replace("_", " ") or "no action"
    detail = where(sample) if times_of(sample) else sample.video_id
    return SheetCell(_drawn(dataset, sample, frames[-1]), tuple(frames[:-1]), caption, detail)


def _drawn(dataset: ActionDataset, sample: ClipSample, image: np.ndarray) -> np.ndarray:
    if dataset.task != "detection":
        return image
    size = np.array([image.shape[1], image.shape[0]] * 2, np.float32)
    count = len(sample.boxes)
    persons = Detections(sample.boxes * size, np.ones(count, np.float32), np.arange(count))
    actions = ActionDetections(0.0, persons, sample.targets(dataset.num_classes))
    style = RenderStyle(top_k=5, threshold=0.5, hide_scores=True, show_track_ids=False, show_status=False)
    return Renderer(dataset.class_names, style)(FrameResult(Frame(image, 0, 0.0), persons, actions, is_keyframe=True))


def _write_sheet(dataset: ActionDataset, count: int, path: Path) -> None:
    cells = []
    for sample in spread(dataset, count):
        try:
            cells.append(_cell(dataset, sample))
        except DataError as error:
            print(f"not on the sheet: {error}", file=sys.stderr)
    if not cells:
        raise DataError(path, None, "was not written: none of the chosen clips decodes")
    page = contact_sheet(f"{dataset.name}: {len(cells)} of {len(dataset)} samples", cells, width=_WIDTH)
    encoded = cv2.imencode(path.suffix or ".png", cv2.cvtColor(page, cv2.COLOR_RGB2BGR))[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(encoded.tobytes())
    print(f"wrote {path}")


def main() -> int:
    """Reads, checks, prints; exits with the error's code and message where the dataset can't be read."""
    arguments = _parse()
    cv2.setNumThreads(1)  # the videos are checked side by side
    try:
        dataset = build_dataset(arguments.dataset, _options(arguments.options))
        report = check_dataset(dataset, arguments.videos)
        print(in_words(report))
        if arguments.sheet is not None:
            _write_sheet(dataset, arguments.clips, arguments.sheet)
    except SFDetectError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
