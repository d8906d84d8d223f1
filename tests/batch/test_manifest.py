"""The rows of an archive: what is recorded stays, and runs resume from it."""

import csv
import sqlite3

import pytest

from batch_fakes import STATS, VERSIONS, done, failed, video
from sf_detect.batch.jobs import Job, Outcome
from sf_detect.batch.layout import ArchiveFolder
from sf_detect.batch.listing import Listing, Selection
from sf_detect.batch.manifest import Manifest, Versions, source_text
from sf_detect.errors import ConfigError, DataError, SinkError


@pytest.fixture
def manifest(tmp_path):
    manifest = Manifest(tmp_path / "manifest.sqlite")
    yield manifest
    manifest.close()


def listed(manifest, videos, versions=VERSIONS, kinds=("jsonl",), **selection):
    listing = Listing(manifest, ArchiveFolder(manifest.path.parent), versions, kinds, Selection(**selection))
    return listing.add(videos), [job.name for job in manifest.waiting(listing.run)]


def finish(manifest, *names, versions=VERSIONS, kinds=("jsonl",)):
    """Records these videos as done, with files that are there."""
    folder = ArchiveFolder(manifest.path.parent)
    for name in names:
        for kind in kinds:
            folder.place(kind, name).parent.mkdir(parents=True, exist_ok=True)
            folder.place(kind, name).write_text("1234")
    manifest.record([done(Job(name, f"/in/{name}"), **dict.fromkeys(kinds, 4)) for name in names], versions)


def test_new_videos_wait_largest_first(manifest):
    found, waiting = listed(manifest, [video("a", 1), video("b", 3), video("c", 2), video("d", 3)])
    assert waiting == ["b", "d", "c", "a"]
    assert (found.videos, found.waiting, found.waiting_bytes) == (4, 4, 9)


def test_many_pages_of_waiting_videos_while_rows_change(manifest):
    listing = Listing(manifest, ArchiveFolder(manifest.path.parent), VERSIONS, ["jsonl"], Selection())
    listing.add(video(f"v{i}", i % 7) for i in range(1000))
    names, group = [], []
    for job in manifest.waiting(listing.run):
        names.append(job.name)
        group.append(failed(job))
        if len(group) == 90:
            manifest.record(group, VERSIONS)
            group = []
    assert len(names) == len(set(names)) == 1000


def test_what_is_done_stays_done(manifest):
    listed(manifest, [video("a"), video("b")])
    finish(manifest, "a")
    found, waiting = listed(manifest, [video("a"), video("b")])
    assert waiting == ["b"]
    assert (found.done, found.waiting, found.changed) == (1, 1, 0)


@pytest.mark.parametrize(
    ("changed", "versions"),
    [
        (video("a", stamp="2"), VERSIONS),
        (video("a", size=11, stamp="11:1"), VERSIONS),
        (video("a"), Versions("other", "d", "0")),
    ],
    ids=["time", "size", "settings"],
)
def test_changes_are_noticed_and_only_those_are_redone(manifest, changed, versions):
    listed(manifest, [video("a"), video("b")])
    finish(manifest, "a")
    finish(manifest, "b", versions=versions)
    found, waiting = listed(manifest, [changed, video("b")], versions)
    assert waiting == ["a"]
    assert (found.changed, found.done) == (1, 1)


def test_a_new_version_of_the_package_redoes_nothing(manifest):
    listed(manifest, [video("a")])
    finish(manifest, "a")
    assert listed(manifest, [video("a")], Versions("s", "d", "1"))[1] == []


def test_drawing_matters_only_to_what_is_drawn(manifest):
    listed(manifest, [video("a")])
    finish(manifest, "a", kinds=("jsonl", "video"))
    other = Versions("s", "otherwise", "0")
    assert listed(manifest, [video("a")], other)[1] == []
    assert listed(manifest, [video("a")], other, kinds=("jsonl", "video"))[1] == ["a"]


@pytest.mark.parametrize("spoil", ["remove", "cut"])
def test_outputs_that_are_gone_or_cut_are_made_again(manifest, spoil):
    listed(manifest, [video("a")])
    finish(manifest, "a")
    place = ArchiveFolder(manifest.path.parent).place("jsonl", "a")
    place.unlink() if spoil == "remove" else place.write_text("12")
    assert listed(manifest, [video("a")])[1] == ["a"]


def test_a_further_format_redoes_and_fewer_do_not(manifest):
    listed(manifest, [video("a")])
    finish(manifest, "a", kinds=("jsonl", "csv"))
    assert listed(manifest, [video("a")], kinds=["csv"])[1] == []
    assert listed(manifest, [video("a")], kinds=["csv", "events"])[1] == ["a"]


def test_failures_are_tried_again_when_asked_or_changed(manifest):
    listed(manifest, [video("a")])
    manifest.record([failed(Job("a", "/in/a"))], VERSIONS)
    found, waiting = listed(manifest, [video("a")])
    assert (waiting, found.failed) == ([], 1)
    assert listed(manifest, [video("a")], retry_failed=True)[1] == ["a"]
    manifest.record([failed(Job("a", "/in/a"))], VERSIONS)
    assert listed(manifest, [video("a", stamp="2")])[1] == ["a"]


def test_redo_does_all_again(manifest):
    listed(manifest, [video("a")])
    finish(manifest, "a")
    assert listed(manifest, [video("a")], redo=True)[1] == ["a"]


def test_names_never_collide(manifest):
    same = [video("x/a.mp4", source=f"/{i}/a.mp4") for i in range(3)] + [video("X/A.mp4", source="/3/A.mp4")]
    names = listed(manifest, same)[1]
    assert len({name.casefold() for name in names}) == 4
    assert all(name.lower().startswith("x/a") and name.endswith(".mp4") for name in names)
    assert sorted(listed(manifest, same[::-1])[1]) == sorted(names), "names stay, in whatever order they come"


def test_a_video_that_is_named_twice_comes_once(manifest):
    found, waiting = listed(manifest, [video("a"), video("a")])
    assert (found.videos, waiting) == (1, ["a"])


def test_videos_of_other_runs_are_left_alone(manifest):
    listed(manifest, [video("a")])
    assert listed(manifest, [video("b")])[1] == ["b"]


def test_limit_takes_the_first(manifest):
    listed(manifest, [video("a")])
    finish(manifest, "a")
    found, waiting = listed(manifest, [video("a"), video("b"), video("c")], limit=1)
    assert found.beyond == 1
    assert (waiting, found.done) == (["b"], 1)
    finish(manifest, "b")
    assert listed(manifest, [video("a"), video("b"), video("c")], limit=1)[1] == ["c"]


def test_shards_part_the_videos_and_lose_none(manifest):
    videos = [video(f"v{i}.mp4") for i in range(50)]
    videos += [video("same.mp4", source="/1/same.mp4"), video("Same.mp4", source="/2/same.mp4")]
    parts = [listed(manifest, videos, shard=(i, 3))[1] for i in (1, 2, 3)]
    assert sum(map(len, parts)) == 52
    assert len(set().union(*parts)) == 52
    assert all(10 < len(part) < 30 for part in parts)


@pytest.mark.parametrize("wrong", [{"shard": (0, 3)}, {"shard": (4, 3)}, {"shard": (1, 0)}, {"limit": 0}])
def test_selections_that_make_no_sense(wrong):
    with pytest.raises(ConfigError, match="expected"):
        Selection(**wrong)


def test_what_is_recorded(manifest):
    listed(manifest, [video("a"), video("b")])
    outcome = Outcome(Job("a", "/in/a"), "done", "damaged", STATS, {"jsonl": 4}, 1.23456)
    manifest.record([outcome, failed(Job("b", "/in/b"), "it's bad")], VERSIONS)
    first, second = (dict(row) for row in manifest.rows())
    assert (first["state"], first["seconds"], first["frames"], first["wall_seconds"]) == ("done", 2.0, 50, 1.235)
    assert (first["labels"], first["outputs"], first["model"]) == ('{"wave": 1.5}', '{"jsonl": 4}', "fake")
    assert (second["state"], second["reason"], second["seconds"]) == ("failed", "it's bad", None)


def test_csv(manifest, tmp_path):
    listed(manifest, [video("a"), video('b"x')])
    finish(manifest, "a")
    manifest.write_csv(tmp_path / "m.csv")
    with open(tmp_path / "m.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["name"], row["state"]) for row in rows] == [("a", "done"), ('b"x', "pending")]
    assert "folded" not in rows[0]


def test_csv_that_can_not_be_written(manifest, tmp_path):
    (tmp_path / "m.csv").mkdir()
    with pytest.raises(SinkError, match=r"m.csv can't be written"):
        manifest.write_csv(tmp_path / "m.csv")


def test_sources_that_are_not_utf8(manifest):
    listed(manifest, [video("caf\\xe9.mp4", source="/in/caf\udce9.mp4")])
    (row,) = manifest.rows()
    assert source_text(row["source"]) == "/in/caf\udce9.mp4"
    assert [job.source for job in manifest.waiting(1)] == ["/in/caf\udce9.mp4"]


def test_a_listing_that_breaks_off_leaves_nothing(manifest):
    def videos():
        yield video("a")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        listed(manifest, videos())
    assert list(manifest.rows()) == []


def test_other_manifests_are_adopted(manifest, tmp_path):
    other = Manifest(tmp_path / "manifest.1-of-2.sqlite")
    listed(other, [video("a"), video("b")])
    finish(other, "a")
    other.close()
    manifest.adopt(tmp_path / "manifest.1-of-2.sqlite")
    found, waiting = listed(manifest, [video("a"), video("b")])
    assert (found.done, waiting) == (1, ["b"])


def test_a_manifest_that_is_being_written_can_be_adopted(manifest, tmp_path):
    other = Manifest(tmp_path / "manifest.1-of-2.sqlite")
    try:
        listed(other, [video("a")])
        finish(other, "a")
        with other.transaction():
            manifest.adopt(tmp_path / "manifest.1-of-2.sqlite")
    finally:
        other.close()
    assert [row["name"] for row in manifest.rows()] == ["a"]


def test_a_file_that_is_no_manifest(tmp_path):
    (tmp_path / "manifest.sqlite").write_text("not a database, but long enough to be looked at" * 10)
    with pytest.raises(DataError, match="is no manifest of sf_detect, or damaged"):
        Manifest(tmp_path / "manifest.sqlite")


def test_a_manifest_of_a_newer_version(tmp_path):
    with sqlite3.connect(tmp_path / "manifest.sqlite") as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    with pytest.raises(DataError, match="form 99 of a newer sf_detect"):
        Manifest(tmp_path / "manifest.sqlite")


def test_a_full_disk_is_told_and_nothing_is_half_written(manifest):
    listed(manifest, [video("a")])
    (pages,) = manifest.execute("PRAGMA page_count").fetchone()
    manifest.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(SinkError, match=r"the disk is full. Free some space and give the same command again"):
        listed(manifest, (video(f"v{i}" * 20) for i in range(2000)))
    assert [row["name"] for row in manifest.rows()] == ["a"]


def test_a_manifest_that_another_program_holds(manifest):
    manifest.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(manifest.path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    try:
        with pytest.raises(SinkError, match="in use by another program"):
            manifest.begin_run()
    finally:
        other.close()
