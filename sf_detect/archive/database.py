"""An archive as a database that can only be read: DuckDB over its Parquet files."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from sf_detect.archive.files import ArchiveFiles, TableFiles, read_facts, read_joined_facts
from sf_detect.archive.sandbox import check_sql, sql_problem
from sf_detect.archive.schema import KEY, PERSONS, SEGMENTS, VideoFacts
from sf_detect.errors import ConfigError, DataError, MissingExtraError

if TYPE_CHECKING:
    import duckdb

SECONDS = 60.0
"""Longest that a question may take."""
MEMORY = "2GB"
"""Most that DuckDB keeps in memory for it."""
_BATCH = 1000
_TRIES = 10
"""Times that files are looked for which are joined with others meanwhile."""
_SETTINGS = {
    "allow_community_extensions": "false",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
_VIEWS = {
    "segments": "SELECT *, end_time - start_time AS duration FROM segment_files",
    "persons": "SELECT * FROM person_files",
    "labels": (
        "SELECT video, frame, time, width, height, track_id, x1, y1, x2, y2, entry.* FROM "
        "(SELECT * EXCLUDE (labels, score), unnest(labels) AS entry FROM person_files)"
    ),
}


@dataclass(frozen=True)
class Answer:
    """Rows of a question, as they come.

    Attributes:
        columns: Their names.
        rows: Tuples of values.
    """

    columns: tuple[str, ...]
    rows: Iterator[tuple[Any, ...]] = field(repr=False)


class Database:
    """The tables of an archive, to be asked with SQL.

    Tables: `persons` and `segments` as in `schema` (segments with their duration), `labels`, a row for each entry of
    `persons.labels`, and `videos`, what is known of each. Nothing else can be reached: no other file, no network, no
    extension; a question that takes too long or too much memory is ended.

    Args:
        files: The archive's.
        seconds: Longest that a question may take.
        memory: Most memory for it, as DuckDB writes it.
    """

    def __init__(self, files: ArchiveFiles, seconds: float = SECONDS, memory: str = MEMORY) -> None:
        self._files, self._seconds, self._memory = files, seconds, memory
        self._opened: duckdb.DuckDBPyConnection | None = None

    @cached_property
    def labels_of_first(self) -> list[tuple[str, str]]:
        """(group, label) that the models of the first video know."""
        first = self._check_first(self._files.segments)
        known = {} if first is None else first.labels
        return [(group, label) for group, labels in known.items() for label in labels]

    @staticmethod
    def _check_first(files: TableFiles) -> VideoFacts | None:
        """What is known of the first video; None where there is none. A wrong file is told better than by DuckDB."""
        if files.single:
            return read_facts(files.single[0])
        return next(iter(read_joined_facts(files.joined[0]).values())) if files.joined else None

    def facts(self, videos: Collection[str]) -> dict[str, VideoFacts]:
        """What is known of some videos, by name, but for their labels; those that the archive lacks are left out.

        Raises:
            As `ask`.
        """
        names = ("video", "source", "width", "height", "fps", "duration", "model", "settings", "keyframes")
        marks = ", ".join("?" * len(videos)) or "NULL"
        rows = self.ask(f"SELECT {', '.join(names)} FROM videos WHERE video IN ({marks})", list(videos)).rows
        return {row[0]: VideoFacts(**dict(zip(names, row, strict=True))) for row in rows}

    def ask(self, sql: str, values: Sequence[Any] = ()) -> Answer:
        """What a statement of ours answers; see `ask_user` for one from outside.

        Raises:
            MissingExtraError: DuckDB is not installed.
            ConfigError: It takes too long or too much memory.
            DataError: A file of the archive can't be read, is no table of one, or of a newer version.
        """
        for tries_left in reversed(range(_TRIES)):
            try:
                connection = self._connected()
                with self._limited(connection):
                    cursor = connection.execute(sql, list(values))
                break
            except DataError:
                if not tries_left or not self._files.moved():
                    raise
                self.close()
                self._files, self._opened = ArchiveFiles(self._files.folder), None
        names = [str(column[0]) for column in cursor.description or ()]
        return Answer(_distinct(names), self._rows(connection, cursor))

    def ask_user(self, sql: str) -> Answer:
        """What a statement from outside answers.

        Raises:
            ConfigError: It is not one SELECT of what an archive has, is no SQL, or takes too long or too much memory.
            DataError: A file of the archive can't be read.
        """
        check_sql(sql)
        return self.ask(sql)

    def close(self) -> None:
        """Ends it. Idempotent."""
        if self._opened is not None:
            self._opened.close()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _connected(self) -> duckdb.DuckDBPyConnection:
        """DuckDB with the tables, opened at the first question: some need none."""
        if self._opened is None:
            try:
                import duckdb
            except ImportError as error:
                raise MissingExtraError("duckdb", "archive", "`sf-detect query`") from error
            connection = duckdb.connect(":memory:", config={**_SETTINGS, "memory_limit": self._memory})
            try:
                with self._limited(connection):
                    self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._opened = connection
        return self._opened

    def _prepare(self, connection: duckdb.DuckDBPyConnection) -> None:
        tables = {"segment_files": (self._files.segments, SEGMENTS), "person_files": (self._files.persons, PERSONS)}
        for name, (files, schema) in tables.items():
            self._check_first(files)
            _add_rows(connection, name, files, schema)
        for name, sql in _VIEWS.items():
            connection.execute(f"CREATE VIEW {name} AS {sql}")
        self._add_videos(connection)
        allowed = [str(path) for files, _ in tables.values() for path in files.all]
        # Values of SET can't be parameters.
        connection.execute(f"SET allowed_paths = {_listed(allowed)}")
        for setting in (
            "temp_directory = ''",
            "python_enable_replacements = false",
            "enable_external_access = false",
            "lock_configuration = true",
        ):
            connection.execute(f"SET {setting}")

    def _add_videos(self, connection: duckdb.DuckDBPyConnection) -> None:
        text = ("video", "source", "model", "settings")
        numbers = {
            "width": "INTEGER",
            "height": "INTEGER",
            "fps": "DOUBLE",
            "duration": "DOUBLE",
            "keyframes": "BIGINT",
        }
        columns = [f"about ->> '{name}' AS {name}" for name in text]
        columns += [f"CAST(about ->> '{name}' AS {kind}) AS {name}" for name, kind in numbers.items()]
        columns.append("CAST(about -> 'labels' AS MAP(VARCHAR, VARCHAR[])) AS labels")
        facts = " UNION ALL ".join(_facts_of(self._files.segments))
        connection.execute(f"CREATE VIEW videos AS SELECT {', '.join(columns)} FROM ({facts})")

    @contextmanager
    def _limited(self, connection: duckdb.DuckDBPyConnection) -> Iterator[None]:
        """Ends what takes too long, and explains what fails."""
        import duckdb

        timer = threading.Timer(self._seconds, connection.interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        except duckdb.Error as error:
            raise self._explained(error) from error
        except RuntimeError as error:  # how DuckDB tells of Ctrl-C
            if "interrupted" not in str(error):
                raise
            raise KeyboardInterrupt from error
        finally:
            timer.cancel()

    def _rows(
        self, connection: duckdb.DuckDBPyConnection, cursor: duckdb.DuckDBPyConnection
    ) -> Iterator[tuple[Any, ...]]:
        while True:
            with self._limited(connection):
                rows = cursor.fetchmany(_BATCH)
            if not rows:
                return
            yield from rows

    def _explained(self, error: Exception) -> ConfigError | DataError:
        import duckdb

        problem = sql_problem(error)
        if isinstance(error, duckdb.InterruptException):
            return ConfigError(f"the question took longer than {self._seconds:g} s and was ended. Ask for less.")
        if isinstance(error, duckdb.OutOfMemoryException):
            return ConfigError(f"the question needs more memory than it may have ({problem}). Ask for less.")
        if f"{self._files.folder}" in problem and ".parquet" in problem:
            return DataError(self._files.folder, None, f"{problem} Remove that file, and annotate its video again.")
        return ConfigError(f"the question can't be answered: {problem}")


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Names of columns, with a number where one comes again: JSON keeps the last of equal ones only."""
    found: list[str] = []
    for name in names:
        number, chosen = 1, name
        while chosen in found:
            number += 1
            chosen = f"{name}_{number}"
        found.append(chosen)
    return tuple(found)


def _listed(values: Iterable[object]) -> str:
    """Texts as a list in SQL."""
    return f"[{', '.join(_quoted(value) for value in values)}]"


def _quoted(value: object) -> str:
    return "'" + str(value).replace("'", "''") + "'"


def _add_rows(connection: duckdb.DuckDBPyConnection, name: str, files: TableFiles, schema: pa.Schema) -> None:
    """A view of the rows of a table that count."""
    parts = []
    if files.single:
        parts.append(f"SELECT * FROM read_parquet({_listed(files.single)})")
    if files.joined:
        rows = f"SELECT * FROM read_parquet({_listed(files.joined)})"
        parts.append(rows + (f" WHERE video NOT IN ({_hidden(files)})" if files.hidden else ""))
    if parts:
        connection.execute(f"CREATE VIEW {name} AS {' UNION ALL BY NAME '.join(parts)}")
    else:
        _empty(connection, name, schema)


def _facts_of(files: TableFiles) -> Iterator[str]:
    """SELECTs of what files say of their videos, as JSON in the column `about`."""
    key = f"key = '{KEY.decode()}'::BLOB"
    yield "SELECT CAST(NULL AS JSON) AS about WHERE false"
    if files.single:
        yield (
            "SELECT TRY_CAST(decode(value) AS JSON) AS about FROM "
            f"parquet_kv_metadata({_listed(files.single)}) WHERE {key}"
        )
    if files.joined:
        known = (
            f"SELECT TRY_CAST(decode(value) AS JSON) AS f FROM parquet_kv_metadata({_listed(files.joined)}) WHERE {key}"
        )
        videos = f"SELECT f -> 'label_sets' AS sets, unnest(CAST(f -> 'videos' AS JSON[])) AS v FROM ({known})"
        labels = "json_object('labels', json_extract(sets, CAST(v ->> 'labels' AS BIGINT)))"
        rest = f" WHERE v ->> 'video' NOT IN ({_hidden(files)})" if files.hidden else ""
        yield f"SELECT json_merge_patch(v, {labels}) AS about FROM ({videos}){rest}"


def _hidden(files: TableFiles) -> str:
    return ", ".join(_quoted(one.video) for one in files.hidden)


def _empty(connection: duckdb.DuckDBPyConnection, name: str, schema: pa.Schema) -> None:
    """A table without rows."""
    connection.register("arrow_rows", schema.empty_table())
    connection.execute(f"CREATE TABLE {name} AS SELECT * FROM arrow_rows")
    connection.unregister("arrow_rows")
