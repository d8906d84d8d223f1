"""Checks of a whole dataset: what would disturb training or distort a result, found before it does."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sf_detect.data.decoding import probe, read_timed_clip
from sf_detect.data.samples import ActionDataset, ClipSample
from sf_detect.errors import DataError

#: Boxes with a side below this share of the frame are told: 2 pixels of a frame 256 pixels high.
SMALL = 0.008
# Times that the nearest frame misses by more than this many seconds lie outside the video or in a hole of it.
_TIME_TOLERANCE_S = 0.2
_PLACES = (0.0, 0.5, 1.0)


@dataclass(frozen=True, eq=False)
class DatasetReport:
    """What a check found.

    Attributes:
        dataset: What was checked.
        problems: What is wrong, by kind; a kind without problems is absent.
        notes: What may be meant, by kind.
        counts: (C,) int64, labelled persons or clips of each class.
        persons: Persons in all, for classification clips.
        unlabelled: Those without any action.
        videos: Videos that were opened.
    """

    dataset: ActionDataset
    problems: dict[str, list[str]]
    notes: dict[str, list[str]]
    counts: npt.NDArray[np.int64]
    persons: int
    unlabelled: int
    videos: int


def check_dataset(dataset: ActionDataset, videos: int | None = None, workers: int | None = None) -> DatasetReport:
    """Checks annotation and videos.

    Args:
        dataset: What to check; its reader has checked the rows already.
        videos: Open and decode at most so many videos, spread evenly; None opens all.
        workers: Videos that are decoded at a time; None takes one per core.
    """
    problems: dict[str, list[str]] = defaultdict(list)
    notes: dict[str, list[str]] = defaultdict(list)
    if dataset.missing:
        problems["missing videos"] = list(dataset.missing)
    counts, persons, unlabelled = _check_labels(dataset, problems, notes)
    groups: dict[object, list[ClipSample]] = defaultdict(list)
    for sample in dataset.samples:
        _check_boxes(sample, problems, notes)
        groups[sample.path].append(sample)
    chosen = list(groups.values())
    if videos is not None and videos < len(chosen):
        chosen = [chosen[i] for i in np.linspace(0, len(chosen) - 1, videos).round().astype(int)]
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        for found in pool.map(_check_video, chosen):
            for kind, message in found:
                problems[kind].append(message)
    return DatasetReport(dataset, dict(problems), dict(notes), counts, persons, unlabelled, len(chosen))


def _check_labels(
    dataset: ActionDataset, problems: dict[str, list[str]], notes: dict[str, list[str]]
) -> tuple[npt.NDArray[np.int64], int, int]:
    counts = np.zeros(dataset.num_classes, np.int64)
    persons = unlabelled = 0
    for sample in dataset.samples:
        for classes in sample.labels or ((),):
            persons += 1
            unlabelled += not classes
            wrong = [c for c in classes if not 0 <= c < dataset.num_classes]
            if wrong:
                problems["unknown classes"].append(f"{where(sample)}: {wrong}")
                continue
            counts[list(classes)] += 1
            if len(classes) > 1 and not dataset.multi_label:
                names = ", ".join(dataset.class_names[c] for c in classes)
                problems["several actions where one is allowed"].append(f"{where(sample)}: {names}")
    empty = [name for name, count in zip(dataset.class_names, counts, strict=True) if not count]
    if empty:
        notes["classes that never occur"] = empty
    return counts, persons, unlabelled


def _check_boxes(sample: ClipSample, problems: dict[str, list[str]], notes: dict[str, list[str]]) -> None:
    size = sample.boxes[:, 2:] - sample.boxes[:, :2]
    outside = ~((sample.boxes >= 0) & (sample.boxes <= 1)).all(1)  # also where a number is not finite
    for kind, found, target in (
        ("boxes outside the frame", outside, problems),
        ("boxes without area", ~outside & (size <= 0).any(1), problems),
        ("very small boxes", (size > 0).all(1) & (size < SMALL).any(1), notes),
    ):
        target_rows = [f"{where(sample)}: {np.round(box, 4).tolist()}" for box in sample.boxes[found]]
        if target_rows:
            target[kind] += target_rows


def _check_video(samples: Sequence[ClipSample]) -> list[tuple[str, str]]:
    """Problems (kind, message) of one video: times outside it, and what does not decode of its first, middle and last
    samples.
    """
    first = samples[0]
    try:
        info = probe(first)
    except DataError as error:
        return [("videos that can't be opened", str(error))]
    found, inside = [], []
    end = first.start_time + (np.inf if info.duration is None else info.duration)
    for sample in samples:
        if all(first.start_time - 1e-3 <= time <= end + _TIME_TOLERANCE_S for time in times_of(sample)):
            inside.append(sample)
        else:
            message = f"{where(sample)}: the file covers {first.start_time:g} to {end:.3f} s"
            found.append(("times outside the video", message))
    places = sorted({round(place * (len(inside) - 1)) for place in _PLACES}) if inside else []
    for place in places:
        found += _check_decoding(inside[place], info.duration)
    return found


def _check_decoding(sample: ClipSample, duration: float | None) -> list[tuple[str, str]]:
    if sample.keyframe is not None:
        times = [sample.keyframe]
    elif sample.span is not None or duration:
        start, end = sample.span or (sample.start_time, sample.start_time + (duration or 0.0))
        times = [start + place * (end - start) for place in _PLACES]
    else:
        times = [sample.start_time]
    try:
        _, found = read_timed_clip(sample, np.array(times))
    except DataError as error:
        return [("videos that fail to decode", str(error))]
    missed = float(np.abs(found - times).max())
    if missed > _TIME_TOLERANCE_S:
        return [("no frame near the labelled time", f"{where(sample)}: the nearest decodes {missed:.2f} s away")]
    return []


def times_of(sample: ClipSample) -> tuple[float, ...]:
    """The times that a sample names: its keyframe, or the ends of its span."""
    return (sample.keyframe,) if sample.keyframe is not None else sample.span or ()


def where(sample: ClipSample) -> str:
    """A sample's place, for messages and captions."""
    times = "-".join(f"{time:.3f}".rstrip("0").rstrip(".") for time in times_of(sample))
    return f"{sample.video_id} at {times} s" if times else sample.video_id


def spread(dataset: ActionDataset, count: int) -> list[ClipSample]:
    """Some samples for a look, of as many classes and videos as possible; the same ones each time."""
    order = np.random.default_rng(0).permutation(len(dataset))
    seen: dict[object, int] = defaultdict(int)

    def rank(sample: ClipSample) -> tuple[int, int]:
        classes = [c for labels in sample.labels for c in labels]
        return min((seen[c] for c in classes), default=len(dataset)), seen[sample.video_id]

    chosen: list[ClipSample] = []
    candidates = [dataset.samples[i] for i in order[: 50 * count]]
    while candidates and len(chosen) < count:
        best = min(candidates, key=rank)
        candidates.remove(best)
        chosen.append(best)
        for key in (*{c for labels in best.labels for c in labels}, best.video_id):
            seen[key] += 1
    return chosen


def in_words(report: DatasetReport, shown: int = 5, bar: int = 40) -> str:
    """The report as text: what was read, the classes with bars, notes and problems with their first examples."""
    dataset = report.dataset
    what = "persons" if dataset.task == "detection" else "clips"
    lines = [
        f"{dataset.name}: {len(dataset)} samples, {report.persons} {what} ({report.unlabelled} without an action), "
        f"{dataset.num_classes} classes, {report.videos} videos opened",
        "",
    ]
    width = max(len(name) for name in dataset.class_names)
    longest = max(1, int(report.counts.max(initial=0)))
    for i in np.argsort(-report.counts, kind="stable"):
        count = int(report.counts[i])
        if count:
            lines.append(f"  {dataset.class_names[i]:<{width}} {count:>8} {'█' * max(1, round(bar * count / longest))}")
    for title, groups in (("Note", report.notes), ("Problem", report.problems)):
        for kind, messages in groups.items():
            rest = f"\n    ... and {len(messages) - shown} more" if len(messages) > shown else ""
            examples = "".join(f"\n    {message}" for message in messages[:shown])
            lines += ["", f"{title}: {len(messages)} {kind}{examples}{rest}"]
    lines += [
        "",
        "No problem found." if not report.problems else f"{sum(map(len, report.problems.values()))} problems.",
    ]
    return "\n".join(lines)
