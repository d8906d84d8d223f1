"""Files of many videos: the same rows, each once, whatever happens before, while and after they are written."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from sf_detect.archive import compaction, files
from sf_detect.archive.compaction import compact
from sf_detect.archive.database import Database
from sf_detect.archive.files import ArchiveFiles
from sf_detect.archive.schema import FOLDERS, SUFFIX, VideoFacts, facts_of_joined, joined_metadata
from sf_detect.archive.similar import Moment, find_alike
from sf_detect.batch.layout import ArchiveFolder
from sf_detect.convert.own_results import read_archive
from sf_detect.errors import DataError, SinkError
from sf_detect.joined_files import Joined, JoinedFiles, mark_of, walk
from tests.archive.archives import doing, keyframe, sink_for, write_archive

VIDEOS = {f"cam{i % 3}/door {i}'s.mp4": doing(("wave", "walk")[i % 2], 0, 2 + i) for i in range(7)}
QUESTIONS = (
    "SELECT * FROM segments ORDER BY ALL",
    "SELECT * FROM persons ORDER BY video, frame, track_id",
    "SELECT video, label, score FROM labels ORDER BY ALL",
    "SELECT * FROM videos ORDER BY video",
)


def answers(folder: Path) -> list[list[tuple[object, ...]]]:
    with Database(ArchiveFiles.find(folder)) as database:
        return [list(database.ask(sql).rows) for sql in QUESTIONS]


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def archive(tmp_path):
    return write_archive(tmp_path, VIDEOS)


def test_the_same_rows_in_two_files(archive):
    before, converted = answers(archive), list(read_archive(archive))
    done = compact(archive)
    assert (done.before, done.after, done.problems) == (14, 2, [])
    assert answers(archive) == before
    assert len(names(archive)) == 4, "a file and an index of each table"
    again = {video.video: video for video in read_archive(archive)}
    assert again == {video.video: video for video in converted}
    assert compact(archive).after == 2
    assert answers(archive) == before


def test_rows_are_in_the_order_of_the_videos_and_facts_are_those_of_each(archive):
    compact(archive)
    (path,) = ArchiveFiles.find(archive).segments.joined
    assert list(dict.fromkeys(pq.read_table(path)["video"].to_pylist())) == sorted(VIDEOS)
    facts = files.read_joined_facts(path)
    assert facts.keys() == VIDEOS.keys()
    assert facts["cam0/door 0's.mp4"].labels == {"action": ("stand", "walk", "wave")}
    with pytest.raises(DataError, match="is no table"):
        files.read_facts(path)


def test_a_video_that_is_annotated_again_counts_once_and_is_joined_again(archive):
    compact(archive)
    write_archive(archive, {"cam0/door 0's.mp4": doing("stand", 0, 9)})
    fresh = write_archive(archive / "fresh", {**VIDEOS, "cam0/door 0's.mp4": doing("stand", 0, 9)})
    assert answers(archive) == answers(fresh)
    assert compact(archive).after == 2
    assert answers(archive) == answers(fresh)
    assert not ArchiveFiles.find(archive).segments.hidden


def test_a_video_that_fails_after_it_was_joined_has_no_rows(archive):
    compact(archive)
    ArchiveFolder(archive).remove("cam1/door 1's.mp4")
    fresh = write_archive(archive / "fresh", {name: VIDEOS[name] for name in VIDEOS if name != "cam1/door 1's.mp4"})
    assert answers(archive) == answers(fresh)
    assert len(list(read_archive(archive))) == 6
    compact(archive)
    assert answers(archive) == answers(fresh)
    assert not [name for name in names(archive) if name.endswith(".gone")]


def test_a_run_takes_what_was_joined_for_what_it_wrote(archive):
    folder, kinds = ArchiveFolder(archive), ("persons", "segments")
    sizes = {name: {kind: folder.place(kind, name).stat().st_size for kind in kinds} for name in VIDEOS}
    compact(archive)
    assert all(ArchiveFolder(archive).complete(name, sizes[name]) for name in VIDEOS)
    first = next(iter(VIDEOS))
    assert not folder.complete(first, {**sizes[first], "persons": 1})
    assert not folder.complete(first, {**sizes[first], "jsonl": 1})
    ArchiveFolder(archive).remove(first, ["persons"])
    assert not ArchiveFolder(archive).complete(first, sizes[first])
    (archive / FOLDERS["persons"] / "joined" / ".index.json").unlink()
    assert not ArchiveFolder(archive).complete(sorted(VIDEOS)[-1], sizes[sorted(VIDEOS)[-1]])


def test_what_is_added_later_goes_into_a_small_file_and_a_large_one_stays(archive, monkeypatch):
    monkeypatch.setattr(compaction, "_FILE_VIDEOS", 4)
    compact(archive)
    held = ArchiveFiles.find(archive).segments.index.files
    assert sorted(len(each) for each in held.values()) == [3, 4]
    write_archive(archive, {"new.mp4": doing("wave", 0, 3)})
    monkeypatch.setattr(compaction, "_FILE_VIDEOS", 16)
    compact(archive)
    assert sorted(len(each) for each in ArchiveFiles.find(archive).segments.index.files.values()) == [4, 4]


def test_more_rows_than_a_group_and_than_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(compaction, "_GROUP_ROWS", 5)
    monkeypatch.setattr(compaction, "_FILE_ROWS", 20)
    monkeypatch.setattr(files, "_BATCH_ROWS", 3)
    write_archive(tmp_path, VIDEOS)
    before = answers(tmp_path)
    compact(tmp_path)
    assert len(ArchiveFiles.find(tmp_path).persons.joined) > 2
    write_archive(tmp_path, {"cam0/door 0's.mp4": VIDEOS["cam0/door 0's.mp4"]})
    compact(tmp_path)
    assert answers(tmp_path) == before


def test_features_are_joined_and_deleted_alone(tmp_path):
    for video in ("a.mp4", "b.mp4", "c.mp4"):
        sink = sink_for(tmp_path, video, features=True)
        for i in range(8):
            vector = np.cos(np.arange(12) * (i + ord(video[0]))).tolist()
            sink.write(keyframe(5 * i, {1: [0.1, 0.1, 0.8]}, {1: vector}))
        sink.close()
    alike = Moment("a.mp4", 1.0, 1)
    before = list(find_alike(ArchiveFiles.find(tmp_path), alike).rows)
    assert len(before) == 2
    compact(tmp_path)
    assert list(find_alike(ArchiveFiles.find(tmp_path), alike).rows) == before
    ArchiveFolder(tmp_path).remove("b.mp4", ["features"])
    assert [row[0] for row in find_alike(ArchiveFiles.find(tmp_path), alike).rows] == ["c.mp4"]
    shutil.rmtree(tmp_path / "features")
    with pytest.raises(DataError, match="holds no features"):
        find_alike(ArchiveFiles.find(tmp_path), alike)
    assert len(answers(tmp_path)[3]) == 3


def test_a_file_that_cannot_be_read_stays_where_it_is(archive):
    bad = archive / FOLDERS["segments"] / f"cam0/door 0's.mp4{SUFFIX}"
    bad.write_bytes(b"PAR1")
    done = compact(archive)
    assert f"door 0's.mp4{SUFFIX} is not a complete Parquet file" in done.problems[0]
    assert bad.exists()
    assert done.after == 3


@pytest.mark.parametrize("at", [0, 1, 2, 3, 5, 9])
def test_whatever_fails_in_between_each_row_counts_once(archive, monkeypatch, at):
    before, calls = answers(archive), [0]

    def failing(real):
        def call(*arguments, **options):
            calls[0] += 1
            if calls[0] > at:
                raise OSError(28, "No space left on device")
            return real(*arguments, **options)

        return call

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", failing(Path.unlink))
        patched.setattr(Path, "rmdir", failing(Path.rmdir))
        patched.setattr(os, "replace", failing(os.replace))
        with pytest.raises(SinkError, match="No space left"):
            compact(archive)
    assert answers(archive) == before
    compact(archive)
    assert answers(archive) == before
    assert len(names(archive)) == 4


def test_questions_while_files_are_joined(archive):
    """Another process joins, and makes files of single videos again, while this one asks."""
    before = answers(archive)
    code = (
        "import sys; from pathlib import Path; from sf_detect.archive.compaction import compact\n"
        "from tests.archive.test_compaction import VIDEOS, write_archive\n"
        "import time\n"
        "while True:\n    compact(Path(sys.argv[1])); write_archive(Path(sys.argv[1]), VIDEOS); time.sleep(0.5)"
    )
    root = Path(__file__).parents[2]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), str(root / "tests")])}
    chance = random.Random(0)
    for _ in range(2):
        with subprocess.Popen([sys.executable, "-c", code, str(archive)], env=environment) as process:
            try:
                time.sleep(chance.uniform(1.0, 2.0))
                for _ in range(4):
                    assert answers(archive) == before
            finally:
                process.kill()
        assert answers(archive) == before, "killed at any moment"
    compact(archive)
    assert answers(archive) == before


def test_an_index_that_is_damaged_or_newer_is_told(archive):
    compact(archive)
    index = archive / FOLDERS["segments"] / "joined" / ".index.json"
    for content, message in (("{", "can't be read"), ('{"version": 2, "files": {}}', "newer version")):
        index.write_text(content)
        with pytest.raises(DataError, match=message):
            answers(archive)


def test_names_that_look_like_files_of_many(tmp_path):
    folder = tmp_path / FOLDERS["segments"]
    write_archive(tmp_path, {"joined/rows-1.mp4": doing("wave", 0, 2), "joined.mp4": doing("wave", 0, 2)})
    assert walk(folder, SUFFIX)[0] == ["joined.mp4.parquet", "joined/rows-1.mp4.parquet"]
    compact(tmp_path)
    assert len(answers(tmp_path)[3]) == 2
    assert mark_of(folder / "a.mp4.parquet").name == ".a.mp4.parquet.gone"


def test_facts_of_many_and_of_none():
    facts = [VideoFacts(f"{i}.mp4", "s", 1, 1, labels={"action": ("a", "b")}) for i in range(3)]
    assert facts_of_joined(joined_metadata("segments", facts)) == (1, {one.video: one for one in facts})
    for content in (None, b"", b"[]", b"{}", b'{"label_sets": [], "videos": [{"video": "a", "labels": 3}]}'):
        assert facts_of_joined(None if content is None else {b"sf_detect.archive": content}) is None


def test_what_is_held_by_path(tmp_path):
    one = Joined("a.mp4.parquet", 5, "a.mp4", 3)
    index = JoinedFiles(tmp_path, {"rows-0.parquet": (one,)})
    assert index.hidden(["a.mp4.parquet", "b.mp4.parquet"]) == [one]
    assert index.size_of("a.mp4.parquet") == 5
    assert index.size_of("b.mp4.parquet") is None
    (tmp_path / "joined").mkdir()
    index.write()
    assert JoinedFiles.read(tmp_path) == index
