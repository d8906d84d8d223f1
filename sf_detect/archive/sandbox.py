"""Which SQL may be asked: one statement that reads, of tables and harmless functions.

It is the first of two fences. The second is DuckDB's own: external access is off, which `database` sees to.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import accumulate
from typing import Any

from sf_detect.errors import ConfigError

TABLE_FUNCTIONS = frozenset(
    {
        "duckdb_columns",
        "duckdb_functions",
        "duckdb_keywords",
        "duckdb_tables",
        "duckdb_types",
        "duckdb_views",
        "generate_series",
        "histogram",
        "histogram_values",
        "json_each",
        "json_tree",
        "range",
        "repeat",
        "repeat_row",
        "summary",
        "unnest",
    }
)
"""What may stand behind FROM beside tables."""
LONGEST = 20_000
"""Most characters of a question."""
DEEPEST = 200
"""Most brackets that are open at once: DuckDB's parser takes ever longer for more."""
_WRITING = ("INSERT", "UPDATE", "DELETE", "MERGE")
_ADVICE = "Expected one SELECT over the tables persons, labels, segments and videos; `DESCRIBE segments` shows columns."


def check_sql(text: str) -> None:
    """Refuses what does more than read.

    Raises:
        ConfigError: Not one statement, no SELECT, a table function that is not in `TABLE_FUNCTIONS`, or no SQL.
    """
    import duckdb

    if len(text) > LONGEST:
        raise ConfigError(f"--sql has {len(text)} characters; expected {LONGEST} at most.")
    if _depth(text) > DEEPEST:
        raise ConfigError(f"--sql has more than {DEEPEST} brackets open at once. Ask for less.")
    try:
        text.encode()
        statements = duckdb.extract_statements(text)
    except (duckdb.Error, UnicodeError) as error:
        raise ConfigError(f"--sql: {sql_problem(error)} {_ADVICE}") from error
    if len(statements) != 1:
        raise ConfigError(f"--sql holds {len(statements)} statements. {_ADVICE}")
    kind = statements[0].type
    if kind != duckdb.StatementType.SELECT:
        raise ConfigError(f"--sql is a statement of the kind {kind.name}; an archive is only read. {_ADVICE}")
    for name in _functions(_tree(text)):
        if name not in TABLE_FUNCTIONS:
            raise ConfigError(f"--sql calls the table function {name!r}; an archive is asked for its tables. {_ADVICE}")


def sql_problem(error: Exception) -> str:
    """What DuckDB says is wrong, in a line."""
    return " ".join(str(error).split())


def _depth(text: str) -> int:
    """Brackets that are open at once, those in texts and remarks included."""
    return max(accumulate((character in "([{") - (character in ")]}") for character in text), default=0)


def _tree(text: str) -> Any:
    """The statement as DuckDB parses it."""
    import duckdb

    with duckdb.connect() as connection:
        try:
            (found,) = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [text]).fetchone() or ("",)
        except duckdb.Error as error:
            raise ConfigError(f"--sql: {sql_problem(error)} {_ADVICE}") from error
    tree = json.loads(found)
    if tree.get("error"):
        raise ConfigError(f"--sql: {tree.get('error_message', 'can not be read')} {_ADVICE}")
    return tree


def _functions(node: Any) -> Iterator[str]:
    """Names of all table functions in a tree, and of nodes that write."""
    stack = [node]
    while stack:
        current = stack.pop()
        if isinstance(current, dict):
            kind = str(current.get("type", ""))
            if kind == "TABLE_FUNCTION":
                function = current.get("function") or {}
                yield str(function.get("function_name", "?")).lower()
            if kind.startswith(_WRITING):
                yield kind.lower()
            stack.extend(current.values())
        elif isinstance(current, list):
            stack.extend(current)
