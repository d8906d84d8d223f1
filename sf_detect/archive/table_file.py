"""One Parquet file of an archive, written row by row in bounded memory and complete or not there at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sf_detect.archive.schema import VideoFacts
from sf_detect.atomic_file import DISK_FULL, AtomicFile
from sf_detect.errors import SinkError

_BATCH_ROWS = 2_000


class TableFile:
    """Takes rows and writes them in batches of some thousand.

    A Parquet file can't be read before its end is written: it is made under a temporary name and gets its own when it
    is closed. Nothing is kept of one that could not be completed.

    Args:
        path: The file; missing folders are created.
        table: Which table it is, for messages and metadata.
        schema: Of its rows.
        facts: About the video.
        batch_rows: Rows that are kept in memory, and are a row group of the file.

    Raises:
        SinkError: The file cannot be made.
    """

    def __init__(
        self, path: Path | str, table: str, schema: pa.Schema, facts: VideoFacts, batch_rows: int = _BATCH_ROWS
    ) -> None:
        self.path, self._table, self._schema, self._facts = Path(path), table, schema, facts
        self._rows: list[Mapping[str, Any]] = []
        self._batch_rows = batch_rows
        self.closed = False
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._output = AtomicFile(self.path)
        except (OSError, ValueError) as error:  # ValueError: a zero byte in the name
            raise self._failure(error, "can't be written") from error
        try:
            self._writer = pq.ParquetWriter(self._output.file, schema, **write_options(schema))
        except BaseException:
            self._output.discard()
            raise

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Adds rows, dicts by column.

        Raises:
            SinkError: The file is closed, or writing failed; nothing of it is kept.
        """
        if self.closed:
            raise SinkError(f"the table {self._table}, {str(self.path)!r}, is closed and takes no more rows.")
        self._rows += rows
        if len(self._rows) >= self._batch_rows:
            self._flush()

    def close(self, keyframes: int | None = None) -> None:
        """Completes the file and gives it its name. Idempotent.

        Args:
            keyframes: How many the video has, for the file's metadata.

        Raises:
            SinkError: It can't be completed; nothing of it is kept.
        """
        if self.closed:
            return
        self._flush()
        self.closed = True
        facts = replace(self._facts, keyframes=keyframes)
        try:
            self._writer.add_key_value_metadata(facts.to_metadata(self._table))
            self._writer.close()
            self._output.commit()
        except OSError as error:
            raise self._lost(error) from error
        finally:
            self._abandon()  # nothing, once it is committed

    def discard(self) -> None:
        """Leaves no file behind; does nothing after `close`."""
        if not self.closed:
            self.closed = True
            self._abandon()

    def _flush(self) -> None:
        if not self._rows:
            return
        rows, self._rows = self._rows, []
        try:
            self._writer.write_table(pa.Table.from_pylist(rows, self._schema))
        except OSError as error:
            self.closed = True
            self._abandon()
            raise self._lost(error) from error

    def _abandon(self) -> None:
        with suppress(OSError):
            self._writer.close()
        self._writer.is_open = False  # or it tries again when it is collected
        self._output.discard()

    def _lost(self, error: OSError) -> SinkError:
        return self._failure(error, "could not be completed, and nothing of it was kept")

    def _failure(self, error: OSError | ValueError, what: str) -> SinkError:
        if isinstance(error, OSError) and error.errno in DISK_FULL:
            reason = "the disk is full; free some space or choose another disk"
        else:
            reason = f"{getattr(error, 'strerror', None) or error}; expected a folder with write permission"
        return SinkError(f"the table {self._table}: {str(self.path)!r} {what}: {reason}.")


def write_options(schema: pa.Schema) -> dict[str, Any]:
    """How a table is written: compressed, but for features, which are noise to a compressor."""
    leaves = _leaves(schema)
    return {
        "compression": {name: "none" if name == "features" else "zstd" for name in leaves},
        "use_dictionary": [name for name in leaves if name != "features"],
        "write_statistics": [name for name in schema.names if name not in ("features", "labels")],
        "store_schema": True,
    }


def _leaves(schema: pa.Schema) -> list[str]:
    """Paths of the leaves, as Parquet names them."""
    names = []
    for field in schema:
        if pa.types.is_list(field.type):
            names += [f"{field.name}.list.element.{inner.name}" for inner in field.type.value_type]
        else:
            names.append(field.name)
    return names
