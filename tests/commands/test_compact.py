"""`sf-detect compact` as it is typed."""

from __future__ import annotations

from functools import partial

import pytest

from sf_detect.batch.locking import FolderLock
from tests.archive.archives import doing, write_archive


@pytest.fixture
def compact(sf_detect):
    return partial(sf_detect, "compact")


def test_an_archive(compact, tmp_path, capsys):
    write_archive(tmp_path, {f"{i}.mp4": doing("wave", 0, 3) for i in range(3)})
    assert compact(tmp_path) == 0
    assert "6 Parquet files were joined to 2" in capsys.readouterr().err
    assert not list(tmp_path.glob(".*.lock"))


def test_a_file_that_cannot_be_read(compact, tmp_path, capsys):
    write_archive(tmp_path, {f"{i}.mp4": doing("wave", 0, 3) for i in range(3)})
    (tmp_path / "parquet" / "persons" / "0.mp4.parquet").write_bytes(b"")
    assert compact(tmp_path) == 3
    assert "6 Parquet files were joined to 3; 1 can't be read" in capsys.readouterr().err


def test_not_while_somebody_annotates_into_it(compact, tmp_path, capsys):
    write_archive(tmp_path, {"a.mp4": doing("wave", 0, 3)})
    with FolderLock(tmp_path, ""):
        assert compact(tmp_path) == 1
    assert "another run of sf-detect" in capsys.readouterr().err


def test_no_archive(compact, tmp_path, capsys):
    assert compact(tmp_path) == 1
    assert "holds no archive" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
