"""Where does it happen: segments by label, score, duration, video, track and time."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sf_detect.archive.database import Answer, Database
from sf_detect.errors import ConfigError, UnknownNameError

COLUMNS = ("video", "track_id", "label_group", "label", "start_time", "end_time", "duration", "score")
"""Of what a search finds."""
_TOLERANCE = 1e-6
"""Seconds; as of events."""


@dataclass(frozen=True)
class Search:
    """What a segment must be like; what is not given does not matter.

    Attributes:
        labels: Its label is one of these.
        videos: The name of its video, or the last part of it, with or without ending, is like one of these: `*` is any
            text, `?` a character, `[ab]` one of these.
        min_score: Least mean score.
        min_duration: Least seconds.
        tracks: Its person is one of these.
        after, before: It reaches into the time from `after` to `before`, in seconds of the video.
        group: Its label is of this group.

    Raises:
        ConfigError: A number that makes no sense.
    """

    labels: Sequence[str] = ()
    videos: Sequence[str] = ()
    min_score: float | None = None
    min_duration: float | None = None
    tracks: Sequence[int] = ()
    after: float | None = None
    before: float | None = None
    group: str | None = None

    def __post_init__(self) -> None:
        if self.min_score is not None and not 0 <= self.min_score <= 1:
            raise ConfigError(f"--min-score is between 0 and 1, got {self.min_score}.")
        for name in ("min_duration", "after", "before"):
            value = getattr(self, name)
            if value is not None and not (value >= 0 and math.isfinite(value)):
                raise ConfigError(f"--{name.replace('_', '-')} is a number of seconds from 0 up, got {value}.")
        if self.after is not None and self.before is not None and not self.after < self.before:
            raise ConfigError(f"--before is {self.before}, which is not later than --after, {self.after}.")

    def condition(self) -> tuple[str, list[Any]]:
        """A condition in SQL over `segments`, and its values."""
        parts: list[tuple[str, list[Any]]] = []
        if self.labels:
            parts.append((f"label IN ({_marks(self.labels)})", list(self.labels)))
        if self.group is not None:
            parts.append(("label_group = ?", [self.group]))
        if self.min_score is not None:
            parts.append(("score >= ?::FLOAT", [self.min_score]))
        if self.min_duration is not None:
            parts.append(("end_time - start_time >= ?", [self.min_duration - _TOLERANCE]))
        if self.tracks:
            parts.append((f"track_id IN ({_marks(self.tracks)})", list(self.tracks)))
        if self.after is not None:
            parts.append(("end_time > ?", [self.after]))
        if self.before is not None:
            parts.append(("start_time < ?", [self.before]))
        if self.videos:
            parts.append(video_condition(self.videos))
        sql = " AND ".join(f"({text})" for text, _ in parts) or "true"
        return sql, [value for _, values in parts for value in values]


def video_condition(patterns: Sequence[str]) -> tuple[str, list[Any]]:
    """That a video's name, or the last part of it, with or without ending, is like a pattern; and its values."""
    last = "regexp_extract(video, '[^/]*$')"
    one = f"video GLOB ? OR {last} GLOB ? OR regexp_replace({last}, '\\.[^.]*$', '') GLOB ?"
    return " OR ".join([one] * len(patterns)), [pattern for pattern in patterns for _ in range(3)]


def find(database: Database, search: Search) -> Answer:
    """The segments that a search is for, in order of video and time.

    Raises:
        UnknownNameError: A label that no model of the archive knows; suggests the nearest.
        ConfigError: It takes too long.
        DataError: A file of the archive can't be read.
    """
    check_labels(database, search)
    condition, values = search.condition()
    sql = f"SELECT {', '.join(COLUMNS)} FROM segments WHERE {condition} ORDER BY video, start_time, track_id, label"
    return database.ask(sql, values)


def seconds_per_label(database: Database, search: Search) -> Answer:
    """How often and how long a label occurs in each video, over the segments that a search is for.

    Seconds are those of persons: two who walk for a second are two seconds.

    Raises:
        As `find`.
    """
    check_labels(database, search)
    condition, values = search.condition()
    return database.ask(
        "SELECT video, label_group, label, count(*) AS segments, count(DISTINCT track_id) AS persons, "
        "round(sum(end_time - start_time), 3) AS seconds, round(max(score), 5) AS best_score "
        f"FROM segments WHERE {condition} GROUP BY video, label_group, label ORDER BY video, label_group, label",
        values,
    )


def check_labels(database: Database, search: Search) -> None:
    """Refuses labels and groups that the archive can't have.

    Raises:
        UnknownNameError: No model of the archive knows it; suggests the nearest.
    """
    if not search.labels and search.group is None:
        return
    # Usually one model annotated all videos; else what occurs, and what the models know besides, is asked for.
    if _missing(search, database.labels_of_first) is None:
        return
    occurring = list(database.ask("SELECT DISTINCT label_group, label FROM segments").rows)
    if _missing(search, occurring) is None:
        return
    known = (
        "SELECT DISTINCT entry.key, unnest(entry.value) FROM (SELECT unnest(map_entries(labels)) AS entry FROM videos)"
    )
    missing = _missing(search, [*occurring, *database.ask(known).rows])
    if missing is not None:
        raise missing


def _missing(search: Search, known: Iterable[tuple[Any, ...]]) -> UnknownNameError | None:
    groups: set[str] = set()
    labels: set[str] = set()
    for group, label in known:
        groups.add(group)
        if search.group in (None, group):
            labels.add(label)
    if search.group is not None and search.group not in groups:
        return UnknownNameError("label group", search.group, groups)
    unknown = next((label for label in search.labels if label not in labels), None)
    return None if unknown is None else UnknownNameError("label", unknown, labels)


def _marks(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))
