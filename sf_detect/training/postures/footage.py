"""People outside J-HMDB, labelled by hand: pictures and clips with a table of boxes, postures and actions.

The table is `labels.csv` with columns file, source, rights, kind ("still" or "clip"), start, end and time (seconds, of
clips), x1, y1, x2, y2 (pixels), track, posture and actions. Whom a track of a clip follows stands in
`tracks/SOURCE+STEM.jsonl`, written by `sf-detect run CLIP --model none --stride 0.25 --out-jsonl ...`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from sf_detect.build import open_source
from sf_detect.errors import DataError
from sf_detect.keypoints.estimator import LandmarkNetwork
from sf_detect.keypoints.features import features
from sf_detect.keypoints.looks import Window
from sf_detect.keypoints.network import POSTURES
from sf_detect.structures import UInt8Array
from sf_detect.training.postures.examples import Examples, answers, change, collect, draw
from sf_detect.training.postures.looks import as_window, jittered, load_looks, look_along, part, save_looks
from sf_detect.training.postures.tables import read_rows

BOXES = 3
"""Differently drawn boxes in which each picture of a person is looked at, twice: as it is, then turned upright."""
MOVING = ("walk", "run", "jump")
"""A single picture shows them, but nobody walks for a second without moving."""
NOT_A_POSTURE = ("none", "unclear")


@dataclass(frozen=True)
class Person:
    """One labelled person in a picture, or in a part of a clip.

    Attributes:
        file: Relative to the table's folder.
        source: People of one source may be the same; they are on one side of every split.
        box: xyxy, pixels.
        posture: One of `POSTURES`, "none" or "unclear".
        actions: Names of J-HMDB.
        track: Of a clip; None in a picture.
        start, end: Seconds of the clip in which the labels hold.
        rights: Of the picture or clip, see tools/posture_data; "generated" of people who are none.
    """

    file: str
    source: str
    box: tuple[float, float, float, float]
    posture: str
    actions: tuple[str, ...]
    track: int | None = None
    start: float = 0.0
    end: float = 0.0
    rights: str = ""

    @property
    def name(self) -> str:
        """Names the person among all of the table."""
        return f"{self.file}@{','.join(f'{edge:g}' for edge in self.box)}@{self.start:g}"

    @property
    def answers(self) -> npt.NDArray[np.float32]:
        """(9,) with 1 at the posture; at "none of them", too, where it can't be told."""
        return answers(["none" if self.posture in NOT_A_POSTURE else self.posture])

    @property
    def tracks_file(self) -> str:
        """Where the tracks of the clip stand, relative to the table's folder."""
        path = Path(self.file)
        return f"tracks/{path.parent.name}+{path.stem}.jsonl"


def read_people(path: Path, rights: Sequence[str]) -> list[Person]:
    """The people of a table.

    Args:
        path: `labels.csv`.
        rights: Rows with other rights are passed over.

    Raises:
        DataError: The file is missing, or a row is not of that kind.
    """
    return read_rows(
        path,
        lambda row: _person(row) if row["rights"] in rights else None,
        "labelled person",
        "footage lists folders with labels.csv, null for none",
    )


def _person(row: Mapping[str, str]) -> Person:
    x1, y1, x2, y2 = (float(row[edge]) for edge in ("x1", "y1", "x2", "y2"))
    if row["posture"] not in (*POSTURES, *NOT_A_POSTURE):
        raise ValueError(f"posture {row['posture']!r}")
    actions = tuple(filter(None, row["actions"].split(";")))
    person = Person(row["file"], row["source"], (x1, y1, x2, y2), row["posture"], actions, rights=row["rights"])
    if row["kind"] != "clip":
        return person
    return replace(person, track=int(row["track"]), start=float(row["start"]), end=float(row["end"]))


def footage_looks(
    people: Sequence[Person],
    root: Path,
    folder: Path,
    network: Callable[[], LandmarkNetwork],
    say: Callable[[str], None],
) -> dict[str, Window]:
    """The looks at each person by name, kept in `folder`: `2 * BOXES` of a picture, all of a track.

    Raises:
        DataError: A picture, a clip or the tracks of one cannot be read.
    """
    found: dict[str, Window] = {}
    path, built = folder / f"footage-{root.name}.npz", None
    known = load_looks(path) if path.exists() else {}
    for number, person in enumerate(people):
        if person.name not in known:
            built = built or network()
            look = _look_at if person.track is None else _look_along
            known[person.name] = look(person, root, built, np.random.default_rng(number))
            if number % 100 == 99:
                say(f"looks at {number + 1} of {len(people)} people")
        found[person.name] = known[person.name]
    if built is not None:
        folder.mkdir(parents=True, exist_ok=True)
        save_looks(path, known)
    return found


def _picture(path: Path) -> UInt8Array:
    picture = cv2.imread(str(path))
    if picture is None:
        raise DataError(path, None, "cannot be read as a picture; fetch it again, or drop its rows")
    return np.ascontiguousarray(picture[..., ::-1], np.uint8)


def _look_at(person: Person, root: Path, network: LandmarkNetwork, rng: np.random.Generator) -> Window:
    image = _picture(root / person.file)
    box = np.array([person.box], np.float32)
    looks = []
    for count in range(BOXES):
        drawn = box if not count else jittered(box, (image.shape[0], image.shape[1]), rng)
        looks.append(look_along(network, [image] * 2, np.array([0.0, 0.25]), drawn.repeat(2, axis=0)))
    names = ("points", "metres", "presence", "boxes")
    points, metres, presence, boxes = (np.concatenate([getattr(w, name) for w in looks]) for name in names)
    size = image.shape[0], image.shape[1]
    still = np.zeros((2 * BOXES, 3))  # a picture's background rests
    return as_window(np.arange(2.0 * BOXES), points, metres, presence, boxes, size, still)


def _look_along(person: Person, root: Path, network: LandmarkNetwork, rng: np.random.Generator) -> Window:
    """Along the person's track, from a second before the labels hold."""
    boxes = _track(person, root, before=1.0)
    frames = _frames_of(root / person.file, set(boxes))
    kept = sorted(set(frames) & set(boxes))
    times, drawn = np.array([boxes[i][0] for i in kept]), np.array([boxes[i][1] for i in kept], np.float32)
    return look_along(network, [frames[i] for i in kept], times, drawn, [boxes[i][2] for i in kept])


def person_pictures(person: Person, root: Path, most: int) -> list[tuple[UInt8Array, npt.NDArray[np.float32]]]:
    """Pictures (H, W, 3) of a person while the labels hold, at most `most` evenly over time, with the box in each.

    Raises:
        DataError: The picture, the clip or its tracks cannot be read.
    """
    if person.track is None:
        return [(_picture(root / person.file), np.array(person.box, np.float32))]
    boxes = _track(person, root, before=0.05)
    chosen = sorted(boxes)
    chosen = [chosen[i] for i in np.unique(np.linspace(0, len(chosen) - 1, most).round().astype(int))]
    frames = _frames_of(root / person.file, set(chosen))
    return [(frames[i], np.array(boxes[i][1], np.float32)) for i in chosen if i in frames]


def _track(person: Person, root: Path, before: float) -> dict[int, tuple[float, Sequence[float], npt.NDArray]]:
    """By frame its time, the person's box and everybody's, from `before` seconds ahead of the labels to their end."""
    boxes = {}
    try:
        with (root / person.tracks_file).open(encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                for seen in record["persons"]:
                    if seen["track_id"] == person.track and person.start - before <= record["time"] <= person.end:
                        everybody = np.array([p["box"] for p in record["persons"]], np.float32)
                        boxes[int(record["frame"])] = record["time"], seen["box"], everybody
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(root / person.tracks_file, None, f"holds no tracks: {error!r}; run sf-detect again") from error
    if not boxes:
        raise DataError(root / person.tracks_file, None, f"has no track {person.track} at {person.start} s")
    return boxes


def _frames_of(path: Path, wanted: set[int]) -> dict[int, UInt8Array]:
    with open_source(str(path)) as source:
        found = {}
        for frame in source:
            if frame.index in wanted:
                found[frame.index] = frame.image
            if frame.index >= max(wanted):
                break
    return found


def footage_examples(
    people: Sequence[Person], looks: Mapping[str, Window], actions: Sequence[str], each: int, rng: np.random.Generator
) -> Examples:
    """Examples of people in clips, and in pictures: seen once, or for a second in which they hold still.

    In a clip, where the labels hold for a while, one action is the person's, as are walking, running and jumping; of
    several, or in a picture, which does not show whether it is done now, none is known. All others do none. The group
    is the number of the source.

    Args:
        people: The labelled people.
        looks: As `footage_looks` returns them.
        actions: Their names, as they are shown.
        each: Examples a person.
        rng: Decides what is drawn.
    """
    sources = {source: number for number, source in enumerate(sorted({p.source for p in people}))}
    rows = []
    for person in people:
        postures, action = person.answers, _action(person, actions)
        for window in person_windows(person, looks[person.name], each, rng):
            rows.append((features(change(window, rng)), postures, action, 1.0, sources[person.source]))
    return collect(rows)


def person_windows(person: Person, looks: Window, count: int, rng: np.random.Generator) -> Iterator[Window]:
    """`count` windows of looks at a person, as a run would have them.

    Args:
        person: In a picture, whom a run would see once or holding still, or in a clip.
        looks: As `footage_looks` returns them.
        count: How many.
        rng: Decides which.
    """
    if person.track is None:
        return _held(looks, person.posture in MOVING, count, rng)
    return _drawn(looks, person, count, rng)


def _action(person: Person, names: Sequence[str]) -> int:
    """Column of what a person does; the number of actions for none of them, -1 where it is not known."""
    done = person.actions or ((person.posture,) if person.posture in MOVING else ())
    if not done:
        return len(names)
    return names.index(done[0]) if person.track is not None and len(done) == 1 else -1


def _drawn(looks: Window, person: Person, each: int, rng: np.random.Generator) -> Iterator[Window]:
    within = np.flatnonzero(looks.times >= person.start)
    for newest in rng.choice(within if len(within) else [len(looks) - 1], each):
        yield draw(looks, int(newest), rng)


def _held(looks: Window, once: bool, each: int, rng: np.random.Generator) -> Iterator[Window]:
    for _ in range(each):
        count = 1 if once else int(rng.integers(1, 6))
        straight = count == 1 or rng.random() < 0.4
        same = rng.random() < 0.3  # or the box is drawn anew each time, and with it what the network sees
        rows = [
            2 * int(box) + 1
            for box in (rng.integers(BOXES) * np.ones(count) if same else rng.integers(BOXES, size=count))
        ]
        if straight:  # a track's first look is never turned
            rows[0] -= 1
        held = part(looks, rows)
        side = float((held.boxes[0, 2:] - held.boxes[0, :2]).max())
        sway = rng.normal(0, 0.006 * side, (count, 33, 2)) + rng.normal(0, 0.006 * side, (count, 1, 2)).cumsum(axis=0)
        points = held.points.copy()
        points[..., :2] += sway
        unsure = 1 + 2 * (1 - held.points[..., 2:])
        metres = held.metres + rng.uniform(0.005, 0.035) * unsure * rng.normal(size=held.metres.shape)
        times = np.arange(count) * rng.uniform(0.2, 0.3)
        yield as_window(times, points, metres, held.presence, held.boxes, held.image_size, held.camera)
