"""Results as the tables of an archive; see `schema` and docs/archive.md."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy.typing as npt
import pyarrow as pa

from sf_detect.archive.features import FeatureRows
from sf_detect.archive.rows import person_rows, segment_row
from sf_detect.archive.schema import PERSONS, SEGMENTS, VideoFacts, features_schema
from sf_detect.archive.table_file import TableFile
from sf_detect.errors import SinkError
from sf_detect.events import Event, EventRules, ResultEvents
from sf_detect.file_names import printable_name
from sf_detect.model_spec import ModelSpec
from sf_detect.records import ACTION, DEFAULT_MIN_SCORE, keyframe_record
from sf_detect.redaction import public_url
from sf_detect.structures import FrameResult, VideoInfo


class ParquetSink:
    """Writes the tables persons, segments and, where asked for, features of one video.

    Memory holds some thousand rows of each. The files get their names when the sink is closed, one after the other.
    After a failed write nothing of them is kept: a Parquet file without its end can't be read.

    Args:
        persons, segments: The files; missing folders are created.
        features: File of the pooled features, which the results must carry (`model.features=true`); None: none is
            written. A video in which nobody was scored has none.
        video: Name of the video in the archive.
        source: Path or URL that is read; credentials are left out.
        info: Of the source.
        spec: Of the action model.
        thresholds: (C,) decision thresholds in force.
        rules: New ones for this video; they belong to the sink from then on.
        settings: Fingerprint of the settings.
        min_score: Smallest score of a label that is written.

    Raises:
        SinkError: A file cannot be made.
    """

    def __init__(
        self,
        *,
        persons: Path | str,
        segments: Path | str,
        features: Path | str | None = None,
        video: str,
        source: str,
        info: VideoInfo,
        spec: ModelSpec,
        thresholds: npt.ArrayLike | None,
        rules: EventRules,
        settings: str = "",
        min_score: float = DEFAULT_MIN_SCORE,
    ) -> None:
        self._facts = VideoFacts(
            printable_name(video),
            printable_name(public_url(source)),
            info.width,
            info.height,
            None if info.fps is None else float(info.fps),
            info.duration,
            spec.name,
            _by_group(spec),
            settings,
        )
        self._labels, self._thresholds, self._min_score = spec.labels, thresholds, min_score
        self._groups = dict(zip(spec.labels, spec.groups, strict=True))
        self._events = ResultEvents(rules, info.fps)
        self._features_path = None if features is None else Path(features)
        self._features = None if features is None else FeatureRows(self._facts.video, spec.name)
        self._keyframes = 0
        self._closed = False
        self._tables: dict[str, TableFile] = {}
        try:
            self._open("persons", persons, PERSONS)
            self._open("segments", segments, SEGMENTS)
        except BaseException:
            self.discard()
            raise

    def write(self, result: FrameResult) -> None:
        """Takes a result; frames between keyframes have no row, but tell where events end.

        Raises:
            SinkError: The sink is closed, a write failed, or a number is not finite.
            ConfigError: The result's scores do not have one column per label, or it has no features where they are
                asked for.
        """
        if self._closed:
            raise SinkError(f"the tables of {self._facts.video!r} are closed and take no more results.")
        self._write_events(self._events.push(result))
        if result.is_keyframe:
            self._write_keyframe(result)

    def close(self) -> None:
        """Writes what is under way and gives the files their names. Idempotent.

        Raises:
            SinkError: A file can't be completed; then none of those that are not complete is kept.
        """
        if self._closed:
            return
        try:
            self._write_events(self._events.finish())
            if self._features is not None:
                self._write_features(self._features.finish())
            for file in self._tables.values():
                file.close(self._keyframes)
        finally:
            self.discard()

    def discard(self) -> None:
        """Leaves no file behind that is not complete already, and takes no more results."""
        self._closed = True
        for file in self._tables.values():
            with suppress(OSError):
                file.discard()

    def _open(self, table: str, path: Path | str, schema: pa.Schema) -> None:
        self._tables[table] = TableFile(path, table, schema, self._facts)

    def _add(self, table: str, rows: list[dict[str, Any]]) -> None:
        try:
            self._tables[table].write(rows)
        except SinkError:
            self.discard()
            raise

    def _write_events(self, events: list[Event]) -> None:
        video, source = self._facts.video, self._facts.source
        self._add("segments", [segment_row(event, video, source, self._groups[event.label]) for event in events])

    def _write_keyframe(self, result: FrameResult) -> None:
        groups = tuple(self._groups.values())
        record = keyframe_record(
            result, self._facts.video, self._labels, self._thresholds, self._min_score, groups=groups
        )
        try:
            rows = person_rows(record)
        except ValueError as error:
            raise SinkError(
                f"Parquet: frame {result.frame.index} has a box or score that is not a finite number; the model or "
                "detector that made it is at fault. The frame was not written."
            ) from error
        features = [] if self._features is None else self._features.push(result)
        self._keyframes += 1
        self._add("persons", rows)
        self._write_features(features)

    def _write_features(self, rows: list[dict[str, Any]]) -> None:
        if not rows or self._features is None or self._features.size is None or self._features_path is None:
            return
        if "features" not in self._tables:
            self._open("features", self._features_path, features_schema(self._features.size))
        self._add("features", rows)


def _by_group(spec: ModelSpec) -> dict[str, tuple[str, ...]]:
    """The labels of each group."""
    return {
        group: tuple(label for label, own in zip(spec.labels, spec.groups, strict=True) if own == group)
        for group in dict.fromkeys((ACTION, *spec.groups))
    }
