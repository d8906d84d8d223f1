"""What can be asked of an archive: segments, seconds, SQL, or persons who move alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import islice

from sf_detect.archive.database import Answer, Database
from sf_detect.archive.files import ArchiveFiles
from sf_detect.archive.search import Search, find, seconds_per_label, video_condition
from sf_detect.archive.similar import Moment, find_alike
from sf_detect.errors import ConfigError

ALIKE = 20
"""Persons who move alike that are answered where no limit is given."""


@dataclass(frozen=True)
class Question:
    """One of: the segments of a search, their seconds, SQL, or who moves like somebody.

    Attributes:
        search: Which segments; of a question for who moves alike, only its videos count.
        sql: A SELECT; the search is empty then.
        like: Who is looked for.
        stats: Seconds of each label in each video instead of the segments.
        limit: Most rows; None is no limit, and `ALIKE` of persons who move alike.

    Raises:
        ConfigError: Options that do not go together.
    """

    search: Search = field(default_factory=Search)
    sql: str | None = None
    like: Moment | None = None
    stats: bool = False
    limit: int | None = None

    def __post_init__(self) -> None:
        nothing = Search()
        if self.sql is not None and (self.stats or self.like is not None or self.search != nothing):
            raise ConfigError("--sql is the whole question: put conditions into it, and leave the other options out.")
        if self.like is not None and (self.stats or self.search != Search(videos=self.search.videos)):
            raise ConfigError("--like goes with --video and --limit only; leave the other options out.")

    def ask(self, database: Database, files: ArchiveFiles) -> Answer:
        """The answer.

        Raises:
            ConfigError: A label, a person or SQL that can't be.
            DataError: A file of the archive can't be read.
        """
        if self.sql is not None:
            answer = database.ask_user(self.sql)
        elif self.like is not None:
            answer = find_alike(files, self.like, self._videos(database))
        else:
            answer = (seconds_per_label if self.stats else find)(database, self.search)
        limit = ALIKE if self.like is not None and self.limit is None else self.limit
        return answer if limit is None else Answer(answer.columns, islice(answer.rows, limit))

    def _videos(self, database: Database) -> list[str] | None:
        if not self.search.videos:
            return None
        condition, values = video_condition(self.search.videos)
        return [row[0] for row in database.ask(f"SELECT video FROM videos WHERE {condition}", values).rows]
