"""tools/assemble_footage: media come from clones by hash, people of clips get the track at their place."""

from __future__ import annotations

import csv
import hashlib
import json
import subprocess
import sys

import pytest

from sf_detect.training.postures.footage import read_people
from tools import assemble_footage

PROVENANCE = ("file", "kind", "repository", "commit", "path", "licence", "sha256", "rights", "split_hint", "notes")
LABELS = ("file", "time", "start", "end", "x1", "y1", "x2", "y2", "posture", "actions")
NEAR = {"box": [9, 9, 40, 44], "track_id": 3, "score": 0.9, "actions": []}
FAR = {"box": [90, 9, 120, 44], "track_id": 4, "score": 0.9, "actions": []}
RECORD = {"schema": "sf-detect/1", "video": "two", "width": 160, "height": 90, "persons": [FAR, NEAR]}


def write(path, columns, rows):
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([columns, *rows])


def git(folder, *arguments):
    made = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "commit.gpgsign=false")
    done = subprocess.run(["git", "-C", folder, *made, *arguments], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def assemble(tmp_path, monkeypatch, capsys):
    clone = tmp_path / "clones" / "them" / "media"
    clone.mkdir(parents=True)
    for name in ("one.png", "two.mp4"):
        (clone / name).write_bytes(name.encode())
    git(clone, "init", "-q")
    git(clone, "add", ".")
    git(clone, "commit", "-q", "-m", "media")
    commit, tracked = git(clone, "rev-parse", "HEAD"), []

    def provenance(name, kind, content):
        digest = hashlib.sha256(content.encode()).hexdigest()
        return (f"m/{name}", kind, "them/media", commit, name, "MIT", digest, "licensed", "train", "")

    class Tracker:
        def __init__(self, config):
            assert (config.model.name, config.posture.mode, config.pipeline.stride) == ("none", "off", 0.25)

        def annotate(self, source, out_jsonl):
            tracked.append(source.name)
            records = [RECORD | {"time": at, "frame": i} for i, at in enumerate((0.0, 0.25))]
            out_jsonl.write_text("\n".join(map(json.dumps, records)))

    monkeypatch.setattr(assemble_footage.sf_detect, "Annotator", Tracker)
    files = [provenance("one.png", "still", "one.png"), provenance("two.mp4", "clip", "two.mp4")]
    files.append(provenance("gone.png", "still", "another"))

    def call(*people):
        write(tmp_path / "provenance.csv", PROVENANCE, files)
        write(tmp_path / "labels.csv", LABELS, people)
        arguments = [tmp_path / "clones", tmp_path / "out", "--tables", tmp_path]
        monkeypatch.setattr(sys, "argv", ["assemble_footage.py", *map(str, arguments)])
        assert assemble_footage.main() == 0
        return read_people(tmp_path / "out" / "labels.csv", ["licensed"]), capsys.readouterr().out, tracked

    return call


CLIP = ("m/two.mp4", "0.2", "0", "0.5", "10", "10", "40", "44", "walk", "wave;walk")


def test_people_are_joined_with_tracks_and_what_is_lost_is_named(assemble):
    still = ("m/one.png", "", "", "", "1", "2", "30", "40", "stand", "")
    nobody_there = ("m/two.mp4", "0.2", "0", "0.5", "50", "10", "70", "44", "run", "")
    too_late = ("m/two.mp4", "0.5", "0.3", "0.7", "10", "10", "40", "44", "sit", "")
    gone = ("m/gone.png", "", "", "", "1", "2", "30", "40", "stand", "")
    people, out, _ = assemble(still, CLIP, nobody_there, too_late, gone)
    assert [(p.file, p.source, p.posture, p.track) for p in people] == [
        ("m/one.png", "them/media", "stand", None),
        ("m/two.mp4", "them/media", "walk", 3),
    ]
    assert people[1].actions == ("wave", "walk")
    assert "2 of 3 files, 2 of 5 labelled people" in out
    assert "missing: m/gone.png (them/media, gone.png)" in out
    assert "no track: m/two.mp4 at 0.2 s, run" in out
    assert "no track: m/two.mp4 at 0.5 s, sit" in out


def test_a_second_call_tracks_nothing_again(assemble):
    first, _, _ = assemble(CLIP)
    again, _, tracked = assemble(CLIP)
    assert (first, tracked) == (again, ["two.mp4"])
