"""The benchmark of batches: what it makes of folders and of results. Nothing is timed here."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from synthetic_video import write_video

sys.path.insert(0, str(Path(__file__).parents[2] / "tools"))  # as when a tool is run: they import each other by name
import bad_videos
import benchmark_batch
import benchmark_batch_faults
import benchmark_batch_names

from sf_detect.build import open_source
from sf_detect.errors import SFDetectError

sys.path.pop(0)


def test_clips_are_taken_evenly_from_all_folders(tmp_path):
    for name in "abcd":
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / f"{name}.mp4").write_text(name)
    (tmp_path / "long.mp4").write_text("long")
    found = benchmark_batch.gather(tmp_path / "set", 2, [tmp_path / "long.mp4"], tmp_path)
    names = sorted(str(path.relative_to(found)) for path in found.rglob("*.mp4"))
    assert names == ["a/a.mp4", "c/c.mp4", "long.mp4"]
    with pytest.raises(SystemExit, match="has 4 clips, 5 are wanted"):
        benchmark_batch.gather(tmp_path / "set", 5, [], tmp_path)


def test_ten_kinds_of_bad_files_and_what_opens_of_them(tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 30)
    opened = set()
    for name, make in bad_videos.BAD.items():
        make(tmp_path / f"{name}.mp4", clip)
        try:
            with open_source(tmp_path / f"{name}.mp4"):
                opened.add(name)
        except SFDetectError:
            pass
    assert len(bad_videos.BAD) == 10
    assert opened <= {"spoiled", "picture"}, "a picture is a video of one frame; of a spoiled one a part may decode"


def test_results_are_compared_by_content_without_manifest_and_summary(tmp_path):
    for name, text in (("manifest.csv", "times"), ("jsonl/a.jsonl", "1"), ("jsonl/b.jsonl", "1")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    found = benchmark_batch_faults.contents(tmp_path)
    assert found.keys() == {"jsonl/a.jsonl", "jsonl/b.jsonl"}
    assert len(set(found.values())) == 1


def test_a_command_is_measured_with_its_exit_status(tmp_path):
    done = benchmark_batch.measured([sys.executable, "-c", "import sys; sys.exit('told')"])
    assert (done.code, done.told.strip()) == (1, "told")
    assert done.core > 0


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="reads the memory of a process from /proc")
def test_names_are_listed_and_resumed(tmp_path):
    listing, resume = benchmark_batch_names.names(tmp_path, 1500)
    assert listing.kept
    assert resume.kept
    assert "1500 names, 1500 to do" in listing.found
    assert "1500 names, 2 to do" in resume.found


def test_the_table_goes_on_where_an_earlier_call_ended(tmp_path, capsys):
    found = [benchmark_batch_faults.Finding("a", "1 of 1", True), benchmark_batch_faults.Finding("b", "0 of 1", False)]
    benchmark_batch._keep(tmp_path / "found.json", "bad", found[:1])
    assert benchmark_batch._table(tmp_path / "found.json")
    benchmark_batch._keep(tmp_path / "found.json", "disk", found[1:])
    assert not benchmark_batch._table(tmp_path / "found.json")
    assert "| bad | a | 1 of 1 | yes |\n| disk | b | 0 of 1 | **no** |" in capsys.readouterr().out


def test_a_video_that_hangs_opens_and_takes_no_room(tmp_path):
    clip = write_video(tmp_path / "clip.mp4", 30)
    bad_videos.hanging(tmp_path / "hangs.mpg", clip)
    assert (tmp_path / "hangs.mpg").stat().st_blocks * 512 < 10_000_000
