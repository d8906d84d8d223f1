"""Nothing but the archive can be asked, and only to read: every door that DuckDB has is tried."""

from __future__ import annotations

import socket

import pytest

from sf_detect.archive.database import Database
from sf_detect.archive.files import ArchiveFiles
from sf_detect.archive.sandbox import LONGEST, check_sql
from sf_detect.errors import ConfigError
from tests.archive.archives import doing, write_archive


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_archive(tmp_path_factory.mktemp("archive"), {"a.mp4": doing("wave", 0, 3)})


@pytest.fixture(scope="module")
def database(folder):
    with Database(ArchiveFiles.find(folder)) as opened:
        yield opened


READING = [
    "SELECT * FROM read_csv('/etc/passwd')",
    "SELECT * FROM READ_CSV_AUTO('/etc/passwd')",
    "SELECT * FROM \"read_text\"('/etc/passwd')",
    "SELECT * FROM main.read_blob('/etc/passwd')",
    "SELECT * FROM system.main.read_text('/etc/passwd')",
    "SELECT * FROM read_json('http://localhost/x')",
    "SELECT * FROM read_parquet('https://localhost/x.parquet')",
    "SELECT * FROM read_parquet('s3://bucket/x.parquet')",
    "SELECT * FROM parquet_metadata('/tmp/x.parquet')",
    "SELECT * FROM glob('/etc/*')",
    "SELECT * FROM sniff_csv('/etc/passwd')",
    "SELECT (SELECT count(*) FROM glob('/*'))",
    "WITH t AS (SELECT * FROM read_text('/etc/passwd')) SELECT * FROM t",
    "SELECT * FROM segments WHERE EXISTS (SELECT 1 FROM read_text('/etc/passwd'))",
    "SELECT * FROM segments JOIN read_text('/etc/passwd') ON true",
    "SELECT * FROM query('SELECT 1')",
    "SELECT * FROM query_table('segments')",
    "SELECT * FROM duckdb_settings()",
    "SELECT * FROM duckdb_secrets()",
    "SELECT * FROM pragma_database_size()",
    "SELECT * FROM json_execute_serialized_sql('{}')",
]
STATEMENTS = [
    "COPY segments TO '/tmp/segments.csv'",
    "COPY (SELECT 1) TO '/tmp/one.parquet' (FORMAT parquet)",
    "ATTACH '/tmp/other.db' AS other",
    "DETACH memory",
    "INSTALL httpfs",
    "LOAD httpfs",
    "PRAGMA database_list",
    "PRAGMA enable_profiling",
    "SET memory_limit = '100GB'",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "CREATE TABLE t AS SELECT 1",
    "CREATE OR REPLACE VIEW segments AS SELECT 1",
    "CREATE MACRO m(x) AS x",
    "DROP VIEW segments",
    "ALTER VIEW segments RENAME TO other",
    "INSERT INTO segments VALUES (1)",
    "UPDATE segments SET label = 'x'",
    "DELETE FROM segments",
    "EXPORT DATABASE '/tmp/export'",
    "IMPORT DATABASE '/tmp/export'",
    "CALL pragma_version()",
    "EXPLAIN ANALYZE SELECT 1",
    "CHECKPOINT",
    "VACUUM",
    "BEGIN",
    "USE memory",
    "SELECT 1; COPY segments TO '/tmp/x.csv'",
    "",
    "   -- nothing",
    "WITH t AS (INSERT INTO segments VALUES (1) RETURNING *) SELECT * FROM t",
    "WITH t AS (DELETE FROM segments RETURNING *) SELECT * FROM t",
]


HARMFUL = [sql for sql in STATEMENTS[:11] if not sql.startswith("PRAGMA")]


@pytest.mark.parametrize("sql", READING)
def test_functions_that_read_other_things_are_refused(sql):
    with pytest.raises(ConfigError, match=r"calls the table function .*Expected one SELECT"):
        check_sql(sql)


@pytest.mark.parametrize("sql", STATEMENTS)
def test_statements_that_do_more_than_read_are_refused(sql):
    with pytest.raises(ConfigError, match="--sql"):
        check_sql(sql)


@pytest.mark.parametrize("sql", [*READING[:13], *HARMFUL, "FROM '/etc/passwd'", "FROM '/etc/hosts.csv'"])
def test_the_second_fence_holds_without_the_first(database, sql, tmp_path):
    with pytest.raises(ConfigError, match="can't be answered"):
        answer = database.ask(sql.replace("/tmp/", f"{tmp_path}/"))
        list(answer.rows)
    assert not list(tmp_path.iterdir())


def test_no_name_stands_for_a_file(database, folder, tmp_path):
    (tmp_path / "x.csv").write_text("a\n1\n")
    for name in (tmp_path / "x.csv", folder / "parquet" / ".." / ".." / "x.csv", "http://localhost/x.csv"):
        with pytest.raises(ConfigError, match="can't be answered"):
            list(database.ask_user(f"SELECT * FROM '{name}'").rows)


def test_no_variable_of_ours_stands_for_a_table(database):
    import pyarrow as pa

    secret = pa.table({"a": [1]})  # noqa: F841 (DuckDB could find it by its name)
    with pytest.raises(ConfigError, match="secret does not exist"):
        database.ask_user("SELECT * FROM secret")


def test_no_connection_is_opened(database, monkeypatch):
    def refuse(*_):
        raise AssertionError("a question opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for sql in ("FROM 'https://localhost:1/x.parquet'", "FROM read_csv('http://localhost:1/x.csv')"):
        with pytest.raises(ConfigError):
            database.ask(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT 1",
        "FROM segments",
        "DESCRIBE segments",
        "SUMMARIZE persons",
        "SHOW TABLES",
        "SELECT * FROM range(3)",
        "SELECT unnest(labels).label FROM persons",
        "SELECT label, count(*) FROM labels GROUP BY ALL",
        "WITH t AS (SELECT * FROM segments) SELECT max(duration) OVER (PARTITION BY video) FROM t",
        "SELECT column_name FROM duckdb_columns() WHERE table_name = 'segments'",
        "VALUES (1)",
        "SELECT 'COPY it; INSTALL it' AS text -- a remark",
    ],
)
def test_questions_are_answered(database, sql):
    list(database.ask_user(sql).rows)


@pytest.mark.parametrize(
    "sql", ["SELECT", "SELECT * FRM segments", "SELECT " + "(" * 5000, "[" * 201, "\ud800", "x" * (LONGEST + 1)]
)
def test_what_is_no_sql(sql):
    with pytest.raises(ConfigError, match="--sql"):
        check_sql(sql)


def test_what_there_is_not_is_said(database):
    with pytest.raises(ConfigError, match=r"can't be answered: .*Did you mean \"segments\""):
        database.ask_user("SELECT * FROM segment")


def test_a_question_without_end_is_ended(folder):
    with (
        Database(ArchiveFiles.find(folder), seconds=0.05) as database,
        pytest.raises(ConfigError, match=r"took longer than 0\.05 s"),
    ):
        list(database.ask_user("SELECT count(*) FROM range(100000000000) a, range(100000) b").rows)


def test_memory_is_bounded(folder):
    with (
        Database(ArchiveFiles.find(folder), memory="50MB") as database,
        pytest.raises(ConfigError, match="more memory than it may have"),
    ):
        list(database.ask_user("SELECT list(a) FROM range(100000000) t(a)").rows)


def test_ctrl_c_is_one(database, monkeypatch):
    class Interrupted:
        def execute(self, *_):
            raise RuntimeError("Query interrupted")

        def interrupt(self):
            pass

    monkeypatch.setattr(database, "_opened", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        database.ask("SELECT 1")
