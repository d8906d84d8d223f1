"""What a run tells: lines, a progress bar, a log of JSON Lines, TensorBoard."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from sf_detect.atomic_file import write_text
from sf_detect.errors import DataError, MissingExtraError

Say = Callable[[str], None]


class Report:
    """Tells of a run's progress; the leading process makes one, the others a silent one.

    Args:
        folder: Where log.jsonl and tensorboard/ are.
        say: Receives lines for the user.
        step: Steps done already: later lines of an interrupted run are taken out of the log. None for a test, which
            leaves the log of the training alone.
        tensorboard: Write TensorBoard's files, too.
        silent: Tell nothing and write nothing.

    Raises:
        MissingExtraError: TensorBoard is wanted and not installed.
    """

    def __init__(
        self, folder: Path, say: Say, step: int | None = 0, *, tensorboard: bool = False, silent: bool = False
    ) -> None:
        self.silent, self._say, self._path = silent, say, folder / "log.jsonl"
        self._writer = _writer(folder / "tensorboard", step) if tensorboard and not silent else None
        self._bar: Progress | None = None
        if not silent:
            if step is not None:
                self._forget_after(step)
            if sys.stderr.isatty():
                columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
                self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
                self._bar.start()

    def _forget_after(self, step: int) -> None:
        if not self._path.exists():
            return
        kept = []
        for number, line in enumerate(self._path.read_text().splitlines(), start=1):
            try:
                known = json.loads(line)["step"] <= step
            except (ValueError, KeyError, TypeError) as error:
                raise DataError(self._path, number, "is no line of a training log; move the file away") from error
            if known:
                kept.append(line + "\n")
        write_text(self._path, "".join(kept))

    def say(self, text: str) -> None:
        """A line for the user."""
        if not self.silent:
            self._say(text)

    def log(self, step: int, figures: Mapping[str, float], **more: Any) -> None:
        """One line of the log."""
        if self.silent:
            return
        with self._path.open("a") as file:
            file.write(json.dumps({"step": step, **more, **figures}) + "\n")
        if self._writer is not None:
            for name, value in figures.items():
                self._writer.add_scalar(name, value, step)

    def progress(self, text: str, done: int, total: int) -> None:
        """Moves the bar; without a terminal there is none."""
        if self._bar is None:
            return
        if not self._bar.task_ids:
            self._bar.add_task(text, total=total)
        self._bar.update(self._bar.task_ids[0], description=text, completed=done, total=total)

    def close(self) -> None:
        """Ends the bar and completes the files."""
        if self._bar is not None:
            self._bar.stop()
        if self._writer is not None:
            self._writer.close()


def _writer(folder: Path, step: int | None) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise MissingExtraError("tensorboard", "train", "tensorboard=true") from error
    return SummaryWriter(str(folder), purge_step=step or None)


def in_words(figures: Mapping[str, float]) -> str:
    """Figures as a user reads them."""
    return ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
