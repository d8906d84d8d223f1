"""What a run of a batch did, counted as it goes and written at its end."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sf_detect.atomic_file import write_text
from sf_detect.batch.jobs import DONE, Outcome
from sf_detect.batch.listing import Listed
from sf_detect.errors import SinkError

_SHOWN = 1000
"""Failures that are listed; the manifest has all."""


@dataclass
class BatchSummary:
    """Counts of a run.

    Attributes:
        listed: What the run was given.
        workers: How many computed.
        done, failed, damaged: Videos of this run; damaged ones are done as far as they decode.
        seconds: Of video, done in this run.
        frames: Done in this run.
        bytes: Of the videos that this run is through with, failed ones included.
        wall_seconds: From the start to the end, loading of models included.
        labels: Seconds of each label in the videos of this run.
        failures: Reason by name.
        damages: What is incomplete, by name.
        problems: Of the whole run, such as folders that could not be read.
        warnings: What the outputs of videos warn of, and in how many of them.
        stopped: Why the run ended before its last video; empty where it did not.
        interrupted: True where somebody stopped it.
    """

    listed: Listed = field(default_factory=Listed)
    workers: int = 0
    done: int = 0
    failed: int = 0
    damaged: int = 0
    seconds: float = 0.0
    frames: int = 0
    bytes: int = 0
    wall_seconds: float = 0.0
    labels: Counter[str] = field(default_factory=Counter)
    failures: dict[str, str] = field(default_factory=dict)
    damages: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    stopped: str = ""
    interrupted: bool = False

    @property
    def finished(self) -> int:
        """Videos that this run is through with."""
        return self.done + self.failed

    def add(self, outcome: Outcome) -> None:
        """Counts the end of a job; one that stops the batch is no end of a video."""
        if outcome.stop:
            self.stopped = outcome.reason
            return
        self.bytes += outcome.job.size
        if outcome.state != DONE or outcome.stats is None:
            self.failed += 1
            _note(self.failures, outcome)
            return
        self.done += 1
        self.seconds += outcome.stats.seconds
        self.frames += outcome.stats.frames
        for label, seconds in outcome.stats.labels.items():
            self.labels[label] += seconds  # type: ignore[assignment]  # a Counter of seconds
        self.warnings.update(outcome.stats.warnings)
        if outcome.reason:
            self.damaged += 1
            _note(self.damages, outcome)

    def as_json(self) -> dict[str, Any]:
        """For `summary.json` and programs."""
        wall = self.wall_seconds
        return {
            "videos": self.listed.videos,
            "done_before": self.listed.done,
            "failed_before": self.listed.failed,
            "changed": self.listed.changed,
            "done": self.done,
            "failed": self.failed,
            "damaged": self.damaged,
            "left": max(0, self.listed.waiting + self.listed.beyond - self.finished),
            "video_seconds": round(self.seconds, 3),
            "frames": self.frames,
            "wall_seconds": round(wall, 3),
            "frames_per_second": round(self.frames / wall, 3) if wall else 0.0,
            "video_seconds_per_second": round(self.seconds / wall, 3) if wall else 0.0,
            "workers": self.workers,
            "seconds_per_label": {name: round(value, 3) for name, value in self.labels.most_common()},
            "failures": self.failures,
            "damages": self.damages,
            "problems": self.problems,
            "warnings": dict(self.warnings),
            "stopped": self.stopped,
            "interrupted": self.interrupted,
        }

    def write(self, path: Path) -> None:
        """Writes it as JSON, whole or not at all.

        Raises:
            SinkError: It can't be written.
        """
        try:
            write_text(path, json.dumps(self.as_json(), indent=1) + "\n")
        except OSError as error:
            raise SinkError.unwritable(path, error) from error


def _note(notes: dict[str, str], outcome: Outcome) -> None:
    if len(notes) < _SHOWN:
        notes[outcome.job.name] = outcome.reason


def seconds_of_labels(labels: Mapping[str, float], shown: int = 10) -> list[str]:
    """The most frequent labels, a line each."""
    best = sorted(labels.items(), key=lambda item: -item[1])[:shown]
    return [f"{label:<20} {seconds:.1f} s" for label, seconds in best]
